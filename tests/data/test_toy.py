"""Toy data: standardised, seeded, and (the roll) known exactly."""

import math

import pytest
import torch

from mpl_diffusion import exact_roll, linear, moons, rings, swiss_roll, two_sample_test
from mpl_diffusion.data.toy import roll_curve, roll_scale


def test_the_exact_roll_has_mean_0_and_variance_1():
    mean, cov = exact_roll().moments()
    torch.testing.assert_close(mean, torch.zeros(2).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(cov.diagonal(), torch.ones(2).double(), rtol=0, atol=1e-4)


def test_its_scale_is_the_integral_along_the_curve():
    """E[u cos u], E[u sin u] and the variances by hand: u is uniform on [1.5 pi, 4.5 pi]."""
    low, high = 1.5 * math.pi, 4.5 * math.pi

    def average(primitive):
        return (primitive(high) - primitive(low)) / (high - low)

    x = average(lambda u: u * math.sin(u) + math.cos(u))
    y = average(lambda u: math.sin(u) - u * math.cos(u))
    cos2 = average(lambda u: u**3 / 6 + (u**2 / 4 - 1 / 8) * math.sin(2 * u) + u * math.cos(2 * u) / 4)
    sin2 = average(lambda u: u**3 / 6 - (u**2 / 4 - 1 / 8) * math.sin(2 * u) - u * math.cos(2 * u) / 4)
    shift, scale = roll_scale()
    torch.testing.assert_close(shift, torch.tensor([x, y], dtype=torch.float64), rtol=0, atol=1e-7)
    expected = torch.tensor([cos2 - x**2 + 0.25, sin2 - y**2 + 0.25], dtype=torch.float64).sqrt()
    torch.testing.assert_close(scale, expected, rtol=0, atol=1e-7)


def test_the_samples_of_scikit_learn_and_of_the_exact_distribution_cannot_be_told_apart():
    exact = exact_roll().sample(700, torch.Generator().manual_seed(0))
    assert two_sample_test(swiss_roll(700, seed=1), exact, permutations=200) > 0.05
    assert two_sample_test(swiss_roll(700, seed=1), 1.25 * exact, permutations=200) < 0.02  # the test would notice


def test_the_roll_is_standardised_by_its_distribution_not_by_its_sample():
    """So two samples share one scale: each is one shift and one scale away from scikit-learn's own points."""
    from sklearn.datasets import make_swiss_roll

    shift, scale = roll_scale()
    for seed in (0, 1):
        raw = torch.from_numpy(make_swiss_roll(50, noise=0.5, random_state=seed)[0][:, [0, 2]])
        torch.testing.assert_close(swiss_roll(50, seed).double(), (raw - shift) / scale, rtol=1e-6, atol=1e-6)
    x = swiss_roll(20_000)
    assert x.shape == (20_000, 2) and x.dtype == torch.float32
    assert (x.mean(0).abs() < 4 / math.sqrt(20_000)).all() and ((x.std(0) - 1).abs() < 4 / math.sqrt(20_000)).all()


@pytest.mark.parametrize("t", [1, 20, 100, 400, 1000])
def test_the_quadrature_has_converged(t):
    """The perfect denoiser hardly depends on the number of nodes, where the data are."""
    schedule, x0 = linear(), swiss_roll(400).double()
    x = schedule.diffuse(x0, t, torch.randn(400, 2, dtype=torch.float64))
    coarse, fine, finest = (exact_roll(n).denoiser(schedule)(x, t) for n in (400, 1500, 6000))
    assert float((coarse - finest).square().mean()) < 1e-6
    assert float((fine - finest).square().mean()) < 1e-8


def test_the_curve_starts_and_ends_where_scikit_learns_does():
    u = roll_curve(1000).norm(dim=1)
    assert float(u.min()) == pytest.approx(1.5 * math.pi, rel=1e-2)
    assert float(u.max()) == pytest.approx(4.5 * math.pi, rel=1e-2) and (u.diff() > 0).all()


def test_no_denoiser_of_the_roll_can_have_a_loss_below_0_2365():
    """The mean over t = 1 ... 1000 of E|eps - E[eps | x_t]|^2 per coordinate, with linear betas.

    Two unbiased estimates of it are E|eps - eps*|^2 and, by Pythagoras, 1 - E|eps*|^2. The first has little variance
    where the noise is nearly known (large t), the second where it is nearly unknown (small t); t runs over 100 evenly
    spread times, 500 points each. The first, with its standard error:
    """
    schedule, t = linear(), torch.arange(5, 1000, 10)
    denoiser = exact_roll(400).denoiser(schedule)
    x0 = swiss_roll(50_000, seed=3).double().reshape(100, 500, 2)
    direct, pythagoras = [], []
    for k, when in enumerate(t.tolist()):
        eps = torch.randn(500, 2, dtype=torch.float64)
        best = denoiser(schedule.diffuse(x0[k], when, eps), when)
        direct.append((eps - best).square().mean(1))
        pythagoras.append(1 - best.square().mean(1))
    for estimate in (torch.stack(direct), torch.stack(pythagoras)):
        error = float(estimate.var(1).div(500).sum().sqrt() / 100)
        assert error < 0.004 and abs(float(estimate.mean()) - 0.2365) < 3 * error


@pytest.mark.parametrize("shape", [moons, rings])
def test_moons_and_rings_are_standardised_and_come_with_their_class(shape):
    x, label = shape(1000)
    assert x.shape == (1000, 2) and x.dtype == torch.float32 and label.dtype == torch.long
    assert label.bincount().tolist() == [500, 500]
    torch.testing.assert_close(x.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(2), rtol=0, atol=1e-5)


def test_rings_have_class_0_outside():
    x, label = rings(500)
    assert float(x[label == 0].norm(dim=1).min()) > float(x[label == 1].norm(dim=1).max())


@pytest.mark.parametrize(
    "shape", [swiss_roll, lambda n, seed=0: moons(n, seed=seed)[0], lambda n, seed=0: rings(n, seed=seed)[0]]
)
def test_a_seed_gives_the_same_points_again_and_another_seed_others(shape):
    assert torch.equal(shape(50), shape(50, seed=0)) and not torch.equal(shape(50), shape(50, seed=1))


def test_the_classes_of_the_roll_are_pieces_of_equal_weight_from_the_inside_out():
    roll = exact_roll(90, classes=3)
    assert [float(roll.weight[roll.label == k].sum()) for k in range(3)] == pytest.approx([1 / 3] * 3)
    radius = [(roll.mean[roll.label == k] - roll.mean[:1]).norm(dim=1).mean() for k in range(3)]
    assert roll.label.tolist() == sorted(roll.label.tolist()) and radius[0] < radius[1] < radius[2]
    assert exact_roll(90).label is None
    for classes in (0, 91):
        with pytest.raises(ValueError, match=rf"classes = {classes}; expected a whole number, from 1 to 90"):
            exact_roll(90, classes=classes)
