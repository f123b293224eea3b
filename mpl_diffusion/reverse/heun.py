"""DDIM is a rotation; Heun's method takes it to second order.

Signal and noise are the two legs of an angle phi, tan(phi) = noise/signal, from 0 (data) to pi/2 (noise). With x_t
divided by r = sqrt(signal^2 + noise^2), which is 1 for every schedule,

    x_phi = cos(phi) x_0 + sin(phi) eps,       dx/dphi = v = cos(phi) eps - sin(phi) x_0

and a step of DDIM by delta turns x towards v (Salimans & Ho 2022, appendix D): x' = cos(delta) x + sin(delta) v.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..checks import check_floats
from ..forward.process import Process
from .walk import Denoise, Step, check_finite, host_times, predict, step_rates, walk_times, x0_from_prediction


def ddim_heun(
    denoiser: Denoise, process: Process, x: Tensor, steps: int | Sequence = 10, cond: Tensor | None = None
) -> Iterator[Step]:
    """DDIM to second order: a step, a look from where it arrived, and a correction by how much v has changed.

        x' = cos(delta) x + sin(delta) v + delta/2 (v' - v turned by delta)       (r = 1)

    Two calls a step (Heun's method; Karras et al. 2022, algorithm 1, in sigma), one in a last step to noise = 0, where
    no network was trained. steps: how many, or the times, as for `ddim`.
    """
    return rotate(denoiser, process, x, walk_times(process, steps), 2, cond)


def rotate(denoiser, process, x, times, order, cond) -> Iterator[Step]:
    """x' = signal' x0_hat + noise' eps, which is the turn by delta for any r; order 2 corrects where it arrived."""
    check_floats(x=x)
    (a, s), (a_next, s_next) = step_rates(process, times)
    delta = torch.atan2(s_next, a_next) - torch.atan2(s, a)
    half = (delta / 2 * (a_next**2 + s_next**2)).tolist()
    a, s, a_next, s_next = (rate.tolist() for rate in (a, s, a_next, s_next))
    clock, arrivals, x, no_grad = host_times(times), times[1:].tolist(), x.detach(), torch.no_grad()
    for i, (t, t_next) in enumerate(zip(clock, clock[1:])):
        with no_grad:
            if s[i] == 0:
                there = x = a_next[i] / a[i] * x
                for _ in range(order):
                    x0, eps = _pair(denoiser, x, t_next, cond, a_next[i], s_next[i])
                    x = there + s_next[i] * eps
            else:
                x0, eps = _pair(denoiser, x, t, cond, a[i], s[i])
                x = a_next[i] * x0 + s_next[i] * eps
                if order == 2 and s_next[i] > 0:
                    x0_there, eps_there = _pair(denoiser, x, t_next, cond, a_next[i], s_next[i])
                    turned = (eps_there - eps) / a_next[i] if a_next[i] else (x0 - x0_there) / s_next[i]
                    x = x + half[i] * turned
        if i == len(arrivals) - 1:
            check_finite(x)
        yield Step(arrivals[i], x, x0.clone)


def _pair(denoiser, x, t, cond, signal: float, noise: float) -> tuple[Tensor, Tensor]:
    """(x0_hat, eps) at x, of which x is made: x = signal x0_hat + noise eps."""
    prediction = predict(denoiser, x, t, cond, signal)
    return x0_from_prediction(x, prediction, signal, noise), prediction if signal else x / noise
