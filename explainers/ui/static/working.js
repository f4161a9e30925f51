// How a method comes to its map, step by step, from its own numbers; a slider moves through them on the stage.
import { link, range } from "./controls.js";
import { h, still } from "./elements.js";
import * as ink from "./heat.js";
import { part } from "./parts.js";
import { named, sightglass } from "./store.js";
import { signed } from "./words.js";

/** @import { Box, Heat, Packed, Pane } from "./types.js" */
/**
 * One stage of a working: its sentence, its map, and the numbers that go with it.
 * @typedef {{ sentence: string, heat: Packed, map: Heat, box: Box, signed: boolean, blank: boolean } & Sums} Step
 * @typedef {{ weight: number | null, total: number | null }} Sums
 */

const { element } = await part("viewer");
const box = element.querySelector(".working");
const PAUSE = 1600; // milliseconds between two steps while they play
let token = "";
/** @type {Step[]} */
let steps = []; // none while it is closed
/** @type {number[]} */
let tops = []; // for each step the value of the strongest color
let at = 0;
/** @type {ReturnType<typeof setInterval> | undefined} */
let playing;

export function showWorking() {
  if (steps.length) return close();
  token = named();
  sightglass.errands.work({ ...sightglass.question, method: sightglass.current()?.method, beside: {}, token });
}
sightglass.on("work", (told) => {
  if (told.token !== token) return;
  if (told.sentence) return sightglass.complain(told.sentence);
  if (!told.steps?.length) return;
  steps = told.steps.map((/** @type {Step} */ step) => ({ ...step, map: ink.unpack(step.heat), box: told.box }));
  // Sums that grow map by map share a scale, so that one sees them grow; a single map has its own, and so has what
  // comes when the many others are added at once, beside which the first few would not be seen at all.
  const single = (/** @type {Step} */ step) => step.weight != null && step.total == null;
  const last = steps.findLastIndex(single) + 1;
  const grows = (/** @type {Step} */ step, /** @type {number} */ i) => !single(step) && i <= last;
  const sums = Math.max(...steps.filter(grows).map((step) => step.map.top));
  tops = steps.map((step, i) => (grows(step, i) ? sums : step.map.top));
  draw();
  go(0);
  sightglass.emit("stage");
  box.querySelector("input")?.focus({ preventScroll: true });
});

function close() {
  play(false);
  token = "";
  steps = [];
  box.hidden = true;
  box.replaceChildren();
  sightglass.emit("working");
}
sightglass.on("question", () => (steps.length || token) && close());
box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && close());

// What the stage shows while the working is open: the step's map in the place of the last one.
export const isWorking = () => steps.length > 0;
/** @returns {Pane | null} */
export function workingPane() {
  const pane = sightglass.current();
  if (!steps.length || !pane) return null;
  const step = steps[at];
  return {
    ...pane,
    result: { kind: "heat", arrays: { native: step.heat } },
    box: step.box,
    signed: step.signed,
    blank: step.blank,
    top: tops[at],
    unit: "",
    alt: step.sentence,
  };
}

/** @param {number} next */
function go(next) {
  at = Math.max(0, Math.min(steps.length - 1, next));
  const step = steps[at];
  box.querySelector(".place").textContent = `Step ${at + 1} of ${steps.length}`;
  box.querySelector(".sentence").textContent = step.sentence;
  const range = box.querySelector("input");
  range.value = at;
  range.setAttribute("aria-valuetext", `Step ${at + 1} of ${steps.length}: ${step.sentence}`);
  // A sum belongs to what was just added.
  const marked = step.weight == null && steps[at - 1]?.weight != null ? at - 1 : at;
  for (const bar of box.querySelectorAll(".weights button"))
    bar.setAttribute("aria-current", String(Number(bar.dataset.step) === marked));
  const total = box.querySelector(".total");
  if (total) {
    const known = steps.slice(0, at + 1).findLast((each) => each.total != null)?.total ?? 0;
    const end = steps.findLast((each) => each.total != null)?.total ?? 0;
    total.querySelector("b").textContent = signed(known);
    total.style.setProperty("--share", `${Math.max(0, Math.min(100, (100 * known) / end || 0))}%`);
  }
  sightglass.emit("working");
  if (playing && at === steps.length - 1) play(false);
}

/** @param {boolean} on */
function play(on) {
  clearInterval(playing);
  playing = undefined;
  if (on) {
    if (at === steps.length - 1) go(0);
    playing = setInterval(() => go(at + 1), PAUSE);
  }
  const button = box.querySelector(".play");
  if (button) button.textContent = on ? "❚❚ Pause" : "▶ Play";
}

function draw() {
  const weights = steps.flatMap(({ weight }, i) => (weight == null ? [] : [{ weight, i }]));
  const most = Math.max(...weights.map(({ weight }) => Math.abs(weight))) || 1;
  const end = steps.findLast((step) => step.total != null)?.total;
  box.hidden = false;
  box.replaceChildren(
    ...[
      h("p", { class: "head" }, h("span", { class: "place quiet" }), link("Close the working", close)),
      h("p", { class: "sentence", "aria-live": "polite" }),
      h(
        "div",
        { class: "run" },
        still() ? null : link("▶ Play", () => play(!playing), { class: "link play" }),
        range(
          { id: "step", min: 0, max: steps.length - 1, step: 1, value: 0, "aria-label": "Step of the working" },
          (step) => (play(false), go(step)),
        ),
      ),
      h(
        "div",
        { class: "sums" },
        weights.length > 1 &&
          h(
            "div",
            { class: "weights", role: "group", "aria-label": "What each counts for" },
            h("span", { class: "quiet" }, "counts for"),
            weights.map(({ weight, i }) =>
              h(
                "button",
                {
                  type: "button",
                  "data-step": i,
                  title: signed(weight),
                  "aria-label": `Step ${i + 1}, counts for ${signed(weight)}`,
                  class: weight < 0 ? "lowers" : "",
                  style: `--size:${(100 * Math.abs(weight)) / most}%`,
                  onclick: () => (play(false), go(i)),
                },
                h("i"),
              ),
            ),
          ),
        end != null &&
          h(
            "p",
            { class: "total" },
            h("span", { class: "quiet" }, "adds up to"),
            h("b", {}),
            h("span", { class: "quiet" }, `of ${signed(end)}`),
            h("i", { "aria-hidden": "true" }),
          ),
      ),
    ].filter(Boolean),
  );
}
