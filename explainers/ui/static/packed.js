// Unpacks numbers that Python sends as base64, little-endian.

/** @param {string} text */
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** @param {string} text @returns {Float32Array} */
export const floats = (text) => new Float32Array(bytes(text).buffer);
/** @param {string} text @returns {Int16Array} */
export const shorts = (text) => new Int16Array(bytes(text).buffer);
/** @param {string} text @returns {Uint8Array} */
export const octets = (text) => bytes(text);

/**
 * A map of float16, times its scale.
 * @param {{ width: number, height: number, scale: number, data: string }} packed
 */
export function grid({ width, height, scale, data }) {
  const halves = new Uint16Array(bytes(data).buffer);
  const values = new Float32Array(width * height);
  for (let i = 0; i < values.length; i++) {
    const half = halves[i];
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
    values[i] = (half & 0x8000 ? -size : size) * scale;
  }
  return { width, height, values };
}

/**
 * A map of zeros and ones, eight in a byte, the first one highest.
 * @param {{ width: number, height: number, data: string }} packed
 */
export function bits({ width, height, data }) {
  const packed = bytes(data);
  const values = new Float32Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = (packed[i >> 3] >> (7 - (i & 7))) & 1;
  return { width, height, values };
}
