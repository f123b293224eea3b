"""Samplers against the textbook, against each other, and against walks whose distribution is known exactly."""

import math
import weakref

import pytest
import torch

from mpl_diffusion import (
    MLP,
    Denoiser,
    EmpiricalDenoiser,
    GaussianMixture,
    Step,
    clamp,
    cosine,
    ddim,
    ddpm,
    final,
    linear,
    mixture_1d,
    sigmoid,
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPES = {"points": (5, 2), "images": (3, 1, 8, 8)}
SCHEDULES = {"linear": linear(60), "cosine": cosine(60), "sigmoid": sigmoid(60)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
devices = pytest.mark.parametrize("device", DEVICES)
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
STRIDES = {"all": list(range(60, -1, -1)), "uneven": [60, 41, 40, 13, 2, 0], "not from T to 0": [30, 20, 10]}
strides = pytest.mark.parametrize("times", STRIDES.values(), ids=STRIDES)


def bent(x, t, cond=None):
    """Some smooth denoiser that uses x and t."""
    return torch.tanh(x) * (0.5 + t / 100) + 0.1


def start(shape, n=60, dtype=torch.float64, device="cpu"):
    """x_T, and one recorded noise per step that may need one."""
    x, *noise = torch.randn(n + 1, *shape, dtype=dtype, device=device)
    return x, noise


def close(a, b, scale=1.0):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12 * scale)


def scale_of(schedule):
    """A fixed eps is magnified by up to 1/signal(T): 1/4000 at the cosine schedule's end."""
    return 1 / float(schedule.signal(schedule.T))


def textbook_ddpm(schedule, x, times, variance, noise):
    """Ho et al. 2020, algorithm 2, with merged betas: one plain line per formula, no sharing with the package."""
    for k, (t, t_next) in enumerate(zip(times[:-1], times[1:], strict=True)):
        bar, bar_next = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[t_next])
        alpha = bar / bar_next
        beta = 1 - alpha
        x = (x - beta / math.sqrt(1 - bar) * bent(x, t)) / math.sqrt(alpha)
        if t_next > 0:
            sigma2 = beta if variance == "beta" else (1 - bar_next) / (1 - bar) * beta
            x = x + math.sqrt(sigma2) * noise[k]
    return x


def textbook_ddim(schedule, x, times, eta, noise):
    """J. Song et al. 2020, equations 12 and 16."""
    for k, (t, t_next) in enumerate(zip(times[:-1], times[1:], strict=True)):
        bar, bar_next = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[t_next])
        eps = bent(x, t)
        x0 = (x - math.sqrt(1 - bar) * eps) / math.sqrt(bar)
        sigma = eta * math.sqrt((1 - bar_next) / (1 - bar)) * math.sqrt(1 - bar / bar_next)
        x = math.sqrt(bar_next) * x0 + math.sqrt(1 - bar_next - sigma**2) * eps
        if sigma > 0:
            x = x + sigma * noise[k]
    return x


@devices
@shapes
@schedules
@strides
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_ddpm_is_the_textbook_s_ancestral_sampling(schedule, shape, times, variance, device):
    x, noise = start(shape, device=device)
    ours = final(ddpm(bent, schedule, x, steps=times, variance=variance, noise=noise))
    close(ours, textbook_ddpm(schedule, x, times, variance, noise), scale_of(schedule))


@devices
@shapes
@schedules
@strides
@pytest.mark.parametrize("eta", [0, 0.3, 1.0])
def test_ddim_is_the_textbook_s(schedule, shape, times, eta, device):
    x, noise = start(shape, device=device)
    ours = final(ddim(bent, schedule, x, steps=times, eta=eta, noise=noise))
    close(ours, textbook_ddim(schedule, x, times, eta, noise), scale_of(schedule))


@devices
@shapes
@schedules
@pytest.mark.parametrize("steps", [60, 7, [60, 41, 40, 13, 2, 0]], ids=["all", "7", "uneven"])
def test_ddim_with_eta_1_is_ddpm_with_beta_tilde_step_by_step(schedule, shape, steps, device):
    x, noise = start(shape, device=device)
    a = list(ddim(bent, schedule, x, steps=steps, eta=1, noise=noise))
    b = list(ddpm(bent, schedule, x, steps=steps, variance="beta_tilde", noise=noise))
    assert [s.t for s in a] == [s.t for s in b]
    for p, q in zip(a, b, strict=True):
        close(p.x, q.x, scale_of(schedule))
        close(p.x0, q.x0, scale_of(schedule))


def test_ddpm_visits_all_times_unless_it_is_told_otherwise():
    x, noise = start((5, 2))
    schedule = linear(60)
    assert [s.t for s in ddpm(bent, schedule, x, noise=noise)] == list(range(59, -1, -1))
    assert [s.t for s in ddpm(bent, schedule, x, steps=6, noise=noise)] == [50, 40, 30, 20, 10, 0]
    assert [s.t for s in ddim(bent, schedule, x, steps=6)] == [50, 40, 30, 20, 10, 0]
    for times in ([60, 5, 0], (60, 5, 0), torch.tensor([60, 5, 0]), range(60, -1, -20)):
        assert [s.t for s in ddim(bent, schedule, x, steps=times)] == list(times)[1:]


@pytest.mark.parametrize(
    "walk",
    [
        lambda d, s, x: ddpm(d, s, x),
        lambda d, s, x: ddpm(d, s, x, variance="beta"),
        lambda d, s, x: ddpm(d, s, x, steps=7, variance="beta"),
        lambda d, s, x: ddim(d, s, x, steps=7),
        lambda d, s, x: ddim(d, s, x, steps=7, eta=1),
    ],
)
def test_every_walk_ends_exactly_at_the_last_x0_hat_without_noise(walk):
    x, _ = start((5, 2))
    *_, before, last = walk(bent, linear(60), x)
    x0_hat = linear(60).x0_from_eps(before.x, before.t, bent(before.x, before.t))
    torch.testing.assert_close(last.x, x0_hat, rtol=0, atol=1e-14)
    torch.testing.assert_close(last.x0, x0_hat, rtol=0, atol=1e-14)


def test_a_step_s_x0_is_what_the_denoiser_saw_from_where_it_came():
    x, schedule = torch.randn(3, 1, 8, 8, dtype=torch.float64), linear(60)
    for step in ddim(bent, schedule, x, steps=[60, 30, 0]):
        t = 60 if step.t == 30 else 30
        torch.testing.assert_close(step.x0, schedule.x0_from_eps(x, t, bent(x, t)))
        x = step.x
    assert repr(step) == "Step(t=0, x (3, 1, 8, 8))" and isinstance(step, Step)


# ---------------------------------------------------------------------------- walks whose distribution is known exactly


def moments(sample, exact, schedule, steps, **options):
    """The mean and the variance of where a walk ends when the data are one Gaussian on the line.

    The exact denoiser is then affine in x, so the end is affine in (x_T, z_1, z_2, ...): one row of x per source, with
    a 1 there and 0 elsewhere, reads off its factor. No sampling, no standard error.
    """
    n = (schedule.T if steps is None else steps) + 1  # x_T and a noise per step
    sources = torch.cat([torch.zeros(1, n), torch.eye(n)]).double()  # the first row has none: it ends at the mean
    x, noise = sources[:, :1], [sources[:, k : k + 1] for k in range(1, n)]
    end = final(sample(exact, schedule, x, **({} if steps is None else {"steps": steps}), noise=noise, **options))
    return float(end[0]), float(((end[1:] - end[0]) ** 2).sum())


@pytest.mark.parametrize("steps", [None, 50, 7])
def test_ddpm_with_beta_keeps_standard_normal_data_standard_normal_on_any_stride(steps):
    """Ho et al. 2020, sec. 3.2: sigma^2 = beta is exact for x_0 ~ N(0, I). Only the last step adds no noise, so what is
    left is signal(t)^2 of the last t before 0."""
    schedule = linear(200)
    exact = mixture_1d([1], [0], [1]).denoiser(schedule)
    last = int(schedule.times(steps or 200)[-2])
    mean, variance = moments(ddpm, exact, schedule, steps, variance="beta")
    assert mean == pytest.approx(0, abs=1e-12) and variance == pytest.approx(float(schedule.alpha_bar[last]), rel=1e-12)


@pytest.mark.parametrize("steps", [None, 50, 7])
def test_ddpm_with_beta_tilde_brings_every_start_to_data_that_are_one_point(steps):
    """Ho et al. 2020, sec. 3.2: sigma^2 = beta_tilde is exact for x_0 set to one point."""
    schedule, point = linear(200), torch.tensor([[0.7]], dtype=torch.float64)
    exact = EmpiricalDenoiser(point, schedule)
    n = steps or 200
    # as in `moments`: the mean of q(x_T | x_0) in row 0, and beside it one standard deviation of each source alone
    sources = torch.cat([torch.zeros(1, n + 1), torch.eye(n + 1)]).double()
    x = schedule.diffuse(point.expand(n + 2, 1), 200, sources[:, :1])
    noise = [sources[:, k : k + 1] for k in range(1, n + 1)]
    for step in ddpm(exact, schedule, x, steps=steps, noise=noise):
        variance = float(((step.x[1:] - step.x[0]) ** 2).sum())
        assert float(step.x[0]) == pytest.approx(0.7 * float(schedule.signal(step.t)), rel=1e-9)
        assert variance == pytest.approx(float(schedule.noise(step.t)) ** 2, rel=1e-9, abs=1e-18)
    torch.testing.assert_close(step.x, point.expand(n + 2, 1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("steps", [1, 7, 200])
def test_ddim_multiplies_standard_normal_data_by_a_product_of_cosines(steps):
    """With eps = noise(t) x, a step is x' = (signal signal' + noise noise') x: the cosine of the angle between both."""
    schedule, x = linear(200), torch.randn(9, 2).double()
    angle = torch.acos(schedule.signal(schedule.times(steps)))
    unit = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2).double())
    end = final(ddim(unit.denoiser(schedule), schedule, x, steps=steps))
    torch.testing.assert_close(end, x * torch.cos(angle.diff()).prod(), rtol=1e-12, atol=1e-14)


def test_with_strides_both_variances_miss_the_distribution_and_ddim_reaches_it_at_first_order():
    """Data N(0.5, 0.626^2). With 50 of 1000 steps beta_tilde leaves too little variance, beta too much."""
    schedule, std = linear(1000), math.sqrt(0.392)
    exact = mixture_1d([1], [0.5], [std]).denoiser(schedule)
    tilde, beta, deterministic = (
        moments(ddpm, exact, schedule, 50, variance="beta_tilde"),
        moments(ddpm, exact, schedule, 50, variance="beta"),
        moments(ddim, exact, schedule, 50),
    )
    assert tilde[1] < 0.35 < deterministic[1] < 0.392 < 0.40 < beta[1]
    for mean, _ in (tilde, beta, deterministic):
        assert mean == pytest.approx(0.5, abs=0.02)
    errors = [abs(moments(ddim, exact, schedule, n)[1] - 0.392) for n in (25, 50, 100, 200)]
    assert all(coarse > 1.7 * fine for coarse, fine in zip(errors, errors[1:], strict=False))  # halved with the step


def test_all_steps_of_ddpm_reproduce_the_variance_of_the_data_to_five_percent():
    schedule = linear(300, 1e-4 * 1000 / 300, 0.02 * 1000 / 300)
    exact = mixture_1d([1], [0.5], [0.6]).denoiser(schedule)
    for variance in ("beta", "beta_tilde"):
        mean, square = moments(ddpm, exact, schedule, None, variance=variance)
        assert mean == pytest.approx(0.5, abs=5e-3) and square == pytest.approx(0.36, rel=0.05)


def test_ddim_brings_noise_to_each_mode_of_a_mixture_in_its_share():
    schedule = linear()
    data = mixture_1d([0.3, 0.7], [-2, 1], [0.2, 0.2])
    x = schedule.prior(2000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    end = final(ddim(data.denoiser(schedule), schedule, x, steps=40))
    share = float((end < -0.5).double().mean())
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000) and float((end.abs() - 1.5).abs().max()) < 1.6


# ----------------------------------------------------------------------------------- zero terminal SNR


@pytest.mark.parametrize("sample", [ddim, ddpm, lambda *a, **k: ddim(*a, eta=1, **k)], ids=["ddim", "ddpm", "eta 1"])
@pytest.mark.parametrize("predicts", ["v", "x0"])
def test_a_walk_from_pure_noise_starts_with_the_denoisers_own_x0(sample, predicts):
    schedule = linear(20).zero_terminal_snr()
    denoiser = Denoiser(MLP(width=8).double(), schedule, predicts)
    x = torch.randn(5, 2).double()
    first, *_, last = sample(denoiser, schedule, x, steps=20, noise=torch.Generator().manual_seed(3))
    torch.testing.assert_close(first.x0, denoiser.x0(x, 20))
    a, s, beta = (float(v) for v in (schedule.signal(19), schedule.noise(19), schedule.beta[20]))
    assert beta == 1
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = a * denoiser.x0(x, 20) + s * (x if sample is ddim else z)  # beta_tilde = noise(T-1)^2: all of it is new
    torch.testing.assert_close(first.x, expected)
    assert last.x.isfinite().all()


def test_one_jump_from_pure_noise_is_x0_itself():
    schedule = linear(20).zero_terminal_snr()
    denoiser, x = Denoiser(MLP(width=8), schedule, "v"), torch.randn(5, 2)
    (step,) = ddim(denoiser, schedule, x, steps=1)
    torch.testing.assert_close(step.x, denoiser.x0(x, 20))


@pytest.mark.parametrize("sample", [ddim, ddpm])
def test_a_function_that_only_knows_eps_is_told_why_it_cannot_start_from_pure_noise(sample):
    schedule = linear(20).zero_terminal_snr()
    with pytest.raises(ValueError, match=r"signal\(20\) = 0: x_T is pure noise.*steps=\[19, \.\.\., 0\].*predicts='v'"):
        final(sample(bent, schedule, torch.randn(5, 2), steps=20))
    assert final(sample(bent, schedule, torch.randn(5, 2), steps=list(range(19, -1, -1)))).isfinite().all()


# ----------------------------------------------------------------------------------- noise, memory, dtypes


@devices
@shapes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_walk_repeats_exactly_with_a_seeded_generator_and_with_recorded_noise(shape, dtype, device):
    x, schedule = torch.randn(shape, dtype=dtype, device=device), linear(20)
    rng = torch.Generator().manual_seed(5)
    recorded = [torch.randn(shape, dtype=dtype, generator=rng) for _ in range(19)]
    for walk in (ddpm, lambda *a, **k: ddim(*a, steps=20, eta=0.5, **k)):
        a, b = (final(walk(bent, schedule, x, noise=torch.Generator().manual_seed(5))) for _ in range(2))
        c = final(walk(bent, schedule, x, noise=recorded))
        other = final(walk(bent, schedule, x, noise=torch.Generator().manual_seed(6)))
        assert torch.equal(a, b) and torch.equal(a, c) and not torch.equal(a, other)
        assert a.dtype == dtype and a.shape == shape and a.device == x.device


def test_without_noise_of_its_own_a_walk_draws_from_torchs_state():
    x, schedule = torch.randn(5, 2), linear(20)
    torch.manual_seed(1)
    a = final(ddpm(bent, schedule, x))
    torch.manual_seed(1)
    assert torch.equal(a, final(ddpm(bent, schedule, x))) and not torch.equal(a, final(ddpm(bent, schedule, x)))


@pytest.mark.parametrize("noise", [None, 3], ids=["default", "generator"])
@pytest.mark.parametrize("walk", [ddpm, lambda *a, **k: ddim(*a, steps=20, eta=1.0, **k)], ids=["ddpm", "ddim"])
def test_every_row_of_a_batch_gets_noise_of_its_own(walk, noise):
    """From one start, 2,000 rows part: on average over two of them, as far as two independent noises do."""
    rng = None if noise is None else torch.Generator().manual_seed(noise)
    x = torch.zeros(2000, 2)
    first = next(iter(walk(bent, linear(20), x, noise=rng))).x
    assert len(first.unique(dim=0)) == 2000
    spread = first.std(0)
    apart = (first[:1000] - first[1000:]).std(0)
    torch.testing.assert_close(apart, math.sqrt(2) * spread, rtol=0.1, atol=0)
    assert abs(float(torch.corrcoef(first.T)[0, 1])) < 0.1  # nor do the coordinates share it


def test_a_walk_changes_neither_its_start_nor_the_recorded_noise_nor_the_steps_before():
    x, noise = start((5, 2), 20)
    before = x.clone(), [z.clone() for z in noise]
    walk = list(ddpm(bent, linear(20), x, noise=noise))
    seen = [s.x.clone() for s in ddpm(bent, linear(20), x, noise=noise)]
    assert torch.equal(x, before[0]) and all(map(torch.equal, noise, before[1]))
    assert all(torch.equal(s.x, y) for s, y in zip(walk, seen, strict=True))


def test_ddim_without_eta_uses_no_noise_at_all():
    x = torch.randn(5, 2)
    state = torch.get_rng_state()
    final(ddim(bent, linear(20), x, steps=5, noise=[]))
    final(ddim(bent, linear(20), x, steps=5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("given", "message"), [(18, "none is left"), (0, "none is left")])
def test_recorded_noise_that_runs_out_is_named(given, message):
    x, noise = start((5, 2), 20)
    with pytest.raises(
        ValueError, match=rf"recorded noise: {message}; expected one tensor of shape \(5, 2\) per noisy step"
    ):
        final(ddpm(bent, linear(20), x, noise=noise[:given]))
    assert final(ddpm(bent, linear(20), x, noise=noise[:19])).isfinite().all()


def test_recorded_noise_of_another_shape_is_named():
    x, noise = start((5, 2), 20)
    with pytest.raises(
        ValueError, match=r"recorded noise: the next has shape \(1, 2\); expected one tensor of shape \(5, 2\)"
    ):
        final(ddpm(bent, linear(20), x, noise=[z[:1] for z in noise]))


@pytest.mark.parametrize("sample", [lambda d, x: ddpm(d, linear(60), x), lambda d, x: ddim(d, linear(60), x, steps=60)])
def test_final_keeps_no_more_than_three_samples_alive(sample):
    alive, most = [], 0

    def watching(x, t, cond=None):
        nonlocal most
        alive.append(weakref.ref(x))
        most = max(most, sum(r() is not None for r in alive))
        return 0.1 * x

    final(sample(watching, torch.randn(5, 2)))
    assert len(alive) == 60 and most <= 3


def test_final_of_nothing_is_refused():
    with pytest.raises(ValueError, match="the walk has no steps"):
        final([])


def test_no_gradient_is_kept_and_the_callers_gradient_mode_is_left_alone():
    denoiser = Denoiser(MLP(width=8), linear(20))
    x = torch.randn(5, 2, requires_grad=True)
    for step in ddpm(denoiser, linear(20), x):
        assert not step.x.requires_grad and torch.is_grad_enabled()
    walk = ddim(denoiser, linear(20), x, steps=5)
    next(walk)
    with torch.no_grad():
        next(walk)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


@devices
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@shapes
def test_a_walk_stays_in_the_dtype_shape_and_device_of_x(dtype, shape, device):
    x = torch.randn(shape, dtype=dtype, device=device)
    for step in [*ddpm(bent, linear(20), x), *ddim(bent, linear(20), x, steps=4, eta=0.5)]:
        for y in (step.x, step.x0):
            assert y.dtype == dtype and y.shape == shape and y.device == x.device


def test_float32_follows_float64():
    x, noise = start((50, 2))
    for walk in (ddpm, lambda *a, **k: ddim(*a, steps=60, eta=0.5, **k)):
        exact = final(walk(bent, linear(60), x, noise=noise))
        single = final(walk(bent, linear(60), x.float(), noise=[z.float() for z in noise]))
        torch.testing.assert_close(single.double(), exact, rtol=0, atol=2e-5)


def test_the_denoiser_is_asked_once_per_step_with_whole_times_and_the_condition():
    asked, cond = [], torch.ones(5, 1, dtype=torch.long)

    def remembering(x, t, cond=None):
        asked.append((t, cond))
        return x

    list(ddim(remembering, linear(60), torch.randn(5, 2), steps=3, cond=cond))
    assert [t for t, _ in asked] == [60, 40, 20] and all(type(t) is int for t, _ in asked)
    assert all(c is cond for _, c in asked)


def test_a_walk_is_lazy_and_can_be_left_early():
    calls = []
    walk = ddpm(lambda x, t, cond=None: calls.append(t) or x, linear(), torch.randn(5, 2))
    assert not calls
    next(walk)
    next(walk)
    assert calls == [1000, 999]


# ----------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        (lambda s, x: ddim(bent, s, x, steps=21), r"steps = 21; expected a whole number from 1 to T = 20"),
        (lambda s, x: ddim(bent, s, x, steps=0), r"steps = 0; expected a whole number from 1 to T = 20"),
        (lambda s, x: ddim(bent, s, x, steps=-3), r"steps = -3; expected"),
        (lambda s, x: ddim(bent, s, x, steps=True), r"steps = True; expected a whole number"),
        (lambda s, x: ddim(bent, s, x, steps=2.5), r"2\.5; expected"),
        (lambda s, x: ddpm(bent, s, x, steps=21), r"steps = 21; expected a whole number from 1 to T = 20"),
        (lambda s, x: ddpm(bent, s, x, steps=0), r"steps = 0; expected"),
        (lambda s, x: ddim(bent, s, x, steps=[]), r"times = \[\]; expected at least two, each smaller"),
        (lambda s, x: ddim(bent, s, x, steps=[5]), r"times = \[5\]; expected at least two"),
        (lambda s, x: ddim(bent, s, x, steps=[0, 5, 10]), r"times = \[0, 5, 10\]; expected at least two, each smaller"),
        (lambda s, x: ddim(bent, s, x, steps=[10, 10, 0]), r"times = \[10, 10, 0\]"),
        (lambda s, x: ddim(bent, s, x, steps=[21, 5, 0]), r"t runs from 0 to 21; this schedule has t = 0 ... 20"),
        (lambda s, x: ddim(bent, s, x, steps=[20, 5, -1]), r"t runs from -1 to 20"),
        (lambda s, x: ddim(bent, s, x, steps=[20.0, 5.0, 0.0]), r"t is torch.float32; a schedule has whole steps"),
        (
            lambda s, x: ddpm(bent, s, x, variance="fixed_small"),
            r"variance = 'fixed_small'; expected 'beta' or 'beta_tilde'",
        ),
        (lambda s, x: ddim(bent, s, x, steps=5, eta=1.5), r"eta = 1.5; expected a number from 0"),
        (lambda s, x: ddim(bent, s, x, steps=5, eta=-0.1), r"eta = -0.1; expected"),
        (lambda s, x: ddim(bent, s, x, steps=5, eta=math.nan), r"eta = nan; expected"),
    ],
)
def test_bad_arguments_are_named_before_the_walk_begins(walk, message):
    with pytest.raises(ValueError, match=message):
        walk(linear(20), torch.randn(5, 2))  # not even one step was asked for


@pytest.mark.parametrize("sample", [ddpm, lambda *a: ddim(*a, steps=5)], ids=["ddpm", "ddim"])
def test_a_denoiser_that_answers_in_another_shape_is_named(sample):
    with pytest.raises(ValueError, match=r"at t = 20 the denoiser returned \(5, 1\); expected x's \(5, 2\)"):
        final(sample(lambda x, t, cond=None: x[:, :1], linear(20), torch.randn(5, 2)))


@pytest.mark.parametrize("sample", [ddpm, lambda *a: ddim(*a, steps=5)], ids=["ddpm", "ddim"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_walk_that_ends_in_nan_says_so(sample, bad):
    def broken(x, t, cond=None):
        eps = x.clone()
        eps[2, 1] = bad if t > 10 else 0.0
        return eps

    with pytest.raises(ValueError, match="the walk ended in NaN or infinity"):
        final(sample(broken, linear(20), torch.randn(5, 2)))

    if math.isnan(bad):  # which a clamp cannot hide
        with pytest.raises(ValueError, match="the walk ended in NaN or infinity"):
            final(sample(clamp(broken, linear(20)), linear(20), torch.randn(5, 2)))
