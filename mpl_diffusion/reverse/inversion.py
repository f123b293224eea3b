"""DDIM is a rotation: walk it down to an image, up to the image's code, to second order, and between two codes.

Signal and noise are the two legs of an angle phi, tan(phi) = noise/signal, from 0 (data) to pi/2 (noise). With x_t
divided by r = sqrt(signal^2 + noise^2), which is 1 for every schedule,

    x_phi = cos(phi) x_0 + sin(phi) eps,       dx/dphi = v = cos(phi) eps - sin(phi) x_0

and a step of DDIM by delta turns x towards v (Salimans & Ho 2022, appendix D): x' = cos(delta) x + sin(delta) v.
Nothing here is random, so whoever walks up and down again should come home.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..forward.process import Process
from .samplers import Denoise, Step, ask, asked_at, both_ends, refuse_nan, visited, x0_from_told


def heun(
    denoiser: Denoise, process: Process, x: Tensor, steps: int | Sequence = 10, cond: Tensor | None = None
) -> Iterator[Step]:
    """DDIM to second order: a step, a look from where it arrived, and a correction by how much v has changed.

        x' = cos(delta) x + sin(delta) v + delta/2 (v' - v turned by delta)       (r = 1)

    Two calls a step (Heun's method; Karras et al. 2022, algorithm 1, in sigma), one in a last step to noise = 0, where
    no network was trained. steps: how many, or the times, as for `ddim`.
    """
    return _turn(denoiser, process, x, visited(process, steps), 2, cond)


def invert(
    denoiser: Denoise,
    process: Process,
    x0: Tensor,
    steps: int | Sequence = 50,
    order: int = 2,
    cond: Tensor | None = None,
) -> Iterator[Step]:
    """From data to their code x_T: the steps of `ddim` (order 1) or of `heun` (order 2), taken upwards.

    `ddim`, or `heun`, leads back from the code to the data, but for the error of the steps. steps: how many, or the
    falling times of the way back. At t = 0 there is no noise to ask for: the first step asks where it arrives.
    """
    if order not in (1, 2):
        raise ValueError(f"order = {order!r}; expected 1 (DDIM, one call a step) or 2 (Heun, two)")
    return _turn(denoiser, process, x0, visited(process, steps).flip(0), order, cond)


def slerp(x: Tensor, y: Tensor, weight: float | Tensor) -> Tensor:
    """From x (weight 0) to y (weight 1) on the arc between them, each row on its own; weight is one, or (B,).

        sin((1 - w) theta)/sin(theta) x + sin(w theta)/sin(theta) y,     cos(theta) = <x, y> / |x| |y|

    (Shoemake 1985; J. Song et al. 2020, eq. 67). Two noises stay a noise on the way; on the straight line between them
    the length falls to 0.7 of it. Rows that point the same way, or opposite ways, have no arc: they go straight.
    """
    if x.shape != y.shape or not x.ndim:
        raise ValueError(f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}; expected the same, (B, ...)")
    w = torch.as_tensor(weight, dtype=x.dtype, device=x.device)
    if w.shape not in ((), x.shape[:1]):
        raise ValueError(f"weight has shape {tuple(w.shape)}; expected one number, or one per row: ({len(x)},)")
    w = w.reshape(-1, *[1] * (x.ndim - 1))
    a, b = x.flatten(1).double(), y.flatten(1).double()
    cos = torch.linalg.vecdot(a, b) / (a.norm(dim=1) * b.norm(dim=1))
    theta = cos.clamp(-1, 1).arccos().reshape(-1, *[1] * (x.ndim - 1))
    bent = theta.sin() > 1e-6  # also false for NaN: a row of zeros points nowhere
    on_x = torch.where(bent, ((1 - w) * theta).sin() / theta.sin(), 1 - w)
    on_y = torch.where(bent, (w * theta).sin() / theta.sin(), w)
    return on_x.to(x) * x + on_y.to(x) * y


def _turn(denoiser, process, x, times, order, cond) -> Iterator[Step]:
    """x' = signal' x0_hat + noise' eps, which is the turn by delta for any r; order 2 corrects where it arrived."""
    (a, s), (a_next, s_next) = both_ends(process, times)
    delta = torch.atan2(s_next, a_next) - torch.atan2(s, a)
    half = (delta / 2 * (a_next**2 + s_next**2)).tolist()
    a, s, a_next, s_next = (rate.tolist() for rate in (a, s, a_next, s_next))
    clock, arrivals, x, no_grad = asked_at(times), times[1:].tolist(), x.detach(), torch.no_grad()
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
            refuse_nan(x)
        yield Step(arrivals[i], x, x0.clone)


def _pair(denoiser, x, t, cond, signal: float, noise: float) -> tuple[Tensor, Tensor]:
    """(x0_hat, eps) at x, of which x is made: x = signal x0_hat + noise eps."""
    told = ask(denoiser, x, t, cond, signal)
    return x0_from_told(x, told, signal, noise), told if signal else x / noise
