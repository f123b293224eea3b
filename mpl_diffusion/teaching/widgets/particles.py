"""Thousands of points that move: the positions travel once, the browser moves them and draws their trails."""

import itertools
import re
from collections.abc import Sequence

import numpy as np
import traitlets
from PIL import Image, ImageDraw

from ...checks import check_number
from .axis import check_text, format_value
from .base import CanvasWidget, source
from .frame import as_png, as_webp, decoded

MOST_BYTES = 40_000_000
STATIC = 480  # pixels of the picture for readers without a live view
BLUE, VERMILION = "#0072B2", "#D55E00"


class Particles(CanvasWidget):
    """The widget that `particles` returns: `p.frame = 10` moves it, `p.follow = 17` marks a point and its path."""

    _esm = source("base.js", "particles.js")
    _points = traitlets.Bytes().tag(sync=True, page=True)  # (frames, points, 2) of uint16; 0 is outside the picture
    _shape = traitlets.List().tag(sync=True, page=True)  # frames, points
    _extent = traitlets.List().tag(sync=True, page=True)  # left, right, bottom, top
    _times = traitlets.List().tag(sync=True, page=True)
    _frame = traitlets.Int().tag(sync=True, page=True)
    _follow = traitlets.Int(-1).tag(sync=True, page=True)  # -1: none
    _trails = traitlets.Bool().tag(sync=True, page=True)
    _color = traitlets.Unicode().tag(sync=True, page=True)
    _alt = traitlets.Unicode().tag(sync=True, page=True)
    _backdrops = traitlets.Bytes().tag(sync=True, page=True)  # one picture for all frames, or one for each
    _ends = traitlets.List().tag(sync=True, page=True)

    def __init__(self, x, times, extent, *, trails=True, backdrops=(), alt="", color=BLUE):
        self._x, self._backdrop_images = x, backdrops
        webp = [as_webp(image) for image in backdrops]
        super().__init__(
            _title=f"particles: {alt}" if alt else "particles",
            _points=_quantised(x, extent).tobytes(),
            _shape=list(x.shape[:2]),
            _extent=list(extent),
            _times=times,
            _trails=bool(trails),
            _color=color,
            _alt=alt or "moving points",
            _backdrops=b"".join(webp),
            _ends=list(itertools.accumulate(map(len, webp))),
        )

    @property
    def frame(self) -> int:
        """The place in the walk, 0 ... frames - 1."""
        return self._frame

    @frame.setter
    def frame(self, k: int) -> None:
        self._frame = _index(k, self._shape[0], "frame")

    @property
    def follow(self) -> int | None:
        """The point whose path is drawn; None for none."""
        return None if self._follow < 0 else self._follow

    @follow.setter
    def follow(self, point: int | None) -> None:
        self._follow = -1 if point is None else _index(point, self._shape[1], "follow")

    @property
    def caption(self) -> str:
        """The line under the picture: the time, and where the followed point is."""
        time = f"t = {self._times[self.frame]}"
        if self.follow is None:
            return f"{time}: {self._shape[1]:,} points"
        x, y = (f"{value:.2f}".replace("-0.00", "0.00") for value in self._x[self.frame, self.follow])
        return f"{time}: point {self.follow} at ({x}, {y})"

    @property
    def alt(self) -> str:
        """The picture shown now, in words."""
        return f"{self._alt}, {self.caption}"

    @property
    def summary(self) -> str:
        frames, points = self._shape
        return f"{points:,} points, t = {self._times[0]} ... {self._times[-1]} ({frames})"

    @property
    def picture(self) -> bytes:
        """A plain PNG of the points as they stand now."""
        backdrops, size = self._backdrop_images, (STATIC, STATIC)
        paper = Image.new("RGB", size, "white")
        if backdrops:
            paper.paste(backdrops[self.frame if len(backdrops) > 1 else 0].convert("RGB").resize(size))
        left, right, bottom, top = self._extent
        across = (self._x - (left, bottom)) / (right - left, top - bottom) * (1, -1) + (0, 1)  # from the upper left
        counts = np.histogram2d(*across[self.frame, :, ::-1].T, bins=STATIC // 2, range=[(0, 1), (0, 1)])[0]
        ink = Image.fromarray(np.uint8(255 * (1 - 0.35**counts))).resize(size)
        paper.paste(Image.new("RGB", size, self._color), mask=ink)
        if self.follow is not None:
            path = [tuple(point) for point in STATIC * across[: self.frame + 1, self.follow]]
            (x, y), pen = path[-1], ImageDraw.Draw(paper)
            pen.line(path, VERMILION, width=3)
            pen.ellipse((x - 6, y - 6, x + 6, y + 6), VERMILION, "white", 2)
        return as_png(paper)


def particles(
    walk,
    *,
    times: Sequence[float] | None = None,
    follow: int | None = None,
    trails: bool = True,
    background=None,
    alt: str = "",
    color: str = BLUE,
    limit: float | tuple[float, float, float, float] | None = None,
) -> Particles:
    """Move points through a walk: the steps of a sampler, or positions (frames, N, 2) with their `times`.

    A click or a tap picks a point and draws its path. The picture shows [-limit, limit] in both directions, or the
    `limit` (left, right, bottom, top); without one, all but the last thousandth of the points. `background` covers
    it: an (H, W) array such as a density (row 0 is the lowest y), a PNG, or a list with one of them for each frame.
    """
    check_text(alt=alt)
    if not isinstance(color, str) or not re.fullmatch("#[0-9a-fA-F]{6}", color):
        raise ValueError(f"color = {color!r}; expected six digits as in {BLUE!r}")
    x, times = _walk(walk, times)
    extent = _extent(x, limit)
    widget = Particles(x, times, extent, trails=trails, backdrops=_backdrops(background, len(x)), alt=alt, color=color)
    widget.follow = follow
    return widget


def _walk(walk, times) -> tuple[np.ndarray, list[str]]:
    if not hasattr(walk, "__array__"):
        steps = list(walk)
        if not steps:
            raise ValueError("there are no steps to show; was the generator already used up?")
        if hasattr(steps[0], "x"):
            times = [step.t for step in steps] if times is None else times
            steps = [step.x for step in steps]
        walk = np.stack([np.asarray(x) for x in steps])
    if np.iscomplexobj(walk):
        raise ValueError("points in a plane have two real coordinates, these are complex")
    x = np.asarray(walk, dtype=np.float32)
    if x.ndim != 3 or x.shape[2] != 2 or 0 in x.shape:
        raise ValueError(f"points in a plane have the shape (frames, N, 2), these have {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"frame {int(np.argmin(np.isfinite(x).all((1, 2))))} holds NaN or infinity")
    if x.nbytes // 2 > MOST_BYTES:
        raise ValueError(f"{len(x)} frames of {x.shape[1]:,} points take {x.nbytes / 2e6:.0f} MB: keep fewer of either")
    times = range(len(x)) if times is None else list(times)
    if len(times) != len(x):
        raise ValueError(f"{len(times)} times for {len(x)} frames")
    for t in times:
        check_number(times=t)
    return x, [format_value(float(t)) for t in times]


def _extent(x: np.ndarray, limit) -> tuple[float, float, float, float]:
    if limit is None:
        limit = 1.05 * float(np.quantile(np.abs(x).max(-1), 0.999)) or 1.0
    ends = list(limit) if isinstance(limit, tuple | list) else [limit]
    for end in ends:
        check_number(limit=end)
    extent = tuple(map(float, ends if len(ends) != 1 else (-ends[0], ends[0], -ends[0], ends[0])))
    if len(extent) != 4 or extent[0] >= extent[1] or extent[2] >= extent[3]:
        raise ValueError(f"limit = {limit!r}; expected a positive number or (left, right, bottom, top)")
    return extent


def _quantised(x: np.ndarray, extent) -> np.ndarray:
    """Positions in 65,535 steps across the picture, 1 at the left and bottom; both are 0 where a point is outside."""
    left, right, bottom, top = extent
    across = (x - np.float32((left, bottom))) / np.float32((right - left, top - bottom))
    inside = ((across >= 0) & (across <= 1)).all(-1, keepdims=True)
    return np.where(inside, np.rint(1 + 65534 * across), 0).astype("<u2")


def _backdrops(background, frames: int) -> list[Image.Image]:
    """Backgrounds as pictures: the highest value of all arrays is a middle grey, zero is white."""
    if background is None:
        return []
    several = isinstance(background, list | tuple) or (hasattr(background, "__array__") and background.ndim == 3)
    backgrounds = list(background) if several else [background]
    if several and len(backgrounds) != frames:
        raise ValueError(f"{len(backgrounds)} backgrounds for {frames} frames: give one, or one for each")
    arrays = [np.asarray(one, dtype=np.float64) for one in backgrounds if hasattr(one, "__array__")]
    for array in arrays:
        if array.ndim != 2 or not array.size:
            raise ValueError(f"a background is an (H, W) array, this one has {array.shape}")
        if not np.isfinite(array).all() or array.min() < 0:
            raise ValueError("a background holds finite numbers, from 0 (white) up")
    highest = max((array.max() for array in arrays), default=1.0) or 1.0

    def image(one) -> Image.Image:
        if hasattr(one, "__array__"):
            shade = np.clip(np.asarray(one, dtype=np.float64)[::-1] / highest, 0, 1)
            return Image.fromarray(np.uint8(np.rint(255 - 105 * shade)))
        if hasattr(one, "png"):
            return decoded(one.png())
        if isinstance(one, bytes | bytearray):
            return decoded(one)
        raise ValueError(f"background = {one!r:.60}; expected an (H, W) array or a PNG, or one for each frame")

    return [image(one) for one in backgrounds]


def _index(k, count: int, name: str) -> int:
    if isinstance(k, bool) or not hasattr(k, "__index__") or not 0 <= k.__index__() < count:
        raise ValueError(f"{name} = {k!r}: it counts from 0 to {count - 1}")
    return k.__index__()
