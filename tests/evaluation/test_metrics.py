"""Distances: exact answers where there are any, and the right distribution where there is chance."""

import math

import pytest
import torch

from mpl_diffusion import (
    EmpiricalDenoiser,
    GaussianMixture,
    energy_distance,
    frechet,
    jackknife,
    linear,
    loss_at,
    mass_inside,
    precision_recall,
    psnr,
    radial_power,
    saturation,
    sharpness,
    sliced_wasserstein,
    two_sample_test,
)

SHAPES = {"points": (300, 2), "images": (60, 1, 8, 8)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@shapes
def test_a_shift_moves_every_shadow_by_its_own_length(shape):
    """W_1(u.x, u.(x + d)) = |u.d|, and its mean over directions in D dimensions is |d| E|u_1|, known in closed form."""
    x = torch.randn(shape)
    d = torch.randn(shape[1:])
    D = d.numel()
    mean = math.exp(math.lgamma(D / 2) - math.lgamma((D + 1) / 2)) / math.sqrt(math.pi)
    error = math.sqrt((1 / D - mean**2) / 4000)  # of the mean over 4000 directions: E u_1^2 = 1/D
    measured = sliced_wasserstein(x, x + d, directions=4000) / float(d.norm())
    assert abs(measured - mean) < 4 * error


def test_a_shift_along_the_line_is_its_length():
    x = torch.randn(100, 1)
    assert sliced_wasserstein(x, x + 0.75) == pytest.approx(0.75, rel=1e-6)
    assert sliced_wasserstein(x, 3 * x) == pytest.approx(float(2 * x.abs().mean()), rel=1e-6)


def test_in_one_dimension_it_is_the_mean_distance_of_sorted_values():
    x, y = torch.rand(100, 1).double(), torch.randn(100, 1).double()
    expected = sum(abs(a - b) for a, b in zip(sorted(x[:, 0].tolist()), sorted(y[:, 0].tolist()), strict=True)) / 100
    assert sliced_wasserstein(x, y) == pytest.approx(expected, rel=1e-12)


@shapes
def test_sliced_wasserstein_is_0_for_the_same_sample_in_any_order_and_symmetric(shape):
    x, y = torch.randn(2, *shape).unbind(0)
    assert sliced_wasserstein(x, x[torch.randperm(len(x))]) == 0
    assert (
        sliced_wasserstein(x, y) == pytest.approx(sliced_wasserstein(y, x), rel=1e-12) and sliced_wasserstein(x, y) > 0
    )
    assert sliced_wasserstein(2 * x, 2 * y) == pytest.approx(2 * sliced_wasserstein(x, y), rel=1e-6)


def test_samples_of_unequal_sizes_are_compared_by_their_quantiles():
    x = torch.randn(50, 2)
    assert sliced_wasserstein(x, x.repeat(3, 1)) == pytest.approx(0, abs=1e-12)
    assert sliced_wasserstein(x.repeat(3, 1), x) == pytest.approx(0, abs=1e-12)
    line = x[:, :1]  # in one dimension, stretching moves each quantile by twice its size
    assert sliced_wasserstein(line, 3 * line.repeat(3, 1)) == pytest.approx(float(2 * line.abs().mean()), rel=1e-6)
    y = torch.randn(2000, 2)
    assert sliced_wasserstein(y, y[:1000] + 1) == pytest.approx(sliced_wasserstein(y, y + 1), abs=0.1)


def test_the_floor_of_two_fresh_samples_falls_with_their_size():
    small, large = (sliced_wasserstein(*torch.randn(2, n, 2), directions=64) for n in (100, 6400))
    assert small > 4 * large > 0


@shapes
def test_energy_distance_is_its_formula(shape):
    x, y = torch.randn(12, *shape[1:]).double(), torch.rand(9, *shape[1:]).double()

    def mean(a, b):
        return sum(float((p - q).norm()) for p in a for q in b) / (len(a) * len(b))

    assert energy_distance(x, y) == pytest.approx(2 * mean(x, y) - mean(x, x) - mean(y, y), rel=1e-9)
    assert energy_distance(x, y) == pytest.approx(energy_distance(y, x), rel=1e-12)
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-12)


def test_energy_distance_of_two_normal_distributions_is_the_closed_form():
    """E|N(m, 2)| = 2/sqrt(pi) exp(-m^2/4) + m erf(m/2); quantiles of both distributions instead of random draws."""
    n, m = 1000, 1.5
    q = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x = torch.distributions.Normal(torch.tensor(0.0).double(), 1.0).icdf(q)[:, None]
    between = 2 / math.sqrt(math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)
    assert energy_distance(x, x + m) == pytest.approx(2 * between - 4 / math.sqrt(math.pi), rel=2e-3)


def test_p_values_are_uniform_when_both_samples_share_their_distribution():
    """300 tests with 19 permutations: p is k/20 with equal chance; chi-square over the 20 values."""
    rng = torch.Generator().manual_seed(0)
    p = [two_sample_test(*torch.randn(2, 15, 2, generator=rng), permutations=19, seed=k) for k in range(300)]
    count = torch.tensor([round(20 * v) for v in p]).bincount(minlength=21)
    assert count[0] == 0 and torch.allclose(torch.tensor(p) * 20, (torch.tensor(p) * 20).round(), atol=1e-4)
    assert float(((count[1:] - 15.0) ** 2 / 15).sum()) < 43.8  # the 0.999 quantile with 19 degrees of freedom


def test_a_p_value_is_the_share_of_shuffles_that_are_as_far_apart_in_energy_distance():
    both = torch.cat([torch.randn(8, 2), 0.6 + torch.randn(13, 2)]).double()
    rng, as_far = torch.Generator().manual_seed(5), 1
    for _ in range(80):
        first = torch.arange(21)[torch.randperm(21, generator=rng)] < 8  # the rows that are called x this time
        as_far += energy_distance(both[first], both[~first]) >= energy_distance(both[:8], both[8:])
    assert 5 < as_far < 70
    assert two_sample_test(both[:8], both[8:], permutations=80, seed=5) == pytest.approx(as_far / 81)


@shapes
def test_a_shifted_or_a_wider_sample_is_found_out(shape):
    x, y = torch.randn(2, *shape).unbind(0)
    for other in (y + 0.5, 1.6 * y, y.abs()):
        assert two_sample_test(x, other, permutations=200) == pytest.approx(1 / 201)
    assert two_sample_test(x, y[: len(y) // 2], permutations=200) > 0.01  # unequal sizes


def with_moments(n, mean, factor):
    """n points whose mean is `mean` and whose covariance is factor @ factor.T, not nearly but exactly."""
    z = torch.randn(n, len(mean)).double()
    z = z - z.mean(0)
    z = z @ torch.linalg.inv(torch.linalg.cholesky(z.T @ z / (n - 1))).T
    return torch.as_tensor(mean).double() + z @ torch.as_tensor(factor).double().T


def test_frechet_of_two_normal_distributions_with_the_same_axes_is_the_closed_form():
    """|mu - nu|^2 + sum (s_i - r_i)^2, stds s and r along the axes; turning the axes changes nothing."""
    s, r = torch.tensor([[0.5, 1.0, 2.0, 0.0], [1.5, 1.0, 0.1, 3.0]]).double()
    x, y = with_moments(50, [1.0, 0, 0, 0], s.diag()), with_moments(80, [0.0, 2, 0, 0], r.diag())
    expected = 5 + float((s - r).square().sum())
    turn = torch.linalg.qr(torch.randn(4, 4).double()).Q
    assert frechet(x, y) == pytest.approx(expected, rel=1e-12)
    assert frechet(x @ turn, y @ turn) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_two_normal_distributions_with_other_axes_is_the_closed_form():
    """In the plane tr M^(1/2) = (tr M + 2 det(M)^(1/2))^(1/2), M = S_x S_y, which need not be symmetric."""
    a, b = torch.tensor([[1.0, 0.0], [0.8, 0.3]]).double(), torch.tensor([[0.2, 0.9], [0.0, 1.4]]).double()
    M = a @ a.T @ b @ b.T
    root = float((M.trace() + 2 * M.det().sqrt()).sqrt())
    x, y = with_moments(20, [0.0, 0], a), with_moments(30, [3.0, 4], b)
    expected = 25 + float(a.square().sum() + b.square().sum()) - 2 * root
    assert frechet(x, y) == pytest.approx(expected, rel=1e-12) == frechet(y, x)


def test_frechet_takes_covariances_without_full_rank():
    """Two lines at an angle: rank 1 each, tr (S_x S_y)^(1/2) = s r |u.v|; and 10 images of 64 pixels."""
    u, v = torch.nn.functional.normalize(torch.randn(2, 64).double(), dim=1)
    z = with_moments(5, [0.0], [[1.0]])
    expected = 4 + 9 - 2 * 2 * 3 * abs(float(u @ v))
    assert frechet(2 * z * u, 3 * z * v) == pytest.approx(expected, rel=1e-12)
    x = torch.randn(10, 1, 8, 8).double()
    d = torch.randn(1, 8, 8).double()
    assert frechet(x, x.flip(0) + d) == pytest.approx(float(d.square().sum()), rel=1e-12)
    assert frechet(x, x.flip(0)) == pytest.approx(0, abs=1e-12)
    spread = float((x - x.mean(0)).square().sum()) / 9
    assert frechet(x, 3 * x) == pytest.approx(4 * float(x.mean(0).square().sum()) + 4 * spread, rel=1e-12)


def test_the_floor_of_frechet_falls_like_one_over_n():
    floors = [sum(frechet(*torch.randn(2, n, 8)) for _ in range(20)) / 20 for n in (200, 800)]
    assert floors[0] == pytest.approx(4 * floors[1], rel=0.15)


def test_precision_and_recall_are_their_formulas():
    real, fake = torch.randn(40, 3).double(), 0.5 + 0.7 * torch.randn(25, 3).double()

    def share_among(points, centres, k):
        inside = 0
        for p in points:
            for i, c in enumerate(centres):
                others = sorted(float((c - o).norm()) for j, o in enumerate(centres) if j != i)
                if float((p - c).norm()) <= others[k - 1]:
                    inside += 1
                    break
        return inside / len(points)

    for k in (1, 3):
        precision, recall = share_among(fake, real, k), share_among(real, fake, k)
        assert 0.1 < recall < precision < 1
        assert precision_recall(real, fake, k) == (precision, recall)
        assert precision_recall(fake, real, k) == (recall, precision)
        assert precision_recall(real + 1000, fake + 1000, k) == (precision, recall)


def test_what_is_missing_costs_recall_and_what_is_too_much_costs_precision():
    """Two towns, far apart; the real one's floor on the diagonal."""
    left, right, more, again = torch.randn(4, 1500, 2).unbind(0)
    right, again = right + 30, again + 30
    both, floor = torch.cat([left, right]), precision_recall(torch.cat([left, right]), torch.cat([more, again]))
    assert min(floor) > 0.9
    missing, too_much = precision_recall(both, again), precision_recall(left, torch.cat([more, again]))
    assert missing.recall == pytest.approx(floor.recall / 2, abs=0.03) and missing.precision > 0.9
    assert too_much.precision == pytest.approx(floor.precision / 2, abs=0.03) and too_much.recall > 0.9
    assert precision_recall(left, again) == (0, 0) and precision_recall(left, left) == (1, 1)
    copies = left[:10].repeat(100, 1)
    assert precision_recall(left, copies) == (1, pytest.approx(10 / 1500, abs=1e-3))


def test_loss_at_is_the_mean_square_error_and_the_best_denoiser_has_the_least():
    schedule, t = linear(), 300
    data = GaussianMixture(torch.ones(1), torch.zeros(1, 2), 0.25 * torch.eye(2))
    x0, eps = data.sample(20_000), torch.randn(20_000, 2)
    a, s = float(schedule.signal(t)), float(schedule.noise(t))
    assert loss_at(lambda x, t: torch.zeros_like(x), schedule, x0, t, eps) == pytest.approx(float(eps.square().mean()))
    best = loss_at(data.denoiser(schedule), schedule, x0, t, eps)
    assert best == pytest.approx(a**2 * 0.25 / (a**2 * 0.25 + s**2), rel=0.03)  # 1 - noise^2 / variance of x_t
    for factor in (0.95, 1.05):
        assert loss_at(lambda x, t, f=factor: f * data.denoiser(schedule)(x, t), schedule, x0, t, eps) > best
    images = torch.randn(20, 1, 8, 8)
    assert loss_at(EmpiricalDenoiser(images, schedule), schedule, images, 1, torch.randn_like(images)) < 1e-6


@pytest.mark.parametrize("N", [8, 15, 28])
def test_white_noise_has_its_variance_at_every_frequency(N):
    power = radial_power(1.7 * torch.randn(4000, N, N))
    assert power.shape == (N // 2 + 1,) and power.dtype == torch.float64
    torch.testing.assert_close(power, torch.full_like(power, 1.7**2), rtol=0.08, atol=0)


@pytest.mark.parametrize("k", [0, 1, 5, 14])
@pytest.mark.parametrize("angle", ["across", "down"])
def test_a_cosine_has_all_its_power_at_its_own_frequency(k, angle):
    wave = torch.cos(2 * math.pi * k * torch.arange(28) / 28 + 0.3).expand(28, 28)
    power = radial_power((wave if angle == "across" else wave.T)[None])
    assert int(power.argmax()) == k and float(power[torch.arange(15) != k].max()) < 1e-9 * float(power[k])


def test_power_adds_up_to_the_mean_square_of_the_pixels():
    """Parseval, ring by ring, for images with nothing beyond the last ring."""
    frequency = torch.fft.fftfreq(16, 1 / 16)
    ring = (frequency[:, None] ** 2 + frequency**2).sqrt().round().long()
    spectrum = torch.fft.fft2(torch.randn(10, 16, 16).double())
    images = torch.fft.ifft2(spectrum * (ring <= 8)).real
    count = ring.flatten().bincount()[:9]
    assert float((radial_power(images) * count).sum()) == pytest.approx(
        float(images.square().sum((1, 2)).mean()), rel=1e-12
    )


def test_shuffling_pixels_makes_any_image_white():
    image = torch.linspace(-1, 1, 28).expand(28, 28)
    shuffled = torch.stack([image.flatten()[torch.randperm(784)].reshape(28, 28) for _ in range(500)])
    torch.testing.assert_close(radial_power(shuffled)[1:], image.var().double().expand(14), rtol=0.15, atol=0)
    assert float(radial_power(image[None])[1]) > 20 * float(radial_power(image[None])[10])


@pytest.mark.parametrize("distance", [sliced_wasserstein, energy_distance, two_sample_test, frechet, precision_recall])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            torch.zeros(5, 2),
            torch.zeros(5, 3),
            r"samples of shape \(5, 2\) and \(5, 3\); expected \(n, ...\) and \(m, ...\)",
        ),
        (torch.zeros(5, 2), torch.zeros(1, 2), r"samples of shape \(5, 2\) and \(1, 2\)"),
        (torch.zeros(0, 2), torch.zeros(5, 2), r"samples of shape \(0, 2\) and \(5, 2\)"),
        (torch.full((5, 2), math.nan), torch.zeros(5, 2), r"a sample holds NaN or infinity"),
        (torch.zeros(5, 2), torch.full((5, 2), math.inf), r"a sample holds NaN or infinity"),
    ],
)
def test_samples_that_cannot_be_compared_are_named(distance, x, y, message):
    with pytest.raises(ValueError, match=message):
        distance(x, y)


@pytest.mark.parametrize("k", [0, 5, 7])
def test_a_k_beyond_the_smaller_sample_is_named(k):
    with pytest.raises(ValueError, match=rf"k = {k} for 9 and 5 rows; expected 1 <= k < rows"):
        precision_recall(torch.randn(9, 2), torch.randn(5, 2), k)


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (8, 8), (3, 8, 9)])
def test_images_that_are_not_squares_are_named(shape):
    with pytest.raises(ValueError, match=r"images have shape .*; expected squares, \(B, N, N\)"):
        radial_power(torch.zeros(shape))


# ----------------------------------------------------------------------------------- pictures against their originals


def test_psnr_of_an_error_of_a_tenth_of_the_range_is_20_dB_and_half_the_error_gives_6_more():
    x = torch.rand(3, 3, 8, 8) * 1.6 - 0.8
    assert psnr(x + 0.2, x) == pytest.approx(20, abs=1e-4) == psnr(x - 0.2, x)
    assert psnr(x + 0.1, x) - psnr(x + 0.2, x) == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert psnr(x, x) == math.inf
    noise = torch.randn(3, 3, 8, 8)
    assert psnr(x + noise, x) == pytest.approx(psnr(x, x + noise), abs=1e-5)


def test_psnr_is_the_mean_over_images_of_each_ones_own():
    x = torch.zeros(4, 1, 8, 8)
    errors = torch.tensor([0.02, 0.2, 0.2, 2.0])[:, None, None, None]
    assert psnr(x + errors, x) == pytest.approx((40 + 20 + 20 + 0) / 4, abs=1e-4)
    checker = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 0.4  # half the pixels: mean square, not mean
    assert psnr(x + checker, x) == pytest.approx(10 * math.log10(4 / 0.08), abs=1e-4)


def wave(cycles, size=64, down=False):
    line = torch.cos(2 * math.pi * cycles * torch.arange(size) / size)
    return (line[:, None] if down else line).expand(1, 1, size, size)


def test_sharpness_is_1_for_the_originals_grows_with_the_square_and_falls_with_blur():
    x = torch.randn(5, 3, 64, 64)
    assert sharpness(x, x) == 1 and sharpness(3 * x, x) == pytest.approx(9)
    blurred = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    assert sharpness(blurred, x) < 0.5 and sharpness(x + 0.5 * torch.randn_like(x), x) == pytest.approx(1.25, rel=0.02)
    assert sharpness(x.flip(0), x) == pytest.approx(1)  # a property of the set


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("down", [False, True])
def test_sharpness_counts_what_is_finer_than_an_eighth_of_the_width_and_nothing_else(size, down):
    fine = wave(size // 4, size)
    for cycles in (0, 1, size // 8):
        assert sharpness(fine + 5 * wave(cycles, size, down), fine) == pytest.approx(1)
    assert sharpness(fine + wave(size // 8 + 1, size, down), fine) > 1.5
    assert sharpness(fine + wave(size // 2 - 1, size, down), fine) > 1.2


@pytest.mark.parametrize("measure", [psnr, sharpness])
def test_pictures_and_originals_of_other_shapes_are_named(measure):
    with pytest.raises(ValueError, match=r"images has shape \(2, 3, 8, 8\) and originals \(1, 3, 8, 8\); expected the"):
        measure(torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 8, 8))


# ----------------------------------------------------------------------------------- jackknife


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = torch.randn(60, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = float(x.std() / math.sqrt(60))
    assert jackknife(lambda part: float(part.mean()), x, parts=60) == pytest.approx(error, rel=1e-6)
    assert jackknife(lambda part: float(part.mean()), x, parts=10) == pytest.approx(error, rel=0.6)


def test_the_jackknife_knows_the_spread_of_a_frechet_distance_over_fresh_samples():
    rng, real = torch.Generator().manual_seed(0), torch.randn(2000, 3, generator=torch.Generator().manual_seed(1))
    draws = [1.5 * torch.randn(200, 3, generator=rng) for _ in range(60)]
    spread = float(torch.tensor([frechet(x, real) for x in draws]).std())
    told = [jackknife(lambda part: frechet(part, real), x) for x in draws[:20]]
    assert sum(told) / 20 == pytest.approx(spread, rel=0.35)


def test_the_jackknife_leaves_out_random_rows_and_repeats():
    x = torch.arange(20.0).repeat_interleave(5)[:, None]  # rows in order: neighbours are alike
    seen = []
    first = jackknife(lambda part: seen.append(part) or float(part.mean()), x)
    assert first == jackknife(lambda part: float(part.mean()), x) != jackknife(lambda p: float(p.mean()), x, seed=1)
    assert [len(part) for part in seen] == [90] * 10 and all(len(part.unique()) > 15 for part in seen)


@pytest.mark.parametrize("parts", [1, 6])
def test_a_jackknife_of_too_few_or_too_many_parts_is_refused(parts):
    with pytest.raises(ValueError, match=rf"parts = {parts}; expected a whole number, from 2 to 5"):
        jackknife(lambda part: 0.0, torch.zeros(5, 1), parts)


# --------------------------------------------------------------------------------------------- colours, and where


def test_grey_is_not_saturated_and_pure_colours_are_and_the_screen_ends_at_1():
    red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(2, 3, 4, 5)
    assert saturation(torch.rand(2, 1, 4, 5).expand(2, 3, 4, 5)) == 0 and saturation(red) == 1
    assert saturation(red / 2) == 0.5 and saturation(3 * red) == 1
    half = torch.cat([red[:1], torch.zeros(1, 3, 4, 5)])
    assert saturation(half) == 0.5
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 5\); expected colour pictures"):
        saturation(red[:, :1])


def test_the_mass_inside_a_box_counts_cut_cells_in_part():
    maps = torch.tensor([[[1.0, 1.0], [1.0, 5.0]], [[0.0, 0.0], [0.0, 2.0]]])
    boxes = torch.tensor([[0.5, 0.25, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0]])
    inside, chance = mass_inside(maps, boxes)
    torch.testing.assert_close(inside, torch.tensor([(0.5 + 5) / 8, 0.0]))
    torch.testing.assert_close(chance, torch.tensor([0.375, 0.5]))
    inside, chance = mass_inside(maps, boxes, whole=True)
    torch.testing.assert_close(inside, torch.tensor([(1 + 5) / 8, 0.0]))
    torch.testing.assert_close(chance, torch.tensor([0.5, 0.5]))  # what only borders on the box is not in it


def test_an_even_map_has_as_much_inside_as_chance_says_and_no_box_is_nan():
    boxes = torch.tensor([[0.1, 0.2, 0.45, 0.9], [torch.nan] * 4])
    inside, chance = mass_inside(torch.ones(2, 8, 6), boxes)
    assert float(inside[0]) == pytest.approx(0.35 * 0.7) == pytest.approx(float(chance[0]))
    assert inside[1].isnan() and chance[1].isnan()
    inside, chance = mass_inside(torch.ones(2, 8, 6), boxes, whole=True)
    assert float(inside[0]) == pytest.approx(7 * 3 / 48) == pytest.approx(float(chance[0]))
    assert inside[1].isnan() and chance[1].isnan()
    with pytest.raises(ValueError, match=r"maps \(2, 8, 6\), boxes \(1, 4\); expected"):
        mass_inside(torch.ones(2, 8, 6), boxes[:1])
