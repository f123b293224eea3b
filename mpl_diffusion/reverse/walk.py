"""What every sampler is made of: steps, times, noise, one call of the denoiser, one fused update of x."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral

import torch
from torch import Tensor

from ..checks import check_floats
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


def walk_times(process: Process, steps: int | Sequence) -> Tensor:
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
    if isinstance(noise, int | float):
        raise ValueError(f"noise = {noise!r}; expected a generator: `noise=torch.Generator().manual_seed({noise})`")
    recorded = iter(noise)

    def next_recorded(x: Tensor) -> Tensor:
        z = next(recorded, None)
        if z is None or z.shape != x.shape:
            what = "none is left" if z is None else f"the next has shape {tuple(z.shape)}"
            raise ValueError(f"recorded noise: {what}; expected one tensor of shape {tuple(x.shape)} per noisy step")
        return z.to(x, copy=True)

    return next_recorded


def step_rates(process: Process, times: Tensor):
    """(signal, noise) at the start of each step, and at its end."""
    a, s = process.signal(times).double(), process.noise(times).double()
    return (a[:-1], s[:-1]), (a[1:], s[1:])


def affine_walk(denoiser, x, times, arrivals, rates, on_x, on_prediction, sigma, cond, noise) -> Iterator[Step]:
    """x' = on_x x + on_prediction prediction + sigma z, once for each of `times`; the prediction is that of `predict`.

    All tables are (steps,), float64 on the host; rates are signal and noise at `times`.
    """
    check_floats(x=x)
    (a, s), clock = (rate.tolist() for rate in rates), host_times(times)
    on_x, on_prediction, sigma, arrivals = on_x.tolist(), on_prediction.tolist(), sigma.tolist(), arrivals.tolist()
    x, z, no_grad = x.detach(), noise_source(noise), torch.no_grad()
    for i, t in enumerate(clock):
        with no_grad:  # not around the whole loop: what the caller does between two steps is the caller's
            prediction = predict(denoiser, x, t, cond, a[i])
            x0 = partial(x0_from_prediction, x, prediction, a[i], s[i])
            if sigma[i] > 0:
                x = z(x).mul_(sigma[i]).add_(x, alpha=on_x[i])
            else:
                x = torch.mul(x, on_x[i])
            x.add_(prediction, alpha=on_prediction[i])
        if i == len(clock) - 1:
            check_finite(x)
        yield Step(arrivals[i], x, x0)


def host_times(times: Tensor) -> list:
    """Times as a denoiser is given them: whole numbers, or float64 tensors (torch would round a float to float32)."""
    return list(times) if times.is_floating_point() else times.tolist()


def predict(denoiser: Denoise, x: Tensor, t, cond: Tensor | None, signal: float) -> Tensor:
    """What the denoiser tells about x at time t, in x's shape: eps, or x0_hat where signal = 0 and eps is no help."""
    prediction = denoiser(x, t, cond) if signal else _x0_at_no_signal(denoiser, x, t, cond)
    if prediction.shape != x.shape:
        raise ValueError(f"at t = {t} the denoiser returned {tuple(prediction.shape)}; expected x's {tuple(x.shape)}")
    return prediction


def check_finite(x: Tensor) -> None:
    if not x.sum(dtype=torch.float32).isfinite():  # a NaN anywhere on the way is still there now
        raise ValueError("the walk ended in NaN or infinity: the denoiser's answers, or x_T, are not finite")


def x0_from_prediction(x: Tensor, prediction: Tensor, signal: float, noise: float) -> Tensor:
    """The clean sample that a result of `predict` implies."""
    return (x - noise * prediction) / signal if signal else prediction.clone()


def _x0_at_no_signal(denoiser, x, t, cond) -> Tensor:
    if not hasattr(denoiser, "x0"):
        raise ValueError(
            f"signal({t}) = 0: x_T is pure noise, and eps cannot tell x_0 there. Start the walk later "
            f"(steps=[{t - 1}, ..., 0]), or give a denoiser with its own `x0(x, t, cond)`: Denoiser(..., predicts='v')"
        )
    return denoiser.x0(x, t, cond)
