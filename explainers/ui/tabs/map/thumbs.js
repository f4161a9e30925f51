// Knows small pictures of the gallery: fetches many at once, on one sheet, and shows each where it is wanted.
import { h } from "../../static/elements.js";
import { sightglass } from "../../static/store.js";
import { element } from "./at.js";
import { state } from "./gallery.js";

const AT_ONCE = 240;
const ACROSS = 16; // pictures in a row of a sheet

/** @typedef {{ image: HTMLImageElement, sheet: string, side: number, x: number, y: number, rows: number }} Thumb */

/** @type {Map<number, Thumb>} */
const thumbs = new Map();
/** @type {Set<number>} */
const wanted = new Set();
let fetching = false;

/** Those of another gallery are of no use. */
export function forget() {
  thumbs.clear();
  wanted.clear();
}

/** @param {number} number */
export const found = (number) => thumbs.get(number);

/** Fetches what is not there yet; says “map:thumbs” when it is. @param {number[]} numbers */
export function want(numbers) {
  for (const number of numbers) if (!thumbs.has(number)) wanted.add(number);
  if (!wanted.size || fetching) return;
  fetching = true;
  const some = [...wanted].slice(0, AT_ONCE);
  for (const number of some) wanted.delete(number);
  const gallery = state.map?.gallery;
  sightglass.run("map", "thumbs", { gallery, numbers: some }, (told) => {
    if (told.state === "working") return;
    fetching = false;
    if (told.state === "done" && gallery === state.map?.gallery) arrive(told);
  });
}

/** @param {{ numbers: number[], side: number, sheet: string }} told */
function arrive({ numbers, side, sheet }) {
  const image = new Image();
  const rows = Math.ceil(numbers.length / ACROSS);
  image.onload = () => {
    for (const [place, number] of numbers.entries()) {
      const [x, y] = [(place % ACROSS) * side, Math.floor(place / ACROSS) * side];
      thumbs.set(number, { image, sheet, side, x, y, rows });
    }
    for (const node of element.querySelectorAll("[data-thumb]")) dress(node);
    sightglass.emit("map:thumbs");
    want([]);
  };
  image.src = sheet;
}

/** @param {HTMLElement} node */
function dress(node) {
  const thumb = thumbs.get(Number(node.dataset.thumb));
  if (!thumb || node.dataset.dressed) return;
  node.dataset.dressed = "1";
  const { sheet, side, x, y, rows } = thumb;
  const down = rows > 1 ? y / side / (rows - 1) : 0;
  node.style.backgroundImage = `url(${sheet})`;
  node.style.backgroundSize = `${100 * ACROSS}% ${100 * rows}%`;
  node.style.backgroundPosition = `${(100 * x) / side / (ACROSS - 1)}% ${100 * down}%`;
}

/** @param {number} number */
export function thumb(number) {
  const node = h("span", { class: "thumb", "data-thumb": number, "aria-hidden": "true" });
  dress(node);
  want([number]);
  return node;
}
