// The column beside the map: who is near, one that was picked, why it is alike, and how far to trust the map.
import { link } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { overlay, unpack } from "../../static/heat.js";
import { sightglass } from "../../static/store.js";
import { percent } from "../../static/words.js";
import { at, element } from "./at.js";
import { call, known, label, name, state, sure, titled } from "./gallery.js";
import { draw } from "./scene.js";
import { thumb, want } from "./thumbs.js";

/** @import { Heat } from "../../static/types.js" */
/** @import { Alike } from "./types.js" */

const MEASURES = ["trustworthiness", "continuity", "neighbors kept"];
const SUM = "Every place has a share of it; warm ones more than an even share, cold ones less.";
const NO_SUM =
  "Warm places raise it more than most, cold ones less: its slope times the network's maps, which is no sum.";

/** What is known of a picture beside its name. @param {number} number */
const facts = (number) =>
  [label(number) && `label: ${label(number)}`, call(number) && `called ${call(number)}, ${sure(number)} sure`]
    .filter(Boolean)
    .join(" · ");

/** An entry of a list that picks a picture. @param {number} number */
export const entry = (number, words = titled(number)) =>
  h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        "data-number": number,
        title: [name(number), facts(number)].filter(Boolean).join(" · "),
        onclick: () => pick(number),
      },
      thumb(number),
      words,
    ),
  );

/** Shows all that is known of the gallery and of the visitor's picture in it. */
export function show() {
  const { neighbors, confused, caveats, notes, near, wrong, count } = known();
  const votes = known()
    .votes.slice(0, 3)
    .map(([words, part]) => `${percent(part)} ${words}`)
    .join(", ");
  at.near.replaceChildren(...(votes ? [h("b", {}, votes), ". "] : []), near);
  at.neighbors.replaceChildren(...neighbors.map(({ number }) => entry(number)));
  at.confusedBox.hidden = !wrong;
  const errors = wrong ? wrong.reduce((sum, value) => sum + value, 0) : 0;
  at.confusedCount.textContent = `${errors} of ${count.toLocaleString("en")}`;
  at.confused.replaceChildren(...confused.map(({ number }) => entry(number, `${label(number)} → ${call(number)}`)));
  trust();
  at.caveat.textContent = [...caveats, ...notes].join(" ");
  at.steady.textContent = "";
  const words = votes ? `The neighbors of this picture are ${votes}.` : "";
  at.over.setAttribute("aria-label", `Map of ${count} pictures. ${words}`);
  want([...neighbors, ...confused.slice(0, 24)].map(({ number }) => number));
}

function trust() {
  const { figures, kept } = known();
  const row = (/** @type {string} */ key) =>
    h(
      "tr",
      {},
      h("td", {}, key),
      ["", " of PCA", " by chance"].map((of) => h("td", {}, figures[key + of]?.toFixed(2) ?? "")),
    );
  const heads = ["", "here", "PCA", "chance"].map((words) => h("th", {}, words));
  at.trust.replaceChildren(h("thead", {}, h("tr", {}, heads)), h("tbody", {}, MEASURES.map(row)));
  const [vectors, map] = ["vectors", "map"].map((where) => figures[`labels right in the ${where}`]);
  const right = `Ten neighbors name the label rightly for ${percent(vectors ?? 0)} in the vectors`;
  at.trustSay.textContent = [
    map != null && `${right}, for ${percent(map)} in the map.`,
    kept && "Faint points lie beside others than in the vectors.",
  ]
    .filter(Boolean)
    .join(" ");
}

/** Shows one picture, and why the network holds it to be like the visitor's. @param {number} number */
export function pick(number) {
  const { scenes, gallery, wrong, here } = known();
  state.picked = number;
  for (const button of element.querySelectorAll("[data-number]"))
    button.setAttribute("aria-current", String(Number(button.dataset.number) === number));
  const scene = { scene: scenes ? name(number) : `gallery:${gallery}:${number}`, upload: "", picture: "" };
  const why = { ...scene, target: call(number), versus: label(number) };
  at.picked.replaceChildren(
    thumb(number),
    h(
      "div",
      {},
      h("b", {}, titled(number)),
      h("br"),
      facts(number) || name(number),
      h("br"),
      link("ask about this picture", () => sightglass.ask(scene)),
      " ",
      wrong?.[number] ? link("why not its label?", () => sightglass.ask(why)) : "",
    ),
  );
  draw();
  if (!here) return;
  const say = (/** @type {string} */ words) => at.alike.replaceChildren(h("p", { class: "quiet" }, words));
  say("…");
  sightglass.run("map", "alike", { gallery, number }, (told) => {
    if (told.state === "error") say(told.sentence);
    if (told.state === "done" && told.number === state.picked) alike(told);
  });
}

/** @param {Alike} told */
function alike({ cosine, exact, here, there, number }) {
  const figures = [
    { one: here, words: "this picture" },
    { one: there, words: titled(number) },
  ].map(({ one, words }) => {
    const about = { box: one.box, signed: true };
    const side = Math.max(one.width, one.height);
    const seen = overlay(one, uneven(unpack(one.heat)), about, side, { words: `What makes ${words} like the other` });
    return h("figure", {}, seen, h("figcaption", {}, words));
  });
  at.alike.replaceChildren(
    h("h2", {}, "Why the network holds these two to be alike"),
    h("div", { class: "pair" }, figures),
    h("p", { class: "quiet" }, `Cosine ${cosine.toFixed(2)}. ${exact ? SUM : NO_SUM}`),
  );
}

// Nearly every place adds something to a cosine; what tells is who adds more than an even share.
/** @param {Heat} heat @returns {Heat} */
function uneven({ values, ...heat }) {
  const even = values.reduce((sum, value) => sum + value, 0) / values.length;
  const apart = values.map((value) => value - even);
  return { ...heat, values: apart, top: apart.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
}
