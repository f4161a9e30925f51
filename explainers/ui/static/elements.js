// Makes elements without templates: what comes from a foreign network is always text, never markup.

/**
 * What an element may hold, and what it is given: attributes, and listeners, whose names begin with “on”.
 * @typedef {Node | string | null | undefined | false} Child
 * @typedef {((event: any) => unknown) | null | undefined} Listener
 * @typedef {{ [listener: `on${string}`]: Listener, [attribute: string]: unknown }} Given
 */

/**
 * An HTML element. Names that begin with “on” are listeners; true is a bare attribute; false and null leave it out.
 * @param {string} tag
 * @param {Given} [given]
 * @param {...(Child | Child[])} children
 * @returns {any} of the tag's own class, which its caller knows
 */
export function h(tag, given = {}, ...children) {
  return filled(document.createElement(tag), given, children);
}

/**
 * The same, of an SVG drawing.
 * @param {string} tag
 * @param {Given} [given]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function svg(tag, given = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);
}

/**
 * The first element below `root` that the selector finds; a part's own template has it.
 * @param {ParentNode} root
 * @returns {(selector: string) => any} of its own class, which its caller knows
 */
export const finder = (root) => (selector) => root.querySelector(selector);

/** Whether a visitor wants nothing to move by itself. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * @param {HTMLElement | SVGElement} element
 * @param {Given} given
 * @param {(Child | Child[])[]} children
 */
function filled(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "style") element.style.cssText = String(value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  const held = children.flat().filter((child) => child != null && child !== false);
  element.append(.../** @type {(Node | string)[]} */ (held));
  return element;
}
