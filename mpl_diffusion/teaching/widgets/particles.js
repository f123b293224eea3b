// Thousands of points between their recorded positions, added to an image pixel by pixel: faster than drawing each.

const WIDTH = 720; // pixels of the picture; the page scales it
const HIGHLIGHT = "#D55E00";

/** A count per pixel that grows where points overlap; drawn as the opacity of one colour. */
class Density {
  constructor(width, height, color, count) {
    this.width = width;
    this.height = height;
    this.amount = new Uint16Array(width * height);
    this.canvas = element("canvas", { width, height });
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    const [red, green, blue] = [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
    this.shades = Uint32Array.from({ length: 1024 }, (_, amount) => {
      const alpha = Math.round(255 * (1 - Math.exp(-amount / 160)));
      return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0; // little-endian RGBA
    });
    this.dot = disc(clamp(190 / Math.sqrt(count), 2.2, 8), count > 2000 ? 130 : 320);
    this.trail = disc(clamp(90 / Math.sqrt(count), 0.8, 3), 1);
  }

  add(x, y, { reach, offsets }, weight = 1) {
    const [column, row] = [Math.round(x), Math.round(y)];
    if (column < reach || row < reach || column >= this.width - reach || row >= this.height - reach) return;
    const middle = row * this.width + column;
    for (let k = 0; k < offsets.length; k += 3)
      this.amount[middle + offsets[k] * this.width + offsets[k + 1]] += offsets[k + 2] * weight;
  }

  /** Draw it, and begin again from zero. */
  draw(context) {
    const { amount, pixels, shades } = this;
    for (let k = 0; k < amount.length; k++) pixels[k] = amount[k] ? shades[Math.min(amount[k], 1023)] : 0;
    amount.fill(0);
    this.context.putImageData(this.image, 0, 0);
    context.drawImage(this.canvas, 0, 0);
  }
}

/** A disc as (row, column, weight) triples, its edge softened over one pixel. */
function disc(radius, weight) {
  const [reach, offsets] = [Math.ceil(radius), []];
  for (let row = -reach; row <= reach; row++)
    for (let column = -reach; column <= reach; column++) {
      const cover = clamp(radius + 0.5 - Math.hypot(row, column), 0, 1);
      if (cover > 0) offsets.push(row, column, Math.max(1, Math.round(weight * cover)));
    }
  return { reach, offsets: Int16Array.from(offsets) };
}

function render({ model, el }) {
  const [[frames, count], [left, right, bottom, top], times] = ["_shape", "_extent", "_times"].map((name) => model.get(name));
  const data = model.get("_points");
  const points = new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
  const height = Math.round((WIDTH * (top - bottom)) / (right - left));
  const last = frames - 1;
  let position = model.get("_frame"); // between two frames while it plays
  let follow = model.get("_follow");

  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const context = canvas.getContext("2d");
  const caption = element("p", { className: "mpld-caption" });
  const density = new Density(WIDTH, height, model.get("_color"), count);
  const ends = model.get("_ends");
  const backdrops = ends.length ? new Frames(model.get("_backdrops"), ends, [WIDTH, height]) : null;

  /** Where point n is at a moment (a place in the walk), in pixels; null outside the picture. */
  function positionOf(n, moment) {
    const frame = Math.min(Math.floor(moment), last);
    const [a, b] = [2 * (frame * count + n), 2 * (Math.min(frame + 1, last) * count + n)];
    if (!points[a] || !points[b]) return null;
    const part = moment - frame;
    const x = points[a] + part * (points[b] - points[a]);
    const y = points[a + 1] + part * (points[b + 1] - points[a + 1]);
    return [((x - 1) / 65534) * WIDTH, (1 - (y - 1) / 65534) * height];
  }

  function addAll(moment, mark, weight) {
    const frame = Math.min(Math.floor(moment), last);
    const [now, next, part] = [2 * frame * count, 2 * Math.min(frame + 1, last) * count, moment - frame];
    const [across, up] = [WIDTH / 65534, height / 65534];
    for (let k = 0; k < 2 * count; k += 2) {
      const [a, b] = [now + k, next + k];
      if (!points[a] || !points[b]) continue;
      const x = points[a] + part * (points[b] - points[a]) - 1;
      const y = points[a + 1] + part * (points[b + 1] - points[a + 1]) - 1;
      density.add(x * across, height - y * up, mark, weight);
    }
  }

  function drawPath() {
    const line = (from, to, width, alpha) => {
      context.globalAlpha = alpha;
      context.lineWidth = width;
      context.beginPath();
      for (let moment = from; ; moment = Math.min(Math.floor(moment) + 1, to)) {
        const here = positionOf(follow, moment);
        if (here) context.lineTo(...here);
        if (moment >= to) break;
      }
      context.stroke();
      context.globalAlpha = 1;
    };
    Object.assign(context, { strokeStyle: HIGHLIGHT, fillStyle: HIGHLIGHT, lineJoin: "round", lineCap: "round" });
    line(0, last, 2, 0.45);
    line(0, position, 5, 1);
    const here = positionOf(follow, position);
    if (!here) return;
    context.beginPath();
    context.arc(...here, 11, 0, 2 * Math.PI);
    context.fill();
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 3 });
    context.stroke();
  }

  function drawScale() {
    const size = parseFloat(getComputedStyle(canvas).fontSize) || 16; // as large as the other text of the widget
    const letter = (size * WIDTH) / (canvas.clientWidth || WIDTH);
    const wide = (right - left) / 5;
    const step = [1, 2, 5, 10].map((n) => n * 10 ** Math.floor(Math.log10(wide))).find((n) => n >= wide);
    Object.assign(context, { font: `${letter}px system-ui, sans-serif`, fillStyle: "#333", strokeStyle: "#333", lineWidth: 2 });
    const ticks = (low, high) => {
      const first = Math.ceil(low / step + 0.3);
      return Array.from({ length: Math.floor(high / step - 0.3) - first + 1 }, (_, k) => step * (first + k));
    };
    const text = (value) => String(Number(value.toPrecision(6))).replace("-", "\u2212");
    const tick = (x, y, dx, dy, value) => {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + 8 * dx, y - 8 * dy);
      context.stroke();
      Object.assign(context, { textAlign: dx ? "left" : "center", textBaseline: dx ? "middle" : "bottom" });
      context.fillText(text(value), x + 14 * dx, y - 12 * dy);
    };
    for (const value of ticks(left, right)) tick(((value - left) / (right - left)) * WIDTH, height, 0, 1, value);
    for (const value of ticks(bottom, top)) tick(0, ((top - value) / (top - bottom)) * height, 1, 0, value);
  }

  async function draw() {
    const frame = Math.round(position);
    const backdrop = backdrops && (await backdrops.get(ends.length > 1 ? frame : 0));
    if (frame !== Math.round(position)) return; // the reader has moved on
    context.fillStyle = "#fff";
    context.fillRect(0, 0, WIDTH, height);
    if (backdrop) context.drawImage(backdrop, 0, 0, WIDTH, height);
    if (model.get("_trails")) {
      const [length, copies] = [Math.max(1, 0.08 * last), clamp(Math.round(6e4 / count), 6, 16)];
      for (let k = copies; k > 0; k--) {
        const moment = position - (length * k) / copies;
        if (moment >= 0) addAll(moment, density.trail, Math.round(14 * (1 - k / (copies + 1))) + 1);
      }
    }
    addAll(position, density.dot, 1);
    density.draw(context);
    if (follow >= 0) drawPath();
    drawScale();
    canvas.dataset.shown = position.toFixed(2);
  }

  function show() {
    timeSlider.show(position);
    const time = `t = ${times[Math.round(position)]}`;
    const here = follow >= 0 ? positionOf(follow, position) : null;
    const [x, y] = here ? [left + (here[0] / WIDTH) * (right - left), top - (here[1] / height) * (top - bottom)] : [];
    const number = (value) => value.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "\u2212");
    const subject = follow < 0 ? `${count.toLocaleString("en")} points` : `point ${follow} ${here ? `at (${number(x)}, ${number(y)})` : "is outside"}`;
    caption.textContent = `${time}: ${subject}`;
    canvas.setAttribute("aria-label", `${model.get("_alt")}, ${caption.textContent}`);
    draw();
  }

  function moveTo(k) {
    play.stop();
    save("_frame", k);
  }
  function save(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  function pick(across, down) {
    let [nearest, best] = [-1, Infinity];
    for (let n = 0; n < count; n++) {
      const here = positionOf(n, position);
      const distance = here ? Math.hypot(here[0] - across * WIDTH, here[1] - down * height) : Infinity;
      if (distance < best) [nearest, best] = [n, distance];
    }
    save("_follow", nearest === follow ? -1 : nearest); // a second tap lets it go
  }

  const get = () => Math.round(position);
  const timeSlider = slider({ label: "t", ticks: times }, moveTo);
  const play = playback({
    last,
    seconds: clamp(last / 12, 4, 8),
    get,
    set: (moment) => {
      position = moment;
      show();
    },
    stopped: () => save("_frame", get()),
  });
  drag(canvas, { last, get, set: moveTo, tap: pick });
  const title = model.get("_title");
  const controls = last > 0 ? [play.button, timeSlider.node] : [timeSlider.node];
  const release = () => save("_follow", -1);
  const root = layout(el, "particles", { title, controls, canvas, caption, onSpace: play.toggle, onEscape: release });
  resize(root, canvas, [WIDTH, height]);

  const update = () => {
    [position, follow] = [model.get("_frame"), model.get("_follow")];
    show();
  };
  const resized = new ResizeObserver(show);
  resized.observe(canvas);
  for (const name of ["_frame", "_follow"]) model.on(`change:${name}`, update);
  show();
  return () => {
    for (const name of ["_frame", "_follow"]) model.off(`change:${name}`, update);
    resized.disconnect();
    play.close();
  };
}

export default { render };
