// Draws a result of any kind by the renderer of its name in kinds/, and what has none as a table of its facts.
import { h } from "./elements.js";
import * as ink from "./heat.js";
import { sightglass } from "./store.js";

/** @import { Box, Packed, Picture, Result } from "./types.js" */

const SIDE = 480; // pixels of the longer side of a map that is drawn among others

/**
 * @param {HTMLElement} element
 * @param {{ result: Result, alt: string, box?: Box | null, title?: string }} pane
 * @param {Picture | null} picture
 */
export function drawResult(element, { result, alt, box = null }, picture) {
  const renderer = sightglass.kinds[result.kind];
  element.dataset.kind = result.kind;
  if (!renderer) return element.replaceChildren(...facts(result));
  renderer.draw(element, result, {
    picture,
    box,
    alt,
    painted: (packed, { signed, over = false }) =>
      over && picture && box
        ? ink.overlay(picture, ink.unpack(/** @type {Packed} */ (packed)), { box, signed }, SIDE)
        : alone(/** @type {Packed} */ (packed), signed),
  });
}

// --- private

// Nothing lies below it, so it is opaque, and zero has its color too.
/** @param {Packed} packed @param {boolean} signed */
function alone(packed, signed) {
  const heat = ink.unpack(packed);
  const zero = ink.inks(signed).slice(...(signed ? [384, 387] : [0, 3]));
  const style = `background: rgb(${zero.join(" ")})`;
  const canvas = h("canvas", { width: heat.width, height: heat.height, class: "cells", style, "aria-hidden": "true" });
  if (heat.top) ink.ink(canvas, heat.values, { signed, top: heat.top, fade: 0 });
  return canvas;
}

/** @param {Result} result */
function facts({ arrays, ...told }) {
  const said = (/** @type {unknown} */ value) => (typeof value === "string" ? value : JSON.stringify(value));
  const shapes = Object.entries(arrays ?? {}).map(([name, array]) => [
    name,
    "shape" in array ? `numbers, ${array.shape.join(" × ")}` : `${array.width} × ${array.height}`,
  ]);
  const row = (/** @type {any[]} */ [name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")), h("td", {}, said(value)));
  return [
    h("p", { class: "quiet" }, `This page has no drawing for the kind “${told.kind}”; these are its facts.`),
    h("table", { class: "facts" }, [...Object.entries(told), ...shapes].map(row)),
  ];
}
