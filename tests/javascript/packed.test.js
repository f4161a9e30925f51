// Numbers come out as Python put them in.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as packed from "../../explainers/ui/static/packed.js";

const text = (array) => Buffer.from(array.buffer).toString("base64");

test("floats, whole numbers and bytes", () => {
  assert.deepEqual([...packed.floats(text(Float32Array.from([1.5, -2])))], [1.5, -2]);
  assert.deepEqual([...packed.shorts(text(Int16Array.from([-1, 300])))], [-1, 300]);
  assert.deepEqual([...packed.octets(text(Uint8Array.from([0, 255])))], [0, 255]);
});

test("half floats: normal, subnormal, negative, times the scale", () => {
  // 0x3c00 is 1, 0xc000 is −2, 0x0001 is 2⁻²⁴, 0x3555 is 1365/4096.
  const halves = Uint16Array.from([0x3c00, 0xc000, 0x0001, 0x3555]);
  const grid = packed.grid({ width: 2, height: 2, scale: 3, data: text(halves) });
  assert.deepEqual([...grid.values], [3, -6, 3 * 2 ** -24, Math.fround((3 * 1365) / 4096)]);
});

test("bits, the first one highest", () => {
  const grid = packed.bits({ width: 5, height: 2, data: text(Uint8Array.from([0b10100001, 0b11000000])) });
  assert.deepEqual([...grid.values], [1, 0, 1, 0, 0, 0, 0, 1, 1, 1]);
});
