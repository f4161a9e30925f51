// Turns the numbers of a heat into pixels: resampled onto the picture, colored, outlined. No element of the page is known here.
sightglass.heat ??= (() => {
  // float16, little-endian, base64 → Float32Array, times the scale.
  function unpack({ width, height, scale, data }) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const halves = new Uint16Array(bytes.buffer);
    const values = new Float32Array(width * height);
    let total = 0;
    for (let i = 0; i < values.length; i++) {
      const half = halves[i];
      const exponent = (half >> 10) & 31;
      const fraction = half & 1023;
      const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
      values[i] = (half & 0x8000 ? -size : size) * scale;
      total += Math.abs(values[i]);
    }
    return { width, height, values, total, ...strongest(values) };
  }

  // The size that gets the strongest color, as the server paints: of what is not zero, one in 200 is larger; and the largest.
  function strongest(values) {
    const sizes = values
      .filter((value) => value !== 0)
      .map(Math.abs)
      .sort();
    if (!sizes.length) return { top: 0, most: 0 };
    return { top: sizes[Math.ceil(sightglass.catalogue.shown * (sizes.length - 1))], most: sizes[sizes.length - 1] };
  }

  function unpackBits({ width, height, data }) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const values = new Float32Array(width * height);
    for (let i = 0; i < values.length; i++) values[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
    return { width, height, values, total: 1, top: 1 };
  }

  // For each of `count` pixels, the cells it takes from and how much: linear between the centres of cells, flat beyond
  // the outermost ones, averaged where cells are finer than pixels; `low` and `high` bound what the cells cover.
  function weights(count, cells, low, high, smooth) {
    const perPixel = cells / (high - low);
    const reach = Math.max(1, perPixel);
    const rows = [];
    for (let pixel = 0; pixel < count; pixel++) {
      const middle = pixel + 0.5;
      if (middle < low || middle >= high) {
        rows.push(null);
        continue;
      }
      const at = (middle - low) * perPixel - 0.5;
      if (!smooth && perPixel <= 1) {
        rows.push([[Math.min(cells - 1, Math.max(0, Math.round(at)))], [1]]);
        continue;
      }
      const clamped = Math.min(cells - 1, Math.max(0, at));
      const index = [];
      const share = [];
      let sum = 0;
      for (
        let cell = Math.max(0, Math.ceil(clamped - reach));
        cell <= Math.min(cells - 1, Math.floor(clamped + reach));
        cell++
      ) {
        const weight = 1 - Math.abs(clamped - cell) / reach;
        if (weight <= 0) continue;
        index.push(cell);
        share.push(weight);
        sum += weight;
      }
      rows.push([index, share.map((weight) => weight / sum)]);
    }
    return rows;
  }

  // The heat on a grid of width × height pixels, of which `box` (in the same pixels) was seen; zero elsewhere.
  function laid(heat, width, height, [x0, y0, x1, y1], smooth = true) {
    const columns = weights(width, heat.width, x0, x1, smooth);
    const rows = weights(height, heat.height, y0, y1, smooth);
    const across = new Float32Array(heat.height * width);
    for (let y = 0; y < heat.height; y++)
      for (let x = 0; x < width; x++) {
        const column = columns[x];
        if (!column) continue;
        let sum = 0;
        for (let k = 0; k < column[0].length; k++) sum += heat.values[y * heat.width + column[0][k]] * column[1][k];
        across[y * width + x] = sum;
      }
    const values = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      const row = rows[y];
      if (!row) continue;
      for (let k = 0; k < row[0].length; k++) {
        const from = row[0][k] * width;
        const share = row[1][k];
        for (let x = 0; x < width; x++) values[y * width + x] += across[from + x] * share;
      }
    }
    return values;
  }

  // Colors for values; zero is transparent, and opacity grows with the share of `top`.
  function colored(values, { signed, sign, top, colors, fade }) {
    const pixels = new Uint8ClampedArray(values.length * 4);
    const opacity = Float32Array.from({ length: 256 }, (_, i) => 255 * (i / 255) ** fade);
    const raises = !signed || sign !== "lowers";
    const lowers = signed && sign !== "raises";
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (!(value > 0 ? raises : value < 0 && lowers)) continue;
      const share = Math.min(1, Math.abs(value) / top);
      const at = 3 * Math.round(signed ? 127.5 + (value > 0 ? 127.5 : -127.5) * share : 255 * share);
      pixels[4 * i] = colors[at];
      pixels[4 * i + 1] = colors[at + 1];
      pixels[4 * i + 2] = colors[at + 2];
      pixels[4 * i + 3] = opacity[Math.round(255 * share)];
    }
    return pixels;
  }

  function palette(hex) {
    const colors = new Uint8Array(768);
    for (let i = 0; i < 768; i++) colors[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
    return colors;
  }

  // The value above which a share `mass` of the heat's size lies.
  function threshold(values, mass) {
    const sorted = Float32Array.from(values, Math.abs).sort();
    let total = 0;
    for (const value of sorted) total += value;
    if (!total) return Infinity;
    let sum = 0;
    for (let i = sorted.length - 1; i >= 0; i--) {
      sum += sorted[i];
      if (sum >= mass * total) return sorted[i];
    }
    return sorted[0];
  }

  // Line segments [x0, y0, x1, y1] around what lies above a level: marching squares over the centres of the grid, open
  // where the region runs over the edge.
  function outline(values, width, height, level) {
    const lines = [];
    const at = (x, y) =>
      Math.abs(values[Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))]);
    const between = (a, b) => (b === a ? 0.5 : (level - a) / (b - a));
    for (let y = -1; y < height; y++)
      for (let x = -1; x < width; x++) {
        const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
        const kind = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
        if (kind === 0 || kind === 15) continue;
        const px = x + 0.5;
        const py = y + 0.5;
        const top = [px + between(a, b), py];
        const right = [px + 1, py + between(b, c)];
        const bottom = [px + between(d, c), py + 1];
        const left = [px, py + between(a, d)];
        const add = (p, q) => lines.push([p[0], p[1], q[0], q[1]]);
        if (kind === 5 || kind === 10) {
          const high = (a + b + c + d) / 4 >= level;
          if ((kind === 5) === high) add(left, bottom), add(top, right);
          else add(left, top), add(bottom, right);
        } else if ([1, 14].includes(kind)) add(left, top);
        else if ([2, 13].includes(kind)) add(top, right);
        else if ([3, 12].includes(kind)) add(left, right);
        else if ([4, 11].includes(kind)) add(right, bottom);
        else if ([6, 9].includes(kind)) add(top, bottom);
        else add(left, bottom);
      }
    return lines;
  }

  // What lies at a place of the picture ({ x, y } from 0 to 1), in words: its value, and its share of all heat.
  function told(heat, [x0, y0, x1, y1], picture, place, { short = false } = {}) {
    const [x, y] = [place.x * picture.width, place.y * picture.height];
    if (x < x0 || x >= x1 || y < y0 || y >= y1) return short ? "not seen" : "not seen by the network";
    const column = Math.min(heat.width - 1, Math.floor(((x - x0) / (x1 - x0)) * heat.width));
    const row = Math.min(heat.height - 1, Math.floor(((y - y0) / (y1 - y0)) * heat.height));
    const value = heat.values[row * heat.width + column];
    if (!value) return "0";
    const number = `${value > 0 ? "+" : ""}${sightglass.figure(value)}`;
    if (short) return number;
    const share = Math.abs(value) / heat.total;
    const percent = share < 0.0095 ? `${(100 * share).toPrecision(1)} %` : sightglass.percent(share);
    return `${number} · ${share < 1e-4 ? "<0.01 %" : percent} of all`;
  }

  // A small picture with its heat, drawn once the image is there; `top` is the value of the strongest color.
  function small(canvas, heat, { box, signed }, picture, image, top) {
    const { palettes, sequential, diverging, fade } = sightglass.catalogue;
    const { width, height } = canvas;
    const shrink = width / picture.width;
    const layer = new OffscreenCanvas(width, height);
    const colors = palette(palettes[signed ? diverging : (sightglass.view.colors ?? sequential[0])]);
    const values = laid(
      heat,
      width,
      height,
      box.map((edge) => edge * shrink),
    );
    if (heat.top)
      layer
        .getContext("2d")
        .putImageData(new ImageData(colored(values, { signed, sign: "both", top, colors, fade }), width, height), 0, 0);
    const paint = () => {
      const pen = canvas.getContext("2d");
      pen.globalAlpha = 1;
      pen.drawImage(image, 0, 0, width, height);
      pen.globalAlpha = 0.85;
      pen.drawImage(layer, 0, 0);
    };
    if (image.complete) paint();
    else image.addEventListener("load", paint, { once: true });
  }

  return { unpack, unpackBits, laid, colored, palette, threshold, outline, told, small };
})();
