"""The probability flow: an ODE whose solutions have, at every t, the distribution of the noisy data.

    dx = [f x - g^2/2 score] dt,      score = -eps / noise(t)             (Y. Song et al. 2021, eq. 13)

A warning on eps: x0_hat = (x - noise eps) / signal multiplies an error of eps by noise/signal, 20,000 at the end of
the cosine schedule, and all walks that start there carry it along. Clamp x0_hat (`clamp`), predict v, or start later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ..checks import check_floats
from ..forward.sde import SDE, solver_times
from .ode import HEUN, Solver, Velocity, integrate
from .walk import Denoise, Step, predict


def ode_velocity(denoiser: Denoise, sde: SDE, cond: Tensor | None = None) -> Velocity:
    """The right-hand side of the ODE as a function (x, t) -> dx/dt:  f x - g^2/2 score = f x + g^2/(2 noise) eps."""

    def dx_dt(x: Tensor, t: float) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64)
        f, c = sde.flow(t)
        return torch.mul(x, f).add_(predict(denoiser, x, t, cond, 1.0), alpha=c)

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
    a step), RK4 (4), or `adaptive_solver(tolerance)`, which makes smaller steps between the times as it needs.
    """
    check_floats(x=x)
    return _flow(denoiser, sde, x, solver_times(sde, steps), solver, cond)


def _flow(denoiser, sde, x, times, solver, cond) -> Iterator[Step]:
    dx_dt = torch.no_grad()(ode_velocity(denoiser, sde, cond))
    t, x = float(times[0]), x.detach()
    for t_next, x_next in integrate(dx_dt, x, times.tolist(), solver):
        yield Step(t_next, x_next, partial(_x0_hat, denoiser, sde, x, t, cond))
        t, x = t_next, x_next


@torch.no_grad()
def _x0_hat(denoiser, sde, x, t, cond) -> Tensor:
    t = torch.as_tensor(t, dtype=torch.float64)
    return sde.x0_from_eps(x, t, denoiser(x, t, cond))
