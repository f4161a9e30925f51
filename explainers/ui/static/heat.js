// Draws heat: numbers unpacked with what the palette needs to know of them, laid over a picture, told in words.
import { cellAt, fitted, laid, shrunk } from "./framing.js";
import * as packed from "./packed.js";
import { colored, palette, ramp, strongest } from "./palettes.js";
import { sightglass } from "./store.js";
import { h } from "./elements.js";
import { percent, signed as withSign } from "./words.js";

/** @import { Box, Heat, Packed, Pane, Place, Size } from "./types.js" */

/**
 * @param {Packed} heat
 * @returns {Heat}
 */
export function unpack(heat) {
  const grid = packed.grid(heat);
  const total = grid.values.reduce((sum, value) => sum + Math.abs(value), 0);
  return { ...grid, total, ...strongest(grid.values, sightglass.catalogue.shown) };
}

/**
 * The heat of an answer at the method's own resolution; null where the result is of another kind.
 * @param {Pick<Pane, "result"> | null | undefined} pane
 * @returns {Packed | null}
 */
export const native = (pane) =>
  pane?.result?.kind === "heat" ? /** @type {Packed} */ (pane.result.arrays.native) : null;

/** The palette in use: the visitor's choice, or the one for what raises and lowers. @param {boolean} signed */
export function inks(signed) {
  const { palettes, sequential, diverging } = sightglass.catalogue;
  return palette(palettes[signed ? diverging : (sightglass.view.colors ?? sequential[0])]);
}

/**
 * Puts a heat's colors on a canvas of its own size, which shows the whole picture.
 * @param {HTMLCanvasElement | OffscreenCanvas} canvas
 * @param {Float32Array} values one for each pixel
 * @param {{ signed: boolean, sign?: string, top: number, fade?: number }} how
 */
export function ink(canvas, values, { signed, sign = "both", top, fade = sightglass.catalogue.fade }) {
  const { width, height } = canvas;
  const pixels = /** @type {any} */ (colored(values, { signed, sign, top, colors: inks(signed), fade }));
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** The palette as a bar for a legend. @param {boolean} signed @returns {HTMLCanvasElement} */
export function bar(signed) {
  const made = h("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const pixels = /** @type {any} */ (ramp(inks(signed), { signed, fade: sightglass.catalogue.fade }));
  made.getContext("2d").putImageData(new ImageData(pixels, 256, 1), 0, 0);
  return made;
}

/**
 * A small picture with its heat, drawn once the image is there; `top` is the value of the strongest color.
 * @param {HTMLCanvasElement} canvas
 * @param {Heat} heat
 * @param {{ box: Box, signed: boolean }} about
 * @param {Size} picture
 * @param {HTMLImageElement} image
 * @param {number} [top]
 */
export function small(canvas, heat, { box, signed }, picture, image, top = heat.top) {
  const { width, height } = canvas;
  const layer = new OffscreenCanvas(width, height);
  if (heat.top) ink(layer, laid(heat, width, height, shrunk(box, picture, width, height)), { signed, top });
  const paint = () => {
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.globalAlpha = 1;
    pen.drawImage(image, 0, 0, width, height);
    pen.globalAlpha = 0.85;
    pen.drawImage(layer, 0, 0);
  };
  if (image.complete) paint();
  else image.addEventListener("load", paint, { once: true });
}

/**
 * A canvas with a picture and its heat over it, whose longer side has so many pixels; drawn once the picture is there.
 * @param {Size & { src: string }} picture
 * @param {Heat} heat
 * @param {{ box: Box, signed: boolean }} about
 * @param {number} side
 * @param {{ words?: string, given?: Record<string, any>, after?: (canvas: HTMLCanvasElement) => void }} [how] `words`
 *   stand for it where it cannot be seen; `after` draws on top
 * @returns {HTMLCanvasElement}
 */
export function overlay(picture, heat, about, side, { words, given = {}, after } = {}) {
  const named = words ? { role: "img", "aria-label": words } : { "aria-hidden": "true" };
  const canvas = h("canvas", { ...fitted(picture, side), ...named, ...given });
  const image = new Image();
  image.src = picture.src;
  small(canvas, heat, about, picture, image);
  if (after && image.complete) after(canvas);
  else if (after) image.addEventListener("load", () => after(canvas), { once: true });
  return canvas;
}

/**
 * What lies at a place of the picture, in words: its value, and its share of all heat.
 * @param {Heat} heat
 * @param {Box} box
 * @param {Size} picture
 * @param {Place} place
 */
export function told(heat, box, picture, place, { short = false } = {}) {
  const cell = cellAt(place, box, picture, heat);
  if (!cell) return short ? "not seen" : "not seen by the network";
  const value = heat.values[cell[0] * heat.width + cell[1]];
  if (!value) return "0";
  if (short) return withSign(value);
  const share = Math.abs(value) / heat.total;
  const part = share < 0.0095 ? `${(100 * share).toPrecision(1)} %` : percent(share);
  return `${withSign(value)} · ${share < 1e-4 ? "<0.01 %" : part} of all`;
}
