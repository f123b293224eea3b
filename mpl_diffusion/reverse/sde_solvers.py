"""Walks that add fresh noise at every step: the reverse SDE, and Langevin dynamics.

    reverse SDE    dx = [f x - g^2 score] dt + g dw        (Anderson 1982; Song et al. 2021, eq. 6)

It runs from t = 1 down, with score = -eps / noise(t), and has the distribution p_t of the noisy data at every t.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..checks import check_whole, is_integer
from ..forward.process import Process
from ..forward.sde import SDE, solver_times
from .walk import Denoise, Step, affine_walk, walk_times


def euler_maruyama(
    denoiser: Denoise,
    sde: SDE,
    x: Tensor,
    steps: int | Sequence = 500,
    churn: float = 1.0,
    cond: Tensor | None = None,
    noise=None,
) -> Iterator[Step]:
    """The reverse SDE in equal steps dt < 0, and the whole family between it and the ODE:

        x' = x + [f x - (1 + churn^2)/2 g^2 score] dt + churn g sqrt(|dt|) z

    As dt -> 0 every churn gives x_t the same distribution: 0 is the ODE (Euler's method), 1 the reverse SDE, and
    more is more noise with more score to match (Zhang & Chen 2023). steps: how many from t = 1 to t_min, or the falling
    times themselves. The last step adds noise like all others: what arrives is a sample of p_{t_min}. noise: see
    `noise_source`.
    """
    if not 0 <= churn < float("inf"):
        raise ValueError(f"churn = {churn!r}; expected a number from 0 (ODE); 1 is the reverse SDE")
    times = solver_times(sde, steps)
    dt = times.diff()
    if dt[0] > 0:
        raise ValueError("the times rise; a reverse SDE runs from noise to data")
    t = times[:-1]
    f, g2, a, s = sde.f(t), sde.g2(t), sde.signal(t), sde.noise(t)
    on_x, on_eps, sigma = 1 + f * dt, (1 + churn**2) / 2 * g2 / s * dt, churn * (g2 * -dt).sqrt()
    return affine_walk(denoiser, x, t, times[1:], (a, s), on_x, on_eps, sigma, cond, noise)


def langevin(
    denoiser: Denoise,
    process: Process,
    x: Tensor,
    levels: int | Sequence = 10,
    repeats: int = 100,
    size: float = 0.1,
    cond: Tensor | None = None,
    noise=None,
) -> Iterator[Step]:
    """Annealed Langevin dynamics (Y. Song & Ermon 2019, algorithm 1): at each noise level t, `repeats` times

        x <- x + step/2 score_t(x) + sqrt(step) z,      step = size noise(t)^2

    levels: how many, or their times; a single time is plain Langevin dynamics in the landscape p_t, which does not
    leave a mode for a far one. A level without noise, or without signal, is left out: there is nothing to climb. It
    settles in p_t, but for a factor of at most 1 / (1 - size/4) on a variance.
    """
    check_whole(repeats=repeats)
    if not 0 < size < 4:
        raise ValueError(f"size = {size!r}; expected 0 < size < 4")
    t = _levels(process, levels).repeat_interleave(repeats)
    a, s = process.signal(t).double(), process.noise(t).double()
    return affine_walk(denoiser, x, t, t, (a, s), torch.ones_like(s), -0.5 * size * s, size**0.5 * s, cond, noise)


def _levels(process: Process, levels) -> Tensor:
    if is_integer(levels) or torch.as_tensor(levels).numel() > 1:
        t = walk_times(process, levels)
    else:
        t = torch.as_tensor(levels, dtype=torch.float64 if isinstance(process, SDE) else None, device="cpu").flatten()
    t = t[(process.noise(t) > 0) & (process.signal(t) > 0)]
    if not len(t):
        raise ValueError(f"levels = {levels!r}; expected a time with both signal and noise among them")
    return t
