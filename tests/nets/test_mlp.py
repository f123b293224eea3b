"""Networks: shapes in, shapes out, and what a time looks like from inside."""

import math

import pytest
import torch

from mpl_diffusion import MLP, Denoiser, linear, time_features

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def test_time_features_are_the_cosines_and_sines_of_vaswani():
    t, w = torch.tensor([0.0, 1.0, 377.5, 1000.0]).double(), [10_000 ** (-i / 4) for i in range(4)]
    expected = [[math.cos(k * f) for f in w] + [math.sin(k * f) for f in w] for k in t.tolist()]
    torch.testing.assert_close(time_features(t, 8), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_no_two_times_look_alike_and_neighbours_look_most_alike():
    f = time_features(torch.arange(1001.0), 128)
    d = torch.cdist(f, f).fill_diagonal_(math.inf)
    nearest = d.argmin(1)
    assert float(d.min()) > 0.1 and ((nearest - torch.arange(1001)).abs() == 1).all()


def test_time_features_keep_the_dtype_and_need_an_even_number():
    for dtype in (torch.float32, torch.float64):
        assert time_features(torch.ones(3, dtype=dtype), 6).dtype == dtype
    with pytest.raises(ValueError, match="dim = 5; expected an even number"):
        time_features(torch.ones(3), 5)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_mlp_is_its_formula_in_which_each_layer_is_added_to_what_came_in(depth):
    net, x, t = MLP(width=16, depth=depth, time_dim=8), torch.randn(9, 2), torch.rand(9) * 1000
    h = net.x(x) + net.t(time_features(t, 8))
    for layer in net.hidden:
        h = h + layer(torch.nn.functional.silu(h))
    assert len(net.hidden) == depth
    torch.testing.assert_close(net(x, t), net.out(torch.nn.functional.silu(h)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_an_mlp_answers_in_the_shape_and_dtype_of_its_points(dim, dtype, device):
    net = MLP(dim, width=16, depth=2).to(device, dtype)
    out = net(torch.randn(7, dim, dtype=dtype, device=device), torch.rand(7, dtype=dtype, device=device) * 1000)
    assert out.shape == (7, dim) and out.dtype == dtype and out.device.type == device


def test_an_mlp_treats_every_row_by_itself():
    net, x, t = MLP(width=16, classes=4), torch.randn(9, 2), torch.rand(9) * 1000
    cond = torch.randint(0, 5, (9, 1))
    alone = torch.cat([net(x[k : k + 1], t[k : k + 1], cond[k : k + 1]) for k in range(9)])
    torch.testing.assert_close(net(x, t, cond), alone)


def test_an_mlp_depends_on_x_on_t_and_on_cond():
    net, x, t, one = (
        MLP(width=16, classes=4),
        torch.randn(9, 2),
        torch.full((9,), 300.0),
        torch.ones(9, 1, dtype=torch.long),
    )
    out = net(x, t, one)
    for other in (net(x + 0.1, t, one), net(x, t + 100, one), net(x, t, 2 * one)):
        assert ((other - out).abs().amax(1) > 1e-6).all()


def test_id_0_no_cond_and_several_0_are_the_same_nothing():
    net, x, t = MLP(width=16, classes=4), torch.randn(9, 2), torch.full((9,), 300.0)
    nothing = net(x, t)
    assert torch.equal(net(x, t, torch.zeros(9, 1, dtype=torch.long)), nothing)
    assert torch.equal(net(x, t, torch.zeros(9, 3, dtype=torch.long)), nothing)
    net(x, t, torch.zeros(9, 1, dtype=torch.long)).sum().backward()
    assert not net.cond.weight.grad[0].any()  # and it stays nothing in training


def test_every_parameter_takes_part():
    net = MLP(width=16, classes=4)
    Denoiser(net, linear(), p_uncond=0.0).loss(torch.randn(64, 2), torch.randint(1, 5, (64, 1))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP()(torch.randn(3, 3), torch.ones(3)), r"x has shape \(3, 3\); this MLP reads points, \(B, 2\)"),
        (
            lambda: MLP()(torch.randn(3, 1, 28, 28), torch.ones(3)),
            r"x has shape \(3, 1, 28, 28\); this MLP reads points",
        ),
        (lambda: MLP()(torch.randn(3, 2), torch.ones(3), torch.ones(3, 1).long()), r"cond was given.*classes=0"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
