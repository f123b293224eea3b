"""A training run while it happens: how far, how long still, and the loss falling towards its floor."""

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from ...checks import check_number, check_whole
from .progress import TYPE, Panel, bar, in_notebook

BINS = 256  # a run of any length is remembered as at most so many means
SHARE = 100  # an update that took 1 ms is followed by at least 100 ms without one: less than 1 % of the run


def watch(
    progress: Iterable,
    total: int,
    *,
    every: float = 0.25,
    label: str = "loss",
    floor: float | None = None,
    floor_label: str = "best possible",
    batch: int | None = None,
    past: Sequence[float] | None = None,
) -> Iterator:
    """Pass a run's `Progress(step, loss)` through unchanged, and show its loss on the way.

    `losses = [p.loss for p in watch(trainer.run(batches, steps=2000), 2000, floor=0.2365)]`

    Redrawn at most every `every` seconds. `floor` is a loss that no model can beat, drawn dashed; with the size of a
    `batch` the images per second stand beside the loss. `past`: the losses of the steps 1, 2, ... that were made
    before (`trainer.losses`), so that a run which goes on shows its whole curve.

    In a notebook the stop button ends the cell, and those that wait behind it, with one printed line (`Stopped`).
    """
    check_whole(total=total)
    check_number(0, every=every)
    if floor is not None:
        check_number(floor=floor)
    if batch is not None:
        check_whole(batch=batch)
    if in_notebook():
        return _panel(progress, Curve(total, label, floor, floor_label, batch), every, past)
    return _terminal(progress, total, label, every, batch)


class Stopped(KeyboardInterrupt):
    """The reader pressed stop while a run was watched: the step it stands at, and how it goes on."""


def _panel(progress: Iterable, curve: "Curve", every: float, past: Sequence[float] | None) -> Iterator:
    panel = Panel(f"{curve.label} over {curve.total:,} steps")
    due = 0.0
    curve.recall(past or ())
    try:
        for item in progress:
            curve.add(item)
            if (now := time.perf_counter()) >= due:
                panel.show(curve.html())
                due = time.perf_counter() + max(every, SHARE * (time.perf_counter() - now))
            yield item
    except KeyboardInterrupt:
        _print_only_the_line()
        how = "" if past is None else " Run this cell again, and it goes on from there."
        raise Stopped(f"Stopped after step {curve.step:,} of {curve.total:,}.{how}") from None
    finally:
        if curve.bins:
            panel.show(curve.html())


def _print_only_the_line() -> None:
    """A notebook shows a `Stopped` as a printed line, where other exceptions have a traceback."""
    shell = sys.modules["IPython"].get_ipython()
    shell.set_custom_exc((Stopped,), lambda shell, kind, stopped, trace, tb_offset=None: print(stopped))


def _terminal(progress: Iterable, total: int, label: str, every: float, batch: int | None) -> Iterator:
    from tqdm import tqdm

    due = 0.0
    began = time.perf_counter()
    with tqdm(total=total, disable=None) as line:  # None: silent where no one looks
        for done, item in enumerate(progress, 1):
            step = getattr(item, "step", done)
            if done == 1:
                line.initial = line.n = line.last_print_n = step - 1  # a run that was resumed does not begin at 1
            if (now := time.perf_counter()) >= due or step == total:
                due = now + every
                line.set_postfix_str(f"{label} {float(item.loss):.4g}{_rate(batch, done, now - began)}", refresh=False)
                line.update(step - line.n)
            yield item


def _rate(batch: int | None, steps: int, seconds: float) -> str:
    return f", {batch * steps / max(seconds, 1e-9):,.0f} images/s" if batch else ""


class Curve:
    """Means of the loss over equal stretches; when there are too many, neighbours are joined."""

    def __init__(
        self,
        total: int,
        label: str = "loss",
        floor: float | None = None,
        floor_label: str = "",
        batch: int | None = None,
    ):
        self.total, self.label, self.floor, self.floor_label, self.batch = total, label, floor, floor_label, batch
        self.bins: list[list] = []  # [last step, sum, count]
        self.width = 1
        self.seen = 0
        self.before = 0
        self.began = time.perf_counter()

    @property
    def step(self) -> int:
        """The last step there is."""
        return self.bins[-1][0] if self.bins else 0

    def recall(self, losses: Iterable[float]) -> None:
        """The losses of the steps 1, 2, ... of an earlier run, which took none of this one's time."""
        for step, loss in enumerate(losses, 1):
            self._put(step, loss)
        self.before = self.step

    def add(self, item) -> None:
        self.seen += 1
        step = getattr(item, "step", self.before + self.seen)
        if self.seen == 1:
            self.before = step - 1  # a run that was resumed does not begin at 1
        self._put(step, item.loss)

    def _put(self, step: int, loss: float) -> None:
        if self.bins and self.bins[-1][2] < self.width:
            last = self.bins[-1]
            last[0], last[1], last[2] = step, last[1] + loss, last[2] + 1
            return
        if len(self.bins) == BINS:
            pairs = zip(self.bins[::2], self.bins[1::2], strict=True)
            self.bins = [[b[0], a[1] + b[1], a[2] + b[2]] for a, b in pairs]
            self.width *= 2
        self.bins.append([step, loss, 1])

    def points(self) -> list[tuple[int, float]]:
        """(step, mean loss) of every stretch; those that are not finite are left out."""
        means = ((step, float(total) / count) for step, total, count in self.bins)
        return [(step, mean) for step, mean in means if math.isfinite(mean)]

    def html(self) -> str:
        """The bar and the curve. Labels are HTML text of a fixed size, the curve is an SVG as wide as the cell."""
        seconds = time.perf_counter() - self.began
        points = self.points()
        value = f"{points[-1][1]:.4g}" if points else "not finite"
        after = f", {self.label} {value}{_rate(self.batch, self.step - self.before, seconds)}"
        head = bar(self.step, max(self.total, self.step), seconds, "step", after, self.before)
        return f'<div class="mpld-watch">{head}{self._plot(points, self.total)}</div>' if points else head

    def _plot(self, points: list[tuple[int, float]], right: int) -> str:
        losses = [loss for _, loss in points] + ([self.floor] if self.floor is not None else [])
        low, high, log = _range(min(losses), max(losses))

        def from_top(loss: float) -> float:
            share = math.log(high / loss) / math.log(high / low) if log else (high - loss) / (high - low)
            return 100 * share

        path = " ".join(f"{100 * step / max(right, points[-1][0]):.2f},{from_top(loss):.2f}" for step, loss in points)
        stroke = 'fill="none" vector-effect="non-scaling-stroke"'
        lines, labels = f'<polyline points="{path}" stroke="#009E73" stroke-width="3" {stroke}/>', ""
        if self.floor is not None:
            y = from_top(self.floor)
            dashes = 'stroke="currentColor" stroke-width="2" stroke-dasharray="8 6"'
            lines += f'<path d="M0 {y:.2f}H100" {dashes} {stroke}/>'
            labels = _label(y, f"{self.floor_label} {self.floor:.4g}", "right: 4px; margin-top: 3px")
        for loss in _ticks(low, high, log):
            labels += _label(from_top(loss), f"{loss:g} –", "right: 100%; transform: translateY(-50%)")
        style = f"{TYPE} max-width: max(640px, 45vw); margin: 0 12px 0 4.5em;"
        return (
            f'<div style="{style} margin-top: 14px; position: relative; height: max(220px, 32vh);'
            ' border: solid currentColor; border-width: 0 0 1px 1px">'
            '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%" role="img"'
            f' aria-label="{self.label}: {points[0][1]:.3g} at first, {points[-1][1]:.3g} at step {points[-1][0]}"'
            f' style="overflow: visible; display: block">{lines}</svg>{labels}</div>'
            f'<div style="{style} display: flex; justify-content: space-between">'
            f"<span>0</span><span>step{', loss on a log scale' if log else ''}</span><span>{right:,}</span></div>"
        )


def _range(low: float, high: float) -> tuple[float, float, bool]:
    """Lowest and highest value of the axis, with room for the label of the floor; logarithmic if the loss falls far."""
    if low > 0 and high > 8 * low:
        return low / (high / low) ** 0.15, high, True
    spread = high - low or abs(high) or 1.0
    return low - 0.18 * spread, high + 0.04 * spread, False


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """A few round numbers between the two."""
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        some = [m * 10.0**d for d in decades for m in ((1,) if len(decades) > 4 else (1, 2, 5))]
    else:
        power = 10.0 ** math.floor(math.log10((high - low) / 3))
        step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= 5)
        some = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [tick for tick in some if low <= tick <= high]


def _label(top: float, text: str, style: str) -> str:
    return f'<span style="position: absolute; top: {top:.2f}%; white-space: nowrap; {style}">{text}</span>'
