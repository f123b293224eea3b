"""The same processes in continuous time, as stochastic differential equations (Y. Song et al. 2021).

    dx = f(t) x dt + g(t) dw,     t from 0 (data) to 1 (noise)

f is the rate at which x shrinks, g^2 the rate at which variance comes in. Both follow from the two rates of a Process:

    f = d/dt log signal,      g^2 = d/dt noise^2 - 2 f noise^2

All times are in units of the whole walk: step k of a table of T steps is t = k / T, and its beta_k is a *rate*
T beta_k here: DDPM's 1e-4 ... 0.02 become 0.1 ... 20. The score is infinite at t = 0, where there is no noise, so
solvers stop at t_min. What is left there is noise of std noise(t_min); `ddim(..., steps=[sde.t_min, 0.0])` is the last
step to x0_hat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..checks import check_floats, check_number, check_whole, is_integer
from .process import Process
from .schedules import Schedule


@dataclass(frozen=True, eq=False)
class SDE(Process):
    """A process that also knows f and g^2. Subclasses give `signal`, `noise`, `f` and `g2`: float64, in t's shape."""

    T = 1.0
    t_min: float = field(default=1e-3, kw_only=True)  # where solvers and training times stop

    def __post_init__(self):
        if not 0 < self.t_min < 1:
            raise ValueError(f"t_min = {self.t_min!r}; expected a time between 0 and 1, near 0")

    def f(self, t) -> Tensor:
        """The drift is f(t) x; at most 0, in units of 1 / (the whole walk)."""
        raise NotImplementedError

    def g2(self, t) -> Tensor:
        """g(t)^2: the variance that comes in per unit of t."""
        raise NotImplementedError

    def flow(self, t) -> tuple[float, float]:
        """f(t) and c(t) = g(t)^2 / (2 noise(t)): the probability flow is dx/dt = f x + c eps (eq. 13)."""
        noise = float(self.noise(t))
        if noise == 0:
            raise ValueError(
                f"noise(t) = 0 at t = {float(t):g}: the flow is infinite there; stop at t_min = {self.t_min:g}"
            )
        return float(self.f(t)), float(self.g2(t)) / (2 * noise)

    def times(self, steps: int) -> Tensor:
        """1 = t_0 > ... > t_steps = t_min, evenly spaced, float64."""
        check_whole(steps=steps)
        return torch.linspace(1, self.t_min, steps + 1, dtype=torch.float64)

    def random_times(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n times from t_min to 1, stratified as a schedule's: each by itself is uniform (Kingma et al. 2021, I.1)."""
        check_whole(n=n)
        u = (torch.arange(n, dtype=torch.float64) + torch.rand(1, generator=generator, dtype=torch.float64)) / n
        t = self.t_min + (1 - self.t_min) * u
        return t[torch.randperm(n, generator=generator)]

    def rates(self, t, x: Tensor) -> tuple[Tensor, Tensor]:
        """See Process.rates. A Python float keeps all its digits, which torch alone would round to float32."""
        return super().rates(torch.as_tensor(t, dtype=torch.float64, device="cpu"), x)

    def prior_log_prob(self, x: Tensor) -> Tensor:
        """log N(x; 0, (signal(1)^2 + noise(1)^2) I) in nats, (B, ...) -> (B,): the density of `prior`."""
        check_floats(finite=True, x=x)
        variance = float(self.signal(1.0) ** 2 + self.noise(1.0) ** 2)
        return -0.5 * (x**2 / variance + math.log(2 * math.pi * variance)).flatten(1).sum(1)


class VariancePreserving(SDE):
    """signal^2 + noise^2 = 1: f = -beta/2 and g^2 = beta (eq. 11). Subclasses give `beta` and `log_alpha_bar`."""

    def beta(self, t) -> Tensor:
        """The rate -d/dt log alpha_bar(t)."""
        raise NotImplementedError

    def log_alpha_bar(self, t) -> Tensor:
        """log signal(t)^2 = -(the integral of beta from 0 to t)."""
        raise NotImplementedError

    def alpha_bar(self, t) -> Tensor:
        """signal(t)^2."""
        return self.log_alpha_bar(t).exp()

    def signal(self, t) -> Tensor:
        """sqrt(alpha_bar)."""
        return (0.5 * self.log_alpha_bar(t)).exp()

    def noise(self, t) -> Tensor:
        """sqrt(1 - alpha_bar), a standard deviation; expm1 keeps its digits near t = 0."""
        return (-self.log_alpha_bar(t).expm1()).sqrt()

    def f(self, t) -> Tensor:
        return -0.5 * self.beta(t)

    def g2(self, t) -> Tensor:
        return self.beta(t)


@dataclass(frozen=True, eq=False)
class VP(VariancePreserving):
    """beta(t) = beta_min + t (beta_max - beta_min): what DDPM's linear table becomes as T grows (eq. 32 and 33)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        super().__post_init__()
        check_number(low=0, beta_min=self.beta_min)
        check_number(low=self.beta_min, beta_max=self.beta_max, cure="beta_min comes first")
        check_number(above=0, beta_max=self.beta_max)

    def beta(self, t) -> Tensor:
        return self.beta_min + clock(t) * (self.beta_max - self.beta_min)

    def log_alpha_bar(self, t) -> Tensor:
        t = clock(t)
        return -self.beta_min * t - 0.5 * (self.beta_max - self.beta_min) * t**2


class SubVP(VP):
    """VP's signal with less noise, noise(t) = 1 - alpha_bar(t): a std, not its square (eq. 28 and 29)."""

    def noise(self, t) -> Tensor:
        return -self.log_alpha_bar(t).expm1()

    def g2(self, t) -> Tensor:
        return self.beta(t) * -(2 * self.log_alpha_bar(t)).expm1()


@dataclass(frozen=True, eq=False)
class VE(SDE):
    """Variance exploding: x_0 is never shrunk, and its noise grows by the same factor in equal times (eq. 30 and 31).

        noise(t)^2 = sigma(t)^2 - sigma_min^2,      sigma(t) = sigma_min (sigma_max / sigma_min)^t

    So x_0 is the clean data. (Song's code drops the -sigma_min^2: a std larger by at most sigma_min.)
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self):
        super().__post_init__()
        check_number(above=0, sigma_min=self.sigma_min)
        check_number(above=self.sigma_min, sigma_max=self.sigma_max, cure="sigma_min comes first")

    def signal(self, t) -> Tensor:
        return torch.ones_like(clock(t))

    def noise(self, t) -> Tensor:
        return self.sigma_min * (2 * self._growth * clock(t)).expm1().sqrt()

    def f(self, t) -> Tensor:
        return torch.zeros_like(clock(t))

    def g2(self, t) -> Tensor:
        return 2 * self._growth * self.sigma_min**2 * (2 * self._growth * clock(t)).exp()

    @property
    def _growth(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True, eq=False)
class ScheduleVP(VariancePreserving):
    """A schedule read in continuous time, equal to its table at every t = k / T.

    Between two rows log alpha_bar is a monotone cubic (Fritsch & Carlson 1980), so that beta(t) is continuous and never
    negative: solvers of high order need that. Over step k it averages -T log(1 - beta_k), a little more than T beta_k.
    A network trained on the schedule is read in continuous time as well:
    `Denoiser(trained.net, ScheduleVP(schedule), trained.predicts)`, for it sees time on the scale 0 ... 1000 in both.
    t_min is 1 / T, the least noise that such a network has seen.
    """

    schedule: Schedule
    t_min: float | None = field(default=None, kw_only=True)

    def __post_init__(self):
        if self.t_min is None:
            object.__setattr__(self, "t_min", 1 / max(self.schedule.T, 2))
        super().__post_init__()
        rows = self.schedule.alpha_bar.log()
        if not rows.isfinite().all():
            raise ValueError(f"{self.schedule} ends with signal = 0: no finite rate brings x there in continuous time")
        rise = rows.diff()  # of each step; all <= 0
        slope = torch.maximum((rise[:-1] + rise[1:]) / 2, 3 * torch.maximum(rise[:-1], rise[1:]))  # <= 0 all the way
        first, last = (2 * rise[[0, -1]] - slope[[0, -1]]).clamp(max=0) if len(slope) else rise[[0, 0]]
        d, d_next = torch.cat([first[None], slope]), torch.cat([slope, last[None]])
        cubic = torch.stack([rows[:-1], d, 3 * rise - 2 * d - d_next, d + d_next - 2 * rise])
        object.__setattr__(self, "_cubic", cubic)  # (4, T): its coefficients in each step

    def beta(self, t) -> Tensor:
        (_, d, q, c), u = self._step(t)
        return -self.schedule.T * (d + u * (2 * q + u * 3 * c))

    def log_alpha_bar(self, t) -> Tensor:
        (row, d, q, c), u = self._step(t)
        return row + u * (d + u * (q + u * c))

    def _step(self, t) -> tuple[Tensor, Tensor]:
        """The cubic of the step that t lies in, and the share of the step which is done."""
        t = clock(t) * self.schedule.T
        k = t.detach().long().clamp(max=self.schedule.T - 1)
        return self._cubic[:, k], t - k


def clock(t) -> Tensor:
    """t as checked float64 on the host, 0 <= t <= 1."""
    t = torch.as_tensor(t, dtype=torch.float64, device="cpu")
    inside = (t >= 0) & (t <= 1)  # False for NaN
    if not inside.all():
        raise ValueError(f"t = {float(t[~inside][0]):g}; an SDE has t from 0 (data) to 1 (noise): step k of T is k / T")
    return t


def solver_times(sde: SDE, steps: int | Sequence) -> Tensor:
    """The times of a walk, float64: `sde.times(steps)` for a number, or a checked list, rising or falling."""
    if not isinstance(sde, SDE):
        raise ValueError(f"{sde!r} has no f and g2; read a schedule in continuous time with ScheduleVP(schedule)")
    if is_integer(steps):
        return sde.times(steps)
    times = torch.as_tensor(steps, dtype=torch.float64, device="cpu")
    if times.ndim != 1 or len(times) < 2 or not ((times.diff() > 0).all() or (times.diff() < 0).all()):
        raise ValueError(f"times = {times.tolist()}; expected at least two, all rising or all falling")
    if not ((times >= sde.t_min) & (times <= 1)).all():
        raise ValueError(
            f"times run from {float(times[0]):g} to {float(times[-1]):g}; expected t_min = {sde.t_min:g} <= t <= 1 "
            f"(`ddim(..., steps=[sde.t_min, 0.0])` is the last step, to x0_hat)"
        )
    return times
