"""What lies one step back: q(x_s | x_t, x_0), which is Gaussian, and q(x_s | x_t), which is not. Times s < t.

    q(x_t | x_s)      = N( ratio x_s, beta I ),  ratio = signal(t) / signal(s),  beta = noise(t)^2 - ratio^2 noise(s)^2
    q(x_s | x_t, x_0) = N( (ratio noise(s)^2 x_t + signal(s) beta x_0) / noise(t)^2,  beta noise(s)^2 / noise(t)^2 I )
    q(x_s | x_t)      = the average of the above over p(x_0 | x_t): it needs the data (`data.mixture` has an exact one)

With s = t - 1, beta is beta_t, and the second variance is beta_tilde_t (Ho et al. 2020, eq. 6 and 7).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_floats, same_shape
from .process import Process


def transition(process: Process, t, s) -> tuple[Tensor, Tensor]:
    """q(x_t | x_s) = N(ratio x_s, beta I): ratio and variance beta, float64 on the host, in the shape of t and s."""
    (a_t, s_t), (a_s, s_s) = ((process.signal(u).double(), process.noise(u).double()) for u in (t, s))
    if not (torch.as_tensor(s) < torch.as_tensor(t)).all():
        raise ValueError(f"s = {s}, t = {t}; expected an earlier s, s < t")
    if (a_s == 0).any():
        raise ValueError(f"signal(s) = 0 at s = {s}: x_s is pure noise already, and no step leads on from there")
    ratio = a_t / a_s
    return ratio, (s_t**2 - ratio**2 * s_s**2).clamp(min=0)


def posterior(process: Process, x_t: Tensor, x0: Tensor, t, s) -> tuple[Tensor, Tensor]:
    """Mean (the shape of x_t) and variance (to multiply it) of q(x_s | x_t, x_0); t and s: one time, or one per row.

    Three ways to write the mean (the tests prove them equal), where x_t = signal(t) x_0 + noise(t) eps:

        (ratio noise(s)^2 x_t + signal(s) beta x_0) / noise(t)^2              in x_t and x_0
        (x_t - beta / noise(t) eps) / ratio                                   in x_t and eps, all the noise since x_0
        signal(s) x_0 + sqrt(noise(s)^2 - variance) eps                       in x_0 and eps
    """
    same_shape(x_t=x_t, x0=x0)
    check_floats(x0=x0)
    process.rates(t, x_t)  # refuses times that are not one per row
    ratio, beta = transition(process, t, s)
    a_s, s_s, s_t = process.signal(s).double(), process.noise(s).double(), process.noise(t).double()
    if (s_t == 0).any():
        raise ValueError(f"noise(t) = 0 at t = {t}: x_t is the data itself there; expected a time with noise")
    on_x, on_x0, variance = ratio * (s_s / s_t) ** 2, a_s * beta / s_t**2, beta * (s_s / s_t) ** 2
    on_x, on_x0, variance = (
        v.to(x_t).reshape(v.shape + (1,) * (x_t.ndim - 1) if v.ndim else ()) for v in (on_x, on_x0, variance)
    )
    return on_x * x_t + on_x0 * x0, variance
