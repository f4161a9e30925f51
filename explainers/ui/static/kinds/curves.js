// Numbers over a quantity that is swept, and the places on it that are worth a word.
import { lines } from "../charts.js";
import { h } from "../elements.js";
import { figure } from "../words.js";

/** @import { Curves } from "../types.js" */

/** @param {HTMLElement} element @param {Curves} result */
export function draw(element, { along, along_unit, unit, lines: told, marks, arrays }) {
  if (!along.length || !told.length)
    return element.replaceChildren(h("p", { class: "quiet" }, "There is no line to draw."));
  const mark = (/** @type {Curves["marks"][0]} */ { at, caption }, /** @type {number} */ place) => {
    const array = arrays[`mark_${place}`];
    return h(
      "figure",
      {},
      array && "src" in array ? h("img", { src: array.src, alt: caption }) : null,
      h("figcaption", {}, caption, h("span", { class: "quiet" }, ` ${figure(at)}`)),
    );
  };
  const chart = lines({ along, along_unit, unit, lines: told }, { height: 320, marks: marks.map(({ at }) => at) });
  element.replaceChildren(h("p", { class: "quiet" }, unit), chart, h("div", { class: "tiles" }, marks.map(mark)));
}
