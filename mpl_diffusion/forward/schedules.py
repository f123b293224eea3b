"""Discrete noise schedules: the tables beta_t, alpha_t, alpha_bar_t for t = 0 ... T (Ho et al. 2020, sec. 2).

Every table has T + 1 rows, and row 0 is the clean data: beta[0] = 0, alpha_bar[0] = 1. So `t` in code is the t of
the papers, training draws t from 1 ... T, and a walk that ends at t = 0 ends at x_0 without a special case.
(The lecture's snippets are 0-based: their index is our t - 1.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..checks import check_number, check_whole, is_integer
from .process import Process


@dataclass(frozen=True, eq=False)
class Schedule(Process):
    """A process in T steps, given by its table of variances: x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps_t."""

    beta: Tensor  # (T+1,) variances, float64, beta[0] = 0
    name: str = "schedule"

    def __post_init__(self):
        beta = torch.as_tensor(self.beta, dtype=torch.float64, device="cpu")
        if beta.ndim != 1 or len(beta) < 2:
            raise ValueError(f"beta has shape {tuple(beta.shape)}; expected (T + 1,) with T at least 1")
        if beta[0] != 0:
            raise ValueError(f"beta[0] = {beta[0]:g}; row 0 is the clean data, so it must be 0 (`table` adds that row)")
        if not ((beta >= 0) & (beta <= 1)).all():  # also catches NaN
            t = int((~((beta >= 0) & (beta <= 1))).nonzero()[0])
            raise ValueError(f"beta[{t}] = {beta[t]:g}; each beta is a variance between 0 and 1")
        object.__setattr__(self, "beta", beta)

    @property
    def T(self) -> int:
        return len(self.beta) - 1

    @cached_property
    def alpha(self) -> Tensor:
        """alpha_t = 1 - beta_t: how much of the *variance* survives one step, (T+1,)."""
        return 1 - self.beta

    @cached_property
    def alpha_bar(self) -> Tensor:
        """alpha_bar_t = alpha_1 alpha_2 ... alpha_t: how much of it survives t steps, (T+1,)."""
        return self.alpha.cumprod(0)

    @cached_property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio of powers, alpha_bar_t / (1 - alpha_bar_t), (T+1,); infinite at t = 0."""
        return self.alpha_bar / (1 - self.alpha_bar)

    def signal(self, t) -> Tensor:
        """sqrt(alpha_bar_t)."""
        return self.alpha_bar[self.row(t)].sqrt()

    def noise(self, t) -> Tensor:
        """sqrt(1 - alpha_bar_t), a standard deviation."""
        return (1 - self.alpha_bar[self.row(t)]).sqrt()

    def row(self, t) -> Tensor:
        """t as a checked index into the tables: whole numbers from 0 to T."""
        t = torch.as_tensor(t, device="cpu")
        if t.is_floating_point() or t.dtype == torch.bool:
            raise ValueError(f"t is {t.dtype}; a schedule has whole steps, t = 0 ... {self.T} (use `.long()`)")
        low, high = (int(end) for end in t.aminmax()) if t.numel() else (0, 0)
        if low < 0 or high > self.T:
            raise ValueError(f"t runs from {low} to {high}; this schedule has t = 0 ... {self.T}")
        return t

    def times(self, steps: int, spacing: str = "trailing") -> Tensor:
        """The times of a walk of so many steps, the first to the last, (steps + 1,): the last is 0, the clean data.

        "trailing" spaces the steps evenly from T to 0: 1000, 980, ..., 20, 0 (50 of T = 1000). "linspace" asks at even
        times from T to 1: 1000, 980, 959, ..., 21, 1, 0; its last step hardly moves. "leading" counts up from 1 by
        T // steps: 981, 961, ..., 21, 1, 0; it never sees x_T, which it is given (Lin et al. 2024, table 2).
        """
        if not is_integer(steps) or not 1 <= steps <= self.T:
            raise ValueError(f"steps = {steps!r}; expected a whole number from 1 to T = {self.T}")
        if spacing not in SPACINGS:
            raise ValueError(f"spacing = {spacing!r}; expected one of {', '.join(map(repr, SPACINGS))}")
        asked = SPACINGS[spacing](self.T, steps)
        return torch.cat([asked.round().long(), torch.zeros(1, dtype=torch.long)])

    def random_times(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n times from 1 ... T, stratified: each n-th of the range gets one, so a batch sees all noise levels.

        Each time by itself is uniform on 1 ... T; only the spread within a batch is smaller (Kingma et al. 2021, I.1).
        """
        check_whole(n=n)
        u = (torch.arange(n, dtype=torch.float64) + torch.rand(1, generator=generator, dtype=torch.float64)) / n
        t = 1 + (u * self.T).long().clamp(max=self.T - 1)
        return t[torch.randperm(n, generator=generator)]

    def zero_terminal_snr(self) -> Schedule:
        """The same schedule, shifted and scaled so that signal(T) = 0 and signal(1) stays (Lin et al. 2024, alg. 1)."""
        s = self.alpha_bar.sqrt()
        if not s[1] > s[-1]:
            raise ValueError(
                f"signal(1) = signal(T) = {s[1]:g} (T = {self.T}); there is nothing between them to stretch"
            )
        s = torch.cat([s[:1], (s[1:] - s[-1]) * s[1] / (s[1] - s[-1])])
        return from_alpha_bar(s**2, name=f"{self.name}, zero terminal SNR")

    def __repr__(self) -> str:
        return f"Schedule({self.name}, T={self.T}, signal(T)={float(self.signal(self.T)):.3g})"


SPACINGS = {  # (T, steps) -> the falling times at which a denoiser is asked
    "trailing": lambda T, steps: torch.linspace(T, 0, steps + 1, dtype=torch.float64)[:-1],
    "linspace": lambda T, steps: torch.linspace(T, 1, steps, dtype=torch.float64),
    "leading": lambda T, steps: 1 + torch.arange(steps).flip(0) * (T // steps),
}


def from_beta(beta, name: str = "table") -> Schedule:
    """A schedule from any list beta_1 ... beta_T, as papers and most libraries store it (their index is our t - 1)."""
    beta = torch.as_tensor(beta, dtype=torch.float64)
    if beta.ndim != 1:
        raise ValueError(f"beta has shape {tuple(beta.shape)}; expected a list of T variances, (T,)")
    return Schedule(torch.cat([beta.new_zeros(1), beta]), name)


def from_alpha_bar(alpha_bar: Tensor, beta_max: float = 1.0, name: str = "table") -> Schedule:
    """beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, at most beta_max; alpha_bar has T + 1 rows, the first is 1."""
    alpha_bar = torch.as_tensor(alpha_bar, dtype=torch.float64)
    if alpha_bar.ndim != 1 or len(alpha_bar) < 2:
        raise ValueError(f"alpha_bar has shape {tuple(alpha_bar.shape)}; expected (T + 1,) with T at least 1")
    check_number(above=0, high=1, beta_max=beta_max)
    if alpha_bar[0] != 1:
        raise ValueError(f"alpha_bar[0] = {alpha_bar[0]:g}; row 0 is the clean data, so it must be 1")
    return from_beta((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=beta_max), name)


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """beta_t rises in equal steps from beta_1 to beta_T (Ho et al. 2020, sec. 4). Made for T = 1000."""
    check_number(low=0, high=1, beta_1=beta_1, beta_T=beta_T)
    return from_beta(torch.linspace(beta_1, beta_T, check_steps(T), dtype=torch.float64), "linear")


def cosine(T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> Schedule:
    """alpha_bar_t = f(t) / f(0), f(t) = cos^2((t/T + s) / (1 + s) pi/2)  (Nichol & Dhariwal 2021, eq. 17).

    The cap beta_max keeps alpha_bar_T above 0: 2.4e-9 for T = 1000.
    """
    check_number(low=0, s=s)
    u = torch.arange(check_steps(T) + 1, dtype=torch.float64) / T
    f = ((u + s) / (1 + s) * math.pi / 2).cos() ** 2
    return from_alpha_bar(f / f[0], beta_max, "cosine")


def sigmoid(
    T: int = 1000, start: float = -3.0, end: float = 3.0, tau: float = 1.0, beta_max: float = 0.999
) -> Schedule:
    """alpha_bar falls along a logistic curve of width tau (Jabri et al. 2022; Chen 2023)."""
    check_number(start=start)
    check_number(above=start, end=end, cure="alpha_bar falls from `start` to `end`")
    check_number(above=0, tau=tau)
    u = torch.arange(check_steps(T) + 1, dtype=torch.float64) / T
    f = torch.sigmoid(-((end - start) * u + start) / tau)
    return from_alpha_bar((f - f[-1]) / (f[0] - f[-1]), beta_max, "sigmoid")


def check_steps(T: int) -> int:
    check_whole(T=T)
    return int(T)
