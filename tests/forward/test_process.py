"""The process: x_t = signal(t) x_0 + noise(t) eps, and every way back, on points and images."""

import math

import pytest
import torch

from mpl_diffusion import Process, Schedule, cosine, linear

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPES = {"points": (28, 2), "28 images 28 wide": (28, 1, 28, 28), "28 colour images": (28, 3, 28, 28)}
TIMES = {
    "one int": lambda: 37,
    "one tensor": lambda: torch.tensor(37),
    "one per row": lambda: torch.randint(1, 101, (28,)),
}
cases = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
whens = pytest.mark.parametrize("when", TIMES.values(), ids=TIMES)
devices = pytest.mark.parametrize("device", DEVICES)


class Widening(Process):
    """Noise that grows beside a signal that shrinks to 1/2: signal^2 + noise^2 is not 1."""

    T = 100

    def signal(self, t):
        return 1 - torch.as_tensor(t, dtype=torch.float64) / 200

    def noise(self, t):
        return torch.as_tensor(t, dtype=torch.float64) / 20


PROCESSES = {"linear": linear(100), "cosine": cosine(100), "not variance-preserving": Widening()}
processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


def each_row(t, n):
    return torch.as_tensor(t).expand(n).tolist()


@devices
@processes
@cases
@whens
def test_diffuse_mixes_each_row_with_the_rates_of_its_own_time(process, shape, when, device):
    t, x0, eps = when(), *torch.randn(2, *shape, dtype=torch.float64, device=device)
    expected = torch.stack(
        [
            float(process.signal(k)) * a + float(process.noise(k)) * b
            for a, b, k in zip(x0, eps, each_row(t, 28), strict=True)
        ]
    )
    torch.testing.assert_close(process.diffuse(x0, t, eps), expected, rtol=0, atol=1e-14)


@devices
@processes
@cases
@whens
def test_x0_eps_and_score_each_lead_back_to_where_they_came_from(process, shape, when, device):
    t, x0, eps = when(), *torch.randn(2, *shape, dtype=torch.float64, device=device)
    x_t = process.diffuse(x0, t, eps)
    # dividing by a signal of 1/4000 (cosine, t = 100) magnifies the rounding of x_t
    loss = 1 / min(float(process.signal(k)) for k in each_row(t, 28))
    torch.testing.assert_close(process.x0_from_eps(x_t, t, eps), x0, rtol=0, atol=2e-15 * loss + 1e-14)
    torch.testing.assert_close(process.eps_from_x0(x_t, t, x0), eps, rtol=0, atol=1e-12)
    torch.testing.assert_close(process.eps_from_score(process.score_from_eps(eps, t), t), eps, rtol=0, atol=1e-12)
    if loss < 100:
        guess = torch.randn_like(x0)
        there_and_back = process.x0_from_eps(x_t, t, process.eps_from_x0(x_t, t, guess))
        torch.testing.assert_close(there_and_back, guess, rtol=0, atol=1e-12)


@processes
@whens
def test_score_is_the_gradient_of_the_log_density_of_x_t_given_x_0(process, when):
    t, x0, eps = when(), *torch.randn(2, 28, 2, dtype=torch.float64)
    x_t = process.diffuse(x0, t, eps).requires_grad_()
    a, s = process.signal(t).reshape(-1, 1), process.noise(t).reshape(-1, 1)
    torch.distributions.Normal(a * x0, s.expand(28, 2)).log_prob(x_t).sum().backward()
    torch.testing.assert_close(process.score_from_eps(eps, t), x_t.grad, rtol=0, atol=1e-11)


@devices
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@cases
@whens
def test_results_keep_the_dtype_and_the_device_of_x(dtype, shape, when, device):
    t, x, y = when(), *torch.randn(2, *shape, device=device).to(dtype)
    process = linear(100)
    results = [process.diffuse(x, t, y), process.x0_from_eps(x, t, y), process.eps_from_x0(x, t, y)]
    results += [process.score_from_eps(x, t), process.eps_from_score(x, t)]
    assert {(r.dtype, r.device, r.shape) for r in results} == {(dtype, x.device, x.shape)}


def test_float32_agrees_with_float64_to_its_own_precision():
    process, t = linear(100), torch.randint(1, 101, (28,))
    x0, eps = torch.randn(2, 28, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(
        process.diffuse(x0.float(), t, eps.float()), process.diffuse(x0, t, eps).float(), rtol=1e-6, atol=1e-6
    )


def test_t_0_is_the_data_itself():
    x0, eps = torch.randn(2, 5, 2, dtype=torch.float64)
    assert torch.equal(linear(10).diffuse(x0, 0, eps), x0)


def test_prior_has_the_standard_deviation_that_standardised_data_have_at_the_end():
    x = linear().prior(100_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = 1 / math.sqrt(2 * x.numel())  # standard error of a standard deviation of 1
    assert abs(float(x.std()) - 1) < 4 * error
    same = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(x, same, rtol=1e-12, atol=0)
    wide = Widening().prior(100_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(wide, same * math.sqrt(0.5**2 + 5**2), rtol=1e-12, atol=0)
    assert linear().prior(3, 1, 28, 28).shape == (3, 1, 28, 28) and linear().prior(3, 2).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, x: p.diffuse(x, 5, x[:, :1]), r"x0 has shape \(28, 2\) and eps \(28, 1\); expected the same shape"),
        (lambda p, x: p.diffuse(x, 5, x[0]), r"x0 has shape \(28, 2\) and eps \(2,\)"),
        (lambda p, x: p.x0_from_eps(x, 5, x[:1]), r"x_t has shape \(28, 2\) and eps \(1, 2\)"),
        (lambda p, x: p.eps_from_x0(x, 5, x[:1]), r"x_t has shape \(28, 2\) and x0 \(1, 2\)"),
        (
            lambda p, x: p.diffuse(x, torch.ones(27, dtype=torch.long), x),
            r"t has shape \(27,\).*one per row of x: \(28,\)",
        ),
        (
            lambda p, x: p.diffuse(x, torch.ones(28, 1, dtype=torch.long), x),
            r"t has shape \(28, 1\); expected one time",
        ),
        (lambda p, x: p.diffuse(x, [1, 2], x), r"t has shape \(2,\); expected one time, or one per row of x: \(28,\)"),
        (lambda p, x: p.diffuse(x.long(), 5, x.long()), r"x is torch.int64; expected floats"),
        (lambda p, x: p.diffuse((x > 0).byte(), 5, (x > 0).byte()), r"x is torch.uint8; expected floats .*127.5"),
        (lambda p, x: p.diffuse(x, 101, x), r"t runs from 101 to 101; this schedule has t = 0 ... 100"),
        (lambda p, x: p.eps_from_x0(x, 0, x), r"noise\(t\) = 0: x_t is the data itself"),
        (
            lambda p, x: p.zero_terminal_snr().x0_from_eps(x, 100, x),
            r"signal\(t\) = 0: x_t is pure noise.*predict v or x0",
        ),
    ],
)
def test_a_wrong_shape_time_or_dtype_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(linear(100), torch.randn(28, 2))


def test_a_schedule_is_a_process_and_a_process_needs_its_rates():
    assert isinstance(linear(), Process) and isinstance(linear(), Schedule)
    for call in (
        lambda: Process().signal(1),
        lambda: Process().noise(1),
        lambda: Process().times(1),
        lambda: Process().random_times(1),
    ):
        with pytest.raises(NotImplementedError):
            call()
