// The network from left to right; the channels of one depth; one channel; and pictures that grow.
import { choice, link, sheets, tick } from "../../static/controls.js";
import { h, svg } from "../../static/elements.js";
import { within } from "../../static/framing.js";
import * as ink from "../../static/heat.js";
import { part } from "../../static/parts.js";
import { keep } from "../../static/permalink.js";
import { sightglass } from "../../static/store.js";
import { figure, percent, seconds, signed } from "../../static/words.js";

/** @import { Box } from "../../static/types.js" */

const { element, props } = await part("inside");
const root = element.querySelector(".inside");
const find = (selector) => root.querySelector(selector);
const { depths: NAMES, ways: WAYS, redrawn: KINDS } = props.about; // words by id
const { steps: STEPS } = props.about;
const SHEETS = { depths: "Depth by depth", class: "Imagine the class", picture: "The picture redrawn" };
const state = {
  sheet: "depths",
  depth: "last",
  channel: null,
  filters: false,
  ways: Object.keys(WAYS),
  steps: "quick",
  pictures: 1,
  seed: 0,
  kind: Object.keys(KINDS)[0],
  ...clean(sightglass.placed("inside")),
};
const stale = { depths: true, class: true, picture: true };
let seen = null; // the depth as last told
let running = null;

function clean(/** @type {Record<string, string>} */ { sheet, depth }) {
  return { ...(sheet in SHEETS && { sheet }), ...(depth in NAMES && { depth }) };
}
function run(name, data, tell) {
  const began = performance.now();
  return sightglass.run("inside", name, { depth: state.depth, ...data }, (message) => {
    if (message.state === "error") return say(message.sentence);
    if (message.state === "stopped") say("Stopped.");
    tell(message, message.state !== "working", (performance.now() - began) / 1000);
  });
}
const say = (sentence) => (find(".said").textContent = sentence ?? "");
const aspect = (size) => `--aspect: ${size[1]} / ${size[0]}`;
const image = (address, alt, given = {}) => h("img", { src: address, alt, ...given });

// --- sheets

function drawSheets() {
  find(".inner").replaceChildren(...sheets(SHEETS, state.sheet, open));
  for (const sheet of root.querySelectorAll(".sheet")) sheet.hidden = sheet.dataset.sheet !== state.sheet;
}
function open(sheet) {
  state.sheet = sheet;
  drawSheets();
  refresh();
}
function refresh() {
  place();
  if (!stale[state.sheet]) return;
  stale[state.sheet] = false;
  say("");
  ({ depths: look, class: idle, picture: redraw })[state.sheet]();
}
function place() {
  sightglass.place = {
    sheet: state.sheet === "depths" ? "" : state.sheet,
    depth: state.depth === "last" ? "" : state.depth,
  };
  keep();
}
function renew() {
  for (const sheet of Object.keys(stale)) stale[sheet] = true;
  running?.stop();
  running = null;
  state.channel = null;
  refresh();
}

// --- depth by depth

function look() {
  if (!seen) find(".trunk").replaceChildren(h("li", { class: "quiet" }, "Looking into the network …"));
  run("look", {}, (told, done) => {
    if (!done || !told.depths) return;
    seen = told;
    drawTrunk();
    drawFound();
    const first = state.channel ?? told.speaking[0]?.number ?? 0;
    showChannel(first);
  });
}
function choose(depth) {
  state.depth = depth;
  state.channel = null;
  state.filters = false;
  stale.picture = true;
  place();
  look();
}
function drawTrunk() {
  const { depths, size, picture, chosen, target, parameters } = seen;
  const biggest = Math.max(...depths.map((each) => each.height));
  const block = ({ height, width }) => {
    const side = Math.max(10, 64 * Math.sqrt(height / biggest));
    const cells = `--rows: ${Math.min(height, 14)}; --columns: ${Math.min(width, 14)}`;
    return h("span", { class: "block", style: `height: ${side}px; width: ${(side * width) / height}px; ${cells}` });
  };
  find(".trunk").replaceChildren(
    h(
      "li",
      {},
      h(
        "button",
        { type: "button", "aria-pressed": String(state.filters), onclick: showFilters, title: "The first filters" },
        image(picture, "The picture as the network gets it"),
        h("span", {}, h("b", {}, "Picture"), h("small", {}, `${size[0]} × ${size[1]}, filters`)),
      ),
    ),
    ...depths.map((each) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(!state.filters && each.id === chosen),
            onclick: () => choose(each.id),
            title: each.path,
          },
          block(each),
          h(
            "span",
            {},
            h("b", {}, NAMES[each.id]),
            h("small", {}, `${each.height} × ${each.width}, ${each.channels} channels`),
          ),
        ),
      ),
    ),
    h(
      "li",
      {},
      h(
        "span",
        { class: "end" },
        h("span", { style: "align-self: center; font-weight: 600; overflow-wrap: anywhere" }, target),
        h("small", {}, `${(parameters / 1e6).toPrecision(2)} M weights`),
      ),
    ),
  );
}
function drawFound() {
  const { speaking, speaking_note, maps, maps_note, target } = seen;
  const tiles = speaking.map(({ number, value, heat }) =>
    h(
      "button",
      {
        type: "button",
        "data-channel": number,
        "aria-label": `Channel ${number}: ${signed(value)}`,
        onclick: () => showChannel(number),
      },
      overlaid(heat, true, 168),
      h("span", { class: value < 0 ? "against" : "" }, `${number}: ${signed(value)}`),
    ),
  );
  find(".found").replaceChildren(
    h(
      "section",
      {},
      h("h3", {}, "Which channels speak for ", h("b", {}, target), " here?"),
      h(
        "p",
        { class: "notes" },
        `Weight times map, in ${seen.unit}, each drawn on its own scale; warm speaks for it, blue against. `,
        speaking_note,
      ),
      h("div", { class: "speaking" }, tiles),
    ),
    h("section", {}, h("h3", {}, "What each channel puts out"), h("p", { class: "notes" }, maps_note), grid(maps)),
  );
  mark();
}
/** A heat over all that the network gets, so many pixels wide. */
function overlaid(heat, isSigned, across, given = {}) {
  const [height, width] = seen.size;
  const about = { box: /** @type {Box} */ ([0, 0, width, height]), signed: isSigned };
  const side = (across * Math.max(width, height)) / width;
  return ink.overlay({ src: seen.picture, width, height }, ink.unpack(heat), about, side, { given });
}
function grid(maps, kernels = false) {
  return h(
    "div",
    { class: kernels ? "maps kernels" : "maps", style: aspect(kernels ? [1, 1] : seen.size) },
    maps.map(({ number, picture, value, silent }) =>
      kernels
        ? image(picture, `Filter ${number}`, { title: `Filter ${number}, strength ${figure(value)}`, loading: "lazy" })
        : h(
            "button",
            {
              type: "button",
              class: silent ? "silent" : "",
              "data-channel": number,
              title: silent ? `Channel ${number}: silent here` : `Channel ${number}: ${figure(value)} on average`,
              "aria-label": `Channel ${number}`,
              onclick: () => showChannel(number),
            },
            image(picture, "", { loading: "lazy" }),
          ),
    ),
  );
}
function mark() {
  for (const button of root.querySelectorAll("[data-channel]"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.channel) === state.channel));
}
const AS_WAVES = "Bright is what gets through; the center is the mean, the edge the finest detail.";
const AS_COLORS =
  "Each answers most to a pattern of light and color like itself; gray is no weight. Alike ones stand side by side.";
function showFilters() {
  state.filters = true;
  drawTrunk();
  let waves = false;
  const ask = () =>
    run("filters", { where: "first", frequencies: waves }, (told, done) => {
      if (!done || !told.filters || !state.filters) return;
      find(".found").replaceChildren(
        h(
          "section",
          {},
          h(
            "div",
            { class: "title" },
            h("h3", {}, "The first filters"),
            choice(
              { colors: "As colors", waves: "As frequencies" },
              waves ? "waves" : "colors",
              (id) => ((waves = id === "waves"), ask()),
              "Show",
            ),
          ),
          h("p", { class: "notes" }, `${told.note} ${waves ? AS_WAVES : AS_COLORS}`),
          grid(told.filters, true),
        ),
      );
    });
  ask();
}
const FAR = "It drives the channel far; believe the natural pictures first.";
function showChannel(number) {
  state.channel = number;
  mark();
  const panel = find(".one");
  const title = h("h3", {}, `Channel ${number}, ${NAMES[state.depth].toLowerCase()}`);
  const own = h("span", { class: "place", style: aspect(seen.size) });
  const excites = h("div", { class: "cuts" });
  const words = h("p", { class: "notes" });
  const made = h(
    "div",
    { class: "pair" },
    h("span", { class: "place", style: aspect(seen.size) }),
    h("span", { class: "place", style: aspect(seen.size) }),
  );
  const progress = h("p", { class: "notes" }, "growing …");
  panel.replaceChildren(
    title,
    h("figure", {}, own, h("figcaption", { class: "notes" }, "On this picture")),
    h("section", {}, h("h3", {}, "What excites it"), excites, words),
    h("section", {}, h("h3", {}, "What it imagines"), made, progress),
  );
  let drawn = false;
  running?.stop();
  running = run("channel", { channel: number, how: "fourier" }, (told, done, took) => {
    if (told.channel !== number || state.channel !== number) return;
    if (!drawn && told.exemplars) {
      drawn = true;
      own.replaceWith(overlaid(told.own, told.signed, 336, { class: "place", style: aspect(seen.size) }));
      excites.replaceChildren(
        ...told.exemplars.map(({ picture, activation, box: [x0, y0, x1, y1] }) =>
          h(
            "figure",
            {},
            h(
              "span",
              { class: "frame" },
              image(picture, "A picture that excites it"),
              (x1 - x0 < 0.99 || y1 - y0 < 0.99) &&
                h("i", { class: "box", style: within([x0, y0, x1, y1], { width: 1, height: 1 }) }),
            ),
            figure(activation),
          ),
        ),
      );
      const [high, wide] = told.field;
      const reach =
        high >= seen.size[0] && wide >= seen.size[1]
          ? "Each place can see the whole picture."
          : `The frame is what that place can see: ${high} × ${wide} pixels.`;
      words.textContent = `From ${told.whose}. ${reach}`;
    }
    if (told.imagined?.length)
      made.replaceChildren(
        ...told.imagined.map(({ picture }) => image(picture, "Imagined", { style: aspect(seen.size) })),
      );
    if (told.step)
      progress.textContent = done
        ? `${told.step} steps from two random starts, ${seconds(took)}. ${FAR}`
        : `step ${told.step} of ${told.steps}, ${seconds(took * (told.steps / told.step - 1))} to go`;
  });
}

// --- the class

function askedClass() {
  const all = Object.keys(WAYS);
  const box = (how) =>
    tick(WAYS[how][0], state.ways.includes(how), (on) => {
      state.ways = all.filter((each) => (each === how ? on : state.ways.includes(each)));
      if (!state.ways.length) state.ways = ["fourier"];
      askedClass();
    });
  find('[data-sheet="class"] .asked').replaceChildren(
    h("button", { type: "button", class: "go", onclick: grow }, "Imagine it"),
    h(
      "span",
      {},
      all.map(box).flatMap((each) => [each, " "]),
    ),
    choice(
      Object.fromEntries(Object.entries(STEPS).map(([id, count]) => [id, `${count} steps`])),
      state.steps,
      (id) => ((state.steps = id), askedClass()),
      "Steps",
    ),
    choice(
      { 1: "one picture", 4: "four" },
      String(state.pictures),
      (id) => ((state.pictures = Number(id)), askedClass()),
      "Pictures",
    ),
    link("Another start", () => ((state.seed = (state.seed + 1) % 10000), grow())),
  );
}
function idle() {
  askedClass();
  grow();
}
function grow() {
  stale.class = false;
  running?.stop();
  const ask = find('[data-sheet="class"] .asked');
  const stop = h("button", { type: "button", class: "go", onclick: () => running?.stop({ keep: true }) }, "Stop");
  askedClass();
  ask.firstChild.replaceWith(stop);
  find('[data-sheet="class"] .lead').textContent = "The network is looked into …";
  running = run(
    "grow",
    { ways: state.ways, steps: state.steps, pictures: state.pictures, seed: state.seed },
    (told, done, took) => {
      if (told.ways) drawGrown(told, done);
      const step = told.ways?.[0]?.step ?? 0;
      if (done) {
        askedClass();
        say(told.whole === false ? `Stopped after ${step} steps.` : `${step} steps, ${seconds(took)}.`);
      } else if (step) say(`step ${step} of ${told.steps}, ${seconds(took * (told.steps / step - 1))} to go`);
    },
  );
}
function drawGrown({ ways, natural, label, unit, whose }, done) {
  find('[data-sheet="class"] .lead').replaceChildren(
    "What raises ",
    h("b", {}, label),
    " most, starting from nothing?",
  );
  const size = seen?.size ?? [1, 1];
  const best = natural[0]?.score ?? 0;
  const all = ways.flatMap((way) => way.curve.map(([, score]) => score));
  const low = Math.min(0, ...all);
  const high = Math.max(best, ...all, low + 1);
  find(".grown").replaceChildren(
    ...ways.map((way) => {
      const across = way.pictures.length > 1 ? 2 : 1;
      const [name, line] = WAYS[way.how];
      const last = way.curve.at(-1);
      return h(
        "section",
        { class: "way", "data-way": way.how },
        h("h3", {}, name),
        h("p", { class: "notes" }, line),
        h(
          "div",
          { class: "seen", style: `--across: ${across}` },
          way.pictures.length
            ? way.pictures.map(({ picture }) => image(picture, `${label}, imagined: ${name}`, { style: aspect(size) }))
            : h("span", { class: "place", style: aspect(size) }),
        ),
        curve(way.curve, best, low, high, name),
        h(
          "p",
          { class: "figures" },
          h("span", {}, last ? `${figure(last[1])} ${unit}` : ""),
          way.film
            ? h(
                "a",
                { href: way.film, download: `${label.replaceAll(/[^\p{L}\p{N}]+/gu, "-")}-${way.how}.webp` },
                "Film (WebP)",
              )
            : null,
        ),
        done && way.worth ? h("p", { class: "notes" }, way.worth) : null,
      );
    }),
    h(
      "aside",
      { class: "natural" },
      h("h3", {}, "Natural"),
      natural.map(({ picture, score }) =>
        h(
          "figure",
          {},
          image(picture, "A natural picture that raises it"),
          h("figcaption", { class: "quiet" }, figure(score)),
        ),
      ),
      h("p", { class: "notes" }, `The best of ${whose}; dashed in the curves.`),
    ),
  );
}
function curve(points, best, low, high, name) {
  const y = (value) => 100 * (1 - (value - low) / (high - low));
  const end = Math.max(1, STEPS[state.steps]);
  const goes = points.length && `: the score goes from ${figure(points[0][1])} to ${figure(points.at(-1)[1])}`;
  const line = points.map(([step, score]) => `${(100 * step) / end},${y(score)}`).join(" ");
  return svg(
    "svg",
    { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": `${name}${goes || ""}` },
    svg("line", { x1: 0, x2: 100, y1: y(best), y2: y(best) }),
    line && svg("polyline", { points: line }),
  );
}

// --- the picture

function redraw() {
  stale.picture = false;
  const sheet = find('[data-sheet="picture"]');
  sheet.querySelector(".asked").replaceChildren(
    choice(KINDS, state.kind, (id) => ((state.kind = id), redraw()), "How"),
    choice(NAMES, state.depth, (id) => ((state.depth = id), (stale.depths = true), place(), redraw()), "Depth"),
  );
  running?.stop();
  running = run("redraw", { kind: state.kind }, (told, done, took) => {
    if (told.kind !== state.kind || !told.pictures) return;
    const style = aspect(seen?.size ?? [1, 1]);
    sheet.querySelector(".lead").textContent = told.question;
    sheet
      .querySelector(".redrawn")
      .replaceChildren(
        h(
          "figure",
          {},
          image(told.picture, "The picture", { style }),
          h("figcaption", { class: "quiet" }, "the picture, as the network gets it"),
        ),
        ...told.pictures.map(({ picture, caption }) =>
          h("figure", {}, image(picture, KINDS[told.kind], { style }), h("figcaption", { class: "quiet" }, caption)),
        ),
        h("p", { class: "notes" }, h("b", {}, "Read it as "), told.read_it_as, " ", h("b", {}, "Beware "), told.beware),
      );
    say(done ? `${seconds(took)}.` : `${percent(told.done)} done, ${seconds(took * (1 / told.done - 1))} to go`);
  });
}

// --- from a map to the channels that made it

sightglass.on("read", () => {
  const actions = document.querySelector("#part-reading .actions");
  if (!actions || !ink.native(sightglass.current()) || actions.querySelector("#to-inside")) return;
  actions.prepend(
    link(
      "Which channels made it?",
      () => {
        state.sheet = "depths";
        state.depth = String(sightglass.current()?.options?.depth ?? "last");
        drawSheets();
        stale.depths = true;
        sightglass.show("inside");
        refresh();
      },
      { id: "to-inside" },
    ),
  );
});

drawSheets();
sightglass.whileShown("inside", renew);
