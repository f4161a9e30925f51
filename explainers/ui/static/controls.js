// Makes what a visitor sets: buttons, choices of a few and of many, boxes to tick, sliders with their number.
import { h } from "./elements.js";
import { figure } from "./words.js";

/**
 * A button that looks like a link.
 * @param {import("./elements.js").Child} words
 * @param {(event: any) => void} act
 * @param {Record<string, any>} [given]
 * @returns {HTMLButtonElement}
 */
export const link = (words, act, given = {}) =>
  h("button", { type: "button", class: "link", ...given, onclick: act }, words);

/**
 * A button for each of a few, the chosen one pressed; `words` by id. Those who look for one find it by `id`, with which
 * the names of all begin, or by `data`, an attribute that holds the id; `more` is what else each is given.
 * @param {Record<string, string>} words
 * @param {string | undefined} current
 * @param {(id: string) => void} choose
 * @param {{ id?: string, data?: string, more?: (id: string) => Record<string, any> }} [given]
 * @returns {HTMLButtonElement[]}
 */
export const buttons = (words, current, choose, { id, data, more = () => ({}) } = {}) =>
  Object.entries(words).map(([each, text]) => {
    const known = { ...(id && { id: `${id}-${each}` }), ...(data && { [`data-${data}`]: each }), ...more(each) };
    const given = { type: "button", "aria-pressed": String(each === current), ...known };
    return h("button", { ...given, onclick: () => choose(each) }, text);
  });

/**
 * The same as one control with a name.
 * @param {Record<string, string>} words
 * @param {string | undefined} current
 * @param {(id: string) => void} choose
 * @param {string} label
 * @param {Parameters<typeof buttons>[3]} [given]
 * @returns {HTMLSpanElement}
 */
export const choice = (words, current, choose, label, given) =>
  h("span", { class: "choice", role: "group", "aria-label": label }, buttons(words, current, choose, given));

/**
 * The same as tabs, of which each is a sheet of its own.
 * @param {Record<string, string>} words
 * @param {string} current
 * @param {(id: string) => void} choose
 */
export const sheets = (words, current, choose) =>
  buttons(words, current, choose, { more: (id) => ({ role: "tab", "aria-selected": String(id === current) }) });

/**
 * A list that unfolds, to choose one of many; each has an id and words.
 * @param {string[][]} options its id and its words, of each
 * @param {string | number | null | undefined} current
 * @param {(id: string) => void} choose
 * @param {Record<string, any>} [given]
 * @returns {HTMLSelectElement}
 */
export const menu = (options, current, choose, given = {}) =>
  h(
    "select",
    { ...given, onchange: (/** @type {any} */ event) => choose(event.target.value) },
    entries(options, current),
  );

/**
 * What such a list has in it.
 * @param {string[][]} options its id and its words, of each
 * @param {string | number | null | undefined} current
 * @returns {HTMLOptionElement[]}
 */
export const entries = (options, current) =>
  options.map(([id, words]) => h("option", { value: id, selected: id === current }, words));

/**
 * A box to tick, and its words.
 * @param {string} words
 * @param {boolean} on
 * @param {(on: boolean) => void} set
 * @param {{ name?: string, title?: string }} [given]
 * @returns {HTMLLabelElement}
 */
export const tick = (words, on, set, { name, title } = {}) => {
  const onchange = (/** @type {any} */ event) => set(event.target.checked);
  return h("label", { title }, h("input", { type: "checkbox", name, checked: on, onchange }), words);
};

/**
 * A bare slider, whose number stands elsewhere or nowhere.
 * @param {Record<string, any>} given its bounds and value among them
 * @param {(value: number) => void} set
 * @returns {HTMLInputElement}
 */
export const range = (given, set) =>
  h("input", { type: "range", ...given, oninput: (/** @type {any} */ event) => set(event.target.valueAsNumber) });

/**
 * A slider, and the place where its number stands, which is told with every move.
 * @param {{ kind: string, minimum: number | null, maximum: number | null }} bounds
 * @param {number} value
 * @param {(value: number) => void} set
 * @param {{ id?: string, steps?: number }} [given] how many steps a number has that is not whole
 * @returns {{ out: HTMLOutputElement, range: HTMLInputElement }}
 */
export function slider({ kind, minimum, maximum }, value, set, { id, steps = 100 } = {}) {
  const whole = kind === "integer";
  const told = (/** @type {number} */ number) => (whole ? String(number) : figure(number));
  const out = h("output", {}, told(value));
  const step = whole ? 1 : (Number(maximum) - Number(minimum)) / steps;
  const moved = (/** @type {number} */ number) => {
    const next = whole ? Math.round(number) : number;
    out.textContent = told(next);
    set(next);
  };
  return { out, range: range({ id, min: minimum, max: maximum, step, value }, moved) };
}

/**
 * A button that copies a text, and says so, or that it cannot.
 * @param {string} text
 * @returns {HTMLButtonElement}
 */
export function copier(text) {
  const button = link("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}
