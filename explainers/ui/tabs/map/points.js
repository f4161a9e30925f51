// Draws the points: thousands of them, on their way from one map to the next, on a WebGL canvas.
import { at } from "./at.js";

const VERTEX = `#version 300 es
in vec2 a; in vec2 b; in vec4 ink; in float size;
uniform float share; uniform vec3 view; uniform vec2 half_size; uniform float dot_size;
out vec4 color; flat out float wide;
void main() {
  vec2 where = (mix(a, b, share) - view.xy) * view.z / half_size;
  gl_Position = vec4(where.x, -where.y, 0.0, 1.0);
  gl_PointSize = wide = dot_size * size;
  color = vec4(ink.rgb * ink.a, ink.a);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 color; flat in float wide; out vec4 shown;
void main() {
  shown = color;
  if (wide < 4.0) return; // too small to be seen as round
  shown *= 1.0 - smoothstep(0.75, 1.0, length(gl_PointCoord - 0.5) * 2.0);
}`;

/** @type {WebGL2RenderingContext | null} */
const gl = at.points.getContext("webgl2", { antialias: false, alpha: false });
/** What the canvas is given; null where a browser has no WebGL. */
const plot = gl && build(gl);

/**
 * A number or some for each point: “a” and “b”, where it comes from and goes to; “ink”, its color; “size”.
 * @param {"a" | "b" | "ink" | "size"} attribute
 * @param {Float32Array | Uint8Array} values
 */
export const put = (attribute, values) => plot?.put(attribute, values);

/**
 * @param {number} count
 * @param {{ view: number[], half: number[], share: number, dot: number, ground: number[] }} seen
 */
export function paint(count, { view: [x, y, k], half: [across, down], share, dot, ground: [red, green, blue] }) {
  if (!gl || !plot) return;
  const { uniform } = plot;
  gl.viewport(0, 0, at.points.width, at.points.height);
  gl.clearColor(red / 255, green / 255, blue / 255, 1);
  gl.clear(gl.COLOR_BUFFER_BIT);
  gl.uniform1f(uniform.share, share);
  gl.uniform3f(uniform.view, x, y, k);
  gl.uniform2f(uniform.half_size, across, down);
  gl.uniform1f(uniform.dot_size, dot);
  gl.drawArrays(gl.POINTS, 0, count);
}

/** @param {WebGL2RenderingContext} gl */
function build(gl) {
  const program = gl.createProgram();
  const attach = (/** @type {number} */ kind, /** @type {string} */ source) => {
    const made = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(made, source);
    gl.compileShader(made);
    gl.attachShader(program, made);
  };
  attach(gl.VERTEX_SHADER, VERTEX);
  attach(gl.FRAGMENT_SHADER, FRAGMENT);
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const buffer = (
    /** @type {string} */ attribute,
    /** @type {number} */ width,
    kind = /** @type {number} */ (gl.FLOAT),
    even = false,
  ) => {
    const made = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    const place = gl.getAttribLocation(program, attribute);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, kind, even, 0, 0);
    return made;
  };
  const buffers = { a: buffer("a", 2), b: buffer("b", 2), ink: buffer("ink", 4, gl.UNSIGNED_BYTE, true) };
  const all = { ...buffers, size: buffer("size", 1) };
  const uniform = Object.fromEntries(
    ["share", "view", "half_size", "dot_size"].map((each) => [each, gl.getUniformLocation(program, each)]),
  );
  return {
    uniform,
    put: (/** @type {keyof typeof all} */ attribute, /** @type {Float32Array | Uint8Array} */ values) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, all[attribute]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    },
  };
}
