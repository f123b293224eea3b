"""A network for points in the plane (or any few dimensions)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import silu

from ..checks import check_rows, check_whole
from .time import time_features


class MLP(nn.Module):
    """Points (B, D), times (B,) on the scale 0 ... 1000, ids (B, L) or none -> (B, D).

    `depth` residual layers of `width` SiLU units; time, as `time_dim` sinusoids, and condition are added to the first
    of them. With `classes` > 0 it also reads ids: 0 means "nothing", a class k has id k + 1.
    """

    def __init__(self, dim: int = 2, width: int = 64, depth: int = 4, time_dim: int = 32, classes: int = 0):
        super().__init__()
        check_whole(dim=dim, width=width)
        check_whole(low=0, depth=depth, classes=classes)
        check_whole(low=2, time_dim=time_dim)
        self.dim, self.time_dim = dim, time_dim
        self.x, self.t = nn.Linear(dim, width), nn.Linear(time_dim, width)
        self.cond = nn.Embedding(classes + 1, width, padding_idx=0) if classes else None
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.out = nn.Linear(width, dim)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"x has shape {tuple(x.shape)}; this MLP reads points, (B, {self.dim})")
        check_rows(x, t, cond)
        h = self.x(x) + self.t(time_features(t, self.time_dim))
        if cond is not None:
            if self.cond is None:
                raise ValueError("cond was given, but this MLP was built with classes=0")
            h = h + self.cond(cond).sum(1)
        for layer in self.hidden:
            h = h + layer(silu(h))
        return self.out(silu(h))
