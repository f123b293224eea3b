"""The Bayes-optimal denoiser of a finite data set: against a plain loop, and against a mixture of narrow Gaussians."""

import math

import pytest
import torch

from mpl_diffusion import EmpiricalDenoiser, GaussianMixture, cosine, ddim, final, linear

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPES = {"points": (2,), "28 wide images": (1, 28, 28)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@pytest.mark.parametrize("device", DEVICES)
@shapes
@pytest.mark.parametrize("schedule", [linear(100), cosine(100)], ids=["linear", "cosine"])
@pytest.mark.parametrize("batched", [False, True], ids=["one t", "a t per row"])
def test_x0_is_the_average_of_the_data_weighted_by_how_likely_each_is(shape, schedule, batched, device):
    data, x_t = torch.randn(6, *shape, dtype=torch.float64), torch.randn(28, *shape, dtype=torch.float64, device=device)
    t = torch.randint(30, 90, (28,)) if batched else 60
    expected = []
    for x, k in zip(x_t.cpu(), torch.as_tensor(t).expand(28).tolist(), strict=True):
        a, s = float(schedule.signal(k)), float(schedule.noise(k))
        log = [-float(((x - a * row) ** 2).sum()) / (2 * s**2) for row in data]
        w = [math.exp(v - max(log)) for v in log]
        expected.append(sum(v * row for v, row in zip(w, data, strict=True)) / sum(w))
    denoiser = EmpiricalDenoiser(data, schedule)
    x0 = denoiser.x0(x_t, t)
    torch.testing.assert_close(x0, torch.stack(expected).to(device), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(denoiser(x_t, t), schedule.eps_from_x0(x_t, t, x0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(denoiser.weights(x_t, t).sum(1), torch.ones(28, device=device).double())


@pytest.mark.parametrize("t", [5, 50, 100])
def test_it_is_the_limit_of_a_mixture_of_narrow_gaussians(t):
    data, x = torch.randn(20, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    narrow = GaussianMixture(torch.full((20,), 1 / 20).double(), data, 1e-10 * torch.eye(2, dtype=torch.float64))
    schedule = linear(100)
    expected = narrow.denoiser(schedule)(x, t)
    torch.testing.assert_close(EmpiricalDenoiser(data, schedule)(x, t), expected, rtol=1e-5, atol=1e-5)


@shapes
def test_sampling_with_it_can_only_return_its_own_data(shape):
    data = torch.randn(4, *shape)
    schedule = linear(200, 5e-4, 0.1)
    end = final(ddim(EmpiricalDenoiser(data, schedule), schedule, torch.randn(12, *shape), steps=50))
    nearest = torch.cdist(end.flatten(1), data.flatten(1)).min(1).values
    assert float(nearest.max()) < 1e-3


def test_near_the_data_it_answers_with_the_nearest_row_and_far_away_with_the_mean():
    data, schedule = torch.randn(10, 2).double(), linear(1000)
    denoiser = EmpiricalDenoiser(data, schedule)
    x_1 = schedule.diffuse(data, 1, torch.randn(10, 2).double())
    torch.testing.assert_close(denoiser.x0(x_1, 1), data, rtol=0, atol=1e-6)
    x_T = torch.zeros(3, 2).double()
    torch.testing.assert_close(denoiser.x0(x_T, 1000), data.mean(0).expand(3, 2), rtol=0, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@shapes
def test_results_keep_the_dtype_of_x_and_lose_nothing_at_small_t(shape, dtype):
    schedule, data, x = linear(1000), torch.randn(6, *shape), torch.randn(5, *shape)
    exact = EmpiricalDenoiser(data.double(), schedule)
    denoiser = EmpiricalDenoiser(data.to(dtype), schedule)
    for t in (1, 300):
        eps = denoiser(x.to(dtype), t)
        assert eps.dtype == denoiser.x0(x.to(dtype), t).dtype == dtype
        torch.testing.assert_close(eps.double(), exact(x.double(), t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d, x: EmpiricalDenoiser(torch.zeros(0, 2), linear()),
            r"data has shape \(0, 2\); expected at least one row",
        ),
        (lambda d, x: EmpiricalDenoiser(torch.tensor([[0, math.nan]]), linear()), r"no NaN or infinity"),
        (lambda d, x: d(x[:, :1], 5), r"x_t has rows of shape \(1,\); the data's are \(2,\)"),
        (lambda d, x: d(torch.zeros(3, 1, 8, 8), 5), r"x_t has rows of shape \(1, 8, 8\); the data's are \(2,\)"),
        (lambda d, x: d(x, 0), r"noise\(t\) = 0: at t = 0 there is nothing to denoise"),
        (lambda d, x: d(x, 1001), r"t runs from 1001 to 1001"),
        (
            lambda d, x: d(x, torch.ones(2).long()),
            r"t has shape \(2,\); expected one time, or one per row of x: \(5,\)",
        ),
    ],
)
def test_wrong_data_points_and_times_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(EmpiricalDenoiser(torch.randn(4, 2), linear()), torch.randn(5, 2))
