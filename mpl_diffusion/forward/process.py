"""The forward process: every noisy sample is signal + noise.

    x_t = signal(t) x_0 + noise(t) eps,      eps ~ N(0, I),      t from 0 (data) to T (noise)

A process *is* these two rates; everything else in the package is written against them. `signal` is the factor
on the data, `noise` is a standard deviation. The same five lines serve DDPM tables and stochastic differential
equations, points (B, D) and images (B, C, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_floats, same_shape


class Process:
    """Two rates and an end time T. A subclass gives `signal`, `noise`, `times` and `random_times`."""

    T: float  # end time: the number of steps of a Schedule

    def signal(self, t) -> Tensor:
        """The factor on x_0 at time t; float64, shape of t."""
        raise NotImplementedError

    def noise(self, t) -> Tensor:
        """The standard deviation of the noise at time t; float64, shape of t."""
        raise NotImplementedError

    def times(self, steps: int) -> Tensor:
        """The steps + 1 times of a walk from noise to data, T first."""
        raise NotImplementedError

    def random_times(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n training times, spread evenly over (0, T]."""
        raise NotImplementedError

    def rates(self, t, x: Tensor) -> tuple[Tensor, Tensor]:
        """signal(t) and noise(t), shaped to multiply x: t is one time or one per row of x, (B,).

        Times live on the host, where looking up a table costs nothing; only the two rates travel to x's device.
        """
        t = torch.as_tensor(t, device="cpu")
        if t.ndim > 1 or (t.ndim == 1 and len(t) != len(x)):
            raise ValueError(f"t has shape {tuple(t.shape)}; expected one time, or one per row of x: ({len(x)},)")
        if not x.is_floating_point():
            raise ValueError(f"x is {x.dtype}; expected floats (images in [-1, 1]: `images / 127.5 - 1`)")
        shape = t.shape + (1,) * (x.ndim - 1) if t.ndim else ()
        return self.signal(t).to(x).reshape(shape), self.noise(t).to(x).reshape(shape)

    def diffuse(self, x0: Tensor, t, eps: Tensor) -> Tensor:
        """Jump to any t in one shot: x_t = signal(t) x_0 + noise(t) eps  (Ho et al. 2020, eq. 4)."""
        same_shape(x0=x0, eps=eps)
        signal, noise = self.rates(t, x0)
        check_floats(finite=True, x0=x0, eps=eps)
        return signal * x0 + noise * eps

    def x0_from_eps(self, x_t: Tensor, t, eps: Tensor) -> Tensor:
        """The clean sample that eps implies: x_0 = (x_t - noise(t) eps) / signal(t)  (Ho et al. 2020, eq. 15)."""
        same_shape(x_t=x_t, eps=eps)
        check_floats(eps=eps)
        signal, noise = self.rates(t, x_t)
        if (signal == 0).any():
            raise ValueError("signal(t) = 0: x_t is pure noise there, and no eps can tell x_0; predict v or x0 instead")
        return (x_t - noise * eps) / signal

    def eps_from_x0(self, x_t: Tensor, t, x0: Tensor) -> Tensor:
        """The noise that x_0 implies: eps = (x_t - signal(t) x_0) / noise(t)."""
        same_shape(x_t=x_t, x0=x0)
        check_floats(x0=x0)
        signal, noise = self.rates(t, x_t)
        if (noise == 0).any():
            raise ValueError("noise(t) = 0: x_t is the data itself there (t = 0), so no noise can be read from it")
        return (x_t - signal * x0) / noise

    def score_from_eps(self, eps: Tensor, t) -> Tensor:
        """The score, grad_x log p_t(x) = -eps / noise(t)  (Y. Song et al. 2021; Tweedie's formula)."""
        _, noise = self.rates(t, eps)
        if (noise == 0).any():
            raise ValueError("noise(t) = 0: the score of data without noise is infinite; ask at a later t")
        return -eps / noise

    def eps_from_score(self, score: Tensor, t) -> Tensor:
        """The way back: eps = -noise(t) score."""
        _, noise = self.rates(t, score)
        return -noise * score

    def prior(self, *shape: int, generator: torch.Generator | None = None, dtype=None, device=None) -> Tensor:
        """A start x_T ~ N(0, (signal(T)^2 + noise(T)^2) I): what standardised data would look like at T.

        For every variance-preserving process that is N(0, I), as in the lecture.
        """
        x = torch.randn(*shape, generator=generator, dtype=dtype, device=device)
        signal, noise = self.rates(self.T, x)
        return (signal**2 + noise**2).sqrt() * x
