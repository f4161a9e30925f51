// Knows where a picture's box and the cells of a grid lie on a canvas, and resamples one onto the other.

/** @import { Box, Grid, Place, Size } from "./types.js" */

/**
 * A box in pixels of the picture, in pixels of a canvas that shows the whole picture.
 * @param {Box} box
 * @param {Size} picture
 * @param {number} width of the canvas
 * @param {number} height
 * @returns {Box}
 */
export function shrunk([x0, y0, x1, y1], picture, width, height) {
  const [across, down] = [width / picture.width, height / picture.height];
  return [x0 * across, y0 * down, x1 * across, y1 * down];
}

/**
 * A size whose longer side is `longer`, and none of whose sides is less than one pixel.
 * @param {Size} size
 * @param {number} longer
 * @returns {Size}
 */
export function fitted({ width, height }, longer) {
  const factor = longer / Math.max(width, height);
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}

/**
 * A box in pixels of a picture, as a style for an element over that picture.
 * @param {number[]} box left, top, right, bottom
 * @param {Size} picture
 */
export const within = ([x0, y0, x1, y1], { width, height }) =>
  Object.entries({ left: x0 / width, top: y0 / height, width: (x1 - x0) / width, height: (y1 - y0) / height })
    .map(([edge, share]) => `${edge}: ${100 * share}%`)
    .join("; ");

/**
 * Where in an element a pointer is, from 0 to 1.
 * @param {Element} element
 * @param {{ clientX: number, clientY: number }} pointer
 * @returns {Place}
 */
export function placeIn(element, { clientX, clientY }) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return { x: (clientX - left) / width, y: (clientY - top) / height };
}

/**
 * The cell (row, column) of a grid over `box` in which a place of the picture lies; null outside.
 * @param {Place} place from 0 to 1
 * @param {Box} box in pixels of the picture
 * @param {Size} picture
 * @param {Size} cells
 * @returns {[number, number] | null}
 */
export function cellAt({ x, y }, [x0, y0, x1, y1], picture, cells) {
  const across = (x * picture.width - x0) / (x1 - x0);
  const down = (y * picture.height - y0) / (y1 - y0);
  if (across < 0 || down < 0 || across >= 1 || down >= 1) return null;
  return [Math.floor(down * cells.height), Math.floor(across * cells.width)];
}

/**
 * A grid resampled to width × height pixels, of which `box` (in the same pixels) is covered by it; zero elsewhere.
 * @param {Grid} grid
 * @param {number} width
 * @param {number} height
 * @param {Box} box
 * @param {boolean} [smooth] or each cell as a block
 * @returns {Float32Array}
 */
export function laid(grid, width, height, [x0, y0, x1, y1], smooth = true) {
  const columns = weights(width, grid.width, x0, x1, smooth);
  const rows = weights(height, grid.height, y0, y1, smooth);
  const across = new Float32Array(grid.height * width);
  for (let y = 0; y < grid.height; y++)
    for (let x = 0; x < width; x++) {
      const column = columns[x];
      if (!column) continue;
      let sum = 0;
      for (let k = 0; k < column[0].length; k++) sum += grid.values[y * grid.width + column[0][k]] * column[1][k];
      across[y * width + x] = sum;
    }
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = rows[y];
    if (!row) continue;
    for (let k = 0; k < row[0].length; k++) {
      const from = row[0][k] * width;
      const share = row[1][k];
      for (let x = 0; x < width; x++) values[y * width + x] += across[from + x] * share;
    }
  }
  return values;
}

// --- private

/**
 * For each of `count` pixels, the cells it takes from and how much: linear between the centres of cells, flat beyond
 * the outermost ones, averaged where cells are finer than pixels; `low` and `high` bound what the cells cover.
 * @param {number} count
 * @param {number} cells
 * @param {number} low
 * @param {number} high
 * @param {boolean} smooth
 */
function weights(count, cells, low, high, smooth) {
  const perPixel = cells / (high - low);
  const reach = Math.max(1, perPixel);
  const rows = [];
  for (let pixel = 0; pixel < count; pixel++) {
    const middle = pixel + 0.5;
    if (middle < low || middle >= high) {
      rows.push(null);
      continue;
    }
    const at = (middle - low) * perPixel - 0.5;
    if (!smooth && perPixel <= 1) {
      rows.push([[Math.min(cells - 1, Math.max(0, Math.round(at)))], [1]]);
      continue;
    }
    const clamped = Math.min(cells - 1, Math.max(0, at));
    const index = [];
    const share = [];
    let sum = 0;
    for (
      let cell = Math.max(0, Math.ceil(clamped - reach));
      cell <= Math.min(cells - 1, Math.floor(clamped + reach));
      cell++
    ) {
      const weight = 1 - Math.abs(clamped - cell) / reach;
      if (weight <= 0) continue;
      index.push(cell);
      share.push(weight);
      sum += weight;
    }
    rows.push([index, share.map((weight) => weight / sum)]);
  }
  return rows;
}
