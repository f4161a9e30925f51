// Knows how a heat is looked at: one or two panes that share opacity, colors, sign, outlines and the place pointed at.
import { renderComparing } from "./compare.js";
import { outline, threshold } from "./contours.js";
import { h } from "./elements.js";
import * as ink from "./heat.js";
import { laid } from "./framing.js";
import { bits } from "./packed.js";
import { part } from "./parts.js";
import { enter } from "./rail.js";
import { drawResult } from "./results.js";
import { sightglass } from "./store.js";
import { confidence, figure, percent, remaining } from "./words.js";
import { workingPane } from "./working.js";

/** @import { Grid } from "./types.js" */

const { element } = await part("viewer");
const view = sightglass.view;
let welcomed = false; // whether the sentence of welcome was put away
const panesBox = element.querySelector(".panes");
const FINE = 64; // cells of a side from which a map is grainy; it is outlined over blocks, or there would be no regions
const BLOCKS = 20;
const SMOOTH = 112; // cells that a map is interpolated to before it is outlined
const SHARPEST = 1100; // pixels of the longer side of a drawn heat
const hold = h("button", { type: "button", class: "link", id: "plain" }, "Hold to see the picture");
const panes = [];

class Pane {
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
    this.frame.addEventListener("pointermove", (event) => point(this, event));
    this.frame.addEventListener("pointerdown", (event) => point(this, event));
    this.frame.addEventListener("pointerleave", () => point(null));
    new ResizeObserver(() => {
      if (this.frame.clientWidth !== this.drawnAt) this.draw();
    }).observe(this.frame);
  }

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
    this.frame.dataset.ready = this.map ? told.method : "";
    this.showOther(heat ? null : told, picture);
    this.draw();
  }

  showOther(told, picture) {
    const result = told?.result;
    this.frame.hidden = Boolean(result);
    this.other.dataset.ready = result ? told.method : "";
    this.other.setAttribute("aria-label", told?.alt ?? "");
    if (!result) return this.other.replaceChildren();
    drawResult(this.other, told, picture);
    this.legend.replaceChildren();
    this.captioned();
  }

  top() {
    if (this.told.top) return this.told.top;
    const [first, second] = panes;
    const common = view.common && second?.map && first?.map && comparable(first.told, second.told);
    return common ? Math.max(first.map.top, second.map.top) : this.map.top;
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
    if (!this.map) return;
    const across = width / this.size.width;
    const down = height / this.size.height;
    const seen = this.told.box.map((edge, i) => edge * (i % 2 ? down : across));
    this.values = laid(this.map, width, height, seen, !view.cells);
    if (this.map.top) ink.ink(this.heat, this.values, { signed: this.told.signed, sign: view.sign, top: this.top() });
    this.drawLines(pen, box.width, box.height);
    this.drawLegend();
  }

  drawLines(pen, width, height) {
    const [x0, y0, x1, y1] = this.told.box;
    const across = width / this.size.width;
    const down = height / this.size.height;
    if (x0 > 0.5 || y0 > 0.5 || this.size.width - x1 > 0.5 || this.size.height - y1 > 0.5) {
      pen.setLineDash([4, 3]);
      stroke(
        pen,
        () => pen.rect(x0 * across + 0.5, y0 * down + 0.5, (x1 - x0) * across - 1, (y1 - y0) * down - 1),
        1,
        "rgba(255,255,255,.75)",
      );
      pen.setLineDash([]);
    }
    if (view.outline && this.map.top) {
      const fine = Math.max(this.map.width, this.map.height);
      const { values, columns, rows } = this.outlined(fine);
      const [w, hgt] = [((x1 - x0) * across) / columns, ((y1 - y0) * down) / rows];
      const trace = (mass, weight, color) => {
        const lines = outline(values, columns, rows, threshold(values, mass));
        stroke(
          pen,
          () =>
            lines.forEach(
              ([a, b, c, d]) => (
                pen.moveTo(x0 * across + a * w, y0 * down + b * hgt),
                pen.lineTo(x0 * across + c * w, y0 * down + d * hgt)
              ),
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

  // The size of the heat on a grid that gives regions: coarse maps interpolated, grainy ones averaged first.
  outlined(fine) {
    const size = this.map.values.map((v) =>
      Math.abs(view.sign === "lowers" ? Math.min(0, v) : view.sign === "raises" ? Math.max(0, v) : v),
    );
    let map = /** @type {Grid} */ ({ ...this.map, values: size });
    const resized = (longer) => {
      const [columns, rows] = [this.map.width, this.map.height].map((side) =>
        Math.max(1, Math.round((side * longer) / fine)),
      );
      return { width: columns, height: rows, values: laid(map, columns, rows, [0, 0, columns, rows]) };
    };
    if (fine > FINE) map = resized(BLOCKS);
    map = resized(SMOOTH);
    return { values: map.values, columns: map.width, rows: map.height };
  }

  drawLegend() {
    const { told } = this;
    const top = this.top();
    const low = told.signed ? `−${figure(top)}` : "0";
    const beyond = this.map && this.map.most > 1.02 * top ? " or more" : ""; // the strongest color is shared
    const high = `${told.signed ? "+" : ""}${figure(top)}${beyond},`;
    const common = panes.length > 1 && comparable(panes[0].told, panes[1].told) && view.common;
    this.legend.replaceChildren(
      ...(told.blank
        ? [h("span", {}, "The map is zero everywhere.")]
        : [
            h("span", { class: "low" }, low),
            h(
              "span",
              { class: told.signed ? "ramp signed" : "ramp" },
              ink.bar(told.signed),
              told.signed ? h("i", {}, "0") : null,
            ),
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

// A bright line with a dark rim, to be seen on any picture.
function stroke(pen, path, width, color) {
  for (const [weight, ink_] of [
    [width + 1.5, "rgba(0,0,0,.35)"],
    [width, color],
  ]) {
    pen.beginPath();
    path();
    pen.lineWidth = weight;
    pen.strokeStyle = ink_;
    pen.stroke();
  }
}

// The same place on every pane and on every small map; the value there and the share of all that its cell holds.
function point(pane, event) {
  const box = pane?.frame.getBoundingClientRect();
  sightglass.emit(
    "point",
    box && { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height },
    pane,
  );
}
sightglass.on("point", (place, from) => {
  for (const each of panes) {
    const inside = place && each.map && each.size;
    each.tip.hidden = !inside;
    each.dot.hidden = !inside || each === from;
    if (!inside) continue;
    each.tip.textContent = ink.told(each.map, each.told.box, each.size, place);
    for (const mark of [each.tip, each.dot]) {
      mark.style.left = `${100 * place.x}%`;
      mark.style.top = `${100 * place.y}%`;
    }
    each.tip.classList.toggle("leftward", place.x > 0.6);
    each.tip.classList.toggle("below", place.y < 0.14);
  }
});

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
  const tick = (name, words, hint) =>
    h(
      "label",
      { title: hint },
      h("input", { type: "checkbox", name, checked: view[name], onchange: (event) => set(name, event.target.checked) }),
      words,
    );
  const { sequential } = sightglass.catalogue;
  element.querySelector(".tools").replaceChildren(
    h(
      "label",
      { class: "slider" },
      "Opacity",
      h("input", {
        type: "range",
        id: "opacity",
        min: 0,
        max: 100,
        value: Math.round(100 * view.opacity),
        oninput: (event) => set("opacity", event.target.value / 100),
      }),
    ),
    told?.signed
      ? h(
          "span",
          { class: "choice", role: "group", "aria-label": "Sign" },
          [
            ["both", "both"],
            ["raises", "raises"],
            ["lowers", "lowers"],
          ].map(([name, words]) =>
            h(
              "button",
              {
                type: "button",
                "aria-pressed": String(view.sign === name),
                "data-sign": name,
                onclick: () => set("sign", name),
              },
              words,
            ),
          ),
        )
      : h(
          "label",
          { class: "colors" },
          "Colors",
          h(
            "select",
            { id: "colors", onchange: (event) => set("colors", event.target.value) },
            sequential.map((name) => h("option", { value: name, selected: name === view.colors }, name)),
          ),
        ),
    tick("outline", "outline of half the heat", "The smallest region with half of the heat; thin: with 90 %"),
    tick("cells", "cells", "The method's own cells, without smoothing"),
    told?.truth ? tick("truth", "what decides", "The parts of the creature that decide, as the pond drew them") : "",
    panes.length > 1 && comparable(panes[0].told, panes[1].told)
      ? tick("common", "common scale", "One color means one value on both maps")
      : "",
    tick("wipe", "wipe", "The heat on one side of a line only"),
    view.wipe
      ? h(
          "label",
          { class: "slider" },
          "",
          h("input", {
            type: "range",
            id: "wipe",
            min: 0,
            max: 100,
            value: 50,
            "aria-label": "Where the heat begins",
            oninput: (event) => panesBox.style.setProperty("--wipe", `${event.target.value}%`),
          }),
        )
      : "",
  );
}

function set(name, value) {
  view[name] = value;
  if (name === "opacity") return panesBox.style.setProperty("--opacity", value);
  if (name === "wipe") panesBox.classList.toggle("wiped", value);
  panes.forEach((pane) => pane.draw());
  element
    .querySelectorAll("[data-sign]")
    .forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.sign === view.sign)));
  tools();
}

export function plain(on) {
  panesBox.classList.toggle("plain", on);
}
for (const [kind, on] of [
  ["pointerdown", true],
  ["pointerup", false],
  ["pointerleave", false],
  ["blur", false],
  ["keyup", false],
])
  hold.addEventListener(kind, () => plain(on));
hold.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  plain(true);
});

const SLOW = 1; // seconds before the page says what takes so long
function status() {
  const { state, seconds, network, sentence } = sightglass.status;
  const box = element.querySelector(".progress");
  const busy = sightglass.busy();
  const told = !busy && ["error", "stopped"].includes(state) && Boolean(sentence);
  panesBox.classList.toggle("waiting", busy && Boolean(sightglass.answer));
  panesBox.setAttribute("aria-busy", String(busy));
  const { done } = sightglass.status;
  const known = busy && done > 0 && done < 1; // how much of the work is behind the map that is shown
  const kept = state === "stopped" && done < 1;
  box.classList.toggle("known", known || kept);
  box.style.setProperty("--done", `${100 * (done ?? 0)}%`);
  box.classList.toggle("busy", busy || kept);
  box.classList.toggle("told", told);
  const slow = state === "loading" || (state === "working" && seconds >= SLOW);
  box.classList.toggle("slow", slow);
  const past = seconds >= SLOW ? ` ${Math.round(seconds)} s.` : "";
  const words = {
    loading: `Fetching and building ${network}.${past}`,
    working: known ? `${percent(done)} done${remaining(seconds, done)}.` : `Working.${past}`,
  };
  box.querySelector(".words").textContent = told ? sentence : (words[state] ?? "");
  if (state === "asking") waiting(sightglass.status);
}
function waiting(status_) {
  setTimeout(() => {
    if (sightglass.status !== status_) return;
    const box = element.querySelector(".progress");
    box.classList.add("slow");
    box.querySelector(".words").textContent = "Waiting for a free place.";
  }, 1500 * SLOW);
}

element.addEventListener("click", (event) => {
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
  if (top < -40 || bottom > innerHeight + 400)
    element.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
});
sightglass.on("status", status);
render();
