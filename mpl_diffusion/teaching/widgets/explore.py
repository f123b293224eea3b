"""A picture as a function of a few named axes, drawn once over their grid and scrubbed in the browser."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping

import traitlets

from ...checks import check_number, check_whole
from .axis import Axis, axes_of, check_names, check_text, format_value
from .base import CanvasWidget, source
from .frame import Frame, frame
from .progress import Progress

MOST_FRAMES = 2_000
MOST_BYTES = 40_000_000


class Explorer(CanvasWidget):
    """The widget that `explore` and `player` return; each axis is an attribute: `e.t = 500` moves the picture."""

    _esm = source("base.js", "explore.js")
    _axes = traitlets.List().tag(sync=True, page=True)
    _twins = traitlets.List().tag(sync=True, page=True)  # sliders that say an axis's value in other numbers
    _at = traitlets.List(traitlets.Int()).tag(sync=True, page=True)  # where we are: one index per axis
    _frames = traitlets.Bytes().tag(sync=True, page=True)  # every picture, one after the other ...
    _ends = traitlets.List().tag(sync=True, page=True)  # ... and where each ends; the last axis runs fastest
    _size = traitlets.List().tag(sync=True, page=True)  # pixels: of the widest, of the highest
    _legible = traitlets.Int().tag(sync=True, page=True)  # pixels: no picture is shown narrower than this
    _alts = traitlets.List().tag(sync=True, page=True)
    _captions = traitlets.List().tag(sync=True, page=True)
    _grid: tuple[Axis, ...] = ()

    def __init__(self, grid: list[Axis], frames: list[Frame], alt: str = "", at: list[int] | None = None, twins=()):
        places = itertools.product(*([f"{axis.label} = {tick}" for tick in axis.ticks] for axis in grid))
        where = [", ".join(place) for place in places]
        captions = [one.caption for one in frames]
        super().__init__(
            _title=f"explore: {alt}" if alt else "explore",
            _axes=[{"label": a.label, "ticks": list(a.ticks), "buttons": a.buttons} for a in grid],
            _twins=[{"label": t.label, "ticks": list(t.ticks), "buttons": t.buttons, "of": k} for k, t in twins],
            _at=at or [0] * len(grid),
            _frames=b"".join(one.webp for one in frames),
            _ends=list(itertools.accumulate(len(one.webp) for one in frames)),
            _size=[max(one.size[k] for one in frames) for k in (0, 1)],
            _legible=max(one.legible for one in frames),
            _alts=[one.alt or (f"{alt}: {place}" if alt else place) for one, place in zip(frames, where, strict=True)],
            _captions=captions if any(captions) else [],
        )
        self._grid, self._drawn, self._where = tuple(grid), frames, where

    @property
    def values(self) -> dict:
        """The value of every axis, now."""
        return {axis.name: axis.values[k] for axis, k in zip(self._grid, self._at, strict=True)}

    @property
    def alt(self) -> str:
        """The picture shown now, in words."""
        return self._alts[self._flat]

    @property
    def caption(self) -> str:
        """The line under the picture; without one, the place on the grid."""
        return self._drawn[self._flat].caption or self._where[self._flat]

    @property
    def picture(self) -> bytes:
        """The picture shown now, as PNG."""
        return self._drawn[self._flat].png

    @property
    def summary(self) -> str:
        return ", ".join(f"{axis.label} = {axis}" for axis in self._grid)

    @property
    def _flat(self) -> int:
        flat = 0
        for axis, k in zip(self._grid, self._at, strict=True):
            flat = flat * len(axis.values) + k
        return flat

    def __getattr__(self, name: str):
        for axis, k in zip(self._grid, self._at if self._grid else (), strict=True):
            if axis.name == name:
                return axis.values[k]
        raise AttributeError(f"{type(self).__name__} has no attribute or axis {name!r}")

    def __setattr__(self, name: str, value) -> None:
        names = [axis.name for axis in self._grid]
        if name not in names:
            return super().__setattr__(name, value)
        k = names.index(name)
        self._at = [*self._at[:k], self._grid[k].index(value), *self._at[k + 1 :]]

    def __dir__(self):
        return [*super().__dir__(), *(axis.name for axis in self._grid)]


def explore(
    draw: Callable,
    *,
    alt: str = "",
    start: Mapping | None = None,
    progress: bool = True,
    labels: Mapping[str, str] | None = None,
    twins: Mapping[str, tuple[str, Callable]] | None = None,
    **axes: Iterable,
) -> Explorer:
    """Draw `draw(**values)` once for every combination of the axes' values; then scrub through the pictures.

    `explore(lambda t, kind: plots.digits_at(t, kind), t=range(0, 1001, 20), kind=["linear", "cosine"])`

    Numbers become a slider, names (and up to three numbers) a row of buttons; `labels` renames them, `start` says
    where to begin, `alt` what is shown. `draw` returns a `Picture`, a figure, PNG bytes or an (H, W[, 3]) array.
    `twins={"w": ("their w", lambda w: w - 1)}` lays a second slider beside the one for w, which moves with it.
    """
    check_text(alt=alt)
    if not axes:
        raise ValueError("explore needs at least one axis: explore(draw, t=range(0, 1001, 20))")
    grid, at = axes_of(Explorer, axes, labels, start)
    pairs = _twins(grid, axes, twins)  # before anything is drawn
    return Explorer(grid, _render(draw, grid, progress), alt, at, pairs)


def player(steps: Iterable, draw: Callable, *, alt: str = "", every: int = 1, progress: bool = True) -> Explorer:
    """Scrub through the walk of a sampler: `draw(step)` for every `every`-th step, and always for the last.

    The walk begins at the left. `e.step` is the place in it; the slider reads the step's `t`.
    """
    check_whole(every=every)
    check_text(alt=alt)
    walk = list(steps)
    if not walk:
        raise ValueError("there are no steps to play; was the generator already used up?")
    kept = walk[::every] if (len(walk) - 1) % every == 0 else [*walk[::every], walk[-1]]
    for step in kept:
        check_number(t=step.t)
    ticks = tuple(format_value(float(step.t)) for step in kept)
    axis = Axis("step", tuple(range(len(kept))), ticks, "t")
    return Explorer([axis], _render(lambda step: draw(kept[step]), [axis], progress), alt)


def _twins(grid: list[Axis], axes: Mapping, twins: Mapping | None) -> list[tuple[int, Axis]]:
    """The second sliders: the number of the axis that each belongs to, and its own values."""
    check_names(axes, twins=twins)
    found = []
    for k, axis in enumerate(grid):
        if axis.name in (twins or {}):
            twin = twins[axis.name]
            if not (isinstance(twin, tuple | list) and len(twin) == 2 and callable(twin[1])):
                raise ValueError(f"the twin of {axis.name} is {twin!r}; expected (name, function of the value)")
            label, function = twin
            found.append((k, Axis.of(label, map(function, axis.values))))
    return found


def _render(draw: Callable, grid: list[Axis], progress: bool) -> list[Frame]:
    count = math.prod(len(axis.values) for axis in grid)
    if count > MOST_FRAMES:
        sizes = " x ".join(f"{len(axis.values)} {axis.name}" for axis in grid)
        raise ValueError(f"{sizes} = {count:,} pictures, more than {MOST_FRAMES:,}: take coarser steps")
    frames, size = [], 0
    with Progress(count, "drawing", shown=progress) as bar:
        for place in itertools.product(*(axis.values for axis in grid)):
            values = dict(zip((axis.name for axis in grid), place, strict=True))
            try:
                frames.append(frame(draw(**values)))
            except Exception as error:
                error.add_note("while drawing " + ", ".join(f"{name} = {value!r}" for name, value in values.items()))
                raise
            size += len(frames[-1].webp)
            if size > MOST_BYTES:
                raise ValueError(
                    f"{len(frames)} of {count} pictures take {size / 1e6:.0f} MB already, more than the"
                    f" {MOST_BYTES / 1e6:.0f} MB that a widget may hold: take coarser steps or smaller pictures"
                )
            bar.show(len(frames))
    return frames
