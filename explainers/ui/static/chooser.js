// A list to choose methods from: families as groups, a search, what each takes, and why the rest does not apply.
import { link } from "./controls.js";
import { h } from "./elements.js";
import { part } from "./parts.js";
import { sightglass } from "./store.js";
import { effort } from "./words.js";

/** @import { Method } from "./types.js" */
/**
 * @typedef {{ many: number, chosen: Set<string>, without?: string, pick: Pick, anchor: HTMLElement | null }} Asked
 * @typedef {(ids: string[]) => void} Pick
 * @typedef {{ method: Method, rank: number, why: string }} Found
 */

const { element } = await part("reading");
const NARROW = 760; // pixels of a window in which the list takes all the width
const input = h("input", {
  type: "search",
  role: "combobox",
  "aria-expanded": "true",
  "aria-controls": "methods",
  "aria-autocomplete": "list",
  placeholder: "Search by name or question",
  "aria-label": "Search methods",
  spellcheck: "false",
  autocomplete: "off",
});
const list = h("div", { id: "methods", role: "listbox", "aria-label": "Methods" });
const foot = h("div", { class: "foot", hidden: true });
const popover_ = h(
  "div",
  { class: "chooser", popover: "auto", tabindex: "-1", "aria-label": "Choose a method" },
  h("div", { class: "search" }, input),
  list,
  foot,
);
element.append(popover_);
/** Who wants to know, and what is chosen already. @type {Asked} */
let asked = { many: 1, chosen: new Set(), pick: () => {}, anchor: null };
/** What the keys move through. @type {HTMLElement[]} */
let rows = [];
let at = -1;
let closed = { by: /** @type {HTMLElement | null} */ (null), when: 0 };

/**
 * `chosen` are ids, `many` how many may be chosen; `pick` gets ids. Without `anchor`, the method on the stage is asked.
 * @param {{ anchor?: HTMLElement, many?: number, chosen?: string[], without?: string, pick?: Asked["pick"] }} wanted
 */
export function choose(wanted = {}) {
  const anchor = wanted.anchor ?? document.getElementById("method");
  if (!anchor || !sightglass.answer) return;
  // This very click has closed it.
  if (wanted.anchor && closed.by === anchor && performance.now() - closed.when < 250) return;
  asked = {
    many: 1,
    pick: ([method]) => sightglass.ask({ method, options: {} }),
    ...wanted,
    chosen: new Set(wanted.chosen ?? [sightglass.current()?.method ?? ""]),
    anchor,
  };
  input.value = "";
  list.setAttribute("aria-multiselectable", String(asked.many > 1));
  fill();
  popover_.showPopover();
  place(anchor);
  anchor.setAttribute("aria-expanded", "true");
  (matchMedia("(pointer: coarse)").matches ? popover_ : input).focus(); // a keyboard on the screen would hide the list
  rows[at]?.scrollIntoView({ block: "center" });
}

/** @param {HTMLElement} anchor */
function place(anchor) {
  const spot = anchor.getBoundingClientRect();
  const { style, offsetWidth } = popover_;
  if (innerWidth <= NARROW) return Object.assign(style, { left: "8px", top: "8px", maxHeight: "calc(100dvh - 16px)" });
  const inSight = spot.top > 0 && spot.bottom < innerHeight;
  const top = Math.max(16, Math.min(inSight ? spot.bottom + 6 : 64, innerHeight - 460));
  Object.assign(style, {
    left: `${Math.max(16, Math.min(spot.left, innerWidth - offsetWidth - 16))}px`,
    top: `${top}px`,
    maxHeight: `${Math.min(620, innerHeight - top - 16)}px`,
  });
}

function close() {
  popover_.hidePopover();
}
popover_.addEventListener("toggle", (/** @type {ToggleEvent} */ event) => {
  const by = asked.anchor;
  if (event.newState !== "closed" || !by) return;
  closed = { by, when: performance.now() };
  const anchor = by.isConnected ? by : document.getElementById(by.id);
  anchor?.setAttribute("aria-expanded", "false");
  if (popover_.contains(document.activeElement) || document.activeElement === document.body)
    anchor?.focus({ preventScroll: true });
});

/**
 * How well a method answers to what is typed: the beginning of its name, a part of it, its question or family; −1 not
 * at all.
 * @param {Method} method
 * @param {string[]} words
 */
function rank(method, words) {
  const title = method.title.toLowerCase();
  const rest = `${method.id.replaceAll("_", " ")} ${method.question} ${method.family}`.toLowerCase();
  let sum = 0;
  for (const word of words) {
    const found = title.startsWith(word)
      ? 3
      : title.split(/[\s-]/).some((part) => part.startsWith(word))
        ? 2.5
        : title.includes(word)
          ? 2
          : rest.includes(word)
            ? 1
            : -1;
    if (found < 0) return -1;
    sum += found;
  }
  return sum;
}

function fill() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const why = new Map((sightglass.answer?.fits ?? []).map((fit) => [fit.id, fit.why_not]));
  const found = sightglass.catalogue.methods
    .filter((method) => method.id !== asked.without && (asked.many === 1 || sightglass.heats(method.id)))
    .map((method) => ({ method, rank: rank(method, words), why: why.get(method.id) ?? "" }))
    .filter((each) => each.rank >= 0);
  /** @type {Map<string, Found[]>} */
  const families = new Map();
  for (const each of found) {
    const name = each.why ? "Not for this network" : each.method.family;
    families.set(name, [...(families.get(name) ?? []), each]);
  }
  const groups = [...families].sort(([, a], [, b]) => Number(Boolean(a[0].why)) - Number(Boolean(b[0].why)));
  rows = [];
  let best = -1;
  list.replaceChildren(
    ...groups.map(([name, members], i) =>
      h(
        "div",
        { role: "group", "aria-labelledby": `family-${i}` },
        h("div", { class: "family", id: `family-${i}` }, name),
        members
          .sort((a, b) => a.method.takes - b.method.takes)
          .map((each) => {
            const row = option(each);
            if (!each.why) {
              rows.push(row);
              if (best < 0 || each.rank > best) [best, at] = [each.rank, rows.length - 1];
            }
            return row;
          }),
      ),
    ),
  );
  if (!found.length)
    list.append(h("p", { class: "quiet none" }, "No method of that name, and none whose question has these words."));
  if (!words.length) at = rows.findIndex((row) => asked.chosen.has(idOf(row)));
  if (!rows.length) at = -1;
  drawFoot();
  mark();
}

const idOf = (/** @type {HTMLElement} */ row) => row.dataset.id ?? "";
/** @param {Found} found */
function option({ method, why }) {
  const chosen = asked.chosen.has(method.id);
  const subject = sightglass.current()?.target || "the class";
  return h(
    "div",
    {
      role: "option",
      id: `choose-${method.id}`,
      "data-id": method.id,
      "aria-selected": String(chosen),
      "aria-disabled": Boolean(why) && "true",
      onclick: () => !why && take(method.id),
      onpointermove: (event) => !why && hover(event.currentTarget),
    },
    asked.many > 1 && !why ? h("span", { class: "tick", "aria-hidden": "true" }) : null,
    h("span", { class: "title" }, method.title),
    why ? null : h("span", { class: "takes quiet" }, effort(method, sightglass.pace)),
    h(
      "span",
      { class: "says quiet" },
      why || `${method.question.replace("the chosen class", subject)}${gives(method)}`,
    ),
  );
}
// Most lay a heat over the picture; the others say what they give.
const gives = (/** @type {Method} */ { kind }) => (kind === "heat" ? "" : ` Gives ${kind}.`);
/** @param {HTMLElement} row */
function hover(row) {
  if (rows[at] === row) return;
  at = rows.indexOf(row);
  mark(false);
}
function mark(scroll = true) {
  rows.forEach((row, i) => row.classList.toggle("active", i === at));
  input.setAttribute("aria-activedescendant", rows[at]?.id ?? "");
  if (scroll) rows[at]?.scrollIntoView({ block: "nearest" });
}

/** @param {string} id */
function take(id) {
  if (asked.many === 1) {
    close();
    return asked.pick([id]);
  }
  if (asked.chosen.has(id)) asked.chosen.delete(id);
  else if (asked.chosen.size < asked.many) asked.chosen.add(id);
  rows.forEach((row) => row.setAttribute("aria-selected", String(asked.chosen.has(idOf(row)))));
  drawFoot();
}
function drawFoot() {
  foot.hidden = asked.many === 1;
  if (foot.hidden) return;
  const count = asked.chosen.size;
  foot.replaceChildren(
    h(
      "span",
      { class: "quiet", role: "status" },
      count === asked.many
        ? `${count} chosen, which is as many as can be compared`
        : `${count} of at most ${asked.many} chosen`,
    ),
    link("None", () => (asked.chosen.clear(), fill()), { disabled: !count }),
    h(
      "button",
      { type: "button", class: "go", disabled: !count, onclick: () => (close(), asked.pick([...asked.chosen])) },
      "Show them",
    ),
  );
}

input.addEventListener("input", fill);
/** @type {Record<string, number>} */
const MOVES = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6 };
popover_.addEventListener("keydown", (/** @type {any} */ event) => {
  const move = MOVES[event.key];
  if (move && rows.length) {
    at =
      Math.abs(move) === 1
        ? (at + move + rows.length) % rows.length
        : Math.max(0, Math.min(rows.length - 1, at + move));
    if (at < 0) at = 0;
    mark();
  } else if (event.key === "Enter" && event.target.tagName !== "BUTTON") {
    if ((event.ctrlKey || event.metaKey) && asked.many > 1 && asked.chosen.size) {
      close();
      asked.pick([...asked.chosen]);
    } else if (rows[at]) take(idOf(rows[at]));
  } else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
  event.stopPropagation();
});
sightglass.on("question", () => popover_.matches(":popover-open") && asked.many === 1 && close());
