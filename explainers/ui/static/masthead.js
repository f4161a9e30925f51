// Tabs, theme and the keys of the whole page.
import { choose } from "./chooser.js";
import { setComparing } from "./compare.js";
import { h } from "./elements.js";
import { part } from "./parts.js";
import { about, seek } from "./rail.js";
import { save } from "./reading.js";
import { sightglass } from "./store.js";
import { plain } from "./viewer.js";

const { element } = await part("masthead");
const help = element.querySelector(".help");
/** @type {Record<string, () => void>} */
const acts = {
  search: () => choose(),
  help: () => help.showModal(),
  theme: () => {
    const dark = document.body.classList.toggle("dark");
    const params = new URLSearchParams(location.search);
    params.set("__theme", dark ? "dark" : "light");
    history.replaceState(history.state, "", `${location.pathname}?${params}`);
  },
};
element.addEventListener("click", (/** @type {any} */ event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act) acts[act]();
  const tab = event.target.closest("[data-tab]")?.dataset.tab;
  if (!tab) return;
  const comparing = tab === "compare";
  const before = sightglass.tab;
  sightglass.show(comparing ? "why" : tab);
  if (["why", "compare"].includes(tab) && (before === "why" || comparing !== sightglass.comparing))
    setComparing(comparing);
});
const list = element.querySelector(".tabs");
for (const { id, title, line } of sightglass.catalogue.tabs)
  list.append(h("button", { type: "button", role: "tab", "data-tab": id, title: line }, title));
function tabs() {
  const chosen = sightglass.tab === "why" && sightglass.comparing ? "compare" : sightglass.tab;
  for (const tab of list.querySelectorAll("[data-tab]"))
    tab.setAttribute("aria-selected", String(tab.dataset.tab === chosen));
  list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  edges();
}
// Where there is no room for all, an edge behind which there are more fades.
function edges() {
  list.classList.toggle("before", list.scrollLeft > 1);
  list.classList.toggle("after", list.scrollLeft + list.clientWidth < list.scrollWidth - 1);
}
list.addEventListener("scroll", edges);
new ResizeObserver(tabs).observe(list);
sightglass.on("compare", tabs);
sightglass.on("tab", tabs);
tabs();

/** @param {number} step */
function turn(step) {
  const known = sightglass.gathered; // those that are there already, as they stand side by side
  const fits = (sightglass.answer?.fits ?? [])
    .filter((fit) => !fit.why_not && sightglass.heats(fit.id))
    .map((fit) => fit.id);
  const ids = known.length > 1 && known.every((id) => fits.includes(id)) ? known : fits;
  if (ids.length < 2) return;
  const at = ids.indexOf(sightglass.question.method);
  sightglass.ask({ method: ids[at < 0 ? 0 : (at + step + ids.length) % ids.length], options: {} });
}
const typing = (/** @type {any} */ target) =>
  target.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]");
document.addEventListener("keydown", (/** @type {any} */ event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open || typing(event.target)) return;
  // In other tabs, the keys of the map on the stage have no meaning.
  if (sightglass.tab !== "why" && !["1", "2", "3", "4", "5", "c", "?"].includes(event.key)) return;
  const pressed = event.target.closest?.("button, a, summary, label, input");
  if (event.key >= "1" && event.key <= "5") {
    const each = sightglass.answer?.predictions[Number(event.key) - 1];
    if (each) about(each.label);
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    if (event.target.type === "range") return;
    turn(event.key === "ArrowLeft" ? -1 : 1);
  } else if (event.key === " ") {
    if (pressed) return; // the space bar presses what has the focus
    plain(true);
  } else if (event.key === "/") choose();
  else if (event.key === "c") seek("target");
  else if (event.key === "s") save("png");
  else if (event.key === "?") help.showModal();
  else return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => event.key === " " && plain(false));
