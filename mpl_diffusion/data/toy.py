"""Toy data in the plane: standardised, seeded, and (the roll) known exactly."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ..checks import check_number, check_whole
from .mixture import GaussianMixture

ROLL_NOISE = 0.5  # std, in scikit-learn's own units: the sheet's thickness


def swiss_roll(n: int, seed: int = 0) -> Tensor:
    """scikit-learn's Swiss roll (noise 0.5) seen from its end, (n, 2), float32.

    Standardised by the *exact* mean and std of its distribution, so that two samples share one scale.
    """
    from sklearn.datasets import make_swiss_roll

    check_whole(n=n)
    points, _ = make_swiss_roll(n, noise=ROLL_NOISE, random_state=seed)
    shift, scale = roll_scale()
    return ((torch.from_numpy(points[:, [0, 2]].copy()) - shift) / scale).float()


def roll_curve(nodes: int) -> Tensor:
    """The roll without noise, (u cos u, u sin u) at `nodes` midpoints of u in [1.5 pi, 4.5 pi], float64."""
    u = 1.5 * math.pi * (1 + 2 * (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes)
    return torch.stack([u * u.cos(), u * u.sin()], 1)


@cache
def roll_scale() -> tuple[Tensor, Tensor]:
    """Mean and std of each coordinate of the noisy roll, exact by quadrature over its curve."""
    curve = roll_curve(100_000)
    return curve.mean(0), (curve.var(0, correction=0) + ROLL_NOISE**2).sqrt()


def exact_roll(nodes: int = 1500, classes: int | None = None) -> GaussianMixture:
    """The distribution of `swiss_roll`, as a mixture: the roll is a curve plus Gaussian noise, and the sum over evenly
    spaced nodes is the midpoint rule for the integral over the curve (mean squared error of its eps: below 1e-6 for
    400).

    `classes` cuts it into so many pieces, equally probable, the innermost first; by default each node is its own.
    """
    check_whole(nodes=nodes)
    if classes is not None:
        check_whole(high=nodes, classes=classes)
    shift, scale = roll_scale()
    weight = torch.full((nodes,), 1 / nodes, dtype=torch.float64)
    label = None if classes is None else torch.arange(nodes) * classes // nodes
    return GaussianMixture(weight, (roll_curve(nodes) - shift) / scale, torch.diag((ROLL_NOISE / scale) ** 2), label)


def moons(n: int, noise: float = 0.05, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two interleaved half circles: points (n, 2), standardised, and their class, (n,)."""
    from sklearn.datasets import make_moons

    check_whole(low=2, n=n)
    check_number(low=0, noise=noise)
    return _standardised(*make_moons(n, noise=noise, random_state=seed))


def rings(n: int, noise: float = 0.04, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A ring inside a ring: points (n, 2), standardised, and their class, (n,)."""
    from sklearn.datasets import make_circles

    check_whole(low=2, n=n)
    check_number(low=0, noise=noise)
    return _standardised(*make_circles(n, noise=noise, factor=0.45, random_state=seed))


def _standardised(points, classes) -> tuple[Tensor, Tensor]:
    x = torch.from_numpy(points)
    std = x.std(0, correction=0)
    if not (std > 1e-9).all():
        raise ValueError(f"n = {len(x)} points lie on one line and cannot be standardised; take more, or some noise")
    return ((x - x.mean(0)) / std).float(), torch.from_numpy(classes).long()
