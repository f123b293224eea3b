// What every widget here shares: a row of controls above a picture, a line of words below. No library, no network.

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

function element(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

/** Give a canvas its pixels. The style sheet shows it as large as the page allows, but no narrower than `legible`. */
function resize(root, canvas, [width, height], legible = 0) {
  Object.assign(canvas, { width, height });
  root.style.setProperty("--ratio", width / height);
  root.style.setProperty("--legible", `${legible}px`);
}

/** Builds the root of a widget. Plain keys stay inside: JupyterLab would take an arrow for its own, and "d d" for a deletion. */
function layout(el, kind, { title, controls, canvas, caption, onSpace, onEscape }) {
  const row = element("div", { className: "mpld-controls" }, ...controls);
  const stage = element("div", { className: "mpld-stage" }, canvas);
  const root = element("div", { className: `mpld-widget mpld-${kind}` }, row, stage);
  if (caption) root.append(caption);
  const fit = new ResizeObserver(() => {
    root.style.setProperty("--controls", `${row.offsetHeight}px`); // the picture has the rest of the screen
    stage.classList.toggle("mpld-scrolls", stage.scrollWidth > stage.clientWidth);
  });
  for (const node of [row, stage]) fit.observe(node);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", title);
  root.addEventListener("keydown", (event) => {
    const shortcut = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    if (!shortcut) event.stopPropagation();
    if (event.key === "Escape") onEscape?.();
    if (event.key === " " && event.target.type === "range") {
      event.preventDefault();
      onSpace?.();
    }
  });
  el.append(root);
  return root;
}

/** A slider over the ticks of an axis, or a row of buttons where the axis says so. Only the reader's moves call `onInput(k)`. */
function control(axis, onInput) {
  return axis.buttons ? choice(axis, onInput) : slider(axis, onInput);
}

function slider({ label, ticks }, onInput) {
  const last = Math.max(ticks.length - 1, 1);
  const text = element("span");
  const input = element("input", { type: "range", min: 0, max: ticks.length - 1, step: 1, disabled: ticks.length < 2 });
  const longest = Math.max(...ticks.map((tick) => tick.length));
  text.style.minWidth = `${label.length + 3 + longest}ch`; // the slider does not jump when the number grows
  input.addEventListener("input", () => onInput(Number(input.value)));
  const show = (k) => {
    input.value = k;
    text.textContent = `${label} = ${ticks[Math.round(k)]}`;
    input.setAttribute("aria-label", label);
    input.setAttribute("aria-valuetext", text.textContent);
    input.style.setProperty("--done", `calc(13px + ${k / last} * (100% - 26px))`); // to the middle of the thumb
  };
  return { node: element("label", { className: "mpld-slider" }, text, input), show };
}

/** Controls of one value, one above the other, their tracks aligned. */
function coupled(nodes) {
  const labels = nodes.flatMap((node) => [...node.querySelectorAll(":scope > span")]);
  const widest = Math.max(...labels.map((label) => parseFloat(label.style.minWidth) || 0));
  for (const label of labels) label.style.minWidth = `${widest}ch`;
  return element("div", { className: "mpld-coupled" }, ...nodes);
}

let groups = 0;
function choice({ label, ticks }, onInput) {
  const name = `mpld-${Math.random().toString(36).slice(2)}-${groups++}`; // radio groups are global to a page
  const radios = ticks.map((tick, k) => {
    const radio = element("input", { type: "radio", name });
    radio.addEventListener("change", () => onInput(k));
    return radio;
  });
  const labels = ticks.map((tick, k) => element("label", {}, radios[k], element("span", { textContent: tick })));
  const node = element("div", { className: "mpld-choice" }, element("span", { textContent: label }), element("div", {}, ...labels));
  node.setAttribute("role", "radiogroup");
  node.setAttribute("aria-label", label);
  return { node, show: (k) => (radios[k].checked = true) };
}

/** Play and pause: calls `set(position)` from `get()` to `last`, waits a moment, begins again. One widget plays at a time. */
function playback({ last, seconds, get, set, stopped }) {
  const button = element("button", { type: "button", className: "mpld-play" });
  let request = 0;
  const stop = () => {
    if (request) stopped?.();
    cancelAnimationFrame(request);
    request = 0;
    updateButton();
  };
  const updateButton = () => {
    button.textContent = request ? "pause" : "play";
    button.setAttribute("aria-pressed", String(Boolean(request)));
  };
  const start = () => {
    document.dispatchEvent(new CustomEvent("mpld-play", { detail: button }));
    let [position, before, pause] = [get() < last ? get() : 0, performance.now(), 0];
    const tick = (now) => {
      if (!button.isConnected) return stop();
      const elapsed = clamp((now - before) / 1000, 0, 0.1); // the first frame can be older than the click
      before = now;
      if (position < last) position = Math.min(position + (elapsed * last) / seconds, last);
      else if ((pause += elapsed) > 1) [position, pause] = [0, 0];
      set(position);
      request = requestAnimationFrame(tick);
    };
    request = requestAnimationFrame(tick);
    updateButton();
  };
  const toggle = () => (request ? stop() : start());
  const otherStarted = (event) => event.detail !== button && stop();
  document.addEventListener("mpld-play", otherStarted);
  button.addEventListener("click", toggle);
  updateButton();
  const close = () => {
    document.removeEventListener("mpld-play", otherStarted);
    stop();
  };
  return { button, toggle, stop, close };
}

/** Dragging across the picture moves the slider, its full width from end to end; a press that does not move is a tap. */
function drag(canvas, { last, get, set, tap }) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, k: get(), moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const across = event.clientX - from.x;
    from.moved ||= Math.abs(across) > 6;
    if (from.moved) set(clamp(Math.round(from.k + (last * across) / canvas.clientWidth), 0, last));
  });
  canvas.addEventListener("pointerup", (event) => {
    const box = canvas.getBoundingClientRect();
    if (from && !from.moved) tap?.((event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height);
    from = null;
  });
  canvas.addEventListener("pointercancel", () => (from = null));
}

/** Pictures packed end to end, decoded when they are wanted; only the latest used stay decoded. */
class Frames {
  constructor(bytes, ends, size, budget = 96e6) {
    Object.assign(this, { bytes, ends, decoded: new Map() });
    this.capacity = Math.max(12, Math.floor(budget / (4 * size[0] * size[1])));
  }

  get(k) {
    let bitmap = this.decoded.get(k);
    if (!bitmap) {
      const [start, end] = [k ? this.ends[k - 1] : 0, this.ends[k]];
      const part = new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, end - start);
      bitmap = createImageBitmap(new Blob([part], { type: "image/webp" }));
    }
    this.decoded.delete(k); // the order of a Map is the order of use
    this.decoded.set(k, bitmap);
    if (this.decoded.size > this.capacity) this.decoded.delete(this.decoded.keys().next().value);
    return bitmap;
  }
}
