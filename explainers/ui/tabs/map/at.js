// The elements of this tab by their names, and what Python said of it when the page was built.
import { part } from "../../static/parts.js";

export const { element, props } = await part("map");
/** @type {Record<string, any>} */
export const at = Object.fromEntries([...element.querySelectorAll("[data-at]")].map((each) => [each.dataset.at, each]));
