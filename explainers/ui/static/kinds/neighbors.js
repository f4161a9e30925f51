// Pictures of a gallery, the nearest first, and what they vote for.
import { bars } from "../charts.js";
import { h } from "../elements.js";
import { figure, percent } from "../words.js";

/** @import { Neighbors } from "../types.js" */

/** @param {HTMLElement} element @param {Neighbors} result */
export function draw(element, { neighbors, unit, votes, arrays }) {
  const row = (/** @type {Neighbors["neighbors"][0]} */ { id, label, distance }, /** @type {number} */ place) => {
    const array = arrays[`thumbnail_${place}`];
    const words = h("figcaption", {}, label || id, h("span", { class: "quiet" }, ` ${figure(distance)} ${unit}`));
    return h(
      "figure",
      { title: id },
      array && "src" in array ? h("img", { src: array.src, alt: label || id }) : null,
      words,
    );
  };
  const voted = Object.entries(votes).map(([label, share]) => ({ label, value: share, told: percent(share) }));
  element.replaceChildren(
    h("div", { class: "tiles" }, neighbors.map(row)),
    voted.length ? h("section", {}, h("h3", {}, "What they vote for"), bars(voted, 1)) : "",
  );
}
