"""DDIM as a rotation: exact ways down and up, orders of convergence, and the arc between two noises."""

import math

import pytest
import torch

from mpl_diffusion import (
    VE,
    VP,
    GaussianMixture,
    Schedule,
    SubVP,
    cosine,
    ddim,
    ddim_heun,
    final,
    invert,
    linear,
    mixture_1d,
    slerp,
)

PROCESSES = {"linear": linear(400), "cosine": cosine(400), "VP": VP(), "SubVP": SubVP(), "VE": VE()}
processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
MEAN, STD = 0.5, 0.6
GAUSSIAN = mixture_1d([1], [MEAN], [STD])
PLANE = GaussianMixture(
    torch.tensor([0.3, 0.7]).double(),
    torch.tensor([[-1.0, 0.5], [0.8, -0.4]]).double(),
    torch.tensor([[[0.09, 0.03], [0.03, 0.05]], [[0.16, -0.05], [-0.05, 0.09]]]).double(),
)


def along_the_flow(process, x, t, t_next):
    """Data N(m, c^2): a point stays at the same quantile of p_t = N(signal m, signal^2 c^2 + noise^2)."""
    (mean, std), (mean_next, std_next) = (
        (float(process.signal(u)) * MEAN, math.hypot(float(process.signal(u)) * STD, float(process.noise(u))))
        for u in (t, t_next)
    )
    return mean_next + std_next * (x - mean) / std


def halvings(walk, process, counts=(15, 30, 60)):
    """The largest error of walk(process, steps) -> (end, exact end), for each of counts."""
    ends = [walk(process, n) for n in counts]
    return [float((end - exact).abs().max()) for end, exact in ends]


def points():
    return torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]


def stretch(process, steps):
    """From T to T/10: near t = 0 a schedule's angle goes like sqrt(t), and the last step is a long one."""
    if isinstance(process, Schedule):
        return torch.linspace(process.T, process.T // 10, steps + 1, dtype=torch.float64).round().long()
    return process.times(steps)


def down(process, steps, sampler=ddim_heun):
    times = stretch(process, steps)
    x = along_the_flow(process, start_of(process, times), times[-1], times[0])
    return final(sampler(GAUSSIAN.denoiser(process), process, x, times)), start_of(process, times)


def up(process, steps, order=2):
    times = stretch(process, steps)
    x = start_of(process, times)
    end = final(invert(GAUSSIAN.denoiser(process), process, x, times, order))
    return end, along_the_flow(process, x, times[-1], times[0])


def start_of(process, times):
    mean, std = float(process.signal(times[-1])) * MEAN, float(process.signal(times[-1])) * STD
    return mean + std * points()


# ----------------------------------------------------------------------------------- orders


@processes
def test_heun_s_error_falls_fourfold_per_halving_where_ddim_s_halves(process):
    second, first = halvings(down, process), halvings(lambda p, n: down(p, n, ddim), process)
    assert all(coarse > 3.2 * fine for coarse, fine in zip(second, second[1:])), second
    assert all(1.6 < coarse / fine < 2.4 for coarse, fine in zip(first, first[1:])), first
    assert second[-1] < first[-1] / 5


@pytest.mark.parametrize("schedule", [linear(1000), cosine(1000)], ids=str)
def test_all_the_way_to_the_data_heun_with_half_the_steps_is_nearer_than_ddim(schedule):
    """The same number of calls."""
    x = along_the_flow(schedule, MEAN + STD * points(), 0, 1000)
    exact = GAUSSIAN.denoiser(schedule)
    two, one = (final(walk(exact, schedule, x, n)) for walk, n in ((ddim_heun, 20), (ddim, 40)))
    error_of_two, error_of_one = (float((end - MEAN - STD * points()).abs().max()) for end in (two, one))
    assert error_of_two < error_of_one / 1.5


@processes
def test_the_way_up_has_the_same_orders(process):
    second, first = halvings(up, process), halvings(lambda p, n: up(p, n, 1), process)
    assert all(coarse > 3.2 * fine for coarse, fine in zip(second, second[1:])), second
    assert all(1.6 < coarse / fine < 2.6 for coarse, fine in zip(first, first[1:])), first


@pytest.mark.parametrize("process", [linear(400), cosine(400), linear(400).zero_terminal_snr()], ids=str)
def test_up_and_down_again_comes_home_to_second_order(process):
    x = PLANE.sample(50, generator=torch.Generator().manual_seed(0)).double()
    exact = PLANE.denoiser(process)
    if float(process.signal(process.T)) == 0:
        exact.x0 = lambda x, t, cond=None: PLANE.moments()[0].expand_as(x)
    errors = []
    for steps in (20, 40, 80):
        code = final(invert(exact, process, x, steps))
        errors.append(float((final(ddim_heun(exact, process, code, steps)) - x).square().mean().sqrt()))
    assert errors[2] < 5e-3 and errors[0] > 2.5 * errors[1] > 6 * errors[2], errors


def test_the_correction_where_nothing_but_noise_arrives_is_half_the_change_of_v():
    """One step up to signal = 0, by the formula of `ddim_heun` itself: x' = cos x + sin v + delta/2 (v' - v turned)."""
    schedule, t = linear(400).zero_terminal_snr(), 300
    exact, x = GAUSSIAN.denoiser(schedule), points()
    exact.x0 = lambda x, t, cond=None: torch.full_like(x, MEAN)
    a, s = float(schedule.signal(t)), float(schedule.noise(t))
    eps, delta = exact(x, t), math.pi / 2 - math.atan2(s, a)
    v = a * eps - s * (x - s * eps) / a
    turned = math.cos(delta) * v - math.sin(delta) * x
    step = math.cos(delta) * x + math.sin(delta) * v + delta / 2 * (-MEAN - turned)
    assert torch.allclose(final(invert(exact, schedule, x, [400, t])), step, rtol=0, atol=1e-12)


# ----------------------------------------------------------------------------------- exact cases


@processes
@pytest.mark.parametrize("order", [1, 2])
def test_where_eps_never_changes_every_number_of_steps_is_exact(process, order):
    eps = torch.randn(4, 3, dtype=torch.float64)
    times = process.times(5)
    x0 = torch.randn(4, 3, dtype=torch.float64)
    start = final(invert(lambda x, t, cond=None: eps, process, x0, times, order))
    moved = (x0 - float(process.noise(times[-1])) * eps) / float(process.signal(times[-1]))
    torch.testing.assert_close(start, process.signal(times[0]) * moved + process.noise(times[0]) * eps)
    for walk in (ddim_heun, ddim):
        back = final(walk(lambda x, t, cond=None: eps, process, start, times))
        torch.testing.assert_close(back, x0, rtol=1e-9, atol=1e-9 / float(process.signal(times[0])))


def test_an_inverted_ddim_step_is_the_ddim_step_with_its_ends_exchanged():
    schedule, x = linear(100), torch.randn(3, 2, dtype=torch.float64)
    exact = PLANE.denoiser(schedule)
    (_, step) = invert(exact, schedule, x, [70, 20, 0], order=1)
    first = schedule.signal(20) * x + schedule.noise(20) * exact(schedule.signal(20) * x, 20)
    eps = exact(first, 20)
    x0 = schedule.x0_from_eps(first, 20, eps)
    torch.testing.assert_close(step.x, schedule.signal(70) * x0 + schedule.noise(70) * eps)
    torch.testing.assert_close(step.x0, x0)


# ----------------------------------------------------------------------------------- manners


@pytest.mark.parametrize(
    "walk, calls",
    [
        (lambda d, s, x: ddim_heun(d, s, x, 5), [20, 16, 16, 12, 12, 8, 8, 4, 4]),
        (lambda d, s, x: invert(d, s, x, 5), [4, 4, 4, 8, 8, 12, 12, 16, 16, 20]),
        (lambda d, s, x: invert(d, s, x, 5, order=1), [4, 4, 8, 12, 16]),
    ],
    ids=["heun", "invert", "invert, order 1"],
)
def test_a_denoiser_is_asked_so_often_and_never_at_the_clean_data(walk, calls):
    asked = []

    def spy(x, t, cond=None):
        asked.append(t)
        return torch.zeros_like(x)

    schedule = linear(20)
    assert len(list(walk(spy, schedule, torch.zeros(2, 2)))) == 5
    assert asked == calls


def test_the_times_arrived_at_are_told_and_the_condition_is_passed_on():
    schedule, heard = linear(20), []
    cond = torch.tensor([[1], [2]])

    def spy(x, t, cond=None):
        heard.append(cond)
        return torch.zeros_like(x)

    assert [step.t for step in invert(spy, schedule, torch.zeros(2, 2), 4, cond=cond)] == [5, 10, 15, 20]
    assert [step.t for step in ddim_heun(spy, schedule, torch.zeros(2, 2), 4, cond=cond)] == [15, 10, 5, 0]
    assert all(c is cond for c in heard)


@pytest.mark.parametrize("walk", [ddim_heun, invert])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_x_is_left_alone_and_its_kind_kept_on_images_too(walk, dtype):
    x = torch.randn(2, 1, 4, 4, dtype=dtype, requires_grad=True)
    before = x.detach().clone()
    steps = list(walk(lambda x, t, cond=None: torch.tanh(x), linear(20), x, 3))
    assert torch.equal(x.detach(), before) and len({id(step.x) for step in steps}) == 3
    assert all(s.x.dtype == s.x0.dtype == dtype and s.x.shape == x.shape and not s.x.requires_grad for s in steps)


@pytest.mark.parametrize(
    "walk, message",
    [
        (lambda d, s, x: invert(d, s, x, order=3), r"order = 3; expected 1 \(DDIM, one call a step\) or 2"),
        (lambda d, s, x: ddim_heun(d, s, x, 0), r"steps = 0; expected a whole number from 1 to T = 20"),
        (lambda d, s, x: ddim_heun(d, s, x, [0, 5, 20]), r"times = \[0, 5, 20\]; expected at least two, each smaller"),
        (lambda d, s, x: invert(d, s, x, [20, 5, 9]), r"times = \[20, 5, 9\]; expected at least two, each smaller"),
        (lambda d, s, x: ddim_heun(lambda x, t, cond: x[:1], s, x, 3), r"the denoiser returned \(1, 2\); expected x's"),
        (lambda d, s, x: invert(lambda x, t, cond: x * math.nan, s, x, 3), "the walk ended in NaN or infinity"),
        (lambda d, s, x: ddim_heun(lambda x, t, cond: x * math.nan, s, x, 3), "the walk ended in NaN or infinity"),
    ],
)
def test_bad_input_is_named(walk, message):
    with pytest.raises(ValueError, match=message):
        final(walk(lambda x, t, cond=None: x, linear(20), torch.ones(3, 2)))


# ----------------------------------------------------------------------------------- slerp


def test_slerp_of_two_axes_is_a_quarter_circle():
    x, y = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.0, 1.0]]).double()
    for w in (0.0, 0.25, 1 / 3, 0.5, 1.0):
        angle = w * math.pi / 2
        torch.testing.assert_close(slerp(x, y, w), torch.tensor([[math.cos(angle), math.sin(angle)]]).double())


def test_slerp_begins_at_x_and_ends_at_y_and_weights_may_differ_by_row():
    x, y = torch.randn(2, 5, 1, 4, 4)
    torch.testing.assert_close(slerp(x, y, 0.0), x)
    torch.testing.assert_close(slerp(x, y, 1), y)
    w = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    each = torch.cat([slerp(x[k : k + 1], y[k : k + 1], float(w[k])) for k in range(5)])
    torch.testing.assert_close(slerp(x, y, w), each)


def test_two_noises_keep_their_length_on_the_arc_and_lose_it_on_the_line():
    x, y = torch.randn(2, 1, 10_000, generator=torch.Generator().manual_seed(0))
    assert float(slerp(x, y, 0.5).std()) == pytest.approx(1, abs=0.03)
    assert float(((x + y) / 2).std()) == pytest.approx(math.sqrt(0.5), abs=0.03)


@pytest.mark.parametrize("other", [1.0, -1.0, 3.0, 0.0])
def test_rows_without_an_arc_between_them_go_straight(other):
    x = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).double()
    y = torch.stack([other * x[0], torch.tensor([0.0, 1.0]).double()])
    middle = slerp(x, y, 0.5)
    torch.testing.assert_close(middle[0], (x[0] + y[0]) / 2)
    torch.testing.assert_close(middle[1], torch.tensor([0.5, 0.5]).double().sqrt())


def test_rows_that_point_the_same_way_stay_finite_where_rounding_takes_their_cosine_past_1():
    x = torch.randn(500, 7, generator=torch.Generator().manual_seed(0)).double()
    cos = torch.linalg.vecdot(x, 3 * x) / (x.norm(dim=1) * (3 * x).norm(dim=1))
    assert (cos > 1).any() and (-cos < -1).any()
    torch.testing.assert_close(slerp(x, 3 * x, 0.25), 1.5 * x)
    torch.testing.assert_close(slerp(x, -3 * x, 0.25), 0 * x, atol=1e-9, rtol=0)


def test_slerp_keeps_float32():
    assert slerp(*torch.randn(2, 3, 4), 0.3).dtype == torch.float32


@pytest.mark.parametrize(
    "x, y, weight, message",
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), 0.5, r"x has shape \(2, 3\), y \(3, 2\)"),
        (
            torch.zeros(2, 3),
            torch.zeros(2, 3),
            torch.zeros(3),
            r"weight has shape \(3,\); expected one number, or .* \(2,\)",
        ),
    ],
)
def test_slerp_names_bad_shapes(x, y, weight, message):
    with pytest.raises(ValueError, match=message):
        slerp(x, y, weight)
