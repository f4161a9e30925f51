// Hands each script its element of the page, whichever of the two is there first.
import { sightglass } from "./store.js";

/** @import { Part } from "./types.js" */

/** @type {Map<string, { here: Promise<Part>, arrive: (part: Part) => void }>} */
const known = new Map();

/** @param {string} name */
function place(name) {
  let made = known.get(name);
  if (!made) {
    let arrive = (/** @type {Part} */ _) => {};
    const here = new Promise((resolve) => {
      arrive = resolve;
    });
    made = { here, arrive };
    known.set(name, made);
  }
  return made;
}

let connect = (/** @type {null} */ _) => {};
/** Resolves when Python has told what is on offer, and can be asked. */
const wired = new Promise((resolve) => {
  connect = resolve;
});

/**
 * The part of that name, once it is there and Python can be asked.
 * @param {string} name
 * @returns {Promise<Part>}
 */
export async function part(name) {
  await wired;
  return place(name).here;
}

/** @param {Part & { errand?: boolean }} part */
function arrive(part) {
  if (part.name === "wire") return wire(part);
  if (part.errand) return connectErrand(part);
  place(part.name).arrive(part);
}

/** The connection to Python: events go out, answers come in. @param {Part} part */
function wire({ props, trigger, watch }) {
  sightglass.catalogue = props.catalogue;
  sightglass.question.model = props.catalogue.networks[0].id;
  sightglass.question.score = props.catalogue.score;
  sightglass.send = (type, data) => trigger(type, data); // "ask", "open", "stop", "save"
  watch("value", () => {
    if (props.value?.saved) sightglass.emit("saved", props.value);
    else sightglass.receive(props.value);
  });
  connect(null);
}

/** One of its own for what is asked beside the question: goes out by name, comes back by it. @param {Part} part */
function connectErrand({ name, props, trigger, watch }) {
  sightglass.errands[name] = (data) => trigger(name, data);
  watch("value", () => props.value && sightglass.emit(name, props.value));
}

for (const part of sightglass.parts) arrive(part);
sightglass.parts = { push: arrive };
