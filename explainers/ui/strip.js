// The same question to every method that applies, as small maps; a click puts one on the stage.
const { h, heat: ink } = sightglass;
const SIDE = 136; // pixels of a small map's longer side, doubled for sharp screens
let pictured = "";
let image = null;

function small(map) {
  const { picture, catalogue } = sightglass;
  const shrink = (2 * SIDE) / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width * shrink, picture.height * shrink].map((side) => Math.max(1, Math.round(side)));
  const canvas = h("canvas", { width, height, role: "img", "aria-label": map.alt });
  const pen = canvas.getContext("2d");
  const heat = ink.unpack(map.heat);
  const values = ink.laid(heat, width, height, map.box.map((edge) => edge * shrink));
  const name = map.signed ? catalogue.diverging : catalogue.sequential[0];
  const layer = h("canvas", { width, height });
  if (heat.top)
    layer.getContext("2d").putImageData(new ImageData(ink.colored(values, { signed: map.signed, sign: "both", top: heat.top, colors: ink.palette(catalogue.palettes[name]), fade: catalogue.fade }), width, height), 0, 0);
  const paint = () => {
    pen.globalAlpha = 1;
    pen.drawImage(image, 0, 0, width, height);
    pen.globalAlpha = 0.85;
    pen.drawImage(layer, 0, 0);
  };
  if (image.complete) paint();
  else image.addEventListener("load", paint, { once: true });
  return canvas;
}

function draw() {
  const { answer, picture, question } = sightglass;
  const strip = answer?.strip;
  const maps = element.querySelector(".maps");
  if (!answer || !picture) return maps.replaceChildren(...sightglass.catalogue.methods.slice(0, 8).map(() => h("span", { class: "ghost" })));
  element.querySelector(".strip").classList.toggle("absent", Boolean(answer.refusal) && !strip);
  if (!strip) return maps.classList.add("waiting");
  maps.classList.remove("waiting");
  if (pictured !== picture.key) {
    pictured = picture.key;
    image = new Image();
    image.src = picture.src;
  }
  const take = (id) => sightglass.ask({ method: id, options: {} });
  maps.replaceChildren(
    ...strip.maps.map((map) => h("button", { type: "button", "data-method": map.method, "aria-pressed": String(map.method === question.method), onclick: () => take(map.method) }, small(map), h("span", { class: "name" }, h("span", {}, map.title), h("b", {}, map.blank ? "blank" : (map.figure?.big ?? ""))))),
    ...strip.on_request.map((method) => h("button", { type: "button", "data-method": method.id, class: "later", "aria-pressed": String(method.id === question.method), onclick: () => take(method.id) }, h("span", { class: "blank" }, "Takes longer: click to run it"), h("span", { class: "name" }, h("span", {}, method.title)))));
  element.querySelector(".total").textContent = `${strip.maps.length ? strip.cost : ""}${strip.maps.some((map) => map.figure) ? `. Each with its default options.` : ""}`;
  element.querySelector(".not-here").replaceChildren(...strip.not_here.map((each) => h("li", {}, h("b", {}, `${each.title}: `), each.why)));
}
sightglass.on("answer", draw);
sightglass.on("question", () => {
  for (const button of element.querySelectorAll("[data-method]")) button.setAttribute("aria-pressed", String(button.dataset.method === sightglass.question.method));
});
draw();
