// The answer in words: question, one number, how to read it, what to beware of, options, cost, and what to take along.
import { choose } from "./chooser.js";
import { choice, copier, link, menu, slider } from "./controls.js";
import { h } from "./elements.js";
import { native } from "./heat.js";
import { honest } from "./honest.js";
import { part } from "./parts.js";
import { link as permalink } from "./permalink.js";
import { sightglass } from "./store.js";
import { percent, rival } from "./words.js";
import { isWorking, showWorking } from "./working.js";

/** @import { Answer, Control, Pane, Question } from "./types.js" */

const { element } = await part("reading");
const article = element.querySelector(".reading");
const REST = 300; // milliseconds that an option rests before it is asked about
let shown = "";
let previewed = ""; // what a map is about that gets better while one looks

function draw() {
  const { answer, question } = sightglass;
  const pane = sightglass.current();
  const refusal = answer?.refusal;
  const method = pane ?? (refusal && sightglass.method(refusal.method));
  if (!method) return article.replaceChildren(...skeleton());
  const focus = article.contains(document.activeElement) ? document.activeElement?.id : "";
  const open = Object.fromEntries([...article.querySelectorAll("details")].map((each) => [each.className, each.open]));
  const [before, subject, after] =
    pane?.question ??
    split(sightglass.method(refusal.method).question, question.target ?? answer?.predictions[0]?.label ?? "");
  article.replaceChildren(
    ...[
      h("h1", {}, before, subject ? h("em", {}, subject) : "", after),
      h("p", { class: "by" }, picker(pane?.method ?? refusal.method), h("span", { class: "quiet" }, pane?.cells ?? "")),
      pane && raised(pane, answer),
      pane && notes(pane),
      pane && honest(),
      pane && h("p", {}, h("b", {}, "Read it as: "), lower(pane.read_it_as)),
      pane && h("p", { class: "beware" }, h("b", {}, "Beware: "), lower(pane.beware)),
      pane && h("p", { class: "unsure quiet", hidden: !pane.unsure }, pane.unsure),
      pane &&
        h(
          "details",
          { class: "how", open: open.how },
          h("summary", {}, "How it works"),
          h("p", {}, pane.how, " ", h("a", { href: pane.paper, target: "_blank", rel: "noreferrer" }, "Paper")),
        ),
      pane?.controls.length ? options(pane, question) : null,
      pane && h("p", { class: "cost quiet" }, cost(pane)),
      pane && actions(pane, open),
    ].filter(Boolean),
  );
  if (focus) document.getElementById(focus)?.focus();
  sightglass.emit("read"); // tabs may add a way to themselves
}
/** @param {string} text @param {string} subject */
function split(text, subject) {
  const [before, after] = text.split("the chosen class");
  return after === undefined ? [text, "", ""] : [before, subject, after];
}
const cost = (/** @type {Pane} */ pane) =>
  pane.done < 1 ? `${pane.cost}; ${percent(pane.done)} of the work` : pane.cost;
const lower = (/** @type {string} */ text) => text.slice(0, 1).toLowerCase() + text.slice(1);

function skeleton() {
  return [
    h("h1", { class: "ghost" }, "Which regions raise it?"),
    h("p", { class: "ghost" }, "Sightglass is getting ready."),
    h("p", { class: "ghost tall" }, "…"),
  ];
}

/** @param {string} id */
function picker(id) {
  const method = sightglass.method(id);
  return h(
    "button",
    {
      type: "button",
      class: "pick",
      id: "method",
      "data-method": id,
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      "aria-label": `Method: ${method.title}`,
      onclick: (event) => choose({ anchor: event.currentTarget }),
    },
    method.title,
  );
}

/** The question that a picture raises by itself, one click away. @param {Pane} pane @param {Answer | null} answer */
function raised(pane, answer) {
  const other = pane.versus || !answer || answer.network.no_rival ? null : rival(answer.predictions, pane.target);
  return other
    ? h(
        "button",
        { type: "button", class: "raised link", onclick: () => sightglass.ask({ target: pane.target, versus: other }) },
        "⇄ Why ",
        h("b", {}, pane.target),
        " rather than ",
        h("b", {}, other),
        "?",
      )
    : null;
}

/** @param {Pane} pane */
function notes(pane) {
  return pane.notes.length
    ? h(
        "ul",
        { class: "notes" },
        pane.notes.map((note) => h("li", {}, note)),
      )
    : null;
}

const FEW = 4; // options in sight; the rest is folded
/** @param {Pane} pane @param {Question} question */
function options(pane, question) {
  const draw_ = (/** @type {Control} */ option) =>
    control(option, pane.options[option.name], (value, after) =>
      sightglass.ask({ method: pane.method, options: { ...question.options, [option.name]: value } }, { after }),
    );
  const rest = pane.controls.slice(FEW);
  return h(
    "div",
    { class: "options", role: "group", "aria-label": "Options" },
    pane.controls.slice(0, FEW).map(draw_),
    rest.length ? h("details", { class: "more" }, h("summary", {}, "More options"), rest.map(draw_)) : null,
  );
}

const named = (/** @type {string[]} */ choices) => Object.fromEntries(choices.map((each) => [each, each]));
/**
 * @param {Control} option
 * @param {any} value
 * @param {(value: any, after: number) => void} set
 */
function control(option, value, set) {
  const id = `option-${option.name}`;
  if (option.kind === "switch")
    return h(
      "label",
      { class: "option", title: option.description },
      h("input", { type: "checkbox", id, checked: value, onchange: (event) => set(event.target.checked, 0) }),
      h("span", {}, option.words),
      h("small", { class: "quiet" }, option.description),
    );
  if (option.kind === "choice") {
    const field =
      option.choices.length <= 5 && option.choices.join("").length < 30
        ? choice(named(option.choices), value, (each) => set(each, 0), option.words, { id })
        : menu(Object.entries(named(option.choices)), value, (each) => set(each, 0), { id });
    const wide = option.choices.join("").length > 20; // beside its name there is no room for it
    return h(
      "div",
      { class: wide ? "option wide" : "option", title: option.description },
      h("span", {}, option.words),
      field,
      h("small", { class: "quiet" }, option.description),
    );
  }
  const { out, range } = slider(option, value, (next) => set(next, REST), { id });
  return h(
    "label",
    { class: "option", title: option.description },
    h("span", {}, option.words, " ", out),
    range,
    h("small", { class: "quiet" }, `${option.description} ${option.minimum}\u00a0to\u00a0${option.maximum}.`),
  );
}

/** @param {Pane} pane @param {Record<string, boolean>} open what is unfolded */
function actions(pane, open) {
  const code = h("pre", {}, pane.code);
  const uploaded = !sightglass.picture?.scene;
  const here = permalink();
  const block = (
    /** @type {string} */ name,
    /** @type {string} */ title,
    /** @type {import("./elements.js").Child[]} */ ...inside
  ) => h("details", { class: name, open: open[name] }, h("summary", {}, title), ...inside);
  const working = pane.steps
    ? link(isWorking() ? "Close the working" : "Show the working", showWorking, { id: "working" })
    : null;
  return h(
    "div",
    { class: "actions" },
    ...[working].filter(Boolean),
    block("code", "Code", code, copier(pane.code)),
    block(
      "save",
      "Save",
      h(
        "p",
        {},
        [
          ["png", native(pane) ? "Picture with heat (PNG)" : "Picture (PNG)"],
          ["npz", "Numbers (NPZ)"],
          ["json", "All about it (JSON)"],
        ].map(([kind, words]) => link(words, () => save(kind), { "data-save": kind })),
      ),
    ),
    block(
      "share",
      "Share",
      h(
        "p",
        {},
        uploaded
          ? "The link has network, class and method, but not the picture you uploaded: it is not kept."
          : "The link opens this question.",
      ),
      h("input", {
        type: "text",
        readonly: true,
        value: here,
        "aria-label": "Link",
        onfocus: (event) => event.target.select(),
      }),
      copier(here),
    ),
  );
}

/** @param {string} kind */
export function save(kind) {
  const { question } = sightglass;
  if (sightglass.current()) sightglass.send("save", { ...question, beside: {}, kind });
}
sightglass.on("saved", ({ saved, file, sentence }) => {
  if (sentence) {
    sightglass.status = { state: "error", kind: "save", sentence };
    return sightglass.emit("status");
  }
  h("a", { href: file.url, download: saved }).click();
});
sightglass.on("answer", () => {
  const { answer } = sightglass;
  const pane = sightglass.current();
  // A preview changes what is counted, and nothing else: who reads or moves an option is not interrupted.
  const same = pane && JSON.stringify([pane.model, pane.method, pane.question, pane.options, pane.notes, pane.steps]);
  if (same && same === previewed) {
    article.querySelector(".cost").textContent = cost(pane);
    article.querySelector(".unsure").textContent = pane.unsure;
    article.querySelector(".unsure").hidden = !pane.unsure;
    if (pane.done < 1) return;
  }
  previewed = same && pane.done < 1 ? same : "";
  const next = JSON.stringify(
    [answer?.panes[0], answer?.refusal, sightglass.picture?.key].map((part) =>
      part?.result ? { ...part, result: part.alt + part.cost } : part,
    ),
  );
  if (next !== shown) draw();
  shown = next;
});
sightglass.on("working", () => {
  const button = article.querySelector("#working");
  if (button) button.textContent = isWorking() ? "Close the working" : "Show the working";
});
sightglass.on("done", () => {
  const field = article.querySelector(".share input");
  if (field) field.value = permalink();
});
draw();
