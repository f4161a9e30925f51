// Keeps the question in the address, so that a link opens exactly it.
const plain = ["scene", "model", "method", "target", "versus", "score"];

sightglass.address = () => {
  const { question, catalogue, answer } = sightglass;
  const old = new URLSearchParams(location.search);
  const params = new URLSearchParams();
  for (const name of plain) {
    if (name === "score" && question.score === catalogue.score) continue;
    if (question[name] != null && question[name] !== "") params.set(name, question[name]);
  }
  const pane = answer?.panes?.[0];
  for (const option of pane?.controls ?? [])
    if (option.name in question.options && question.options[option.name] !== option.default)
      params.set(`o.${option.name}`, question.options[option.name]);
  for (const [what, value] of Object.entries(question.beside)) params.set(`beside.${what}`, value);
  if (sightglass.tab !== "why") params.set("tab", sightglass.tab);
  for (const [name, value] of Object.entries(sightglass.place))
    if (value != null && value !== "") params.set(`t.${name}`, value);
  for (const name of ["view", "__theme"]) if (old.has(name)) params.set(name, old.get(name));
  return `${location.pathname}?${params.toString().replaceAll("%3A", ":").replaceAll("%2F", "/")}`; // both may stand in a query
};

function fromAddress() {
  const params = new URLSearchParams(location.search);
  const question = {};
  for (const name of plain) if (params.get(name)) question[name] = params.get(name);
  const method = question.method && sightglass.method(question.method);
  const options = {};
  for (const option of method?.options ?? []) {
    const text = params.get(`o.${option.name}`);
    if (text == null) continue;
    options[option.name] = option.kind === "switch" ? text === "true" : option.kind === "choice" ? text : Number(text);
  }
  const beside = {};
  for (const what of ["method", "target", "model"])
    if (params.get(`beside.${what}`)) beside[what] = params.get(`beside.${what}`);
  return { ...question, options, beside };
}

sightglass.embedded = new URLSearchParams(location.search).get("view") === "1";
document.body.classList.toggle("embedded", sightglass.embedded);
sightglass.on("done", () => history.replaceState(null, "", sightglass.address()));

sightglass.on("tab", () => sightglass.answer && history.replaceState(null, "", sightglass.address()));
const first = new URLSearchParams(location.search).get("tab");
if (first) (sightglass.wired ? (then) => then() : (then) => sightglass.on("wired", then))(() => sightglass.show(first));
const begin = () => sightglass.ask({ scene: sightglass.catalogue.welcome, ...fromAddress() });
if (sightglass.wired) begin();
else sightglass.on("wired", begin);
