"""Walks in continuous time, against formulas, distributions that are known exactly, and each other."""

import math
import weakref

import pytest
import torch

from mpl_diffusion import (
    EULER,
    HEUN,
    MIDPOINT,
    MLP,
    RK4,
    VE,
    VP,
    Denoiser,
    GaussianMixture,
    ScheduleVP,
    Step,
    SubVP,
    adaptive_solver,
    clamp,
    cosine,
    ddim,
    ddpm,
    dpm_solver,
    euler_maruyama,
    final,
    integrate,
    langevin,
    linear,
    mixture_1d,
    ode_velocity,
    probability_flow,
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPES = {"points": (5, 2), "images": (3, 1, 8, 8)}
SDES = {"VP": VP(), "SubVP": SubVP(), "VE": VE(), "schedule": ScheduleVP(linear(60))}
WALKS = {
    "euler_maruyama": lambda d, s, x, steps=6, **k: euler_maruyama(d, s, x, steps, **k),
    "churn 0.5": lambda d, s, x, steps=6, **k: euler_maruyama(d, s, x, steps, churn=0.5, **k),
    "probability_flow": lambda d, s, x, steps=6, noise=None, **k: probability_flow(d, s, x, steps, **k),
    "dpm_solver": lambda d, s, x, steps=6, noise=None, **k: dpm_solver(d, s, x, steps, **k),
    "langevin": lambda d, s, x, steps=6, **k: langevin(d, s, x, steps, repeats=1, **k),
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
sdes = pytest.mark.parametrize("sde", SDES.values(), ids=SDES)
walks = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)

PLANE = GaussianMixture(
    torch.tensor([0.3, 0.7]).double(),
    torch.tensor([[-1.0, 0.5], [0.8, -0.4]]).double(),
    torch.tensor([[[0.09, 0.03], [0.03, 0.05]], [[0.16, -0.05], [-0.05, 0.09]]]).double(),
)
SEPARATE = mixture_1d([0.3, 0.7], [-1.5, 1.0], [0.3, 0.4])


def bent(x, t, cond=None):
    """Some smooth denoiser that uses x and t."""
    return torch.tanh(x) * (0.5 + t / 2) + 0.1


def seeded(k=0):
    return torch.Generator().manual_seed(k)


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# ----------------------------------------------------------------------------------- each is its formula


@shapes
@sdes
@pytest.mark.parametrize("churn", [0, 0.4, 1.0, 2.0])
@pytest.mark.parametrize("steps", [5, [1.0, 0.8, 0.35, 0.1]], ids=str)
def test_euler_maruyama_is_the_reverse_sde_in_small_steps(sde, shape, churn, steps):
    x, *noise = torch.randn(6, *shape).double()
    walk = euler_maruyama(bent, sde, x, steps, churn, noise=noise)
    times = sde.times(5).tolist() if steps == 5 else steps
    for t, t_next, z, step in zip(times, times[1:], noise, walk):
        dt, f, g2 = t_next - t, float(sde.f(t)), float(sde.g2(t))
        score = -bent(x, t) / float(sde.noise(t))
        x = x + (f * x - (1 + churn**2) / 2 * g2 * score) * dt + churn * math.sqrt(g2 * -dt) * z
        close(step.x, x)
        assert step.t == t_next


@shapes
@sdes
def test_without_churn_it_is_eulers_method_on_the_ode(sde, shape):
    x = torch.randn(shape).double()
    close(final(euler_maruyama(bent, sde, x, 20, churn=0)), final(probability_flow(bent, sde, x, 20, EULER)))


@sdes
def test_the_velocity_is_f_x_minus_half_g2_times_the_score(sde):
    x, t = torch.randn(5, 2).double(), 0.3
    score = sde.score_from_eps(bent(x, t), t)
    close(ode_velocity(bent, sde)(x, t), float(sde.f(t)) * x - 0.5 * float(sde.g2(t)) * score)


@pytest.mark.parametrize("process", [linear(60), cosine(60), VP(), VE()], ids=["linear", "cosine", "VP", "VE"])
@shapes
def test_dpm_solver_is_algorithm_2_of_lu_et_al(process, shape):
    """Written with lambda and exponentials, as in the paper; first order in the first step and in one to noise = 0."""
    x = x_T = torch.randn(shape).double()
    times, before, h_before = process.times(7), None, None
    for step, t, t_next in zip(dpm_solver(bent, process, x_T, 7), times, times[1:]):
        a, s, a_next, s_next = (float(v) for u in (t, t_next) for v in (process.signal(u), process.noise(u)))
        x0 = (x - s * bent(x, t)) / a
        if s_next == 0:
            x = x0
        else:
            h = math.log(a_next / s_next) - math.log(a / s)
            D = x0 if before is None else x0 + h / (2 * h_before) * (x0 - before)
            x = s_next / s * x - a_next * math.expm1(-h) * D
            before, h_before = x0, h
        torch.testing.assert_close(step.x, x, rtol=1e-10, atol=1e-10 * float(x.abs().max()))
        torch.testing.assert_close(step.x0, x0, rtol=1e-10, atol=1e-10 * float(x0.abs().max()))


def test_one_step_of_dpm_solver_is_ddim():
    x = torch.randn(5, 2).double()
    for process, steps in ((linear(60), 1), (VP(), 1), (linear(60), [40, 13]), (VP(), [0.7, 0.2])):
        close(final(dpm_solver(bent, process, x, steps)), final(ddim(bent, process, x, steps)))


@pytest.mark.parametrize("process", [VP(), VE(), linear(60)], ids=["VP", "VE", "linear"])
def test_ddim_is_eulers_method_in_disguise(process):
    """In y = x / signal and the noise-to-signal ratio r = noise / signal, the ODE is dy/dr = eps(x, t), and DDIM's step
    is y' = y + (r' - r) eps (J. Song et al. 2020, eq. 13 and 14)."""
    x, times = torch.randn(5, 2).double(), process.times(12)
    a, s = process.signal(times), process.noise(times)
    at = dict(zip((s / a).tolist(), zip(times, a.tolist())))

    def dy_dr(y, r):
        t, signal = at[r]
        return bent(signal * y, t)

    *_, (_, y) = integrate(dy_dr, x / a[0], (s / a).tolist(), EULER)
    torch.testing.assert_close(final(ddim(bent, process, x, 12)), a[-1] * y, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("sample", [ddim, dpm_solver, lambda *a: ddim(*a, eta=1, noise=seeded())])
def test_a_schedule_and_its_continuous_reading_walk_alike(sample):
    schedule, x = linear(60), torch.randn(5, 2).double()
    sde, k = ScheduleVP(schedule), [60, 41, 17, 3, 0]
    exact = PLANE.denoiser(schedule), PLANE.denoiser(sde)
    torch.testing.assert_close(
        final(sample(exact[0], schedule, x, k)),
        final(sample(exact[1], sde, x, torch.tensor(k, dtype=torch.float64) / 60)),
        rtol=1e-9,
        atol=1e-9,
    )


@sdes
def test_langevin_climbs_the_score_with_noise_level_by_level(sde):
    x, *noise = torch.randn(13, 5, 2).double()
    walk = list(langevin(bent, sde, x, [0.9, 0.5, 0.2], repeats=4, size=0.3, noise=noise))
    assert [s.t for s in walk] == [0.9] * 4 + [0.5] * 4 + [0.2] * 4
    for step, z in zip(walk, noise):
        size = 0.3 * float(sde.noise(step.t)) ** 2
        score = sde.score_from_eps(bent(x, step.t), step.t)
        x = x + size / 2 * score + math.sqrt(size) * z
        close(step.x, x)


def test_langevin_leaves_out_levels_without_noise_or_signal():
    x = torch.randn(5, 2)
    assert [s.t for s in langevin(bent, linear(60), x, 3, repeats=1)] == [60, 40, 20]
    assert [s.t for s in langevin(bent, linear(60).zero_terminal_snr(), x, 3, repeats=1)] == [40, 20]
    assert [s.t for s in langevin(bent, VP(), x, 0.25, repeats=2)] == [0.25, 0.25]
    assert [s.t for s in langevin(bent, linear(60), x, [7], repeats=2)] == [7, 7]


# ----------------------------------------------------------------------------------- orders of convergence


def test_each_solver_converges_with_its_order_on_an_exact_score():
    """Root mean square error of 30 points at t_min = 0.01 against a reference ten digits good, 60 to 240 steps."""
    sde = VP(t_min=0.01)
    exact, x = PLANE.denoiser(sde), sde.prior(30, 2, generator=seeded(), dtype=torch.float64)
    reference = final(probability_flow(exact, sde, x, 1, adaptive_solver(1e-10)))
    solvers = {
        "Euler": (1, 0.1, lambda n: probability_flow(exact, sde, x, n, EULER)),
        "DDIM": (1, 0.1, lambda n: ddim(exact, sde, x, n)),
        "Heun": (2, 0.25, lambda n: probability_flow(exact, sde, x, n, HEUN)),
        "DPM-Solver++ 2M": (2, 0.25, lambda n: dpm_solver(exact, sde, x, n)),
        "RK4": (4, 0.4, lambda n: probability_flow(exact, sde, x, n, RK4)),
    }
    for name, (order, allowed, walk) in solvers.items():
        coarse, middle, fine = (float((final(walk(n)) - reference).square().mean().sqrt()) for n in (60, 120, 240))
        for slope in (math.log2(coarse / middle), math.log2(middle / fine)):
            assert abs(slope - order) < allowed, f"{name}: {coarse:.1e}, {middle:.1e}, {fine:.1e}"


# --------------------------------------------------------------------------- distributions that are known exactly


@sdes
def test_the_ode_carries_a_gaussian_by_its_quantiles(sde):
    """N(0.5, 0.6^2): x_t keeps its number of standard deviations from the mean all the way, both ways."""
    data = mixture_1d([1], [0.5], [0.6])
    exact, z = data.denoiser(sde), torch.linspace(-3, 3, 7).double()[:, None]

    def quantile(t):
        p_t = data.at(sde, t)
        return p_t.mean[0] + p_t.cov[0].sqrt() * z

    for step in probability_flow(exact, sde, quantile(1.0), 5, adaptive_solver(1e-10)):
        torch.testing.assert_close(step.x, quantile(step.t), rtol=1e-7, atol=1e-8)
    there = final(probability_flow(exact, sde, quantile(sde.t_min), sde.times(5).flip(0), adaptive_solver(1e-10)))
    torch.testing.assert_close(there, quantile(1.0), rtol=1e-7, atol=1e-7)


def moments(sample, data, process, x_moments, n):
    """Mean and variance of where a walk ends for one Gaussian on the line, exactly: the walk is affine in x_T and each
    noise, so one row of x per source, with a 1 there and 0 elsewhere, reads off its factor."""
    sources = torch.cat([torch.zeros(1, n + 1), torch.eye(n + 1)]).double()
    mean, std = x_moments
    end = final(
        sample(data.denoiser(process), mean + std * sources[:, :1], [sources[:, k : k + 1] for k in range(1, n + 1)])
    )
    return float(end[0]), float(((end[1:] - end[0]) ** 2).sum())


@pytest.mark.parametrize("churn", [0, 0.5, 1, 2])
def test_one_marginal_has_many_paths(churn):
    """From ODE to SDE and beyond: each ends in p_{t_min}, and halving the step halves what is missing."""
    sde, data = VP(t_min=0.01), mixture_1d([1], [0.5], [0.6])
    end, begin = data.at(sde, sde.t_min), data.at(sde, 1.0)
    start = float(begin.mean), float(begin.cov.sqrt())
    off = []
    for n in (100, 200, 400):
        mean, variance = moments(
            lambda exact, x, noise, n=n: euler_maruyama(exact, sde, x, n, churn, noise=noise), data, sde, start, n
        )
        off.append((abs(mean - float(end.mean)), abs(variance - float(end.cov))))
    assert all(error < 0.01 for error in off[-1])
    assert all(1.7 < coarse / fine < 2.4 for coarse, fine in zip(off[1], off[2]) if coarse > 1e-6)


def test_langevin_settles_in_p_t_but_for_its_step():
    """Stationary variance of x <- (1 - step/2v) x + sqrt(step) z: v / (1 - step/4v), at most v / (1 - size/4)."""
    data, n, size = mixture_1d([1], [0.5], [0.6]), 400, 0.2
    p_t = data.at(VP(), 0.3)
    v = float(p_t.cov)
    mean, variance = moments(
        lambda exact, x, noise: langevin(exact, VP(), x, 0.3, n, size, noise=noise), data, VP(), (5.0, 1.0), n
    )
    step = size * float(VP().noise(0.3)) ** 2
    assert mean == pytest.approx(float(p_t.mean), abs=1e-6) and variance == pytest.approx(
        v / (1 - step / (4 * v)), rel=1e-9
    )


def agrees(x, data):
    """Mean, covariance and mode weights of a sample within 4 standard errors of the data's."""
    n, (mean, cov) = len(x), data.moments()
    assert ((x.mean(0) - mean).abs() < 4 * (cov.diagonal() / n).sqrt()).all()
    apart = x - mean
    products = apart[:, :, None] * apart[:, None]
    assert ((products.mean(0) - cov).abs() < 4 * products.std(0) / math.sqrt(n)).all()
    share = data.responsibility(x).argmax(1).bincount(minlength=len(data.weight)) / n
    expected = data.responsibility(data.sample(100_000, seeded(9))).argmax(1).bincount() / 100_000
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / n).sqrt() + 0.005).all()


@pytest.mark.parametrize(
    "sample",
    [
        lambda x: ddpm(PLANE.denoiser(linear()), linear(), x, noise=seeded(1)),
        lambda x: ddpm(PLANE.denoiser(linear()), linear(), x, variance="beta", noise=seeded(1)),
        lambda x: euler_maruyama(PLANE.denoiser(VP()), VP(), x, 1000, noise=seeded(1)),
        lambda x: euler_maruyama(PLANE.denoiser(VP()), VP(), x, 1000, churn=0.5, noise=seeded(1)),
        lambda x: probability_flow(PLANE.denoiser(VP()), VP(), x, 40, HEUN),
        lambda x: dpm_solver(PLANE.denoiser(linear()), linear(), x, 40),
    ],
    ids=["ddpm, beta_tilde", "ddpm, beta", "reverse SDE", "churn 0.5", "ODE, Heun", "DPM-Solver++ 2M"],
)
def test_samples_from_the_exact_denoiser_have_the_datas_mean_covariance_and_mode_weights(sample):
    """1,000 samples, 4 standard errors: 0.13 std for a mean, 0.06 for a weight."""
    agrees(final(sample(torch.randn(1000, 2, generator=seeded(), dtype=torch.float64))), PLANE)


def test_strided_ancestral_samples_keep_mean_and_mode_weights_and_miss_the_variance_on_both_sides():
    """50 of 1000 steps. Each mode of std 0.4 (and 0.3): beta_tilde ends too narrow, beta too wide."""
    x, schedule = torch.randn(2000, 1, generator=seeded(), dtype=torch.float64), linear()
    widths = {}
    for variance in ("beta_tilde", "beta"):
        end = final(ddpm(SEPARATE.denoiser(schedule), schedule, x, 50, variance, noise=seeded(1)))
        right = end[end > -0.4]
        assert abs(len(right) / 2000 - 0.7) < 4 * math.sqrt(0.3 * 0.7 / 2000)
        assert abs(float(right.mean()) - 1) < 4 * 0.4 / math.sqrt(1400)
        widths[variance] = float(right.std())
    assert widths["beta_tilde"] < 0.4 * (1 - 2 / math.sqrt(2800)) and 0.4 * (1 + 1 / math.sqrt(2800)) < widths["beta"]


def test_plain_langevin_stays_in_the_mode_where_it_starts_and_annealed_langevin_finds_the_shares():
    sde, n = VE(0.01, 10.0), 1000
    data = mixture_1d([0.2, 0.8], [-4, 4], [0.3, 0.3])
    exact, x = data.denoiser(sde), sde.prior(n, 1, generator=seeded(), dtype=torch.float64)
    start = (x > 0).double() * 8 - 4  # half of them in each mode
    stuck = final(langevin(exact, sde, start, 0.5, 100, noise=seeded(1)))
    assert torch.equal(stuck > 0, start > 0)
    annealed = final(langevin(exact, sde, x, [1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5], 40, 0.2, noise=seeded(1)))
    assert abs(float((annealed > 0).double().mean()) - 0.8) < 4 * math.sqrt(0.2 * 0.8 / n)
    # its only climb, without noise, ends on the peaks
    zeros = [torch.zeros(n, 1).double()] * 100
    assert float((final(langevin(exact, sde, start + 0.5, 0.5, 100, 1.0, noise=zeros)).abs() - 4).abs().max()) < 1e-3


@pytest.mark.parametrize(("solver", "steps"), [(RK4, 150), (adaptive_solver(1e-8), 2)], ids=["RK4", "adaptive"])
def test_the_way_to_noise_and_back_is_a_round_trip(solver, steps):
    sde, x0 = VP(), PLANE.sample(20, seeded())
    exact, up = PLANE.denoiser(sde), sde.times(steps).flip(0)
    code = final(probability_flow(exact, sde, x0, up, solver))
    assert float((code - x0).abs().mean()) > 0.3
    close(final(probability_flow(exact, sde, code, steps, solver)), x0, 1e-5)


def test_the_walk_ends_at_the_data_with_one_step_of_ddim():
    sde, x = VP(), torch.randn(5, 2).double()
    step = final(probability_flow(bent, sde, x, 10))
    (last,) = ddim(bent, sde, step, [sde.t_min, 0.0])
    torch.testing.assert_close(last.x, sde.x0_from_eps(step, sde.t_min, bent(step, sde.t_min)), rtol=1e-6, atol=1e-6)
    assert last.t == 0


# ----------------------------------------------------------------------------------- almost no signal at T


@pytest.mark.parametrize("sample", [ddim, dpm_solver], ids=["ddim", "dpm_solver"])
def test_an_error_of_eps_where_there_is_almost_no_signal_ruins_the_walk_unless_x0_is_clamped_or_v_predicted(sample):
    """Cosine schedule, noise/signal = 20,000 at T, 50 steps, two modes of equal weight. A mean error of 0.01 in eps, 1%
    of its std, throws x out to 9 and then every sample into one mode; the same error in v changes next to nothing."""
    schedule, x = cosine(), torch.randn(500, 1, generator=seeded(), dtype=torch.float64)
    exact = mixture_1d([0.5, 0.5], [-0.8, 0.8], [0.1, 0.1]).denoiser(schedule)

    def off(x_t, t, cond=None):
        return exact(x_t, t) + 0.01

    def off_in_v(x_t, t, cond=None):  # eps = noise x_t + signal v
        return exact(x_t, t) + 0.01 * float(schedule.signal(t))

    def walk(denoiser):
        steps = list(sample(denoiser, schedule, x, 50))
        return max(float(s.x.abs().max()) for s in steps), float((steps[-1].x > 0).double().mean())

    furthest, right = walk(exact)
    assert furthest < 4 and abs(right - 0.5) < 4 * 0.5 / math.sqrt(500)
    furthest_off, right_off = walk(off)
    assert furthest_off > 9 and right_off < 0.01
    for denoiser, allowed in ((clamp(off, schedule), 0.05), (off_in_v, 0.005)):
        assert walk(denoiser)[0] < 4 and abs(walk(denoiser)[1] - right) < allowed


def test_a_walk_from_pure_noise_starts_with_the_denoisers_own_x0():
    schedule = linear(20).zero_terminal_snr()
    denoiser, x = Denoiser(MLP(width=8).double(), schedule, "v"), torch.randn(5, 2).double()
    first, *_, last = dpm_solver(denoiser, schedule, x, 20)
    close(first.x0, denoiser.x0(x, 20))
    close(first.x, float(schedule.signal(19)) * first.x0 + float(schedule.noise(19)) * x)
    assert last.x.isfinite().all()
    with pytest.raises(ValueError, match=r"signal\(20\) = 0: x_T is pure noise.*predicts='v'"):
        final(dpm_solver(bent, schedule, x, 20))


# ----------------------------------------------------------------------------------- how a walk behaves


@walks
@shapes
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_walk_keeps_dtype_shape_and_device_of_x_and_repeats_with_its_seed(walk, shape, dtype, device):
    x = torch.randn(shape, dtype=dtype, device=device)
    before = x.clone()
    one, two = (list(walk(bent, VP(), x, noise=seeded())) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert isinstance(a, Step) and type(a.t) is float
        for y in (a.x, a.x0):
            assert y.dtype == dtype and y.shape == shape and y.device == x.device
        assert torch.equal(a.x, b.x) and torch.equal(a.x0, b.x0)
    assert torch.equal(x, before)


@walks
def test_a_steps_x0_is_what_the_denoiser_saw_from_where_it_came(walk):
    sde, x, t = VP(), torch.randn(5, 2).double(), 1.0
    steps = list(walk(bent, sde, x))
    for step in steps:
        asked = step.t if walk is WALKS["langevin"] else t
        torch.testing.assert_close(step.x0, sde.x0_from_eps(x, asked, bent(x, asked)), rtol=1e-6, atol=1e-6)
        x, t = step.x, step.t


@walks
def test_final_keeps_no_more_than_four_samples_alive(walk):
    alive, most = [], 0

    def watching(x, t, cond=None):
        nonlocal most
        alive.append(weakref.ref(x))
        most = max(most, sum(r() is not None for r in alive))
        return 0.1 * x

    final(walk(watching, VP(), torch.randn(5, 2), 60))
    assert len(alive) >= 60 and most <= 4


@walks
def test_no_gradient_is_kept_and_the_callers_mode_is_left_alone(walk):
    denoiser = Denoiser(MLP(width=8), VP())
    for step in walk(denoiser, VP(), torch.randn(5, 2, requires_grad=True)):
        assert not step.x.requires_grad and not step.x0.requires_grad and torch.is_grad_enabled()


@walks
def test_the_denoiser_gets_the_exact_time_and_the_condition_and_only_when_a_step_is_asked_for(walk):
    asked, cond = [], torch.ones(5, 1, dtype=torch.long)

    def remembering(x, t, cond=None):
        asked.append((t, cond))
        return 0.1 * x

    steps = walk(remembering, VP(), torch.randn(5, 2), 3, cond=cond)
    assert not asked
    next(steps)
    assert 1 <= len(asked) <= 2
    list(steps)
    assert all(c is cond for _, c in asked)
    assert all(t.dtype == torch.float64 and t.ndim == 0 and 1e-3 <= t <= 1 for t, _ in asked)  # not torch's float32


def test_a_schedules_walk_asks_with_whole_times():
    asked = []
    list(dpm_solver(lambda x, t, cond=None: asked.append(t) or x, linear(60), torch.randn(5, 2), 3))
    assert asked == [60, 40, 20] and all(type(t) is int for t in asked)


@pytest.mark.parametrize(("solver", "calls"), [(EULER, 1), (MIDPOINT, 2), (HEUN, 2), (RK4, 4)])
def test_a_step_of_the_ode_costs_one_call_per_stage(solver, calls):
    asked = []
    list(probability_flow(lambda x, t, cond=None: asked.append(t) or 0.1 * x, VP(), torch.randn(5, 2), 10, solver))
    assert len(asked) == 10 * calls


# ----------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        (lambda x: euler_maruyama(bent, VP(), x, 0), r"steps = 0; expected a whole number, at least 1"),
        (lambda x: probability_flow(bent, VP(), x, 0), r"steps = 0; expected"),
        (lambda x: dpm_solver(bent, VP(), x, 0), r"steps = 0; expected"),
        (lambda x: dpm_solver(bent, linear(20), x, 21), r"steps = 21; expected a whole number from 1 to T = 20"),
        (lambda x: langevin(bent, VP(), x, 0), r"steps = 0; expected"),
        (
            lambda x: euler_maruyama(bent, VP(), x, [1.0, 0.0]),
            r"times run from 1 to 0; expected t_min = 0.001 <= t <= 1",
        ),
        (lambda x: probability_flow(bent, VP(), x, [1.0, 0.0]), r"times run from 1 to 0; expected t_min"),
        (lambda x: probability_flow(bent, VP(), x, [1.2, 0.5]), r"times run from 1.2 to 0.5; expected t_min"),
        (lambda x: dpm_solver(bent, VP(), x, [1.2, 0.5]), r"t = 1.2; an SDE has t from 0"),
        (lambda x: langevin(bent, VP(), x, [0.5, -0.1]), r"t = -0.1; an SDE has t from 0"),
        (lambda x: langevin(bent, VP(), x, 0.0), r"levels = 0.0; expected a time with both signal and noise"),
        (lambda x: langevin(bent, VP(), x, 5, repeats=0), r"repeats = 0; expected a whole number, at least 1"),
        (lambda x: langevin(bent, VP(), x, 5, size=4.0), r"size = 4.0; expected 0 < size < 4"),
        (lambda x: langevin(bent, VP(), x, 5, size=math.nan), r"size = nan; expected"),
        (lambda x: euler_maruyama(bent, VP(), x, [0.1, 0.5]), r"the times rise; a reverse SDE runs from noise to data"),
        (lambda x: euler_maruyama(bent, VP(), x, 5, churn=-1), r"churn = -1; expected a number from 0"),
        (lambda x: euler_maruyama(bent, VP(), x, 5, churn=math.nan), r"churn = nan; expected"),
        (lambda x: euler_maruyama(bent, linear(20), x, 5), r"has no f and g2; .*ScheduleVP\(schedule\)"),
        (lambda x: probability_flow(bent, linear(20), x, 5), r"has no f and g2; .*ScheduleVP\(schedule\)"),
    ],
)
def test_bad_arguments_are_named_before_the_walk_begins(walk, message):
    with pytest.raises(ValueError, match=message):
        walk(torch.randn(5, 2))  # not even one step was asked for


@walks
def test_a_denoiser_that_answers_in_another_shape_is_named(walk):
    with pytest.raises(ValueError, match=r"at t = [01]\.\d+ the denoiser returned \(5, 1\); expected x's \(5, 2\)"):
        final(walk(lambda x, t, cond=None: x[:, :1], VP(), torch.randn(5, 2)))


@walks
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_walk_that_ends_in_nan_says_so(walk, bad):
    def broken(x, t, cond=None):
        eps = x.clone()
        eps[2, 1] = bad if t > 0.5 else 0.0
        return eps

    with pytest.raises(ValueError, match="the walk ended in NaN or infinity"):
        final(walk(broken, VP(), torch.randn(5, 2)))
    if walk is WALKS["probability_flow"]:
        with pytest.raises(ValueError, match=r"near t = 1 the step shrank .* dx/dt is NaN"):
            final(probability_flow(broken, VP(), torch.randn(5, 2), 1, adaptive_solver()))


def test_a_table_is_not_read_between_its_rows():
    """A denoiser of a schedule in a walk of continuous time."""
    trained = Denoiser(MLP(width=8), linear())
    with pytest.raises(ValueError, match=r"t is torch.float64; a schedule has whole steps"):
        final(probability_flow(trained, ScheduleVP(linear()), torch.randn(5, 2)))
