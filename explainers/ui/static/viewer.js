// Knows how a heat is looked at: one or two panes that share opacity, colors, sign, outlines and the place pointed at.
import { renderComparing } from "./compare.js";
import { outline, threshold } from "./contours.js";
import { choice, link, menu, range, tick } from "./controls.js";
import { h, still } from "./elements.js";
import * as ink from "./heat.js";
import { fitted, laid, placeIn, shrunk } from "./framing.js";
import { bits } from "./packed.js";
import { part } from "./parts.js";
import { enter } from "./rail.js";
import { drawResult } from "./results.js";
import { sightglass } from "./store.js";
import { confidence, figure, percent, remaining } from "./words.js";
import { workingPane } from "./working.js";

/** @import { Box, Grid, Heat, Pane as Told, Picture, Size, Status } from "./types.js" */
/** An answer, or why there is none: only some of what is told then. @typedef {Partial<Told>} Shown */

const { element } = await part("viewer");
const view = sightglass.view;
let welcomed = false; // whether the sentence of welcome was put away
const panesBox = element.querySelector(".panes");
const FINE = 64; // cells of a side from which a map is grainy; it is outlined over blocks, or there would be no regions
const BLOCKS = 20;
const SMOOTH = 112; // cells that a map is interpolated to before it is outlined
const SHARPEST = 1100; // pixels of the longer side of a drawn heat
const hold = link("Hold to see the picture", () => {}, { id: "plain" });
/** @type {Pane[]} */
const panes = [];

class Pane {
  /** What it shows, as it is told. @type {Shown | null} */
  told = null;
  /** @type {Heat | null} */
  map = null;
  /** @type {Grid | null} */
  truth = null;
  /** @type {Picture | null} */
  size = null;
  key = "";
  drawnAt = 0;

  /** @param {number} number */
  constructor(number) {
    this.image = h("img", { alt: "", draggable: "false" });
    this.heat = h("canvas", { class: "heat", "aria-hidden": "true" });
    this.lines = h("canvas", { class: "lines", "aria-hidden": "true" });
    this.tip = h("output", { class: "tip", hidden: true });
    this.dot = h("span", { class: "dot", hidden: true });
    this.card = h("div", { class: "card", hidden: true });
    this.frame = h(
      "div",
      { class: "frame", role: "img", tabindex: "0" },
      this.image,
      this.heat,
      this.lines,
      this.dot,
      this.tip,
      this.card,
    );
    this.caption = h("figcaption");
    this.legend = h("div", { class: "legend" });
    this.foot = h("div", { class: "foot" }, this.legend);
    this.other = h("div", { class: "drawn-kind", role: "img" }); // a result that is no heat takes the frame's place
    this.root = h("figure", { class: "pane", "data-pane": number }, this.frame, this.other, this.caption, this.foot);
    this.frame.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => point(this, event));
    this.frame.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => point(this, event));
    this.frame.addEventListener("pointerleave", () => point(null));
    new ResizeObserver(() => {
      if (this.frame.clientWidth !== this.drawnAt) this.draw();
    }).observe(this.frame);
  }

  /** @param {Shown | null} told @param {Picture | null} picture */
  show(told, picture) {
    this.told = told;
    const heat = ink.native(told);
    this.map = heat && ink.unpack(heat);
    this.truth = told?.truth ? bits(told.truth) : null;
    if (picture && this.key !== picture.key) {
      this.key = picture.key;
      this.image.src = picture.src;
      this.image.decode?.().then(
        () => this.frame.classList.add("drawn"),
        () => {},
      );
    }
    this.size = picture;
    if (picture) this.frame.style.setProperty("--aspect", picture.width / picture.height);
    this.card.hidden = !told?.refusal;
    if (told?.refusal) refuse(this.card, told);
    this.frame.setAttribute("aria-label", told?.alt ?? "No map");
    this.frame.dataset.ready = this.map ? told?.method : "";
    this.showOther(heat ? null : told, picture);
    this.draw();
  }

  /** @param {Shown | null} told @param {Picture | null} picture */
  showOther(told, picture) {
    const result = told?.result;
    this.frame.hidden = Boolean(result);
    const { method, alt = "", box } = told ?? {};
    this.other.dataset.ready = result ? method : "";
    this.other.setAttribute("aria-label", alt);
    if (!result) return this.other.replaceChildren();
    drawResult(this.other, { result, alt, box }, picture);
    this.legend.replaceChildren();
    this.captioned();
  }

  /** The value of the strongest color. */
  top() {
    if (this.told?.top) return this.told.top;
    const [first, second] = panes;
    if (view.common && first?.map && second?.map && comparable(first.told, second.told))
      return Math.max(first.map.top, second.map.top);
    return this.map?.top ?? 0;
  }

  draw() {
    const box = this.frame.getBoundingClientRect();
    const pen = this.lines.getContext("2d");
    if (!this.size || !box.width) return;
    this.drawnAt = this.frame.clientWidth;
    const sharp = Math.min(window.devicePixelRatio || 1, SHARPEST / Math.max(box.width, box.height));
    const width = Math.max(1, Math.round(box.width * sharp));
    const height = Math.max(1, Math.round(box.height * sharp));
    Object.assign(this.heat, { width, height });
    const dense = window.devicePixelRatio || 1;
    Object.assign(this.lines, { width: Math.round(box.width * dense), height: Math.round(box.height * dense) });
    pen.scale(dense, dense);
    this.captioned();
    const { map, told } = this;
    if (!map || !told?.box) return;
    const signed = Boolean(told.signed);
    const values = laid(map, width, height, shrunk(told.box, this.size, width, height), !view.cells);
    if (map.top) ink.ink(this.heat, values, { signed, sign: view.sign, top: this.top() });
    const [left, top, right, bottom] = told.box;
    const { width: wide, height: high } = this.size;
    const cropped = left > 0.5 || top > 0.5 || wide - right > 0.5 || high - bottom > 0.5;
    this.drawLines(pen, map, shrunk(told.box, this.size, box.width, box.height), {
      width: box.width,
      height: box.height,
      cropped,
    });
    this.drawLegend(map, told, signed);
  }

  /**
   * What the network saw, what holds most of the heat, and what truly decides.
   * @param {CanvasRenderingContext2D} pen
   * @param {Heat} map
   * @param {Box} seen in pixels of the canvas, as its size
   * @param {Size & { cropped: boolean }} about whether the network did not see all
   */
  drawLines(pen, map, [x0, y0, x1, y1], { width, height, cropped }) {
    if (cropped) {
      pen.setLineDash([4, 3]);
      stroke(pen, () => pen.rect(x0 + 0.5, y0 + 0.5, x1 - x0 - 1, y1 - y0 - 1), 1, "rgba(255,255,255,.75)");
      pen.setLineDash([]);
    }
    if (view.outline && map.top) {
      const fine = Math.max(map.width, map.height);
      const { values, width: columns, height: rows } = outlined(map, fine);
      const [w, hgt] = [(x1 - x0) / columns, (y1 - y0) / rows];
      const trace = (/** @type {number} */ mass, /** @type {number} */ weight, /** @type {string} */ color) => {
        const lines = outline(values, columns, rows, threshold(values, mass));
        stroke(
          pen,
          () =>
            lines.forEach(
              ([a, b, c, d]) => (pen.moveTo(x0 + a * w, y0 + b * hgt), pen.lineTo(x0 + c * w, y0 + d * hgt)),
            ),
          weight,
          color,
        );
      };
      if (fine <= FINE) trace(0.9, 0.75, "rgba(255,255,255,.5)");
      trace(0.5, 1.5, "rgba(255,255,255,.95)");
    }
    if (view.truth && this.truth) {
      const lines = outline(this.truth.values, this.truth.width, this.truth.height, 0.5);
      const [w, hgt] = [width / this.truth.width, height / this.truth.height];
      stroke(
        pen,
        () => lines.forEach(([a, b, c, d]) => (pen.moveTo(a * w, b * hgt), pen.lineTo(c * w, d * hgt))),
        1.75,
        "#58e0b4",
      );
    }
  }

  /** @param {Heat} map @param {Shown} told @param {boolean} signed */
  drawLegend(map, told, signed) {
    const top = this.top();
    const low = signed ? `−${figure(top)}` : "0";
    const beyond = map.most > 1.02 * top ? " or more" : ""; // the strongest color is shared
    const high = `${signed ? "+" : ""}${figure(top)}${beyond},`;
    const common = panes.length > 1 && comparable(panes[0].told, panes[1].told) && view.common;
    this.legend.replaceChildren(
      ...(told.blank
        ? [h("span", {}, "The map is zero everywhere.")]
        : [
            h("span", { class: "low" }, low),
            h("span", { class: signed ? "ramp signed" : "ramp" }, ink.bar(signed), signed ? h("i", {}, "0") : null),
            h("span", {}, `${beyond ? high : high.slice(0, -1)} ${told.unit}`),
            panes.length > 1 ? h("span", { class: "scale" }, common ? "common scale" : "own scale") : null,
          ].filter(Boolean)),
    );
  }

  captioned() {
    if (panes.length < 2 || !this.told) return this.caption.replaceChildren();
    const { told } = this;
    const share = ` ${confidence(told)}`;
    this.caption.replaceChildren(
      h("b", {}, told.title ?? ""),
      h("span", {}, `${told.target ?? ""}${share}`),
      h("span", { class: "quiet" }, told.model ?? ""),
    );
  }
}

/**
 * The size of a heat on a grid that gives regions: coarse maps interpolated, grainy ones averaged first.
 * @param {Heat} map
 * @param {number} fine cells of its longer side
 */
function outlined(map, fine) {
  const only = (/** @type {number} */ value) =>
    view.sign === "lowers" ? Math.min(0, value) : view.sign === "raises" ? Math.max(0, value) : value;
  const resized = (/** @type {Grid} */ grid, /** @type {number} */ longer) => {
    const { width, height } = fitted(map, longer);
    return { width, height, values: laid(grid, width, height, [0, 0, width, height]) };
  };
  const sizes = { ...map, values: map.values.map((value) => Math.abs(only(value))) };
  return resized(fine > FINE ? resized(sizes, BLOCKS) : sizes, SMOOTH);
}

/** Whether one color can mean one value on both. @param {Shown | null} a @param {Shown | null} b */
function comparable(a, b) {
  return (
    a &&
    b &&
    !a.refusal &&
    !b.refusal &&
    a.model === b.model &&
    a.method === b.method &&
    a.unit === b.unit &&
    a.signed === b.signed
  );
}

/**
 * A bright line with a dark rim, to be seen on any picture.
 * @param {CanvasRenderingContext2D} pen
 * @param {() => void} path
 * @param {number} width
 * @param {string} color
 */
function stroke(pen, path, width, color) {
  for (const { weight, color: ink_ } of [
    { weight: width + 1.5, color: "rgba(0,0,0,.35)" },
    { weight: width, color },
  ]) {
    pen.beginPath();
    path();
    pen.lineWidth = weight;
    pen.strokeStyle = ink_;
    pen.stroke();
  }
}

/**
 * The same place on every pane and on every small map; the value there and the share of all that its cell holds.
 * @param {Pane | null} pane
 * @param {PointerEvent} [event]
 */
function point(pane, event) {
  sightglass.emit("point", pane && event && placeIn(pane.frame, event), pane);
}
sightglass.on("point", (place, from) => {
  for (const each of panes) {
    const { map, told, size } = each;
    const box = told?.box;
    const inside = place && map && box && size;
    each.tip.hidden = !inside;
    each.dot.hidden = !inside || each === from;
    if (!inside) continue;
    each.tip.textContent = ink.told(map, box, size, place);
    for (const mark of [each.tip, each.dot]) {
      mark.style.left = `${100 * place.x}%`;
      mark.style.top = `${100 * place.y}%`;
    }
    each.tip.classList.toggle("leftward", place.x > 0.6);
    each.tip.classList.toggle("below", place.y < 0.14);
  }
});

/** @param {HTMLElement} card @param {Shown} told */
function refuse(card, told) {
  const offers = sightglass.others(told.method).slice(0, 2);
  card.replaceChildren(
    h("p", {}, told.refusal),
    offers.length > 0
      ? h(
          "p",
          { class: "offers" },
          offers.map((fit) =>
            h(
              "button",
              { type: "button", onclick: () => sightglass.ask({ method: fit.id, options: {}, beside: {} }) },
              fit.title,
            ),
          ),
        )
      : "",
  );
}

function render() {
  const { answer, picture, question } = sightglass;
  const two = sightglass.comparing;
  const refusal = answer?.refusal;
  const told =
    refusal?.kind === "does not apply"
      ? [{ refusal: refusal.sentence, method: refusal.method }]
      : (answer?.panes ?? []);
  while (panes.length < (two ? 2 : 1)) panes.push(new Pane(panes.length));
  panes.length = two ? 2 : 1;
  panesBox.dataset.count = panes.length;
  if (panesBox.childElementCount !== panes.length) panesBox.replaceChildren(...panes.map((pane) => pane.root));
  panes.forEach((pane, i) => pane.show((i ? null : workingPane()) ?? told[i] ?? null, picture));
  if (two) panes[0].draw(); // a common scale is known once both have come
  panesBox.style.setProperty("--opacity", view.opacity);
  element.querySelector(".stage").style.setProperty("--aspect", picture ? picture.width / picture.height : 1);
  element.querySelector(".stage").classList.toggle("refused", Boolean(told[0]?.refusal));
  welcome(question);
  tools();
  const comparing = element.querySelector(".comparing");
  renderComparing(comparing);
  if (two) comparing.append(hold);
  else panes[0].foot.prepend(hold);
}

/** @param {import("./types.js").Question} question */
function welcome(question) {
  const line = element.querySelector(".welcome");
  if (!line.firstElementChild.hasChildNodes()) line.firstElementChild.append(...greeting());
  let away = welcomed;
  try {
    away ||= Boolean(sessionStorage.getItem("sightglass.welcomed"));
  } catch {
    /* storage may be blocked in a frame */
  }
  line.hidden = Boolean(away) || sightglass.embedded || question.scene !== sightglass.catalogue.welcome;
}

function greeting() {
  const { catalogue } = sightglass;
  const way = "Click another class, or bring your own picture.";
  if (!catalogue.welcome.startsWith("photo:"))
    return [
      `A creature from a pond that lives inside this page, and why a small network calls it what it calls it. ${way}`,
    ];
  return [
    `A photograph, and why a real network with a thousand classes calls it what it calls it. ${way} `,
    h("button", { type: "button", class: "link", "data-act": "pond" }, "In the pond, the truth is known."),
  ];
}

// Controls that ask nothing of the server; built anew only when what there is to control has changed.
let drawn = "";
function tools() {
  const told = sightglass.current();
  // What is about heat has nothing to say of other results.
  const heated = panes.some((pane) => pane.map) || !told;
  element.querySelector(".tools").hidden = hold.hidden = !heated;
  const kind = JSON.stringify([
    told?.signed,
    Boolean(told?.truth),
    panes.length,
    view.wipe,
    panes.length > 1 && comparable(panes[0].told, panes[1].told),
  ]);
  if (kind === drawn) return;
  drawn = kind;
  const ticked = (/** @type {keyof typeof view} */ name, /** @type {string} */ words, /** @type {string} */ title) =>
    tick(words, Boolean(view[name]), (on) => set(name, on), { name, title });
  const { sequential } = sightglass.catalogue;
  const palettes = sequential.map((name) => [name, name]);
  const percents = { min: 0, max: 100 };
  const signs = { both: "both", raises: "raises", lowers: "lowers" };
  element.querySelector(".tools").replaceChildren(
    h(
      "label",
      { class: "slider" },
      "Opacity",
      range({ id: "opacity", ...percents, value: Math.round(100 * view.opacity) }, (share) =>
        set("opacity", share / 100),
      ),
    ),
    told?.signed
      ? choice(signs, view.sign, (sign) => set("sign", sign), "Sign", { data: "sign" })
      : h(
          "label",
          { class: "colors" },
          "Colors",
          menu(palettes, view.colors, (name) => set("colors", name), { id: "colors" }),
        ),
    ticked("outline", "outline of half the heat", "The smallest region with half of the heat; thin: with 90 %"),
    ticked("cells", "cells", "The method's own cells, without smoothing"),
    told?.truth ? ticked("truth", "what decides", "The parts of the creature that decide, as the pond drew them") : "",
    panes.length > 1 && comparable(panes[0].told, panes[1].told)
      ? ticked("common", "common scale", "One color means one value on both maps")
      : "",
    ticked("wipe", "wipe", "The heat on one side of a line only"),
    view.wipe
      ? h(
          "label",
          { class: "slider" },
          range({ id: "wipe", ...percents, value: 50, "aria-label": "Where the heat begins" }, (share) =>
            panesBox.style.setProperty("--wipe", `${share}%`),
          ),
        )
      : "",
  );
}

/** @param {keyof typeof view} name @param {string | number | boolean} value */
function set(name, value) {
  Object.assign(view, { [name]: value });
  if (name === "opacity") return panesBox.style.setProperty("--opacity", value);
  if (name === "wipe") panesBox.classList.toggle("wiped", value);
  panes.forEach((pane) => pane.draw());
  element
    .querySelectorAll("[data-sign]")
    .forEach((/** @type {HTMLElement} */ button) =>
      button.setAttribute("aria-pressed", String(button.dataset.sign === view.sign)),
    );
  tools();
}

/** @param {boolean} on */
export function plain(on) {
  panesBox.classList.toggle("plain", on);
}
hold.addEventListener("pointerdown", () => plain(true));
for (const kind of ["pointerup", "pointerleave", "blur", "keyup"]) hold.addEventListener(kind, () => plain(false));
hold.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  plain(true);
});

const SLOW = 1; // seconds before the page says what takes so long
function status() {
  const { state, seconds = 0, network, sentence, done = 0 } = sightglass.status;
  const box = element.querySelector(".progress");
  const busy = sightglass.busy();
  const told = !busy && ["error", "stopped"].includes(state) && Boolean(sentence);
  panesBox.classList.toggle("waiting", busy && Boolean(sightglass.answer));
  panesBox.setAttribute("aria-busy", String(busy));
  const known = busy && done > 0 && done < 1; // how much of the work is behind the map that is shown
  const kept = state === "stopped" && sightglass.status.done != null && done < 1;
  box.classList.toggle("known", known || kept);
  box.style.setProperty("--done", `${100 * done}%`);
  box.classList.toggle("busy", busy || kept);
  box.classList.toggle("told", told);
  const slow = state === "loading" || (state === "working" && seconds >= SLOW);
  box.classList.toggle("slow", slow);
  const past = seconds >= SLOW ? ` ${Math.round(seconds)} s.` : "";
  /** @type {Record<string, string>} */
  const words = {
    loading: `Fetching and building ${network}.${past}`,
    working: known ? `${percent(done)} done${remaining(seconds, done)}.` : `Working.${past}`,
  };
  box.querySelector(".words").textContent = told ? sentence : (words[state] ?? "");
  if (state === "asking") waiting(sightglass.status);
}
/** @param {Status} status_ */
function waiting(status_) {
  setTimeout(() => {
    if (sightglass.status !== status_) return;
    const box = element.querySelector(".progress");
    box.classList.add("slow");
    box.querySelector(".words").textContent = "Waiting for a free place.";
  }, 1500 * SLOW);
}

element.addEventListener("click", (/** @type {any} */ event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act === "stop") sightglass.stop();
  if (act === "dismiss") element.querySelector(".progress").classList.remove("told");
  if (act === "pond") enter();
  if (act === "welcome") {
    welcomed = true;
    try {
      sessionStorage.setItem("sightglass.welcomed", "1");
    } catch {
      /* storage may be blocked in a frame */
    }
    element.querySelector(".welcome").hidden = true;
  }
});
sightglass.on("answer", render);
sightglass.on("picture", render);
sightglass.on("compare", render);
sightglass.on("working", render);
sightglass.on("stage", () => {
  const { top, bottom } = element.querySelector(".table").getBoundingClientRect();
  if (top < -40 || bottom > innerHeight + 400) element.scrollIntoView({ behavior: still() ? "auto" : "smooth" });
});
sightglass.on("status", status);
render();
