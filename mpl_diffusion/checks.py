"""Checks of arguments: each is one line where it is used, and says what was given, what is expected, and the cure.

All raise a ValueError. Values are given by name, `check_whole(steps=steps)`, so that the message can name them.
"""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor

SCREEN = 16.0  # no model overshoots [-1, 1] so far; bytes do
MOST_THREADS = 1024


def is_integer(n) -> bool:
    """A whole number, of Python or NumPy, and not a truth value."""
    return isinstance(n, Integral) and not isinstance(n, bool)


def check_whole(low: int = 1, high: int | None = None, **given) -> None:
    """Whole numbers from `low` on, and up to `high` if there is one."""
    for name, value in given.items():
        if not is_integer(value) or value < low or (high is not None and value > high):
            span = f"at least {low}" if high is None else f"from {low} to {high}"
            raise ValueError(f"{name} = {value!r}; expected a whole number, {span}")


def check_number(
    low: float = -math.inf, high: float = math.inf, *, above: float | None = None, cure: str = "", **given
) -> None:
    """Finite numbers with low <= number <= high, and number > above if that is given."""
    for name, value in given.items():
        try:
            number = math.nan if isinstance(value, str | bytes | bool) else float(value)
        except (TypeError, ValueError, RuntimeError):
            number = math.nan
        if not math.isfinite(number) or not low <= number <= high or (above is not None and number <= above):
            limits = [f"above {above:g}"] if above is not None else [f"at least {low:g}"] if low > -math.inf else []
            limits += [f"at most {high:g}"] if high < math.inf else []
            span = f", {' and '.join(limits)}" if limits else ""
            raise ValueError(f"{name} = {value!r}; expected a finite number{span}{cure and f' ({cure})'}")


def same_shape(**tensors: Tensor) -> None:
    """A ValueError that names both shapes, before broadcasting makes a silent mistake of them."""
    (first, a), *others = tensors.items()
    for name, b in others:
        if a.shape != b.shape:
            raise ValueError(f"{first} has shape {tuple(a.shape)} and {name} {tuple(b.shape)}; expected the same shape")


def check_finite_tensor(**tensors: Tensor) -> None:
    """No NaN and no infinity; a tensor on the meta device has no numbers, and passes."""
    for name, x in tensors.items():
        if x.device.type != "meta" and not torch.isfinite(x).all():
            bad = int((~torch.isfinite(x)).sum())
            raise ValueError(f"{name} holds NaN or infinity: {bad} of {x.numel()} numbers; expected finite numbers")


def check_floats(*, finite: bool = False, **tensors: Tensor) -> None:
    """Real floats, and, if so wished, no NaN and no infinity."""
    for name, x in tensors.items():
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise ValueError(f"{name} is {kind}; expected a tensor of floats")
        if finite:
            check_finite_tensor(**{name: x})


def check_pictures(**tensors: Tensor) -> None:
    """At least one picture, floats in [-1, 1]; a model's may overshoot, but not as far as bytes do."""
    cure = "expected floats in [-1, 1]; of bytes 0 ... 255 take `images / 127.5 - 1`"
    for name, x in tensors.items():
        if not len(x):
            raise ValueError(f"{name} has shape {tuple(x.shape)}; expected at least one picture")
        if not x.is_floating_point():
            raise ValueError(f"{name} is {x.dtype}; {cure}")
        low, high = (float(end) for end in x.aminmax())
        if not (-SCREEN <= low and high <= SCREEN):  # also for NaN
            raise ValueError(f"{name} runs from {low:g} to {high:g}; {cure}")


def check_rows(x: Tensor, t: Tensor, cond: Tensor | None = None) -> None:
    """What a network is given with x (B, ...): one time for each row, and ids (B, L) or none."""
    if t.shape != x.shape[:1]:
        raise ValueError(
            f"t has shape {tuple(t.shape)}; expected one time per row of x, ({len(x)},): `t.expand(len(x))`"
        )
    if cond is not None and (cond.ndim != 2 or len(cond) != len(x) or cond.is_floating_point()):
        raise ValueError(f"cond has shape {tuple(cond.shape)}, {cond.dtype}; expected whole ids, ({len(x)}, L)")
