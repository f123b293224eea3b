"""Every figure of the course is one call of a function here. The only file that imports matplotlib.

Colours have one meaning throughout (Okabe & Ito 2008, told apart by the colour-blind): DATA and signal, NOISE, LEARNED
(whatever a network predicts or generates), TRUTH (exact, dashed), MISTAKE, and the colours of COMPARED for methods,
schedules or settings that stand side by side. Lines differ in their dashes as well, so that they are told apart in
grey. A heat map is black where it is high, and says so in a bar. Type is at least 13 points at the size it is shown.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from textwrap import fill

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from PIL import Image

DATA, NOISE, LEARNED, TRUTH, MISTAKE = "#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7"
COMPARED = ("#E69F00", "#6B6B6B", "#56B4E9", "#7F4A10")  # methods, schedules, settings side by side
SECOND = COMPARED[0]  # orange: one of several things compared, neither data nor learned nor exact
DASHES = ("-", (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (9, 2)), (0, (4, 1, 1, 1, 1, 1)))  # TRUTH alone is "--"
MEANING = {  # names that have the same colour in every figure; what is TRUTH is dashed
    **dict.fromkeys(("data", "signal", "signal(t)", "photograph", "$p_t$", "x0", "unseen digits"), DATA),
    **dict.fromkeys(("noise", "noise(t)", "white noise", "pure noise", "eps"), NOISE),
    **dict.fromkeys(("learned", "cured", "$\\hat x_0$", "v", "samples", "generated", "network"), LEARNED),
    **dict.fromkeys(("best possible", "exact", "N(0, 1)"), TRUTH),
    **dict.fromkeys(("as it breaks", "blurred", "smudged copies", "50 of them, ten times"), MISTAKE),
    **dict(zip(("linear", "cosine"), COMPARED)),
}
SHADES = LinearSegmentedColormap.from_list("shades", ["white", "#777777"])  # behind paths and arrows: dark is high
STYLE = {
    "font.size": 14,
    "axes.labelsize": 14,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "lines.linewidth": 2.5,
    "image.interpolation": "none",
    "mathtext.fontset": "dejavusans",
}


class Picture:
    """A finished figure with a text that says what it shows: the alt text, and what a notebook's test compares."""

    def __init__(self, figure: Figure, alt: str, caption: str = ""):
        self.figure, self.alt, self.caption = figure, alt, caption

    def png(self, dpi: int = 90) -> bytes:
        """Drawn once, where Figure.savefig draws twice: a slider has a hundred of these."""
        self.figure.dpi = dpi
        with rc_context(STYLE):
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "PNG")
        return buffer.getvalue()

    def save(self, path, dpi: int = 180) -> None:
        with open(path, "wb") as f:
            f.write(self.png(dpi))

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"image/png": self.png(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}

    def __repr__(self) -> str:
        return self.alt


def panels(
    columns: int = 1, width: float = 9.6, height: float = 3.6, alt: str = "", widths=None
) -> tuple[Picture, list]:
    """An empty picture and its axes, left to right, for the functions below to draw on (`ax=`); inches."""
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="compressed")
        axes = figure.subplots(1, columns, squeeze=False, width_ratios=widths)[0]
    return Picture(figure, alt), list(axes)


def lines(
    x,
    series: dict,
    colors: dict | None = None,
    *,
    xlabel: str = "t  (step)",
    ylabel: str = "",
    logx: bool = False,
    logy: bool = False,
    ylim=None,
    marks: dict | None = None,
    std: dict | None = None,
    alt: str = "",
    ax=None,
) -> Picture | None:
    """Curves over a common x, each named at its right end in its own colour; `marks`: name -> (x, y) of a dot.

    `std`: name -> one std per point, drawn as a band of one std to either side. Colours come from `colors`
    (name -> colour), or from MEANING, or in turn from COMPARED; each line has dashes of its own.
    """
    picture, ax = _one(ax, alt or f"{', '.join(series)} against {xlabel}", 8.4, 4.0)
    with rc_context(STYLE):
        known = MEANING | (colors or {})
        taken = {known[name] for name in series if known.get(name)}
        cycle = itertools.cycle([color for color in COMPARED if color not in taken] or COMPARED)
        dashes = itertools.cycle(DASHES)
        x, ends = np.asarray(x), []
        for name, y in series.items():
            y, color = np.asarray(y, dtype=float), known.get(name) or next(cycle)
            truth = color == TRUTH
            ax.plot(x, y, color=color, linestyle="--" if truth else next(dashes), zorder=3 if truth else 2)
            if name in (std or {}):
                error = np.asarray(std[name], dtype=float)
                ax.fill_between(x, y - error, y + error, color=color, alpha=0.15, linewidth=0)
            seen = np.flatnonzero(np.isfinite(y) & (y > 0 if logy else True))
            if len(seen):
                ends.append([name, color, x[seen[-1]], y[seen[-1]]])
        ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log" if logx else "linear", yscale="log" if logy else "linear")
        if ylim:
            ax.set_ylim(*ylim)
        _label_decades(ax)
        for name, (px, py) in (marks or {}).items():
            ax.plot([px], [py], "o", color="black", markersize=8)
            ax.annotate(name, (px, py), (9, 7), textcoords="offset points", fontsize=13)
        if len(ends) > 1:
            _name_ends(ax, ends)
    return picture


def points(
    clouds: dict, *, color=DATA, limit: float = 2.6, size: float = 2, alt: str = "", axes=None
) -> Picture | None:
    """Clouds of points (n, 2) side by side, each under its name; those without a MEANING in `color`."""
    if not clouds:
        raise ValueError("points needs at least one cloud: {name: points of shape (n, 2)}")
    picture, axes = _row(axes, len(clouds), alt or f"points in the plane: {', '.join(clouds)}")
    with rc_context(STYLE):
        for ax, (name, x) in zip(axes, clouds.items()):
            ax.scatter(*_np(x).T, s=size, color=MEANING.get(name, color), alpha=0.6, linewidths=0)
            _square(ax, limit, name)
    return picture


def images(
    rows: Sequence,
    names: Sequence[str] = (),
    *,
    columns: Sequence[str] = (),
    scale=(-1, 1),
    bar: str = "",
    alt: str = "",
    ax=None,
):
    """Rows of images, each (n, 1, H, W), (n, 3, H, W) or (n, H, W), in [-1, 1]; named at the left and above.

    `bar`: what the greys mean, beside a bar that runs from black, scale[0], to white, scale[1].
    """
    rows = [_stack(r) for r in rows]
    if not rows:
        raise ValueError("images needs at least one row of images")
    sizes = {row.shape[1:] for row in rows}
    if len(sizes) > 1:
        raise ValueError(f"images of one sheet have one size and one kind, these have {sorted(sizes, key=str)}")
    sheet, H, W = _sheet(rows, scale)
    margin = 1.6 if len(names) else 0.2
    width = min(9.6 - margin, 2.3 * sheet.shape[1] / W)
    columns = [fill(str(name), max(5, int(9.5 * width * W / sheet.shape[1]))) for name in columns]
    above = max((0.25 + 0.25 * len(name.splitlines()) for name in columns), default=0.1)
    height = width * sheet.shape[0] / sheet.shape[1] + above
    picture, ax = _one(ax, alt or f"images: {', '.join(names) or len(rows[0])}", width + margin, height)
    with rc_context(STYLE):
        shown = ax.imshow(sheet, cmap="gray", vmin=0, vmax=1)
        if bar:
            values = (scale[0], (scale[0] + scale[1]) / 2, scale[1])
            labels = [f"{value:g}".replace("-", "\u2212") for value in values]
            _bar(shown, ax, bar, ticks=(0, 0.5, 1)).set_ticklabels(labels)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if len(names):
            ax.set_yticks([(H + 2) * i + (H - 1) / 2 for i in range(len(rows))], names, fontsize=14)
        if len(columns):
            ax.xaxis.tick_top()
            ax.set_xticks([(W + 2) * i + (W - 1) / 2 for i in range(len(columns))], columns, fontsize=14)
        ax.tick_params(length=0)
    return picture


def density_paths(
    times, grid, density, paths=(), *, xlabel: str = "t  (step)", alt: str = "", color=NOISE, ax=None
) -> Picture | None:
    """A 1-D distribution over time: density (len(times), len(grid)) as shades, with sample paths on top.

    Each time is shaded on its own scale, relative to its highest density.
    """
    picture, ax = _one(ax, alt or "heat map of the density over time, with sample paths", 9.6, 4.2)
    with rc_context(STYLE):
        shade = np.asarray(density) / np.asarray(density).max(1, keepdims=True)  # each time on its own scale
        mesh = ax.pcolormesh(np.asarray(times), np.asarray(grid), shade.T, cmap=SHADES, vmin=0, vmax=1, rasterized=True)
        _bar(mesh, ax, "density / its maximum", ticks=(0, 0.5, 1))
        for path in paths:
            ax.plot(np.asarray(times), np.asarray(path), color=color, linewidth=1.3, alpha=0.85)
        ax.set(xlabel=xlabel, ylabel="$x_t$", ylim=(float(min(grid)), float(max(grid))))
    return picture


def arrows(
    x_t, x0_hat, behind=None, *, density=None, limit: float = 2.6, name: str = "learned", alt: str = "", ax=None
):
    """Arrows from noisy points x_t to where the denoiser sees the data, x0_hat; the data faintly behind them.

    behind: points (n, 2), or classes: name -> points, each in a colour and with a marker of its own, named above.
    density: an (H, W) array over the whole square, row 0 the lowest, as shades. The arrows' colour is the MEANING of
    their name.
    """
    picture, ax = _one(ax, alt or "arrows from noisy points to the predicted clean points", 5.4, 5.4)
    with rc_context(STYLE):
        if density is not None:
            sides = (-limit, limit, -limit, limit)
            ax.imshow(density, origin="lower", extent=sides, cmap=SHADES, vmin=0, vmax=float(density.max()))
        if isinstance(behind, dict):
            for cloud, color, marker in zip(behind, (DATA, *COMPARED), "o^sDv"):
                ax.scatter(*_np(behind[cloud]).T, s=9, color=color, marker=marker, alpha=0.4, linewidths=0, label=cloud)
            key = dict(loc="upper left", ncols=len(behind), fontsize=13, frameon=False)
            legend = ax.legend(handletextpad=0, columnspacing=0.6, borderpad=0, markerscale=2, **key)
            for handle in legend.legend_handles:
                handle.set_alpha(1)
        elif behind is not None:
            ax.scatter(*_np(behind).T, s=2, color=DATA, alpha=0.25, linewidths=0)
        a, b = _np(x_t), _np(x0_hat)
        color = MEANING.get(name, LEARNED)
        ax.quiver(*a.T, *(b - a).T, color=color, angles="xy", scale_units="xy", scale=1, width=0.004)
        ax.scatter(*a.T, s=9, color=NOISE, linewidths=0)
        _square(ax, limit, name)
    return picture


def bars(
    values: dict,
    colors: dict | None = None,
    *,
    xlabel: str = "",
    floor: float | None = None,
    logx: bool = False,
    alt: str = "",
    ax=None,
) -> Picture | None:
    """Named horizontal bars, orange where a name has no MEANING; a dashed line marks the floor, the best possible."""
    picture, ax = _one(ax, alt or f"bars: {', '.join(values)}", 8.4, 0.9 + 0.5 * len(values))
    with rc_context(STYLE):
        names = list(values)[::-1]
        shades = [(MEANING | (colors or {})).get(name, SECOND) for name in names]
        ax.barh(names, [values[name] for name in names], color=shades, height=0.65)
        if floor is not None:
            ax.axvline(floor, color=TRUTH, linestyle="--")
        ax.set(xlabel=xlabel, xscale="log" if logx else "linear")
        _label_decades(ax)
        ax.tick_params(axis="y", length=0)
    return picture


def heat(
    values,
    *,
    x=None,
    y=None,
    xlabel="",
    ylabel="",
    name: str = "",
    scale=(None, None),
    bar: str | None = "",
    alt: str = "",
    ax=None,
) -> Picture | None:
    """A table (rows, columns) as shades with a bar beside it, row 0 lowest: black is high.

    White to black goes over `scale`, or over all numbers of the table. `bar` is the bar's label; with None it is left
    out, where maps of one scale stand side by side and the last has it.
    """
    picture, ax = _one(ax, alt or f"heat map of {ylabel} by {xlabel}", 8.4, 4.0)
    values = np.asarray(values)
    with rc_context(STYLE):
        x, y = (np.arange(n) if v is None else np.asarray(v) for v, n in ((x, values.shape[1]), (y, values.shape[0])))
        mesh = ax.pcolormesh(x, y, values, cmap="Greys", vmin=scale[0], vmax=scale[1], rasterized=True)
        if bar is not None:
            _bar(mesh, ax, bar)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.set_title(name, fontsize=14)
    return picture


def unet(shapes: dict, attention: Sequence[str] = (), image=(1, 28, 28), *, alt: str = "") -> Picture:
    """The lecture's U with a network's own numbers: `shapes` name -> (c, H, W), from encoder to decoder.

    The names of `shapes` begin with down, middle or up; blocks named in `attention` look across the whole picture.
    """
    downs, ups = ([name for name in shapes if name.startswith(kind)] for kind in ("down", "up"))
    (middle,) = (name for name in shapes if name.startswith("middle"))
    place = {name: (2.0 + 0.35 * i, 3.95 - 1.35 * i) for i, name in enumerate(downs)}
    place |= {name: (10 - place[down][0], place[down][1]) for name, down in zip(reversed(ups), downs)}
    place[middle] = (5.0, place[downs[-1]][1] - 1.35)
    picture, (ax,) = panels(1, 9.6, 4.3 + 1.2 * len(downs) - 1.0, alt or f"a U-Net: {', '.join(shapes)}")
    pixels = "\u00d7".join(map(str, (*image[1:], image[0])))
    with rc_context(STYLE):
        ax.set(xlim=(0, 10), ylim=(place[middle][1] - 0.5, 6.2), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)

        def box(x, y, text, color, width=2.5):
            ax.text(x, y, text, ha="center", va="center", fontsize=13, color=color, linespacing=1.35)
            edge = (x - width / 2, y - 0.42), width, 0.84
            ax.add_patch(FancyBboxPatch(*edge, boxstyle="round,pad=0,rounding_size=0.08", fill=False, ec=color, lw=2))

        def arrow(start, end, color="black", **style):
            ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.8} | style)

        for name, (x, y) in place.items():
            c, h, w = shapes[name]
            what = "ResBlock, attention" if name in attention else "ResBlock"
            box(x, y, f"{h}\u00d7{w}\u00d7{c}\n{what}", LEARNED)
            side = 0 if name == middle else np.sign(5 - x) * 1.25
            arrow((5 + 0.35 * np.sign(x - 5), 5.3), (x + side, y + (0.42 if name == middle else 0.3)), NOISE, lw=1.2)
        for down, up in zip(downs, reversed(ups)):
            (a, y), (b, _) = place[down], place[up]
            arrow((a + 1.25, y - 0.2), (b - 1.25, y - 0.2), DATA, linestyle="--")
            ax.text(4.5, y - 0.27, "skip", color=DATA, fontsize=13, ha="center", va="top")
        for one, two in zip([*downs, middle, *ups], [*downs[1:], middle, *ups]):
            (a, y), (b, z) = place[one], place[two]
            along = 1.0 * np.sign(b - a) if middle in (one, two) else 0
            start, end = ((a, y - 0.42), (b - along, z + 0.42)) if z < y else ((a + along, y + 0.42), (b, z - 0.42))
            arrow(start, end)
        for x, y, text, color in (
            (place[downs[0]][0], 5.72, f"noisy image $x_t$\n{pixels}", DATA),
            (place[ups[-1]][0], 5.72, f"prediction\n{pixels}", LEARNED),
            (5, 5.72, "time $t$\ncos, sin, MLP", NOISE),
        ):
            box(x, y, text, color)
        top = place[downs[0]][1]
        arrow((place[downs[0]][0], 5.3), (place[downs[0]][0], top + 0.42))
        arrow((place[ups[-1]][0], top + 0.42), (place[ups[-1]][0], 5.3))
        fold = image[1] // shapes[downs[0]][1]
        first, last = (f"fold {fold}\u00d7{fold}, conv", "conv, unfold") if fold > 1 else ("conv", "conv")
        for x, y, text, where in (
            (place[downs[0]][0] + 0.1, 4.83, first, "left"),
            (place[ups[-1]][0] - 0.1, 4.83, last, "right"),
            (1.05, place[middle][1] - 0.1, "encoder", "center"),
            (8.95, place[middle][1] - 0.1, "decoder", "center"),
            (6.4, place[middle][1] - 0.1, "bottleneck", "left"),
        ):
            ax.text(x, y, text, ha=where, va="center", fontsize=13)
    return picture


def pipeline(stations: dict, arrows: Sequence[str], above: dict | None = None, *, alt: str = "") -> Picture:
    """Pictures in a row and named arrows between them: the way of data through a model.

    `stations`: name -> picture (C, H, W) in [-1, 1], or (H, W); `arrows`: a name for each arrow from one to the next;
    `above`: number of an arrow, 0 the first -> what comes in from above.
    """
    if len(arrows) != len(stations) - 1:
        raise ValueError(f"{len(stations)} stations have {len(stations) - 1} arrows between them, not {len(arrows)}")
    side, gap = 1.15, 0.96  # inches
    width = len(stations) * side + len(arrows) * gap
    picture, (ax,) = panels(1, width, 2.7, alt or " -> ".join(stations))
    with rc_context(STYLE):
        ax.set(xlim=(0, width), ylim=(-0.75, 1.95), xticks=[], yticks=[], aspect="equal")
        ax.spines[:].set_visible(False)
        for k, (name, image) in enumerate(stations.items()):
            left = k * (side + gap)
            shown = (_stack(image[None])[0].clip(-1, 1) + 1) / 2
            ax.imshow(shown, cmap="gray", vmin=0, vmax=1, extent=(left, left + side, 0, side))
            ax.text(left + side / 2, -0.08, name, ha="center", va="top", fontsize=13, linespacing=1.3)
        style = {"arrowstyle": "-|>", "color": "black", "lw": 1.8}
        for k, name in enumerate(arrows):
            left, middle = k * (side + gap) + side, (k + 1) * (side + gap) - gap / 2
            ax.annotate("", (left + gap - 0.05, side / 2), (left + 0.05, side / 2), arrowprops=style)
            ax.text(middle, side / 2 - 0.1, name, ha="center", va="top", fontsize=13, linespacing=1.2)
            if words := (above or {}).get(k):
                ax.annotate("", (middle, side / 2 + 0.05), (middle, 1.45), arrowprops=style | {"color": DATA})
                ax.text(middle, 1.5, words, ha="center", va="bottom", fontsize=13, color=DATA)
    return picture


def _one(ax, alt: str, width: float, height: float):
    if ax is not None:
        return None, ax
    picture, (ax,) = panels(1, width, height, alt)
    return picture, ax


def _row(axes, n: int, alt: str):
    if axes is not None:
        return None, axes
    each = min(2.6, 9.6 / n)
    return panels(n, max(each * n, 3.4), each + 0.45, alt)


def _label_decades(ax) -> None:
    """A log axis of up to three decades reads 1, 2, 5, 10, 20, ... in plain numbers, not its powers of ten alone."""
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() == "log" and high <= 1000 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())


def _bar(mesh, ax, label: str = "", ticks=None):
    """The scale of a heat map, at its right."""
    bar = ax.figure.colorbar(mesh, ax=ax, label=label, ticks=ticks, fraction=0.06, pad=0.02)
    bar.outline.set_edgecolor("#bbbbbb")
    if ticks is None:
        bar.ax.locator_params(nbins=5)
    return bar


def _square(ax, limit: float, name: str) -> None:
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color("#bbbbbb")
    ax.set_title(name, fontsize=14)


def _name_ends(ax, ends: Iterable) -> None:
    """Names at the right ends of lines, pushed apart until none overlaps another."""
    ax.get_xlim(), ax.get_ylim()  # brings the limits up to date, and the transforms with them
    to_axes = ax.transData - ax.transAxes
    gap = 16 / 72 / (0.78 * ax.figure.get_figheight())  # one line of type, as a share of the axes' height
    placed = [[to_axes.transform((x, y))[1], name, color] for name, color, x, y in ends]
    placed.sort(key=lambda p: p[0])
    for below, above in zip(placed, placed[1:]):
        above[0] = max(above[0], below[0] + gap)
    over = max(0.0, placed[-1][0] - 1.0)
    for height, name, color in placed:
        ax.text(1.015, height - over, name, color=_ink(color), transform=ax.transAxes, va="center", fontsize=14)


def _ink(color: str) -> tuple[float, float, float]:
    """The colour for words: light colours are darkened until they stand out from white paper."""
    rgb = np.array(to_rgb(color))
    while (1.05 / (0.05 + (0.2126, 0.7152, 0.0722) @ rgb**2.2)) < 4.5:
        rgb = 0.95 * rgb
    return tuple(rgb.tolist())


def _np(x) -> np.ndarray:
    x = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"points have shape {x.shape}; expected (n, 2)")
    return x


def _stack(images) -> np.ndarray:
    x = images.detach().cpu().float().numpy() if isinstance(images, torch.Tensor) else np.asarray(images, dtype=float)
    given = tuple(x.shape)
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
        x = x[..., 0] if x.shape[-1] == 1 else x
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[-1] != 3):
        raise ValueError(f"images have shape {given}; expected (n, H, W), (n, 1, H, W) or (n, 3, H, W)")
    if x.size == 0:
        raise ValueError(f"images have shape {given}: there is no image in it")
    return x


def _sheet(rows: list[np.ndarray], scale) -> tuple[np.ndarray, int, int]:
    """All rows on one sheet, with a white gap of two pixels."""
    low, high = scale
    H, W = rows[0].shape[1:3]
    sheet = np.ones(((H + 2) * len(rows) - 2, (W + 2) * max(len(r) for r in rows) - 2, *rows[0].shape[3:]))
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            sheet[(H + 2) * i : (H + 2) * i + H, (W + 2) * j : (W + 2) * j + W] = (image - low) / (high - low)
    return sheet.clip(0, 1), H, W
