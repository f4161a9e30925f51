// Puts a pipeline together, shows what it does, and whether the reason survives it.
import { bars, lines } from "../../static/charts.js";
import { buttons, choice, copier, link, menu, range, sheets, slider } from "../../static/controls.js";
import { h } from "../../static/elements.js";
import { placeIn, within } from "../../static/framing.js";
import * as ink from "../../static/heat.js";
import { part } from "../../static/parts.js";
import { sightglass } from "../../static/store.js";
import { confidence, figure, percent, plural, signed } from "../../static/words.js";

/** @import { Box } from "../../static/types.js" */

const { element, props, upload } = await part("augment");
const { about } = props;
const root = element.querySelector(".augment");
const find = (selector) => root.querySelector(selector);
const REST = 120; // milliseconds that a setting rests before the preview is asked for
const LATER = 600; // and before the network is asked again
const kinds = Object.fromEntries(about.transforms.map((each) => [each.name, each]));
const FIRST = Object.keys(about.presets)[0];
const state = {
  steps: structuredClone(about.presets[FIRST].steps),
  preset: FIRST,
  seed: 0,
  sheet: "variants",
  by: "",
  transform: "rotation",
  at: null,
  mix: { kind: "cutmix", share: 0.6, across: 0.5, down: 0.5, second: null },
  chosen: null,
};
const stale = { variants: true, robustness: true, two: true, trained: true };
let told = null; // the variants as last told
let swept = null;
let size = [1, 1];

const run = (name, data, tell) =>
  sightglass.run("augment", name, { pipeline: state.steps, seed: state.seed, by: state.by, ...data }, (message) => {
    if (message.state === "error") return say(message.sentence);
    if (message.state === "stopped") return say("Stopped.");
    tell(message, message.state === "done");
  });
function say(sentence) {
  find(".said").textContent = sentence ?? "";
}
const waits = {};
function later(name, after, action) {
  clearTimeout(waits[name]);
  waits[name] = setTimeout(action, after);
}

// --- the pipeline

function drawPipeline() {
  const presets = Object.entries(about.presets).map(([name, { title }]) => [name, title]);
  find(".start").replaceChildren(
    h(
      "label",
      {},
      menu([["", "my own"], ...presets], state.preset, (name) => name && start(name), {
        "aria-label": "Pipeline: start from",
      }),
    ),
    link("Draw anew", another, { class: "link again" }),
  );
  find(".steps").replaceChildren(...state.steps.map(drawStep));
  find(".adding").replaceChildren(
    menu(
      [["", "Add a transform …"], ...about.transforms.map(({ name, title }) => [name, title])],
      "",
      (name) => name && add(name),
      { "aria-label": "Add a transform" },
    ),
  );
}
function drawStep(step, place) {
  const { title, settings } = kinds[step.transform];
  const move = (by) => () => {
    const [one] = state.steps.splice(place, 1);
    state.steps.splice(place + by, 0, one);
    changed();
  };
  const tool = (sign, words, action, off) =>
    h(
      "button",
      {
        type: "button",
        class: "tool",
        title: words,
        "aria-label": `${title}: ${words}`,
        disabled: off,
        onclick: action,
      },
      sign,
    );
  const last = state.steps.length - 1;
  return h(
    "li",
    {},
    h(
      "details",
      { open: step.open, ontoggle: (event) => (step.open = event.target.open) },
      h(
        "summary",
        {},
        h("b", {}, title),
        h(
          "span",
          { class: "tools" },
          tool("↑", "earlier", move(-1), place === 0),
          tool("↓", "later", move(1), place === last),
          tool("×", "take out", () => (state.steps.splice(place, 1), changed()), last === 0),
        ),
      ),
      settings.length
        ? settings.map((setting) => drawSetting(step, setting))
        : h("small", { class: "quiet" }, "It has no settings."),
    ),
  );
}
function drawSetting(step, setting) {
  const value = step[setting.name] ?? setting.default;
  const words = setting.name === "p" ? "Probability" : setting.name.replaceAll("_", " ");
  if (setting.kind === "choice")
    return h(
      "label",
      { class: "setting" },
      h("span", {}, words),
      menu(
        setting.choices.map((each) => [each, each]),
        value,
        (chosen) => set(step, setting.name, chosen),
      ),
    );
  const { out, range } = slider(setting, value, (next) => set(step, setting.name, next), { steps: 200 });
  return h(
    "label",
    { class: "setting", title: setting.description },
    h("span", {}, words, " ", out),
    range,
    h("small", { class: "quiet" }, setting.description),
  );
}
function set(step, name, value) {
  step[name] = value;
  // A range stays one: the other end gives way.
  const [low, high] = [name.replace(/_to$/, "_from"), name.replace(/_from$/, "_to")];
  if (low !== high) {
    const settings = kinds[step.transform].settings;
    const end = (each) => step[each] ?? settings.find((setting) => setting.name === each).default;
    if (end(low) > end(high)) step[name === low ? high : low] = value;
  }
  state.preset = "";
  stale.variants = true;
  later("preview", REST, preview);
  later("variants", LATER, refresh);
}
const bare = () => state.steps.map(({ open, ...rest }) => rest);
function start(name) {
  state.steps = structuredClone(about.presets[name].steps);
  state.preset = name;
  changed();
  state.preset = name;
  drawPipeline();
}
function add(name) {
  const most = about.most_steps;
  if (state.steps.length >= most) return say(`A pipeline has at most ${most} steps; take one out first.`);
  state.steps.push({ transform: name, open: true });
  changed();
}
function another() {
  state.seed = (state.seed + 100) % 9000;
  changed(false);
}
function changed(own = true) {
  if (own) state.preset = "";
  stale.variants = true;
  state.chosen = null;
  drawPipeline();
  preview();
  later("variants", REST, refresh);
}
function preview() {
  run("preview", { pipeline: bare() }, (message) => {
    if (!message.picture) return;
    say("");
    find(".live img").src = message.picture;
    find(".live figcaption").textContent = message.recipe;
  });
}

// --- sheets

const SHEETS = {
  variants: "Variants",
  robustness: "Robustness",
  two: "Two pictures",
  code: "Code",
  trained: "What training does",
};
function drawSheets() {
  find(".inner").replaceChildren(
    ...sheets(SHEETS, state.sheet, (name) => ((state.sheet = name), drawSheets(), refresh())),
  );
  for (const each of root.querySelectorAll("[data-sheet]")) each.hidden = each.dataset.sheet !== state.sheet;
  const fits = (sightglass.answer?.fits ?? []).filter((fit) => !fit.why_not && sightglass.heats(fit.id));
  const quick = fits.filter((fit) => sightglass.method(fit.id).takes <= 8);
  find(".by").replaceChildren(
    ...(!["variants", "two"].includes(state.sheet)
      ? []
      : [
          h(
            "label",
            {},
            "Explained by ",
            menu([["", "a quick one"], ...quick.map(({ id, title }) => [id, title])], state.by, (id) => {
              state.by = id;
              stale.two = true;
              if (state.chosen) choose(state.chosen);
              refresh();
            }),
          ),
        ]),
  );
}
function refresh() {
  if (sightglass.tab !== "augment") return;
  if (state.sheet === "code") return stale.variants ? variants() : drawCode();
  if (!stale[state.sheet]) return;
  ({ variants, robustness, two, trained })[state.sheet]();
}
const sheet = (name) => find(`[data-sheet="${name}"]`);

// --- variants

function variants() {
  say("Asking the network about each variant …");
  run("variants", { pipeline: bare(), samples: about.samples }, (message, done) => {
    if (!message.original) return;
    told = message;
    size = message.size;
    if (done) {
      stale.variants = false;
      say("");
    }
    drawVariants();
    if (state.sheet === "code") drawCode();
  });
}
function drawVariants() {
  const flips = told.variants.filter((each) => each.flipped).length;
  const count = told.variants.length;
  const mean = told.variants.reduce((sum, each) => sum + each.change, 0) / Math.max(1, count);
  const numbers = told.original.share == null; // a regression has no answer that could become another one
  const moves = `${numbers ? "The number" : ` get another answer than ${told.target}; the score`} moves by`;
  const tile = (each, words) =>
    h(
      "button",
      {
        type: "button",
        class: "variant",
        "aria-pressed": String(state.chosen === each.seed),
        onclick: () => choose(each.seed),
      },
      h("img", { src: each.picture, alt: `${words}: ${each.label}` }),
      h("b", { class: each.flipped ? "flipped" : "" }, h("span", {}, each.label), ` ${confidence(each)}`),
      h("span", { class: "change" }, each.seed < 0 ? "as it is" : `${signed(each.change)} ${told.unit}`),
      h("small", { class: "quiet", title: words }, words),
    );
  sheet("variants").replaceChildren(
    h(
      "p",
      { class: "lead" },
      count
        ? h(
            "span",
            {},
            numbers ? null : h("b", {}, `${flips} of ${plural(count, "variant")}`),
            `${moves} ${signed(mean)} ${told.unit} on average.`,
          )
        : "…",
    ),
    h("div", { class: "chosen", hidden: state.chosen == null }),
    h(
      "div",
      { class: "grid" },
      tile(told.original, "The original"),
      told.variants.map((each) => tile(each, each.recipe)),
    ),
    h("div", { class: "survives" }, link("Does the reason survive all of them?", survives)),
  );
  if (state.chosen != null && detail) drawChosen();
}
let detail = null;
function choose(seed) {
  if (seed < 0) return;
  state.chosen = seed;
  detail = null;
  for (const each of root.querySelectorAll(".variant")) each.setAttribute("aria-pressed", "false");
  say("Explaining this variant …");
  run("variant", { pipeline: bare(), seed }, (message, done) => {
    if (!done) return;
    say("");
    detail = message;
    drawVariants();
    sheet("variants").querySelector(".chosen").scrollIntoView({ block: "nearest" });
  });
}
function overlay(src, heat, sign, words, lost = null, [width, height] = size) {
  const about = { box: /** @type {Box} */ ([0, 0, width, height]), signed: sign };
  return ink.overlay({ src, width, height }, ink.unpack(heat), about, 256, {
    words,
    after: (canvas) => lost && hatch(canvas, ink.unpack(lost)),
  });
}
// What the variant does not show is hatched: nothing is known there.
function hatch(canvas, lost) {
  const pen = canvas.getContext("2d");
  const [wide, high] = [canvas.width / lost.width, canvas.height / lost.height];
  pen.save();
  pen.beginPath();
  for (let row = 0; row < lost.height; row++)
    for (let column = 0; column < lost.width; column++)
      if (lost.values[row * lost.width + column] > 0.5) pen.rect(column * wide, row * high, wide + 0.5, high + 0.5);
  pen.clip();
  pen.fillStyle = "rgba(128, 128, 128, 0.55)";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = "rgba(255, 255, 255, 0.5)";
  pen.beginPath();
  for (let x = -canvas.height; x < canvas.width; x += 9) pen.moveTo(x, canvas.height), pen.lineTo(x + canvas.height, 0);
  pen.stroke();
  pen.restore();
}
function drawChosen() {
  const variant = told.variants.find((each) => each.seed === state.chosen);
  const place = sheet("variants").querySelector(".chosen");
  if (!variant || !place) return;
  const shown = (canvas, title, words) =>
    h("figure", {}, canvas, h("figcaption", {}, h("b", {}, title), h("small", { class: "quiet" }, words)));
  place.hidden = false;
  const lost = detail.share_lost > 0.005 && `; ${percent(detail.share_lost)} of the picture was lost, and is hatched`;
  const sentence = detail.back ? `agreement ${detail.agreement.toFixed(2)}${lost || ""}` : detail.why;
  place.replaceChildren(
    h(
      "p",
      { class: "recipe" },
      h("b", {}, `${variant.label} ${confidence(variant)}`),
      ` ${signed(variant.change)} ${told.unit}. This variant was ${variant.recipe}.`,
    ),
    h(
      "div",
      { class: "trio" },
      shown(
        overlay(told.original.picture, detail.own, detail.signed, "Heat of the original"),
        "Original",
        `${detail.title} of ${told.target}`,
      ),
      shown(
        overlay(variant.picture, detail.heat, detail.signed, "Heat on the variant"),
        "On the variant",
        `${detail.title} of ${told.target}`,
      ),
      detail.back
        ? shown(
            overlay(told.original.picture, detail.back, detail.signed, "Heat carried back", detail.lost),
            "Carried back",
            sentence,
          )
        : h("p", { class: "quiet" }, sentence),
    ),
  );
}
function survives() {
  const place = sheet("variants").querySelector(".survives");
  say("Explaining every variant …");
  run("consistency", { pipeline: bare(), samples: Math.max(2, about.samples) }, (message, done) => {
    if (!message.maps) return;
    if (done) say("");
    const mean = message.agreements.length
      ? message.agreements.reduce((a, b) => a + b, 0) / message.agreements.length
      : null;
    place.replaceChildren(
      h("h3", {}, mean == null ? "No variant has a way back" : `The maps agree ${mean.toFixed(2)} with the original's`),
      h(
        "p",
        {},
        "Rank correlation where the variant still shows the place. ",
        `A control that does nothing agrees ${message.control.toFixed(3)}. `,
        message.note ?? "",
      ),
      h(
        "div",
        { class: "trio" },
        message.maps.map((map) =>
          h(
            "figure",
            {},
            overlay(told.original.picture, map.heat, map.signed, map.caption),
            h("figcaption", {}, h("small", { class: "quiet" }, map.caption)),
          ),
        ),
      ),
      h("p", {}, h("b", {}, "Read it as: "), message.read_it_as),
      h("p", { class: "quiet" }, h("b", {}, "Beware: "), message.beware),
    );
  });
}

// --- robustness

function robustness() {
  say("Sweeping …");
  run("sweep", { transform: state.transform }, (message, done) => {
    if (!done) return;
    stale.robustness = false;
    say("");
    swept = message;
    state.at = swept.curves.along.length >> 1;
    if (swept.neutral != null)
      state.at = swept.curves.along.reduce(
        (best, value, place, all) =>
          Math.abs(value - swept.neutral) < Math.abs(all[best] - swept.neutral) ? place : best,
        0,
      );
    drawRobustness();
  });
}
function drawRobustness() {
  const { curves, places } = swept;
  const flips = places
    .map((place, number) => (number && place.label !== places[number - 1].label ? curves.along[number] : null))
    .filter((value) => value != null);
  const first = flips.slice(0, 4).map(figure).join(", ");
  const here = h("figure", { class: "here" });
  const show = (place) => {
    state.at = place;
    const { picture, label, recipe } = places[place];
    here.replaceChildren(
      h("img", { src: picture, alt: recipe }),
      h("figcaption", {}, h("b", {}, `${label} ${confidence(places[place])}`), h("small", { class: "quiet" }, recipe)),
    );
  };
  const sweeps = about.sweeps.map(({ name, title }) => [name, title]);
  sheet("robustness").replaceChildren(
    h(
      "p",
      { class: "lead" },
      menu(sweeps, state.transform, (name) => ((state.transform = name), (stale.robustness = true), robustness()), {
        "aria-label": "What is swept",
      }),
      " ",
      places[0].share == null
        ? null
        : flips.length
          ? h(
              "span",
              {},
              h("b", {}, `The answer changes at ${first}${flips.length > 4 ? ", …" : ""}`),
              ` ${swept.unit}.`,
            )
          : h("b", {}, "The answer never changes."),
    ),
    h("div", { class: "sweep" }, lines(curves, { onmove: show, at: state.at, marks: flips }), here),
    h(
      "p",
      { class: "quiet" },
      "Drag the marker, or use the arrow keys. Where something is drawn at random, the band spans three draws.",
    ),
    h(
      "div",
      { class: "film" },
      [0, 0.25, 0.5, 0.75, 1]
        .map((share) => Math.round(share * (places.length - 1)))
        .map((place) =>
          h(
            "figure",
            {},
            h("img", { src: places[place].picture, alt: places[place].recipe }),
            h(
              "figcaption",
              {},
              h("b", {}, places[place].label),
              h("small", { class: "quiet" }, figure(curves.along[place])),
            ),
          ),
        ),
    ),
    h(
      "div",
      { class: "weak" },
      link("Compare all transforms", () => weak("change")),
    ),
  );
  show(state.at);
}
function weak(measure) {
  say("Sweeping every transform …");
  run("bars", { measure }, (message, done) => {
    if (!message.bars) return;
    if (done) say("");
    const { labels, values, unit } = message.bars;
    const told = (value) => (measure === "flips" ? percent(value) : value ? signed(value) : "0");
    root
      .querySelector(".weak")
      .replaceChildren(
        h("h3", {}, "Where it is weak"),
        h("p", { class: "choice" }, buttons({ change: "mean change", flips: "flips" }, measure, weak)),
        bars(labels.map((label, place) => ({ label, value: values[place], told: told(values[place]) }))),
        h(
          "p",
          { class: "quiet" },
          `In ${unit}, over nine values of each. The control does nothing to the picture, so its bar is exactly zero.`,
        ),
      );
  });
}

// --- two pictures

function two() {
  const { mix } = state;
  mix.second ??= { scene: about.scenes.find((each) => each.scene !== sightglass.question.scene)?.scene };
  if (!sheet("two").querySelector(".mixer")) drawTwo();
  askMix();
  askMixSweep();
}
function askMix() {
  run("mix", { ...state.mix }, (message, done) => {
    if (!done) return;
    stale.two = false;
    say("");
    size = message.size;
    drawMixed(message);
  });
}
function askMixSweep() {
  run("mix_sweep", { ...state.mix }, (message, done) => done && drawMixSweep(message));
}
function mixed(changes, { sweep = true, after = REST } = {}) {
  Object.assign(state.mix, changes);
  later("mix", after, askMix);
  if (sweep) later("mixsweep", LATER, askMixSweep);
}
function drawTwo() {
  const { mix } = state;
  const mixBy = (kind) => (mixed({ kind }, { after: 0 }), drawTwo());
  const out = h("output", {}, figure(mix.share));
  const pick = (scene) => (mixed({ second: { scene } }, { after: 0 }), drawTwo());
  const bring = async (file) => {
    if (!file) return;
    try {
      const sent = await upload(new File([file], "picture", { type: file.type }));
      mixed({ second: { upload: sent.path } }, { after: 0 });
      drawTwo();
    } catch {
      say("The file could not be sent. Check the connection and try again.");
    }
  };
  const file = h("input", {
    type: "file",
    accept: "image/jpeg,image/png,image/webp",
    hidden: true,
    onchange: (event) => bring(event.target.files[0]),
  });
  sheet("two").replaceChildren(
    h(
      "p",
      { class: "lead" },
      choice({ cutmix: "CutMix", mixup: "MixUp" }, mix.kind, mixBy, "How they are mixed"),
      h(
        "label",
        { class: "lambda" },
        " λ ",
        out,
        " ",
        range(
          { min: 0, max: 1, step: 0.01, value: mix.share, "aria-label": "λ, the share of the first picture" },
          (share) => ((out.textContent = figure(share)), mixed({ share }, { sweep: false })),
        ),
      ),
    ),
    h(
      "p",
      { class: "seconds" },
      h("span", { class: "quiet" }, "Second picture: "),
      about.scenes.map((each) =>
        h(
          "button",
          {
            type: "button",
            class: "second",
            title: each.about,
            "aria-label": each.about,
            "aria-pressed": String(mix.second?.scene === each.scene),
            onclick: () => pick(each.scene),
          },
          h("img", { src: each.src, alt: "" }),
        ),
      ),
      file,
      link("Upload one", () => file.click()),
    ),
    h("div", { class: "mixer" }),
    h("div", { class: "mixsweep" }),
  );
}
function drawMixed(message) {
  const place = sheet("two").querySelector(".mixer");
  const [width, height] = message.size;
  const shares = (rows) => {
    const row = ([label, share, told]) => ({ label, value: share ?? 0, told: confidence({ share, told }) });
    return bars(rows.map(row), 1);
  };
  const frame = h(
    "div",
    { class: "frame pasted" },
    h("img", { src: message.picture, alt: message.words, draggable: false }),
  );
  if (message.box) {
    const box = h("div", {
      class: "box",
      tabindex: 0,
      role: "slider",
      "aria-label": "The box; move it with the arrow keys",
      "aria-valuetext": message.words,
      style: within(message.box, { width, height }),
    });
    frame.append(box);
    drag(box, frame);
  }
  const area = percent(1 - message.share);
  const whose =
    message.heat_in_box == null
      ? "for the first picture's class"
      : `${percent(message.heat_in_box)} of the heat lies in the box, which is ${area} of the area`;
  const heated = h(
    "figure",
    {},
    overlay(message.picture, message.heat, message.signed, "Heat on the mixture"),
    h("figcaption", {}, h("b", {}, message.title), h("small", { class: "quiet" }, whose)),
  );
  place.replaceChildren(
    h(
      "div",
      { class: "trio" },
      h(
        "figure",
        {},
        frame,
        h(
          "figcaption",
          {},
          h("small", { class: "quiet" }, message.box ? `${message.words}. Drag the box.` : message.words),
        ),
      ),
      heated,
      h(
        "div",
        { class: "labels" },
        h("h3", {}, "The label it trains with"),
        shares(message.label),
        h("h3", {}, "What the network says"),
        shares(message.says),
      ),
    ),
    h(
      "details",
      { class: "mixing" },
      h("summary", { class: "link" }, "Code to train with it"),
      h("pre", {}, message.code),
    ),
  );
}
function drag(box, frame) {
  const move = (event) => {
    const { x, y } = placeIn(frame, event);
    put(Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y)));
  };
  const put = (across, down) => {
    const [wide, high] = [box.offsetWidth / frame.offsetWidth, box.offsetHeight / frame.offsetHeight];
    box.style.left = `${100 * Math.min(1 - wide, Math.max(0, across - wide / 2))}%`;
    box.style.top = `${100 * Math.min(1 - high, Math.max(0, down - high / 2))}%`;
    mixed({ across, down });
  };
  box.addEventListener("pointerdown", (event) => (event.preventDefault(), box.setPointerCapture(event.pointerId)));
  box.addEventListener("pointermove", (event) => box.hasPointerCapture(event.pointerId) && move(event));
  box.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    put(Math.min(1, Math.max(0, state.mix.across + by[0])), Math.min(1, Math.max(0, state.mix.down + by[1])));
  });
}
function drawMixSweep({ curves, question, read_it_as }) {
  sheet("two")
    .querySelector(".mixsweep")
    .replaceChildren(
      h("h3", {}, question),
      lines(curves, { height: 220 }),
      h("p", {}, h("b", {}, "Read it as: "), read_it_as),
    );
}

// --- code

function drawCode() {
  const block = (title, code, words) =>
    h("section", {}, h("h3", {}, title), h("p", { class: "quiet" }, words), h("pre", {}, code), copier(code));
  sheet("code").replaceChildren(
    block(
      "torchvision",
      told.codes.torchvision,
      "After torch.manual_seed(seed) it draws the very pictures of the grid.",
    ),
    block(
      "timm",
      told.codes.timm,
      "timm has an order of its own and draws from Python's random numbers: the same ranges, other pictures.",
    ),
    block("as text", told.text, "What the methods here, and the endpoints, take as “pipeline”."),
  );
}

// --- what training with augmentation does

const DIGIT = [32, 32]; // pixels of a picture of a digit, as its network gets it
const lesson = { transform: "rotation", work: null, told: null };
function trained(live = false) {
  stale.trained = false;
  lesson.work = run("trained", { live }, (message, done) => {
    if (!message.results) return;
    lesson.told = message;
    if (done) lesson.work = null;
    drawTrained();
  });
  if (live) say("Training four networks: about two minutes.");
}
function drawTrained() {
  const { results, done, live, digit } = lesson.told;
  const { ways, sweeps } = results;
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const busy = live && done < 1 && lesson.work;
  const chosen = sweeps.find((each) => each.name === lesson.transform);
  const best = (name) => Math.max(...ways.map((way) => mean(way.curves[name])));
  const share = (value) => `${(100 * value).toFixed(1)} %`;
  const row = (title, values, top, name) =>
    h(
      "tr",
      { class: name && name === lesson.transform ? "on" : "" },
      h("th", { scope: "row" }, name ? link(title, () => ((lesson.transform = name), drawTrained())) : title),
      values.map((value) => h("td", { class: value === top ? "top" : "" }, share(value))),
    );
  const curves = {
    along: chosen.along,
    along_unit: `${chosen.title}${chosen.unit ? ` (${chosen.unit})` : ""}`,
    lines: ways.map((way) => ({ label: way.title, values: way.curves[chosen.name] })),
  };
  if (!busy && live) say("");
  const maps = ways.map((way) =>
    h(
      "figure",
      {},
      overlay(digit, way.heat, false, `Heat of ${way.title}`, null, DIGIT),
      h(
        "figcaption",
        {},
        h("b", {}, way.title),
        h("small", { class: "quiet" }, `says ${way.says}, ${percent(way.share)}`),
      ),
    ),
  );
  sheet("trained").replaceChildren(
    ...[
      h(
        "p",
        { class: "lead" },
        h(
          "span",
          {},
          [
            "The same small network learned to read handwritten digits four times, and is asked about",
            `${results.held_out} that none of them saw.`,
            live ? "These were trained here and now." : "These results came with Sightglass.",
          ].join(" "),
        ),
      ),
      h(
        "p",
        { class: "start" },
        busy
          ? h(
              "span",
              {},
              h("progress", { max: 1, value: done }),
              ` ${percent(done)} `,
              link("Stop", () => {
                lesson.work.stop({ keep: true });
                lesson.work = null;
                say("Stopped.");
                drawTrained();
              }),
            )
          : link("Train them here, live", () => trained(true)),
      ),
      ways.length
        ? h(
            "div",
            { class: "wide" },
            h(
              "table",
              {},
              h(
                "thead",
                {},
                h(
                  "tr",
                  {},
                  h("th", {}, "Right answers"),
                  ways.map((way) => h("th", { scope: "col" }, way.title)),
                ),
              ),
              h(
                "tbody",
                {},
                row(
                  "clean",
                  ways.map((way) => way.clean),
                  Math.max(...ways.map((way) => way.clean)),
                ),
                sweeps.map((each) =>
                  row(
                    each.title.toLowerCase(),
                    ways.map((way) => mean(way.curves[each.name])),
                    best(each.name),
                    each.name,
                  ),
                ),
              ),
            ),
          )
        : null,
      ways.length
        ? h("p", { class: "quiet" }, "Under a transform: the mean over its whole range. Click one for its curve.")
        : null,
      ways.length ? lines(curves, { height: 240 }) : null,
      ways.length ? h("h3", {}, `Why do they call this a ${ways[0].says}?`) : null,
      ways.length
        ? h("p", { class: "quiet" }, `${ways[0].method} of the digit ${results.digit}, for the class that each says.`)
        : null,
      ways.length ? h("div", { class: "trio four" }, maps) : null,
      h("p", { class: "quiet" }, "Again, seeded, from the command line: python -m explainers.augmenting.experiment"),
    ].filter(Boolean),
  );
}

drawPipeline();
drawSheets();
sightglass.on("answer", () => sightglass.tab === "augment" && drawSheets());
sightglass.whileShown("augment", () => {
  for (const name of ["variants", "robustness", "two"]) stale[name] = true;
  state.chosen = null;
  drawSheets();
  preview();
  refresh();
});
