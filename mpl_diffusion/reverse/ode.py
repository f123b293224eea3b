"""Ordinary differential equations dx/dt = velocity(x, t): a solver is a function (velocity, x, t, h) -> x(t + h).

An explicit Runge-Kutta method is its Butcher tableau, and a step with any of them is one loop; `adaptive_solver`
makes a solver that chooses its own steps. x is a tensor of any shape and float dtype, t and h are numbers, and h < 0
goes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..checks import check_number

Velocity = Callable[[Tensor, float], Tensor]  # dx/dt, in x's shape
Solver = Callable[[Velocity, Tensor, float, float], Tensor]  # (velocity, x, t, h) -> x(t + h)


class Tableau(NamedTuple):
    """An explicit Runge-Kutta method (Hairer, Norsett & Wanner 1993, sec. II.1); called, it makes one step."""

    order: int  # the error after a fixed time is O(h^order)
    c: tuple[float, ...]  # when each stage is evaluated, in units of h
    a: tuple[tuple[float, ...], ...]  # how it is reached from the stages before
    b: tuple[float, ...]  # how the stages are weighted in the end
    error: tuple[float, ...] = ()  # b minus the weights of the embedded method of order - 1, if there is one

    def __call__(self, velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
        return rk_step(velocity, x, t, h, self)


EULER = Tableau(1, c=(0,), a=((),), b=(1,))
MIDPOINT = Tableau(2, c=(0, 1 / 2), a=((), (1 / 2,)), b=(0, 1))
HEUN = Tableau(2, c=(0, 1), a=((), (1,)), b=(1 / 2, 1 / 2))
RK4 = Tableau(4, c=(0, 1 / 2, 1 / 2, 1), a=((), (1 / 2,), (0, 1 / 2), (0, 0, 1)), b=(1 / 6, 1 / 3, 1 / 3, 1 / 6))
DORMAND_PRINCE = Tableau(  # Dormand & Prince 1980, table 2: its last stage is the first one of the next step
    order=5,
    c=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    b=(35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0),
    error=(71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
)


def rk_step(velocity: Velocity, x: Tensor, t: float, h: float, tableau: Tableau) -> Tensor:
    """One step from t to t + h:  x + h sum_i b_i k_i."""
    _check_span(t, h)
    return _along(x, h, tableau.b, _stages(velocity, x, t, h, tableau))


def integrate(velocity: Velocity, x: Tensor, times: Sequence[float], solver: Solver = RK4) -> Iterator[tuple]:
    """Solve from times[0] through each of the others, and yield (t, x) on every arrival; times may rise or fall.

    A ValueError if there are fewer than two times, one is NaN or infinite, or x ends in NaN or infinity.
    """
    times = [float(t) for t in times]
    if len(times) < 2 or not all(math.isfinite(t) for t in times):
        raise ValueError(f"times = {times}; expected at least two finite ones: where to start and where to arrive")
    return _integrate(velocity, x, times, solver)


def adaptive_solver(tolerance: float = 1e-6) -> Solver:
    """A solver that makes as many Dormand-Prince steps from t to t + h as it needs:

        |error_i| <= tolerance (1 + |x_i|)      for every entry x_i, in each step

    `error` is the difference of the orders 5 and 4, and the next step's size is 0.9 (allowed / error)^(1/5) of this
    one's, within a factor of 5 (Hairer, Norsett & Wanner 1993, eq. II.4.13). All rows of x share their steps. The
    tolerance is per step, not for the end; below about 1e-6 it needs float64. A ValueError if the steps shrink to
    nothing, at a pole or where the velocity is NaN.
    """
    check_number(above=0, tolerance=tolerance)

    def solver(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
        _check_span(t, h)
        end, smallest, h = t + h, 1e-12 * abs(h), h / 10
        first = velocity(x, t)
        while t != end:
            last = abs(end - t) <= 1.01 * abs(h)
            h = end - t if last else h
            k = _stages(velocity, x, t, h, DORMAND_PRINCE, first)
            x_next = _along(x, h, DORMAND_PRINCE.b, k)
            error = _along(torch.zeros_like(x), h, DORMAND_PRINCE.error, k)
            ratio = float((error / (1 + torch.maximum(x.abs(), x_next.abs()))).abs().max()) / tolerance
            if ratio <= 1:
                t, x, first = end if last else t + h, x_next, k[-1]
            finite = ratio < float("inf")  # False for NaN
            h *= min(5.0, max(0.2, 0.9 * max(ratio, 1e-9) ** -0.2)) if finite else 0.2
            if abs(h) < smallest:
                why = f"tolerance {tolerance:g} cannot be met" if finite else "dx/dt is NaN or infinite"
                raise ValueError(f"near t = {t:g} the step shrank to {abs(h):.0e}: {why} there")
        return x

    return solver


ADAPTIVE = adaptive_solver()


def _integrate(velocity, x, times, solver):
    for t, t_next in pairwise(times):
        x = solver(velocity, x, t, t_next - t)
        if t_next == times[-1] and not x.isfinite().all():
            raise ValueError("the walk ended in NaN or infinity: the velocity, or the start, is not finite")
        yield t_next, x


def _stages(velocity, x, t, h, tableau, first: Tensor | None = None) -> list[Tensor]:
    """k_i = velocity(x + h sum_j a_ij k_j, t + c_i h); the first one may be known."""
    k = [] if first is None else [first]
    for c, a in list(zip(tableau.c, tableau.a))[len(k) :]:
        k.append(velocity(_along(x, h, a, k), t + c * h))
    for k_i in k:
        if k_i.shape != x.shape:
            raise ValueError(f"dx/dt has shape {tuple(k_i.shape)}; expected x's {tuple(x.shape)}")
    return k


def _check_span(t: float, h: float) -> None:
    if not (math.isfinite(t) and math.isfinite(h)):
        raise ValueError(f"a step from t = {t:g} by h = {h:g}; expected finite times")


def _along(x, h, weights, k) -> Tensor:
    """x + h sum_i w_i k_i."""
    for w, k_i in zip(weights, k):
        if w:
            x = torch.add(x, k_i, alpha=h * w)
    return x
