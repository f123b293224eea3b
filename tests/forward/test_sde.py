"""Processes in continuous time: their rates and their f and g^2 are one thing, and a schedule's table lies on them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mpl_diffusion import MLP, VE, VP, Denoiser, ScheduleVP, SubVP, cosine, from_beta, linear, sigmoid
from mpl_diffusion.forward.sde import SDE, solver_times

SCHEDULES = {"linear": linear(), "cosine": cosine(), "sigmoid": sigmoid(), "short": linear(7), "one step": linear(1)}
SDES = {
    "VP": VP(),
    "SubVP": SubVP(),
    "VE": VE(),
    "another VP": VP(0.5, 7, t_min=0.01),
    "linear": ScheduleVP(linear()),
    "cosine": ScheduleVP(cosine()),
    "4 steps": ScheduleVP(from_beta([0.1, 0.0, 0.5, 0.2])),
}
sdes = pytest.mark.parametrize("sde", SDES.values(), ids=SDES)
betas = st.lists(st.floats(0, 1 - 1e-6), min_size=1, max_size=40)


def close(a, b, rtol=1e-12, atol=0.0):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


@sdes
def test_f_and_g2_are_the_derivatives_of_the_rates(sde):
    """d/dt log signal = f, and d/dt noise^2 = 2 f noise^2 + g^2 (Sarkka & Solin 2019, eq. 5.51), by automatic
    differentiation."""
    t = (0.001 + 0.998 * torch.rand(200, dtype=torch.float64)).requires_grad_()
    (d_log_signal,) = torch.autograd.grad((sde.signal(t).log() + 0 * t).sum(), t)
    (d_variance,) = torch.autograd.grad((sde.noise(t) ** 2).sum(), t)
    with torch.no_grad():
        close(d_log_signal, sde.f(t), rtol=1e-9, atol=1e-12)
        close(d_variance, 2 * sde.f(t) * sde.noise(t) ** 2 + sde.g2(t), rtol=1e-8, atol=1e-9)
        assert (sde.f(t) <= 0).all() and (sde.g2(t) >= 0).all()


@sdes
def test_at_0_there_is_the_clean_data(sde):
    assert float(sde.signal(0.0)) == 1 and float(sde.noise(0.0)) == 0


@pytest.mark.parametrize("name", ["VP", "another VP", "linear", "cosine", "4 steps"])
def test_vp_keeps_the_variance(name):
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    close(SDES[name].signal(t) ** 2 + SDES[name].noise(t) ** 2, torch.ones(101).double(), atol=1e-15)


def test_sub_vp_has_vps_signal_and_the_square_of_its_noise():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    close(SubVP().signal(t), VP().signal(t))
    close(SubVP().noise(t), VP().noise(t) ** 2, atol=1e-18)  # and so never more noise


def test_ve_shrinks_nothing_and_grows_from_sigma_min_to_sigma_max_by_equal_factors():
    sde, t = VE(0.01, 50.0), torch.tensor([0.0, 0.5, 1.0]).double()
    assert torch.equal(sde.signal(t), torch.ones(3).double())
    sigma = (sde.noise(t) ** 2 + 0.01**2).sqrt()
    close(sigma, torch.tensor([0.01, math.sqrt(0.01 * 50), 50.0], dtype=torch.float64))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_in_continuous_time_equals_its_table_at_every_k_over_T(schedule):
    sde, k = ScheduleVP(schedule), torch.arange(schedule.T + 1)
    t = k.double() / schedule.T
    close(sde.signal(t), schedule.signal(k))
    close(sde.noise(t), schedule.noise(k), rtol=0, atol=1e-12)


@given(betas)
def test_any_table_without_a_beta_of_1_can_be_read_in_continuous_time(values):
    schedule = from_beta(values)
    sde, T = ScheduleVP(schedule), schedule.T
    fine = torch.linspace(0, 1, 20 * T + 1, dtype=torch.float64)
    close(sde.alpha_bar(fine[::20]), schedule.alpha_bar, rtol=1e-11, atol=1e-300)
    assert (sde.beta(fine) >= -1e-9 * T).all() and (sde.log_alpha_bar(fine).diff() <= 1e-12).all()


@pytest.mark.parametrize("name", ["linear", "cosine", "4 steps"])
def test_between_the_rows_beta_is_continuous_and_averages_minus_T_log_of_1_minus_beta(name):
    """Simpson's rule is exact for the parabola that beta is within a step."""
    sde = SDES[name]
    T, k = sde.schedule.T, torch.arange(1, sde.schedule.T + 1)
    inside = 1e-9
    left, middle, right = (sde.beta((k - share) / T) for share in (1 - inside, 0.5, inside))
    close((left + 4 * middle + right) / 6, -T * (1 - sde.schedule.beta[k]).log(), rtol=1e-4, atol=1e-6)
    close(left[1:], right[:-1], rtol=1e-4, atol=1e-5)


def test_ddpms_betas_are_rates_only_after_multiplication_by_T():
    """1e-4 ... 0.02 per step are 0.1 ... 20 per unit of time: VP() is what they become. Without the factor the SDE
    would hardly add noise."""
    sde, schedule, t = ScheduleVP(linear()), linear(), torch.linspace(0, 1, 1001, dtype=torch.float64)
    close(sde.beta(t), VP().beta(t), rtol=0.02, atol=0.02)
    assert float((sde.signal(t) - VP().signal(t)).abs().max()) < 2e-3
    assert float(VP(float(schedule.beta[1]), float(schedule.beta[1000])).noise(1.0)) == pytest.approx(0.1, abs=0.01)


def test_a_network_trained_on_the_schedule_reads_the_same_at_every_k_over_T():
    schedule, x = linear(50), torch.randn(6, 2).double()
    for predicts in ("eps", "x0", "v"):
        trained = Denoiser(MLP(width=8).double(), schedule, predicts)
        continuous = Denoiser(trained.net, ScheduleVP(schedule), trained.predicts)
        for k in (1, 13, 50):
            close(continuous(x, torch.tensor(k / 50, dtype=torch.float64)), trained(x, k), rtol=1e-6, atol=1e-6)
            t, rows = torch.full((6,), k / 50, dtype=torch.float64), torch.full((6,), k)
            close(continuous(x, t), trained(x, rows), rtol=1e-6, atol=1e-6)


def test_a_network_can_be_trained_in_continuous_time():
    denoiser = Denoiser(MLP(width=8), VP())
    denoiser.loss(torch.randn(64, 2)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in denoiser.parameters())


@sdes
def test_the_prior_is_a_density_and_what_prior_draws_from(sde):
    variance = float(sde.signal(1.0) ** 2 + sde.noise(1.0) ** 2)
    for shape in ((5, 2), (3, 1, 4, 4)):
        x = sde.prior(*shape, dtype=torch.float64)
        expected = torch.distributions.Normal(torch.zeros(()).double(), math.sqrt(variance)).log_prob(x)
        close(sde.prior_log_prob(x), expected.flatten(1).sum(1))
    drawn = sde.prior(4000, 1, dtype=torch.float64)
    assert float(drawn.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / 4000))


# ----------------------------------------------------------------------------------- times


@sdes
def test_times_fall_evenly_from_1_to_t_min(sde):
    for steps in (1, 2, 50):
        times = sde.times(steps)
        assert times.dtype == torch.float64 and times.shape == (steps + 1,)
        assert float(times[0]) == 1 and float(times[-1]) == sde.t_min
        close(times.diff(), torch.full((steps,), (sde.t_min - 1) / steps, dtype=torch.float64), rtol=1e-9)


@sdes
def test_random_times_are_stratified_between_t_min_and_1(sde):
    t = sde.random_times(64, torch.Generator().manual_seed(0))
    assert t.dtype == torch.float64 and sde.t_min <= t.min() and t.max() <= 1
    stratum = (t.sort().values - sde.t_min) / (1 - sde.t_min) * 64
    assert torch.equal(stratum.floor().clamp(max=63).long(), torch.arange(64))
    assert abs(float(torch.corrcoef(torch.stack([t, torch.arange(64).double()]))[0, 1])) < 0.5
    again, other = (sde.random_times(64, torch.Generator().manual_seed(k)) for k in (0, 1))
    assert torch.equal(t, again) and not torch.equal(t, other)


def test_each_random_time_by_itself_is_uniform():
    """Chi-square over ten equal bins, of the first of five times in 4,000 draws."""
    sde, rng = VP(), torch.Generator().manual_seed(0)
    first = torch.stack([sde.random_times(5, rng)[0] for _ in range(4000)])
    count = ((first - sde.t_min) / (1 - sde.t_min) * 10).long().bincount(minlength=10).double()
    assert float(((count - 400) ** 2 / 400).sum()) < 27.9  # the 0.999 quantile with 9 degrees of freedom


def test_the_least_time_is_1_over_T_of_a_schedule_and_can_be_chosen():
    assert VP().t_min == 1e-3 and ScheduleVP(linear(50)).t_min == 1 / 50
    assert ScheduleVP(linear(50), t_min=1e-3).t_min == 1e-3 and VP(t_min=0.1).t_min == 0.1


def test_a_python_float_keeps_its_digits():
    """torch alone would make float32 of it: another time, by up to 3e-8."""
    sde, x = VP(), torch.ones(4, 2).double()
    signal, noise = sde.rates(0.3, x)
    assert float(signal) == float(sde.signal(torch.tensor(0.3, dtype=torch.float64)))
    close(sde.diffuse(x, 0.3, x), (signal + noise) * x, rtol=0)


def test_one_time_per_row_works_on_points_and_images():
    sde, t = VP(), torch.tensor([0.1, 0.5, 1.0])
    for shape in ((3, 2), (3, 1, 4, 4)):
        x0, eps = torch.randn(2, *shape).double()
        x_t = sde.diffuse(x0, t, eps)
        for k in range(3):
            close(x_t[k], sde.signal(t[k]) * x0[k] + sde.noise(t[k]) * eps[k], rtol=1e-12)


# ----------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VP().signal(1.5), r"t = 1.5; an SDE has t from 0 \(data\) to 1 \(noise\): step k of T is k / T"),
        (lambda: VP().noise(-0.1), r"t = -0.1; an SDE"),
        (lambda: SubVP().f(math.nan), r"t = nan; an SDE"),
        (lambda: VE().f(2), r"t = 2; an SDE"),
        (lambda: VE().noise(torch.tensor([0.5, 300])), r"t = 300; an SDE"),
        (lambda: ScheduleVP(linear()).signal(500), r"t = 500; an SDE.*step k of T is k / T"),
        (
            lambda: VP().diffuse(torch.ones(3, 2), torch.ones(2), torch.ones(3, 2)),
            r"t has shape \(2,\); expected one time",
        ),
        (lambda: VP(t_min=0), r"t_min = 0; expected a time between 0 and 1"),
        (lambda: VE(t_min=1.0), r"t_min = 1.0; expected"),
        (lambda: ScheduleVP(linear(), t_min=math.nan), r"t_min = nan; expected"),
        (
            lambda: ScheduleVP(linear(20).zero_terminal_snr()),
            r"zero terminal SNR.*ends with signal = 0: no finite rate",
        ),
        (lambda: VP().times(0), r"steps = 0; expected a whole number, at least 1"),
        (lambda: VP().times(2.5), r"steps = 2.5; expected"),
        (lambda: VP().times(True), r"steps = True; expected"),
        (lambda: solver_times(linear(), 5), r"Schedule\(linear.* has no f and g2; .*ScheduleVP\(schedule\)"),
        (lambda: solver_times(VP(), 0), r"steps = 0; expected"),
        (lambda: solver_times(VP(), []), r"times = \[\]; expected at least two"),
        (lambda: solver_times(VP(), [0.5]), r"times = \[0.5\]; expected at least two"),
        (lambda: solver_times(VP(), [1.0, 0.5, 0.6]), r"times = .*; expected at least two, all rising or all falling"),
        (lambda: solver_times(VP(), [1.0, math.nan]), r"expected at least two, all rising or all falling"),
        (lambda: solver_times(VP(), [1.0, 0.0]), r"times run from 1 to 0; expected t_min = 0.001 <= t <= 1.*ddim"),
        (lambda: solver_times(VP(), [1.1, 0.5]), r"times run from 1.1 to 0.5; expected"),
    ],
)
def test_bad_times_and_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_walk_may_be_listed_either_way():
    for times in ([1.0, 0.3, 0.001], [0.001, 0.3, 1.0], torch.tensor([0.9, 0.2])):
        assert solver_times(VP(), times).dtype == torch.float64
    assert isinstance(VP(), SDE) and solver_times(VP(), [0.9, 0.3])[1] == 0.3
