// The same question to several methods, as small maps side by side; a click puts one on the stage.
import { choose } from "./chooser.js";
import { buttons, link, tick } from "./controls.js";
import { h } from "./elements.js";
import { fitted, placeIn } from "./framing.js";
import * as ink from "./heat.js";
import { part } from "./parts.js";
import { named, sightglass } from "./store.js";
import { effort } from "./words.js";

/** @import { Gathered, Heat, Named, Picture, SmallMap } from "./types.js" */
/**
 * What is drawn of a map: with which value as its strongest color, and over which picture.
 * @typedef {{ map: SmallMap, heat: Heat, canvas: HTMLCanvasElement, top: number, key: string } & Nodes} Cell
 * @typedef {{ button: HTMLElement, figure: HTMLElement, dot: HTMLElement, spot: HTMLElement }} Nodes
 */

const { element } = await part("strip");
const SIDE = 200; // pixels of a small map's longer side, doubled for sharp screens
const MOST = sightglass.catalogue.most;
const maps = element.querySelector(".maps");
const total = element.querySelector(".total");
/** @type {{ preset: string, methods: string[] }} */
let wanted = { preset: sightglass.catalogue.presets[0].id, methods: [] };
let common = false;
let asked = ""; // the question that the maps are about, or will be
let token = "";
let running = false;
/** The maps so far. @type {Gathered | null} */
let told = null;
/** By method, what is drawn. @type {Map<string, Cell>} */
let cells = new Map();
let image = new Image();
let pictured = "";

const about = () => {
  const { question, picture } = sightglass;
  return JSON.stringify([
    picture?.key,
    question.scene,
    question.model,
    question.target,
    question.versus,
    question.score,
    wanted,
  ]);
};
function gather(choice = wanted, more = {}) {
  wanted = choice;
  asked = about();
  if (token) sightglass.send("stop", { token });
  token = named();
  running = true;
  if (told) told = { ...told, state: "asking" };
  sightglass.errands.gather({
    ...sightglass.question,
    ...wanted,
    ...more,
    beside: {},
    options: {},
    method: "",
    token,
  });
  draw();
}
sightglass.on("done", () => {
  if (!sightglass.embedded && about() !== asked) gather();
});
sightglass.on("question", () => {
  if (about() !== asked && token && running) sightglass.send("stop", { token });
  pressed();
});
sightglass.on("gather", (news) => {
  if (news.token !== token) return;
  running = news.state === "working";
  if (news.sentence && news.state === "error") total.textContent = news.sentence;
  // Nothing is known yet: what was there stays.
  if (!news.maps || (!news.maps.length && !news.waiting.length && news.state === "working")) return;
  if (!told || told.token !== news.token) cells = new Map();
  told = news;
  sightglass.gathered = sorted(news).map((map) => map.method);
  if (news.pace) sightglass.pace = news.pace;
  draw();
});

// Best first, once all are there: until then each keeps its place.
const sorted = (/** @type {Gathered} */ told) =>
  told.state === "working"
    ? told.maps
    : [...told.maps].sort((a, b) => (b.figure?.rank ?? -Infinity) - (a.figure?.rank ?? -Infinity));
const tops = () => {
  /** @type {Map<string, number>} */
  const known = new Map();
  for (const { map, heat } of cells.values()) known.set(map.unit, Math.max(known.get(map.unit) ?? 0, heat.top));
  return known;
};

/** @param {SmallMap} map @param {Picture} picture @returns {Cell} */
function cell(map, picture) {
  const known = cells.get(map.method);
  if (known?.map === map) return known;
  const canvas = h("canvas", { ...fitted(picture, 2 * SIDE), role: "img", "aria-label": map.alt });
  const figure = h("b", {}, map.blank ? "blank" : (map.figure?.big ?? ""));
  const button = h(
    "button",
    { type: "button", "data-method": map.method, onclick: () => take(map.method) },
    h("span", { class: "spot" }, canvas, h("i", { class: "dot", hidden: true })),
    h("span", { class: "name" }, h("span", {}, map.title), figure),
  );
  const spot = button.querySelector(".spot");
  spot.addEventListener("pointermove", (/** @type {PointerEvent} */ event) =>
    sightglass.emit("point", placeIn(spot, event), spot),
  );
  spot.addEventListener("pointerleave", () => sightglass.emit("point", null));
  const made = {
    map,
    heat: ink.unpack(map.heat),
    canvas,
    button,
    figure,
    dot: button.querySelector(".dot"),
    spot,
    top: 0,
    key: "",
  };
  cells.set(map.method, made);
  return made;
}
/** @param {string} id */
function take(id) {
  sightglass.emit("stage");
  sightglass.ask({ method: id, options: {} });
}
sightglass.on("point", (place, from) => {
  const { picture } = sightglass;
  if (!told || !picture) return;
  for (const { map, heat, figure, dot, spot } of cells.values()) {
    dot.hidden = !place || spot === from;
    figure.textContent = place
      ? ink.told(heat, map.box, picture, place, { short: true })
      : map.blank
        ? "blank"
        : (map.figure?.big ?? "");
    if (!place) continue;
    dot.style.left = `${100 * place.x}%`;
    dot.style.top = `${100 * place.y}%`;
  }
});

/** @param {Named} named @param {string} words */
function later({ method, title }, words) {
  return h(
    "button",
    { type: "button", "data-method": method, class: "later", onclick: () => take(method) },
    h("span", { class: "blank" }, words),
    h("span", { class: "name" }, h("span", {}, title)),
  );
}
const ghost = (title = "\u00a0") =>
  h("span", { class: "awaited" }, h("span", { class: "ghost" }), h("span", { class: "name quiet" }, title));

function draw() {
  const { picture } = sightglass;
  presets();
  if (picture) maps.style.setProperty("--aspect", picture.width / picture.height);
  if (!told || !picture) return maps.replaceChildren(...Array.from({ length: 8 }, () => ghost()));
  maps.classList.toggle("waiting", told.state === "asking");
  if (told.state === "asking") return;
  if (pictured !== picture.key) {
    pictured = picture.key;
    image = new Image();
    image.src = picture.src;
  }
  const shown = sorted(told).map((map) => cell(map, picture));
  const highest = common ? tops() : null;
  for (const each of shown) {
    const top = highest?.get(each.map.unit) ?? each.heat.top;
    if (each.top === top && each.key === pictured) continue;
    Object.assign(each, { top, key: pictured });
    ink.small(each.canvas, each.heat, each.map, picture, image, top);
  }
  const stopped = told.state === "stopped" ? told.waiting : [];
  maps.replaceChildren(
    ...shown.map((each) => each.button),
    ...(told.state === "working" ? told.waiting.map(({ title }) => ghost(title)) : []),
    ...stopped.map((each) => later(each, "Stopped: click to run it")),
    ...(told.on_request ?? []).map((each) =>
      later(each, `Takes long: click to run it, ${effort(sightglass.method(each.method), sightglass.pace)}`),
    ),
    ...(told.failed ?? []).map((each) =>
      h(
        "span",
        { class: "awaited" },
        h("span", { class: "blank" }, each.why),
        h("span", { class: "name quiet" }, each.title),
      ),
    ),
  );
  pressed();
  summary(told);
}
function pressed() {
  for (const button of maps.querySelectorAll("[data-method]"))
    button.setAttribute("aria-pressed", String(button.dataset.method === sightglass.question.method));
}
/** @param {Gathered} told */
function summary(told) {
  if (told.state === "error") return;
  const order = told.order && told.maps.length > 1 ? `${told.order} ` : "";
  const without = sightglass.answer?.fits.filter((fit) => fit.why_not).length;
  const not = without ? ` ${without} more ${without === 1 ? "does" : "do"} not apply to this network.` : "";
  total.replaceChildren(
    told.state === "working"
      ? told.waiting.length
        ? `${told.maps.length} of ${told.maps.length + told.waiting.length} maps … `
        : "Measuring how good each map is … "
      : `${order}${told.cost ? `${told.cost}, each with its default options.` : ""}${wanted.methods.length ? "" : not}`,
    told.state === "working"
      ? link("Stop", () => sightglass.send("stop", { token }), { "data-act": "stop-gathering" })
      : told.measuring
        ? link("Measure which is best", () => gather(wanted, { measured: true }), { "data-act": "measure-maps" })
        : "",
    told.state !== "working" && told.measuring ? h("span", { class: "quiet" }, ` (takes ${told.measuring})`) : "",
  );
}
function presets() {
  const lines = Object.fromEntries(sightglass.catalogue.presets.map(({ id, line }) => [id, line]));
  const offered = buttons(
    Object.fromEntries(sightglass.catalogue.presets.map(({ id, words }) => [id, words])),
    wanted.methods.length ? undefined : wanted.preset,
    (preset) => gather({ preset, methods: [] }),
    { data: "preset", more: (id) => ({ title: lines[id] }) },
  );
  const pick = h(
    "button",
    {
      type: "button",
      id: "pick",
      "data-preset": "",
      "aria-haspopup": "listbox",
      "aria-pressed": String(wanted.methods.length > 0),
      onclick: (event) =>
        choose({
          anchor: event.currentTarget,
          many: MOST,
          chosen: told ? told.maps.map((map) => map.method) : [],
          pick: (methods) => gather({ preset: "", methods }),
        }),
    },
    "Pick …",
  );
  const box = element.querySelector(".presets");
  const focus = box.contains(document.activeElement)
    ? /** @type {any} */ (document.activeElement).dataset.preset
    : null;
  box.replaceChildren(...offered, pick);
  if (focus != null) box.querySelector(`[data-preset="${focus}"]`)?.focus();
  element.querySelector(".how").replaceChildren(
    tick("common scale", common, (on) => ((common = on), draw()), {
      name: "common-scale",
      title: "Maps in the same unit are drawn on one scale",
    }),
  );
}
sightglass.on("picture", draw);
draw();
