"""What exercises are tried on: seeded random arguments in float64, and tables short enough to be written out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# 28 images of 28 columns, and 2 points in 2 dimensions: there a (B,) that should be (B, 1, ...) is silently wrong
SHAPES = {"points": [(2, 2), (28, 2)], "images": [(16, 1, 28, 28), (28, 1, 28, 28)]}
T = 40  # of the random tables


class Random:
    """Random arguments, the same in every run and whatever the notebook drew before."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def time(self) -> int:
        return int(self.times(1))

    def times(self, n: int) -> Tensor:
        return torch.randint(2, T + 1, (n,), generator=self.generator)

    def beta(self) -> Tensor:
        return torch.cat([torch.zeros(1, dtype=torch.float64), self.uniform(0.01, 0.2, T)])

    def alpha_bar(self) -> Tensor:
        return (1 - self.beta()).cumprod(0)

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """("points", (2, 2)), ... ("images", (28, 1, 28, 28))."""
        return ((kind, shape) for kind, shapes in SHAPES.items() for shape in shapes)

    def jumps(self) -> Iterator[tuple[str, tuple]]:
        """A kind and (x, t, eps, alpha_bar): points and images, with one t and with one per row."""
        alpha_bar = self.alpha_bar()
        yield "points with one t", (table(1, 0)[None], 1, table(0, 1)[None], table(1, 0.64))
        two = table(1, 1)[:, None], torch.tensor([1, 2]), table(0, 1)[:, None]
        yield "points with a batch of t", (*two, table(1, 0.64, 0.36))
        for kind, shape in self.shapes():
            for t in self.time(), self.times(shape[0]):
                many = "one t" if isinstance(t, int) else "a batch of t"
                yield f"{kind} with {many}", (self.normal(*shape), t, self.normal(*shape), alpha_bar)


def table(*rows: float) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def per_row(v: Tensor, x: Tensor) -> Tensor:
    """v, one number or one per row of x, shaped to multiply x; wrong formulas that reshape rightly use it."""
    return v.reshape(-1, *[1] * (x.ndim - 1))
