"""Multistep methods: second order for one call of the denoiser a step, from what it said one step before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..checks import check_floats
from ..forward.process import Process
from .walk import Denoise, Step, check_finite, host_times, predict, step_rates, walk_times, x0_from_prediction


def dpm_solver(
    denoiser: Denoise, process: Process, x: Tensor, steps: int | Sequence = 20, cond: Tensor | None = None
) -> Iterator[Step]:
    """DPM-Solver++ (2M): second order for one call a step (Lu et al. 2022, algorithm 2).

        x' = noise'/noise x + (signal' - signal noise'/noise) D,     D = x0_hat + h/(2 h_before) (x0_hat - x0_before)

    h is the step in lambda = log(signal/noise): the linear part is solved exactly, and x0_hat is extrapolated along the
    line through its last two values. First order (D = x0_hat, which is DDIM) in the first step, and in a last one to
    noise' = 0, where h is infinite. Any process: steps are how many, or the times themselves, as for `ddim`.
    """
    check_floats(x=x)
    times = walk_times(process, steps)
    (a, s), (a_next, s_next) = step_rates(process, times)
    on_x = torch.where(s_next == 0, 0.0, s_next / s)
    on_D = a_next - a * on_x
    h = (a_next / s_next).log() - (a / s).log()
    ahead = torch.cat([torch.zeros(1).double(), h[1:] / (2 * h[:-1])])
    ahead = torch.where(ahead.isfinite(), ahead, 0.0)
    return _multistep(denoiser, x, times, (a, s), on_x, on_D * (1 + ahead), -on_D * ahead, cond)


def _multistep(denoiser, x, times, rates, on_x, on_x0, on_before, cond) -> Iterator[Step]:
    """x' = on_x x + on_x0 x0_hat + on_before x0_before."""
    (a, s), clock, arrivals = (rate.tolist() for rate in rates), host_times(times[:-1]), times[1:].tolist()
    on_x, on_x0, on_before = on_x.tolist(), on_x0.tolist(), on_before.tolist()
    no_grad, before = torch.no_grad(), None
    for i, t in enumerate(clock):
        with no_grad:
            x0 = x0_from_prediction(x, predict(denoiser, x, t, cond, a[i]), a[i], s[i])
            x = torch.mul(x, on_x[i]).add_(x0, alpha=on_x0[i])
            if on_before[i]:
                x.add_(before, alpha=on_before[i])
        if i == len(clock) - 1:
            check_finite(x)
        before = x0
        yield Step(arrivals[i], x, x0.clone)
