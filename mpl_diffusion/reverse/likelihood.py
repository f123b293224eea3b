"""The density of a sample, exact up to the solver's error, by the change of variables along the probability flow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..checks import check_number, check_whole, is_integer
from ..forward.sde import SDE, solver_times
from .ode import ADAPTIVE, Solver, integrate
from .walk import predict


def log_likelihood(
    denoiser: Callable[..., Tensor],
    sde: SDE,
    x: Tensor,
    steps: int | Sequence = 1,
    solver: Solver = ADAPTIVE,
    prior: Callable[[Tensor], Tensor] | None = None,
    probes: int | None = None,
    cond: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log p_t(x) in nats at the time t where the walk starts, t_min unless `steps` says otherwise: (B, ...) -> (B,).

        log p_t(x) = log p_1(x_1) + integral from t to 1 of div v(x_u, u) du,   dx/du = v     (Song et al. 2021, eq. 39)

    This is the density of the data *with noise of std noise(t_min)*, not of the data: p_0 may not even have one, and
    its score is infinite. Three errors remain: the solver's (below 1e-4 nats by default on a 2-D mixture, and 1e-6 with
    solver=adaptive(1e-8) in float64), the denoiser's, and the prior's. A network is rougher in t than an exact score
    and takes 10 times as many calls: give it `adaptive_solver(1e-4)`, or fixed steps as in `steps=100, solver=RK4`.

    prior: log p_1, (B, ...) -> (B,). N(0, I) by default (`sde.prior_log_prob`), which is not quite where the data end;
    the exact one of a mixture is `data.at(sde, 1.0).log_prob`.
    probes: None differentiates once per dimension, which is exact and right for points; for images, that many random
    signs e estimate div v = E[e . J e] without bias, for one derivative each (Hutchinson 1990; Grathwohl et al. 2019).
    They are drawn once, from `generator`, and kept along the whole walk.
    """
    times = solver_times(sde, steps)
    times = times if times[0] < times[-1] else times.flip(0)
    if times[-1] != 1:
        raise ValueError(f"the times reach t = {float(times[-1]):g}; expected 1, where the prior is known")
    rows, D = x.shape[0], x[0].numel()
    if probes is None:
        directions = torch.eye(D, dtype=x.dtype, device=x.device)[:, None].expand(D, rows, D)
    elif is_integer(probes) and probes >= 1:
        signs = torch.randint(0, 2, (probes, rows, D), generator=generator)
        directions = (2 * signs - 1).to(x) / math.sqrt(probes)
    else:
        raise ValueError(f"probes = {probes!r}; expected None (exact), or a whole number of random directions from 1")

    def with_divergence(y: Tensor, t: float) -> Tensor:
        """v(x, t) and div v side by side, for y = (x, what div v has added up to), (B, D + 1)."""
        t = torch.as_tensor(t, dtype=torch.float64)
        f, c = sde.flow(t)
        x_t = y[:, :D].reshape(x.shape)
        eps, divergence = _divergence(lambda x: predict(denoiser, x, t, cond, 1.0), x_t, directions)
        return torch.cat([f * y[:, :D] + c * eps.flatten(1), (f * D + c * divergence)[:, None]], 1)

    start = torch.cat([x.detach().flatten(1), x.new_zeros(rows, 1)], 1)
    for _, end in integrate(with_divergence, start, times.tolist(), solver):
        pass
    at_end = (prior or sde.prior_log_prob)(end[:, :D].reshape(x.shape))
    if at_end.shape != (rows,):
        raise ValueError(f"the prior answers with shape {tuple(at_end.shape)}; expected one log p_1 per row, ({rows},)")
    return at_end + end[:, D]


def bits_per_dim(nats: Tensor, dims: int, bin: float = 1.0) -> Tensor:
    """-log2 of the probability of a bin, per dimension, from the log-density in nats at it.

    For images of 256 levels in [-1, 1], one level is bin = 2/255 (2/256 for dequantised ones): a density has no bits of
    its own. For log-probabilities bin = 1.
    """
    check_whole(dims=dims)
    check_number(above=0, bin=bin)
    return -nats / (dims * math.log(2)) - math.log2(bin)


def _divergence(function, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """function(x) and sum_i e_i . J e_i over the directions e (n, B, D): (B, ...), (B,)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = function(x)
        if not y.requires_grad:
            raise ValueError("the denoiser's answer cannot be differentiated by x (does it run under no_grad?)")
        total = 0
        for i, e in enumerate(directions):
            (e_J,) = torch.autograd.grad(y, x, e.reshape(x.shape), retain_graph=i < len(directions) - 1)
            total = total + (e_J.flatten(1) * e).sum(1)
    return y.detach(), total
