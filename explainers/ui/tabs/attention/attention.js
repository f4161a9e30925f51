// Shows every layer and head at once, moves the query to where one clicks, and holds attention against what matters.
import { choice, link, range, tick } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { cellAt, fitted, placeIn, within } from "../../static/framing.js";
import * as ink from "../../static/heat.js";
import { part } from "../../static/parts.js";
import { keep } from "../../static/permalink.js";
import { sightglass } from "../../static/store.js";
import { figure, percent, signed } from "../../static/words.js";

const { element } = await part("attention");
const root = element.querySelector(".attention");
const find = (selector) => root.querySelector(selector);
const BIG = 900; // pixels of the longer side of the large map
const SIDE = 360; // and of one among three
const FRAME = 420; // milliseconds that a layer stays in the film
const state = {
  layer: -1,
  head: -1,
  cell: null,
  mode: "head",
  common: false,
  above: false,
  layerWeights: [],
  headWeights: [],
};
let told = null; // what the server said of all layers
let maps = []; // for each layer, an array of heads, each { width, height, values, top }
let image = null;
let pictured = "";
let film = 0;
let stale = { worth: true, more: true };
let unasked = "the class token"; // who asks where no patch was chosen

const count = () => told.layers.length;
const words = (head) => (head < 0 ? "mean of all heads" : `head ${head}`);

// --- asking

function ask() {
  find(".said").textContent = told ? "" : "Reading attention …";
  sightglass.run("attention", "rows", { cell: state.cell }, (message) => {
    if (message.state === "error" || message.state === "stopped")
      return (find(".said").textContent = message.sentence ?? "");
    if (message.why_not) return refuse(message);
    if (!message.layers) return;
    take(message);
  });
}
function take(message) {
  root.classList.remove("without");
  root.querySelector(".card")?.remove();
  told = message;
  find(".said").textContent = "";
  if (!told.cell) unasked = told.layers.at(-1).asks;
  maps = told.layers.map((layer) => {
    const all = ink.unpack(layer.heat);
    const cells = layer.grid[0] * layer.grid[1];
    return Array.from({ length: layer.heads }, (_, head) =>
      one(
        all.values.slice(head * cells, (head + 1) * cells).map((value) => value + layer.least[head]),
        layer.grid,
      ),
    );
  });
  if (state.layer < 0 || state.layer >= count()) state.layer = count() - 1;
  if (state.head >= told.layers[state.layer].heads) state.head = -1;
  state.layerWeights.length = count();
  draw();
}
// One map, with what the palette needs to know of it.
function one(values, grid) {
  let top = 0;
  let total = 0;
  for (const value of values) (top = Math.max(top, value)), (total += value);
  return { width: grid[1], height: grid[0], values, top, most: top, total: total || 1 };
}
function mean(heads) {
  const values = new Float32Array(heads[0].values.length);
  for (const head of heads) for (let i = 0; i < values.length; i++) values[i] += head.values[i] / heads.length;
  return one(values, [heads[0].height, heads[0].width]);
}
function refuse({ why_not, instead }) {
  told = null;
  stop();
  root.classList.add("without");
  root.querySelector(".card")?.remove();
  root.prepend(
    h(
      "div",
      { class: "card" },
      h("p", {}, why_not),
      h(
        "p",
        { class: "quiet" },
        instead.length
          ? "What it has instead are maps over a grid. These methods apply to it:"
          : "No method here applies to it.",
      ),
      instead.map(({ id, title, question }) =>
        h(
          "p",
          { class: "offers" },
          link(title, () => (sightglass.show("why"), sightglass.ask({ method: id, options: {} }))),
          h(
            "span",
            { class: "quiet" },
            question.replace("the chosen class", sightglass.current()?.target ?? "the class"),
          ),
        ),
      ),
      h("p", { class: "quiet" }, "To see attention, ask another network:"),
      h(
        "p",
        { class: "offers" },
        sightglass.catalogue.networks
          .filter((each) => each.attends)
          .slice(0, 3)
          .map(({ id, line }) =>
            link(id, () => sightglass.ask({ model: id, target: null, versus: null }), {
              title: line,
              "data-network": id,
            }),
          ),
      ),
    ),
  );
}

// --- which weights the map on the stage has: a matrix layers × heads of numbers from 0 to 1, and their sum is 1

function weights() {
  const all = told.layers.map((layer) => new Array(layer.heads).fill(0));
  if (state.mode === "all") {
    for (const [l, layer] of told.layers.entries())
      for (let k = 0; k < layer.heads; k++) all[l][k] = (state.layerWeights[l] ?? 1) * (state.headWeights[k] ?? 1);
  } else if (state.head < 0) all[state.layer].fill(1);
  else all[state.layer][state.head] = 1;
  const total = all.flat().reduce((a, b) => a + b, 0) || 1;
  return all.map((row) => row.map((weight) => weight / total));
}
// The map on the stage: on the finest grid of those with a weight.
function onStage() {
  const all = weights();
  const used = all.map((row, l) => [row, l]).filter(([row]) => row.some(Boolean));
  if (!used.length) return one(new Float32Array(1), [1, 1]);
  const [height, width] = used
    .map(([, l]) => told.layers[l].grid)
    .reduce((a, b) => (b[0] * b[1] > a[0] * a[1] ? b : a));
  const values = new Float32Array(height * width);
  for (const [row, l] of used)
    for (const [k, weight] of row.entries()) {
      if (!weight) continue;
      const map = maps[l][k];
      const share = (weight * map.width * map.height) / (width * height);
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          values[y * width + x] +=
            share * map.values[Math.floor((y * map.height) / height) * map.width + Math.floor((x * map.width) / width)];
    }
  return one(values, [height, width]);
}

// --- drawing

function draw() {
  const { picture } = sightglass;
  if (pictured !== picture.key) {
    pictured = picture.key;
    image = new Image();
    image.src = picture.src;
  }
  root.style.setProperty("--aspect", picture.width / picture.height);
  drawStage();
  drawFilm();
  drawHow();
  drawMatrix();
  drawWorth();
  drawMore();
}
// What is drawn of a map: all of it, or what lies above its least value.
function drawn(map) {
  if (!state.above) return { ...map, low: 0 };
  const low = map.values.reduce((a, b) => Math.min(a, b), Infinity);
  return { ...map, values: map.values.map((value) => value - low), top: map.top - low, low };
}
function drawStage() {
  const map = drawn(onStage());
  legend(map);
  const canvas = Object.assign(find(".big"), fitted(sightglass.picture, BIG));
  ink.small(canvas, map, { box: told.box, signed: false }, sightglass.picture, image, map.top);
  const layer = told.layers[state.layer];
  const rest = weights().reduce(
    (sum, row, l) => sum + row.reduce((a, weight, k) => a + weight * told.layers[l].rest[k], 0),
    0,
  );
  const which = state.mode === "all" ? "All layers and heads, by weight" : `Layer ${state.layer}, ${words(state.head)}`;
  const who = layer.asks;
  const away = rest > 0.005 ? ` ${percent(rest)} goes to tokens without a place, such as the class token.` : "";
  const inside = layer.windows > 1 && state.mode !== "all" ? ` This layer attends in ${layer.windows} windows.` : "";
  find(".asks").replaceChildren(h("b", {}, which), ` – what ${who} attends to.${away}${inside}`);
  find(".frame").setAttribute("aria-label", `${which}: attention of ${who}. Arrow keys move the patch.`);
  find(".frame").dataset.ready = `${state.layer}.${state.head}.${state.mode}.${told.cell ?? ""}`;
  const patch = find(".patch");
  patch.hidden = !told.cell || !told.grid;
  if (!patch.hidden) {
    const { picture } = sightglass;
    const [x0, y0, x1, y1] = told.box;
    const [rows, columns] = told.grid;
    const [w, t] = [(x1 - x0) / columns, (y1 - y0) / rows];
    const [left, top] = [x0 + told.cell[1] * w, y0 + told.cell[0] * t];
    patch.style.cssText = within([left, top, left + w, top + t], picture);
  }
}
function legend(map) {
  const even = 1 / map.values.length;
  const [low, high] =
    map.low > 0.9 * (map.top + map.low)
      ? [map.low.toPrecision(4), (map.top + map.low).toPrecision(4)]
      : [figure(map.low), figure(map.top + map.low)];
  find(".legend").replaceChildren(
    h("span", {}, low),
    ink.bar(false),
    h("span", {}, `${high} of the attention in a cell; even would be ${figure(even)}`),
  );
}
function drawFilm() {
  const slider = find(".film input[name='layer']");
  if (slider && Number(slider.max) === count() - 1) {
    slider.value = state.layer;
    find(".film output").textContent = `layer ${state.layer} of ${count() - 1}`;
    find(".play").textContent = film ? "❚❚" : "▶";
    find(".unask").hidden = !state.cell;
    find(".unask").textContent = `back to ${unasked}`;
    return;
  }
  find(".film").replaceChildren(
    h(
      "button",
      {
        type: "button",
        class: "play",
        title: "Play through the layers",
        "aria-label": "Play through the layers",
        onclick: () => (film ? stop() : play()),
      },
      "▶",
    ),
    h(
      "label",
      {},
      range(
        { name: "layer", min: 0, max: count() - 1, value: state.layer, "aria-label": "Layer" },
        (layer) => (stop(), choose(layer, state.head)),
      ),
      h("output", {}, `layer ${state.layer} of ${count() - 1}`),
    ),
    link(`back to ${unasked}`, () => query(null), { class: "link unask", hidden: !state.cell }),
    h("span", { class: "quiet" }, "Click a patch to see what it attends to."),
  );
}
const MODES = {
  head: "One layer and head, or the mean of a layer",
  all: "All layers and heads, with weights of your own",
};
function drawHow() {
  const box = find(".how");
  const open = box.querySelector("details")?.open;
  box.replaceChildren(
    choice(
      { head: "one head", all: "all, weighted" },
      state.mode,
      (mode) => ((state.mode = mode), changed()),
      "What is on the left",
      { data: "mode", more: (mode) => ({ title: MODES[mode] }) },
    ),
    tick("common scale", state.common, (on) => ((state.common = on), drawMatrix()), {
      name: "common",
      title: "One color means one share in all of them",
    }),
    tick("above the least", state.above, (on) => ((state.above = on), drawStage(), drawMatrix()), {
      name: "above",
      title: "Draw what lies above the least value of a map, to tell apart attention that is nearly even",
    }),
    h("span", { class: "quiet" }, `${count()} layers × ${Math.max(...told.layers.map((layer) => layer.heads))} heads`),
  );
  if (state.mode === "all") {
    const heads = Math.max(...told.layers.map((layer) => layer.heads));
    const slider = (list, name, i) =>
      h(
        "label",
        {},
        `${name} ${i}`,
        range(
          { min: 0, max: 100, value: Math.round(100 * (list[i] ?? 1)), "aria-label": `Weight of ${name} ${i}` },
          (weight) => ((list[i] = weight / 100), weighted()),
        ),
      );
    box.append(
      h(
        "details",
        { open: open ?? true, style: "flex-basis: 100%" },
        h("summary", {}, "Weights"),
        h(
          "div",
          { class: "weights" },
          told.layers.map((_, l) => slider(state.layerWeights, "layer", l)),
          Array.from({ length: heads }, (_, k) => slider(state.headWeights, "head", k)),
        ),
      ),
    );
  }
}
function drawMatrix() {
  const colors = ink.inks(false);
  const highest = state.common ? Math.max(...maps.flat().map((map) => map.top)) : 0;
  const box = find(".matrix");
  const focus = box.contains(document.activeElement) ? /** @type {any} */ (document.activeElement).dataset.at : null;
  const scroll = box.scrollTop;
  const most = Math.max(...maps.map((heads) => heads.length));
  const names = [...Array.from({ length: most }, (_, k) => String(k)), "all"];
  box.replaceChildren(
    h("span", {}),
    h(
      "div",
      { class: "row names", "aria-hidden": "true", style: `--heads: ${most + 1}` },
      maps.every((heads) => heads.length === most) ? names.map((name) => h("span", {}, name)) : "",
    ),
    ...maps.flatMap((heads, l) => [
      h("span", { class: "number" }, String(l)),
      h(
        "div",
        { class: "row", style: `--heads: ${heads.length + 1}` },
        [...heads, mean(heads)].map((map, k) => thumb(map, l, k === heads.length ? -1 : k, colors, highest)),
      ),
    ]),
  );
  box.scrollTop = scroll;
  pressed();
  if (focus) box.querySelector(`[data-at="${focus}"]`)?.focus({ preventScroll: true });
}
function thumb(whole, layer, head, colors, highest) {
  const map = drawn(whole);
  const canvas = h("canvas", { width: map.width, height: map.height, "aria-hidden": "true" });
  const pixels = new Uint8ClampedArray(4 * map.values.length);
  const top = highest || map.top || 1;
  for (let i = 0; i < map.values.length; i++) {
    const at = 3 * Math.round(255 * Math.min(1, map.values[i] / top));
    pixels.set([colors[at], colors[at + 1], colors[at + 2], 255 * Math.min(1, 0.08 + map.values[i] / top)], 4 * i);
  }
  canvas.getContext("2d").putImageData(new ImageData(pixels, map.width, map.height), 0, 0);
  const title = `Layer ${layer}, ${words(head)}`;
  return h(
    "button",
    {
      type: "button",
      class: head < 0 ? "mean" : "",
      title,
      "aria-label": title,
      "data-at": `${layer}.${head}`,
      onclick: () => ((state.mode = "head"), stop(), choose(layer, head)),
    },
    canvas,
  );
}
function pressed() {
  const all = weights();
  for (const button of find(".matrix").querySelectorAll("[data-at]")) {
    const [layer, head] = button.dataset.at.split(".").map(Number);
    button.setAttribute("aria-pressed", String(state.mode === "head" && layer === state.layer && head === state.head));
    button.classList.toggle("off", state.mode === "all" && head >= 0 && !all[layer][head]);
  }
}

// --- what a visitor does

function choose(layer, head) {
  state.layer = layer;
  state.head = Math.min(head, told.layers[layer].heads - 1);
  stale = { worth: true, more: stale.more };
  place();
  drawStage();
  drawFilm();
  drawHow();
  pressed();
  drawWorth();
}
function changed() {
  stale.worth = true;
  stop();
  drawStage();
  drawHow();
  pressed();
  drawWorth();
}
function weighted() {
  stale.worth = true;
  drawStage();
  pressed();
  drawWorth();
}
function query(cell) {
  state.cell = cell;
  stale.worth = true;
  place();
  ask();
}
function place() {
  sightglass.place = {
    layer: state.layer,
    head: state.head < 0 ? null : state.head,
    patch: state.cell ? state.cell.join(",") : null,
  };
  keep();
}
function play() {
  if (state.layer === count() - 1) state.layer = -1;
  state.mode = "head";
  film = setInterval(() => {
    if (sightglass.tab !== "attention" || state.layer >= count() - 1) return stop();
    choose(state.layer + 1, state.head);
  }, FRAME);
  drawFilm();
}
function stop() {
  clearInterval(film);
  film = 0;
  if (told) drawFilm();
}
find(".frame").addEventListener("click", (event) => {
  if (!told?.grid) return;
  const [height, width] = told.grid;
  const cell = cellAt(placeIn(find(".frame"), event), told.box, sightglass.picture, { width, height });
  if (cell) query(cell);
});
find(".frame").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (event.key === "Escape" && state.cell) return query(null);
  if (!step || !told?.grid) return;
  event.preventDefault();
  event.stopPropagation();
  const [rows, columns] = told.grid;
  const from = state.cell ?? [rows >> 1, columns >> 1];
  query([Math.min(rows - 1, Math.max(0, from[0] + step[0])), Math.min(columns - 1, Math.max(0, from[1] + step[1]))]);
});

// --- what it is worth

const DOUBT = [
  "That a patch is attended to does not say that the class depends on it.",
  "Measure how much of the score lies where this map is warm, beside maps that know the class.",
];
let worth = null;
function drawWorth() {
  const box = find(".worth");
  if (!stale.worth && worth) return;
  const button = link(worth ? "Measure this map instead" : "Hold it against what matters", measure, { id: "worth" });
  if (!worth)
    box.replaceChildren(
      h("h3", {}, "Attends to, or matters?"),
      h("p", { class: "quiet" }, DOUBT.join(" ")),
      h("p", {}, button),
    );
  else box.querySelector(".again")?.replaceChildren(button);
}
function measure() {
  const { picture } = sightglass;
  const box = find(".worth");
  stale.worth = false;
  sightglass.run("attention", "worth", { cell: state.cell, weights: weights() }, (message) => {
    if (message.state === "error" || message.state === "stopped")
      return box.replaceChildren(h("p", {}, message.sentence ?? ""));
    if (!message.maps) return;
    worth = message;
    const figures = message.maps.map((map) => {
      const about = { box: told.box, signed: map.signed };
      const canvas = ink.overlay(picture, ink.unpack(map.heat), about, SIDE, { words: map.title });
      return h(
        "figure",
        { class: map.verdict ?? "blank" },
        canvas,
        h(
          "figcaption",
          {},
          h("b", {}, map.title),
          h("strong", {}, map.big ?? "–"),
          h("span", { class: "quiet" }, map.big ? `${map.between}, ${map.reaches}.` : map.says),
        ),
      );
    });
    const waiting = message.state === "working" ? [h("p", { class: "quiet" }, "measuring …")] : [];
    box.replaceChildren(
      h("h3", {}, "Attends to, or matters?"),
      h("div", { class: "maps" }, figures, waiting),
      truth(message),
      h("p", { class: "again" }),
    );
  });
}
// In a world: what each element truly does to the score, and what each map puts there.
function truth({ elements, maps: drawn, label }) {
  if (!elements?.length) return "";
  return h(
    "div",
    { class: "table" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", {}, "In the pond, drawn anew without it"),
          h("th", {}, `true effect on ${label}`),
          drawn.map((map) => h("th", {}, map.title)),
        ),
      ),
      h(
        "tbody",
        {},
        elements.map(({ name, effect }, i) =>
          h(
            "tr",
            {},
            h("td", {}, name),
            h("td", {}, signed(effect)),
            drawn.map((map) => h("td", {}, percent(map.truth.shares[i]))),
          ),
        ),
        h(
          "tr",
          {},
          h("td", {}, "Same order as the truth (rank correlation)"),
          h("td", {}),
          drawn.map((map) => h("td", {}, map.truth.rho == null ? "–" : figure(map.truth.rho))),
        ),
      ),
    ),
  );
}

// --- more about the heads

function drawMore() {
  if (!stale.more) return;
  find(".more").replaceChildren(
    h("h3", {}, "More about the heads"),
    h(
      "p",
      {},
      link("Measure how far heads attend, and what is lost without them", moreAbout, { id: "more" }),
      h("span", { class: "quiet" }, " One more pass for each head of the layer on the left."),
    ),
  );
}
function moreAbout() {
  const box = find(".more");
  stale.more = false;
  box.replaceChildren(h("h3", {}, "More about the heads"), h("p", { class: "quiet" }, "measuring …"));
  sightglass.run("attention", "more", { layer: state.layer }, (message) => {
    if (message.state === "error" || message.state === "stopped")
      return box.replaceChildren(h("p", {}, message.sentence ?? ""));
    if (!message.drawn) return;
    box.replaceChildren(
      h("h3", {}, "More about the heads"),
      h(
        "div",
        { class: "drawn" },
        message.drawn.map((each) =>
          h(
            "figure",
            {},
            h("p", {}, h("b", {}, each.question)),
            h("img", { src: each.picture, alt: each.alt }),
            h("p", {}, each.read_it_as),
            h("p", { class: "quiet" }, each.cost),
          ),
        ),
      ),
      h("p", {}, link(`Measure layer ${state.layer} instead`, moreAbout)),
    );
  });
}

// --- when the tab comes into sight

const { layer, head, patch } = sightglass.placed("attention");
if (layer != null) state.layer = Number(layer);
if (head != null) state.head = Number(head);
if (/^\d+,\d+$/.test(patch ?? "")) state.cell = patch.split(",").map(Number);
let asked = "";
sightglass.whileShown("attention", () => {
  const { picture, question } = sightglass;
  const now = `${picture?.key} ${question.model}`;
  if (asked && asked !== now)
    Object.assign(state, { cell: null, layerWeights: [], headWeights: [] }),
      asked.endsWith(` ${question.model}`) || Object.assign(state, { layer: -1, head: -1 });
  asked = now;
  worth = null;
  stale = { worth: true, more: true };
  ask();
});
