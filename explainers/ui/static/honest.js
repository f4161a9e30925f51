// How far the map on the stage can be trusted: one number, the curves behind it, and in a world the truth beside it.
import { link } from "./controls.js";
import { covering } from "./covering.js";
import { h, svg } from "./elements.js";
import { placeIn } from "./framing.js";
import * as ink from "./heat.js";
import { named, sightglass } from "./store.js";
import { figure, percent } from "./words.js";

/** @import { Child } from "./elements.js" */
/** @import { Box, Card, Packed, Pane } from "./types.js" */
/**
 * An element of a scene, what taking it out does to the score, and what the map put there.
 * @typedef {{ name: string, effect: number, given: number }} Element_
 * @typedef {{ share: number, on: string }} Aside
 * @typedef {{ heat: Packed, box: Box, signed: boolean, alt: string }} Judged
 */

const box = h("section", { class: "honest", "aria-live": "polite" });
/** Which parts the visitor has opened. @type {Record<string, boolean>} */
const OPEN = {};
let key = ""; // what the card is about
let token = ""; // the measurement under way
/** What has been measured: card, truth, unlearned. @type {Record<string, Card>} */
let found = {};

// Of what is measured with an error, no more than whole percent; of a probability, never 0 or 100 for what is not that.
const whole = (/** @type {number} */ share) => `${Math.round(100 * share)}\u00a0%`.replace("-", "−");
const chance = (/** @type {number} */ share) => percent(share).replace(" ", "\u00a0");
const rounded = (/** @type {number} */ value) => (Math.abs(value) < 0.05 ? "0" : value.toFixed(1).replace("-", "−"));
const about = () => {
  const { question, picture } = sightglass;
  const pane = sightglass.current();
  return pane && ink.native(pane) // what is no heat is not judged by covering cells
    ? JSON.stringify([
        picture?.key,
        question.scene,
        pane.model,
        pane.method,
        pane.target,
        pane.versus,
        question.score,
        pane.options,
      ])
    : "";
};

/** @param {"judge" | "unlearn"} what */
function measure(what, { unasked = false } = {}) {
  const pane = sightglass.current();
  if (!pane) return;
  token = named();
  found[what === "judge" ? "card" : "unlearned"] = { waiting: true };
  refresh();
  sightglass.errands[what]({ ...sightglass.question, method: pane.method, beside: {}, strip: false, token, unasked });
}

sightglass.on("done", () => {
  if (about() && (key !== about() || !found.card)) {
    key = about();
    found = {};
    measure("judge", { unasked: true });
  }
});
sightglass.on("question", () => {
  if (token) sightglass.send("stop", { token });
  token = "";
  for (const name of ["card", "unlearned"]) if (found[name]?.waiting) delete found[name];
});
for (const errand of ["judge", "unlearn"])
  sightglass.on(errand, ({ token: whose, state, seconds, ...told }) => {
    if (!token || whose !== token) return;
    found = { ...found, ...told };
    refresh();
  });
sightglass.on("unjudged", () => {
  for (const name of ["card", "unlearned"]) if (found[name]?.waiting) delete found[name];
  found.card ??= { takes: "" };
  refresh();
});

sightglass.on("status", () => {
  if (["stopped", "error"].includes(sightglass.status.state) && about() && !found.card) {
    key = about();
    found = { card: { takes: "" } }; // what is on the screen may be half a map: it is measured if somebody wants it
    refresh();
  }
});

// The place of the number in the reading column: the same element, whatever is drawn around it.
export function honest() {
  if (key !== about()) found = {};
  refresh();
  return box;
}

function refresh() {
  const pane = sightglass.current();
  if (!pane || !ink.native(pane)) return box.replaceChildren();
  box.replaceChildren(
    ...[pair(), ...headline(found.card, pane), measured(pane), truth(), unlearned(), further(pane)].filter(Boolean),
  );
}

/**
 * @param {Card | undefined} card
 * @param {Pane} pane
 * @returns {HTMLElement[]}
 */
function headline(card, pane) {
  if (!card || card.waiting)
    return [
      h(
        "p",
        { class: "figure waiting" },
        h("b", {}, "…"),
        h("span", {}, "measuring what lies between covering the coldest and the warmest cells first"),
      ),
      h("div", { class: sightglass.question.scene ? "hold pond" : "hold" }),
    ];
  if (card.sentence) return [h("p", { class: "quiet" }, card.sentence)];
  if ("takes" in card)
    return [
      h(
        "p",
        {},
        link("Measure how far to trust this map", () => measure("judge"), { id: "judge" }),
        card.takes ? h("span", { class: "quiet" }, ` (takes ${card.takes})`) : "",
      ),
    ];
  if (card.blank) return [h("p", {}, card.says)];
  const doubt = doubted(card);
  const tone = doubt || found.truth?.waiting ? "unsure" : card.verdict;
  const big = card.big.replace(" ", "\u00a0");
  const seen = sightglass.picture && pane.box && covering(card, pane.box, sightglass.picture);
  return [
    h("p", { class: `figure ${tone}` }, h("b", {}, big), h("span", {}, card.between)),
    band(card, tone),
    h("p", { class: `verdict ${tone}` }, h("i", { "aria-hidden": "true" }), `${big} is ${card.reaches}.${doubt}`),
    curves(card, seen?.show),
    ...(seen ? [seen.element] : []),
  ];
}

/** What has to be said beside a verdict, lest it be taken for praise; or nothing. @param {Card} card */
function doubted(card) {
  const { pairs, chance: most } = found.truth ?? {};
  if (pairs != null && card.verdict === "above" && pairs <= most)
    return ` But ${whole(pairs)} of the pairs of parts stand in the order of their true effects: chance reaches that.`;
  if (card.probability != null && card.probability < 0.5)
    return ` But the network gives ${card.label} only ${chance(card.probability)}.`;
  return "";
}

/**
 * Where nine of ten random maps lie, and this one: on a line of shares from −100 to 100 %, or of points around zero,
 * with a class at either end where the score stands between two.
 * @param {Card} card
 * @param {string} tone
 */
function band(card, tone) {
  const [low, high] = card.band ?? [-card.spread, card.spread];
  const value = card.share ?? card.gap;
  const most = card.band ? 1 : 1.2 * Math.max(Math.abs(value), high);
  const at = (/** @type {number} */ here) => 4 + (292 * (Math.max(-1, Math.min(1, here / (most || 1))) + 1)) / 2;
  const ends = card.versus == null ? [] : [end(4, "start", `← ${card.versus}`), end(296, "end", `${card.label} →`)];
  return svg(
    "svg",
    {
      class: `band ${tone}`,
      viewBox: card.versus == null ? "0 0 300 34" : "0 0 300 50",
      role: "img",
      "aria-label": `Nine of ten random maps lie in ${card.random}.`,
    },
    svg("line", { x1: 4, x2: 296, y1: 9, y2: 9, class: "axis" }),
    svg("rect", { x: at(low), y: 3, width: Math.max(2, at(high) - at(low)), height: 12, rx: 3, class: "random" }),
    svg("circle", { cx: at(value), cy: 9, r: 5.5, class: "mark" }),
    svg("text", { x: at(0), y: 30, "text-anchor": "middle" }, `random maps: ${card.random}`),
    ...ends,
  );
}
const end = (/** @type {number} */ x, /** @type {string} */ anchor, /** @type {string} */ words) =>
  svg("text", { x, y: 47, "text-anchor": anchor }, words);

/** The score while cells are covered: coldest first, warmest first, what lies between tinted. @param {Card} card
 * @param {((step: number) => void) | undefined} show takes the step that a pointer is at */
function curves(card, show) {
  const all = [...card.coldest_first, ...card.warmest_first];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const x = (/** @type {number} */ share) => 4 + 292 * share;
  const y = (/** @type {number} */ score) => 76 - (70 * (score - low)) / (high - low || 1);
  const covered = /** @type {number[]} */ (card.covered);
  const points = (/** @type {number[]} */ scores) =>
    covered.map((share, i) => `${x(share).toFixed(1)},${y(scores[i]).toFixed(1)}`);
  const coldest = points(card.coldest_first);
  const warmest = points(card.warmest_first);
  const falls = `The score falls from ${figure(card.score)} to ${figure(card.score_covered)} while cells are covered`;
  const drawing = svg(
    "svg",
    {
      class: "curves",
      viewBox: "0 0 300 80",
      role: "img",
      "aria-label": `${falls}; ${card.says}`,
      onpointermove: (/** @type {PointerEvent} */ event) => {
        const { x: across } = placeIn(drawing, event);
        const away = covered.map((share) => Math.abs(share - across));
        show?.(away.indexOf(Math.min(...away)));
      },
    },
    svg("polygon", { points: [...coldest, ...warmest.toReversed()].join(" "), class: "between" }),
    svg("polyline", { points: coldest.join(" "), class: "coldest" }),
    svg("polyline", { points: warmest.join(" "), class: "warmest" }),
  );
  return h(
    "figure",
    { class: "curve" },
    drawing,
    h(
      "figcaption",
      {},
      h("span", {}, "0 %"),
      h(
        "span",
        {},
        "covering ",
        h("b", { class: "coldest" }, "coldest"),
        " or ",
        h("b", { class: "warmest" }, "warmest"),
        " first",
      ),
      h("span", {}, "100 %"),
    ),
  );
}

/**
 * @param {string} name
 * @param {Child} summary
 * @param {...(Child | Child[])} inside
 */
function fold(name, summary, ...inside) {
  return h(
    "details",
    { class: name, open: OPEN[name], ontoggle: (event) => (OPEN[name] = event.target.open) },
    h("summary", {}, summary),
    ...inside,
  );
}

/** @param {Pane} pane */
function measured(pane) {
  const { card } = found;
  if (!card || card.waiting || card.sentence || "takes" in card) return null;
  const rows = [];
  if (card.keep != null)
    rows.push(
      ["Warmest fifth kept", `${chance(card.keep)} ${card.label}, whole picture ${chance(card.probability)}`],
      ["and covered", `${chance(card.drop)} ${card.label}`],
    );
  rows.push([
    "Sum",
    card.residual == null ? "makes no such promise" : `the parts miss the whole by ${chance(card.residual)}`,
  ]);
  if (card.depends_on_class != null)
    rows.push([
      "Class",
      card.depends_on_class
        ? `depends on it: rank correlation ${figure(card.contrast)} with the map for ${card.rival}`
        : "does not depend on the class",
    ]);
  if (card.half != null)
    rows.push(["Focus", `half of the heat on ${chance(card.half)} of the area (Gini ${figure(card.gini)})`]);
  if (pane.decides) rows.push(["Parts that decide", pane.decides]);
  const { spent } = card;
  const backwards = spent.backwards ? `, ${spent.backwards} backward` : "";
  const passes = `${spent.forwards} forward${backwards}, ${spent.seconds.toFixed(2)} s`;
  const how = card.blank
    ? `Cost: ${passes}.`
    : [
        `Cells in ${card.cells.join(" × ")} are covered with the mean color of the training pictures,`,
        `in ${card.steps} steps; random maps are ${card.random_orders} orders of the same cells. ${passes}.`,
      ].join(" ");
  return fold(
    "measured",
    "All that was measured",
    h(
      "dl",
      {},
      rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    card.caveats.length
      ? h(
          "ul",
          {},
          card.caveats.map((/** @type {string} */ each) => h("li", {}, each)),
        )
      : "",
    h("p", { class: "quiet" }, how),
  );
}

// In a world: what taking an element out of the scene does to the score, beside what the map put there.
function truth() {
  const told = found.truth;
  if (!told?.elements) return told?.sentence ? h("p", { class: "quiet" }, told.sentence) : null;
  const asides = told.asides.map((/** @type {Aside} */ one) => `${chance(one.share)} lies on ${one.on}`);
  const most = Math.max(...told.elements.map((/** @type {Element_} */ each) => Math.abs(each.effect))) || 1;
  const top = Math.max(...told.elements.map((/** @type {Element_} */ each) => Math.abs(each.given))) || 1;
  const bar = (/** @type {string} */ kind, /** @type {number} */ share, /** @type {string} */ words) =>
    h("span", {
      class: `bar ${kind} ${share < 0 ? "lowers" : ""}`,
      style: `--share: ${Math.abs(100 * share).toFixed(1)}%`,
      title: words,
    });
  const right = told.pairs == null ? "" : `${whole(told.pairs)} in order`;
  return fold(
    "truth",
    h("span", {}, "What truly decides ", h("span", { class: "quiet" }, right)),
    h(
      "p",
      { class: "key" },
      h("span", {}, h("i", { class: "true" }), "score lost without it"),
      h("span", {}, h("i", { class: "map" }), "heat of the map on it"),
    ),
    h(
      "ul",
      {},
      told.elements.map((/** @type {Element_} */ each) =>
        h(
          "li",
          {
            "aria-label": `${each.name}: effect ${figure(each.effect)}, heat ${figure(each.given)}`,
          },
          h("span", { class: "name" }, each.name),
          h(
            "span",
            { class: "bars" },
            bar("true", each.effect / most, `without it the score changes by ${figure(-each.effect)}`),
            bar("map", each.given / top, `heat there: ${figure(each.given)}`),
          ),
          h("span", { class: "value" }, rounded(each.effect)),
        ),
      ),
    ),
    h(
      "p",
      { class: "quiet" },
      [
        "Each element is taken out of the scene (body and background are drawn anew), and the picture rendered again.",
        told.pairs == null ? "" : `The map puts ${whole(told.pairs)} of the pairs in the right order;`,
        told.pairs == null ? "" : "chance would be 50\u00a0%.",
        told.rho == null ? "" : `Rank correlation ${figure(told.rho)}.`,
        asides.length ? `Of the heat that raises, ${asides.join(", ")}.` : "",
        `A pale bar lowers the score. ${told.cost}.`,
      ]
        .filter(Boolean)
        .join(" "),
    ),
  );
}

/** @param {Pane} pane */
function further(pane) {
  const { pair } = worldOf(pane.model);
  const links = [];
  if (found.card && !found.unlearned && !sightglass.answer?.network.random)
    links.push(link("Try it on a network that has learned nothing", () => measure("unlearn"), { id: "unlearn" }));
  if (pair && sightglass.question.scene && !isPair()) links.push(link("Spot the cheater", spot, { id: "cheater" }));
  return links.length ? h("p", { class: "further" }, links) : null;
}

function unlearned() {
  const told = found.unlearned;
  if (!told) return null;
  if (told.waiting) return h("p", { class: "quiet" }, "Drawing the weights anew and asking again…");
  if (told.sentence) return h("p", { class: "quiet" }, told.sentence);
  const names = ["this network", "weights drawn anew"];
  const words =
    told.alike == null
      ? "One of the two maps is the same everywhere."
      : told.unchanged
        ? `Rank correlation ${figure(told.alike)}: much of this map does not come from what the network has learned.`
        : `Rank correlation ${figure(told.alike)}: this map comes from what the network has learned.`;
  return h(
    "div",
    { class: "unlearned" },
    h(
      "div",
      {},
      told.maps.map((/** @type {Judged} */ map, /** @type {number} */ i) =>
        h("figure", {}, small(map), h("figcaption", { class: "quiet" }, names[i])),
      ),
    ),
    h("p", {}, words, h("span", { class: "quiet" }, ` ${told.cost}.`)),
  );
}

const SIDE = 150;
const small = (/** @type {Judged} */ map) =>
  sightglass.picture && ink.overlay(sightglass.picture, ink.unpack(map.heat), map, 2 * SIDE, { words: map.alt });

// --- the same picture in two brains

const worldOf = (/** @type {string | undefined} */ model) => {
  const { networks, worlds } = sightglass.catalogue;
  return worlds[networks.find((one) => one.id === model)?.world] ?? {};
};
const isPair = () => {
  const model = sightglass.answer?.panes?.[0]?.model;
  const [honest, cheater] = worldOf(model).pair ?? [];
  return honest !== undefined && model === honest && sightglass.question.beside.model === cheater;
};
function spot() {
  const { pair, scene } = worldOf(sightglass.current()?.model);
  sightglass.ask({
    scene,
    picture: "",
    upload: "",
    model: pair[0],
    target: null,
    versus: null,
    beside: { model: pair[1] },
  });
}
const sure = (/** @type {Pane} */ { share }) => chance(share ?? 0);
function pair() {
  const [one, other] = sightglass.answer?.panes ?? [];
  if (!isPair() || !ink.native(other) || sightglass.question.scene !== worldOf(one.model).scene) return null;
  return h(
    "p",
    { class: "pair" },
    h("b", {}, "Spot the cheater. "),
    [
      `Both networks name it ${one.target}, with ${sure(one)} and ${sure(other)}, and both are right.`,
      "Without a scale bar, neither erred on 500 test pictures: accuracy cannot tell them apart.",
      "One reads the creature, the other the scale bar; the maps show which.",
      "The number below judges the map on the left.",
    ].join(" "),
  );
}
