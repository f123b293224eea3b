"""One step back: the three forms of the posterior mean, and the true reverse step of a mixture against Bayes' rule."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mpl_diffusion import (
    VE,
    VP,
    GaussianMixture,
    ScheduleVP,
    cosine,
    ddpm,
    exact_reverse,
    kl_divergence,
    linear,
    mixture_1d,
    moment_matched_gaussian,
    posterior,
    transition,
)

PROCESSES = {"linear": linear(), "cosine": cosine(), "VP": VP(), "VE": VE(), "ScheduleVP": ScheduleVP(linear())}
processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
LINE = mixture_1d([0.3, 0.5, 0.2], [-1.5, 0.2, 1.6], [0.2, 0.4, 0.1])
PLANE = GaussianMixture(
    torch.tensor([0.3, 0.7]).double(),
    torch.tensor([[-1.0, 0.5], [0.8, -0.4]]).double(),
    torch.tensor([[[0.09, 0.03], [0.03, 0.05]], [[0.16, -0.05], [-0.05, 0.09]]]).double(),
)


def time(process, share):
    """That share of the whole walk, as a time of the process."""
    return round(share * process.T) if isinstance(process.T, int) else share


def close(a, b, rtol=1e-12, atol=1e-12):
    a, b = (torch.as_tensor(v, dtype=torch.float64) for v in (a, b))
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


# ----------------------------------------------------------------------------------- q(x_s | x_t, x_0)


def test_a_step_of_one_row_has_beta_and_beta_tilde():
    schedule = linear()
    x_t, x0 = torch.randn(2, 4, 2).double()
    for t in (2, 17, 500, 1000):
        beta, bar, bar_before = (float(v) for v in (schedule.beta[t], schedule.alpha_bar[t], schedule.alpha_bar[t - 1]))
        ratio, merged = transition(schedule, t, t - 1)
        close(ratio, math.sqrt(1 - beta))
        close(merged, beta)
        mean, variance = posterior(schedule, x_t, x0, t, t - 1)
        close(variance, (1 - bar_before) / (1 - bar) * beta)
        close(mean, (math.sqrt(bar_before) * beta * x0 + math.sqrt(1 - beta) * (1 - bar_before) * x_t) / (1 - bar))


@processes
@pytest.mark.parametrize(("late", "early"), [(0.002, 0.001), (0.3, 0.299), (0.5, 0.1), (1.0, 0.4)])
def test_the_mean_in_x0_in_eps_and_in_both_is_one_and_the_same(process, late, early):
    """To 1e-12 of the largest number that enters; eps is all the noise since x_0, not that of the step."""
    x0, eps = torch.randn(2, 6, 2).double()
    t, s = time(process, late), time(process, early)
    x_t = process.diffuse(x0, t, eps)
    ratio, beta = transition(process, t, s)
    mean, variance = posterior(process, x_t, x0, t, s)
    scale = float(1 / ratio * x_t.abs().max())
    close(mean, (x_t - beta / process.noise(t) * eps) / ratio, atol=1e-12 * scale)
    noise = (process.noise(s) ** 2 - variance).clamp(min=0).sqrt()
    close(mean, process.signal(s) * x0 + noise * eps, atol=3e-12 * scale)


@processes
def test_the_posterior_is_bayes_rule(process):
    """q(x_s | x_t, x_0) = q(x_t | x_s) q(x_s | x_0) / q(x_t | x_0), on points drawn at random."""
    t, s = time(process, 0.4), time(process, 0.3)

    def log_normal(x, mean, variance):
        return -0.5 * (x - mean) ** 2 / variance - 0.5 * torch.log(2 * math.pi * torch.as_tensor(variance))

    x0, x_s, x_t = torch.randn(3, 50, 1).double()
    ratio, beta = transition(process, t, s)
    mean, variance = posterior(process, x_t, x0, t, s)
    bayes = (
        log_normal(x_t, ratio * x_s, beta)
        + log_normal(x_s, process.signal(s) * x0, process.noise(s) ** 2)
        - log_normal(x_t, process.signal(t) * x0, process.noise(t) ** 2)
    )
    close(log_normal(x_s, mean, variance), bayes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 2), (3, 1, 4, 4)], ids=["points", "images"])
def test_one_time_per_row_works_on_points_and_images(shape, dtype):
    x_t, x0 = torch.randn(2, *shape, dtype=dtype)
    t, s = torch.tensor([1000, 500, 2]), torch.tensor([999, 100, 0])
    mean, variance = posterior(linear(), x_t, x0, t, s)
    assert mean.dtype == variance.dtype == dtype and variance.shape == (3,) + (1,) * (len(shape) - 1)
    for k in range(3):
        one, v = posterior(linear(), x_t[k : k + 1], x0[k : k + 1], int(t[k]), int(s[k]))
        close(mean[k : k + 1], one)
        close(variance[k].squeeze(), v)


def test_the_step_to_0_is_x0_itself_without_variance():
    x_t, x0 = torch.randn(2, 5, 2).double()
    mean, variance = posterior(linear(), x_t, x0, 7, 0)
    close(mean, x0)
    assert float(variance) == 0


def test_ddpm_draws_from_the_posterior_of_x0_hat():
    schedule, x, z = linear(60), torch.randn(5, 2).double(), torch.randn(5, 2).double()
    mean, variance = posterior(schedule, x, schedule.x0_from_eps(x, 40, 0.3 * x), 40, 25)
    (step,) = ddpm(lambda x, t, cond=None: 0.3 * x, schedule, x, [40, 25], noise=[z])
    close(step.x, mean + variance.sqrt() * z)


# ----------------------------------------------------------------------------------- q(x_s | x_t) of a mixture


@pytest.mark.parametrize("data", [LINE, PLANE], ids=["line", "plane"])
@processes
@pytest.mark.parametrize(("late", "early"), [(0.2, 0.1), (0.5, 0.499), (0.9, 0.1)])
def test_the_true_reverse_step_is_bayes_rule_with_the_mixtures_own_densities(data, process, late, early):
    """log q(x_s | x_t) = log q(x_t | x_s) + log p_s(x_s) - log p_t(x_t)."""
    t, s = time(process, late), time(process, early)
    D = data.mean.shape[1]
    ratio, beta = transition(process, t, s)
    x_t = torch.linspace(0.3, -0.8, D, dtype=torch.float64) * float(process.signal(t))
    q = exact_reverse(data, process, x_t, t, s)
    x_s = q.sample(40, torch.Generator().manual_seed(0))
    bayes = (
        -0.5 * ((x_t - ratio * x_s) ** 2).sum(1) / beta
        - 0.5 * D * torch.log(2 * math.pi * beta)
        + data.at(process, s).log_prob(x_s)
        - data.at(process, t).log_prob(x_t[None])
    )
    close(q.log_prob(x_s), bayes, rtol=1e-8, atol=1e-8)


@processes
def test_its_mean_is_the_posterior_mean_of_the_exact_denoisers_x0_hat(process):
    """E[x_s | x_t] is linear in E[x_0 | x_t]: DDPM's mean with a perfect network is exactly right at any step size."""
    t, s = time(process, 0.8), time(process, 0.2)
    x_t = torch.tensor([[0.3, -0.2]]).double()
    x0_hat = process.x0_from_eps(x_t, t, PLANE.denoiser(process)(x_t, torch.as_tensor(t)))
    mean, variance = posterior(process, x_t, x0_hat, t, s)
    true_mean, true_cov = exact_reverse(PLANE, process, x_t[0], t, s).moments()
    close(mean[0], true_mean, rtol=1e-6, atol=1e-6)
    assert (
        torch.linalg.eigvalsh(true_cov) >= float(variance) - 1e-12
    ).all()  # its variance is never as small as beta_tilde


def test_the_step_to_0_asks_for_p_of_x0_given_x_t():
    x_t = torch.tensor([0.4]).double()
    q, schedule = exact_reverse(LINE, linear(), x_t, 500, 0), linear()
    x0_hat = schedule.x0_from_eps(x_t[None], 500, LINE.denoiser(schedule)(x_t[None], 500))
    close(q.moments()[0], x0_hat[0], rtol=1e-9)


# ----------------------------------------------------------------------------------- best Gaussian, KL


def test_small_steps_are_gaussian_and_large_ones_are_not():
    """KL to the best Gaussian in the valley between two modes, for steps of 1, 10, 100, 400 of 1000 from t = 400."""
    data, schedule = mixture_1d([0.5, 0.5], [-1, 1], [0.2, 0.2]), linear()
    steps = [exact_reverse(data, schedule, torch.zeros(1).double(), 400, 400 - n) for n in (1, 10, 100, 400)]
    nats = [kl_divergence(q, moment_matched_gaussian(q)) for q in steps]
    assert abs(nats[0]) < 1e-11 and nats[1] < 1e-7 < 1e-4 < nats[2] < 1e-2 and nats[3] > 0.5


def test_a_gaussian_steps_back_as_a_gaussian_at_any_size():
    for process in PROCESSES.values():
        q = exact_reverse(mixture_1d([1], [0.5], [0.6]), process, torch.ones(1).double(), process.T, time(process, 0.1))
        assert abs(kl_divergence(q, moment_matched_gaussian(q))) < 1e-12


@given(st.floats(-2, 2), st.floats(0.1, 3), st.floats(-2, 2), st.floats(0.1, 3))
def test_kl_of_two_gaussians_is_the_closed_form(m, a, n, b):
    closed = math.log(b / a) + (a**2 + (m - n) ** 2) / (2 * b**2) - 0.5
    assert kl_divergence(mixture_1d([1], [m], [a]), mixture_1d([1], [n], [b])) == pytest.approx(
        closed, rel=1e-9, abs=1e-12
    )


def test_kl_in_the_plane_is_the_closed_form_and_that_of_a_mixture_is_seen_by_sampling():
    p, q = (GaussianMixture(torch.ones(1).double(), PLANE.mean[k : k + 1], PLANE.cov[k : k + 1]) for k in (0, 1))
    apart, inverse = (q.mean - p.mean)[0], torch.linalg.inv(q.cov[0])
    closed = 0.5 * (
        torch.trace(inverse @ p.cov[0]) + apart @ inverse @ apart - 2 + (q.cov[0].logdet() - p.cov[0].logdet())
    )
    assert kl_divergence(p, q) == pytest.approx(float(closed), rel=1e-9)
    x, best = PLANE.sample(20_000, torch.Generator().manual_seed(0)), moment_matched_gaussian(PLANE)
    ratio = PLANE.log_prob(x) - best.log_prob(x)
    assert abs(kl_divergence(PLANE, best) - float(ratio.mean())) < 4 * float(ratio.std()) / math.sqrt(20_000)
    assert abs(kl_divergence(PLANE, PLANE)) < 1e-12


def test_the_best_gaussian_is_the_best():
    best = moment_matched_gaussian(LINE)
    least, (mean, std) = kl_divergence(LINE, best), (float(best.mean), float(best.cov.sqrt()))
    for m, s in ((mean + 0.02, std), (mean - 0.02, std), (mean, 1.02 * std), (mean, 0.98 * std)):
        assert kl_divergence(LINE, mixture_1d([1], [m], [s])) > least


# ----------------------------------------------------------------------------------- many steps


def test_true_reverse_steps_lead_a_point_of_p_t_to_the_data():
    """150 points, five jumps of four steps, each drawn from its own q(x_s | x_t): the weights, to 4 standard errors."""
    schedule, rng = linear(20, 0.01, 0.4), torch.Generator().manual_seed(0)
    data = mixture_1d([0.3, 0.7], [-1.5, 1.0], [0.3, 0.4])
    n, x = 150, schedule.prior(150, 1, generator=rng, dtype=torch.float64)
    for t in range(20, 0, -4):
        x = torch.cat([exact_reverse(data, schedule, row, t, t - 4).sample(1, rng) for row in x])
    assert abs(float((x > -0.4).double().mean()) - 0.7) < 4 * math.sqrt(0.3 * 0.7 / n)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: transition(linear(), 5, 5), r"s = 5, t = 5; expected an earlier s, s < t"),
        (lambda: transition(VP(), 0.2, 0.3), r"s = 0.3, t = 0.2; expected"),
        (
            lambda: posterior(linear(), torch.ones(3, 2), torch.ones(3, 1), 5, 4),
            r"x_t has shape \(3, 2\) and x0 \(3, 1\)",
        ),
        (
            lambda: posterior(linear(), torch.ones(3, 2), torch.ones(3, 2), torch.ones(2).long(), 0),
            r"t has shape \(2,\)",
        ),
        (
            lambda: exact_reverse(LINE, linear(), torch.ones(2), 5, 4),
            r"x_t has shape \(2,\); expected one point, \(1,\)",
        ),
        (lambda: kl_divergence(LINE, PLANE), r"p lives in 1 and q in 2 dimensions"),
    ],
)
def test_bad_input_is_named(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
