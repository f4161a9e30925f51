// Knows what there is of each picture: its name, label and color, and whether it is lit.
import { octets, shorts } from "../../static/packed.js";
import { percent } from "../../static/words.js";

/** @import { Gallery, Groups, Named, Scale } from "./types.js" */

const NOBODY = "#9aa19d"; // the color of those in no group
const SURE = {
  light: ["#d0a000", "#93a52e", "#4f9a55", "#23836f", "#155f74"],
  dark: ["#f2d16b", "#b9c96a", "#78b97a", "#4aa08a", "#3b7f93"],
};

export const state = {
  /** What Python told of the gallery in sight. @type {Gallery | null} */
  map: null,
  color: "label",
  /** Those that are lit; null for all. @type {Set<number> | null} */
  only: null,
  /** Values of the legend that were put out. @type {Set<number>} */
  hidden: new Set(),
  /** The point that was clicked. @type {number | null} */
  picked: null,
  /** @type {Groups | null} */
  groups: null,
  /** What the points are colored by, as they are drawn. @type {Scale} */
  scale: { of: [], names: null, hue: () => NOBODY },
};

/** The gallery in sight; only asked where there is one. */
export const known = () => /** @type {Gallery} */ (state.map);
/** @param {number} number */
export const name = (number) => known().names[number];
/** @param {Named | null} named @param {number} number */
const word = (named, number) => (named ? named.names[named.of[number]] : "");
/** @param {number} number */
export const label = (number) => word(known().label, number);
/** @param {number} number */
export const call = (number) => word(known().call, number);
/** How sure the network is of that. @param {number} number */
export const sure = (number) => percent((known().sure?.[number] ?? 0) / 255);
/** @param {number} number */
export const titled = (number) => label(number) || name(number);
/** @param {number} number */
export const lit = (number) => (!state.only || state.only.has(number)) && !state.hidden.has(state.scale.of[number]);

/** All pictures of which something is true. @param {(number: number) => boolean} true_ */
export const those = (true_) => new Set(Array.from({ length: known().count }, (_, i) => i).filter(true_));

/** Lights all of them. */
export function light() {
  state.only = null;
  state.hidden = new Set();
  state.picked = null;
}

const theme = () => (document.body.classList.contains("dark") ? "dark" : "light");
/** @type {Record<string, string[]>} */
const looked = {};
/** The colors of groups as the styles have them, for the canvas; looked up once for each theme. */
export function hues() {
  const styles = getComputedStyle(document.body);
  looked[theme()] ??= Array.from({ length: 10 }, (_, number) => styles.getPropertyValue(`--group-${number}`).trim());
  return looked[theme()];
}

/** What can be a color, in words by its id. */
export function colors() {
  const { label, call, wrong, facets } = known();
  return {
    ...(label && { label: "label" }),
    ...(call && { call: "what it is called" }),
    ...(wrong && { error: "right or wrong" }),
    ...(call && { sure: "how sure" }),
    ...(state.groups && { group: "group" }),
    ...Object.fromEntries(Object.keys(facets).map((facet) => [`facet:${facet}`, facet])),
  };
}

/** The scale of the color that was chosen. @returns {Scale} */
export function coloring() {
  const { label, call, sure, wrong, facets, count } = known();
  const { color, groups } = state;
  const all = hues();
  const hue = (/** @type {number} */ value) => all[value % 10];
  if (color === "label" && label) return { ...label, hue };
  if (color === "call" && call) return { ...call, hue };
  if (color === "error" && wrong) {
    const names = ["called by its label", "called otherwise"];
    return { of: wrong, names, hue: (value) => (value ? all[1] : all[7]), front: 1 };
  }
  if (color === "sure" && sure) {
    const names = ["0–20 % sure", "20–40 %", "40–60 %", "60–80 %", "80–100 %"];
    return { of: sure.map((value) => Math.floor(value / 51.2)), names, hue: (value) => SURE[theme()][value] };
  }
  if (color === "group" && groups) {
    const names = groups.groups.map((_, place) => `group ${place + 1}`);
    return { of: groups.of, names, hue: (value) => (value < 0 ? NOBODY : hue(value)) };
  }
  const facet = color.startsWith("facet:") && facets[color.slice(6)];
  return facet ? { ...facet, hue } : { of: new Int16Array(count), names: null, hue: () => all[0] };
}

/**
 * A gallery of which there are no points yet.
 * @param {any} told
 * @param {string} model
 * @returns {Gallery}
 */
export function opened(told, model) {
  const named = (/** @type {string | undefined} */ of, /** @type {string[]} */ names) =>
    of == null ? null : { of: shorts(of), names };
  const [label, call] = [named(told.label, told.labels), named(told.call, told.calls)];
  const facets = Object.entries(told.facets).map(([id, { value, values }]) => [id, named(value, values)]);
  const wrong = (/** @type {number} */ value, /** @type {number} */ i) =>
    Number(call?.names[call.of[i]] !== label?.names[value]);
  return {
    ...told,
    told: told.names,
    names: told.names.split("\n"),
    model,
    points: "",
    here: null,
    neighbors: [],
    kept: null,
    label,
    call,
    sure: told.sure ? octets(told.sure) : null,
    wrong: label && call ? Int16Array.from(label.of, wrong) : null,
    facets: Object.fromEntries(facets),
  };
}
