// Shows what was covered: the picture with its coldest and with its warmest cells in one plain color, step by step.
import { range } from "./controls.js";
import { h, still } from "./elements.js";
import { fitted, shrunk } from "./framing.js";
import { figure, percent } from "./words.js";

/** @import { Box, Card, Size } from "./types.js" */

const SIDE = 300; // pixels of the longer side, shown at half of that
const PACE = 650; // milliseconds of a step, when it moves by itself
const START = 0.45; // the share that is shown before anybody moves it: both pictures still show something

/**
 * Two pictures beside each other, coldest cells covered and warmest, and a slider over the steps that were measured.
 * @param {Card} card
 * @param {Box} box what the network saw, in pixels of the picture
 * @param {Size & { src: string }} picture
 * @returns {{ element: HTMLElement, show: (step: number) => void }} `show` goes to a step, from 0
 */
export function covering(card, box, picture) {
  const image = new Image();
  image.src = picture.src;
  const color = paint(card.fill);
  const sides = ["coldest", "warmest"].map((name, which) => {
    const cells = which ? card.order.toReversed() : card.order;
    const canvas = h("canvas", { ...fitted(picture, SIDE), role: "img" });
    const told = h("figcaption");
    const show = (/** @type {number} */ step) => {
      const share = card.covered[step];
      const score = card[`${name}_first`][step];
      const chance = card.chances[which][step];
      const left = chance == null ? `${figure(score)} ${card.unit}` : `${percent(chance)} ${card.label}`;
      told.replaceChildren(h("b", { class: name }, `${name} ${percent(share)}`), " covered: ", h("span", {}, left));
      canvas.setAttribute("aria-label", `The picture with its ${name} ${percent(share)} covered: ${left}`);
      const pen = canvas.getContext("2d");
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      pen.fillStyle = color;
      const count = Math.round(share * cells.length);
      for (const cell of cells.slice(0, count)) pen.fillRect(...place(cell, card.cells, box, picture, canvas));
    };
    return { show, element: h("figure", {}, canvas, told) };
  });
  const steps = card.covered.length;
  let at = card.covered.indexOf(START);
  if (at < 0) at = Math.floor(steps / 2);
  const show = (/** @type {number} */ step) => {
    at = step;
    slider.value = String(step);
    slider.setAttribute("aria-valuetext", `${percent(card.covered[step])} covered`);
    for (const side of sides) side.show(step);
  };
  const slider = range(
    { min: 0, max: steps - 1, step: 1, value: at, "aria-label": "Share of the cells covered" },
    show,
  );
  image.decode().then(
    () => show(at),
    () => {},
  ); // a picture that cannot be drawn has been told elsewhere
  const element = h(
    "div",
    { class: "covering" },
    h(
      "div",
      { class: "both" },
      sides.map((side) => side.element),
    ),
    h("div", { class: "run" }, still() ? null : player(steps, () => at, show), slider),
  );
  return { element, show };
}

// --- private

/**
 * A button that goes through the steps once.
 * @param {number} steps
 * @param {() => number} at
 * @param {(step: number) => void} show
 */
function player(steps, at, show) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  const stop = () => {
    clearInterval(clock);
    clock = undefined;
    button.textContent = "Play";
  };
  const button = h("button", { type: "button", class: "link", onclick: () => (clock ? stop() : play()) }, "Play");
  const play = () => {
    show(0);
    button.textContent = "Stop";
    clock = setInterval(() => {
      if (!button.isConnected || at() >= steps - 1) return stop();
      show(at() + 1);
      if (at() >= steps - 1) stop();
    }, PACE);
  };
  return button;
}

/** A color, each channel from 0 to 1, for the canvas; a network of other channels than three covers with middle gray.
 * @param {number[]} fill */
const paint = (fill) => {
  const rgb = fill.length === 3 ? fill : fill.length === 1 ? [fill[0], fill[0], fill[0]] : [0.5, 0.5, 0.5];
  return `rgb(${rgb.map((each) => Math.round(255 * each)).join(" ")})`;
};

/**
 * Where a cell lies on a canvas that shows the whole picture: left, top, width, height.
 * @param {number} cell
 * @param {[number, number]} cells rows and columns
 * @param {Box} box
 * @param {Size} picture
 * @param {Size} canvas
 * @returns {[number, number, number, number]}
 */
function place(cell, [rows, columns], box, picture, { width, height }) {
  const [x0, y0, x1, y1] = shrunk(box, picture, width, height);
  const [row, column] = [Math.floor(cell / columns), cell % columns];
  const [left, right] = [column, column + 1].map((edge) => Math.round(x0 + ((x1 - x0) * edge) / columns));
  const [top, bottom] = [row, row + 1].map((edge) => Math.round(y0 + ((y1 - y0) * edge) / rows));
  return [left, top, right - left, bottom - top];
}
