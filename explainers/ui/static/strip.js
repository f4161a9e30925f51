// The same question to several methods, as small maps side by side; a click puts one on the stage.
import { choose } from "./chooser.js";
import { h } from "./elements.js";
import * as ink from "./heat.js";
import { part } from "./parts.js";
import { sightglass } from "./store.js";
import { effort } from "./words.js";

const { element } = await part("strip");
const SIDE = 200; // pixels of a small map's longer side, doubled for sharp screens
const MOST = sightglass.catalogue.most;
const maps = element.querySelector(".maps");
const total = element.querySelector(".total");
let wanted = { preset: sightglass.catalogue.presets[0].id, methods: [] };
let common = false;
let asked = ""; // the question that the maps are about, or will be
let token = "";
let running = false;
let told = null; // the maps so far
let cells = new Map(); // by method: what is drawn
let image = null;
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
function gather(choice = wanted) {
  wanted = choice;
  asked = about();
  if (token) sightglass.send("stop", { token });
  token = Math.random().toString(36).slice(2);
  running = true;
  if (told) told = { ...told, state: "asking" };
  sightglass.errands.gather({ ...sightglass.question, ...wanted, beside: {}, options: {}, method: "", token });
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
  sightglass.gathered = sorted().map((map) => map.method);
  if (news.pace) sightglass.pace = news.pace;
  draw();
});

// Best first, once all are there: until then each keeps its place.
const sorted = () =>
  told.state === "working" ? told.maps : [...told.maps].sort((a, b) => (b.figure?.rank ?? -1) - (a.figure?.rank ?? -1));
const tops = () => {
  const known = new Map();
  for (const map of told.maps) known.set(map.unit, Math.max(known.get(map.unit) ?? 0, cells.get(map.method).heat.top));
  return known;
};

function cell(map) {
  const known = cells.get(map.method);
  if (known?.map === map) return known;
  const { picture } = sightglass;
  const shrink = (2 * SIDE) / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width * shrink, picture.height * shrink].map((side) =>
    Math.max(1, Math.round(side)),
  );
  const canvas = h("canvas", { width, height, role: "img", "aria-label": map.alt });
  const figure = h("b", {}, map.blank ? "blank" : (map.figure?.big ?? ""));
  const button = h(
    "button",
    { type: "button", "data-method": map.method, onclick: () => take(map.method) },
    h("span", { class: "spot" }, canvas, h("i", { class: "dot", hidden: true })),
    h("span", { class: "name" }, h("span", {}, map.title), figure),
  );
  const spot = button.querySelector(".spot");
  spot.addEventListener("pointermove", (event) => {
    const box = spot.getBoundingClientRect();
    sightglass.emit(
      "point",
      { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height },
      spot,
    );
  });
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
  };
  cells.set(map.method, made);
  return made;
}
function take(id) {
  sightglass.emit("stage");
  sightglass.ask({ method: id, options: {} });
}
sightglass.on("point", (place, from) => {
  if (!told) return;
  for (const { map, heat, figure, dot, spot } of cells.values()) {
    dot.hidden = !place || spot === from;
    figure.textContent = place
      ? ink.told(heat, map.box, sightglass.picture, place, { short: true })
      : map.blank
        ? "blank"
        : (map.figure?.big ?? "");
    if (!place) continue;
    dot.style.left = `${100 * place.x}%`;
    dot.style.top = `${100 * place.y}%`;
  }
});

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
  const shown = sorted().map(cell);
  const highest = common ? tops() : new Map();
  for (const each of shown) {
    const top = highest.get(each.map.unit) ?? each.heat.top;
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
  summary();
}
function pressed() {
  for (const button of maps.querySelectorAll("[data-method]"))
    button.setAttribute("aria-pressed", String(button.dataset.method === sightglass.question.method));
}
function summary() {
  if (told.state === "error") return;
  const kinds = new Set(told.maps.map((map) => map.figure?.words.includes("decide")));
  const order =
    told.state === "working" || told.maps.length < 2
      ? ""
      : kinds.has(true)
        ? "First the map with most heat on what decides. "
        : "First the map that is gathered most closely. ";
  const without = sightglass.answer?.fits.filter((fit) => fit.why_not).length;
  const not = without ? ` ${without} more ${without === 1 ? "does" : "do"} not apply to this network.` : "";
  total.replaceChildren(
    told.state === "working"
      ? `${told.maps.length} of ${told.maps.length + told.waiting.length} maps … `
      : `${order}${told.cost ? `${told.cost}, each with its default options.` : ""}${wanted.methods.length ? "" : not}`,
    told.state === "working"
      ? h(
          "button",
          {
            type: "button",
            class: "link",
            "data-act": "stop-gathering",
            onclick: () => sightglass.send("stop", { token }),
          },
          "Stop",
        )
      : "",
  );
}
function presets() {
  const offered = sightglass.catalogue.presets.map(({ id, words, line }) =>
    h(
      "button",
      {
        type: "button",
        "data-preset": id,
        title: line,
        "aria-pressed": String(!wanted.methods.length && wanted.preset === id),
        onclick: () => gather({ preset: id, methods: [] }),
      },
      words,
    ),
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
    h(
      "label",
      { title: "Maps in the same unit are drawn on one scale" },
      h("input", {
        type: "checkbox",
        name: "common-scale",
        checked: common,
        onchange: (event) => {
          common = event.target.checked;
          draw();
        },
      }),
      "common scale",
    ),
  );
}
sightglass.on("picture", draw);
draw();
