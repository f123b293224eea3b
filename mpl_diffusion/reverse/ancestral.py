"""Samplers: from noise to data. Each is a generator of Steps; none knows what kind of denoiser it was given.

A step from t to an earlier t' rebuilds a noisy sample from the two things the denoiser tells, x0_hat and eps_hat:

    x_t' = signal(t') x0_hat + direction eps_hat + sigma z,       z ~ N(0, I)

DDPM and DDIM differ in `direction` and `sigma` (the std of a reverse step) only. Both are known before the walk
begins, so they are computed once, in float64 on the host; a step is the denoiser's call and one fused update of x.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..forward.process import Process
from .walk import Denoise, Step, affine_walk, step_rates, walk_times


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
    times = walk_times(process, process.T if steps is None else steps)
    (_, s), (_, s_next) = rates = step_rates(process, times)
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
    times = walk_times(process, steps)
    (_, s), (_, s_next) = rates = step_rates(process, times)
    sigma = eta * s_next / s * _merged_beta(*rates).sqrt()
    return _walk(denoiser, process, x, times, rates, (s_next**2 - sigma**2).clamp(min=0).sqrt(), sigma, cond, noise)


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
    on_prediction = direction - on_x * s
    if (a == 0).any():
        on_x, on_prediction = torch.where(a == 0, direction / s, on_x), torch.where(a == 0, a_next, on_prediction)
    return affine_walk(denoiser, x, times[:-1], times[1:], (a, s), on_x, on_prediction, sigma, cond, noise)
