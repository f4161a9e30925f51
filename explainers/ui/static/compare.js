// What a second map may differ in, and the line above the two that says so.
import { choose } from "./chooser.js";
import { choice, menu } from "./controls.js";
import { h } from "./elements.js";
import { sightglass } from "./store.js";
import { confidence } from "./words.js";

sightglass.on("question", () => {
  if (sightglass.comparing || !Object.keys(sightglass.question.beside).length) return;
  sightglass.comparing = true;
  sightglass.emit("compare");
});

/** @param {boolean} on */
export function setComparing(on) {
  sightglass.comparing = on;
  sightglass.emit("compare");
  if (on) sightglass.ask({ beside: suggestion() });
  else sightglass.ask({ beside: {} });
}

// The comparison that teaches most at once: another method that applies, else another class, else another network.
/** @returns {Record<string, string>} */
function suggestion() {
  const { answer } = sightglass;
  const now = sightglass.current();
  const family = (/** @type {string | undefined} */ id) => sightglass.method(id)?.family;
  const others = sightglass.others(now?.method);
  const method = others.find((fit) => family(fit.id) !== family(now?.method)) ?? others[0];
  if (method) return { method: method.id };
  const target = answer?.predictions.find((each) => each.label !== now?.target);
  if (target) return { target: target.label };
  return { model: sightglass.catalogue.networks.find((each) => each.id !== sightglass.question.model)?.id ?? "" };
}

/** @param {HTMLElement} box */
export function renderComparing(box) {
  const { answer, question, catalogue } = sightglass;
  box.hidden = !sightglass.comparing;
  if (box.hidden || !answer) return;
  const [what] = Object.keys(question.beside);
  const now = sightglass.current();
  /** By what differs, what there is: id and words of each. @type {Record<string, string[][]>} */
  const choices = {
    method: answer.fits
      .filter((fit) => fit.id !== now?.method)
      .map((fit) => [fit.id, fit.title + (fit.why_not ? " (does not apply)" : "")]),
    target: answer.predictions
      .filter((each) => each.label !== now?.target)
      .map((each) => [each.label, `${each.label} ${confidence(each)}`]),
    model: catalogue.networks.filter((each) => each.id !== question.model).map((each) => [each.id, each.id]),
  };
  /** @type {Record<string, string>} */
  const words = { method: "method", target: "class", model: "network" };
  const listed = [...(choices[what] ?? [])];
  if (what && !listed.some(([id]) => id === question.beside[what]))
    listed.push([question.beside[what], question.beside[what]]);
  box.replaceChildren(
    h("span", {}, "Beside it another"),
    choice(
      Object.fromEntries(Object.entries(words).filter(([name]) => choices[name].length)),
      what,
      (name) => sightglass.ask({ beside: { [name]: choices[name][0][0] } }),
      "What differs",
      { data: "beside" },
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
                pick: (/** @type {string[]} */ [method]) => sightglass.ask({ beside: { method } }),
              }),
          },
          sightglass.method(question.beside.method)?.title ?? question.beside.method,
        )
      : what
        ? menu(listed, question.beside[what], (id) => sightglass.ask({ beside: { [what]: id } }), {
            "aria-label": words[what],
            id: "beside",
          })
        : "",
  );
}
