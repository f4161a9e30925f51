// Writes a question as an address, so that a link opens exactly it, and reads it back.

/** @import { Control, Question } from "./types.js" */

const PLAIN = /** @type {const} */ (["scene", "model", "method", "target", "versus", "score"]);
const BESIDE = ["method", "target", "model"];
/** What is not part of the question, and stays as it is. */
const KEPT = ["view", "__theme"];

/**
 * The query of an address, without its question mark.
 * @param {{ question: Question, tab: string, place: Record<string, any> }} state
 * @param {{ score: string, controls: Control[] }} usual what need not be said: the default score and options
 * @param {string} old the query that stands there now
 */
export function written({ question, tab, place }, { score, controls }, old = "") {
  const params = new URLSearchParams();
  for (const name of PLAIN) {
    if (name === "score" && question.score === score) continue;
    const value = question[name];
    if (value != null && value !== "") params.set(name, value);
  }
  for (const { name, default: usual } of controls)
    if (name in question.options && question.options[name] !== usual)
      params.set(`o.${name}`, String(question.options[name]));
  for (const [what, value] of Object.entries(question.beside)) params.set(`beside.${what}`, value);
  if (tab !== "why") params.set("tab", tab);
  for (const [name, value] of Object.entries(place)) if (value != null && value !== "") params.set(`t.${name}`, value);
  const before = new URLSearchParams(old);
  for (const name of KEPT) if (before.has(name)) params.set(name, /** @type {string} */ (before.get(name)));
  return params.toString().replaceAll("%3A", ":").replaceAll("%2F", "/"); // both may stand in a query
}

/**
 * What makes a question another one, to which one may want to go back; settings of its method do not.
 * @param {Question} question
 */
export const mainly = (question) =>
  JSON.stringify([...PLAIN, "picture", "upload", "beside"].map((name) => Reflect.get(question, name)));

/**
 * What the query of an address asks; options as the method's form has them.
 * @param {string} query
 * @param {(id: string) => { options: Control[] } | undefined} method
 * @returns {Partial<Question>}
 */
export function read(query, method) {
  const params = new URLSearchParams(query);
  const question = /** @type {Partial<Question>} */ ({ options: {}, beside: {} });
  for (const name of PLAIN) if (params.get(name)) question[name] = /** @type {string} */ (params.get(name));
  for (const option of (question.method && method(question.method)?.options) || []) {
    const text = params.get(`o.${option.name}`);
    if (text != null) Object.assign(question.options ?? {}, { [option.name]: valued(option.kind, text) });
  }
  for (const what of BESIDE) {
    const value = params.get(`beside.${what}`);
    if (value) Object.assign(question.beside ?? {}, { [what]: value });
  }
  return question;
}

/** @param {string} kind @param {string} text */
const valued = (kind, text) =>
  kind === "switch" ? text === "true" : ["integer", "number"].includes(kind) ? Number(text) : text;
