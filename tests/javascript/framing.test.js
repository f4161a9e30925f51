// Heat lands on the pixels it came from.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cellAt, fitted, laid, shrunk } from "../../explainers/ui/static/framing.js";

const grid = (width, values) => ({ width, height: values.length / width, values: Float32Array.from(values) });
const close = (found, wanted) => {
  assert.equal(found.length, wanted.length);
  found.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 1e-6, `${[...found]} is not ${wanted}`));
};

test("a box of the picture is a box of the canvas, each axis by its own factor", () => {
  assert.deepEqual(shrunk([10, 20, 90, 100], { width: 100, height: 200 }, 50, 50), [5, 5, 45, 25]);
});

test("the longer side is what was wanted, and no side vanishes", () => {
  assert.deepEqual(fitted({ width: 640, height: 480 }, 320), { width: 320, height: 240 });
  assert.deepEqual(fitted({ width: 3000, height: 1 }, 100), { width: 100, height: 1 });
});

test("a place is in the cell that covers it; outside the box, in none", () => {
  const [box, picture, cells] = [[10, 0, 90, 80], { width: 100, height: 80 }, { width: 4, height: 2 }];
  assert.deepEqual(cellAt({ x: 0.1, y: 0 }, box, picture, cells), [0, 0]); // the first pixel of the box
  assert.deepEqual(cellAt({ x: 0.89, y: 0.99 }, box, picture, cells), [1, 3]);
  assert.equal(cellAt({ x: 0.9, y: 0.5 }, box, picture, cells), null); // the first pixel beyond it
  assert.equal(cellAt({ x: 0.05, y: 0.5 }, box, picture, cells), null);
});

test("a grid of the canvas's own size stays what it is", () => {
  close(laid(grid(2, [1, 2, 3, 4]), 2, 2, [0, 0, 2, 2]), [1, 2, 3, 4]);
});

test("smooth: linear between the centres of cells, flat beyond them", () => {
  // Two cells over four pixels: centres at 1 and 3, pixel centres at 0.5, 1.5, 2.5, 3.5.
  close(laid(grid(2, [0, 4]), 4, 1, [0, 0, 4, 1]), [0, 1, 3, 4]);
});

test("not smooth: blocks", () => {
  close(laid(grid(2, [0, 4]), 4, 1, [0, 0, 4, 1], false), [0, 0, 4, 4]);
});

test("finer cells than pixels: each pixel is a weighted mean, and a constant stays one", () => {
  close(laid(grid(6, Array(6).fill(2.5)), 2, 1, [0, 0, 2, 1]), [2.5, 2.5]);
});

test("what the network did not see is zero", () => {
  close(laid(grid(1, [7]), 4, 1, [1, 0, 3, 1]), [0, 7, 7, 0]);
});
