// Keeps the question in the address, and asks what the address says when the page is opened.
import { read, written } from "./address.js";
import { sightglass } from "./store.js";

/** Where the question on the screen can be opened again, on this server. */
export function address() {
  const { catalogue, answer } = sightglass;
  const usual = { score: catalogue.score, controls: answer?.panes?.[0]?.controls ?? [] };
  return `${location.pathname}?${written(sightglass, usual, location.search)}`;
}
export const link = () => new URL(address(), location.href).href;
export const keep = () => history.replaceState(null, "", address());

document.body.classList.toggle("embedded", sightglass.embedded);
sightglass.on("done", keep);
sightglass.on("tab", () => sightglass.answer && keep());
// Every part listens by now.
sightglass.on("loaded", () => {
  sightglass.show(new URLSearchParams(location.search).get("tab") ?? "why");
  const { welcome, networks } = sightglass.catalogue;
  const asked = read(location.search, (id) => sightglass.method(id));
  // Where only one of picture and network is named, Python finds the one that goes with it.
  sightglass.ask({ scene: asked.model ? "" : welcome, model: asked.scene ? "" : networks[0].id, ...asked });
});
