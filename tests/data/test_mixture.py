"""Gaussian mixtures: every formula against torch's own distributions, autograd, quadrature, or sampling."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mpl_diffusion import GaussianMixture, cosine, linear, mixture_1d

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SCHEDULE = linear(200)


def three(shared=False, dtype=torch.float64, label=None):
    """Three tilted, unequal components in the plane (or three with one covariance)."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(3, 2, 2, generator=rng, dtype=dtype)
    cov = root @ root.mT + 0.1 * torch.eye(2, dtype=dtype)
    mean = 2 * torch.randn(3, 2, generator=rng, dtype=dtype)
    return GaussianMixture(torch.tensor([0.2, 0.5, 0.3], dtype=dtype), mean, cov[0] if shared else cov, label)


def peer(m):
    """torch.distributions' mixture of the same numbers."""
    cov = m.cov if m.cov.ndim == 3 else m.cov.expand(len(m.weight), 2, 2)
    return MixtureSameFamily(Categorical(m.weight), MultivariateNormal(m.mean, cov))


kinds = pytest.mark.parametrize("m", [three(), three(shared=True)], ids=["a cov each", "one cov"])


@kinds
def test_log_prob_is_that_of_torch_distributions(m):
    x = 3 * torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close(m.log_prob(x), peer(m).log_prob(x), rtol=1e-11, atol=1e-11)


def test_the_density_integrates_to_1():
    m = three()
    axis = torch.linspace(-16, 16, 401, dtype=torch.float64)
    area = (axis[1] - axis[0]) ** 2
    assert float(m.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * area) == pytest.approx(1, abs=1e-8)


@kinds
@pytest.mark.parametrize("t", [0, 1, 60, 200])
def test_score_is_the_gradient_of_log_prob_at_every_t(m, t):
    marginal, x = m.at(SCHEDULE, t), 2 * torch.randn(50, 2, dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(marginal.log_prob(x).sum(), x)
    torch.testing.assert_close(marginal.score(x.detach()), gradient, rtol=1e-9, atol=1e-9)


@kinds
@pytest.mark.parametrize("t", [1, 60, 200])
def test_the_denoiser_is_minus_noise_times_the_score_and_its_x0_is_the_posterior_mean(m, t):
    x_t = torch.randn(20, 2, dtype=torch.float64)
    a, s = (float(v) for v in (SCHEDULE.signal(t), SCHEDULE.noise(t)))
    expected = []
    for x in x_t:  # E[x_0 | x_t], component by component (Bishop 2006, eq. 2.116), in plain linear algebra
        posterior, weight = [], []
        for k in range(3):
            cov = m.cov if m.cov.ndim == 2 else m.cov[k]
            spread = a**2 * cov + s**2 * torch.eye(2, dtype=torch.float64)
            weight.append(m.weight[k] * MultivariateNormal(a * m.mean[k], spread).log_prob(x).exp())
            posterior.append(m.mean[k] + a * cov @ torch.linalg.inv(spread) @ (x - a * m.mean[k]))
        expected.append(sum(w * p for w, p in zip(weight, posterior, strict=True)) / sum(weight))
    x0 = SCHEDULE.x0_from_eps(x_t, t, m.denoiser(SCHEDULE)(x_t, t))
    torch.testing.assert_close(x0, torch.stack(expected), rtol=1e-8, atol=1e-8)


@kinds
@pytest.mark.parametrize("conditional", [False, True])
def test_a_time_per_row_gives_what_each_row_gives_alone(m, conditional):
    x, t = torch.randn(30, 2, dtype=torch.float64), torch.randint(1, 201, (30,))
    t[:5] = t[0]  # some share theirs
    cond = torch.randint(0, 4, (30, 1)) if conditional else None
    denoiser = m.denoiser(SCHEDULE)
    alone = [denoiser(x[k : k + 1], int(t[k]), None if cond is None else cond[k : k + 1]) for k in range(30)]
    torch.testing.assert_close(denoiser(x, t, cond), torch.cat(alone), rtol=1e-11, atol=1e-11)


@kinds
@pytest.mark.parametrize("t", [0, 40])
def test_id_k_plus_1_means_component_k_alone_and_id_0_means_any(m, t):
    marginal, x = m.at(SCHEDULE, t), torch.randn(20, 2, dtype=torch.float64)
    for k in range(3):
        cov = marginal.cov if marginal.cov.ndim == 2 else marginal.cov[k]
        cond = torch.full((20, 1), k + 1)
        alone = MultivariateNormal(marginal.mean[k], cov)
        torch.testing.assert_close(marginal.log_prob(x, cond), alone.log_prob(x), rtol=1e-10, atol=1e-10)
        pull = (marginal.mean[k] - x) @ torch.linalg.inv(cov)
        torch.testing.assert_close(marginal.score(x, cond), pull, rtol=1e-9, atol=1e-9)
    anything = torch.zeros(20, 1, dtype=torch.long)
    torch.testing.assert_close(marginal.log_prob(x, anything), marginal.log_prob(x))
    torch.testing.assert_close(marginal.score(x, anything), marginal.score(x))


def test_labels_gather_components_into_classes():
    m = three(label=torch.tensor([0, 1, 0]))
    x = torch.randn(20, 2, dtype=torch.float64)
    class_0 = GaussianMixture(torch.tensor([0.4, 0.6]).double(), m.mean[[0, 2]], m.cov[[0, 2]])
    first, second = torch.full((20, 1), 1), torch.full((20, 1), 2)
    torch.testing.assert_close(m.log_prob(x, first), class_0.log_prob(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(m.log_prob(x, second), MultivariateNormal(m.mean[1], m.cov[1]).log_prob(x))
    assert torch.equal(m.at(SCHEDULE, 50).label, m.label)
    mixed = torch.cat([first[:10], second[:10]])
    both = torch.cat([m.score(x[:10], first[:10]), m.score(x[10:], second[:10])])
    torch.testing.assert_close(m.score(x, mixed), both)


def test_responsibilities_are_bayes_rule():
    m, x = three(), torch.randn(20, 2, dtype=torch.float64)
    each = torch.stack(
        [w * MultivariateNormal(a, c).log_prob(x).exp() for w, a, c in zip(m.weight, m.mean, m.cov, strict=True)], 1
    )
    torch.testing.assert_close(m.responsibility(x), each / each.sum(1, keepdim=True))
    torch.testing.assert_close(each.sum(1).log(), m.log_prob(x))


@kinds
def test_samples_have_the_moments_that_moments_tells(m):
    """Within 4 standard errors, each measured on the sample itself."""
    n = 40_000
    x = m.sample(n, torch.Generator().manual_seed(0))
    mean, cov = m.moments()
    assert x.shape == (n, 2) and x.dtype == torch.float64
    assert ((x.mean(0) - mean).abs() < 4 * x.std(0) / math.sqrt(n)).all()
    products = torch.einsum("ni,nj->nij", x - mean, x - mean)
    assert ((products.mean(0) - cov).abs() < 4 * products.std(0) / math.sqrt(n)).all()


@kinds
def test_moments_are_those_of_torch_distributions(m):
    mean, cov = m.moments()
    torch.testing.assert_close(mean, peer(m).mean)
    torch.testing.assert_close(cov.diagonal(), peer(m).variance)
    assert torch.equal(cov, cov.T)


def test_samples_come_from_each_component_in_its_share_and_repeat_with_their_generator():
    m = mixture_1d([0.2, 0.5, 0.3], [-10, 0, 10], [0.1, 0.2, 0.3])
    x = m.sample(10_000, torch.Generator().manual_seed(0))
    assert torch.equal(x, m.sample(10_000, torch.Generator().manual_seed(0)))
    for centre, share, std in ((-10, 0.2, 0.1), (0, 0.5, 0.2), (10, 0.3, 0.3)):
        own = x[(x - centre).abs() < 5]
        assert abs(len(own) / 10_000 - share) < 4 * math.sqrt(share * (1 - share) / 10_000)
        assert abs(float(own.std()) - std) < 4 * std / math.sqrt(2 * len(own))


@kinds
@pytest.mark.parametrize("schedule", [SCHEDULE, cosine(200)], ids=["linear", "cosine"])
def test_noisy_data_have_the_moments_of_the_distribution_at_t(m, schedule):
    mean, cov = m.moments()
    for t in (0, 50, 200):
        mean_t, cov_t = m.at(schedule, t).moments()
        a, s = schedule.signal(t), schedule.noise(t)
        torch.testing.assert_close(mean_t, a * mean)
        torch.testing.assert_close(cov_t, a**2 * cov + s**2 * torch.eye(2, dtype=torch.float64))


def test_a_mixture_on_the_line_has_the_given_means_and_standard_deviations():
    m = mixture_1d([0.25, 0.75], [-1, 2], [0.5, 0.1])
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    normal = [torch.distributions.Normal(a, torch.tensor(b, dtype=torch.float64)) for a, b in ((-1, 0.5), (2, 0.1))]
    expected = 0.25 * normal[0].log_prob(x).exp() + 0.75 * normal[1].log_prob(x).exp()
    torch.testing.assert_close(m.log_prob(x[:, None]).exp(), expected, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("device", DEVICES)
@kinds
def test_results_follow_x_in_dtype_and_device(m, device):
    exact = m.denoiser(SCHEDULE)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        x = torch.randn(20, 2, dtype=torch.float64)
        here, cond = x.to(device, dtype), torch.randint(0, 4, (20, 1), device=device)
        results = [
            m.log_prob(here),
            m.score(here),
            exact(here, 30),
            exact(here, torch.arange(1, 21)),
            exact(here, 9, cond),
        ]
        assert {(r.dtype, r.device) for r in results} == {(dtype, here.device)}
        torch.testing.assert_close(results[2].cpu().double(), exact(x, 30), rtol=0, atol=tolerance)


def test_far_away_and_tiny_components_stay_finite():
    m = GaussianMixture(torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 1e-6 * torch.eye(2))
    x = torch.tensor([[50.0, -50.0], [0.5, 0.0], [0.0, 0.0]])
    assert m.log_prob(x).isfinite().all() and m.score(x).isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixture_1d([0.5, 0.6], [0, 1], [1, 1]), r"the weights sum to 1.1; expected shares that sum to 1"),
        (lambda: mixture_1d([-0.5, 1.5], [0, 1], [1, 1]), r"the weights sum to 1; expected shares"),
        (
            lambda: GaussianMixture(torch.ones(2) / 2, torch.zeros(3, 2), torch.eye(2)),
            r"weight \(2,\), mean \(3, 2\), cov",
        ),
        (
            lambda: GaussianMixture(torch.ones(2) / 2, torch.zeros(2, 2), torch.eye(3)),
            r"expected \(K,\), \(K, D\), and",
        ),
        (lambda: three().log_prob(torch.zeros(5, 3)), r"x has shape \(5, 3\); this mixture lives on points, \(B, 2\)"),
        (lambda: three().score(torch.zeros(2).double()), r"x has shape \(2,\); this mixture lives on points"),
        (
            lambda: three().score(torch.zeros(5, 2), torch.full((5, 1), 4)),
            r"ids 4 ... 4; expected \(5, 1\) and ids 0 ... 3",
        ),
        (lambda: three().score(torch.zeros(5, 2), torch.full((5, 1), -1)), r"ids -1 ... -1"),
        (
            lambda: three().score(torch.zeros(5, 2), torch.ones(4, 1).long()),
            r"cond has shape \(4, 1\).*expected \(5, 1\)",
        ),
        (lambda: three().score(torch.zeros(5, 2), torch.ones(5).long()), r"cond has shape \(5,\).*expected \(5, 1\)"),
        (
            lambda: three().denoiser(SCHEDULE)(torch.zeros(5, 2), 201),
            r"t runs from 201 to 201; this schedule has t = 0 ... 200",
        ),
        (lambda: three().denoiser(SCHEDULE)(torch.zeros(5, 2), torch.ones(4).long()), r"t has shape \(4,\)"),
    ],
)
def test_what_is_no_mixture_no_point_and_no_id_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
