import assert from "node:assert/strict";
import { test } from "node:test";
import * as camera from "../../explainers/ui/tabs/map/camera.js";

const SIZE = { width: 200, height: 100 };
const close = (/** @type {number[]} */ one, /** @type {number[]} */ other) =>
  one.forEach((value, i) => assert.ok(Math.abs(value - other[i]) < 1e-9, `${one} is not ${other}`));

test("all points are seen, with a margin, in the middle", () => {
  camera.send(new Float32Array([0, 0, 10, 0, 0, 20]));
  camera.fit(SIZE);
  close(camera.screen([5, 10], SIZE), [100, 50]);
  assert.equal(camera.view.k, 100 / (20 * 1.12));
  assert.deepEqual(camera.visible(SIZE, 9), [0, 1, 2]);
  assert.equal(camera.visible(SIZE, 1).length, 2); // one more than asked says that there are more
});

test("coming closer leaves in place what lies under the pointer", () => {
  camera.send(new Float32Array([0, 0, 10, 20]));
  camera.fit(SIZE);
  const under = camera.place([30, 80], SIZE);
  camera.zoom(3, [30, 80], SIZE);
  close(camera.screen(under, SIZE), [30, 80]);
  assert.equal(camera.view.k, 3 * camera.view.fit);
  camera.zoom(1e9, [0, 0], SIZE);
  assert.equal(camera.view.k, 400 * camera.view.fit);
});

test("the nearest point within reach is found, of those that count", () => {
  camera.send(new Float32Array([0, 0, 10, 20]));
  camera.fit(SIZE);
  const [x, y] = camera.screen([10, 20], SIZE);
  const find = (/** @type {number} */ away, counts = () => true) => camera.nearest([x + away, y], SIZE, 14, counts);
  assert.equal(find(13), 1);
  assert.equal(find(15), null);
  assert.equal(
    find(0, () => false),
    null,
  );
});

test("points go from where they are, also when sent elsewhere on their way", () => {
  camera.send(new Float32Array([0, 0]));
  assert.equal(camera.share(5000), 1); // the first map is there at once
  camera.send(new Float32Array([8, 0]), 1000);
  assert.equal(camera.share(1225), 0.5);
  camera.send(new Float32Array([4, 4]), 1225);
  close(camera.where(0, 0), [4, 0]);
  close(camera.where(0), [4, 4]);
});

test("a line holds what it goes around", () => {
  const square = [
    [0, 0],
    [4, 0],
    [4, 4],
    [0, 4],
  ];
  assert.ok(camera.inside(square, [1, 3]));
  assert.ok(!camera.inside(square, [5, 3]));
});

test("the middle is the median of each axis", () => {
  const all = new Float32Array([0, 9, 1, 8, 100, 7]);
  assert.deepEqual(camera.middle(all, [0, 1, 2]), [1, 8]);
  assert.deepEqual(camera.range(all, 0), [0, 100]);
});
