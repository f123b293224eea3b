"""The variational bound, term by term: how many nats the reverse chain of any denoiser needs for x_0.

    -log p(x_0) <= E_q[ L_T + L_{T-1} + ... + L_1 + L_0 ]                             (Ho et al. 2020, eq. 5)

    L_T = KL( q(x_T | x_0) || p(x_T) )                            what is left of x_0 at the end; no denoiser in it
    L_s = KL( q(x_s | x_t, x_0) || p(x_s | x_t) )                 one step back, t -> s: two Gaussians
    L_0 = -log p(x_0 | x_1)                                       the decoder

The reverse step p(x_s | x_t) is q(x_s | x_t, x0_hat) with one of two variances, beta or beta_tilde, as in `ddpm`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..checks import check_floats, check_whole, is_integer, same_shape
from ..forward.posterior import posterior, transition
from ..forward.process import Process
from .walk import Denoise, host_times, noise_source, predict, walk_times, x0_from_prediction

Decoder = Callable[[Tensor, Tensor, Tensor], Tensor]  # (x_0, mean, std) -> log p(x_0), nats, (B,)


class Term(NamedTuple):
    """L_t: `t` is T for the prior's term, then the times at which the reverse steps arrive, 0 for the decoder's."""

    t: float
    nats: Tensor  # (B,)


def gaussian_log_prob(x0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log N(x_0; mean, std^2 I) in nats, (B, ...) -> (B,): the decoder for points. A density: L_0 may be negative."""
    _check_gaussian(x0, mean, std)
    return (-0.5 * ((x0 - mean) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def discretised_gaussian(x0: Tensor, mean: Tensor, std: Tensor, levels: int = 256) -> Tensor:
    """log P(x_0) of images of 256 levels in [-1, 1]: the Gaussian's mass in each pixel's bin, summed to (B,), nats.

    A bin reaches half a level, 1/255, to either side, and to infinity beyond -1 and 1 (Ho et al. 2020, eq. 13): the
    probabilities of the levels add up to 1.
    """
    check_whole(low=2, levels=levels)
    _check_gaussian(x0, mean, std)
    if not (x0.abs() <= 1 + 1e-6).all():
        raise ValueError(f"x_0 runs from {float(x0.min()):g} to {float(x0.max()):g}; expected images in [-1, 1]")
    half, x0, mean, std = 1 / (levels - 1), x0.double(), mean.double(), std.double()
    above = torch.where(x0 > 1 - half, torch.inf, (x0 + half - mean) / std)
    below = torch.where(x0 < -1 + half, -torch.inf, (x0 - half - mean) / std)
    flip = above + below > 0  # look at it from the tail that is nearer: there log Phi keeps all its digits
    above, below = torch.where(flip, -below, above), torch.where(flip, -above, below)
    big, small = torch.special.log_ndtr(above), torch.special.log_ndtr(below)
    return (big + (-(small - big).exp()).log1p()).flatten(1).sum(1)


def _check_gaussian(x0: Tensor, mean: Tensor, std: Tensor) -> None:
    same_shape(x0=x0, mean=mean)
    check_floats(finite=True, x0=x0, mean=mean, std=std)
    if not (std > 0).all():
        raise ValueError(f"std is {float(std.min()):g} somewhere; expected standard deviations above 0")


def bound_terms(
    denoiser: Denoise,
    process: Process,
    x0: Tensor,
    steps: int | Sequence | None = None,
    only: Sequence | None = None,
    variance: str = "beta_tilde",
    decoder: Decoder = gaussian_log_prob,
    cond: Tensor | None = None,
    noise=None,
) -> Iterator[Term]:
    """L_T, then L_s for each reverse step, L_0 last: nats for each row of x_0 (B, ...), with one draw of x_t per term.

    steps: None is all T; a number, or the times themselves down to 0, is the bound of that shorter chain (merged
    betas). only: the t of the terms that are wanted, out of T, the arrivals and 0. Each L_s is an unbiased estimate.
    variance: "beta" or "beta_tilde"; the decoder's is beta_1, or beta_tilde_2 because beta_tilde_1 = 0 (as in
    improved-diffusion). decoder: `gaussian_log_prob` for points, `discretised_gaussian` for images of 256 levels.
    """
    if variance not in ("beta", "beta_tilde"):
        raise ValueError(f"variance = {variance!r}; expected 'beta' or 'beta_tilde'")
    times = walk_times(process, process.T if steps is None else steps)
    if float(process.noise(times[-1])) != 0:
        raise ValueError(f"the times end at {float(times[-1]):g}; a bound on x_0 needs a chain that ends at 0")
    labels = times.tolist()
    only = only.tolist() if isinstance(only, Tensor) else only
    wanted = set(labels if only is None else only)
    if not wanted or not wanted <= set(labels):
        raise ValueError(f"only = {only}; expected times of this chain, {labels[0]}, {labels[1]}, ..., {labels[-1]}")
    return _terms(denoiser, process, x0, times, wanted, variance, decoder, cond, noise)


def variational_bound(
    denoiser: Denoise,
    process: Process,
    x0: Tensor,
    n: int | None = None,
    steps: int | Sequence | None = None,
    variance: str = "beta_tilde",
    decoder: Decoder = gaussian_log_prob,
    cond: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """An unbiased estimate of the whole bound on -log p(x_0), nats, (B,); the options are those of `bound_terms`.

    n: None adds up all terms. A number takes L_T, L_0 and n of those between, spread evenly from a random start: each
    then stands for its share of them.
    """
    T, *inner, end = walk_times(process, process.T if steps is None else steps).tolist()
    n = len(inner) if n is None else n
    if not is_integer(n) or not min(1, len(inner)) <= n <= len(inner):
        raise ValueError(f"n = {n!r}; expected None, or a number from 1 to the {len(inner)} terms between L_T and L_0")
    first = float(torch.rand((), generator=generator)) * len(inner) / max(n, 1)
    only = [T, *(inner[int(first + k * len(inner) / n)] for k in range(n)), end]
    terms = list(bound_terms(denoiser, process, x0, steps, only, variance, decoder, cond, generator))
    between = sum((term.nats for term in terms[1:-1]), torch.zeros(()))
    return terms[0].nats + between * (len(inner) / max(n, 1)) + terms[-1].nats


def prior_term(process: Process, x0: Tensor, T) -> Tensor:
    """L_T = KL( N(signal(T) x_0, noise(T)^2 I) || N(0, (signal(T)^2 + noise(T)^2) I) ), nats, (B,).

    The second one is what `process.prior` draws from: N(0, I) for a schedule.
    """
    x0 = x0.double()
    a, s = process.rates(T, x0)
    v = a**2 + s**2
    return (0.5 * ((s**2 + a**2 * x0**2) / v - 1 - (s**2 / v).log())).flatten(1).sum(1)


def _terms(denoiser, process, x0, times, wanted, variance, decoder, cond, noise) -> Iterator[Term]:
    z, no_grad, labels, asked = noise_source(noise), torch.no_grad(), times.tolist(), host_times(times)
    _, beta = transition(process, times[:-1], times[1:])
    beta_tilde = beta * (process.noise(times[1:]) / process.noise(times[:-1])).double() ** 2
    sigma2 = {"beta": beta, "beta_tilde": beta_tilde}[variance]
    if variance == "beta_tilde":  # its last one is 0: no density
        sigma2 = torch.cat([sigma2[:-1], sigma2[-2:-1] if len(sigma2) > 1 else beta])
    if labels[0] in wanted:
        yield Term(labels[0], prior_term(process, x0, times[0]))
    for i, (t, s) in enumerate(zip(times[:-1], times[1:])):
        if labels[i + 1] not in wanted:
            continue
        with no_grad:
            x_t = process.diffuse(x0, t, z(x0))
            signal = float(process.signal(t))
            x0_hat = x0_from_prediction(
                x_t, predict(denoiser, x_t, asked[i], cond, signal), signal, float(process.noise(t))
            )
            if not x0_hat.isfinite().all():
                raise ValueError(f"at t = {labels[i]} the denoiser's answer is NaN or infinite")
            mean, _ = posterior(process, x_t, x0_hat, t, s)
            if i == len(sigma2) - 1:
                nats = -decoder(x0, mean, sigma2[i].sqrt().to(x0))
            else:
                true, _ = posterior(process, x_t, x0, t, s)
                nats = _kl(true, float(beta_tilde[i]), mean, float(sigma2[i]))
        yield Term(labels[i + 1], nats)


def _kl(mean: Tensor, variance: float, other: Tensor, other_variance: float) -> Tensor:
    """KL( N(mean, variance I) || N(other, other_variance I) ) in nats, (B,)."""
    r = variance / other_variance
    return (0.5 * ((mean - other) ** 2 / other_variance + r - 1 - math.log(r))).flatten(1).sum(1)
