// What takes a while to find out: a film through the network, groups, how much of a map is chance, digits three ways.
import { entries, link } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { floats, shorts } from "../../static/packed.js";
import { sightglass } from "../../static/store.js";
import { percent } from "../../static/words.js";
import { at, element, props } from "./at.js";
import * as camera from "./camera.js";
import { offer, only, recolor } from "./filters.js";
import { hues, known, state } from "./gallery.js";
import { busy, fit, move, written } from "./scene.js";
import { thumb } from "./thumbs.js";

/** @import { Frame, Group, Layout } from "./types.js" */

const PAUSE = 1500; // milliseconds that a frame of the film stands
const MOST = 20; // groups that may be asked for
const IN_A_ROW = 4; // pictures of a group that are shown
const SMALL = 480; // pixels of a map of digits, and of one that fills the page
const LARGE = 900;

/**
 * Asks for what the buttons of this file ask for, of the map in sight.
 * @param {string} work
 * @param {Record<string, any>} more
 * @param {(words: string) => void} say
 * @param {(told: any) => void} done
 */
function find(work, more, say, done) {
  const { gallery, place, kind } = known();
  sightglass.run("map", work, { gallery, place, kind, ...more }, (told) => {
    if (told.state === "error") say(told.sentence);
    if (told.share && told.state === "working") say(`${percent(told.share)} …`);
    if (told.state === "done") done(told);
  });
}

// --- groups

at.by.append(...entries(Object.entries(props.about.ways), null));
const counts = Array.from({ length: MOST - 1 }, (_, i) => [String(i + 2), `${i + 2} groups`]);
at.count.append(...entries([["0", "best number"], ...counts], null));

function groups() {
  at.groupsSay.textContent = "…";
  const say = (/** @type {string} */ words) => (at.groupsSay.textContent = words);
  find("groups", { by: at.by.value, count: Number(at.count.value) }, say, (told) => {
    state.groups = { ...told, of: shorts(told.of) };
    say(told.sentence);
    at.groups.replaceChildren(...told.groups.map(row));
    state.color = "group";
    offer();
    recolor();
  });
}

/** @param {Group} group @param {number} place */
function row({ words, size, middle }, place) {
  const gather = () => only((i) => state.groups?.of[i] === place, `in group ${place + 1}`);
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", onclick: gather },
      middle.map(thumb),
      Array.from({ length: IN_A_ROW - middle.length }, () => h("span")),
      h("span", {}, words.replace(/^group \d+: /, ""), h("span", { class: "quiet" }, ` (${size})`)),
    ),
  );
}

// --- how much of it is chance

function steady() {
  at.steady.textContent = "…";
  const say = (/** @type {string} */ words) => (at.steady.textContent = words);
  find("steady", {}, say, ({ sentence }) => say(sentence));
}

// --- the film

function film() {
  busy(0.05);
  sightglass.run("map", "depths", { gallery: known().gallery }, (told) => {
    if (told.share) busy(told.share);
    if (told.state === "error") return sightglass.emit("map:refused", told.sentence);
    if (told.state === "done") play(told.frames);
  });
}

/** @param {Frame[]} frames */
function play(frames) {
  busy(null);
  const { here, points, places, place, caveats, notes } = known();
  const words = places.find(({ id }) => id === place)?.words ?? "";
  known().here = null;
  const shown = (/** @type {string} */ packed, /** @type {string} */ place, /** @type {string} */ caveat) => {
    move(packed, { first: false });
    fit();
    for (const button of at.places.children) button.setAttribute("aria-pressed", String(button.textContent === place));
    at.caveat.textContent = caveat;
  };
  const step = (/** @type {number} */ number) => {
    if (!state.map || sightglass.tab !== "map") return;
    const frame = frames[number];
    if (frame) {
      const right = frame.right == null ? "" : `: ten neighbors name the label rightly for ${percent(frame.right)}`;
      shown(frame.points, frame.words, `${frame.words}${right}. Each map is turned onto the last one.`);
      setTimeout(() => step(number + 1), PAUSE);
    } else {
      state.map.here = here;
      shown(points, words, [...caveats, ...notes].join(" "));
    }
  };
  step(0);
}

// --- digits, three ways

at.digitsBox.addEventListener("toggle", () => {
  if (!at.digitsBox.open || at.three.childElementCount) return;
  at.three.replaceChildren(h("p", { class: "quiet" }, "…"));
  sightglass.run("map", "digits", {}, (told) => {
    if (told.state === "error") at.three.replaceChildren(h("p", {}, told.sentence));
    if (told.state !== "done") return;
    const of = shorts(told.label);
    const figures = (/** @type {number} */ side) =>
      told.maps.map((/** @type {Layout} */ { words, points, right }) => {
        const canvas = h("canvas", { width: side, height: side, role: "img", "aria-label": `Digits by ${words}` });
        still(canvas, floats(points), of, told.labels);
        const said = `neighbors name ${percent(right)} rightly`;
        return h("figure", {}, canvas, h("figcaption", {}, h("b", {}, words), h("br"), said));
      });
    at.three.replaceChildren(...figures(SMALL));
    at.three.onclick = () => {
      const dialog = h(
        "dialog",
        { class: "large", onclose: () => dialog.remove() },
        h("div", { class: "three" }, figures(LARGE)),
        h(
          "p",
          {},
          link("close", () => dialog.close()),
        ),
      );
      element.querySelector(".chart").append(dialog);
      dialog.showModal();
    };
  });
});

/**
 * A map that stands still, with each word at the middle of its points.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} points
 * @param {Int16Array} of
 * @param {string[]} words
 */
function still(canvas, points, of, words) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const side = canvas.width;
  const all = hues();
  const ranges = [0, 1].map((axis) => camera.range(points, axis));
  const scale = (side * 0.92) / Math.max(...ranges.map(([low, high]) => high - low));
  const spots = points.map((value, i) => (value - (ranges[i % 2][0] + ranges[i % 2][1]) / 2) * scale + side / 2);
  pen.globalAlpha = 0.75;
  for (let i = 0; i < of.length; i++) {
    pen.fillStyle = all[of[i] % 10];
    pen.beginPath();
    pen.arc(spots[2 * i], spots[2 * i + 1], side / 190, 0, 7);
    pen.fill();
  }
  const style = getComputedStyle(document.body);
  const [ink, ground] = ["--ink", "--ground"].map((each) => style.getPropertyValue(each));
  for (const [value, word] of words.entries()) {
    const own = [...of.keys()].filter((i) => of[i] === value);
    written(pen, word, camera.middle(spots, own), { ink, ground, font: side / 20, rim: side / 80 });
  }
}

for (const [name, act] of Object.entries({ groups, steady, film }))
  element.querySelector(`[data-act=${name}]`).addEventListener("click", () => state.map && act());
