"""Gaussian mixtures: data whose noisy marginals, scores, perfect denoiser and best possible loss are known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_floats, check_whole
from ..forward.posterior import transition
from ..forward.process import Process


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """p(x) = sum_k weight_k N(x; mean_k, cov_k).

    Under x_t = a x_0 + s eps each component stays Gaussian, N(a mean_k, a^2 cov_k + s^2 I): so everything about the
    noisy data is a formula. Conditions: id k + 1 means "from component k" (or from the components labelled k), 0 any.
    """

    weight: Tensor  # (K,), sums to 1
    mean: Tensor  # (K, D)
    cov: Tensor  # (K, D, D), or (D, D): one for all
    label: Tensor | None = None  # (K,) class of each component; by default each is its own

    def __post_init__(self):
        if self.mean.ndim != 2:
            raise ValueError(f"mean has shape {tuple(self.mean.shape)}; expected one point per component, (K, D)")
        K, D = self.mean.shape
        if self.weight.shape != (K,) or self.cov.shape not in ((K, D, D), (D, D)):
            raise ValueError(
                f"weight {tuple(self.weight.shape)}, mean {tuple(self.mean.shape)}, cov {tuple(self.cov.shape)}; "
                f"expected (K,), (K, D), and (K, D, D) or (D, D)"
            )
        if not torch.isclose(self.weight.sum(), self.weight.new_ones(())) or (self.weight < 0).any():
            raise ValueError(f"the weights sum to {float(self.weight.sum()):g}; expected shares that sum to 1")
        check_floats(finite=True, mean=self.mean)
        check_floats(weight=self.weight, cov=self.cov)
        if torch.linalg.cholesky_ex(self.cov).info.any() or not torch.isfinite(self.cov).all():
            raise ValueError(
                "a covariance is not positive definite; expected symmetric matrices with variances above 0 "
                "(a single point is a small variance, 1e-6)"
            )
        if self.label is not None and (self.label.shape != (K,) or not _whole(self.label) or (self.label < 0).any()):
            raise ValueError(
                f"label has shape {tuple(self.label.shape)}, {self.label.dtype}; expected whole numbers >= 0, ({K},)"
            )

    def at(self, process: Process, t) -> GaussianMixture:
        """The distribution of x_t: means shrink by signal(t), covariances by signal(t)^2, and noise(t)^2 I is added."""
        a, s = process.rates(t, self.mean)
        eye = torch.eye(self.mean.shape[1]).to(self.mean)
        return GaussianMixture(self.weight, a * self.mean, a**2 * self.cov + s**2 * eye, self.label)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n points, (n, D)."""
        check_whole(n=n)
        k = torch.multinomial(self.weight, n, replacement=True, generator=generator)
        z = torch.randn(n, self.mean.shape[1], generator=generator, dtype=self.mean.dtype)
        scale = torch.linalg.cholesky(self.cov)
        scale = scale[k] if scale.ndim == 3 else scale
        return self.mean[k] + (scale @ z[..., None]).squeeze(-1)

    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean (D,) and the covariance (D, D) of the whole mixture."""
        mean = self.weight @ self.mean
        apart = self.mean - mean
        within = self.cov if self.cov.ndim == 2 else torch.einsum("k,kij->ij", self.weight, self.cov)
        return mean, within + torch.einsum("k,ki,kj->ij", self.weight, apart, apart)

    def log_prob(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """log p(x) in nats, (B, D) -> (B,)."""
        return self._joint(x, cond).logsumexp(1)

    def responsibility(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """p(component k | x), (B, K)."""
        return self._joint(x, cond).softmax(1)

    def score(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """grad_x log p(x) = sum_k p(k | x) cov_k^-1 (mean_k - x), (B, D)."""
        r, mean, cov = self.responsibility(x, cond), self.mean.to(x), self.cov.to(x)
        if cov.ndim == 2:
            return torch.linalg.solve(cov, (r @ mean - x).T).T
        pull = (mean[:, None] - x) @ torch.linalg.inv(cov)  # (K, B, D)
        return torch.einsum("bk,kbd->bd", r, pull)

    def denoiser(self, process: Process):
        """The best denoiser there is, E[eps | x_t] = -noise(t) score_t(x_t), as a function of (x_t, t, cond)."""

        def exact(x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
            if not (isinstance(t, Tensor) and t.ndim):
                return process.eps_from_score(self.at(process, t).score(x_t, cond), t)
            process.rates(t, x_t)  # refuses times that are not one per row
            eps = torch.empty_like(x_t)
            for one in t.unique():  # each noise level is another mixture
                rows = t == one
                eps[rows] = exact(x_t[rows], one, None if cond is None else cond[rows])
            return eps

        return exact

    def _joint(self, x: Tensor, cond: Tensor | None) -> Tensor:
        """log(weight_k N(x; mean_k, cov_k)), (B, K); minus infinity where cond excludes the component."""
        D = self.mean.shape[1]
        if x.ndim != 2 or x.shape[1] != D:
            raise ValueError(f"x has shape {tuple(x.shape)}; this mixture lives on points, (B, {D})")
        check_floats(finite=True, x=x)
        scale, mean = torch.linalg.cholesky(self.cov).to(x), self.mean.to(x)
        log_det = scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        if scale.ndim == 2:  # one covariance: whiten both once, then distances are a matrix product
            y, m = (torch.linalg.solve_triangular(scale, p.T, upper=False).T for p in (x, mean))
            square = (y**2).sum(1, keepdim=True) - 2 * y @ m.T + (m**2).sum(1)
        else:
            white = torch.linalg.solve_triangular(scale, torch.eye(D).to(scale), upper=False)
            square = (((x - mean[:, None]) @ white.mT) ** 2).sum(-1).T
        log_weight = self.weight.to(x).log()
        if cond is not None:
            log_weight = log_weight + self._allowed(cond.to(x.device), len(x)).to(x).log()
            log_weight = log_weight - log_weight.logsumexp(1, keepdim=True)
        return log_weight - 0.5 * (square + D * math.log(2 * math.pi)) - log_det

    def _allowed(self, cond: Tensor, rows: int) -> Tensor:
        """Which components the ids (B, L) allow, (B, K)."""
        label = (torch.arange(len(self.weight)) if self.label is None else self.label).to(cond.device)
        if not _whole(cond):
            raise ValueError(f"cond is {cond.dtype}; expected whole ids, ({rows}, 1)")
        if cond.ndim != 2 or len(cond) != rows or cond.shape[1] != 1 or cond.max() > label.max() + 1 or cond.min() < 0:
            raise ValueError(
                f"cond has shape {tuple(cond.shape)} and ids {int(cond.min())} ... {int(cond.max())}; expected "
                f"({rows}, 1) and ids 0 ... {int(label.max()) + 1}, where 0 means any and k + 1 means class k"
            )
        allowed = (cond == 0) | (cond == label + 1)
        if not allowed.any(1).all():
            empty = cond[~allowed.any(1)][0].item()
            raise ValueError(f"cond asks for id {empty}, and no component is labelled {empty - 1}")
        return allowed


def _whole(ids: Tensor) -> bool:
    return not (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)


def mixture_1d(weight, mean, std) -> GaussianMixture:
    """A mixture on the line, from three lists of K numbers; float64."""
    weight, mean, std = (torch.as_tensor(v, dtype=torch.float64) for v in (weight, mean, std))
    if not (weight.ndim == 1 and weight.shape == mean.shape == std.shape):
        shapes = ", ".join(str(tuple(v.shape)) for v in (weight, mean, std))
        raise ValueError(f"weight, mean and std have shapes {shapes}; expected three lists of K numbers each")
    if not (std > 0).all():
        raise ValueError(f"std = {std.tolist()}; expected standard deviations above 0")
    return GaussianMixture(weight, mean[:, None], (std**2)[:, None, None])


def exact_reverse(data: GaussianMixture, process: Process, x_t: Tensor, t, s) -> GaussianMixture:
    """q(x_s | x_t) of one point x_t, (D,), exactly: again a mixture, each component by Bayes' rule (a Kalman step).

    With component N(m, C) of p_s and x_t = ratio x_s + sqrt(beta) z:

        N( m + gain (x_t - ratio m),  C - ratio gain C ),      gain = ratio C (ratio^2 C + beta I)^-1

    weighted by p(component | x_t). float64.
    """
    D = data.mean.shape[1]
    if x_t.shape != (D,):
        raise ValueError(f"x_t has shape {tuple(x_t.shape)}; expected one point, ({D},)")
    check_floats(finite=True, x_t=x_t)
    ratio, beta = transition(process, t, s)
    x_t, at_s, at_t = x_t.double(), data.at(process, s), data.at(process, t)
    mean, cov = at_s.mean.double(), at_s.cov.double().expand(len(data.weight), D, D)
    spread = ratio**2 * cov + beta * torch.eye(D, dtype=torch.float64)
    gain = torch.linalg.solve(spread, ratio * cov).mT  # both are symmetric
    mean = mean + (gain @ (x_t - ratio * mean)[..., None]).squeeze(-1)
    cov = beta * torch.linalg.solve(spread, cov)  # C - ratio gain C, without the difference
    return GaussianMixture(at_t.responsibility(x_t[None])[0], mean, (cov + cov.mT) / 2, data.label)


def moment_matched_gaussian(p: GaussianMixture) -> GaussianMixture:
    """The Gaussian closest to p, the minimum of KL(p || N): it has p's mean and covariance. A mixture of one."""
    mean, cov = p.moments()
    return GaussianMixture(torch.ones_like(p.weight[:1]), mean[None], cov)


def kl_divergence(p: GaussianMixture, q: GaussianMixture) -> float:
    """KL(p || q) = E_p[log p - log q] in nats, for D = 1 or 2.

    The trapezoidal rule over 9 standard deviations around each component of p, with 2,001 nodes in 1-D and 201^2 in
    2-D: exact to about 1e-12 unless a component is a hundred times narrower than one it lies in.
    """
    D = p.mean.shape[1]
    if D not in (1, 2) or q.mean.shape[1] != D:
        raise ValueError(f"p lives in {D} and q in {q.mean.shape[1]} dimensions; expected both in 1, or both in 2")
    u = torch.linspace(-9, 9, 2001 if D == 1 else 201, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[u] * D).reshape(-1, D)
    share = (-0.5 * (nodes**2).sum(1)).exp() * (float(u[1] - u[0]) / math.sqrt(2 * math.pi)) ** D
    total = 0.0
    for weight, mean, cov in zip(p.weight, p.mean, p.cov.expand(len(p.weight), D, D)):
        x = mean.double() + nodes @ torch.linalg.cholesky(cov.double()).T
        total += float(weight * (share @ (p.log_prob(x) - q.log_prob(x))))
    return total
