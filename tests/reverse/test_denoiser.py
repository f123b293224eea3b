"""Denoiser: whatever its network predicts, it answers with eps."""

import pytest
import torch
from torch import nn

from mpl_diffusion import MLP, Denoiser, Process, cosine, linear

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPES = {"points": (28, 2), "28 images 28 wide": (28, 1, 28, 28)}
PREDICTS = ("eps", "x0", "v")


class Answer(nn.Module):
    """A network that knows its answer, and remembers what it was asked."""

    def __init__(self, answer=None):
        super().__init__()
        self.answer = answer

    def forward(self, x, t, cond=None):
        self.x, self.t, self.cond = x, t, cond
        return torch.zeros_like(x) if self.answer is None else self.answer


class Widening(Process):
    """signal^2 + noise^2 is not 1."""

    T = 100.0

    def signal(self, t):
        return 1 - torch.as_tensor(t, dtype=torch.float64) / 200

    def noise(self, t):
        return torch.as_tensor(t, dtype=torch.float64) / 20


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("process", [linear(100), Widening()], ids=["linear", "not variance-preserving"])
@pytest.mark.parametrize("predicts", PREDICTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("batched", [False, True], ids=["one t", "a t per row"])
def test_a_network_that_outputs_its_target_gives_back_both_eps_and_x0(process, predicts, shape, batched, device):
    t = torch.randint(1, 101, (28,)) if batched else 60
    x0, eps = torch.randn(2, *shape, dtype=torch.float64, device=device)
    x_t = process.diffuse(x0, t, eps)
    a, s = process.rates(t, x0)
    target = {"eps": eps, "x0": x0, "v": a * eps - s * x0}[predicts]
    denoiser = Denoiser(Answer(target), process, predicts)
    torch.testing.assert_close(denoiser(x_t, t), eps, rtol=0, atol=1e-11)
    torch.testing.assert_close(denoiser.x0(x_t, t), x0, rtol=0, atol=1e-11)


@pytest.mark.parametrize("predicts", PREDICTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_eps_and_x0_of_any_network_fit_together_in_x_t(predicts, shape):
    process, t = cosine(100), torch.randint(1, 90, (28,))
    x_t = torch.randn(shape, dtype=torch.float64)
    denoiser = Denoiser(Answer(torch.randn_like(x_t)), process, predicts)
    torch.testing.assert_close(process.diffuse(denoiser.x0(x_t, t), t, denoiser(x_t, t)), x_t, rtol=0, atol=1e-12)


@pytest.mark.parametrize("predicts", PREDICTS)
def test_results_keep_the_dtype_of_x(predicts):
    for dtype in (torch.float32, torch.float64):
        denoiser = Denoiser(MLP(width=8).to(dtype), linear(), predicts)
        x = torch.randn(5, 2, dtype=dtype)
        for t in (500, torch.randint(1, 1001, (5,))):
            assert denoiser(x, t).dtype == denoiser.x0(x, t).dtype == denoiser.loss(x, t=t).dtype == dtype


@pytest.mark.parametrize("predicts", PREDICTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_loss_is_the_mean_square_distance_from_the_target(predicts, shape):
    process, t = linear(100), torch.randint(1, 101, (28,))
    x0, eps, answer = torch.randn(3, *shape, dtype=torch.float64)
    total = 0.0
    for b in range(28):  # row by row, with plain numbers
        a, s = float(process.signal(int(t[b]))), float(process.noise(int(t[b])))
        target = {"eps": eps[b], "x0": x0[b], "v": a * eps[b] - s * x0[b]}[predicts]
        total += float(((answer[b] - target) ** 2).sum())
    denoiser = Denoiser(Answer(answer), process, predicts)
    assert float(denoiser.loss(x0, t=t, eps=eps)) == pytest.approx(total / x0.numel(), rel=1e-12)
    torch.testing.assert_close(denoiser.net.x, process.diffuse(x0, t, eps))


def test_loss_draws_eps_from_a_normal_distribution_and_t_from_1_to_T():
    denoiser = Denoiser(Answer(), linear(100))
    value = float(denoiser.loss(torch.zeros(4000, 2)))  # the network says 0, so this is E eps^2 = 1
    assert abs(value - 1) < 4 * (2 / 8000) ** 0.5
    t = denoiser.net.t / 10
    assert t.min() >= 1 and t.max() <= 100 and abs(float(t.mean()) - 50.5) < 1
    noise = denoiser.net.x / linear(100).noise(t.round().long())[:, None]
    assert abs(float(noise.std()) - 1) < 4 * (1 / 16000) ** 0.5 and abs(float(noise.mean())) < 4 * (1 / 8000) ** 0.5


@pytest.mark.parametrize("T", [10, 200, 1000])
def test_the_network_sees_time_from_0_to_1000_whatever_T_is(T):
    denoiser, x = Denoiser(Answer(), linear(T)), torch.randn(3, 2)
    denoiser(x, T)
    assert torch.equal(denoiser.net.t, torch.full((3,), 1000.0))
    denoiser(x, torch.tensor([1, 0, T]))
    torch.testing.assert_close(denoiser.net.t, torch.tensor([1000 / T, 0.0, 1000.0]))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_of_dropped_conditions_that_is_none_is_named(share):
    with pytest.raises(ValueError, match=rf"p_uncond = {share}; expected a share, 0 \(drop none\) to 1 \(drop all\)"):
        Denoiser(Answer(), linear(), p_uncond=share)


def test_dropped_conditions_are_whole_rows_of_0_and_the_callers_ids_stay():
    denoiser = Denoiser(Answer(), linear(), p_uncond=0.25)
    x0, cond = torch.randn(4000, 2), torch.randint(1, 11, (4000, 3))
    before = cond.clone()
    denoiser.loss(x0, cond)
    seen = denoiser.net.cond
    dropped = (seen == 0).all(1)
    assert torch.equal(seen[~dropped], cond[~dropped]) and torch.equal(cond, before)
    assert abs(float(dropped.double().mean()) - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5
    denoiser.p_uncond = 0
    denoiser.loss(x0, cond)
    assert torch.equal(denoiser.net.cond, cond)
    denoiser.p_uncond = 1
    denoiser.loss(x0, cond)
    assert torch.equal(denoiser.net.cond, torch.zeros_like(cond))
    denoiser(x0, 5, cond)  # nothing is dropped when it is asked
    assert torch.equal(denoiser.net.cond, cond)


def test_v_is_told_apart_where_the_signal_is_gone():
    schedule = linear(100).zero_terminal_snr()
    x0, eps = torch.randn(2, 5, 2, dtype=torch.float64)
    x_T = schedule.diffuse(x0, 100, eps)
    denoiser = Denoiser(Answer(-x0), schedule, "v")
    torch.testing.assert_close(denoiser.x0(x_T, 100), x0)
    torch.testing.assert_close(denoiser(x_T, 100), eps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: Denoiser(MLP(), linear(), "epsilon"), r"predicts = 'epsilon'; expected one of 'eps', 'x0', 'v'"),
        (lambda x: Denoiser(MLP(), linear()).loss(x, t=0), r"t <= 0 in training"),
        (
            lambda x: Denoiser(MLP(), linear()).loss(x, t=torch.tensor([1, 2, 0, 4, 5])),
            r"t <= 0 in training.*1 \.\.\. T",
        ),
        (
            lambda x: Denoiser(MLP(), linear()).loss(x, t=1001),
            r"t runs from 1001 to 1001; this schedule has t = 0 ... 1000",
        ),
        (lambda x: Denoiser(MLP(), linear()).loss(x, t=0.5), r"t is torch.float32; a schedule has whole steps"),
        (lambda x: Denoiser(MLP(), linear()).loss(x, t=torch.ones(4, dtype=torch.long)), r"t has shape \(4,\).*\(5,\)"),
        (lambda x: Denoiser(MLP(), linear()).loss(x, eps=x[:1]), r"x0 has shape \(5, 2\) and eps \(1, 2\)"),
        (lambda x: Denoiser(MLP(), linear()).loss(x.long()), r"expected floats"),
        (lambda x: Denoiser(MLP(), linear())(x, 1001), r"t runs from 1001 to 1001"),
        (lambda x: Denoiser(Answer(x[:, :1]), linear())(x, 5), r"x_t has shape \(5, 2\) and .*\(5, 1\)"),
        (lambda x: Denoiser(Answer(x[:, :1]), linear()).loss(x, t=5), r"x_t has shape \(5, 2\) and .*\(5, 1\)"),
        (lambda x: Denoiser(MLP(), linear())(x[:, :1], 5), r"x has shape \(5, 1\); this MLP reads points, \(B, 2\)"),
    ],
)
def test_wrong_predictions_times_and_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.randn(5, 2))
