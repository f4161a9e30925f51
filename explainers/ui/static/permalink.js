// Keeps the question in the address, and asks what the address says when the page is opened.
import { mainly, read, written } from "./address.js";
import { sightglass } from "./store.js";

/** Where the question on the screen can be opened again, on this server. */
export function address() {
  const { catalogue, answer } = sightglass;
  const usual = { score: catalogue.score, controls: answer?.panes?.[0]?.controls ?? [] };
  return `${location.pathname}?${written(sightglass, usual, location.search)}`;
}
export const link = () => new URL(address(), location.href).href;
/** What stands in the address, where the page stays as it is: a slider, a step, a place within a tab. */
export const keep = () => history.replaceState(here(), "", address());

/** What a step back returns to: the question with what no address can hold, such as an upload, and the tab. */
const here = () => ({ question: structuredClone(sightglass.question), tab: sightglass.tab });
const asks = (/** @type {ReturnType<typeof here> | null} */ state) => state && mainly(state.question);

/** Another question or tab is a step that can be taken back; not so in another page, whose own it would be. */
function step() {
  const now = here();
  const before = /** @type {ReturnType<typeof here> | null} */ (history.state);
  if (sightglass.embedded || !before?.question || (asks(before) === asks(now) && before.tab === now.tab)) return keep();
  history.pushState(now, "", address());
}

document.body.classList.toggle("embedded", sightglass.embedded);
sightglass.on("done", step);
sightglass.on("tab", () => sightglass.answer && step());
window.addEventListener("popstate", ({ state }) => {
  if (!state?.question || !sightglass.answer) return;
  if (mainly(state.question) !== mainly(sightglass.question)) sightglass.ask(structuredClone(state.question));
  sightglass.show(state.tab);
});
// Every part listens by now.
sightglass.on("loaded", () => {
  sightglass.show(new URLSearchParams(location.search).get("tab") ?? "why");
  const { welcome, networks } = sightglass.catalogue;
  const asked = read(location.search, (id) => sightglass.method(id));
  // Where only one of picture and network is named, Python finds the one that goes with it.
  sightglass.ask({ scene: asked.model ? "" : welcome, model: asked.scene ? "" : networks[0].id, ...asked });
});
