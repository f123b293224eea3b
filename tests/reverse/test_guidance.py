"""Functions denoiser -> denoiser."""

import pytest
import torch

from mpl_diffusion import (
    MLP,
    Denoiser,
    GaussianMixture,
    clamp,
    classifier_free,
    cosine,
    ddim,
    ddpm,
    dynamic_threshold,
    edit_x0,
    final,
    guidance_interval,
    linear,
)

SHAPES = {"points": (28, 2), "28 images 28 wide": (28, 1, 28, 28)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
whens = pytest.mark.parametrize("when", [lambda: 37, lambda: torch.tensor(37), lambda: torch.randint(1, 101, (28,))],
                                ids=["one int", "one tensor", "one per row"])  # fmt: skip


def bent(x, t, cond=None):
    return 2 * torch.tanh(x) + 0.1


@shapes
@whens
@pytest.mark.parametrize("schedule", [linear(100), cosine(100)], ids=["linear", "cosine"])
def test_clamp_keeps_x0_hat_in_range_and_eps_consistent_with_it(shape, when, schedule):
    t, x_t = when(), torch.randn(shape, dtype=torch.float64)
    eps = clamp(bent, schedule, -0.5, 0.25)(x_t, t)
    x0 = schedule.x0_from_eps(x_t, t, bent(x_t, t))
    expected = schedule.eps_from_x0(x_t, t, x0.clip(-0.5, 0.25))
    torch.testing.assert_close(eps, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(schedule.x0_from_eps(x_t, t, eps), x0.clip(-0.5, 0.25), rtol=0, atol=1e-11)


@shapes
@whens
def test_an_edit_that_changes_nothing_changes_nothing(shape, when):
    t, x_t = when(), torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(edit_x0(bent, linear(100), lambda x0: x0)(x_t, t), bent(x_t, t), rtol=0, atol=1e-12)
    torch.testing.assert_close(clamp(bent, linear(100), -1e9, 1e9)(x_t, t), bent(x_t, t), rtol=0, atol=1e-12)


@shapes
def test_one_time_and_a_time_per_row_agree(shape):
    x_t, guided = torch.randn(shape, dtype=torch.float64), clamp(bent, linear(100))
    many = guided(x_t, torch.full((28,), 37))
    torch.testing.assert_close(guided(x_t, 37), many, rtol=0, atol=1e-12)


def test_a_wrapper_leaves_its_input_alone_and_passes_the_condition_on():
    seen = []

    def denoiser(x, t, cond=None):
        seen.append(cond)
        return kept

    x, kept, cond = torch.randn(5, 2), torch.randn(5, 2), torch.ones(5, 1)
    before = x.clone(), kept.clone()
    for t in (50, torch.full((5,), 50)):
        clamp(denoiser, linear(100), -0.1, 0.1)(x, t, cond)
        assert torch.equal(x, before[0]) and torch.equal(kept, before[1]) and seen[-1] is cond


@shapes
def test_wrappers_stack(shape):
    schedule, x_t = linear(100), torch.randn(shape, dtype=torch.float64)
    both = edit_x0(clamp(bent, schedule), schedule, lambda x0: x0 / 2)
    x0 = schedule.x0_from_eps(x_t, 60, bent(x_t, 60)).clip(-1, 1) / 2
    torch.testing.assert_close(schedule.x0_from_eps(x_t, 60, both(x_t, 60)), x0, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("walk", [lambda d, s, x: ddim(d, s, x, steps=10), lambda d, s, x: ddpm(d, s, x)])
def test_every_x0_of_a_clamped_walk_is_in_range_and_so_is_its_end(walk, dtype):
    schedule = linear(100)
    for step in walk(clamp(bent, schedule), schedule, 3 * torch.randn(20, 2, dtype=dtype)):
        assert step.x.dtype == dtype and float(step.x0.abs().max()) <= 1 + 1e-4
    assert float(step.x.abs().max()) <= 1 + 1e-5


@shapes
@whens
def test_dynamic_thresholding_shrinks_a_crowd_outside_and_leaves_the_rest_alone(shape, when):
    t, schedule, x_t = when(), linear(100), 0.3 * torch.randn(shape, dtype=torch.float64)
    x_t[1:] *= torch.linspace(0.01, 5, 27, dtype=torch.float64).reshape(-1, *[1] * (len(shape) - 1))
    x0 = schedule.x0_from_eps(x_t, t, bent(x_t, t))
    expected = x0.clone()
    for k, row in enumerate(x0):
        s = max(1.5, float(row.abs().flatten().quantile(0.9)))
        expected[k] = row.clip(-s, s) * 1.5 / s
    edited = dynamic_threshold(bent, schedule, share=0.9, bound=1.5)(x_t, t)
    torch.testing.assert_close(schedule.x0_from_eps(x_t, t, edited), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("share", "bound"), [(0, 1), (1.1, 1), (0.9, 0), (0.9, float("nan"))])
def test_a_threshold_that_is_none_is_named(share, bound):
    with pytest.raises(ValueError, match=rf"share = {share}, bound = {bound}; expected a share, 0 < share <= 1"):
        dynamic_threshold(bent, linear(100), share, bound)


def test_clamping_saves_the_cosine_schedule_from_exploding():
    schedule = cosine()
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))

    def almost(x_t, t, cond=None):  # exact for data at 0, but for an error of 0.01, where x_t was seen in training
        return x_t.clip(-3, 3) / float(schedule.noise(t)) + 0.01

    assert float(final(ddim(almost, schedule, x, steps=50)).abs().max()) > 10
    assert float(final(ddim(clamp(almost, schedule), schedule, x, steps=50)).abs().max()) <= 1.0001


def test_a_clamped_v_denoiser_still_starts_from_pure_noise():
    schedule = linear(20).zero_terminal_snr()
    denoiser, x = Denoiser(MLP(width=8), schedule, "v"), torch.randn(5, 2)
    first, *_ = ddim(clamp(denoiser, schedule, -0.1, 0.1), schedule, x, steps=10)
    torch.testing.assert_close(first.x0, denoiser.x0(x, 20).clip(-0.1, 0.1))


def test_what_cannot_be_clamped_is_named():
    with pytest.raises(ValueError, match=r"low = 1, high = -1; expected low < high"):
        clamp(bent, linear(), 1, -1)
    with pytest.raises(ValueError, match=r"signal\(100\) = 0: eps cannot tell x_0 there"):
        clamp(bent, linear(100).zero_terminal_snr())(torch.randn(5, 2), 100)
    with pytest.raises(ValueError, match=r"t runs from 101 to 101; this schedule has t = 0 ... 100"):
        clamp(bent, linear(100))(torch.randn(5, 2), 101)
    guided = clamp(bent, linear(100))
    guided(torch.randn(5, 2), 37)
    with pytest.raises(ValueError, match=r"t is torch.float32"):
        guided(torch.randn(5, 2), 37.0)  # though 37 == 37.0


# ----------------------------------------------------------------------------------- classifier-free


def labelled(x, t, cond=None):
    """An eps that depends on everything: x, t (one, or one per row) and the ids."""
    t = torch.as_tensor(t, dtype=x.dtype).expand(len(x)).reshape(-1, *[1] * (x.ndim - 1))
    ids = (0 if cond is None else cond.sum(1).to(x.dtype)) * torch.ones(len(x), dtype=x.dtype)
    return torch.tanh(x) + t / 100 + ids.sqrt().reshape(-1, *[1] * (x.ndim - 1))


@shapes
@whens
@pytest.mark.parametrize("w", [0.0, 0.3, 1.0, 1.5, 7.0])
def test_guidance_goes_w_of_the_way_from_unconditional_to_conditional(shape, when, w):
    t, x_t, cond = when(), torch.randn(shape, dtype=torch.float64), torch.randint(1, 11, (28, 1))
    without, given = labelled(x_t, t, torch.zeros_like(cond)), labelled(x_t, t, cond)
    guided = classifier_free(labelled, w)(x_t, t, cond)
    torch.testing.assert_close(guided, without + w * (given - without), rtol=0, atol=1e-12)
    if w in (0, 1):
        assert torch.equal(guided, given if w else without)
    s = w - 1  # Ho & Salimans' own coefficient
    torch.testing.assert_close(guided, (1 + s) * given - s * without, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [1, 40, 100])
def test_on_exact_mixtures_both_conventions_are_the_closed_form(t):
    """Written out for one component against two, in one dimension: no responsibility, no solve."""
    schedule, x = linear(100), torch.linspace(-3, 3, 28, dtype=torch.float64)[:, None]
    share, mean, var = (torch.tensor(v, dtype=torch.float64) for v in ([0.3, 0.7], [-1.0, 0.5], [0.2, 0.6]))
    exact = GaussianMixture(share, mean[:, None], var[:, None, None]).denoiser(schedule)
    a, s = float(schedule.signal(t)), float(schedule.noise(t))
    total = a**2 * var + s**2
    density = share * torch.exp(-((x - a * mean) ** 2) / (2 * total)) / total.sqrt()
    each = s * (x - a * mean) / total
    eps_cond, eps_uncond = each[:, 1:], (density * each).sum(1, keepdim=True) / density.sum(1, keepdim=True)
    for w in (0.0, 0.5, 1.0, 3.0, 7.5):
        guided = classifier_free(exact, w)(x, t, torch.full((28, 1), 2))
        torch.testing.assert_close(guided, eps_uncond + w * (eps_cond - eps_uncond), rtol=0, atol=1e-12)
        theirs = w - 1  # Ho & Salimans 2022, eq. 6
        torch.testing.assert_close(guided, (1 + theirs) * eps_cond - theirs * eps_uncond, rtol=0, atol=1e-12)


@pytest.mark.parametrize("w", [0.0, 3.0])
def test_guiding_one_gaussian_by_another_multiplies_stds_and_does_not_tilt_the_density(w):
    """Both about 0: the guided ODE ends with std  wide^(1-w) narrow^w; the tilted density p^(1-w) p_c^w is wider."""
    schedule, wide, narrow = cosine(1000), 1.0, 0.5
    ones = torch.ones(1, dtype=torch.float64)

    def gaussian(std):
        return GaussianMixture(ones, 0 * ones[None], std**2 * ones[None, None]).denoiser(schedule)

    def either(x, t, cond):
        return torch.where(cond == 0, gaussian(wide)(x, t), gaussian(narrow)(x, t))

    x_T = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)  # the map is linear: one point would do
    x = final(ddim(classifier_free(either, w), schedule, x_T, steps=500, cond=torch.ones(2, 1, dtype=torch.long)))
    std = float(x[0, 0])
    assert float(x[1, 0]) == pytest.approx(-2 * std)
    assert std == pytest.approx(wide ** (1 - w) * narrow**w, rel=1e-2)
    tilted = (w / narrow**2 + (1 - w) / wide**2) ** -0.5
    assert (std < 0.8 * tilted) if w > 1 else std == pytest.approx(tilted, rel=5e-3)


@shapes
@whens
def test_each_sample_may_have_a_w_of_its_own(shape, when):
    t, x_t, cond = when(), torch.randn(shape, dtype=torch.float64), torch.randint(1, 11, (28, 1))
    w = torch.rand(28) * 5
    w[:2] = torch.tensor([0.0, 1.0])
    guided = classifier_free(labelled, w)(x_t, t, cond)
    for k in range(28):
        one = t[k : k + 1] if isinstance(t, torch.Tensor) and t.ndim else t
        alone = classifier_free(labelled, float(w[k]))(x_t[k : k + 1], one, cond[k : k + 1])
        torch.testing.assert_close(guided[k : k + 1], alone, rtol=0, atol=1e-12)


@shapes
def test_w_may_depend_on_t(shape):
    x_t, cond = torch.randn(shape, dtype=torch.float64), torch.randint(1, 11, (28, 1))
    only = classifier_free(labelled, guidance_interval(4.0, 20, 60))
    for t, w in ((19, 1.0), (20, 4.0), (60, 4.0), (61, 1.0)):
        assert torch.equal(only(x_t, t, cond), classifier_free(labelled, w)(x_t, t, cond))
    t = torch.arange(28) * 4  # 20 and 60 among them
    w = torch.where((t >= 20) & (t <= 60), 4.0, 1.0)
    assert torch.equal(only(x_t, t, cond), classifier_free(labelled, w)(x_t, t, cond))
    assert torch.equal(only(x_t, torch.tensor(30), cond), only(x_t, 30, cond))


def test_where_w_is_1_or_0_one_evaluation_is_enough():
    asked = []

    def counted(x, t, cond=None):
        asked.append((len(x), bool(cond.any())))
        return labelled(x, t, cond)

    x, cond = torch.randn(5, 2), torch.ones(5, 1, dtype=torch.long)
    for w in (1, 0, torch.ones(5), 2):
        classifier_free(counted, w)(x, 50, cond)
    classifier_free(counted, guidance_interval(3, 60, 100))(x, 50, cond)
    assert asked == [(5, True), (5, False), (10, True), (10, True), (5, True)]


@shapes
def test_a_negative_condition_stands_where_nothing_stood(shape):
    x_t, cond, unlike = torch.randn(shape, dtype=torch.float64), torch.randint(1, 11, (28, 3)), torch.tensor([4, 5, 6])
    expected = torch.lerp(labelled(x_t, 30, unlike.expand(28, 3)), labelled(x_t, 30, cond), 3.0)
    for negative in (unlike, unlike.expand(28, 3)):
        assert torch.equal(classifier_free(labelled, 3.0, negative=negative)(x_t, 30, cond), expected)
    with pytest.raises(ValueError, match=r"negative has shape \(2,\) and cond \(28, 3\); expected the same"):
        classifier_free(labelled, 3.0, negative=unlike[:2])(x_t, 30, cond)


@shapes
@whens
def test_rescale_brings_the_std_of_each_samples_x0_back_to_the_conditional_ones(shape, when):
    def louder(x, t, cond):  # an eps whose std depends on the ids
        return x * (1 + cond.sum(1).to(x)).sqrt().reshape(-1, *[1] * (x.ndim - 1)) + 0.1

    def std(eps):
        return schedule.x0_from_eps(x_t, t, eps).flatten(1).std(1)

    schedule, t = linear(100), when()
    louder.process = schedule
    x_t, cond = torch.randn(shape, dtype=torch.float64), torch.randint(1, 11, (28, 1))
    given, guided = louder(x_t, t, cond), classifier_free(louder, 5.0)(x_t, t, cond)
    whole = classifier_free(louder, 5.0, rescale=1.0)(x_t, t, cond)
    torch.testing.assert_close(std(whole), std(given), rtol=1e-9, atol=0)
    assert not torch.isclose(std(guided), std(given), rtol=1e-2).any()
    half = classifier_free(louder, 5.0, rescale=0.5)(x_t, t, cond)
    torch.testing.assert_close(half, (guided + whole) / 2, rtol=0, atol=1e-9)
    assert torch.equal(classifier_free(louder, 5.0, rescale=0.0)(x_t, t, cond), guided)


def test_rescale_is_the_same_where_the_clean_sample_is_asked_for():
    torch.manual_seed(0)
    denoiser = Denoiser(MLP(width=8, classes=3), linear(20), predicts="v").double()
    x_t, cond = torch.randn(5, 2, dtype=torch.float64), torch.tensor([[1], [2], [3], [1], [2]])
    guide = classifier_free(denoiser, 4.0, rescale=0.7)
    with torch.no_grad():
        told = denoiser.process.x0_from_eps(x_t, 15, guide(x_t, 15, cond))
        torch.testing.assert_close(guide.x0(x_t, 15, cond), told, rtol=1e-9, atol=1e-9)


def test_rescale_without_a_process_is_refused():
    with pytest.raises(ValueError, match="rescale edits x0_hat: it needs a denoiser that knows its process"):
        classifier_free(labelled, 2.0, rescale=0.7)


def test_guidance_asks_once_per_step_with_twice_the_rows():
    asked = []

    def counted(x, t, cond=None):
        asked.append(len(x))
        return labelled(x, t, cond)

    schedule, cond = linear(100), torch.ones(5, 1, dtype=torch.long)
    final(ddim(classifier_free(counted, 2.0), schedule, torch.randn(5, 2), steps=7, cond=cond))
    assert asked == [10] * 7


@whens
def test_a_batch_that_fills_the_cpu_goes_in_two_halves_to_the_same_end(when, monkeypatch):
    asked, x_t, cond = [], torch.randn(28, 1, 28, 28), torch.randint(1, 11, (28, 1))
    t = when()

    def counted(x, t, cond=None):
        asked.append(len(x))
        return labelled(x, t, cond)

    doubled = classifier_free(counted, 2.0)(x_t, t, cond)
    monkeypatch.setattr("mpl_diffusion.reverse.guidance.FULL", x_t.numel() - 1)
    halves = classifier_free(counted, 2.0)(x_t, t, cond)
    assert asked == [56, 28, 28] and torch.equal(doubled, halves)


def test_a_guided_v_denoiser_starts_from_pure_noise_and_can_be_clamped():
    schedule, cond = linear(20).zero_terminal_snr(), torch.ones(5, 1, dtype=torch.long)
    denoiser, x = Denoiser(MLP(width=8, classes=3), schedule, "v"), torch.randn(5, 2)
    first, *_ = ddim(clamp(classifier_free(denoiser, 3.0), schedule, -0.1, 0.1), schedule, x, steps=10, cond=cond)
    without, given = denoiser.x0(x, 20), denoiser.x0(x, 20, cond)
    torch.testing.assert_close(first.x0, (without + 3 * (given - without)).clip(-0.1, 0.1))


@pytest.mark.parametrize("w", [-1, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_named(w):
    named = rf"w = {w}; expected a finite number from 0"
    with pytest.raises(ValueError, match=named):
        classifier_free(labelled, w)
    with pytest.raises(ValueError, match=named):
        guidance_interval(w, 0, 5)
    with pytest.raises(ValueError, match=named):
        classifier_free(labelled, lambda t: w)(torch.randn(5, 2), 37, torch.ones(5, 1))
    with pytest.raises(ValueError, match=r"expected a finite number from 0 .* or one per sample"):
        classifier_free(labelled, torch.tensor([1.0, w]))


def test_scales_for_another_batch_are_refused():
    with pytest.raises(ValueError, match="w has 4 numbers, and there are 5 samples; expected one each"):
        classifier_free(labelled, torch.ones(4))(torch.randn(5, 2), 37, torch.ones(5, 1))
    with pytest.raises(ValueError, match="expected a finite number"):
        classifier_free(labelled, torch.ones(5, 1))


def test_a_denoiser_that_never_dropped_a_condition_cannot_be_guided():
    with pytest.raises(ValueError, match=r'says to "nothing", and this one was trained with p_uncond = 0'):
        classifier_free(Denoiser(MLP(width=8, classes=3), linear(20), p_uncond=0), 2.0)
    classifier_free(Denoiser(MLP(width=8, classes=3), linear(20)), 2.0)


@pytest.mark.parametrize("rescale", [-0.1, 1.1, float("nan")])
def test_a_share_of_rescaling_that_is_none_is_named(rescale):
    with pytest.raises(ValueError, match=rf"rescale = {rescale}; expected a number from 0"):
        classifier_free(labelled, 2.0, rescale=rescale)


def test_an_interval_that_ends_before_it_starts_is_refused():
    with pytest.raises(ValueError, match="start = 60, end = 20; expected start <= end"):
        guidance_interval(2.0, 60, 20)


def test_guidance_without_a_condition_is_refused():
    with pytest.raises(ValueError, match="guidance needs a condition: cond is None"):
        classifier_free(labelled, 2.0)(torch.randn(5, 2), 37)
