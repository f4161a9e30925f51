// Colors say sign and size, and zero is no color.
import assert from "node:assert/strict";
import { test } from "node:test";
import { colored, palette, ramp, strongest } from "../../explainers/ui/static/palettes.js";

// Color i is (i, 0, 255 − i), so that a color tells its place.
const hex = Array.from({ length: 256 }, (_, i) =>
  [i, 0, 255 - i].map((part) => part.toString(16).padStart(2, "0")).join(""),
).join("");
const colors = palette(hex);
const pixel = (pixels, i) => [...pixels.slice(4 * i, 4 * i + 4)];

test("hexadecimal digits are colors", () => {
  assert.deepEqual([...colors.slice(0, 6)], [0, 0, 255, 1, 0, 254]);
  assert.equal(colors.length, 768);
});

test("sequential: the strongest has the last color and full opacity; zero and what lies below are transparent", () => {
  const pixels = colored(Float32Array.from([0, 2, 1, -1, 9]), { signed: false, top: 2, colors, fade: 1 });
  assert.deepEqual(pixel(pixels, 0), [0, 0, 0, 0]);
  assert.deepEqual(pixel(pixels, 1), [255, 0, 0, 255]);
  assert.deepEqual(pixel(pixels, 2), [128, 0, 127, 128]); // half of the way, half of the opacity
  assert.deepEqual(pixel(pixels, 3), [0, 0, 0, 0]);
  assert.deepEqual(pixel(pixels, 4), [255, 0, 0, 255]); // beyond the strongest: the same
});

test("diverging: opposite ends for opposite signs, and either can be left out", () => {
  const both = colored(Float32Array.from([1, -1]), { signed: true, top: 1, colors, fade: 1 });
  assert.deepEqual([pixel(both, 0)[0], pixel(both, 1)[0]], [255, 0]);
  const up = colored(Float32Array.from([1, -1]), { signed: true, sign: "raises", top: 1, colors, fade: 1 });
  assert.deepEqual([pixel(up, 0)[3], pixel(up, 1)[3]], [255, 0]);
});

test("a fade below one lets weak values be seen", () => {
  const [weak] = [colored(Float32Array.from([0.25]), { signed: false, top: 1, colors, fade: 0.5 })];
  assert.equal(pixel(weak, 0)[3], 128); // √(64 / 255) of 255, in bytes
});

test("the legend is transparent where values are zero: at its left end, or in the middle of a signed one", () => {
  const [plain, both] = [false, true].map((signed) => ramp(colors, { signed, fade: 1 }));
  assert.deepEqual([pixel(plain, 0)[3], pixel(plain, 255)[3]], [0, 255]);
  assert.deepEqual([pixel(both, 0)[3], pixel(both, 127)[3], pixel(both, 255)[3]], [255, 1, 255]);
});

test("the strongest color belongs to all but a share of what is not zero", () => {
  const values = Float32Array.from({ length: 201 }, (_, i) => (i % 2 ? -i : i)); // sizes 0 to 200
  assert.deepEqual(strongest(values, 0.5), { top: 101, most: 200 }); // the 101st of 200 sizes, rounded up
  assert.deepEqual(strongest(values, 1), { top: 200, most: 200 });
  assert.deepEqual(strongest(new Float32Array(3), 0.5), { top: 0, most: 0 });
});
