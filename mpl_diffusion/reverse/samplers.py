"""Samplers: from noise to data. Each is a generator of Steps; none knows what kind of denoiser it was given.

A step from t to an earlier t' rebuilds a noisy sample from the two things the denoiser tells, x0_hat and eps_hat:

    x_t' = signal(t') x0_hat + direction eps_hat + sigma z,       z ~ N(0, I)

DDPM and DDIM differ in `direction` and `sigma` (the std of a reverse step) only. Both are known before the walk
begins, so they are computed once, in float64 on the host; a step is the denoiser's call and one fused update of x.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral

import torch
from torch import Tensor

from ..forward.process import Process

Denoise = Callable[..., Tensor]  # eps = denoiser(x_t, t, cond)


class Step:
    """One step of a walk: the time it arrived at, x there, and the clean sample predicted on the way (when asked)."""

    __slots__ = ("t", "x", "_x0")

    def __init__(self, t: float, x: Tensor, x0: Callable[[], Tensor]):
        self.t, self.x, self._x0 = t, x, x0

    @property
    def x0(self) -> Tensor:
        return self._x0()

    def __repr__(self) -> str:
        return f"Step(t={self.t}, x {tuple(self.x.shape)})"


def final(steps: Iterable[Step]) -> Tensor:
    """Walk to the end and keep only the last x (constant memory)."""
    last = deque(steps, maxlen=1)
    if not last:
        raise ValueError("the walk has no steps")
    return last.pop().x


def ddpm(
    denoiser: Denoise,
    process: Process,
    x: Tensor,
    steps: int | Sequence | None = None,
    variance: str = "beta_tilde",
    cond: Tensor | None = None,
    noise=None,
) -> Iterator[Step]:
    """Ancestral sampling (Ho et al. 2020, alg. 2).

        x_{t-1} = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t) + sigma_t z

    variance: sigma_t^2 is "beta" or "beta_tilde" = (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) beta_t; no noise is added
    in the last step. steps: None visits all T; a number or a list of times strides, with the merged
    beta = 1 - alpha_bar_t / alpha_bar_t'. noise: see `noise_source`.
    """
    if variance not in ("beta", "beta_tilde"):
        raise ValueError(f"variance = {variance!r}; expected 'beta' or 'beta_tilde'")
    times = visited(process, process.T if steps is None else steps)
    (_, s), (_, s_next) = rates = both_ends(process, times)
    beta = _merged_beta(*rates)
    beta_tilde = beta * (s_next / s) ** 2
    sigma = {"beta": beta, "beta_tilde": beta_tilde}[variance].sqrt()
    sigma = torch.where(s_next == 0, 0.0, sigma)
    return _walk(denoiser, process, x, times, rates, (s_next**2 - beta_tilde).clamp(min=0).sqrt(), sigma, cond, noise)


def ddim(
    denoiser: Denoise,
    process: Process,
    x: Tensor,
    steps: int | Sequence = 50,
    eta: float = 0.0,
    cond: Tensor | None = None,
    noise=None,
) -> Iterator[Step]:
    """Jump from t straight to t' on a shorter list of times (J. Song et al. 2020, eq. 12 and 16).

        x_t' = signal(t') x0_hat + sqrt(noise(t')^2 - sigma^2) eps + sigma z

    eta = 0 is deterministic; eta = 1 with all steps is DDPM with beta_tilde. steps: how many, or the times themselves,
    from the first to the last (0 if it is to arrive at x_0). noise: see `noise_source`.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta = {eta!r}; expected a number from 0 (deterministic) to 1 (DDPM)")
    times = visited(process, steps)
    (_, s), (_, s_next) = rates = both_ends(process, times)
    sigma = eta * s_next / s * _merged_beta(*rates).sqrt()
    return _walk(denoiser, process, x, times, rates, (s_next**2 - sigma**2).clamp(min=0).sqrt(), sigma, cond, noise)


def visited(process: Process, steps: int | Sequence) -> Tensor:
    """The times of a walk: `process.times(steps)` for a number, or a given list after a check that it goes down."""
    if isinstance(steps, Integral):
        return process.times(steps)
    times = torch.as_tensor(steps, device="cpu")
    if times.ndim != 1 or len(times) < 2 or not (times[:-1] > times[1:]).all():
        raise ValueError(f"times = {times.tolist()}; expected at least two, each smaller than the one before")
    process.signal(times)  # refuses times outside the process
    return torch.as_tensor(steps, dtype=torch.float64, device="cpu") if times.is_floating_point() else times


def noise_source(noise) -> Callable[[Tensor], Tensor]:
    """Where a sampler's z comes from: None (torch's own state), a torch.Generator, or recorded tensors, one per step.

    The answer is a function x -> z, a fresh tensor each time. A generator on the CPU gives the same noise whatever
    device x is on.
    """
    if noise is None:
        return torch.randn_like
    if isinstance(noise, torch.Generator):
        return lambda x: torch.randn(x.shape, generator=noise, dtype=x.dtype, device=noise.device).to(x.device)
    recorded = iter(noise)

    def next_recorded(x: Tensor) -> Tensor:
        z = next(recorded, None)
        if z is None or z.shape != x.shape:
            what = "none is left" if z is None else f"the next has shape {tuple(z.shape)}"
            raise ValueError(f"recorded noise: {what}; expected one tensor of shape {tuple(x.shape)} per noisy step")
        return z.to(x, copy=True)

    return next_recorded


def both_ends(process: Process, times: Tensor):
    """(signal, noise) at the start of each step, and at its end."""
    a, s = process.signal(times).double(), process.noise(times).double()
    return (a[:-1], s[:-1]), (a[1:], s[1:])


def _merged_beta(start, end) -> Tensor:
    """The variance of q(x_t | x_t'), noise(t)^2 - (signal(t)/signal(t'))^2 noise(t')^2; beta_t if t' = t - 1."""
    (a, s), (a_next, s_next) = start, end
    return (s**2 - (a / a_next) ** 2 * s_next**2).clamp(min=0)


def _walk(denoiser, process, x, times, rates, direction, sigma, cond, noise) -> Iterator[Step]:
    """x_t' = (signal'/signal) x_t + (direction - signal' noise / signal) eps + sigma z: x0_hat is never formed.

    Where signal = 0, x_t is pure noise and the denoiser tells x0_hat instead: (direction / noise) x_t + signal' x0_hat.
    """
    (a, s), (a_next, _) = rates
    on_x = a_next / a
    on_told = direction - on_x * s
    if (a == 0).any():
        on_x, on_told = torch.where(a == 0, direction / s, on_x), torch.where(a == 0, a_next, on_told)
    return affine_walk(denoiser, x, times[:-1], times[1:], (a, s), on_x, on_told, sigma, cond, noise)


def affine_walk(denoiser, x, times, arrivals, rates, on_x, on_told, sigma, cond, noise) -> Iterator[Step]:
    """x' = on_x x + on_told told + sigma z, once for each of `times`, where the denoiser is asked; see `ask` for told.

    All tables are (steps,), float64 on the host; rates are signal and noise at `times`.
    """
    (a, s), clock = (rate.tolist() for rate in rates), asked_at(times)
    on_x, on_told, sigma, arrivals = on_x.tolist(), on_told.tolist(), sigma.tolist(), arrivals.tolist()
    x, z, no_grad = x.detach(), noise_source(noise), torch.no_grad()
    for i, t in enumerate(clock):
        with no_grad:  # not around the whole loop: what the caller does between two steps is the caller's
            told = ask(denoiser, x, t, cond, a[i])
            x0 = partial(x0_from_told, x, told, a[i], s[i])
            if sigma[i] > 0:
                x = z(x).mul_(sigma[i]).add_(x, alpha=on_x[i])
            else:
                x = torch.mul(x, on_x[i])
            x.add_(told, alpha=on_told[i])
        if i == len(clock) - 1:
            refuse_nan(x)
        yield Step(arrivals[i], x, x0)


def asked_at(times: Tensor) -> list:
    """Times as a denoiser is given them: whole numbers, or float64 tensors (torch would round a float to float32)."""
    return list(times) if times.is_floating_point() else times.tolist()


def ask(denoiser: Denoise, x: Tensor, t, cond: Tensor | None, signal: float) -> Tensor:
    """What the denoiser tells about x at time t, in x's shape: eps, or x0_hat where signal = 0 and eps is no help."""
    told = denoiser(x, t, cond) if signal else _x0_at_no_signal(denoiser, x, t, cond)
    if told.shape != x.shape:
        raise ValueError(f"at t = {t} the denoiser returned {tuple(told.shape)}; expected x's {tuple(x.shape)}")
    return told


def refuse_nan(x: Tensor) -> None:
    if not x.sum(dtype=torch.float32).isfinite():  # a NaN anywhere on the way is still there now
        raise ValueError("the walk ended in NaN or infinity: the denoiser's answers, or x_T, are not finite")


def x0_from_told(x: Tensor, told: Tensor, signal: float, noise: float) -> Tensor:
    """The clean sample that an answer of `ask` implies."""
    return (x - noise * told) / signal if signal else told.clone()


def _x0_at_no_signal(denoiser, x, t, cond) -> Tensor:
    if not hasattr(denoiser, "x0"):
        raise ValueError(
            f"signal({t}) = 0: x_T is pure noise, and eps cannot tell x_0 there. Start the walk later "
            f"(steps=[{t - 1}, ..., 0]), or give a denoiser with its own `x0(x, t, cond)`: Denoiser(..., predicts='v')"
        )
    return denoiser.x0(x, t, cond)
