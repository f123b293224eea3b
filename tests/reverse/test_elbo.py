"""The variational bound against chains whose bound is tight, textbook formulas, and a mixture's exact likelihood."""

import itertools
import math

import pytest
import torch

from mpl_diffusion import (
    MLP,
    VP,
    Denoiser,
    GaussianMixture,
    ScheduleVP,
    bits_per_dim,
    bound_terms,
    cosine,
    discretised_gaussian,
    linear,
    mixture_1d,
    variational_bound,
)
from mpl_diffusion.reverse.elbo import gaussian_log_prob, prior_term

LINE = mixture_1d([0.3, 0.7], [-1.5, 1.0], [0.3, 0.4])
WIDE = mixture_1d([1], [0], [1])
WIDE_PLANE = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2).double())


def seeded(k=0):
    return torch.Generator().manual_seed(k)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def signs(like):
    """eps = 1 and eps = -1, each half the time: they have a normal's mean and variance, so that the average of anything
    quadratic in eps over both is its exact expectation."""
    for sign in (1.0, -1.0):
        yield itertools.repeat(sign * torch.ones_like(like))


@pytest.mark.parametrize("steps", [None, 50, 7, 1])
def test_the_bound_is_tight_where_the_reverse_chain_is_exact(steps):
    """For x_0 ~ N(0, 1) on any stride q(x_s | x_t) = N(ratio x_t, beta): the exact denoiser with variance beta is the
    true reverse chain, and its bound on every single x_0 is -log N(x_0; 0, 1)."""
    schedule, x0 = linear(200, 5e-4, 0.1), torch.linspace(-2, 2, 5).double()[:, None]
    terms = [
        list(bound_terms(WIDE.denoiser(schedule), schedule, x0, steps, variance="beta", noise=noise))
        for noise in signs(x0)
    ]
    total = sum(term.nats for walk in terms for term in walk) / 2
    # the decoder is N(x0_hat, beta_1) instead of N(ratio x_1, beta_1): one step in which x0_hat = signal x_1, the same
    close(total, -WIDE.log_prob(x0), 1e-9)


def test_each_term_is_the_textbooks_kl():
    """Ho et al. 2020, eq. 5 to 10, one plain line per formula, against torch's own KL of two normals."""
    schedule, x0, z = linear(60), torch.randn(6, 2).double(), torch.randn(6, 2).double()
    exact = lambda x, t, cond=None: torch.tanh(x) * (0.5 + t / 100)  # noqa: E731
    for variance in ("beta", "beta_tilde"):
        terms = list(bound_terms(exact, schedule, x0, variance=variance, noise=itertools.repeat(z)))
        assert [term.t for term in terms] == [60, *range(59, -1, -1)]
        normal = torch.distributions.Normal
        a, s = schedule.signal(60), schedule.noise(60)
        L_T = torch.distributions.kl_divergence(normal(a * x0, s), normal(torch.zeros_like(x0), torch.ones_like(x0)))
        close(terms[0].nats, L_T.sum(1))
        for t in (60, 31, 2):
            beta, bar, before = schedule.beta[t], schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
            tilde = (1 - before) / (1 - bar) * beta
            x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * z
            true = (before.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - before) * x_t) / (1 - bar)
            model = (x_t - beta / (1 - bar).sqrt() * exact(x_t, t)) / (1 - beta).sqrt()
            sigma = {"beta": beta, "beta_tilde": tilde}[variance].sqrt()
            L = torch.distributions.kl_divergence(normal(true, tilde.sqrt()), normal(model, sigma)).sum(1)
            close(next(term.nats for term in terms if term.t == t - 1), L)
            if variance == "beta_tilde":  # eq. 12: a weight on |eps - eps_hat|^2
                weight = beta**2 / (2 * tilde * (1 - beta) * (1 - bar))
                close(L, weight * ((z - exact(x_t, t)) ** 2).sum(1))
        x_1 = schedule.diffuse(x0, 1, z)
        x0_hat = schedule.x0_from_eps(x_1, 1, exact(x_1, 1))
        sigma = (
            schedule.beta[1]
            if variance == "beta"
            else (1 - schedule.alpha_bar[1]) / (1 - schedule.alpha_bar[2]) * schedule.beta[2]
        )
        close(terms[-1].nats, -normal(x0_hat, sigma.sqrt()).log_prob(x0).sum(1))


@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
@pytest.mark.parametrize("steps", [None, 20])
def test_the_bound_is_above_the_exact_negative_log_likelihood_and_near_it_with_many_steps(variance, steps):
    schedule, x0 = linear(200, 5e-4, 0.1), LINE.sample(400, seeded())
    bound = variational_bound(LINE.denoiser(schedule), schedule, x0, None, steps, variance, generator=seeded(1))
    gap = bound + LINE.log_prob(x0)
    error = float(gap.std()) / 20
    assert float(gap.mean()) > -4 * error
    # beta_tilde pays in the last steps: as a variance it is half and two thirds of beta there
    assert float(gap.mean()) < {"beta": 0.1, "beta_tilde": 1.2}[variance] * (1 if steps is None else 3) + 4 * error


def test_a_worse_denoiser_has_a_worse_bound_in_every_term_of_its_own():
    schedule, x0 = linear(60, 1e-3, 0.3), LINE.sample(300, seeded())
    exact = LINE.denoiser(schedule)
    good, bad = (
        list(bound_terms(d, schedule, x0, noise=seeded(1))) for d in (exact, lambda x, t, cond=None: exact(x, t) + 0.3)
    )
    assert torch.equal(good[0].nats, bad[0].nats)  # L_T has no denoiser in it
    assert all(float(b.nats.mean()) > float(g.nats.mean()) for g, b in zip(good[1:], bad[1:]))


def test_what_is_left_of_x0_at_T_costs_little_and_nothing_without_signal():
    x0 = torch.randn(5, 1, 8, 8).double()
    assert float(bits_per_dim(-prior_term(linear(), x0, 1000), 64).max()) < 1e-4
    assert float(prior_term(linear(200), x0, 200).min()) > 1  # 200 steps of betas meant for 1000
    close(prior_term(linear(20).zero_terminal_snr(), x0, 20), torch.zeros(5).double())


def test_a_subset_is_the_terms_themselves_and_a_random_one_estimates_the_sum_without_bias():
    schedule, x0 = linear(40, 2.5e-3, 0.5), LINE.sample(3, seeded())
    exact, z = LINE.denoiser(schedule), torch.randn(3, 1).double()
    whole = list(bound_terms(exact, schedule, x0, noise=itertools.repeat(z)))
    some = list(bound_terms(exact, schedule, x0, only=[0, 17, 40], noise=itertools.repeat(z)))
    assert [term.t for term in some] == [40, 17, 0]
    for term in some:
        close(term.nats, next(w.nats for w in whole if w.t == term.t))
    x0 = x0[:1].expand(500, 1)
    total = variational_bound(exact, schedule, x0, variance="beta", generator=seeded())
    parts = [variational_bound(exact, schedule, x0, 9, None, "beta", generator=seeded(k)).mean() for k in range(60)]
    error = math.sqrt(float(torch.stack(parts).var()) / 60 + float(total.var()) / 500)
    assert abs(float(sum(parts) / 60 - total.mean())) < 4 * error and error < 0.2


def test_all_terms_asked_for_by_number_are_all_terms():
    schedule, x0 = linear(12), torch.randn(4, 2).double()
    a, b = (
        variational_bound(lambda x, t, cond=None: torch.tanh(x), schedule, x0, n, generator=seeded(3))
        for n in (None, 11)
    )
    close(a, b)


def test_a_schedule_in_continuous_time_has_the_bound_of_its_table():
    schedule, x0, z = linear(60), torch.randn(4, 2).double(), torch.randn(4, 2).double()
    sde, k = ScheduleVP(schedule), [60, 41, 17, 3, 0]
    table = list(bound_terms(LINE.denoiser(schedule), schedule, x0[:, :1], k, noise=itertools.repeat(z[:, :1])))
    times = torch.tensor(k, dtype=torch.float64) / 60
    flow = list(bound_terms(LINE.denoiser(sde), sde, x0[:, :1], times, noise=itertools.repeat(z[:, :1])))
    for a, b in zip(table, flow, strict=True):
        torch.testing.assert_close(a.nats, b.nats, rtol=1e-7, atol=1e-9)
    whole, part = (
        variational_bound(d, process, x0[:, :1], 2, steps, generator=seeded())
        for d, process, steps in ((LINE.denoiser(schedule), schedule, k), (LINE.denoiser(sde), sde, times))
    )
    torch.testing.assert_close(whole, part, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n", [None, 2])
def test_the_bound_includes_what_the_prior_costs(n):
    """At T = 3 much of x_0 is left, and L_T is a large part of the sum; n = 2 takes both terms in between."""
    schedule, x0 = linear(3, 0.01, 0.02), 3 * torch.ones(4, 2).double()
    exact = WIDE_PLANE.denoiser(schedule)
    terms = list(bound_terms(exact, schedule, x0, noise=seeded(5)))
    prior = prior_term(schedule, x0, 3)
    close(terms[0].nats, prior)
    assert terms[0].t == 3 and float(prior.min()) > 5
    rng = seeded(5)
    first = torch.rand((), generator=rng)  # where the terms in between are spread from
    after = list(bound_terms(exact, schedule, x0, noise=rng))
    assert 0 <= float(first) < 1
    close(variational_bound(exact, schedule, x0, n, generator=seeded(5)), sum(term.nats for term in after))


def test_a_chain_that_starts_below_T_has_its_own_first_term():
    x0 = torch.randn(4, 1).double()
    first, *_ = bound_terms(LINE.denoiser(linear()), linear(), x0, [500, 100, 0])
    assert first.t == 500 and torch.equal(first.nats, prior_term(linear(), x0, 500))


# ----------------------------------------------------------------------------------- decoders


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.3, 0.999, 40.0])
@pytest.mark.parametrize("std", [1e-4, 0.01, 0.3, 5.0])
def test_the_probabilities_of_all_levels_add_up_to_1(mean, std):
    levels = (torch.arange(256, dtype=torch.float64) / 127.5 - 1)[:, None]
    log_p = discretised_gaussian(levels, torch.full((256, 1), mean, dtype=torch.float64), torch.tensor(std))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9) and not log_p.isnan().any()


@pytest.mark.parametrize("side", [-1, 1])
def test_far_from_the_mean_the_discretised_density_keeps_its_digits_on_either_side(side):
    """200 standard deviations away: the logarithm of the Gaussian's mass there, -20,000 nats, is not cut off."""
    x0, mean, std = torch.zeros(1, 1).double(), torch.full((1, 1), side * 0.5).double(), torch.tensor(0.0025).double()
    edge = (0.5 - 1 / 255) / 0.0025
    expected = -0.5 * edge**2 - math.log(edge * math.sqrt(2 * math.pi))
    assert float(discretised_gaussian(x0, mean, std)) == pytest.approx(expected, rel=1e-6)


def test_a_narrow_bin_has_the_density_times_its_width():
    levels = (torch.arange(100, 110, dtype=torch.float64) / 127.5 - 1)[:, None]
    mean, std = torch.zeros(10, 1).double(), torch.tensor(0.5).double()
    expected = gaussian_log_prob(levels, mean, std) + math.log(2 / 255)
    torch.testing.assert_close(discretised_gaussian(levels, mean, std), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_images_cost_bits(variance):
    """A network of no training needs about as many bits as it has: some per pixel; the decoder is one term of 50."""
    schedule = cosine(50)
    images = (torch.randint(0, 256, (2, 1, 8, 8)) / 127.5 - 1).float()
    denoiser = Denoiser(lambda x, t, cond=None: torch.zeros_like(x), schedule, "v")
    nats = variational_bound(denoiser, schedule, images, None, None, variance, discretised_gaussian, generator=seeded())
    bits = bits_per_dim(-nats, 64)
    assert bits.shape == (2,) and ((bits > 8) & (bits < 60)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 2), (3, 1, 8, 8)], ids=["points", "images"])
def test_terms_come_lazily_one_number_per_row_repeat_with_their_seed_and_keep_no_gradient(shape, dtype):
    x0, calls = torch.randn(shape, dtype=dtype), []

    def denoiser(x, t, cond=None):
        calls.append((t, cond))
        return torch.tanh(x)

    cond = torch.ones(shape[0], 1, dtype=torch.long)
    terms = bound_terms(denoiser, linear(20), x0, noise=seeded(), cond=cond)
    assert not calls
    one = list(terms)
    two = list(bound_terms(denoiser, linear(20), x0, noise=seeded(), cond=cond))
    assert all(a.nats.shape == (shape[0],) and torch.equal(a.nats, b.nats) for a, b in zip(one, two, strict=True))
    assert [t for t, _ in calls[:20]] == list(range(20, 0, -1)) and all(c is cond for _, c in calls)
    net = Denoiser(MLP(width=8), linear(20))
    assert not any(term.nats.requires_grad for term in bound_terms(net, linear(20), torch.randn(5, 2)))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda d, x: bound_terms(d, linear(20), x, 0), r"steps = 0; expected a whole number from 1 to T = 20"),
        (lambda d, x: bound_terms(d, linear(20), x, [20, 5]), r"the times end at 5; a bound on x_0 needs .* ends at 0"),
        (lambda d, x: bound_terms(d, VP(), x, 5), r"the times end at 0.001; a bound on x_0 needs"),
        (lambda d, x: bound_terms(d, linear(20), x, only=[25]), r"only = \[25\]; expected times of this chain, 20, 19"),
        (lambda d, x: bound_terms(d, linear(20), x, only=[]), r"only = \[\]; expected"),
        (lambda d, x: bound_terms(d, linear(20), x, variance="small"), r"variance = 'small'; expected 'beta' or"),
        (
            lambda d, x: variational_bound(d, linear(20), x, 0),
            r"n = 0; expected None, or a number from 1 to the 19 terms",
        ),
        (lambda d, x: variational_bound(d, linear(20), x, 20), r"n = 20; expected None"),
        (
            lambda d, x: list(bound_terms(lambda x, t, cond=None: x[:, :1], linear(20), x)),
            r"returned \(5, 1\); expected",
        ),
        (
            lambda d, x: list(bound_terms(lambda x, t, cond=None: x * math.nan, linear(20), x)),
            r"t = 20.*NaN or infinite",
        ),
        (
            lambda d, x: list(bound_terms(d, linear(20), 2 + x.abs(), decoder=discretised_gaussian)),
            r"expected images in \[-1, 1\]",
        ),
    ],
)
def test_bad_input_is_named(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(lambda x, t, cond=None: torch.tanh(x), torch.randn(5, 2))
