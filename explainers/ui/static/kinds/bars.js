// One number for each of several things that have names, with its standard error where there is one.
import { bars } from "../charts.js";
import { h } from "../elements.js";
import { figure } from "../words.js";

/** @import { Bars } from "../types.js" */

/** @param {HTMLElement} element @param {Bars} result */
export function draw(element, { labels, values, error, unit }) {
  const rows = labels.map((label, place) => {
    const spread = error ? ` ± ${figure(error[place])}` : "";
    return { label, value: values[place], told: `${figure(values[place])}${spread}`, title: label };
  });
  element.replaceChildren(bars(rows), h("p", { class: "quiet" }, unit));
}
