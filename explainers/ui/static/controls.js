// Makes what a visitor sets: choices of a few, sliders with their number, buttons that copy.
import { h } from "./elements.js";
import { figure } from "./words.js";

/**
 * A button for each of a few, the chosen one pressed; `words` by id, `id` names the buttons for those who look for one.
 * @param {Record<string, string>} words
 * @param {string} current
 * @param {(id: string) => void} choose
 * @param {{ id?: string }} [given]
 * @returns {HTMLButtonElement[]}
 */
export const buttons = (words, current, choose, { id = "" } = {}) =>
  Object.entries(words).map(([each, text]) => {
    const given = { type: "button", id: id && `${id}-${each}`, "aria-pressed": String(each === current) };
    return h("button", { ...given, id: given.id || null, onclick: () => choose(each) }, text);
  });

/**
 * The same as one control with a name.
 * @param {Record<string, string>} words
 * @param {string} current
 * @param {(id: string) => void} choose
 * @param {string} label
 * @param {{ id?: string }} [given]
 * @returns {HTMLSpanElement}
 */
export const choice = (words, current, choose, label, given) =>
  h("span", { class: "choice", role: "group", "aria-label": label }, buttons(words, current, choose, given));

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
  const told = (number) => (whole ? String(number) : figure(number));
  const out = h("output", {}, told(value));
  const step = whole ? 1 : (maximum - minimum) / steps;
  const range = h("input", { type: "range", id, min: minimum, max: maximum, step, value });
  range.addEventListener("input", () => {
    const next = whole ? Math.round(range.valueAsNumber) : range.valueAsNumber;
    out.textContent = told(next);
    set(next);
  });
  return { out, range };
}

/**
 * A button that copies a text, and says so, or that it cannot.
 * @param {string} text
 * @returns {HTMLButtonElement}
 */
export function copier(text) {
  const button = h("button", { type: "button", class: "link" }, "Copy");
  button.addEventListener("click", async () => {
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
