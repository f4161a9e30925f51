// Points in two dimensions, each a picture, and how far their places can be trusted.
import { points } from "../charts.js";
import { h } from "../elements.js";
import { figure, plural } from "../words.js";

/** @import { DrawingContext, Result } from "../types.js" */

/** @param {HTMLElement} element @param {Result} result @param {DrawingContext} context */
export function draw(element, { points: places, groups, ids, here, measures }, { alt }) {
  if (!places.length) return element.replaceChildren(h("p", { class: "quiet" }, "There are no points to draw."));
  const told = Object.entries(measures).map(([name, value]) => `${name} ${figure(value)}`);
  const words = [plural(ids.length, "picture"), here ? "the ring is this one" : "", ...told].filter(Boolean).join("; ");
  element.replaceChildren(points({ points: places, groups, ids, here, alt }), h("p", { class: "quiet" }, `${words}.`));
}
