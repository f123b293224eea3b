"""Samplers in continuous time, and of higher order. Each is a generator of Steps, as in `samplers`.

    reverse SDE    dx = [f x - g^2 score] dt + g dw        (Anderson 1982; Song et al. 2021, eq. 6)
    ODE            dx = [f x - g^2/2 score] dt             (Song et al. 2021, eq. 13)

Both run from t = 1 down, with score = -eps / noise(t), and both have the law p_t of the noisy data at every t.

A warning on eps: x0_hat = (x - noise eps) / signal multiplies an error of eps by noise/signal, 20,000 at the end of
the cosine schedule, and all walks that start there carry it along. Clamp x0_hat (`clamp`), predict v, or start later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from .ode import HEUN, Solver, Velocity, integrate
from ..forward.process import Process
from .samplers import Denoise, Step, affine_walk, ask, asked_at, both_ends, refuse_nan, visited, x0_from_told
from ..forward.sde import SDE, solver_times


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

    As dt -> 0 every churn gives x_t the same law: 0 is the ODE (Euler's method), 1 the reverse SDE, and more is more
    noise with more score to match (Zhang & Chen 2023). steps: how many from t = 1 to t_min, or the falling times
    themselves. The last step adds noise like all others: what arrives is a sample of p_{t_min}. noise: see
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


def velocity(denoiser: Denoise, sde: SDE, cond: Tensor | None = None) -> Velocity:
    """The right-hand side of the ODE as a function (x, t) -> dx/dt:  f x - g^2/2 score = f x + g^2/(2 noise) eps."""

    def dx_dt(x: Tensor, t: float) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64)
        f, c = sde.flow(t)
        return torch.mul(x, f).add_(ask(denoiser, x, t, cond, 1.0), alpha=c)

    return dx_dt


def probability_flow(
    denoiser: Denoise,
    sde: SDE,
    x: Tensor,
    steps: int | Sequence = 20,
    solver: Solver = HEUN,
    cond: Tensor | None = None,
) -> Iterator[Step]:
    """The ODE from noise to data, or, along rising times, from data to their code x_1: the way is one and the same.

    steps: how many from t = 1 to t_min, or the times themselves. solver: EULER, MIDPOINT, HEUN (2 calls of the denoiser
    a step), RK4 (4), or `adaptive(tolerance)`, which makes smaller steps between the times as it needs.
    """
    return _flow(denoiser, sde, x, solver_times(sde, steps), solver, cond)


def dpm_solver(
    denoiser: Denoise, process: Process, x: Tensor, steps: int | Sequence = 20, cond: Tensor | None = None
) -> Iterator[Step]:
    """DPM-Solver++ (2M): second order for one call a step (Lu et al. 2022, algorithm 2).

        x' = noise'/noise x + (signal' - signal noise'/noise) D,     D = x0_hat + h/(2 h_before) (x0_hat - x0_before)

    h is the step in lambda = log(signal/noise): the linear part is solved exactly, and x0_hat is extrapolated along the
    line through its last two values. First order (D = x0_hat, which is DDIM) in the first step, and in a last one to
    noise' = 0, where h is infinite. Any process: steps are how many, or the times themselves, as for `ddim`.
    """
    times = visited(process, steps)
    (a, s), (a_next, s_next) = both_ends(process, times)
    on_x = torch.where(s_next == 0, 0.0, s_next / s)
    on_D = a_next - a * on_x
    h = (a_next / s_next).log() - (a / s).log()
    ahead = torch.cat([torch.zeros(1).double(), h[1:] / (2 * h[:-1])])
    ahead = torch.where(ahead.isfinite(), ahead, 0.0)
    return _multistep(denoiser, x, times, (a, s), on_x, on_D * (1 + ahead), -on_D * ahead, cond)


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
    if not (isinstance(repeats, int) and repeats >= 1 and 0 < size < 4):
        raise ValueError(f"repeats = {repeats!r}, size = {size!r}; expected a whole number from 1, and 0 < size < 4")
    t = _levels(process, levels).repeat_interleave(repeats)
    a, s = process.signal(t).double(), process.noise(t).double()
    return affine_walk(denoiser, x, t, t, (a, s), torch.ones_like(s), -0.5 * size * s, size**0.5 * s, cond, noise)


def _levels(process: Process, levels) -> Tensor:
    if isinstance(levels, int) or torch.as_tensor(levels).numel() > 1:
        t = visited(process, levels)
    else:
        t = torch.as_tensor(levels, dtype=torch.float64 if isinstance(process, SDE) else None, device="cpu").flatten()
    t = t[(process.noise(t) > 0) & (process.signal(t) > 0)]
    if not len(t):
        raise ValueError(f"levels = {levels!r}; expected a time with both signal and noise among them")
    return t


def _flow(denoiser, sde, x, times, solver, cond) -> Iterator[Step]:
    dx_dt = torch.no_grad()(velocity(denoiser, sde, cond))
    t, x = float(times[0]), x.detach()
    for t_next, x_next in integrate(dx_dt, x, times.tolist(), solver):
        yield Step(t_next, x_next, partial(_x0_hat, denoiser, sde, x, t, cond))
        t, x = t_next, x_next


@torch.no_grad()
def _x0_hat(denoiser, sde, x, t, cond) -> Tensor:
    t = torch.as_tensor(t, dtype=torch.float64)
    return sde.x0_from_eps(x, t, denoiser(x, t, cond))


def _multistep(denoiser, x, times, rates, on_x, on_x0, on_before, cond) -> Iterator[Step]:
    """x' = on_x x + on_x0 x0_hat + on_before x0_before."""
    (a, s), clock, arrivals = (rate.tolist() for rate in rates), asked_at(times[:-1]), times[1:].tolist()
    on_x, on_x0, on_before = on_x.tolist(), on_x0.tolist(), on_before.tolist()
    no_grad, before = torch.no_grad(), None
    for i, t in enumerate(clock):
        with no_grad:
            x0 = x0_from_told(x, ask(denoiser, x, t, cond, a[i]), a[i], s[i])
            x = torch.mul(x, on_x[i]).add_(x0, alpha=on_x0[i])
            if on_before[i]:
                x.add_(before, alpha=on_before[i])
        if i == len(clock) - 1:
            refuse_nan(x)
        before = x0
        yield Step(arrivals[i], x, x0.clone)
