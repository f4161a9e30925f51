// Knows picture, network and class: what is asked about, always in sight.
import { link, menu } from "./controls.js";
import { finder, h } from "./elements.js";
import { part } from "./parts.js";
import { sightglass } from "./store.js";
import { confidence } from "./words.js";

const { element, upload } = await part("rail");
const find = finder(element);
const LARGEST = 50e6; // bytes; the server says so too
let searching = "";

// --- the picture

/** @param {File | Blob | null | undefined} file */
async function bring(file) {
  if (!file) return;
  find(".camera").hidden = true;
  if (file.size > LARGEST)
    return sightglass.complain(
      `This file has ${Math.round(file.size / 1e6)} MB; at most 50 MB are read. Save it smaller and try again.`,
    );
  if (!file.size) return sightglass.complain("This file is empty: it has no bytes. Choose another one.");
  let sent;
  try {
    // The name is of no use here, and may be private.
    sent = await upload(new File([file], "picture", { type: file.type }));
  } catch {
    return sightglass.complain("The file could not be sent. Check the connection and try again.");
  }
  sightglass.ask({ upload: sent.path, scene: "", picture: "", target: null, versus: null });
}

find(".file").addEventListener("change", (/** @type {any} */ event) => {
  bring(event.target.files[0]);
  event.target.value = "";
});
const choose = () => find(".file").click();
find(".picture").addEventListener("click", choose);
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
  if (file) bring(file);
});
for (const kind of ["dragover", "drop"])
  document.addEventListener(kind, (/** @type {any} */ event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    if (kind === "drop") bring(event.dataTransfer.files[0]);
  });
async function paste() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((each) => each.startsWith("image/"));
      if (type) return bring(await item.getType(type));
    }
    sightglass.complain("There is no picture in the clipboard. Copy one first.");
  } catch {
    sightglass.complain("The browser does not show the clipboard here. Press Ctrl V instead.");
  }
}
async function camera() {
  const box = find(".camera");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    const video = h("video", { autoplay: true, playsinline: true });
    video.srcObject = stream;
    const end = () => {
      stream.getTracks().forEach((track) => track.stop());
      box.hidden = true;
    };
    const take = () => {
      const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      end();
      canvas.toBlob(bring, "image/png");
    };
    box.replaceChildren(video, h("p", {}, link("Take it", take), link("Close", end)));
    box.hidden = false;
  } catch {
    sightglass.complain("No camera can be used here. Upload a picture instead.");
  }
}

/** @param {string} name of a picture that is offered, or of another one of a world @param {string} [home] its world */
function scene(name, home = "") {
  const { networks, worlds, for_photographs: proposed } = sightglass.catalogue;
  const { model } = sightglass.question;
  // Whoever enters a world meets a network that lives there, and on leaving it one that knows what is outside.
  const lives = networks.find((each) => each.id === model)?.world ?? "";
  const suits = lives === home ? model : home ? worlds[home].first : proposed || model;
  sightglass.ask({ scene: name, model: suits, upload: "", picture: "", target: null, versus: null });
  scrollTo({ top: 0 }); // the pictures of the door may stand below the one that they bring
}

// --- the network

/** @param {string} id */
function network(id) {
  id = id.trim();
  if (id) sightglass.ask({ model: id, target: null, versus: null });
}
function drawNetwork() {
  const { networks } = sightglass.catalogue;
  const chosen = sightglass.question.model;
  const known = networks.find((each) => each.id === chosen);
  const select = h(
    "select",
    {
      id: "network",
      "aria-labelledby": "network-label",
      onchange: (event) => {
        if (event.target.value) return network(event.target.value);
        typed.hidden = false;
        typed.querySelector("input").focus();
      },
    },
    networks.map((each) =>
      h(
        "option",
        { value: each.id, selected: each.id === chosen },
        each.size ? `${each.id}  ·  ${each.size}` : each.id,
      ),
    ),
    known ? null : h("option", { value: chosen, selected: true }, chosen),
    h("option", { value: "" }, "any other, by its name …"),
  );
  const typed = h(
    "form",
    {
      class: "typed",
      hidden: true,
      onsubmit: (event) => {
        event.preventDefault();
        network(typed.querySelector("input").value);
      },
    },
    h("input", {
      type: "text",
      "aria-label": "Identifier of a network",
      placeholder: "timm:resnet50 or hf:owner/name",
      spellcheck: "false",
      autocapitalize: "off",
      maxlength: 200,
    }),
    h("button", { type: "submit", class: "link" }, "Open"),
  );
  find(".network").replaceChildren(
    select,
    typed,
    h("p", { class: "line quiet" }, known?.line ?? "", ...licence(known)),
  );
}

/** @param {import("./types.js").Catalogue["networks"][0] | undefined} known */
const licence = (known) =>
  !known?.license
    ? []
    : [
        " · ",
        known.home
          ? h("a", { href: known.home, target: "_blank", rel: "noreferrer" }, `licence ${known.license}`)
          : `licence ${known.license}`,
      ];

/** @param {boolean} open */
function fold(open) {
  element.classList.toggle("open", open);
  find(".slim").setAttribute("aria-expanded", String(open));
}

// Networks of a world know nothing else: beside a photograph, propose one that knows photographs.
function drawAdvice() {
  const { catalogue, question, answer } = sightglass;
  const photograph = question.upload || question.scene.startsWith("photo:");
  const proposed = catalogue.for_photographs;
  const world = catalogue.worlds[catalogue.networks.find((one) => one.id === question.model)?.world];
  const advice = find(".advice");
  const absent = catalogue.networks.find((each) => each.missing);
  advice.hidden = !(absent || (photograph && proposed && world && answer));
  if (absent)
    advice.replaceChildren(
      `For photographs, ${absent.id} needs a package that is not installed here: `,
      h("code", {}, absent.missing),
    );
  else if (!advice.hidden)
    advice.replaceChildren(
      `This network knows ${world.knows} only. `,
      link(`Ask ${proposed}`, () => network(proposed)),
    );
}

// --- the class

/** @param {string} label */
export function about(label) {
  fold(false); // on a phone the rail covers the map that is being asked for
  sightglass.ask({ target: label, versus: sightglass.question.versus === label ? null : sightglass.question.versus });
}

function drawBars() {
  const { answer, question, catalogue } = sightglass;
  const now = sightglass.current();
  if (!answer) {
    find(".bars").replaceChildren(
      ...Array.from({ length: 5 }, () => h("span", { class: "bar empty", "aria-hidden": "true" })),
    );
    return;
  }
  const { predictions } = answer;
  const asked = now?.target ?? question.target ?? predictions[0]?.label;
  const bars = predictions.map((each, i) =>
    h(
      "button",
      {
        type: "button",
        class: "bar",
        "aria-pressed": String(each.label === asked),
        "data-class": each.index,
        style: `--share:${100 * (each.share ?? 0)}%`,
        title: `${each.label} (key ${i + 1})`,
        onclick: () => about(each.label),
      },
      h("span", {}, each.label),
      h("b", {}, confidence(each)),
    ),
  );
  if (now && !predictions.some((each) => each.label === asked))
    bars.push(
      h(
        "button",
        { type: "button", class: "bar", "aria-pressed": "true", style: `--share:${100 * (now.share ?? 0)}%` },
        h("span", {}, asked),
        h("b", {}, confidence(now)),
      ),
    );
  find(".bars").replaceChildren(...bars);
  const versus = now?.versus;
  const scores = catalogue.scores.filter((each) => answer.network.scores.includes(each.id));
  const score = scores.find((each) => each.id === question.score) ?? scores[0];
  // The network's own default goes by the name of everybody's.
  const idOf = (/** @type {string} */ id) => (id === answer.network.scores[0] ? catalogue.score : id);
  find(".others").replaceChildren(
    ...[
      answer.network.classes === 1
        ? null
        : searching === "target"
          ? search("target", "Any other class")
          : link(`Any of ${answer.network.classes.toLocaleString("en")} classes …`, () => seek("target"), {
              id: "search",
            }),
      versus
        ? h(
            "span",
            { class: "chip" },
            "rather than ",
            h("b", {}, versus),
            h(
              "button",
              {
                type: "button",
                class: "quiet",
                "aria-label": "Ask about this class alone",
                onclick: () => sightglass.ask({ versus: null }),
              },
              "×",
            ),
          )
        : answer.network.no_rival
          ? null
          : searching === "versus"
            ? search("versus", "Rather than which class?")
            : link("⇄ Rather than …", () => seek("versus"), { id: "versus" }),
      h(
        "details",
        { class: "score", open: find(".score")?.open },
        h("summary", {}, "Score: ", score?.words ?? ""),
        menu(
          scores.map(({ id, words }) => [idOf(id), words]),
          score && idOf(score.id),
          (id) => sightglass.ask({ score: id }),
          {
            id: "score",
            "aria-label": "Which number is explained",
          },
        ),
      ),
    ].filter(Boolean),
  );
}
/** @param {string} what “target” or “versus” */
export function seek(what) {
  searching = what;
  drawBars();
  find(".search input")?.focus();
}
/** @param {string} what @param {string} label */
function search(what, label) {
  const list = h("ul", { role: "listbox", "aria-label": label });
  const predictions = sightglass.answer?.predictions ?? [];
  const pick = (/** @type {string} */ text) => {
    searching = "";
    if (what === "target") about(text);
    else sightglass.ask({ versus: text });
  };
  const fill = (/** @type {string} */ text) => {
    const wanted = text.toLowerCase();
    const labels = sightglass.labels.list;
    const starts = labels.filter((each) => each.toLowerCase().startsWith(wanted));
    const holds = labels.filter((each) => !starts.includes(each) && each.toLowerCase().includes(wanted));
    const likely = what === "versus" && !wanted ? predictions.map((each) => each.label) : [];
    // 0 to 4; the others, not found, 5.
    const rank = (/** @type {string} */ label) => (predictions.findIndex((each) => each.label === label) + 6) % 6;
    const found = [...new Set([...likely, ...starts.sort((a, b) => rank(a) - rank(b)), ...holds])]
      .filter((each) => what === "target" || each !== sightglass.current()?.target)
      .slice(0, 7);
    list.replaceChildren(
      ...(found.length
        ? found.map((each) =>
            h("li", { role: "option" }, h("button", { type: "button", onclick: () => pick(each) }, each)),
          )
        : [h("li", { class: "quiet" }, "No class of that name.")]),
    );
  };
  const input = h("input", {
    type: "search",
    "aria-label": label,
    placeholder: label,
    spellcheck: "false",
    oninput: (event) => fill(event.target.value),
    onkeydown: (event) => {
      if (event.key === "Escape") {
        searching = "";
        drawBars();
      }
      if (event.key === "Enter") list.querySelector("button")?.click();
      if (event.key === "ArrowDown") list.querySelector("button")?.focus();
    },
  });
  fill("");
  return h("div", { class: "search" }, input, list);
}

// --- all of it

function draw() {
  const { picture, answer, question } = sightglass;
  const now = sightglass.current();
  if (picture) {
    for (const image of element.querySelectorAll(".picture img, .slim img"))
      if (image.src !== picture.src) image.src = picture.src;
    find(".about").textContent = picture.about || `${picture.width} × ${picture.height} pixels`;
  }
  drawNetwork();
  drawAdvice();
  drawBars();
  const banner = find(".banner");
  const notes = [
    ...(answer?.network.random
      ? ["This network has random weights. It has learned nothing, and its maps mean nothing."]
      : []),
    ...(answer?.network.notes ?? []),
  ];
  banner.hidden = !notes.length;
  banner.textContent = [...new Set(notes)].join(" ");
  find(".says").replaceChildren(h("b", {}, now?.target ?? ""), ` ${now ? confidence(now) : ""}`);
  find(".by").textContent = `${question.model} · tap to change`;
}
find(".slim").addEventListener("click", () => fold(!element.classList.contains("open")));
element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && fold(false));
find(".sources").replaceChildren(
  ...Object.entries({ Upload: choose, Paste: paste, Camera: camera }).map(([words, act]) => link(words, act)),
);
const offered = (/** @type {string} */ home) =>
  sightglass.catalogue.scenes
    .filter((each) => each.world === home)
    .map((each) =>
      h(
        "button",
        {
          type: "button",
          title: each.about,
          "aria-label": each.about,
          "data-scene": each.scene,
          onclick: () => scene(each.scene, home),
        },
        h("img", { src: each.src, alt: "", width: 44, height: 44 }),
      ),
    );
find(".photographs").replaceChildren(...offered(""));
const { home } = sightglass.catalogue;
const another = () => scene(`test:${Math.floor(Math.random() * 10000)}`, home);
find(".door .scenes").replaceChildren(...offered(home), link("Another creature", another));

/** Into the world where the truth is known, by its first picture. */
export const enter = () =>
  scene(sightglass.catalogue.scenes.find((each) => each.world === home)?.scene ?? sightglass.catalogue.welcome, home);
sightglass.on("picture", draw);
sightglass.on("answer", draw);
sightglass.on("question", () => {
  for (const button of element.querySelectorAll("[data-scene]"))
    button.setAttribute("aria-pressed", String(button.dataset.scene === sightglass.question.scene));
});
draw();
