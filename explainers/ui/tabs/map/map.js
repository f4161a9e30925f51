// The map: asks for a gallery's points, lays them out as they come, and says what can be chosen.
import { buttons, entries, link } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { octets } from "../../static/packed.js";
import { sightglass } from "../../static/store.js";
import { at, props } from "./at.js";
import { show } from "./column.js";
import "./films.js";
import { offer, recolor } from "./filters.js";
import { known, light, opened, state } from "./gallery.js";
import "./hands.js";
import { arrive, busy, fit, move } from "./scene.js";
import { forget } from "./thumbs.js";

const { galleries, built_in, kinds } = props.about;
/** @type {{ gallery: string, place: string, kind: string }} */
const asked = { gallery: "", place: "", kind: Object.keys(kinds)[0] };

function open() {
  at.card.hidden = true;
  busy(0.05);
  at.alike.replaceChildren();
  sightglass.place = { ...asked, kind: asked.kind === Object.keys(kinds)[0] ? "" : asked.kind };
  sightglass.run("map", "open", asked, (told) => {
    if (told.state === "error") return refuse(told.sentence);
    if (told.share) busy(told.share);
    take(told);
    if (told.state !== "working") busy(null);
  });
}

/** @param {any} told what Python sent: who the pictures are, then where they lie, then all that is known of the map */
function take(told) {
  if (told.names && isAnother(told)) begin(told);
  const { map } = state;
  if (!map) return;
  if (told.points && told.points !== map.points) {
    move(told.points, { first: first && !map.points });
    map.points = told.points;
    recolor();
  }
  if (!told.figures || told.state !== "done") return;
  const { here, neighbors, votes, near, figures, confused, kept, caveats } = told;
  Object.assign(map, { here, neighbors, votes, near, figures, confused, caveats, kept: kept && octets(kept) });
  arrive();
  recolor();
  fit();
  show();
}
let first = true; // whether the map is the first one of its gallery, and so comes from nowhere

/** @param {any} told */
function isAnother({ names, place, kind }) {
  const { map } = state;
  const { model } = sightglass.question;
  return map?.told !== names || map?.place !== place || map?.kind !== kind || map?.model !== model;
}
/** @param {any} told */
function begin(told) {
  first = state.map?.told !== told.names || state.map?.gallery !== told.gallery;
  if (first) {
    forget();
    light();
    at.picked.replaceChildren();
  }
  state.groups = null;
  state.map = opened(told, sightglass.question.model);
  choices();
}

function choices() {
  const { gallery, places, place, kind, count, model } = known();
  at.gallery.replaceChildren(
    ...entries(
      galleries.map((/** @type {string} */ id) => [id, built_in[id] ?? id]),
      gallery,
    ),
  );
  const words = Object.fromEntries(places.map((each) => [each.id, each.words]));
  at.places.replaceChildren(...buttons(words, place, (id) => ((asked.place = id), open())));
  at.kinds.replaceChildren(...buttons(kinds, kind, (id) => ((asked.kind = id), open())));
  offer();
  const others = `${count.toLocaleString("en")} others`;
  at.question.textContent = `Where does this picture lie among ${others}, as ${model} sees them?`;
}

/** @param {string} sentence */
function refuse(sentence) {
  busy(null);
  state.map = null;
  const offers = Object.values(sightglass.catalogue.worlds).filter((world) => world.gallery);
  at.card.replaceChildren(
    h("p", {}, sentence),
    h(
      "p",
      {},
      offers.map(({ first: model }) =>
        link(model, () => ((asked.gallery = ""), sightglass.ask({ model })), { style: "margin: 0 10px" }),
      ),
    ),
  );
  at.card.hidden = false;
  for (const each of ["near", "neighbors", "alike", "legend", "caveat", "picked", "trust", "confused"])
    at[each].replaceChildren();
}

at.gallery.addEventListener("change", () => {
  asked.gallery = at.gallery.value;
  asked.place = "";
  const { networks, worlds } = sightglass.catalogue;
  const world = worlds[asked.gallery];
  if (!world || networks.find((one) => one.id === sightglass.question.model)?.world === asked.gallery) return open();
  const scene = world.example ? { scene: world.example, upload: "", picture: "" } : {};
  sightglass.ask({ model: world.first, ...scene, target: null, versus: null });
});

let given = sightglass.placed("map"); // what the address says, until it has been shown once
let model = "";
function refresh() {
  const before = model;
  model = sightglass.question.model;
  Object.assign(asked, Object.fromEntries(Object.entries(given).filter(([name, value]) => name in asked && value)));
  given = {};
  if (before && before.split(":")[0] !== model.split(":")[0]) asked.gallery = "";
  if (before && before !== model) asked.place = "";
  open();
}
sightglass.on("map:refused", refuse);
sightglass.whileShown("map", refresh);
