// A heat by itself, over the picture; the stage of the page draws its own, with all that can be set.
import { h } from "../elements.js";

/** @import { DrawingContext, Packed, Result } from "../types.js" */

/** @param {HTMLElement} element @param {Result} result @param {DrawingContext} context */
export function draw(element, result, context) {
  const packed = /** @type {Packed} */ (result.arrays.native);
  const canvas = context.painted(packed, { signed: result.signed, over: true });
  element.replaceChildren(h("figure", { class: "alone" }, canvas, h("figcaption", { class: "quiet" }, result.unit)));
}
