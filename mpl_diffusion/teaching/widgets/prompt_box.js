// A box of words: Enter sends them to the kernel, whose pictures are shown as they come.

const PATIENCE = 4000; // milliseconds until the reader is told that no kernel answers
const REST = 300; // of a slider, before its value is asked for

function render({ model, el }) {
  const axes = model.get("_axes");
  const alive = Boolean(model.send); // a page of its own has no kernel
  let [at, sent, shown] = [model.get("_at"), null, null];
  let [resting, waiting, ticking] = [0, 0, 0]; // timers

  const input = element("input", { type: "text", spellcheck: false, autocomplete: "off" });
  const paint = element("button", { type: "submit", className: "mpld-paint", textContent: "paint" });
  const label = element("label", {}, element("span", { textContent: model.get("_label") }), input);
  const form = element("form", { className: "mpld-words" }, label, paint);
  const canvas = element("canvas");
  const caption = element("figcaption", { className: "mpld-caption" });
  const figure = element("figure", { hidden: true }, canvas, caption);
  const [state, clock, wrong] = [element("span"), element("span"), element("p", { className: "mpld-wrong" })];
  const news = element("div", { className: "mpld-news" }, wrong, element("p", {}, state, clock));
  canvas.setAttribute("role", "img");
  for (const words of [state, wrong]) words.setAttribute("role", "status"); // read aloud when they change ...
  clock.setAttribute("aria-hidden", "true"); // ... but not every tick of the clock

  async function draw() {
    const frame = model.get("_frame");
    if (!frame.byteLength) return;
    const [words, alt, size, legible] = ["_caption", "_alt", "_size", "_legible"].map((name) => model.get(name));
    shown = frame;
    const bitmap = await createImageBitmap(new Blob([frame], { type: "image/webp" }));
    if (frame !== shown) return; // a newer one has come
    if (figure.hidden) resize(root, canvas, size, legible);
    figure.hidden = false;
    const scale = Math.min(1, size[0] / bitmap.width, size[1] / bitmap.height);
    const [width, height] = [Math.round(scale * bitmap.width), Math.round(scale * bitmap.height)];
    const ink = canvas.getContext("2d");
    ink.clearRect(0, 0, ...size);
    ink.drawImage(bitmap, Math.round((size[0] - width) / 2), Math.round((size[1] - height) / 2), width, height);
    canvas.setAttribute("aria-label", alt);
    caption.textContent = words;
    canvas.dataset.shown = Number(canvas.dataset.shown ?? 0) + 1; // how many pictures this view has drawn
  }

  function say() {
    const [status, seconds, pictures] = ["_state", "_seconds", "_pictures"].map((name) => model.get(name));
    const [busy, error, since] = [status === "painting", model.get("_error") ?? "", performance.now()];
    const count = pictures > 1 ? `, ${pictures.toLocaleString("en")} pictures` : "";
    clearTimeout(waiting);
    clearInterval(ticking);
    news.classList.toggle("mpld-busy", busy);
    input.setAttribute("aria-invalid", String(Boolean(error)));
    put(wrong, error);
    const words = status === "painted" ? `painted in ${seconds.toFixed(1)} s${count}` : status;
    put(state, alive ? words : "To paint anew, this box needs a running notebook.");
    const now = () => seconds + (performance.now() - since) / 1000;
    const tick = () => put(clock, busy ? `: ${now().toFixed(1)} s${count}` : "");
    tick();
    if (busy) ticking = setInterval(tick, 100);
  }

  function submit() {
    clearTimeout(resting);
    clearTimeout(waiting);
    resting = 0;
    sent = input.value;
    const silent = () => put(state, "No answer: this box needs a running notebook whose kernel is free.");
    waiting = setTimeout(silent, PATIENCE);
    try {
      model.send({ text: sent, at });
    } catch {
      silent(); // the kernel is known to be gone
    }
  }

  const put = (node, words) => node.textContent === words || (node.textContent = words); // unchanged is not read again
  const turn = (a) => (k) => {
    at = at.map((old, b) => (a === b ? k : old));
    controls[a].show(k);
    clearTimeout(resting);
    resting = setTimeout(submit, REST);
  };
  const controls = axes.map((axis, a) => control(axis, turn(a)));
  const place = () => {
    if (!resting) at = model.get("_at"); // else the reader's hand is on it
    controls.forEach((one, a) => one.show(at[a]));
  };
  const write = () => {
    if (model.get("_text") !== sent) input.value = sent = model.get("_text"); // else the reader may be typing on
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  const escape = () => alive && model.send({ stop: true });
  const nodes = [form, ...controls.map((one) => one.node)];
  const root = scene(el, "prompt", { title: model.get("_title"), controls: nodes, canvas: figure, caption: news, escape });
  for (const node of root.querySelectorAll("input, button")) node.disabled ||= !alive;

  const ears = { "change:_text": write, "change:_at": place, "change:_frame": draw, change: say };
  for (const hear of Object.values(ears)) hear();
  for (const [event, hear] of Object.entries(ears)) model.on(event, hear);
  return () => {
    for (const [event, hear] of Object.entries(ears)) model.off(event, hear);
    for (const timer of [resting, waiting, ticking]) clearTimeout(timer);
  };
}

export default { render };
