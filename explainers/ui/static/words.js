// Says numbers as people read them: shares, figures, passes, seconds.

const MINUS = "−";

/**
 * A share from 0 to 1 (or −1 to 1) in whole percent; never 0 or 100 for what is not exactly that.
 * @param {number} share
 */
export function percent(share) {
  if (share > 0 && share < 0.01) return "<1 %";
  if (share > 0.99 && share < 1) return ">99 %";
  return `${Math.round(100 * share)} %`.replace("-", MINUS);
}

/**
 * Two significant digits; very small and very large numbers with a power of ten.
 * @param {number | null | undefined} value
 */
export function figure(value) {
  if (!value || !Number.isFinite(value)) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5)
    return value.toFixed(Math.max(0, 1 - Math.floor(Math.log10(size)))).replace("-", MINUS);
  const [digits, power] = value.toExponential(1).split("e");
  const up = (/** @type {string} */ sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)]);
  const raised = [...power.replace("+", "")].map(up).join("");
  return `${digits} × 10${raised}`.replace("-", MINUS);
}

/** A figure with its sign. @param {number} value */
export const signed = (value) => `${value > 0 ? "+" : ""}${figure(value)}`;

/**
 * The number that goes with a class: a probability, or, of a regression, a number with its unit.
 * @param {{ share?: number | null, told?: string }} prediction
 */
export const confidence = ({ share, told }) => (share == null ? (told ?? "") : percent(share));

/** @param {number} count @param {string} word */
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** @param {number} value */
export const seconds = (value) => (value < 1 ? "less than a second" : `${Math.round(value)} s`);

/**
 * What a method takes: passes, and how long that is where a forward pass takes `pace` seconds.
 * @param {{ passes: [number, number], takes: number }} method
 * @param {number | null} pace
 */
export function effort({ passes: [forwards, backwards], takes }, pace) {
  const count = forwards + backwards;
  const long = pace == null ? "" : takes * pace < 1 ? ", fast" : takes * pace < 15 ? ", some seconds" : ", long";
  return `${count || "no"} ${count === 1 ? "pass" : "passes"}${long}`;
}

/**
 * How much longer work takes of which a share `done` took so many seconds; empty where nobody would notice.
 * @param {number} passed
 * @param {number} done
 */
export function remaining(passed, done) {
  const more = (passed * (1 - done)) / done;
  if (passed < 1 || more < 1) return "";
  if (more < 10) return `, about ${Math.ceil(more)} s more`;
  return `, about ${more < 90 ? `${5 * Math.ceil(more / 5)} s` : `${Math.round(more / 60)} min`} more`;
}

/** How probable the second class is at least, as a share of the first, where the two lie close. */
const CLOSE = 0.5;

/**
 * The class to hold against the one in question, where the picture raises that question: of two that lie
 * close, the other.
 * @param {{ label: string, share: number | null }[]} predictions the most probable first
 * @param {string | undefined} target
 * @returns {string | null}
 */
export function rival([first, second] = [], target) {
  if (!first?.share || !second?.share || second.share < CLOSE * first.share) return null;
  if (target === first.label) return second.label;
  return target === second.label ? first.label : null;
}
