// Makes elements without templates: what comes from a foreign network is always text, never markup.

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * An HTML element. Names that begin with “on” are listeners; true is a bare attribute; false and null leave it out.
 * @param {string} tag
 * @param {Record<string, any>} [given]
 * @param {...(Child | Child[])} children
 * @returns {any} of the tag's own class, which its caller knows
 */
export function h(tag, given = {}, ...children) {
  return filled(document.createElement(tag), given, children);
}

/**
 * The same, of an SVG drawing.
 * @param {string} tag
 * @param {Record<string, any>} [given]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function svg(tag, given = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);
}

/**
 * The first element below `root` that the selector finds; a part's own template has it.
 * @param {ParentNode} root
 * @returns {(selector: string) => any}
 */
export const finder = (root) => (selector) => root.querySelector(selector);

function filled(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}
