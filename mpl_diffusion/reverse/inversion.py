"""DDIM inversion, from an image to its code x_T, and spherical interpolation between two codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..checks import check_finite_tensor, check_floats
from ..forward.process import Process
from .heun import rotate
from .walk import Denoise, Step, walk_times


def invert(
    denoiser: Denoise,
    process: Process,
    x0: Tensor,
    steps: int | Sequence = 50,
    order: int = 2,
    cond: Tensor | None = None,
) -> Iterator[Step]:
    """From data to their code x_T: the steps of `ddim` (order 1) or of `ddim_heun` (order 2), taken upwards.

    `ddim`, or `ddim_heun`, leads back from the code to the data, up to the error of the steps. steps: how many, or
    the falling times of the way back. At t = 0 there is no noise to ask for: the first step asks where it arrives.
    """
    if order not in (1, 2):
        raise ValueError(f"order = {order!r}; expected 1 (DDIM, one call a step) or 2 (Heun, two)")
    return rotate(denoiser, process, x0, walk_times(process, steps).flip(0), order, cond)


def slerp(x: Tensor, y: Tensor, weight: float | Tensor) -> Tensor:
    """From x (weight 0) to y (weight 1) on the arc between them, each row on its own; weight is one, or (B,).

        sin((1 - w) theta)/sin(theta) x + sin(w theta)/sin(theta) y,     cos(theta) = <x, y> / |x| |y|

    (Shoemake 1985; J. Song et al. 2020, eq. 67). Two noises stay a noise on the way; on the straight line between them
    the length falls to 0.7 of it. Rows that point the same way, or opposite ways, have no arc: they go straight.
    """
    if x.shape != y.shape or not x.ndim:
        raise ValueError(f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}; expected the same, (B, ...)")
    check_floats(finite=True, x=x, y=y)
    w = torch.as_tensor(weight, dtype=x.dtype, device=x.device)
    if w.shape not in ((), x.shape[:1]):
        raise ValueError(f"weight has shape {tuple(w.shape)}; expected one number, or one per row: ({len(x)},)")
    check_finite_tensor(weight=w)
    w = w.reshape(-1, *[1] * (x.ndim - 1))
    a, b = x.flatten(1).double(), y.flatten(1).double()
    cos = torch.linalg.vecdot(a, b) / (a.norm(dim=1) * b.norm(dim=1))
    theta = cos.arccos().reshape(-1, *[1] * (x.ndim - 1))
    bent = theta.sin() > 1e-6  # also false for NaN: a row of zeros, or a cosine that rounding took past 1
    on_x = torch.where(bent, ((1 - w) * theta).sin() / theta.sin(), 1 - w)
    on_y = torch.where(bent, (w * theta).sin() / theta.sin(), w)
    return on_x.to(x) * x + on_y.to(x) * y
