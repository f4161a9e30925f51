// The map: points on a WebGL canvas, words and pictures on another above it, and a column of what there is to know.
import { buttons } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { small, unpack } from "../../static/heat.js";
import { floats, octets, shorts } from "../../static/packed.js";
import { part } from "../../static/parts.js";
import { sightglass } from "../../static/store.js";
import { percent } from "../../static/words.js";

const { element, props } = await part("map");
const at = Object.fromEntries([...element.querySelectorAll("[data-at]")].map((node) => [node.dataset.at, node]));
const SMALL = 120; // so many points in sight get their pictures
const dark = () =>
  document.body.classList.contains("dark") || new URLSearchParams(location.search).get("__theme") === "dark";
// The colors of groups as the styles have them, for the canvas; looked up once for each theme.
const known = {};
function groupHues() {
  const theme = document.body.classList.contains("dark") ? "dark" : "light";
  const hue = (number) => getComputedStyle(document.body).getPropertyValue(`--group-${number}`).trim();
  known[theme] ??= Array.from({ length: 10 }, (_, number) => hue(number));
  return known[theme];
}
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const places = { gallery: "", place: "", kind: "tsne" };
let map = null; // what Python told of the gallery
let color = "label";
let only = null; // a Set of numbers that are lit; null for all
let hidden = new Set(); // values of the legend that were put out
let picked = null; // the point that was clicked
let groups = null;
let lasso = null; // points of the line that is being drawn
let drawingLasso = false;

// Numbers ------------------------------------------------------------------------------------------------------------
const rgb = (hex) => [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
const name = (number) => map.names[number];
const label = (number) => (map.label ? map.labels[map.label[number]] : "");
const call = (number) => (map.call ? map.calls[map.call[number]] : "");

// The points ---------------------------------------------------------------------------------------------------------
const view = { x: 0, y: 0, k: 1 }; // the middle of what is seen, and pixels for one unit
const gl = at.points.getContext("webgl2", { antialias: false, alpha: false });
const plot = gl && build();
let from = /** @type {Float32Array} */ (new Float32Array(0));
let to = /** @type {Float32Array} */ (new Float32Array(0));
let began = 0;
let drawn = 0; // frames, for those who measure

function build() {
  const shader = (kind, source) => {
    const made = gl.createShader(kind);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    return made;
  };
  const program = gl.createProgram();
  gl.attachShader(
    program,
    shader(
      gl.VERTEX_SHADER,
      `#version 300 es
    in vec2 a; in vec2 b; in vec4 ink; in float size;
    uniform float share; uniform vec3 view; uniform vec2 half_size; uniform float dot_size;
    out vec4 color; flat out float wide;
    void main() {
      vec2 where = (mix(a, b, share) - view.xy) * view.z / half_size;
      gl_Position = vec4(where.x, -where.y, 0.0, 1.0);
      gl_PointSize = wide = dot_size * size;
      color = vec4(ink.rgb * ink.a, ink.a);
    }`,
    ),
  );
  gl.attachShader(
    program,
    shader(
      gl.FRAGMENT_SHADER,
      `#version 300 es
    precision mediump float;
    in vec4 color; flat in float wide; out vec4 shown;
    void main() {
      shown = color;
      if (wide < 4.0) return; // too small to be seen as round
      shown *= 1.0 - smoothstep(0.75, 1.0, length(gl_PointCoord - 0.5) * 2.0);
    }`,
    ),
  );
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const buffers = {};
  for (const [attribute, width, kind, even] of [
    ["a", 2, gl.FLOAT, false],
    ["b", 2, gl.FLOAT, false],
    ["ink", 4, gl.UNSIGNED_BYTE, true],
    ["size", 1, gl.FLOAT, false],
  ]) {
    buffers[attribute] = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[attribute]);
    const place = gl.getAttribLocation(program, attribute);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, kind, even, 0, 0);
  }
  const uniform = Object.fromEntries(
    ["share", "view", "half_size", "dot_size"].map((each) => [each, gl.getUniformLocation(program, each)]),
  );
  const put = (attribute, values) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[attribute]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
  };
  return { uniform, put };
}

let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paint();
  });
}

function share() {
  return calm || !began ? 1 : Math.min(1, (performance.now() - began) / 450);
}

function sizes() {
  const box = at.stage.getBoundingClientRect();
  const ratio = Math.min(2, devicePixelRatio || 1);
  for (const canvas of [at.points, at.over])
    if (canvas.width !== Math.round(box.width * ratio) || canvas.height !== Math.round(box.height * ratio)) {
      canvas.width = Math.round(box.width * ratio);
      canvas.height = Math.round(box.height * ratio);
    }
  return { width: box.width, height: box.height, ratio };
}

const dot = () =>
  Math.max(2.5, Math.min(11, 900 / Math.sqrt(map.count) / 3.6)) *
  Math.min(1.8, Math.max(1, view.k / (view.fit || 1)) ** 0.4);

function paint() {
  if (!map || !to.length || sightglass.tab !== "map") return;
  const { width, height, ratio } = sizes();
  const t = share();
  const eased = t * t * (3 - 2 * t);
  if (plot) {
    gl.viewport(0, 0, at.points.width, at.points.height);
    gl.clearColor(
      ...rgb(getComputedStyle(document.body).getPropertyValue("--ground").trim()).map((part) => part / 255),
      1,
    );
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform1f(plot.uniform.share, eased);
    gl.uniform3f(plot.uniform.view, view.x, view.y, view.k);
    gl.uniform2f(plot.uniform.half_size, width / 2, height / 2);
    gl.uniform1f(plot.uniform.dot_size, dot() * ratio);
    gl.drawArrays(gl.POINTS, 0, map.count);
  }
  over(width, height, ratio, eased);
  drawn += 1;
  if (t < 1) draw();
}

const where = (number, eased = 1) =>
  [0, 1].map((axis) => from[2 * number + axis] * (1 - eased) + to[2 * number + axis] * eased);
const screen = (/** @type {number[]} */ [x, y], { width, height }) => [
  (x - view.x) * view.k + width / 2,
  (y - view.y) * view.k + height / 2,
];

function over(width, height, ratio, eased) {
  const pen = at.over.getContext("2d");
  const style = getComputedStyle(document.body);
  const [ink, ground, accent] = ["--ink", "--ground", "--accent"].map(
    (each) => style.getPropertyValue(each).trim() || "#000",
  );
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const box = { width, height };
  const near = visible(box);
  if (near.length && near.length <= SMALL) pictures(pen, near, box, eased);
  names(pen, box, eased, ink, ground);
  if (picked != null) ring(pen, screen(where(picked, eased), box), ink, 11);
  if (map.here && eased === 1) visitor(pen, box, accent, ground);
  if (lasso?.length) {
    pen.strokeStyle = accent;
    pen.setLineDash([4, 4]);
    pen.beginPath();
    for (const [x, y] of lasso) pen.lineTo(x, y);
    pen.closePath();
    pen.stroke();
    pen.setLineDash([]);
  }
}

function ring(pen, /** @type {number[]} */ [x, y], ink, radius) {
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.stroke();
}

// The visitor's picture, and lines to its neighbors that grow once.
let arrived = 0;
function visitor(pen, box, accent, ground) {
  const grown = calm ? 1 : Math.min(1, (performance.now() - arrived) / 600);
  const [x, y] = screen(map.here, box);
  pen.strokeStyle = accent;
  pen.lineWidth = 1.4;
  for (const { number } of map.neighbors ?? []) {
    const [a, b] = screen(where(number), box);
    pen.globalAlpha = 0.75;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + (a - x) * grown, y + (b - y) * grown);
    pen.stroke();
  }
  pen.globalAlpha = 1;
  ring(pen, [x, y], accent, 6);
  // Its picture stands aside, toward the nearer edge, so that it covers no neighbor.
  const side = 52;
  const [left, top] = [x + (x < box.width / 2 ? -1 : 1) * 84, y + (y < box.height / 2 ? -1 : 1) * 64];
  const [u, v] = [
    Math.min(box.width - side / 2 - 8, Math.max(side / 2 + 8, left)),
    Math.min(box.height - side / 2 - 8, Math.max(side / 2 + 8, top)),
  ];
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(u, v);
  pen.stroke();
  const image = mine();
  pen.fillStyle = ground;
  pen.fillRect(u - side / 2 - 3, v - side / 2 - 3, side + 6, side + 6);
  if (image?.complete && image.naturalWidth) {
    const factor = side / Math.max(image.naturalWidth, image.naturalHeight);
    pen.drawImage(
      image,
      u - (image.naturalWidth * factor) / 2,
      v - (image.naturalHeight * factor) / 2,
      image.naturalWidth * factor,
      image.naturalHeight * factor,
    );
  }
  pen.strokeRect(u - side / 2 - 3, v - side / 2 - 3, side + 6, side + 6);
  if (grown < 1) draw();
}
let portrait = { src: "", image: null };
function mine() {
  const src = sightglass.picture?.src;
  if (src && portrait.src !== src) {
    portrait = { src, image: new Image() };
    portrait.image.onload = draw;
    portrait.image.src = src;
  }
  return portrait.image;
}

// The name of each island, where a color has few words: at the point that lies most in the middle of its kind.
let centers = [];
function names(pen, box, eased, ink, ground) {
  pen.font = "600 13px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  for (const { number, words, value } of centers) {
    if (hidden.has(value)) continue;
    const [x, y] = screen(where(number, eased), box);
    pen.strokeStyle = ground;
    pen.lineWidth = 4;
    pen.globalAlpha = 0.9;
    pen.strokeText(words, x, y);
    pen.globalAlpha = 1;
    pen.fillStyle = ink;
    pen.fillText(words, x, y);
  }
}

function middles() {
  const scale = coloring();
  centers = [];
  if (!scale.names || scale.names.length > 14) return;
  for (let value = 0; value < scale.names.length; value++) {
    const own = [];
    for (let i = 0; i < map.count; i++) if (scale.of[i] === value) own.push(i);
    if (!own.length) continue;
    const axis = (which) => own.map((i) => to[2 * i + which]).sort((a, b) => a - b)[own.length >> 1];
    const [x, y] = [axis(0), axis(1)];
    let best = own[0];
    for (const i of own)
      if ((to[2 * i] - x) ** 2 + (to[2 * i + 1] - y) ** 2 < (to[2 * best] - x) ** 2 + (to[2 * best + 1] - y) ** 2)
        best = i;
    centers.push({ number: best, words: scale.names[value], value });
  }
}

// Pictures -----------------------------------------------------------------------------------------------------------
const thumbs = new Map(); // number → { src, x, y, side, image }
let wanted = new Set();
let fetching = false;
function want(numbers) {
  for (const number of numbers) if (!thumbs.has(number)) wanted.add(number);
  if (!wanted.size || fetching) return;
  fetching = true;
  const some = [...wanted].slice(0, 240);
  for (const number of some) wanted.delete(number);
  const gallery = map.gallery;
  sightglass.run("map", "thumbs", { gallery, numbers: some }, (told) => {
    if (told.state === "working") return;
    fetching = false;
    if (told.state !== "done" || gallery !== map?.gallery) return;
    const image = new Image();
    image.onload = () => {
      told.numbers.forEach((number, place) =>
        thumbs.set(number, {
          image,
          sheet: told.sheet,
          side: told.side,
          x: (place % 16) * told.side,
          y: Math.floor(place / 16) * told.side,
          rows: Math.ceil(told.numbers.length / 16),
        }),
      );
      for (const node of element.querySelectorAll("[data-thumb]")) dress(node);
      draw();
      want([]);
    };
    image.src = told.sheet;
  });
}
function dress(node) {
  const found = thumbs.get(Number(node.dataset.thumb));
  if (!found || node.dataset.dressed) return;
  node.dataset.dressed = "1";
  node.style.backgroundImage = `url(${found.sheet})`;
  node.style.backgroundSize = `1600% ${100 * found.rows}%`;
  node.style.backgroundPosition = `${(found.x / found.side / 15) * 100}% ${found.rows > 1 ? (found.y / found.side / (found.rows - 1)) * 100 : 0}%`;
}
function thumb(number) {
  const node = h("span", { class: "thumb", "data-thumb": number, "aria-hidden": "true" });
  dress(node);
  want([number]);
  return node;
}
function pictures(pen, numbers, box, eased) {
  want(numbers);
  const side = Math.min(56, Math.max(24, Math.sqrt((box.width * box.height) / numbers.length) * 0.42));
  for (const number of numbers) {
    const found = thumbs.get(number);
    if (!found) continue;
    const [x, y] = screen(where(number, eased), box);
    pen.globalAlpha = lit(number) ? 1 : 0.15;
    pen.drawImage(found.image, found.x, found.y, found.side, found.side, x - side / 2, y - side / 2, side, side);
    pen.strokeStyle = inks(number);
    pen.lineWidth = 2;
    pen.strokeRect(x - side / 2, y - side / 2, side, side);
  }
  pen.globalAlpha = 1;
}
function visible({ width, height }) {
  const found = [];
  const [w, t] = [width / 2 / view.k, height / 2 / view.k];
  for (let i = 0; i < map.count; i++) {
    if (Math.abs(to[2 * i] - view.x) <= w && Math.abs(to[2 * i + 1] - view.y) <= t) found.push(i);
    if (found.length > SMALL) return found;
  }
  return found;
}

// Colors -------------------------------------------------------------------------------------------------------------
function coloring() {
  const hues = groupHues();
  if (color === "label" && map.label) return { of: map.label, names: map.labels, hue: (value) => hues[value % 10] };
  if (color === "call" && map.call) return { of: map.call, names: map.calls, hue: (value) => hues[value % 10] };
  if (color === "error")
    return {
      of: map.wrong,
      names: ["called by its label", "called otherwise"],
      hue: (value) => (value ? hues[1] : hues[7]),
      front: 1,
    };
  if (color === "sure")
    return {
      of: map.sure.map((value) => Math.floor(value / 51.2)),
      names: ["0–20 % sure", "20–40 %", "40–60 %", "60–80 %", "80–100 %"],
      hue: (value) =>
        (dark()
          ? ["#f2d16b", "#b9c96a", "#78b97a", "#4aa08a", "#3b7f93"]
          : ["#d0a000", "#93a52e", "#4f9a55", "#23836f", "#155f74"])[value],
      plain: true,
    };
  if (color === "group" && groups)
    return {
      of: groups.of,
      names: groups.groups.map((_, place) => `group ${place + 1}`),
      hue: (value) => (value < 0 ? "#9aa19d" : hues[value % 10]),
    };
  const facet = color.startsWith("facet:") && map.facets[color.slice(6)];
  if (facet) return { of: facet.value, names: facet.values, hue: (value) => hues[value % 10] };
  return { of: new Int16Array(map.count), names: null, hue: () => hues[0] };
}
const lit = (number) => (!only || only.has(number)) && !hidden.has(coloring().of[number]);
const inks = (number) => coloring().hue(coloring().of[number]);
function ink() {
  const scale = coloring();
  const known = new Map();
  const values = new Uint8Array(4 * map.count);
  const size = new Float32Array(map.count);
  for (let i = 0; i < map.count; i++) {
    const value = scale.of[i];
    if (!known.has(value)) known.set(value, rgb(scale.hue(value)));
    const shown = (!only || only.has(i)) && !hidden.has(value);
    const alpha = shown ? 70 + 170 * (map.kept ? map.kept[i] / 255 : 1) : 14;
    values.set([...known.get(value), alpha], 4 * i);
    size[i] = shown && (scale.front === value || only) ? 1.5 : 1;
  }
  plot?.put("ink", values);
  plot?.put("size", size);
  legend(scale);
  middles();
  draw();
}
function legend(scale) {
  const counts = new Map();
  for (const value of scale.of) counts.set(value, (counts.get(value) ?? 0) + 1);
  at.legend.replaceChildren(
    ...(scale.names ?? []).slice(0, 30).map((words, value) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(!hidden.has(value)),
          title: "Click to put out, double-click to see it alone",
          onclick: () => toggle(value),
          ondblclick: () => alone(value, scale),
        },
        h("i", { style: `--dot: ${scale.hue(value)}` }),
        words,
        h("span", { class: "quiet" }, String(counts.get(value) ?? 0)),
      ),
    ),
    scale.names?.length > 30 ? h("span", { class: "quiet" }, `and ${scale.names.length - 30} more`) : "",
  );
}
function toggle(value) {
  hidden.has(value) ? hidden.delete(value) : hidden.add(value);
  ink();
}
function alone(value, scale) {
  hidden = new Set(scale.names.map((_, each) => each).filter((each) => each !== value));
  ink();
}

// What Python tells --------------------------------------------------------------------------------------------------
function move(points, { first }) {
  const next = floats(points);
  const t = share();
  from = first || from.length !== next.length ? next : from.map((value, i) => value * (1 - t) + to[i] * t);
  to = next;
  began = first ? 0 : performance.now();
  plot?.put("a", from);
  plot?.put("b", to);
  if (first) fit();
  middles();
  draw();
}
function fit() {
  const { width, height } = sizes();
  const bounds = [0, 1].map((axis) => {
    const values = to.filter((_, i) => i % 2 === axis);
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    return [low, high];
  });
  const [[left, right], [top, bottom]] = bounds;
  view.x = (left + right) / 2;
  view.y = (top + bottom) / 2;
  view.k = Math.min(width / ((right - left) * 1.1 || 1), height / ((bottom - top) * 1.12 || 1));
  view.fit = view.k;
  draw();
}

function take(told) {
  if (told.points && !told.names && !map) return;
  if (
    told.names &&
    (!map ||
      map.told !== told.names ||
      map.place !== told.place ||
      map.kind !== told.kind ||
      map.model !== sightglass.question.model)
  ) {
    const same = map && map.told === told.names && map.gallery === told.gallery;
    if (!same) {
      thumbs.clear();
      wanted = new Set();
      only = null;
      hidden = new Set();
      picked = null;
      at.picked.replaceChildren();
    }
    groups = null;
    map = {
      ...told,
      told: told.names,
      names: told.names.split("\n"),
      model: sightglass.question.model,
      here: null,
      drawn: same,
      label: told.label && shorts(told.label),
      call: told.call && shorts(told.call),
      sure: told.sure && octets(told.sure),
      kept: null,
    };
    for (const facet of Object.values(map.facets))
      if (typeof facet.value === "string") facet.value = shorts(facet.value);
    if (map.label && map.call)
      map.wrong = Int16Array.from(map.label, (value, i) => Number(map.calls[map.call[i]] !== map.labels[value]));
    choices();
  }
  if (told.points && told.points !== map.pointsTold) {
    move(told.points, { first: !map.drawn });
    map.drawn = true;
    map.pointsTold = told.points;
    ink();
  }
  if (told.figures && told.state === "done") {
    Object.assign(map, {
      here: told.here,
      own: told.own,
      neighbors: told.neighbors,
      votes: told.votes,
      near: told.near,
      figures: told.figures,
      confused: told.confused,
      kept: told.kept && octets(told.kept),
      caveats: told.caveats,
    });
    arrived = performance.now();
    ink();
    fit();
    column();
  }
}

function open() {
  at.card.hidden = true;
  busy(0.05);
  at.alike.replaceChildren();
  sightglass.place = { gallery: places.gallery, place: places.place, kind: places.kind === "tsne" ? "" : places.kind };
  sightglass.run("map", "open", places, (told) => {
    if (told.state === "error") return refuse(told.sentence);
    if (told.share) busy(told.share);
    take(told);
    if (told.state !== "working") busy(null);
  });
}
function busy(done) {
  at.busy.hidden = done == null;
  at.busy.firstElementChild.style.transform = `scaleX(${Math.max(0.05, done ?? 0)})`;
}
function refuse(sentence) {
  busy(null);
  map = null;
  const offers = Object.values(sightglass.catalogue.worlds)
    .filter((world) => world.gallery)
    .map((world) => world.first);
  at.card.replaceChildren(
    h("p", {}, sentence),
    h(
      "p",
      {},
      ...offers.map((id) =>
        h(
          "button",
          {
            type: "button",
            class: "link",
            style: "margin: 0 10px",
            onclick: () => {
              places.gallery = "";
              sightglass.ask({ model: id });
            },
          },
          id,
        ),
      ),
    ),
  );
  at.card.hidden = false;
  for (const each of ["near", "neighbors", "alike", "legend", "caveat", "picked", "trust", "confused"])
    at[each].replaceChildren();
}

function choices() {
  const about = props.about;
  at.gallery.replaceChildren(
    ...about.galleries.map((id) => h("option", { value: id, selected: id === map.gallery }, about.built_in[id] ?? id)),
  );
  const words = Object.fromEntries(map.places.map((each) => [each.id, each.words]));
  at.places.replaceChildren(...buttons(words, map.place, (id) => ((places.place = id), open())));
  at.kinds.replaceChildren(...buttons(about.kinds, map.kind, (id) => ((places.kind = id), open())));
  const kinds = {
    label: map.label && "label",
    call: map.call && "what it is called",
    error: map.wrong && "right or wrong",
    sure: map.call && "how sure",
    group: groups && "group",
  };
  for (const facet of Object.keys(map.facets)) kinds[`facet:${facet}`] = facet;
  if (!kinds[color]) color = map.label ? "label" : map.call ? "call" : "";
  at.color.replaceChildren(
    ...Object.entries(kinds)
      .filter(([, words]) => words)
      .map(([id, words]) => h("option", { value: id, selected: id === color }, words)),
  );
  at.question.textContent = `Where does this picture lie among ${map.count.toLocaleString("en")} others, as ${sightglass.question.model} sees them?`;
}

// The column ---------------------------------------------------------------------------------------------------------
const chosen = (number) =>
  h(
    "li",
    {},
    h(
      "button",
      { type: "button", "data-number": number, title: told(number), onclick: () => pick(number) },
      thumb(number),
      label(number) || name(number),
    ),
  );
const told = (number) =>
  [
    name(number),
    label(number) && `label: ${label(number)}`,
    call(number) && `called ${call(number)}, ${percent(map.sure[number] / 255)} sure`,
  ]
    .filter(Boolean)
    .join(" · ");

function column() {
  const votes = map.votes
    .map(([words, part]) => `${percent(part)} ${words}`)
    .slice(0, 3)
    .join(", ");
  at.near.replaceChildren(...(votes ? [h("b", {}, votes), ". "] : []), map.near);
  at.neighbors.replaceChildren(...map.neighbors.map(({ number }) => chosen(number)));
  at.confusedBox.hidden = !map.wrong;
  const wrong = map.wrong ? map.wrong.reduce((sum, value) => sum + value, 0) : 0;
  at.confusedCount.textContent = `${wrong} of ${map.count.toLocaleString("en")}`;
  at.confused.replaceChildren(
    ...map.confused.map(({ number }) => {
      const entry = chosen(number);
      entry.querySelector("button").lastChild.textContent = `${label(number)} → ${call(number)}`;
      return entry;
    }),
  );
  const row = (words, key) =>
    h(
      "tr",
      {},
      h("td", {}, words),
      ...["", " of PCA", " by chance"].map((of) =>
        h("td", {}, map.figures[key + of] == null ? "" : map.figures[key + of].toFixed(2)),
      ),
    );
  const labels = map.figures["labels right in the map"];
  at.trust.replaceChildren(
    h("thead", {}, h("tr", {}, ...["", "here", "PCA", "chance"].map((words) => h("th", {}, words)))),
    h(
      "tbody",
      {},
      row("trustworthiness", "trustworthiness"),
      row("continuity", "continuity"),
      row("neighbors kept", "neighbors kept"),
    ),
  );
  at.trustSay.textContent = [
    labels == null
      ? ""
      : `Ten neighbors name the label rightly for ${percent(map.figures["labels right in the vectors"])} in the vectors, for ${percent(labels)} in the map.`,
    map.kept && "Faint points lie beside others than in the vectors.",
  ]
    .filter(Boolean)
    .join(" ");
  at.caveat.textContent = [...map.caveats, ...map.notes].join(" ");
  at.steady.textContent = "";
  at.over.setAttribute(
    "aria-label",
    `Map of ${map.count} pictures. ${votes ? `The neighbors of this picture are ${votes}.` : ""}`,
  );
  want([...map.neighbors.map((each) => each.number), ...map.confused.slice(0, 24).map((each) => each.number)]);
}

function pick(number) {
  picked = number;
  for (const button of element.querySelectorAll("[data-number]"))
    button.setAttribute("aria-current", String(Number(button.dataset.number) === number));
  const scene = map.scenes ? name(number) : `gallery:${map.gallery}:${number}`;
  at.picked.replaceChildren(
    thumb(number),
    h(
      "div",
      {},
      h("b", {}, label(number) || name(number)),
      h("br"),
      told(number).replace(/^[^·]*· /, ""),
      h("br"),
      h(
        "button",
        { type: "button", class: "link", onclick: () => sightglass.ask({ scene, upload: "", picture: "" }) },
        "ask about this picture",
      ),
      " ",
      map.wrong?.[number]
        ? h(
            "button",
            {
              type: "button",
              class: "link",
              onclick: () =>
                sightglass.ask({ scene, upload: "", picture: "", target: call(number), versus: label(number) }),
            },
            "why not its label?",
          )
        : "",
    ),
  );
  draw();
  if (!map.here) return;
  at.alike.replaceChildren(h("p", { class: "quiet" }, "…"));
  sightglass.run("map", "alike", { gallery: map.gallery, number }, (answer) => {
    if (answer.state === "error") return at.alike.replaceChildren(h("p", { class: "quiet" }, answer.sentence));
    if (answer.state === "done" && answer.number === picked) alike(answer);
  });
}

// Nearly every place adds something to a cosine; what tells is who adds more than an even share.
function uneven(/** @type {import("../../static/types.js").Heat} */ { values, ...heat }) {
  const even = values.reduce((sum, value) => sum + value, 0) / values.length;
  const apart = values.map((value) => value - even);
  return { ...heat, values: apart, top: apart.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
}
function alike({ cosine, exact, here, there, number }) {
  const figures = [
    [here, "this picture"],
    [there, label(number) || name(number)],
  ].map(([one, words]) => {
    const canvas = h("canvas", {
      width: one.width,
      height: one.height,
      role: "img",
      "aria-label": `What makes ${words} like the other`,
    });
    const image = new Image();
    image.src = one.src;
    const heat = uneven(unpack(one.heat));
    small(canvas, heat, { box: one.box, signed: true }, one, image);
    return h("figure", {}, canvas, h("figcaption", {}, words));
  });
  const sum = exact
    ? "Every place has a share of it; warm ones more than an even share, cold ones less."
    : "Warm places raise it more than most, cold ones less: its slope times the network's maps, which is no sum.";
  at.alike.replaceChildren(
    h("h2", {}, "Why the network holds these two to be alike"),
    h("div", { class: "pair" }, ...figures),
    h("p", { class: "quiet" }, `Cosine ${cosine.toFixed(2)}. ${sum}`),
  );
}

// Hands --------------------------------------------------------------------------------------------------------------
function under(event, reach = 14) {
  const box = at.over.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const place = [(x - box.width / 2) / view.k + view.x, (y - box.height / 2) / view.k + view.y];
  let best = null;
  let least = (reach / view.k) ** 2;
  for (let i = 0; i < map.count; i++) {
    const away = (to[2 * i] - place[0]) ** 2 + (to[2 * i + 1] - place[1]) ** 2;
    if (away < least && lit(i)) [best, least] = [i, away];
  }
  return { number: best, x, y, box };
}
const fingers = new Map();
let moved = 0;
at.over.addEventListener("pointerdown", (event) => {
  if (!map) return;
  at.over.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  moved = 0;
  if (event.shiftKey || drawingLasso) lasso = [];
});
at.over.addEventListener("pointermove", (event) => {
  if (!map) return;
  const last = fingers.get(event.pointerId);
  if (!last) return hover(event);
  at.tip.hidden = true;
  const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
  moved += Math.abs(dx) + Math.abs(dy);
  if (lasso) {
    const box = at.over.getBoundingClientRect();
    lasso.push([event.clientX - box.left, event.clientY - box.top]);
  } else if (fingers.size === 2) {
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    zoom(
      apart([event.clientX, event.clientY], other) / apart(last, other),
      (event.clientX + other[0]) / 2,
      (event.clientY + other[1]) / 2,
    );
  } else {
    view.x -= dx / view.k;
    view.y -= dy / view.k;
  }
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  draw();
});
for (const ending of ["pointerup", "pointercancel"])
  at.over.addEventListener(ending, (event) => {
    if (!fingers.delete(event.pointerId) || !map) return;
    if (lasso) return caught();
    if (moved > 6 || ending === "pointercancel") return;
    const { number } = under(event, event.pointerType === "touch" ? 24 : 14);
    if (number != null) pick(number);
  });
at.over.addEventListener("pointerleave", () => (at.tip.hidden = true));
at.over.addEventListener(
  "wheel",
  (event) => {
    if (!map) return;
    event.preventDefault();
    zoom(1.0016 ** -event.deltaY, event.clientX, event.clientY);
  },
  { passive: false },
);
at.over.addEventListener("dblclick", (event) => map && zoom(2, event.clientX, event.clientY));
at.over.addEventListener("keydown", (event) => {
  if (!map) return;
  const step = 60 / view.k;
  const { left, top, width, height } = at.over.getBoundingClientRect();
  const acts = {
    ArrowLeft: () => (view.x -= step),
    ArrowRight: () => (view.x += step),
    ArrowUp: () => (view.y -= step),
    ArrowDown: () => (view.y += step),
    "+": () => zoom(1.3, left + width / 2, top + height / 2),
    "-": () => zoom(1 / 1.3, left + width / 2, top + height / 2),
    Escape: clear,
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  acts[event.key]();
  draw();
});
function zoom(factor, clientX, clientY) {
  const box = at.over.getBoundingClientRect();
  const [x, y] = [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  const next = Math.min(view.fit * 400, Math.max(view.fit * 0.4, view.k * factor));
  view.x += x / view.k - x / next;
  view.y += y / view.k - y / next;
  view.k = next;
  draw();
}
function hover(event) {
  const { number, x, y, box } = under(event);
  at.tip.hidden = number == null;
  if (number == null) return;
  const right = map.wrong ? (map.wrong[number] ? "wrong" : "right") : "";
  at.tip.replaceChildren(
    thumb(number),
    h(
      "div",
      {},
      h("b", {}, label(number) || name(number)),
      h("br"),
      call(number) && [
        `called ${call(number)}`,
        h("br"),
        `${percent(map.sure[number] / 255)} sure${right && `, ${right}`}`,
      ],
      h("div", { class: "quiet" }, name(number)),
    ),
  );
  at.tip.style.left = `${Math.min(x + 14, box.width - 250)}px`;
  at.tip.style.top = `${Math.min(y + 14, box.height - 100)}px`;
}
function caught() {
  const line = lasso;
  lasso = null;
  if (line.length > 3) {
    const box = at.over.getBoundingClientRect();
    const inside = (/** @type {number[]} */ [x, y]) =>
      line.reduce((odd, [x1, y1], i) => {
        const [x0, y0] = line[(i || line.length) - 1];
        return y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0 ? !odd : odd;
      }, false);
    only = new Set();
    for (let i = 0; i < map.count; i++) if (inside(screen(where(i), box))) only.add(i);
    said(`${only.size} pictures in the line`);
  }
  setLasso(false);
  ink();
}
function said(words) {
  at.picked.replaceChildren(
    h("p", {}, words, ". ", h("button", { type: "button", class: "link", onclick: clear }, "see all")),
    h("ol", { class: "row" }, ...[...only].slice(0, 12).map(chosen)),
  );
}
function clear() {
  only = null;
  hidden = new Set();
  picked = null;
  at.search.value = "";
  at.picked.replaceChildren();
  setLasso(false);
  ink();
}
function setLasso(on) {
  drawingLasso = on;
  at.over.classList.toggle("drawing", on);
  element.querySelector("[data-act=lasso]").setAttribute("aria-pressed", String(on));
}

let typing = 0;
at.search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    if (!map) return;
    const text = at.search.value.trim().toLowerCase();
    if (!text) return clear();
    only = new Set();
    for (let i = 0; i < map.count; i++)
      if (`${name(i)} ${label(i)} ${call(i)}`.toLowerCase().includes(text)) only.add(i);
    said(`${only.size} pictures with “${at.search.value.trim()}”`);
    ink();
  }, 120);
});
at.gallery.addEventListener("change", () => {
  places.gallery = at.gallery.value;
  places.place = "";
  const { networks, worlds } = sightglass.catalogue;
  const world = worlds[places.gallery];
  if (world && networks.find((one) => one.id === sightglass.question.model)?.world !== places.gallery)
    sightglass.ask({
      model: world.first,
      ...(world.example ? { scene: world.example, upload: "", picture: "" } : {}),
      target: null,
      versus: null,
    });
  else open();
});
at.color.addEventListener("change", () => {
  color = at.color.value;
  hidden = new Set();
  ink();
});
at.by.append(
  ...props.about.ways.map((way) =>
    h("option", { value: way }, { kmeans: "k-means", agglomerative: "agglomerative", hdbscan: "HDBSCAN" }[way]),
  ),
);
at.count.append(
  h("option", { value: 0 }, "best number"),
  ...Array.from({ length: 19 }, (_, i) => h("option", { value: i + 2 }, `${i + 2} groups`)),
);

const acts = {
  fit: () => map && fit(),
  lasso: () => map && setLasso(!drawingLasso),
  groups: () => {
    at.groupsSay.textContent = "…";
    sightglass.run(
      "map",
      "groups",
      { ...places, gallery: map.gallery, by: at.by.value, count: Number(at.count.value) },
      (told) => {
        if (told.state === "error") at.groupsSay.textContent = told.sentence;
        if (told.state !== "done") return;
        groups = { ...told, of: shorts(told.of) };
        at.groupsSay.textContent = told.sentence;
        at.groups.replaceChildren(
          ...told.groups.map((each, place) =>
            h(
              "li",
              {},
              h(
                "button",
                { type: "button", onclick: () => gather(place) },
                ...each.middle.map(thumb),
                ...Array(4 - each.middle.length)
                  .fill(0)
                  .map(() => h("span")),
                h("span", {}, each.words.replace(/^group \d+: /, ""), h("span", { class: "quiet" }, ` (${each.size})`)),
              ),
            ),
          ),
        );
        color = "group";
        choices();
        ink();
      },
    );
  },
  steady: () => {
    at.steady.textContent = "…";
    sightglass.run("map", "steady", { ...places, gallery: map.gallery }, (told) => {
      if (told.share) at.steady.textContent = `${percent(told.share)} …`;
      if (told.sentence) at.steady.textContent = told.sentence;
    });
  },
  film: () => {
    busy(0.05);
    sightglass.run("map", "depths", { gallery: map.gallery }, (told) => {
      if (told.share) busy(told.share);
      if (told.state === "error") return refuse(told.sentence);
      if (told.state === "done") play(told.frames);
    });
  },
};
element.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act) acts[act]?.();
});
function gather(place) {
  only = new Set();
  groups.of.forEach((value, i) => value === place && only.add(i));
  said(`${only.size} pictures in group ${place + 1}`);
  ink();
}

function play(frames) {
  busy(null);
  const ending = { points: map.pointsTold, here: map.here };
  map.here = null;
  const step = (number) => {
    if (!map || sightglass.tab !== "map") return;
    const frame = frames[number];
    if (!frame) {
      move(ending.points, { first: false });
      fit();
      map.here = ending.here;
      at.caveat.textContent = [...map.caveats, ...map.notes].join(" ");
      for (const button of at.places.children)
        button.setAttribute(
          "aria-pressed",
          String(button.textContent === map.places.find(({ id }) => id === map.place).words),
        );
      return;
    }
    move(frame.points, { first: false });
    fit();
    for (const button of at.places.children)
      button.setAttribute("aria-pressed", String(button.textContent === frame.words));
    at.caveat.textContent = `${frame.words}${frame.right == null ? "" : `: ten neighbors name the label rightly for ${percent(frame.right)}`}. Each map is turned onto the last one.`;
    setTimeout(() => step(number + 1), 1500);
  };
  step(0);
}

// Digits, three ways -------------------------------------------------------------------------------------------------
at.digitsBox.addEventListener("toggle", () => {
  if (!at.digitsBox.open || at.three.childElementCount) return;
  at.three.replaceChildren(h("p", { class: "quiet" }, "…"));
  sightglass.run("map", "digits", {}, (told) => {
    if (told.state === "error") at.three.replaceChildren(h("p", {}, told.sentence));
    if (told.state !== "done") return;
    const figure = (one, side) => {
      const canvas = h("canvas", { width: side, height: side, role: "img", "aria-label": `Digits by ${one.words}` });
      still(canvas, floats(one.points), shorts(told.label), told.labels);
      return h(
        "figure",
        {},
        canvas,
        h("figcaption", {}, h("b", {}, one.words), h("br"), `neighbors name ${percent(one.right)} rightly`),
      );
    };
    at.three.replaceChildren(...told.maps.map((one) => figure(one, 480)));
    at.three.onclick = () => {
      const dialog = h(
        "dialog",
        { class: "large" },
        h("div", { class: "three" }, ...told.maps.map((one) => figure(one, 900))),
        h("p", {}, h("button", { type: "button", class: "link", onclick: () => dialog.close() }, "close")),
      );
      dialog.addEventListener("close", () => dialog.remove());
      element.querySelector(".chart").append(dialog);
      dialog.showModal();
    };
  });
});
function still(canvas, points, of, words) {
  const pen = canvas.getContext("2d");
  const side = canvas.width;
  const hues = groupHues();
  const ranges = [0, 1].map((axis) => {
    const values = points.filter((_, i) => i % 2 === axis).sort();
    return [values[0], values[values.length - 1]];
  });
  const scale = (side * 0.92) / Math.max(...ranges.map(([low, high]) => high - low));
  const spot = (i) =>
    [0, 1].map((axis) => (points[2 * i + axis] - (ranges[axis][0] + ranges[axis][1]) / 2) * scale + side / 2);
  for (let i = 0; i < of.length; i++) {
    const [x, y] = spot(i);
    pen.globalAlpha = 0.75;
    pen.fillStyle = hues[of[i] % 10];
    pen.beginPath();
    pen.arc(x, y, side / 190, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  pen.font = `600 ${side / 20}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const style = getComputedStyle(document.body);
  words.forEach((word, value) => {
    const own = [...of.keys()].filter((i) => of[i] === value);
    const axis = (which) => own.map((i) => spot(i)[which]).sort((a, b) => a - b)[own.length >> 1];
    pen.lineWidth = side / 80;
    pen.strokeStyle = style.getPropertyValue("--ground");
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.strokeText(word, axis(0), axis(1));
    pen.fillText(word, axis(0), axis(1));
  });
}

// ------------------------------------------------------------------------------------------------------------------
let given = sightglass.placed("map"); // what the address says, until it has been shown once
let model = "";
function refresh() {
  for (const each of Object.keys(places)) if (given[each]) places[each] = given[each];
  given = {};
  if (model && model.split(":")[0] !== sightglass.question.model.split(":")[0]) places.gallery = "";
  if (model !== sightglass.question.model) places.place = "";
  model = sightglass.question.model;
  open();
}
sightglass.whileShown("map", refresh);
sightglass.on("tab", (tab) => tab === "map" && draw());
addEventListener("resize", draw);
new MutationObserver(() => map && ink()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
element.mapMeasure = () => ({ drawn, view, points: map?.count ?? 0 }); // for tests that look at the canvas
