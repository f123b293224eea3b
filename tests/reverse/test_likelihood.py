"""Densities through the probability flow, against the closed form of a mixture's p_t."""

import math

import pytest
import torch

from mpl_diffusion import (
    HEUN,
    MLP,
    RK4,
    VE,
    VP,
    Denoiser,
    GaussianMixture,
    ScheduleVP,
    SubVP,
    adaptive_solver,
    bits_per_dim,
    cosine,
    linear,
    log_likelihood,
)

SDES = {"VP": VP(), "SubVP": SubVP(), "VE": VE(), "linear": ScheduleVP(linear()), "cosine": ScheduleVP(cosine())}
sdes = pytest.mark.parametrize("sde", SDES.values(), ids=SDES)

PLANE = GaussianMixture(
    torch.tensor([0.3, 0.7]).double(),
    torch.tensor([[-1.0, 0.5], [0.8, -0.4]]).double(),
    torch.tensor([[[0.09, 0.03], [0.03, 0.05]], [[0.16, -0.05], [-0.05, 0.09]]]).double(),
)


def points(sde, n=20, t=None):
    return PLANE.at(sde, sde.t_min if t is None else t).sample(n, torch.Generator().manual_seed(0))


def error(sde, x, t=None, **options):
    """The largest error in nats, with the exact prior."""
    nats = log_likelihood(PLANE.denoiser(sde), sde, x, prior=PLANE.at(sde, 1.0).log_prob, **options)
    assert nats.shape == (len(x),) and nats.dtype == x.dtype
    return float((nats - PLANE.at(sde, sde.t_min if t is None else t).log_prob(x)).abs().max())


@sdes
def test_the_likelihood_is_the_mixtures_own_to_1e_4_nats_by_default(sde):
    assert error(sde, points(sde)) < 1e-4


@pytest.mark.parametrize("name", ["VP", "SubVP", "VE", "linear"])
def test_the_likelihood_is_the_mixtures_own_to_1e_6_nats_at_a_tight_tolerance(name):
    assert error(SDES[name], points(SDES[name]), solver=adaptive_solver(1e-8)) < 1e-6


def test_100_fixed_steps_of_rk4_reach_1e_4_nats():
    """100 steps: 1e-4 nats. Other solvers of fewer stages are worse, and so are fewer steps."""
    sde = VP(t_min=0.01)
    x = points(sde)
    assert error(VP(), points(VP()), steps=100, solver=RK4) < 1e-4
    assert error(sde, x, steps=50, solver=RK4) > 4 * error(sde, x, steps=100, solver=RK4)
    assert error(sde, x, steps=100, solver=HEUN) > 10 * error(sde, x, steps=100, solver=RK4)


def test_the_walk_may_start_at_any_time_and_tells_the_density_there():
    sde = VP()
    for times in ([0.2, 1.0], [1.0, 0.6, 0.2]):
        assert error(sde, points(sde, t=0.2), t=0.2, steps=times) < 1e-4


def test_a_gaussian_on_the_line_and_in_five_dimensions_is_known_too():
    sde = VP()
    for D in (1, 5):
        data = GaussianMixture(torch.ones(1).double(), torch.full((1, D), 0.5).double(), 0.25 * torch.eye(D).double())
        x = data.at(sde, sde.t_min).sample(5)
        nats = log_likelihood(data.denoiser(sde), sde, x, prior=data.at(sde, 1.0).log_prob)
        torch.testing.assert_close(nats, data.at(sde, sde.t_min).log_prob(x), rtol=0, atol=1e-4)


def test_the_bias_of_the_standard_normal_prior_is_what_it_differs_from_the_distribution_at_T():
    """Up to 1e-2 nats here: more than the solver's error by far. It is log N(x_1; 0, I) - log p_1(x_1)."""
    sde = VP()
    x = points(sde)
    bias = (log_likelihood(PLANE.denoiser(sde), sde, x) - PLANE.at(sde, sde.t_min).log_prob(x)).abs()
    assert 1e-3 < float(bias.max()) < 2e-2


def test_the_bias_of_starting_at_t_min_falls_with_t_min():
    """What is told is log p_{t_min}(x), not log p_0(x)."""
    x, biases = PLANE.sample(20, torch.Generator().manual_seed(0)), []
    for t_min in (1e-2, 1e-3, 1e-4):
        sde = VP(t_min=t_min)
        nats = log_likelihood(PLANE.denoiser(sde), sde, x, prior=PLANE.at(sde, 1.0).log_prob)
        biases.append(float((nats - PLANE.log_prob(x)).abs().mean()))
    assert biases[0] > 5 * biases[1] > 25 * biases[2] and biases[0] > 0.01


# ----------------------------------------------------------------------------------- Hutchinson's estimate


def linear_denoiser(A):
    return lambda x, t, cond=None: (x.flatten(1) @ A.T).reshape(x.shape)


def test_random_signs_see_a_diagonal_jacobian_exactly_and_any_other_without_bias():
    """e^T J e = sum_i J_ii + sum_{i != j} e_i e_j J_ij: in 16 dimensions, within 4 standard errors of 36 estimates."""
    sde, x = VP(t_min=0.2), torch.randn(6, 1, 4, 4).double()
    for A, tolerance in (
        (torch.diag(torch.linspace(0, 1, 16)).double(), 1e-9),
        (0.2 * torch.randn(16, 16).double(), None),
    ):
        exact = log_likelihood(linear_denoiser(A), sde, x, steps=5, solver=RK4)
        estimates = torch.stack(
            [
                log_likelihood(linear_denoiser(A), sde, x, 5, RK4, probes=1, generator=torch.Generator().manual_seed(k))
                for k in range(36)
            ]
        )
        apart = (estimates.mean(0) - exact).abs()
        assert (apart < (tolerance or 4 * estimates.std(0) / 6)).all()
        if tolerance is None:
            assert (estimates.std(0) > 0.1).all()


def test_more_probes_are_the_mean_of_their_estimates_and_repeat_with_their_seed():
    sde, x, A = VP(t_min=0.2), torch.randn(6, 1, 4, 4).double(), 0.2 * torch.randn(16, 16).double()

    def estimate(probes, seed):
        generator = torch.Generator().manual_seed(seed)
        return log_likelihood(linear_denoiser(A), sde, x, 4, RK4, probes=probes, generator=generator)

    assert torch.equal(estimate(3, 0), estimate(3, 0)) and not torch.equal(estimate(3, 0), estimate(3, 1))
    exact = log_likelihood(linear_denoiser(A), sde, x, 4, RK4)
    one, many = (torch.stack([estimate(n, k) - exact for k in range(20)]).std() for n in (1, 16))
    assert float(one / many) == pytest.approx(4, rel=0.35)


def test_an_image_network_in_float32_is_asked_for_one_derivative_per_probe():
    calls = 0

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x, t, cond=None):
            nonlocal calls
            calls += 1
            return torch.tanh(self.conv(x))

    sde = VP()
    x, net = torch.randn(2, 1, 8, 8), Denoiser(Net(), sde)
    nats = log_likelihood(net, sde, x, 10, RK4, probes=2)
    assert nats.shape == (2,) and nats.dtype == torch.float32 and nats.isfinite().all() and not nats.requires_grad
    assert calls == 40 and all(p.grad is None for p in net.parameters())


def test_the_default_works_in_float32():
    assert error(VP(), points(VP()).float()) < 1e-3


def test_a_network_is_asked_under_its_condition_also_inside_no_grad():
    sde, x = VP(), torch.randn(8, 2).double()
    net, cond = Denoiser(MLP(width=16, classes=3).double(), sde), torch.ones(8, 1, dtype=torch.long)
    nats = log_likelihood(net, sde, x, 10, RK4, cond=cond)
    with torch.no_grad():
        assert torch.equal(nats, log_likelihood(net, sde, x, 10, RK4, cond=cond))
    assert not torch.allclose(nats, log_likelihood(net, sde, x, 10, RK4), atol=1e-3)


# ----------------------------------------------------------------------------------- bits


def test_bits_per_dim_of_uniform_images_is_the_number_of_their_bits():
    """256 equally likely levels: 8 bits. As a density of 1/2 on [-1, 1], in bins of 2/256: 8 bits as well."""
    assert float(bits_per_dim(torch.tensor(784 * -math.log(256)), 784)) == pytest.approx(8, rel=1e-6)
    assert float(bits_per_dim(torch.tensor(784 * -math.log(2)), 784, bin=2 / 256)) == pytest.approx(8, rel=1e-6)


# ----------------------------------------------------------------------------------- what is refused


def exact(x, t, cond=None):
    return PLANE.denoiser(VP())(x, t)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda x: log_likelihood(exact, VP(), x, 0), r"steps = 0; expected a whole number, at least 1"),
        (lambda x: log_likelihood(exact, VP(), x, [0.0, 1.0]), r"times run from 0 to 1; expected t_min = 0.001"),
        (lambda x: log_likelihood(exact, VP(), x, [0.1, 0.9]), r"the times reach t = 0.9; expected 1"),
        (lambda x: log_likelihood(exact, linear(), x), r"has no f and g2; .*ScheduleVP\(schedule\)"),
        (lambda x: log_likelihood(exact, VP(), x, probes=0), r"probes = 0; expected None \(exact\), or a whole number"),
        (lambda x: log_likelihood(exact, VP(), x, probes=1.5), r"probes = 1.5; expected"),
        (
            lambda x: log_likelihood(lambda x, t, cond=None: x[:, :1], VP(), x),
            r"denoiser returned \(4, 1\); expected x's",
        ),
        (lambda x: log_likelihood(lambda x, t, cond=None: x * math.nan, VP(), x), r"near t = 0.001 .*dx/dt is NaN"),
        (lambda x: log_likelihood(lambda x, t, cond=None: x * math.nan, VP(), x, 5, RK4), r"ended in NaN or infinity"),
        (lambda x: log_likelihood(torch.no_grad()(exact), VP(), x), r"cannot be differentiated by x \(.*no_grad\?\)"),
    ],
)
def test_bad_input_is_named(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(torch.randn(4, 2).double())
