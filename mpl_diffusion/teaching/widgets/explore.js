// A picture for every point of a grid. Nothing is asked of the kernel: it is only told where the reader has moved.

function render({ model, el }) {
  const [axes, ends, size] = ["axes", "ends", "size"].map((name) => model.get(`_${name}`));
  const [alts, captions] = [model.get("_alts"), model.get("_captions")];
  const pictures = new Pictures(model.get("_frames"), ends, size);
  const strides = axes.map((axis, a) => axes.slice(a + 1).reduce((product, next) => product * next.ticks.length, 1));
  const lasts = axes.map((axis) => axis.ticks.length - 1);
  const first = Math.max(0, axes.findIndex((axis) => !axis.buttons)); // the axis that plays and that a finger turns
  let at = model.get("_at");

  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const caption = captions.length ? element("p", { className: "mpld-caption" }) : null;
  const ink = canvas.getContext("2d");
  const flat = (place) => place.reduce((sum, k, a) => sum + k * strides[a], 0);
  const moved = (a, k) => at.map((old, b) => (a === b ? k : old));

  async function draw() {
    const k = flat(at);
    const bitmap = await pictures.get(k);
    if (k !== flat(at)) return; // the reader has moved on
    ink.clearRect(0, 0, ...size);
    ink.drawImage(bitmap, Math.round((size[0] - bitmap.width) / 2), Math.round((size[1] - bitmap.height) / 2));
    canvas.dataset.shown = k;
    for (const step of [1, -1, 2, -2, 3, -3])
      axes.forEach((axis, a) => {
        const next = at[a] + step;
        if (next >= 0 && next <= lasts[a]) pictures.get(flat(moved(a, next)));
      });
  }

  function show() {
    at = model.get("_at");
    controls.forEach((control, a) => control.show(at[a]));
    twins.forEach((twin) => twin.show(at[twin.of]));
    canvas.setAttribute("aria-label", alts[flat(at)]);
    if (caption) caption.textContent = captions[flat(at)];
    draw();
  }

  function go(a, k, tell = true) {
    if (at[a] !== k) model.set("_at", moved(a, k)); // shows here, and in every other view
    if (tell) model.save_changes();
  }

  const turn = { last: lasts[first], get: () => at[first] };
  const play = playback({
    ...turn,
    seconds: clamp(lasts[first] / 12, 2, 8),
    go: (position) => go(first, Math.floor(position), false),
    stopped: () => model.save_changes(),
  });
  const byHand = (a) => (k) => {
    play.stop();
    go(a, k);
  };
  const controls = axes.map((axis, a) => control(axis, byHand(a)));
  const twins = model.get("_twins").map((twin) => ({ ...control(twin, byHand(twin.of)), of: twin.of }));
  drag(canvas, { ...turn, go: byHand(first) });
  const nodes = controls.map(({ node }, a) => {
    const others = twins.filter(({ of }) => of === a).map((twin) => twin.node);
    return others.length ? coupled([node, ...others]) : node;
  });
  if (!axes[first].buttons && lasts[first] > 0) nodes.unshift(play.button);
  const root = scene(el, "explore", { title: model.get("_title"), controls: nodes, canvas, caption, toggle: play.toggle });
  resize(root, canvas, size, model.get("_legible"));

  model.on("change:_at", show);
  show();
  return () => {
    model.off("change:_at", show);
    play.close();
  };
}

export default { render };
