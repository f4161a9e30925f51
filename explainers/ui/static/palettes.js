// Turns values into colors, by the palettes that Python sends.

/**
 * 256 colors, three bytes each, from hexadecimal digits.
 * @param {string} hex
 * @returns {Uint8Array}
 */
export function palette(hex) {
  const colors = new Uint8Array(768);
  for (let i = 0; i < 768; i++) colors[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return colors;
}

/**
 * Pixels for values: zero is transparent, and opacity grows with the share of `top` that a value has.
 * @param {Float32Array} values
 * @param {{ signed: boolean, sign?: string, top: number, colors: Uint8Array, fade: number }} how
 * @returns {Uint8ClampedArray}
 */
export function colored(values, { signed, sign = "both", top, colors, fade }) {
  const pixels = new Uint8ClampedArray(values.length * 4);
  const opacity = Float32Array.from({ length: 256 }, (_, i) => 255 * (i / 255) ** fade);
  const raises = !signed || sign !== "lowers";
  const lowers = signed && sign !== "raises";
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value > 0 ? raises : value < 0 && lowers)) continue;
    const share = Math.min(1, Math.abs(value) / top);
    const at = 3 * Math.round(signed ? 127.5 + (value > 0 ? 127.5 : -127.5) * share : 255 * share);
    pixels[4 * i] = colors[at];
    pixels[4 * i + 1] = colors[at + 1];
    pixels[4 * i + 2] = colors[at + 2];
    pixels[4 * i + 3] = opacity[Math.round(255 * share)];
  }
  return pixels;
}

/**
 * The pixels of a legend, 256 × 1: a palette from the lowest to the highest value, with its opacity.
 * @param {Uint8Array} colors
 * @param {{ signed: boolean, fade: number }} how
 * @returns {Uint8ClampedArray}
 */
export function ramp(colors, { signed, fade }) {
  const row = new Uint8ClampedArray(1024);
  for (let i = 0; i < 256; i++) {
    const share = Math.abs(signed ? i / 127.5 - 1 : i / 255);
    row.set([colors[3 * i], colors[3 * i + 1], colors[3 * i + 2], 255 * share ** fade], 4 * i);
  }
  return row;
}

/**
 * The size that gets the strongest color, and the largest one. Of what is not zero, all but a share `shown` is larger.
 * @param {Float32Array} values
 * @param {number} shown
 */
export function strongest(values, shown) {
  const sizes = values
    .filter((value) => value !== 0)
    .map(Math.abs)
    .sort();
  if (!sizes.length) return { top: 0, most: 0 };
  return { top: sizes[Math.ceil(shown * (sizes.length - 1))], most: sizes[sizes.length - 1] };
}
