"""The tables: exact figures, exact distributions, and what is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mpl_diffusion import Schedule, cosine, from_alpha_bar, from_beta, linear, sigmoid

SCHEDULES = {"linear": linear(), "cosine": cosine(), "sigmoid": sigmoid(), "short": linear(7), "one step": linear(1)}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
betas = st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=40)


def test_linear_is_ho_et_al_s_table():
    s = linear()
    assert s.T == 1000 and len(s.beta) == 1001
    torch.testing.assert_close(s.beta[1:], torch.tensor([1e-4 + k * (0.02 - 1e-4) / 999 for k in range(1000)]).double())
    assert float(s.beta[1]) == 1e-4 and float(s.beta[1000]) == 0.02
    assert float(s.alpha_bar[1000]) == pytest.approx(math.prod(1 - 1e-4 - k * (0.02 - 1e-4) / 999 for k in range(1000)))
    assert f"{float(s.alpha_bar[1000]):.2e}" == "4.04e-05"


def test_linear_has_lost_half_of_its_power_at_t_260():
    s = linear()
    below = (s.alpha_bar < 0.5).nonzero()[0].item()
    assert abs(below - 260) <= 1 and abs(float(s.alpha_bar[260]) - 0.5) < 0.005


def test_200_steps_of_betas_meant_for_1000_leave_36_percent_of_the_amplitude():
    assert f"{float(linear(200).signal(200)):.2f}" == "0.36"


def test_cosine_follows_nichol_and_dhariwal_until_the_cap_and_ends_at_2_4e_9():
    s = cosine()
    f = [math.cos((k / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(1001)]
    torch.testing.assert_close(s.alpha_bar[:1000], torch.tensor(f[:1000]).double() / f[0], rtol=1e-6, atol=1e-9)
    assert float(s.beta.max()) == 0.999 and f"{float(s.alpha_bar[1000]):.1e}" == "2.4e-09"
    assert (s.alpha_bar < 0.5).nonzero()[0].item() in (496, 497, 498)


def test_sigmoid_falls_without_a_stop_from_1_to_almost_0():
    s = sigmoid()
    assert (s.alpha_bar.diff() < 0).all() and float(s.alpha_bar[0]) == 1 and float(s.alpha_bar[1000]) < 1e-4
    assert float(s.alpha_bar[500]) == pytest.approx(0.5, abs=1e-3)  # the logistic curve is symmetric
    wide = torch.sigmoid(3 - 6 * torch.arange(1001, dtype=torch.float64) / 1000)
    expected = (wide - wide[-1]) / (wide[0] - wide[-1])
    torch.testing.assert_close(s.alpha_bar[:1000], expected[:1000], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", [s for s in SCHEDULES.values() if s.T > 1], ids=str)
def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_first_step(schedule):
    z = schedule.zero_terminal_snr()
    assert float(z.signal(z.T)) == 0 and float(z.noise(z.T)) == 1
    assert float(z.signal(1)) == pytest.approx(float(schedule.signal(1)), rel=1e-12)
    old, new = schedule.alpha_bar.sqrt(), z.alpha_bar.sqrt()
    line = (new[1:] - new[1]) / (old[1:] - old[1]).where(old[1:] != old[1], torch.ones(()))  # one shift and one scale
    torch.testing.assert_close(line[1:], line[-1].expand(schedule.T - 1), rtol=1e-9, atol=0)
    torch.testing.assert_close(z.zero_terminal_snr().alpha_bar, z.alpha_bar, rtol=1e-9, atol=1e-15)


@schedules
def test_row_0_is_the_clean_data(schedule):
    assert float(schedule.beta[0]) == 0 and float(schedule.alpha[0]) == 1 and float(schedule.alpha_bar[0]) == 1
    assert float(schedule.signal(0)) == 1 and float(schedule.noise(0)) == 0 and float(schedule.snr[0]) == math.inf


@schedules
def test_every_table_is_float64_with_one_row_per_time_and_the_rates_are_its_square_roots(schedule):
    tables = schedule.beta, schedule.alpha, schedule.alpha_bar, schedule.snr
    assert all(v.dtype == torch.float64 and v.shape == (schedule.T + 1,) for v in tables)
    t = torch.arange(schedule.T + 1)
    torch.testing.assert_close(schedule.signal(t) ** 2, schedule.alpha_bar)
    torch.testing.assert_close(schedule.noise(t) ** 2, 1 - schedule.alpha_bar)
    torch.testing.assert_close(schedule.snr[1:], (schedule.signal(t) / schedule.noise(t))[1:] ** 2)


@schedules
def test_the_jump_is_the_chain(schedule):
    """x_t of the chain is linear in x_0 and the steps' own noises: its factor on x_0 is signal(t), and its variance is
    the sum of the squared factors on the noises, noise(t)^2."""
    T = min(schedule.T, 300)
    on = torch.zeros(T + 1, dtype=torch.float64)  # factors on x_0, eps_1, ..., eps_T
    on[0] = 1
    for t in range(1, T + 1):
        on *= (1 - schedule.beta[t]).sqrt()
        on[t] = schedule.beta[t].sqrt()
        assert float(on[0]) == pytest.approx(float(schedule.signal(t)), rel=1e-12)
        assert float((on[1:] ** 2).sum()) == pytest.approx(float(schedule.noise(t)) ** 2, rel=1e-11)


@given(betas)
def test_any_betas_give_a_falling_alpha_bar_and_keep_the_variance(values):
    s = from_beta(values)
    t = torch.arange(s.T + 1)
    assert s.T == len(values) and (s.alpha_bar.diff() <= 0).all() and (s.snr.diff() <= 0).all()
    torch.testing.assert_close(s.signal(t) ** 2 + s.noise(t) ** 2, torch.ones(s.T + 1).double(), rtol=0, atol=1e-15)
    torch.testing.assert_close(from_alpha_bar(s.alpha_bar).beta, s.beta, rtol=1e-6, atol=1e-12)


@given(betas)
def test_any_betas_can_be_brought_to_zero_terminal_snr(values):
    s = from_beta(values)
    if s.T > 1 and float(s.alpha_bar[1]) > float(s.alpha_bar[-1]) * (1 + 1e-9):
        z = s.zero_terminal_snr()
        assert float(z.signal(z.T)) == 0 and float(z.signal(1)) == pytest.approx(float(s.signal(1)), rel=1e-9)
        assert (z.alpha_bar.diff() <= 0).all()


@given(st.data())
def test_times_fall_from_T_to_0_in_the_asked_number_of_steps(data):
    T = data.draw(st.integers(1, 1500))
    steps = data.draw(st.integers(1, T))
    times = linear(T).times(steps)
    assert times.shape == (steps + 1,) and times.dtype == torch.long
    assert times[0] == T and times[-1] == 0 and (times.diff() < 0).all()
    assert (times - torch.linspace(T, 0, steps + 1)).abs().max() <= 0.51  # evenly spaced, up to rounding


def test_50_steps_of_1000_are_1000_980_to_20_and_0():
    assert linear().times(50).tolist() == list(range(1000, -1, -20))


@pytest.mark.parametrize(
    "spacing, steps, first, last",
    [
        ("trailing", 50, [1000, 980, 960], [40, 20, 0]),
        ("linspace", 50, [1000, 980, 959], [21, 1, 0]),
        ("leading", 50, [981, 961, 941], [21, 1, 0]),
        ("trailing", 300, [1000, 997, 993], [7, 3, 0]),
        ("linspace", 300, [1000, 997, 993], [4, 1, 0]),
        ("leading", 300, [898, 895, 892], [4, 1, 0]),  # 1000 // 300 = 3, so a tenth of the range is never seen
        ("trailing", 1, [1000, 0], [1000, 0]),
        ("linspace", 1, [1000, 0], [1000, 0]),
        ("leading", 1, [1, 0], [1, 0]),
    ],
)
def test_each_spacing_leaves_out_what_its_name_says(spacing, steps, first, last):
    times = linear(1000).times(steps, spacing).tolist()
    assert len(times) == steps + 1 and times[: len(first)] == first and times[-len(last) :] == last


@pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])
def test_every_spacing_visits_each_time_once_and_all_of_them_with_T_steps(spacing):
    for T in (1, 2, 7, 60):
        for steps in range(1, T + 1):
            times = linear(T).times(steps, spacing)
            assert times.shape == (steps + 1,) and (times.diff() < 0).all() and times[-1] == 0
        assert times.tolist() == list(range(T, -1, -1))


@pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])
def test_the_spacings_are_those_of_a_peer(spacing):
    from diffusers import DDIMScheduler

    for steps in (10, 50, 300):  # without a tie, which the two round to different sides
        theirs = DDIMScheduler(num_train_timesteps=1000, timestep_spacing=spacing)
        theirs.set_timesteps(steps)
        assert linear(1000).times(steps, spacing)[:-1].tolist() == (theirs.timesteps + 1).tolist()


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(0, 1000))
def test_random_times_lie_in_1_to_T_and_one_falls_into_each_nth_of_the_range(T, n, seed):
    t = linear(T).random_times(n, torch.Generator().manual_seed(seed))
    assert t.dtype == torch.long and t.shape == (n,) and 1 <= t.min() and t.max() <= T
    # the k-th smallest comes from the k-th stratum, (k/n, (k+1)/n] of the range
    k = torch.arange(n).double()
    position = t.sort().values.double()
    assert (position >= (k / n * T).floor() + 1 - 1e-9).all() and (
        position <= ((k + 1) / n * T).floor() + 1 + 1e-9
    ).all()


def test_each_random_time_by_itself_is_uniform_on_1_to_T():
    """Chi-square over all T = 10 values with one time per draw, and with the first of five."""
    s, rng = linear(10), torch.Generator().manual_seed(0)
    for n in (1, 5):
        drawn = torch.stack([s.random_times(n, rng)[0] for _ in range(4000)])
        count = drawn.bincount(minlength=11)[1:].double()
        assert float(((count - 400) ** 2 / 400).sum()) < 27.9  # the 0.999 quantile with 9 degrees of freedom


def test_random_times_come_in_random_order_and_repeat_with_their_generator():
    s = linear()
    a, b, c = (s.random_times(64, torch.Generator().manual_seed(k)) for k in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert abs(float(torch.corrcoef(torch.stack([a.double(), torch.arange(64).double()]))[0, 1])) < 0.5


@pytest.mark.parametrize("T", [1, 2, 3, 10])
@pytest.mark.parametrize("schedule", [linear, cosine, sigmoid])
def test_even_the_shortest_schedules_are_schedules(schedule, T):
    s = schedule(T)
    assert s.T == T and (s.alpha_bar.diff() < 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_beta([0.1, -0.1]), r"beta\[2\] = -0.1; each beta is a variance between 0 and 1"),
        (lambda: from_beta([0.1, 1.5]), r"beta\[2\] = 1.5; each beta"),
        (lambda: from_beta([0.1, math.nan, 0.2]), r"beta\[2\] = nan; each beta"),
        (lambda: from_beta([]), r"beta has shape \(1,\); expected \(T \+ 1,\) with T at least 1"),
        (lambda: Schedule(torch.full((3, 3), 0.1)), r"beta has shape \(3, 3\); expected \(T \+ 1,\)"),
        (lambda: Schedule(torch.tensor([0.1, 0.2])), r"beta\[0\] = 0.1; row 0 is the clean data, so it must be 0"),
        (lambda: Schedule(torch.tensor([math.nan, 0.2])), r"beta\[0\] = nan"),
        (
            lambda: from_alpha_bar(torch.tensor([0.9, 0.5])),
            r"alpha_bar\[0\] = 0.9; row 0 is the clean data, so it must be 1",
        ),
        (lambda: from_alpha_bar(torch.tensor([1.0, 0.5, 0.7])), r"beta\[2\] = -0.4"),
        (lambda: linear(beta_1=-0.1), r"beta_1 = -0.1; expected a finite number, at least 0"),
        (lambda: linear(0), r"T = 0; expected a whole number, at least 1"),
        (lambda: linear(-5), r"T = -5; expected a whole number"),
        (lambda: linear(1.5), r"T = 1.5; expected a whole number"),
        (lambda: cosine(0), r"T = 0; expected"),
        (lambda: sigmoid(10.0), r"T = 10.0; expected"),
        (lambda: linear(10).signal(11), r"t runs from 11 to 11; this schedule has t = 0 ... 10"),
        (lambda: linear(10).signal(-1), r"t runs from -1 to -1; this schedule has t = 0 ... 10"),
        (lambda: linear(10).noise(torch.tensor([3, 12])), r"t runs from 3 to 12; this schedule has t = 0 ... 10"),
        (lambda: linear(10).signal(0.5), r"t is torch.float32; a schedule has whole steps, t = 0 ... 10"),
        (lambda: linear(10).signal(3.0), r"t is torch.float32; a schedule has whole steps"),
        (lambda: linear(10).signal(torch.tensor([1.0])), r"t is torch.float32; .*\.long\(\)"),
        (lambda: linear(10).signal(True), r"t is torch.bool; a schedule has whole steps"),
        (lambda: linear(10).times(0), r"steps = 0; expected a whole number from 1 to T = 10"),
        (lambda: linear(10).times(11), r"steps = 11; expected a whole number from 1 to T = 10"),
        (lambda: linear(10).times(2.5), r"steps = 2.5; expected a whole number from 1 to T = 10"),
        (lambda: linear(10).times(5, "even"), r"spacing = 'even'; expected one of 'trailing', 'linspace', 'leading'"),
        (lambda: linear(10).times(True), r"steps = True; expected a whole number"),
    ],
)
def test_bad_tables_and_times_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_schedule_cannot_be_changed_and_prints_what_is_left_at_T():
    with pytest.raises(AttributeError):
        linear(10).beta = torch.zeros(3)
    assert repr(linear(200)) == "Schedule(linear, T=200, signal(T)=0.364)"
    given = torch.tensor([0.1, 0.2])
    s = from_beta(given)
    given[0] = 0.9
    assert float(s.beta[1]) == pytest.approx(0.1)


def test_numpy_s_whole_numbers_count_and_truth_values_do_not():
    assert torch.equal(linear(np.int64(10)).times(np.int32(5)), linear(10).times(5))
    with pytest.raises(ValueError, match="T = True; expected a whole number"):
        linear(True)


def test_one_step_cannot_be_stretched_to_zero_terminal_snr():
    with pytest.raises(ValueError, match="nothing between them to stretch"):
        linear(1).zero_terminal_snr()
