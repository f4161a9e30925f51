// Chooses who is lit: by a color's legend, by a word, by a line around them.
import { entries, link } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { at } from "./at.js";
import { call, colors, label, light, name, state, those } from "./gallery.js";
import { entry } from "./column.js";
import { ink } from "./scene.js";

const LISTED = 30; // words of a legend
const SHOWN = 12; // pictures of those that were found
const REST = 120; // milliseconds that a word rests before it is looked for

/** Colors all anew, and says what the colors mean. */
export function recolor() {
  ink();
  const { names, of, hue } = state.scale;
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const value of Array.from(of)) counts.set(value, (counts.get(value) ?? 0) + 1);
  at.legend.replaceChildren(
    ...(names ?? []).slice(0, LISTED).map((words, value) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(!state.hidden.has(value)),
          title: "Click to put out, double-click to see it alone",
          onclick: () => toggle(value),
          ondblclick: () => alone(value),
        },
        h("i", { style: `--dot: ${hue(value)}` }),
        words,
        h("span", { class: "quiet" }, String(counts.get(value) ?? 0)),
      ),
    ),
    names && names.length > LISTED ? h("span", { class: "quiet" }, `and ${names.length - LISTED} more`) : "",
  );
}
/** Shows which colors there are to choose from. */
export function offer() {
  const words = colors();
  if (!(state.color in words)) state.color = Object.keys(words).find((id) => ["label", "call"].includes(id)) ?? "";
  at.color.replaceChildren(...entries(Object.entries(words), state.color));
}

/** @param {number} value */
function toggle(value) {
  state.hidden.has(value) ? state.hidden.delete(value) : state.hidden.add(value);
  recolor();
}
/** @param {number} value */
function alone(value) {
  state.hidden = new Set((state.scale.names ?? []).map((_, each) => each).filter((each) => each !== value));
  recolor();
}

/**
 * Lights those of which something is true, and says how many they are.
 * @param {(number: number) => boolean} true_
 * @param {string} words what follows on their number
 */
export function only(true_, words) {
  state.only = those(true_);
  const { size } = state.only;
  at.picked.replaceChildren(
    h("p", {}, `${size} pictures ${words}`, ". ", link("see all", all)),
    h(
      "ol",
      { class: "row" },
      [...state.only].slice(0, SHOWN).map((number) => entry(number)),
    ),
  );
  recolor();
}

/** Lights all. */
export function all() {
  light();
  at.search.value = "";
  at.picked.replaceChildren();
  recolor();
}

/** @type {ReturnType<typeof setTimeout>} */
let typing;
at.search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    if (!state.map) return;
    const text = at.search.value.trim();
    const said = (/** @type {number} */ i) => `${name(i)} ${label(i)} ${call(i)}`.toLowerCase();
    if (text) only((i) => said(i).includes(text.toLowerCase()), `with “${text}”`);
    else all();
  }, REST);
});
at.color.addEventListener("change", () => {
  state.color = at.color.value;
  state.hidden = new Set();
  recolor();
});
new MutationObserver(() => state.map && recolor()).observe(document.body, {
  attributes: true,
  attributeFilter: ["class"],
});
