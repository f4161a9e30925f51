// Runs the page's modules from their texts, in an order in which each follows those that it needs.
// biome-ignore lint/correctness/noUnusedVariables: the element that carries the modules calls it
async function load(/** @type {[string, string][]} */ modules) {
  /** @type {Record<string, string>} */
  const addresses = {};
  for (const [name, text] of modules) {
    const linked = text.replace(
      /(?<=^(?:(?:import .*|\} )from|import) ")[^"]+(?=";$)/gm,
      (needed) => addresses[needed],
    );
    const source = new Blob([`${linked}\n//# sourceURL=sightglass/${name}`], { type: "text/javascript" });
    addresses[name] = URL.createObjectURL(source);
  }
  const { sightglass } = await import(addresses["static/store.js"]);
  for (const [name, address] of Object.entries(addresses)) {
    const kind = name.match(/^static\/kinds\/(\w+)\.js$/)?.[1];
    if (kind) sightglass.kinds[kind] = await import(address);
  }
  // What one script cannot do is told on the console, and is no reason to ask nothing.
  await Promise.all(Object.values(addresses).map((address) => import(address).catch(reportError)));
  sightglass.emit("loaded");
}
