// Draws the map: the points, above them names, pictures, the visitor's picture and its neighbors, and the lasso.
import { still } from "../../static/elements.js";
import { floats } from "../../static/packed.js";
import { sightglass } from "../../static/store.js";
import { at, element } from "./at.js";
import * as camera from "./camera.js";
import { coloring, known, lit, state } from "./gallery.js";
import * as plot from "./points.js";
import { found, want } from "./thumbs.js";

/** @import { Size } from "../../static/types.js" */
/**
 * What is drawn on, how far points are on their way, and the colors of the page.
 * @typedef {{ pen: CanvasRenderingContext2D, size: Size, way: number } & Inks} Sheet
 * @typedef {{ ink: string, ground: string, accent: string }} Inks
 */

const SMALL = 120; // so many points in sight get their pictures
const FEW = 14; // words that a color may have to be written over its islands
const GROWING = 600; // milliseconds in which the lines to the neighbors grow
const SIDE = 52; // pixels of the visitor's picture
let asked = false;
let drawn = 0; // frames, for those who measure
let arrived = 0;
/** @type {{ number: number, words: string, value: number }[]} */
let centers = [];
/** The line that is being drawn around points, in pixels. @type {number[][]} */
let line = [];

/** Draws the next frame anew. */
export function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paint();
  });
}

/** Pixels of what is seen, as the styles count them. @returns {Size} */
export const size = () => at.stage.getBoundingClientRect();

/** @param {number[][]} pixels */
export function lasso(pixels) {
  line = pixels;
  draw();
}

/** @param {string} packed the points @param {{ first: boolean }} how whether there was no map before this one */
export function move(packed, { first }) {
  camera.send(floats(packed), first || still() ? 0 : performance.now());
  plot.put("a", camera.points.from);
  plot.put("b", camera.points.to);
  if (first) fit();
  centers = middles();
  draw();
}

export function fit() {
  camera.fit(size());
  draw();
}

/** @param {number | null} done how much of the work in sight is behind; null for no work */
export function busy(done) {
  at.busy.hidden = done == null;
  at.busy.firstElementChild.style.transform = `scaleX(${Math.max(0.05, done ?? 0)})`;
}

/** The visitor's picture has its place now. */
export function arrive() {
  arrived = performance.now();
}

/** Gives each point its color and size. */
export function ink() {
  const { count, kept } = known();
  const { only, hidden } = state;
  const scale = coloring();
  state.scale = scale;
  /** @type {Map<number, number[]>} */
  const colors = new Map();
  const values = new Uint8Array(4 * count);
  const sizes = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = scale.of[i];
    const color = colors.get(value) ?? rgb(scale.hue(value));
    colors.set(value, color);
    const shown = (!only || only.has(i)) && !hidden.has(value);
    values.set([...color, shown ? 70 + 170 * (kept ? kept[i] / 255 : 1) : 14], 4 * i);
    sizes[i] = shown && (scale.front === value || only) ? 1.5 : 1;
  }
  plot.put("ink", values);
  plot.put("size", sizes);
  centers = middles();
  draw();
}

// --- private

const rgb = (/** @type {string} */ hex) => [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));

function paint() {
  if (!state.map || !camera.points.to.length || sightglass.tab !== "map") return;
  const box = size();
  const ratio = Math.min(2, devicePixelRatio || 1);
  for (const canvas of [at.points, at.over]) {
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  }
  const share = camera.share(performance.now());
  const way = camera.eased(share);
  const style = getComputedStyle(document.body);
  const [ink, ground, accent] = ["ink", "ground", "accent"].map((each) => style.getPropertyValue(`--${each}`).trim());
  const { x, y, k } = camera.view;
  const half = [box.width / 2, box.height / 2];
  plot.paint(state.map.count, { view: [x, y, k], half, share: way, dot: dot() * ratio, ground: rgb(ground) });
  const pen = at.over.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  over({ pen, size: box, way, ink, ground, accent });
  drawn += 1;
  if (share < 1) draw();
}

// Smaller where there are many, and larger as one comes closer.
const dot = () =>
  Math.max(2.5, Math.min(11, 900 / Math.sqrt(known().count) / 3.6)) *
  Math.min(1.8, Math.max(1, camera.view.k / camera.view.fit) ** 0.4);

/** @param {Sheet} sheet */
function over(sheet) {
  const { pen, size, way, ink, accent } = sheet;
  const near = camera.visible(size, SMALL);
  if (near.length && near.length <= SMALL) pictures(sheet, near);
  names(sheet);
  if (state.picked != null) ring(pen, camera.screen(camera.where(state.picked, way), size), ink, 11);
  if (known().here && way === 1) visitor(sheet);
  if (!line.length) return;
  pen.strokeStyle = accent;
  pen.setLineDash([4, 4]);
  pen.beginPath();
  for (const [x, y] of line) pen.lineTo(x, y);
  pen.closePath();
  pen.stroke();
  pen.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} pen @param {number[]} place @param {string} ink @param {number} radius */
function ring(pen, [x, y], ink, radius) {
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.stroke();
}

/** @param {Sheet} sheet @param {number[]} numbers */
function pictures({ pen, size, way }, numbers) {
  want(numbers);
  const side = Math.min(56, Math.max(24, Math.sqrt((size.width * size.height) / numbers.length) * 0.42));
  for (const number of numbers) {
    const thumb = found(number);
    if (!thumb) continue;
    const [x, y] = camera.screen(camera.where(number, way), size);
    pen.globalAlpha = lit(number) ? 1 : 0.15;
    pen.drawImage(thumb.image, thumb.x, thumb.y, thumb.side, thumb.side, x - side / 2, y - side / 2, side, side);
    pen.strokeStyle = state.scale.hue(state.scale.of[number]);
    pen.lineWidth = 2;
    pen.strokeRect(x - side / 2, y - side / 2, side, side);
  }
  pen.globalAlpha = 1;
}

// The name of each island, where a color has few words.
/** @param {Sheet} sheet */
function names({ pen, size, way, ink, ground }) {
  for (const { number, words, value } of centers)
    if (!state.hidden.has(value))
      written(pen, words, camera.screen(camera.where(number, way), size), {
        ink,
        ground,
        font: 13,
        rim: 4,
        rimmed: 0.9,
      });
}

/**
 * Words with a rim, to be read over anything.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} words
 * @param {number[]} middle
 * @param {{ ink: string, ground: string, font: number, rim: number, rimmed?: number }} how
 */
export function written(pen, words, [x, y], { ink, ground, font, rim, rimmed = 1 }) {
  Object.assign(pen, { font: `600 ${font}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle" });
  Object.assign(pen, { lineJoin: "round", lineWidth: rim, strokeStyle: ground, fillStyle: ink, globalAlpha: rimmed });
  pen.strokeText(words, x, y);
  pen.globalAlpha = 1;
  pen.fillText(words, x, y);
}

// Of each kind, the point that lies most in its middle.
function middles() {
  const { names, of } = state.scale;
  const { to } = camera.points;
  if (!names || names.length > FEW || !to.length) return [];
  return names.flatMap((words, value) => {
    const own = Array.from({ length: known().count }, (_, i) => i).filter((i) => of[i] === value);
    if (!own.length) return [];
    const [x, y] = camera.middle(to, own);
    const away = (/** @type {number} */ i) => (to[2 * i] - x) ** 2 + (to[2 * i + 1] - y) ** 2;
    return [{ number: own.reduce((best, i) => (away(i) < away(best) ? i : best)), words, value }];
  });
}

// The visitor's picture, and lines to its neighbors that grow once.
/** @param {Sheet} sheet */
function visitor({ pen, size, accent, ground }) {
  const grown = still() ? 1 : Math.min(1, (performance.now() - arrived) / GROWING);
  const { here, neighbors } = known();
  const [x, y] = camera.screen(/** @type {number[]} */ (here), size);
  const stroke = (/** @type {number} */ toX, /** @type {number} */ toY) => {
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(toX, toY);
    pen.stroke();
  };
  pen.strokeStyle = accent;
  pen.lineWidth = 1.4;
  pen.globalAlpha = 0.75;
  for (const { number } of neighbors) {
    const [a, b] = camera.screen(camera.where(number), size);
    stroke(x + (a - x) * grown, y + (b - y) * grown);
  }
  pen.globalAlpha = 1;
  ring(pen, [x, y], accent, 6);
  // Its picture stands aside, toward the nearer edge, so that it covers no neighbor.
  const within = (/** @type {number} */ middle, /** @type {number} */ edge) =>
    Math.min(edge - SIDE / 2 - 8, Math.max(SIDE / 2 + 8, middle));
  const u = within(x + (x < size.width / 2 ? -1 : 1) * 84, size.width);
  const v = within(y + (y < size.height / 2 ? -1 : 1) * 64, size.height);
  stroke(u, v);
  const image = portrait();
  pen.fillStyle = ground;
  pen.fillRect(u - SIDE / 2 - 3, v - SIDE / 2 - 3, SIDE + 6, SIDE + 6);
  if (image.complete && image.naturalWidth) {
    const factor = SIDE / Math.max(image.naturalWidth, image.naturalHeight);
    const [width, height] = [image.naturalWidth * factor, image.naturalHeight * factor];
    pen.drawImage(image, u - width / 2, v - height / 2, width, height);
  }
  pen.strokeRect(u - SIDE / 2 - 3, v - SIDE / 2 - 3, SIDE + 6, SIDE + 6);
  if (grown < 1) draw();
}
const image = new Image();
image.onload = draw;
let source = "";
function portrait() {
  const src = sightglass.picture?.src ?? "";
  if (src && source !== src) image.src = source = src;
  return image;
}

sightglass.on("map:thumbs", draw);
sightglass.on("tab", (tab) => tab === "map" && draw());
addEventListener("resize", draw);
// For tests that look at the canvas.
element.mapMeasure = () => ({ drawn, view: camera.view, points: state.map?.count ?? 0 });
