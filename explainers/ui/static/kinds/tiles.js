// Small pictures beside each other, in reading order, each with its caption and its number.
import { h } from "../elements.js";
import { figure } from "../words.js";

/** @import { DrawingContext, Tiles } from "../types.js" */

const FEW = 32; // pixels of a side up to which each is seen as a cell: a kernel of 7 × 7 is not a blurred picture

/** @param {HTMLElement} element @param {Tiles} result @param {DrawingContext} context */
export function draw(element, result, context) {
  const tile = (/** @type {Tiles["tiles"][0]} */ { caption, value, signed }, /** @type {number} */ place) => {
    const array = result.arrays[`tile_${place}`];
    const shown =
      "src" in array
        ? h("img", { src: array.src, alt: caption, class: Math.max(array.width, array.height) <= FEW && "cells" })
        : context.painted(array, { signed, over: result.over_picture });
    const number = value == null ? "" : `${figure(value)} ${result.unit}`.trim();
    return h("figure", {}, shown, h("figcaption", {}, caption, number && h("span", { class: "quiet" }, ` ${number}`)));
  };
  const columns = result.columns ? `--columns: ${result.columns}` : null;
  const words = result.count ? "" : h("p", { class: "quiet" }, "There is nothing to show.");
  element.replaceChildren(h("div", { class: "tiles", style: columns ?? "" }, result.tiles.map(tile)), words);
}
