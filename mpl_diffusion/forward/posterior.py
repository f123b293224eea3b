"""What lies one step back: q(x_s | x_t, x_0), which is Gaussian, and q(x_s | x_t), which is not. Times s < t.

    q(x_t | x_s)      = N( ratio x_s, beta I ),  ratio = signal(t) / signal(s),  beta = noise(t)^2 - ratio^2 noise(s)^2
    q(x_s | x_t, x_0) = N( (ratio noise(s)^2 x_t + signal(s) beta x_0) / noise(t)^2,  beta noise(s)^2 / noise(t)^2 I )
    q(x_s | x_t)      = the average of the above over p(x_0 | x_t): it needs the data. A mixture's is again a mixture.

With s = t - 1, beta is beta_t, and the second variance is beta_tilde_t (Ho et al. 2020, eq. 6 and 7).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..data.mixture import GaussianMixture
from .process import Process, same_shape


def transition(process: Process, t, s) -> tuple[Tensor, Tensor]:
    """q(x_t | x_s) = N(ratio x_s, beta I): ratio and variance beta, float64 on the host, in the shape of t and s."""
    (a_t, s_t), (a_s, s_s) = ((process.signal(u).double(), process.noise(u).double()) for u in (t, s))
    if not (torch.as_tensor(s) < torch.as_tensor(t)).all():
        raise ValueError(f"s = {s}, t = {t}; expected an earlier s, s < t")
    ratio = a_t / a_s
    return ratio, (s_t**2 - ratio**2 * s_s**2).clamp(min=0)


def bridge(process: Process, x_t: Tensor, x0: Tensor, t, s) -> tuple[Tensor, Tensor]:
    """Mean (the shape of x_t) and variance (to multiply it) of q(x_s | x_t, x_0); t and s: one time, or one per row.

    Three ways to write the mean (the tests prove them equal), where x_t = signal(t) x_0 + noise(t) eps:

        (ratio noise(s)^2 x_t + signal(s) beta x_0) / noise(t)^2              in x_t and x_0
        (x_t - beta / noise(t) eps) / ratio                                   in x_t and eps, all the noise since x_0
        signal(s) x_0 + sqrt(noise(s)^2 - variance) eps                       in x_0 and eps
    """
    same_shape(x_t=x_t, x0=x0)
    process.rates(t, x_t)  # refuses times that are not one per row
    ratio, beta = transition(process, t, s)
    a_s, s_s, s_t = process.signal(s).double(), process.noise(s).double(), process.noise(t).double()
    on_x, on_x0, variance = ratio * (s_s / s_t) ** 2, a_s * beta / s_t**2, beta * (s_s / s_t) ** 2
    on_x, on_x0, variance = (
        v.to(x_t).reshape(v.shape + (1,) * (x_t.ndim - 1) if v.ndim else ()) for v in (on_x, on_x0, variance)
    )
    return on_x * x_t + on_x0 * x0, variance


def exact_reverse(data: GaussianMixture, process: Process, x_t: Tensor, t, s) -> GaussianMixture:
    """q(x_s | x_t) of one point x_t, (D,), exactly: again a mixture, each component by Bayes' rule (a Kalman step).

    With component N(m, C) of p_s and x_t = ratio x_s + sqrt(beta) z:

        N( m + gain (x_t - ratio m),  C - ratio gain C ),      gain = ratio C (ratio^2 C + beta I)^-1

    weighted by p(component | x_t). float64.
    """
    D = data.mean.shape[1]
    if x_t.shape != (D,):
        raise ValueError(f"x_t has shape {tuple(x_t.shape)}; expected one point, ({D},)")
    ratio, beta = transition(process, t, s)
    x_t, at_s, at_t = x_t.double(), data.at(process, s), data.at(process, t)
    mean, cov = at_s.mean.double(), at_s.cov.double().expand(len(data.weight), D, D)
    spread = ratio**2 * cov + beta * torch.eye(D, dtype=torch.float64)
    gain = torch.linalg.solve(spread, ratio * cov).mT  # both are symmetric
    mean = mean + (gain @ (x_t - ratio * mean)[..., None]).squeeze(-1)
    cov = beta * torch.linalg.solve(spread, cov)  # C - ratio gain C, without the difference
    return GaussianMixture(at_t.responsibility(x_t[None])[0], mean, (cov + cov.mT) / 2, data.label)


def best_gaussian(p: GaussianMixture) -> GaussianMixture:
    """The Gaussian closest to p, the minimum of KL(p || N): it has p's mean and covariance. A mixture of one."""
    mean, cov = p.moments()
    return GaussianMixture(torch.ones_like(p.weight[:1]), mean[None], cov)


def kl(p: GaussianMixture, q: GaussianMixture) -> float:
    """KL(p || q) = E_p[log p - log q] in nats, for D = 1 or 2.

    The trapezoidal rule over 9 standard deviations around each component of p, with 2,001 nodes in 1-D and 201^2 in
    2-D: exact to about 1e-12 unless a component is a hundred times narrower than one it lies in.
    """
    D = p.mean.shape[1]
    if D not in (1, 2) or q.mean.shape[1] != D:
        raise ValueError(f"p lives in {D} and q in {q.mean.shape[1]} dimensions; expected both in 1, or both in 2")
    u = torch.linspace(-9, 9, 2001 if D == 1 else 201, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[u] * D).reshape(-1, D)
    share = (-0.5 * (nodes**2).sum(1)).exp() * (float(u[1] - u[0]) / math.sqrt(2 * math.pi)) ** D
    total = 0.0
    for weight, mean, cov in zip(p.weight, p.mean, p.cov.expand(len(p.weight), D, D)):
        x = mean.double() + nodes @ torch.linalg.cholesky(cov.double()).T
        total += float(weight * (share @ (p.log_prob(x) - q.log_prob(x))))
    return total
