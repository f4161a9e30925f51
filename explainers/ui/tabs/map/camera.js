// Knows where points lie: on their way from one map to the next, on the screen, and within a line around them.

/** @import { Size } from "../../static/types.js" */

const WAY = 450; // milliseconds from one map to the next
const CLOSEST = 400; // times as close as when all is seen
const FARTHEST = 0.4;

/** The middle of what is seen, pixels for one unit, and the same where all is seen. */
export const view = { x: 0, y: 0, k: 1, fit: 1 };
/** Two numbers for each point: where they come from, and where they go to. */
export const points = {
  from: /** @type {Float32Array} */ (new Float32Array(0)),
  to: /** @type {Float32Array} */ (new Float32Array(0)),
  began: 0,
};

/** How much of the way is behind them, at a time in milliseconds. @param {number} now */
export const share = (now) => (points.began ? Math.min(1, (now - points.began) / WAY) : 1);
/** Slow at both ends. @param {number} way */
export const eased = (way) => way * way * (3 - 2 * way);

/**
 * Sends them to other places, from where they are; at once where there is no time to be told, or others were there.
 * @param {Float32Array} next
 * @param {number} [now]
 */
export function send(next, now = 0) {
  const { from, to } = points;
  const way = share(now);
  const same = now && from.length === next.length;
  points.from = same ? from.map((value, i) => value * (1 - way) + to[i] * way) : next;
  points.to = next;
  points.began = now;
}

/** Where a point lies, that much of its way behind it. @param {number} number */
export const where = (number, way = 1) =>
  [0, 1].map((axis) => points.from[2 * number + axis] * (1 - way) + points.to[2 * number + axis] * way);

/**
 * The pixel of a place.
 * @param {number[]} place
 * @param {Size} size of what is seen, in pixels
 */
export const screen = ([x, y], { width, height }) => [
  (x - view.x) * view.k + width / 2,
  (y - view.y) * view.k + height / 2,
];

/**
 * The place of a pixel.
 * @param {number[]} pixel
 * @param {Size} size
 */
export const place = ([x, y], { width, height }) => [
  (x - width / 2) / view.k + view.x,
  (y - height / 2) / view.k + view.y,
];

/**
 * The lowest and the highest of every other number: of one axis of points.
 * @param {Float32Array} all
 * @param {number} axis
 */
export function range(all, axis) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = axis; i < all.length; i += 2) [low, high] = [Math.min(low, all[i]), Math.max(high, all[i])];
  return [low, high];
}

/**
 * The middle of some points: the median of each axis, which no outlier moves.
 * @param {Float32Array} all
 * @param {number[]} some
 */
export const middle = (all, some) =>
  [0, 1].map((axis) => some.map((i) => all[2 * i + axis]).sort((a, b) => a - b)[some.length >> 1]);

/** Sees all of them. @param {Size} size */
export function fit({ width, height }) {
  const [[left, right], [top, bottom]] = [range(points.to, 0), range(points.to, 1)];
  view.x = (left + right) / 2;
  view.y = (top + bottom) / 2;
  view.k = Math.min(width / ((right - left) * 1.1 || 1), height / ((bottom - top) * 1.12 || 1));
  view.fit = view.k;
}

/**
 * Comes closer; what lies under a pixel stays there.
 * @param {number} factor
 * @param {number[]} pixel
 * @param {Size} size
 */
export function zoom(factor, pixel, size) {
  const [x, y] = place(pixel, size);
  view.k = Math.min(view.fit * CLOSEST, Math.max(view.fit * FARTHEST, view.k * factor));
  const [newX, newY] = place(pixel, size);
  view.x += x - newX;
  view.y += y - newY;
}

/**
 * The points in sight, if there are no more than `most`; one more than that otherwise.
 * @param {Size} size
 * @param {number} most
 */
export function visible({ width, height }, most) {
  const found = [];
  const [across, down] = [width / 2 / view.k, height / 2 / view.k];
  for (let i = 0; 2 * i < points.to.length && found.length <= most; i++)
    if (Math.abs(points.to[2 * i] - view.x) <= across && Math.abs(points.to[2 * i + 1] - view.y) <= down) found.push(i);
  return found;
}

/**
 * The point nearest to a pixel, no further away than `reach` pixels; null if there is none.
 * @param {number[]} pixel
 * @param {Size} size
 * @param {number} reach
 * @param {(number: number) => boolean} counts
 */
export function nearest(pixel, size, reach, counts) {
  const [x, y] = place(pixel, size);
  let best = null;
  let least = (reach / view.k) ** 2;
  for (let i = 0; 2 * i < points.to.length; i++) {
    const away = (points.to[2 * i] - x) ** 2 + (points.to[2 * i + 1] - y) ** 2;
    if (away < least && counts(i)) [best, least] = [i, away];
  }
  return best;
}

/**
 * Whether a place lies within a closed line.
 * @param {number[][]} line
 * @param {number[]} place
 */
export const inside = (line, [x, y]) =>
  line.reduce((odd, [x1, y1], i) => {
    const [x0, y0] = line[(i || line.length) - 1];
    return y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0 ? !odd : odd;
  }, false);
