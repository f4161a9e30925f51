// Draws numbers: lines over a swept quantity, amounts as bars, points in a plane, and what goes with them.
import { h, svg } from "./elements.js";
import { figure } from "./words.js";

/** The color of the nth of several things. @param {number} number */
export const hue = (number) => `var(--group-${number % 10})`;

/**
 * Words with the colors of things, in a row.
 * @param {string[]} names
 */
export const legend = (names) =>
  h(
    "p",
    { class: "legend quiet" },
    names.map((name, number) => h("span", {}, h("i", { style: `background: ${hue(number)}` }), name)),
  );

/**
 * Lines over a swept quantity, with bands where there are any. With `onmove`, a marker follows pointer and arrow keys.
 * @param {{ along: number[], along_unit: string, unit?: string, lines: Line[] }} curves
 * @param {{ onmove?: (place: number) => void, at?: number, height?: number, marks?: number[] }} [how]
 * @typedef {{ label: string, values: number[], low?: number[] | null, high?: number[] | null }} Line
 */
export function lines(curves, { onmove, at = 0, height = 240, marks = [] } = {}) {
  const [W, H, L, B, T, R] = [640, height, 40, 34, 10, 12];
  const { along } = curves;
  const [low, high] = [along[0], along[along.length - 1]];
  const all = curves.lines.flatMap((line) => [...line.values, ...(line.low ?? []), ...(line.high ?? [])]);
  const floor = Math.min(0, ...all);
  const ceiling = curves.unit === "share" ? 1 : Math.max(...all, floor + 1e-9);
  const x = (/** @type {number} */ value) => L + ((value - low) / (high - low || 1)) * (W - L - R);
  const y = (/** @type {number} */ value) => T + (1 - (value - floor) / (ceiling - floor)) * (H - T - B);
  const spots = (/** @type {number[]} */ values) =>
    values.map((value, place) => `${x(along[place]).toFixed(1)} ${y(value).toFixed(1)}`);
  const path = (/** @type {number[]} */ values) => `M${spots(values).join("L")}`;
  const levels = floor < 0 ? [floor, 0, ceiling / 2, ceiling] : [0, ceiling / 2, ceiling];
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img", "aria-label": curves.along_unit },
    levels.flatMap((level) => [
      svg("line", { x1: L, x2: W - R, y1: y(level), y2: y(level), class: "rule" }),
      svg("text", { x: L - 6, y: y(level) + 4, "text-anchor": "end" }, figure(level)),
    ]),
    [low, (low + high) / 2, high].map((value, place) =>
      svg("text", { x: x(value), y: H - B + 16, "text-anchor": ["start", "middle", "end"][place] }, figure(value)),
    ),
    svg("text", { x: (L + W - R) / 2, y: H - 3, "text-anchor": "middle" }, curves.along_unit),
    marks.map((mark) => svg("line", { x1: x(mark), x2: x(mark), y1: T, y2: H - B, class: "flip" })),
    curves.lines.flatMap((line, number) => [
      line.low &&
        line.high &&
        svg("path", {
          d: `${path(line.high)}L${spots(line.low).reverse().join("L")}Z`,
          style: `fill: ${hue(number)}; opacity: 0.16`,
        }),
      svg("path", {
        d: path(line.values),
        style: `stroke: ${hue(number)}`,
        class: "line",
        "stroke-dasharray": number % 2 ? "5 4" : null,
      }),
    ]),
  );
  if (onmove) {
    const first = curves.lines[0].values;
    const share = (/** @type {number} */ clientX) => {
      const box = picture.getBoundingClientRect();
      return (((clientX - box.left) / box.width) * W - L) / (W - L - R);
    };
    slide(picture, {
      along,
      at,
      onmove,
      share,
      x,
      y: (/** @type {number} */ place) => y(first[place]),
      top: T,
      bottom: H - B,
    });
  }
  return h("div", { class: "plot" }, picture, legend(curves.lines.map((line) => line.label)));
}

/**
 * Amounts with names, as bars; those below zero in another color.
 * @param {{ label: string, value: number, told: string, title?: string }[]} rows
 * @param {number} [most] the value of a full bar
 */
export const bars = (rows, most = Math.max(1e-9, ...rows.map(({ value }) => Math.abs(value)))) =>
  h(
    "ul",
    { class: "amounts" },
    rows.map(({ label, value, told, title }) =>
      h(
        "li",
        { title },
        h("span", {}, label),
        h(
          "span",
          { class: "track" },
          h("i", { class: value < 0 ? "down" : "up", style: `width: ${(100 * Math.abs(value)) / most}%` }),
        ),
        h("output", {}, told),
      ),
    ),
  );

/**
 * Points in a plane, in the colors of their groups, and a ring around one place.
 * @param {Cloud} what
 * @typedef {[number, number]} Spot
 * @typedef {{ points: Spot[], groups: string[], ids: string[], here: Spot | null, alt: string }} Cloud
 */
export function points({ points: places, groups, ids, here, alt }) {
  const SIDE = 640;
  const axes = [0, 1].map((axis) => places.map((place) => place[axis]));
  const [left, right] = [Math.min(...axes[0]), Math.max(...axes[0])];
  const [bottom, top] = [Math.min(...axes[1]), Math.max(...axes[1])];
  const factor = (SIDE - 40) / (Math.max(right - left, top - bottom) || 1);
  const at = (/** @type {Spot} */ [x, y]) => ({
    cx: (SIDE / 2 + (x - (left + right) / 2) * factor).toFixed(1),
    cy: (SIDE / 2 - (y - (bottom + top) / 2) * factor).toFixed(1),
  });
  const names = [...new Set(groups)].sort();
  const dots = places.map((place, i) =>
    svg(
      "circle",
      { ...at(place), r: 4, style: `fill: ${hue(names.indexOf(groups[i]))}` },
      svg("title", {}, `${ids[i]}: ${groups[i]}`),
    ),
  );
  const ring = here && svg("circle", { ...at(here), r: 10, class: "here" }, svg("title", {}, "this picture"));
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "chart", role: "img", "aria-label": alt },
    dots,
    ring,
  );
  return h("div", { class: "plot" }, picture, legend(names));
}

// --- private

/**
 * A marker on a drawing that pointer and arrow keys move from place to place.
 * @param {SVGSVGElement} picture
 * @param {object} how
 * @param {number[]} how.along
 * @param {number} how.at
 * @param {(place: number) => void} how.onmove
 * @param {(clientX: number) => number} how.share of the way along, where a pointer is
 * @param {(value: number) => number} how.x of a value
 * @param {(place: number) => number} how.y of a place
 * @param {number} how.top
 * @param {number} how.bottom
 */
function slide(picture, { along, at, onmove, share, x, y, top, bottom }) {
  const [low, high] = [along[0], along[along.length - 1]];
  const marker = svg("line", { y1: top, y2: bottom, class: "marker" });
  const knob = svg("circle", { r: 6, class: "knob" });
  picture.append(marker, knob);
  let here = at;
  const put = (/** @type {number} */ place) => {
    here = Math.min(along.length - 1, Math.max(0, place));
    for (const end of ["x1", "x2"]) marker.setAttribute(end, String(x(along[here])));
    knob.setAttribute("cx", x(along[here]));
    knob.setAttribute("cy", y(here));
    picture.setAttribute("aria-valuenow", String(along[here]));
  };
  const to = (/** @type {number} */ place) => (put(place), onmove(here));
  const nearest = (/** @type {PointerEvent} */ event) => {
    const value = low + share(event.clientX) * (high - low);
    const away = (/** @type {number} */ place) => Math.abs(along[place] - value);
    return along.reduce((best, _, place) => (away(place) < away(best) ? place : best), 0);
  };
  for (const [name, value] of Object.entries({
    role: "slider",
    tabindex: 0,
    "aria-valuemin": low,
    "aria-valuemax": high,
  }))
    picture.setAttribute(name, String(value));
  put(at);
  picture.addEventListener("pointerdown", (event) => {
    picture.setPointerCapture(event.pointerId);
    to(nearest(event));
  });
  picture.addEventListener("pointermove", (event) => picture.hasPointerCapture(event.pointerId) && to(nearest(event)));
  picture.addEventListener("keydown", (event) => {
    const by = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1 })[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    to(here + by);
  });
}
