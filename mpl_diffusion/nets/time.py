"""Time as a network sees it: sinusoids of many frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_number, check_whole


def time_features(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoidal features of t, (B,) -> (B, dim): [cos(t w_i), sin(t w_i)], w_i = max_period^(-i / (dim/2)).

    Neighbouring times get similar features, far ones different ones, at every scale from 1 step to all of them
    (Vaswani et al. 2017, sec. 3.5; Ho et al. 2020, appendix B). t is expected on the scale 0 ... 1000.
    """
    check_whole(low=2, dim=dim)
    check_number(above=1, max_period=max_period)
    if t.ndim != 1:
        raise ValueError(f"t has shape {tuple(t.shape)}; expected one time per row, (B,)")
    if dim % 2:
        raise ValueError(f"dim = {dim}; expected an even number: a cosine and a sine for each frequency")
    w = max_period ** (-torch.arange(dim // 2, dtype=t.dtype, device=t.device) / (dim // 2))
    angle = t[:, None] * w
    return torch.cat([angle.cos(), angle.sin()], dim=1)
