// What a second map may differ in, and the line above the two that says so.
import { choose } from "./chooser.js";
import { h } from "./elements.js";
import { sightglass } from "./store.js";
import { confidence } from "./words.js";

sightglass.on("question", () => {
  if (sightglass.comparing || !Object.keys(sightglass.question.beside).length) return;
  sightglass.comparing = true;
  sightglass.emit("compare");
});

export function setComparing(on) {
  sightglass.comparing = on;
  sightglass.emit("compare");
  if (on) sightglass.ask({ beside: suggestion() });
  else sightglass.ask({ beside: {} });
}

// The comparison that teaches most at once: another method that applies, else another class, else another network.
function suggestion() {
  const { answer } = sightglass;
  const now = sightglass.current();
  const family = (id) => sightglass.method(id)?.family;
  const others = sightglass.others(now?.method);
  const method = others.find((fit) => family(fit.id) !== family(now?.method)) ?? others[0];
  if (method) return { method: method.id };
  const target = answer?.predictions.find((each) => each.label !== now?.target);
  if (target) return { target: target.label };
  return { model: sightglass.catalogue.networks.find((each) => each.id !== sightglass.question.model)?.id };
}

export function renderComparing(box) {
  const { answer, question, catalogue } = sightglass;
  box.hidden = !sightglass.comparing;
  if (box.hidden || !answer) return;
  const [what] = Object.keys(question.beside);
  const now = sightglass.current();
  const choices = {
    method: answer.fits
      .filter((fit) => fit.id !== now?.method)
      .map((fit) => [fit.id, fit.title + (fit.why_not ? " (does not apply)" : "")]),
    target: answer.predictions
      .filter((each) => each.label !== now?.target)
      .map((each) => [each.label, `${each.label} ${confidence(each)}`]),
    model: catalogue.networks.filter((each) => each.id !== question.model).map((each) => [each.id, each.id]),
  };
  const words = { method: "method", target: "class", model: "network" };
  const listed = [...(choices[what] ?? [])];
  if (what && !listed.some(([id]) => id === question.beside[what]))
    listed.push([question.beside[what], question.beside[what]]);
  box.replaceChildren(
    h("span", {}, "Beside it another"),
    h(
      "span",
      { class: "choice", role: "group", "aria-label": "What differs" },
      Object.entries(words)
        .filter(([name]) => choices[name].length)
        .map(([name, label]) =>
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(name === what),
              "data-beside": name,
              onclick: () => sightglass.ask({ beside: { [name]: choices[name][0][0] } }),
            },
            label,
          ),
        ),
    ),
    what === "method"
      ? h(
          "button",
          {
            type: "button",
            class: "pick",
            id: "beside",
            "data-method": question.beside.method,
            "aria-haspopup": "listbox",
            onclick: (event) =>
              choose({
                anchor: event.currentTarget,
                chosen: [question.beside.method],
                without: now?.method,
                pick: ([method]) => sightglass.ask({ beside: { method } }),
              }),
          },
          sightglass.method(question.beside.method)?.title ?? question.beside.method,
        )
      : what
        ? h(
            "select",
            {
              "aria-label": words[what],
              id: "beside",
              onchange: (event) => sightglass.ask({ beside: { [what]: event.target.value } }),
            },
            listed.map(([id, label]) => h("option", { value: id, selected: id === question.beside[what] }, label)),
          )
        : "",
  );
}
