// Pictures of a gallery, the nearest first, and what they vote for.
import { bars } from "../charts.js";
import { h } from "../elements.js";
import { figure, percent } from "../words.js";

/** @import { Result } from "../types.js" */

/** @param {HTMLElement} element @param {Result} result */
export function draw(element, { neighbors, unit, votes, arrays }) {
  const row = ({ id, label, distance }, place) => {
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
