"""Functions that take a denoiser and return a denoiser. Samplers never know."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from .process import Process


def edit_x0(denoiser, process: Process, edit: Callable[[Tensor], Tensor]):
    """Change the predicted clean sample, x0_hat -> edit(x0_hat), and hand back the noise that goes with it.

    eps is derived anew from the edited x0_hat, so the two stay consistent with x_t (as guided-diffusion does;
    diffusers' `clip_sample` keeps the old eps unless `use_clipped_model_output` is set). `edit` may work in place.
    """

    def edited(x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        eps = denoiser(x_t, t, cond)
        if isinstance(t, Tensor):
            return process.eps_from_x0(x_t, t, edit(process.x0_from_eps(x_t, t, eps)))
        signal, noise = _rates(process, t)
        x0 = edit(torch.add(x_t, eps, alpha=-noise).div_(signal))
        return torch.add(x_t, x0, alpha=-signal).div_(noise)

    if hasattr(denoiser, "x0"):  # asked where signal = 0
        edited.x0 = lambda x_t, t, cond=None: edit(denoiser.x0(x_t, t, cond))
    return edited


def clamp(denoiser, process: Process, low: float = -1.0, high: float = 1.0):
    """Keep x0_hat within the data's range, [-1, 1] for images."""
    if not low < high:
        raise ValueError(f"low = {low:g}, high = {high:g}; expected low < high")
    return edit_x0(denoiser, process, lambda x0: x0.clamp_(low, high))


@lru_cache(maxsize=4096, typed=True)
def _rates(process: Process, t) -> tuple[float, float]:
    """Both rates as numbers, looked up once: between two calls of a small network it would be half the time."""
    signal, noise = float(process.signal(t)), float(process.noise(t))
    if signal == 0:
        raise ValueError(f"signal({t}) = 0: eps cannot tell x_0 there, so there is no x0_hat to edit")
    return signal, noise
