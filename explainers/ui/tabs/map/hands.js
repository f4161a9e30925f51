// What hands do on the map: drag, pinch, turn the wheel, press keys, point, pick, and draw a line around points.
import { h } from "../../static/elements.js";
import { at, element } from "./at.js";
import * as camera from "./camera.js";
import { pick } from "./column.js";
import { all, only } from "./filters.js";
import { call, known, lit, name, state, sure, titled } from "./gallery.js";
import { draw, fit, lasso, size } from "./scene.js";
import { thumb } from "./thumbs.js";

const REACH = { mouse: 14, touch: 24 }; // pixels from a point that still mean it
const STILL = 6; // pixels that a finger may move and still have clicked

/** By pointer, where it was last. @type {Map<number, number[]>} */
const fingers = new Map();
let moved = 0;
/** The line being drawn; null where none is. @type {number[][] | null} */
let line = null;
let drawing = false; // whether the next drag is one

/** @param {MouseEvent} event */
const pixel = ({ clientX, clientY }) => {
  const { left, top } = at.over.getBoundingClientRect();
  return [clientX - left, clientY - top];
};
/** @param {number} factor @param {number[]} place */
function zoom(factor, place) {
  camera.zoom(factor, place, size());
  draw();
}
/** @param {(event: any) => void} act */
const onMap = (act) => (/** @type {any} */ event) => state.map && act(event);

at.over.addEventListener(
  "pointerdown",
  onMap((event) => {
    at.over.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, pixel(event));
    moved = 0;
    if (event.shiftKey || drawing) line = [];
  }),
);
at.over.addEventListener(
  "pointermove",
  onMap((event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return hover(event);
    at.tip.hidden = true;
    const now = pixel(event);
    const [dx, dy] = [now[0] - last[0], now[1] - last[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (line) {
      line.push(now);
      lasso(line);
    } else if (other && fingers.size === 2) {
      const apart = (/** @type {number[]} */ [x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
      zoom(apart(now) / apart(last), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else {
      camera.view.x -= dx / camera.view.k;
      camera.view.y -= dy / camera.view.k;
    }
    fingers.set(event.pointerId, now);
    draw();
  }),
);
for (const ending of ["pointerup", "pointercancel"])
  at.over.addEventListener(ending, (/** @type {PointerEvent} */ event) => {
    if (!fingers.delete(event.pointerId) || !state.map) return;
    if (line) return caught(line);
    if (moved > STILL || ending === "pointercancel") return;
    const reach = event.pointerType === "touch" ? REACH.touch : REACH.mouse;
    const number = camera.nearest(pixel(event), size(), reach, lit);
    if (number != null) pick(number);
  });
at.over.addEventListener("pointerleave", () => (at.tip.hidden = true));
at.over.addEventListener(
  "wheel",
  onMap((event) => {
    event.preventDefault();
    zoom(1.0016 ** -event.deltaY, pixel(event));
  }),
  { passive: false },
);
at.over.addEventListener(
  "dblclick",
  onMap((event) => zoom(2, pixel(event))),
);
at.over.addEventListener(
  "keydown",
  onMap((event) => {
    const { view } = camera;
    const { width, height } = size();
    const middle = [width / 2, height / 2];
    const step = 60 / view.k;
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowLeft: () => (view.x -= step),
      ArrowRight: () => (view.x += step),
      ArrowUp: () => (view.y -= step),
      ArrowDown: () => (view.y += step),
      "+": () => zoom(1.3, middle),
      "-": () => zoom(1 / 1.3, middle),
      Escape: () => (arm(false), all()),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
    draw();
  }),
);

/** @param {PointerEvent} event */
function hover(event) {
  const [x, y] = pixel(event);
  const { width, height } = size();
  const number = camera.nearest([x, y], { width, height }, REACH.mouse, lit);
  at.tip.hidden = number == null;
  if (number == null) return;
  const { wrong } = known();
  const right = wrong ? (wrong[number] ? ", wrong" : ", right") : "";
  at.tip.replaceChildren(
    thumb(number),
    h(
      "div",
      {},
      h("b", {}, titled(number)),
      h("br"),
      call(number) ? [`called ${call(number)}`, h("br"), `${sure(number)} sure${right}`] : null,
      h("div", { class: "quiet" }, name(number)),
    ),
  );
  at.tip.style.left = `${Math.min(x + 14, width - 250)}px`;
  at.tip.style.top = `${Math.min(y + 14, height - 100)}px`;
}

/** @param {number[][]} around */
function caught(around) {
  line = null;
  lasso([]);
  arm(false);
  if (around.length < 4) return;
  const seen = size();
  only((i) => camera.inside(around, camera.screen(camera.where(i), seen)), "in the line");
}

/** Whether the next drag draws a line. @param {boolean} on */
function arm(on) {
  drawing = on;
  at.over.classList.toggle("drawing", on);
  button.setAttribute("aria-pressed", String(on));
}
const button = element.querySelector("[data-act=lasso]");
button.addEventListener(
  "click",
  onMap(() => arm(!drawing)),
);
element.querySelector("[data-act=fit]").addEventListener("click", onMap(fit));
