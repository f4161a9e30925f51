// Outlines enclose what they should.
import assert from "node:assert/strict";
import { test } from "node:test";
import { outline, threshold } from "../../explainers/ui/static/contours.js";

test("the level above which half of the heat lies, signs aside", () => {
  assert.equal(threshold(Float32Array.from([1, 2, -3, 4]), 0.5), 3); // 4 + 3 of 10
  assert.equal(threshold(Float32Array.from([1, 2, -3, 4]), 0.4), 4);
  assert.equal(threshold(Float32Array.from([1, 2, -3, 4]), 1), 1);
  assert.equal(threshold(new Float32Array(4), 0.5), Infinity);
});

test("one high cell has a diamond around its centre, half of the way to its neighbors", () => {
  const lines = outline(Float32Array.from([0, 0, 0, 0, 2, 0, 0, 0, 0]), 3, 3, 1);
  assert.equal(lines.length, 4);
  const ends = new Set(lines.flatMap(([x0, y0, x1, y1]) => [`${x0} ${y0}`, `${x1} ${y1}`]));
  assert.deepEqual([...ends].sort(), ["1 1.5", "1.5 1", "1.5 2", "2 1.5"]);
});

test("two high cells that touch at a corner are one region if the middle is high, else two", () => {
  // Around the corner at (1, 1): joined, two lines cut off the low corners; apart, two cut off the high ones.
  const at = (values, level) =>
    outline(Float32Array.from(values), 2, 2, level).filter((ends) => ends.every((end) => end >= 0.5 && end <= 1.5));
  const joined = at([4, 0, 0, 4], 1);
  const apart = at([4, 0, 0, 4], 3);
  const near = (lines, x, y) =>
    lines.some(([x0, y0, x1, y1]) => Math.hypot((x0 + x1) / 2 - x, (y0 + y1) / 2 - y) < 0.45);
  assert.ok(near(joined, 1.5, 0.5) && near(joined, 0.5, 1.5));
  assert.ok(near(apart, 0.5, 0.5) && near(apart, 1.5, 1.5));
});

test("a region that runs over the edge is left open there", () => {
  assert.deepEqual(outline(Float32Array.from([1, 1, 1, 1]), 2, 2, 0.5), []);
  const lines = outline(Float32Array.from([1, 0, 1, 0]), 2, 2, 0.5);
  assert.ok(lines.length > 0 && lines.every(([x0, , x1]) => x0 === 1 && x1 === 1));
});
