// Finds the outline of where most of a heat lies.

/**
 * The size above which a share `mass` of the values' whole size lies.
 * @param {Float32Array} values
 * @param {number} mass
 */
export function threshold(values, mass) {
  const sorted = Float32Array.from(values, Math.abs).sort();
  let total = 0;
  for (const value of sorted) total += value;
  if (!total) return Infinity;
  let sum = 0;
  for (let i = sorted.length - 1; i >= 0; i--) {
    sum += sorted[i];
    if (sum >= mass * total) return sorted[i];
  }
  return sorted[0];
}

/**
 * Line segments [x0, y0, x1, y1] around what lies above a level: marching squares over the centres of the grid, open
 * where the region runs over the edge.
 * @param {Float32Array} values
 * @param {number} width
 * @param {number} height
 * @param {number} level
 * @returns {[number, number, number, number][]}
 */
export function outline(values, width, height, level) {
  /** @type {[number, number, number, number][]} */
  const lines = [];
  const at = (/** @type {number} */ x, /** @type {number} */ y) =>
    Math.abs(values[Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))]);
  const between = (/** @type {number} */ a, /** @type {number} */ b) => (b === a ? 0.5 : (level - a) / (b - a));
  for (let y = -1; y < height; y++)
    for (let x = -1; x < width; x++) {
      const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
      const kind = [a, b, c, d].reduce((sum, value, corner) => sum + (value >= level ? 1 << corner : 0), 0);
      if (kind === 0 || kind === 15) continue;
      const px = x + 0.5;
      const py = y + 0.5;
      const top = [px + between(a, b), py];
      const right = [px + 1, py + between(b, c)];
      const bottom = [px + between(d, c), py + 1];
      const left = [px, py + between(a, d)];
      const add = (/** @type {number[]} */ p, /** @type {number[]} */ q) => lines.push([p[0], p[1], q[0], q[1]]);
      if (kind === 5 || kind === 10) {
        const high = (a + b + c + d) / 4 >= level;
        if ((kind === 5) === high) add(left, bottom), add(top, right);
        else add(left, top), add(bottom, right);
      } else if ([1, 14].includes(kind)) add(left, top);
      else if ([2, 13].includes(kind)) add(top, right);
      else if ([3, 12].includes(kind)) add(left, right);
      else if ([4, 11].includes(kind)) add(right, bottom);
      else if ([6, 9].includes(kind)) add(top, bottom);
      else add(left, bottom);
    }
  return lines;
}
