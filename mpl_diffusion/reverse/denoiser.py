"""A denoiser is any function  eps = denoiser(x_t, t, cond=None).  This is the one that learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ..checks import check_floats, check_rows, same_shape
from ..forward.process import Process


class Prediction(NamedTuple):
    """What a network is asked for, and how its answer becomes noise; x_t = a x_0 + s eps, a = signal, s = noise."""

    target: Callable  # (x0, eps, a, s) -> what the network should output
    eps: Callable  # (out, x_t, a, s) -> the noise which that output implies
    x0: Callable  # (out, x_t, a, s) -> the clean sample which it implies


PREDICTIONS = {
    "eps": Prediction(
        target=lambda x0, eps, a, s: eps,
        eps=lambda out, x_t, a, s: out,
        x0=lambda out, x_t, a, s: (x_t - s * out) / a,
    ),
    "x0": Prediction(
        target=lambda x0, eps, a, s: x0,
        eps=lambda out, x_t, a, s: (x_t - a * out) / s,
        x0=lambda out, x_t, a, s: out,
    ),
    "v": Prediction(  # a rotation of (x0, eps) wherever a^2 + s^2 = 1 (Salimans & Ho 2022, appendix D)
        target=lambda x0, eps, a, s: a * eps - s * x0,
        eps=lambda out, x_t, a, s: (s * x_t + a * out) / (a**2 + s**2),
        x0=lambda out, x_t, a, s: (a * x_t - s * out) / (a**2 + s**2),
    ),
}


class Denoiser(nn.Module):
    """eps_theta(x_t, t, cond): a network, the process that it undoes, and what it predicts: "eps", "x0" or "v".

    Called, it always answers with eps, whatever its network predicts; `.x0(x_t, t)` is the clean sample instead.
    With a schedule whose signal(T) is tiny (cosine) or 0 (zero terminal SNR) choose "v": there the noise tells
    next to nothing about x_0, and an eps network's small error is multiplied by noise/signal.

    `p_uncond` is the share of conditions that training drops, so that the network also learns what to say to "nothing"
    (Ho & Salimans 2022, alg. 1); with 0 it never does, and cannot be guided.
    """

    def __init__(self, net: nn.Module, process: Process, predicts: str = "eps", p_uncond: float = 0.1):
        super().__init__()
        if predicts not in PREDICTIONS:
            raise ValueError(f"predicts = {predicts!r}; expected one of {', '.join(map(repr, PREDICTIONS))}")
        if not callable(net):
            raise ValueError(f"net = {net!r}; expected a network, called with (x_t, t, cond)")
        if not isinstance(process, Process):
            raise ValueError(f"process = {process!r}; expected a Process: a schedule, or an SDE")
        if not 0 <= p_uncond <= 1:
            raise ValueError(f"p_uncond = {p_uncond!r}; expected a share, 0 (drop none) to 1 (drop all)")
        self.net, self.process, self.predicts, self.p_uncond = net, process, predicts, p_uncond

    def output(self, x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        """The network's raw answer. It sees time on the scale 0 ... 1000, whatever T is."""
        t = torch.as_tensor(t, dtype=x_t.dtype) * (1000 / self.process.T)
        out = self.net(x_t, t.to(x_t.device, non_blocking=True).expand(len(x_t)), cond)
        same_shape(x_t=x_t, output=out)
        return out.to(x_t.dtype)  # under autocast a network answers in half precision

    def forward(self, x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        """The predicted noise, shape of x_t."""
        return PREDICTIONS[self.predicts].eps(self.output(x_t, t, cond), x_t, *self.process.rates(t, x_t))

    def x0(self, x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        """The predicted clean sample, shape of x_t."""
        return PREDICTIONS[self.predicts].x0(self.output(x_t, t, cond), x_t, *self.process.rates(t, x_t))

    def loss(self, x0: Tensor, cond: Tensor | None = None, t=None, eps: Tensor | None = None):
        """L_simple = mean |target - output(x_t, t)|^2, t ~ uniform(1 ... T), eps ~ N(0, I)  (Ho et al. 2020, eq. 14).

        x0 (B, ...). The target is eps, x_0 or v = signal eps - noise x_0. `t` (one, or (B,)) and `eps` may be given.
        With ids `cond` (B, L), each row's are dropped, all set to 0, "nothing", with probability p_uncond.
        """
        if t is None:
            t = self.process.random_times(len(x0))
        elif (torch.as_tensor(t) <= 0).any():
            raise ValueError("t <= 0 in training: x_0 has no noise to predict; draw t from 1 ... T")
        a, s = self.process.rates(t, x0)
        eps = torch.randn_like(x0) if eps is None else eps
        same_shape(x0=x0, eps=eps)
        check_floats(eps=eps)
        if cond is not None:
            check_rows(x0, x0.flatten(1)[:, 0], cond)
            dropped = torch.rand(len(x0), device=cond.device) < self.p_uncond
            cond = cond.masked_fill(dropped[:, None], 0)
        target = PREDICTIONS[self.predicts].target(x0, eps, a, s)
        return mse_loss(self.output(a * x0 + s * eps, t, cond), target)
