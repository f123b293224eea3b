// A picture for every point of a grid. The kernel computes nothing while the reader moves; it only learns the new place.

function render({ model, el }) {
  const [axes, ends, size] = ["axes", "ends", "size"].map((name) => model.get(`_${name}`));
  const [alts, captions] = [model.get("_alts"), model.get("_captions")];
  const frames = new Frames(model.get("_frames"), ends, size);
  const strides = axes.map((axis, a) => axes.slice(a + 1).reduce((product, next) => product * next.ticks.length, 1));
  const lasts = axes.map((axis) => axis.ticks.length - 1);
  const main = Math.max(0, axes.findIndex((axis) => !axis.buttons)); // the axis that plays and that dragging moves
  let at = model.get("_at");

  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const caption = captions.length ? element("p", { className: "mpld-caption" }) : null;
  const context = canvas.getContext("2d");
  const frameAt = (indices) => indices.reduce((sum, k, a) => sum + k * strides[a], 0);
  const replaced = (a, k) => at.map((old, b) => (a === b ? k : old));

  async function draw() {
    const k = frameAt(at);
    const bitmap = await frames.get(k);
    if (k !== frameAt(at)) return; // the reader has moved on
    context.clearRect(0, 0, ...size);
    context.drawImage(bitmap, Math.round((size[0] - bitmap.width) / 2), Math.round((size[1] - bitmap.height) / 2));
    canvas.dataset.shown = k;
    for (const step of [1, -1, 2, -2, 3, -3]) // the neighbours are decoded before they are needed
      axes.forEach((axis, a) => {
        const next = at[a] + step;
        if (next >= 0 && next <= lasts[a]) frames.get(frameAt(replaced(a, next)));
      });
  }

  function update() {
    at = model.get("_at");
    controls.forEach((control, a) => control.show(at[a]));
    twins.forEach((twin) => twin.show(at[twin.of]));
    canvas.setAttribute("aria-label", alts[frameAt(at)]);
    if (caption) caption.textContent = captions[frameAt(at)];
    draw();
  }

  function moveTo(a, k, save = true) {
    if (at[a] !== k) model.set("_at", replaced(a, k)); // calls update(), here and in every other view
    if (save) model.save_changes();
  }

  const range = { last: lasts[main], get: () => at[main] };
  const play = playback({
    ...range,
    seconds: clamp(lasts[main] / 12, 2, 8),
    set: (position) => moveTo(main, Math.floor(position), false),
    stopped: () => model.save_changes(),
  });
  const onInput = (a) => (k) => {
    play.stop();
    moveTo(a, k);
  };
  const controls = axes.map((axis, a) => control(axis, onInput(a)));
  const twins = model.get("_twins").map((twin) => ({ ...control(twin, onInput(twin.of)), of: twin.of }));
  drag(canvas, { ...range, set: onInput(main) });
  const nodes = controls.map(({ node }, a) => {
    const others = twins.filter(({ of }) => of === a).map((twin) => twin.node);
    return others.length ? coupled([node, ...others]) : node;
  });
  if (!axes[main].buttons && lasts[main] > 0) nodes.unshift(play.button);
  const title = model.get("_title");
  const root = layout(el, "explore", { title, controls: nodes, canvas, caption, onSpace: play.toggle });
  resize(root, canvas, size, model.get("_legible"));

  model.on("change:_at", update);
  update();
  return () => {
    model.off("change:_at", update);
    play.close();
  };
}

export default { render };
