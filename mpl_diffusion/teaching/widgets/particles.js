// Thousands of points between their recorded positions, splatted into pixels by hand: one pass, no graphics context.

const WIDTH = 720; // pixels of the picture; the page scales it
const HIGHLIGHT = "#D55E00";

/** Ink that adds up where points overlap, then becomes pixels of one colour. */
class Ink {
  constructor(width, height, color, count) {
    this.width = width;
    this.height = height;
    this.amount = new Uint16Array(width * height);
    this.layer = element("canvas", { width, height });
    this.pen = this.layer.getContext("2d");
    this.image = this.pen.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    const [red, green, blue] = [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
    this.shades = Uint32Array.from({ length: 1024 }, (_, amount) => {
      const alpha = Math.round(255 * (1 - Math.exp(-amount / 160)));
      return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0; // little-endian RGBA
    });
    this.dot = stamp(clamp(190 / Math.sqrt(count), 2.2, 8), count > 2000 ? 130 : 320);
    this.speck = stamp(clamp(90 / Math.sqrt(count), 0.8, 3), 1);
  }

  press(x, y, { reach, offsets }, weight = 1) {
    const [column, row] = [Math.round(x), Math.round(y)];
    if (column < reach || row < reach || column >= this.width - reach || row >= this.height - reach) return;
    const middle = row * this.width + column;
    for (let k = 0; k < offsets.length; k += 3)
      this.amount[middle + offsets[k] * this.width + offsets[k + 1]] += offsets[k + 2] * weight;
  }

  /** Put the ink on a canvas and start again with a clean plate. */
  print(paper) {
    const { amount, pixels, shades } = this;
    for (let k = 0; k < amount.length; k++) pixels[k] = amount[k] ? shades[Math.min(amount[k], 1023)] : 0;
    amount.fill(0);
    this.pen.putImageData(this.image, 0, 0);
    paper.drawImage(this.layer, 0, 0);
  }
}

/** A round dot as (row, column, weight) triples, its edge softened over one pixel. */
function stamp(radius, weight) {
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
  const paper = canvas.getContext("2d");
  const caption = element("p", { className: "mpld-caption" });
  const ink = new Ink(WIDTH, height, model.get("_color"), count);
  const ends = model.get("_ends");
  const backdrops = ends.length ? new Pictures(model.get("_backdrops"), ends, [WIDTH, height]) : null;

  /** Where point n is at a moment, in pixels; null outside the picture. */
  function place(n, moment) {
    const frame = Math.min(Math.floor(moment), last);
    const [a, b] = [2 * (frame * count + n), 2 * (Math.min(frame + 1, last) * count + n)];
    if (!points[a] || !points[b]) return null;
    const part = moment - frame;
    const x = points[a] + part * (points[b] - points[a]);
    const y = points[a + 1] + part * (points[b + 1] - points[a + 1]);
    return [((x - 1) / 65534) * WIDTH, (1 - (y - 1) / 65534) * height];
  }

  function stampAll(moment, mark, weight) {
    const frame = Math.min(Math.floor(moment), last);
    const [now, next, part] = [2 * frame * count, 2 * Math.min(frame + 1, last) * count, moment - frame];
    const [across, up] = [WIDTH / 65534, height / 65534];
    for (let k = 0; k < 2 * count; k += 2) {
      const [a, b] = [now + k, next + k];
      if (!points[a] || !points[b]) continue;
      const x = points[a] + part * (points[b] - points[a]) - 1;
      const y = points[a + 1] + part * (points[b + 1] - points[a + 1]) - 1;
      ink.press(x * across, height - y * up, mark, weight);
    }
  }

  function drawPath() {
    const line = (from, to, width, alpha) => {
      paper.globalAlpha = alpha;
      paper.lineWidth = width;
      paper.beginPath();
      for (let moment = from; ; moment = Math.min(Math.floor(moment) + 1, to)) {
        const here = place(follow, moment);
        if (here) paper.lineTo(...here);
        if (moment >= to) break;
      }
      paper.stroke();
      paper.globalAlpha = 1;
    };
    Object.assign(paper, { strokeStyle: HIGHLIGHT, fillStyle: HIGHLIGHT, lineJoin: "round", lineCap: "round" });
    line(0, last, 2, 0.45);
    line(0, position, 5, 1);
    const here = place(follow, position);
    if (!here) return;
    paper.beginPath();
    paper.arc(...here, 11, 0, 2 * Math.PI);
    paper.fill();
    Object.assign(paper, { strokeStyle: "#fff", lineWidth: 3 });
    paper.stroke();
  }

  function drawScale() {
    const size = parseFloat(getComputedStyle(canvas).fontSize) || 16; // as large as the other words of the widget
    const letter = (size * WIDTH) / (canvas.clientWidth || WIDTH);
    const wide = (right - left) / 5;
    const step = [1, 2, 5, 10].map((n) => n * 10 ** Math.floor(Math.log10(wide))).find((n) => n >= wide);
    Object.assign(paper, { font: `${letter}px system-ui, sans-serif`, fillStyle: "#333", strokeStyle: "#333", lineWidth: 2 });
    const ticks = (low, high) => {
      const first = Math.ceil(low / step + 0.3);
      return Array.from({ length: Math.floor(high / step - 0.3) - first + 1 }, (_, k) => step * (first + k));
    };
    const words = (value) => String(Number(value.toPrecision(6))).replace("-", "\u2212");
    const tick = (x, y, dx, dy, value) => {
      paper.beginPath();
      paper.moveTo(x, y);
      paper.lineTo(x + 8 * dx, y - 8 * dy);
      paper.stroke();
      Object.assign(paper, { textAlign: dx ? "left" : "center", textBaseline: dx ? "middle" : "bottom" });
      paper.fillText(words(value), x + 14 * dx, y - 12 * dy);
    };
    for (const value of ticks(left, right)) tick(((value - left) / (right - left)) * WIDTH, height, 0, 1, value);
    for (const value of ticks(bottom, top)) tick(0, ((top - value) / (top - bottom)) * height, 1, 0, value);
  }

  async function draw() {
    const frame = Math.round(position);
    const backdrop = backdrops && (await backdrops.get(ends.length > 1 ? frame : 0));
    if (frame !== Math.round(position)) return; // the reader has moved on
    paper.fillStyle = "#fff";
    paper.fillRect(0, 0, WIDTH, height);
    if (backdrop) paper.drawImage(backdrop, 0, 0, WIDTH, height);
    if (model.get("_trails")) {
      const [length, specks] = [Math.max(1, 0.08 * last), clamp(Math.round(6e4 / count), 6, 16)];
      for (let k = specks; k > 0; k--) {
        const moment = position - (length * k) / specks;
        if (moment >= 0) stampAll(moment, ink.speck, Math.round(14 * (1 - k / (specks + 1))) + 1);
      }
    }
    stampAll(position, ink.dot, 1);
    ink.print(paper);
    if (follow >= 0) drawPath();
    drawScale();
    canvas.dataset.shown = position.toFixed(2);
  }

  function show() {
    slide.show(position);
    const time = `t = ${times[Math.round(position)]}`;
    const here = follow >= 0 ? place(follow, position) : null;
    const [x, y] = here ? [left + (here[0] / WIDTH) * (right - left), top - (here[1] / height) * (top - bottom)] : [];
    const number = (value) => value.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "\u2212");
    const what = follow < 0 ? `${count.toLocaleString("en")} points` : `point ${follow} ${here ? `at (${number(x)}, ${number(y)})` : "is outside"}`;
    caption.textContent = `${time}: ${what}`;
    canvas.setAttribute("aria-label", `${model.get("_alt")}, ${caption.textContent}`);
    draw();
  }

  function go(k) {
    play.stop();
    tell("_frame", k);
  }
  function tell(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  function pick(across, down) {
    let [nearest, best] = [-1, Infinity];
    for (let n = 0; n < count; n++) {
      const here = place(n, position);
      const distance = here ? Math.hypot(here[0] - across * WIDTH, here[1] - down * height) : Infinity;
      if (distance < best) [nearest, best] = [n, distance];
    }
    tell("_follow", nearest === follow ? -1 : nearest); // a second tap lets it go
  }

  const get = () => Math.round(position);
  const slide = slider({ label: "t", ticks: times }, go);
  const play = playback({
    last,
    seconds: clamp(last / 12, 4, 8),
    get,
    go: (moment) => {
      position = moment;
      show();
    },
    stopped: () => tell("_frame", get()),
  });
  drag(canvas, { last, get, go, tap: pick });
  const title = model.get("_title");
  const controls = last > 0 ? [play.button, slide.node] : [slide.node];
  const release = () => tell("_follow", -1);
  const root = scene(el, "particles", { title, controls, canvas, caption, toggle: play.toggle, escape: release });
  resize(root, canvas, [WIDTH, height]);

  const hear = () => {
    [position, follow] = [model.get("_frame"), model.get("_follow")];
    show();
  };
  const resized = new ResizeObserver(show);
  resized.observe(canvas);
  for (const name of ["_frame", "_follow"]) model.on(`change:${name}`, hear);
  show();
  return () => {
    for (const name of ["_frame", "_follow"]) model.off(`change:${name}`, hear);
    resized.disconnect();
    play.close();
  };
}

export default { render };
