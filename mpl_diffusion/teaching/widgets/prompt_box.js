// A text field: Enter sends the text to the kernel, whose pictures are shown as they arrive.

const TIMEOUT = 4000; // milliseconds until the reader learns that no kernel answers
const DEBOUNCE = 300; // milliseconds that a slider must rest before its value is sent

function render({ model, el }) {
  const axes = model.get("_axes");
  const hasKernel = Boolean(model.send); // a page of its own has none
  let [at, sentText, newestFrame] = [model.get("_at"), null, null];
  let [debounceTimer, timeoutTimer, clockTimer] = [0, 0, 0];

  const input = element("input", { type: "text", spellcheck: false, autocomplete: "off" });
  const button = element("button", { type: "submit", textContent: "paint" });
  const label = element("label", {}, element("span", { textContent: model.get("_label") }), input);
  const form = element("form", { className: "mpld-form" }, label, button);
  const canvas = element("canvas");
  const caption = element("figcaption", { className: "mpld-caption" });
  const figure = element("figure", { hidden: true }, canvas, caption);
  const [state, clock, error] = [element("span"), element("span"), element("p", { className: "mpld-error" })];
  const status = element("div", { className: "mpld-status" }, error, element("p", {}, state, clock));
  canvas.setAttribute("role", "img");
  for (const node of [state, error]) node.setAttribute("role", "status"); // read aloud when they change ...
  clock.setAttribute("aria-hidden", "true"); // ... but not every tick of the clock

  async function updateFrame() {
    const frame = model.get("_frame");
    if (!frame.byteLength) return;
    const [text, alt, size, legible] = ["_caption", "_alt", "_size", "_legible"].map((name) => model.get(name));
    newestFrame = frame;
    const bitmap = await createImageBitmap(new Blob([frame], { type: "image/webp" }));
    if (frame !== newestFrame) return;
    if (figure.hidden) resize(root, canvas, size, legible);
    figure.hidden = false;
    const scale = Math.min(1, size[0] / bitmap.width, size[1] / bitmap.height);
    const [width, height] = [Math.round(scale * bitmap.width), Math.round(scale * bitmap.height)];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, ...size);
    context.drawImage(bitmap, Math.round((size[0] - width) / 2), Math.round((size[1] - height) / 2), width, height);
    canvas.setAttribute("aria-label", alt);
    caption.textContent = text;
    canvas.dataset.shown = Number(canvas.dataset.shown ?? 0) + 1; // how many pictures this view has drawn
  }

  function updateStatus() {
    const [current, seconds, pictures] = ["_state", "_seconds", "_pictures"].map((name) => model.get(name));
    const [busy, message, since] = [current === "painting", model.get("_error") ?? "", performance.now()];
    const count = pictures > 1 ? `, ${pictures.toLocaleString("en")} pictures` : "";
    clearTimeout(timeoutTimer);
    clearInterval(clockTimer);
    status.classList.toggle("mpld-busy", busy);
    input.setAttribute("aria-invalid", String(Boolean(message)));
    setText(error, message);
    const text = current === "painted" ? `painted in ${seconds.toFixed(1)} s${count}` : current;
    setText(state, hasKernel ? text : "To paint again, this box needs a running notebook.");
    const elapsed = () => seconds + (performance.now() - since) / 1000;
    const tick = () => setText(clock, busy ? `: ${elapsed().toFixed(1)} s${count}` : "");
    tick();
    if (busy) clockTimer = setInterval(tick, 100);
  }

  function submit() {
    clearTimeout(debounceTimer);
    clearTimeout(timeoutTimer);
    debounceTimer = 0;
    sentText = input.value;
    const noAnswer = () => setText(state, "No answer: this box needs a running notebook whose kernel is free.");
    timeoutTimer = setTimeout(noAnswer, TIMEOUT);
    try {
      model.send({ text: sentText, at });
    } catch {
      noAnswer(); // the kernel is known to be gone
    }
  }

  const setText = (node, text) => node.textContent === text || (node.textContent = text); // unchanged is not read again
  const onInput = (a) => (k) => {
    at = at.map((old, b) => (a === b ? k : old));
    controls[a].show(k);
    clearTimeout(debounceTimer);
    debounceTimer = setTimeout(submit, DEBOUNCE);
  };
  const controls = axes.map((axis, a) => control(axis, onInput(a)));
  const updateControls = () => {
    if (!debounceTimer) at = model.get("_at"); // else the reader is moving it
    controls.forEach((one, a) => one.show(at[a]));
  };
  const updateText = () => {
    if (model.get("_text") !== sentText) input.value = sentText = model.get("_text"); // else the reader may be typing on
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  const onEscape = () => hasKernel && model.send({ stop: true });
  const nodes = [form, ...controls.map((one) => one.node)];
  const title = model.get("_title");
  const root = layout(el, "prompt", { title, controls: nodes, canvas: figure, caption: status, onEscape });
  for (const node of root.querySelectorAll("input, button")) node.disabled ||= !hasKernel;

  const listeners = { "change:_text": updateText, "change:_at": updateControls, "change:_frame": updateFrame, change: updateStatus };
  for (const listener of Object.values(listeners)) listener();
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
    for (const timer of [debounceTimer, timeoutTimer, clockTimer]) clearTimeout(timer);
  };
}

export default { render };
