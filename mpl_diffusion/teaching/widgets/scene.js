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

/** The root of a widget. Plain keys stay inside: JupyterLab would take an arrow for its own, and "d d" for a deletion. */
function scene(el, kind, { title, controls, canvas, caption, toggle, escape }) {
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
    if (event.key === "Escape") escape?.();
    if (event.key === " " && event.target.type === "range") {
      event.preventDefault();
      toggle?.();
    }
  });
  el.append(root);
  return root;
}

/** A slider over the ticks of an axis, or a row of buttons where the axis says so. `moved(k)` hears the reader only. */
function control(axis, moved) {
  return axis.buttons ? choice(axis, moved) : slider(axis, moved);
}

function slider({ label, ticks }, moved) {
  const last = Math.max(ticks.length - 1, 1);
  const reading = element("span");
  const input = element("input", { type: "range", min: 0, max: ticks.length - 1, step: 1, disabled: ticks.length < 2 });
  const longest = Math.max(...ticks.map((tick) => tick.length));
  reading.style.minWidth = `${label.length + 3 + longest}ch`; // the slider does not jump when the number grows
  input.addEventListener("input", () => moved(Number(input.value)));
  const show = (k) => {
    input.value = k;
    reading.textContent = `${label} = ${ticks[Math.round(k)]}`;
    input.setAttribute("aria-label", label);
    input.setAttribute("aria-valuetext", reading.textContent);
    input.style.setProperty("--done", `calc(13px + ${k / last} * (100% - 26px))`); // to the middle of the thumb
  };
  return { node: element("label", { className: "mpld-slider" }, reading, input), show };
}

/** Controls of one value, one above the other, their tracks aligned. */
function coupled(nodes) {
  const labels = nodes.flatMap((node) => [...node.querySelectorAll(":scope > span")]);
  const widest = Math.max(...labels.map((label) => parseFloat(label.style.minWidth) || 0));
  for (const label of labels) label.style.minWidth = `${widest}ch`;
  return element("div", { className: "mpld-coupled" }, ...nodes);
}

let groups = 0;
function choice({ label, ticks }, moved) {
  const name = `mpld-${Math.random().toString(36).slice(2)}-${groups++}`; // radio groups are global to a page
  const radios = ticks.map((tick, k) => {
    const radio = element("input", { type: "radio", name });
    radio.addEventListener("change", () => moved(k));
    return radio;
  });
  const labels = ticks.map((tick, k) => element("label", {}, radios[k], element("span", { textContent: tick })));
  const node = element("div", { className: "mpld-choice" }, element("span", { textContent: label }), element("div", {}, ...labels));
  node.setAttribute("role", "radiogroup");
  node.setAttribute("aria-label", label);
  return { node, show: (k) => (radios[k].checked = true) };
}

/** Play and pause: walks `go(position)` from `get()` to `last`, waits a moment, begins again. One plays at a time. */
function playback({ last, seconds, get, go, stopped }) {
  const button = element("button", { type: "button", className: "mpld-play" });
  let ticket = 0;
  const stop = () => {
    if (ticket) stopped?.();
    cancelAnimationFrame(ticket);
    ticket = 0;
    say();
  };
  const say = () => {
    button.textContent = ticket ? "pause" : "play";
    button.setAttribute("aria-pressed", String(Boolean(ticket)));
  };
  const start = () => {
    document.dispatchEvent(new CustomEvent("mpld-play", { detail: button }));
    let [position, before, rest] = [get() < last ? get() : 0, performance.now(), 0];
    const tick = (now) => {
      if (!button.isConnected) return stop();
      const passed = clamp((now - before) / 1000, 0, 0.1); // the first frame can be older than the click
      before = now;
      if (position < last) position = Math.min(position + (passed * last) / seconds, last);
      else if ((rest += passed) > 1) [position, rest] = [0, 0];
      go(position);
      ticket = requestAnimationFrame(tick);
    };
    ticket = requestAnimationFrame(tick);
    say();
  };
  const toggle = () => (ticket ? stop() : start());
  const another = (event) => event.detail !== button && stop();
  document.addEventListener("mpld-play", another);
  button.addEventListener("click", toggle);
  say();
  const close = () => {
    document.removeEventListener("mpld-play", another);
    stop();
  };
  return { button, toggle, stop, close };
}

/** A finger across the picture turns the slider, a full width for the whole axis; one that rests taps. */
function drag(canvas, { last, get, go, tap }) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, k: get(), moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const across = event.clientX - from.x;
    from.moved ||= Math.abs(across) > 6;
    if (from.moved) go(clamp(Math.round(from.k + (last * across) / canvas.clientWidth), 0, last));
  });
  canvas.addEventListener("pointerup", (event) => {
    const box = canvas.getBoundingClientRect();
    if (from && !from.moved) tap?.((event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height);
    from = null;
  });
  canvas.addEventListener("pointercancel", () => (from = null));
}

/** Pictures packed end to end, decoded when they are wanted; only the latest used stay decoded. */
class Pictures {
  constructor(bytes, ends, size, budget = 96e6) {
    Object.assign(this, { bytes, ends, decoded: new Map() });
    this.room = Math.max(12, Math.floor(budget / (4 * size[0] * size[1])));
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
    if (this.decoded.size > this.room) this.decoded.delete(this.decoded.keys().next().value);
    return bitmap;
  }
}
