"""The Bayes-optimal denoiser of a finite data set: what a network would become if it could memorise all of it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_floats
from ..forward.process import Process


class EmpiricalDenoiser:
    """E[eps | x_t] when x_0 is one of the N rows of `data`, each as likely.

        x0_hat = sum_i w_i x_i,   w = softmax_i( -|x_t - signal(t) x_i|^2 / (2 noise(t)^2) )

    The lecture: reversing a step "requires access to the entire dataset". Here it has it. data: (N, D) or (N, C, H, W).
    """

    def __init__(self, data: Tensor, process: Process):
        check_floats(data=data)
        if not isinstance(process, Process):
            raise ValueError(f"process = {process!r}; expected a Process: a schedule, or an SDE")
        if data.ndim < 2 or len(data) == 0 or not torch.isfinite(data).all():
            raise ValueError(
                f"data has shape {tuple(data.shape)}; expected at least one row, (N, ...), no NaN or infinity"
            )
        self.process, self.data = process, data
        self._flat = data.flatten(1).double()  # the softmax divides by noise^2, tiny at small t: keep all digits
        self._square = (self._flat**2).sum(1)

    def weights(self, x_t: Tensor, t) -> Tensor:
        """How likely each row of the data is to have become x_t, (B, N), float64."""
        if x_t.shape[1:] != self.data.shape[1:]:
            rows, data = tuple(x_t.shape[1:]), tuple(self.data.shape[1:])
            raise ValueError(f"x_t has rows of shape {rows}; the data's are {data}")
        check_floats(finite=True, x_t=x_t)
        x = x_t.flatten(1).double()
        a, s = self.process.rates(t, x)
        if (s == 0).any():
            raise ValueError("noise(t) = 0: at t = 0 there is nothing to denoise")
        flat, square = self._flat.to(x.device), self._square.to(x.device)
        return ((a * (x @ flat.T) - 0.5 * a**2 * square) / s**2).softmax(1)

    def x0(self, x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t]: an average of the data, so it is blurred wherever several rows are likely."""
        return (self.weights(x_t, t) @ self._flat.to(x_t.device)).to(x_t).reshape(x_t.shape)

    def __call__(self, x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        x0 = (self.weights(x_t, t) @ self._flat.to(x_t.device)).reshape(x_t.shape)
        return self.process.eps_from_x0(x_t.double(), t, x0).to(x_t)
