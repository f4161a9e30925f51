// Draws a result of any kind by the renderer of its name in kinds/, and what has none as a table of its facts.
import { h } from "./elements.js";
import { fitted } from "./framing.js";
import * as ink from "./heat.js";
import { sightglass } from "./store.js";

/** @import { Box, Picture, Result } from "./types.js" */

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
  const image = new Image();
  if (picture) image.src = picture.src;
  renderer.draw(element, result, {
    picture,
    box,
    alt,
    painted: (packed, { signed, over = false }) =>
      over && picture && box ? laidOver(packed, signed, { picture, box, image }) : alone(packed, signed),
  });
}

// --- private

function laidOver(packed, signed, { picture, box, image }) {
  const canvas = h("canvas", { ...fitted(picture, SIDE), "aria-hidden": "true" });
  ink.small(canvas, ink.unpack(packed), { box, signed }, picture, image);
  return canvas;
}

// Nothing lies below it, so it is opaque, and zero has its color too.
function alone(packed, signed) {
  const heat = ink.unpack(packed);
  const zero = ink.inks(signed).slice(...(signed ? [384, 387] : [0, 3]));
  const style = `background: rgb(${zero.join(" ")})`;
  const canvas = h("canvas", { width: heat.width, height: heat.height, class: "cells", style, "aria-hidden": "true" });
  if (heat.top) ink.ink(canvas, heat.values, { signed, top: heat.top, fade: 0 });
  return canvas;
}

function facts({ arrays, ...told }) {
  const said = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const shapes = Object.entries(arrays ?? {}).map(([name, array]) => [
    name,
    "shape" in array ? `numbers, ${array.shape.join(" × ")}` : `${array.width} × ${array.height}`,
  ]);
  const row = (/** @type {any[]} */ [name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")), h("td", {}, said(value)));
  return [
    h("p", { class: "quiet" }, `This page has no drawing for results of the kind “${told.kind}”; these are its facts.`),
    h("table", { class: "facts" }, [...Object.entries(told), ...shapes].map(row)),
  ];
}
