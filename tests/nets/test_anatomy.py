"""Tools to examine a U-Net: parts are removed and restored, and what is counted by hand is what torch counts."""

import pytest
import torch
from test_unet import given, shaken, silent, small
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mpl_diffusion import (
    MLP,
    Denoiser,
    UNet,
    ablate,
    attention_maps,
    classifier_free,
    cosine,
    count_flops,
    feature_maps,
    override_time,
    receptive_field,
    receptive_radius,
    shared_attention,
)
from mpl_diffusion.nets.anatomy import PARTS


def hooks(net):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return sum(len(getattr(module, kind)) for module in net.modules() for kind in kinds)


# --------------------------------------------------------------------------------------------------- feature maps


def test_feature_maps_are_named_by_the_way_through_the_network():
    net, (x, t, cond) = shaken(small()), given()
    shapes = {name: tuple(m.shape) for name, m in feature_maps(net, x, t, cond).items()}
    assert shapes == {
        "stem": (3, 16, 14, 14),
        "down 14x14": (3, 16, 14, 14),
        "down 7x7": (3, 24, 7, 7),
        "middle 7x7": (3, 24, 7, 7),
        "up 7x7": (3, 24, 7, 7),
        "up 14x14": (3, 16, 14, 14),
    }
    assert list(shapes) == ["stem", "down 14x14", "down 7x7", "middle 7x7", "up 7x7", "up 14x14"] and not hooks(net)


def test_the_last_feature_map_makes_the_answer():
    net, (x, t, cond) = shaken(small()), given()
    last = feature_maps(net, x, t, cond)["up 14x14"]
    answer = nn.functional.pixel_shuffle(net.head(nn.functional.silu(net.norm(last))), 2)
    torch.testing.assert_close(answer, net(x, t, cond))


def test_one_time_for_all_is_a_time_for_each():
    net, (x, _, _) = shaken(small()), given()
    one, each = feature_maps(net, x, 300), feature_maps(net, x, torch.full((3,), 300.0))
    assert all(torch.equal(one[name], each[name]) for name in one)


def test_sizes_that_come_twice_are_both_kept():
    net = shaken(UNet(widths=(16, 16, 16), attention=(False, False, True)))
    assert list(feature_maps(net, torch.randn(1, 1, 2, 2), 5)) == [
        *("stem", "down 2x2", "down 1x1", "down 1x1 again", "middle 1x1", "up 1x1", "up 1x1 again", "up 2x2")
    ]


# -------------------------------------------------------------------------------------------------- parts come out


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_out_changes_the_answer_and_is_back_afterwards(part):
    net, (x, t, cond) = shaken(small()), given()
    before, weights = net(x, t, cond), {k: v.clone() for k, v in net.state_dict().items()}
    with ablate(net, part):
        assert not torch.allclose(net(x, t, cond), before, atol=1e-5)
    assert torch.equal(net(x, t, cond), before) and not hooks(net)
    assert all(torch.equal(v, weights[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_back_after_an_error(part):
    net, (x, t, cond) = shaken(small()), given()
    before = net(x, t, cond)
    with pytest.raises(KeyboardInterrupt), ablate(net, part), override_time(net, lambda t: 0 * t):
        raise KeyboardInterrupt
    assert torch.equal(net(x, t, cond), before) and not hooks(net)


def test_without_skips_nothing_finer_than_the_bottleneck_comes_up():
    """The decoder's last block then sees 7x7 positions, each enlarged to 2x2, whatever the picture was."""
    net, (x, t, cond) = shaken(small()), given()
    seen = []
    net.up[-1].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with ablate(net, "skips"):
        net(x, t, cond)
    (h,) = seen
    assert torch.equal(h[:, :, ::2, ::2], h[:, :, 1::2, 1::2]) and not h[:, 24:].any() and h[:, :24].any()


def test_without_attention_the_network_is_one_whose_attention_adds_nothing():
    net, (x, t, cond) = shaken(small()), given()
    with ablate(net, "attention"):
        out = net(x, t, cond)
    for stage in (*net.down, net.middle, *net.up):
        for layer in stage.self_attention:
            nn.init.zeros_(layer.out.weight), nn.init.zeros_(layer.out.bias)
    torch.testing.assert_close(out, net(x, t, cond))


def test_without_time_the_network_is_one_whose_times_are_all_alike():
    net, (x, t, cond) = shaken(small()), given()
    with ablate(net, "time"):
        out = net(x, t, cond)
        assert torch.equal(out, net(x, 0 * t, cond))
    silent([net.time[-1]])
    torch.testing.assert_close(out, net(x, t, cond))


def test_without_time_the_resblocks_still_hear_the_label():
    net, (x, t, cond) = shaken(small()), given()
    silent(layer.out for stage in (*net.down, net.middle, *net.up) for layer in stage.cross_attention)
    with ablate(net, "time"):
        assert not torch.allclose(net(x, t, cond), net(x, t, cond % 10 + 1), atol=1e-5)


def test_without_labels_every_label_is_nothing():
    net, (x, t, cond) = shaken(small()), given()
    nothing = net(x, t)
    with ablate(net, "labels"):
        assert torch.equal(net(x, t, cond), nothing)
    assert not torch.allclose(net(x, t, cond), nothing, atol=1e-5)


def test_a_part_can_be_taken_out_again_and_again_also_within_itself():
    net, (x, t, cond) = shaken(small()), given()
    before, part = net(x, t, cond), ablate(net, "skips")
    with part:
        out = net(x, t, cond)
        with part:
            assert torch.equal(net(x, t, cond), out)
        assert torch.equal(net(x, t, cond), out)
    assert torch.equal(net(x, t, cond), before)
    with part:
        assert torch.equal(net(x, t, cond), out)
    with ablate(net):
        assert torch.equal(net(x, t, cond), before)


def test_several_parts_and_nested_ones_are_the_same():
    net, (x, t, cond) = shaken(small()), given()
    with ablate(net, "skips", "time"):
        both = net(x, t, cond)
    with ablate(net, "skips"), ablate(net, "time"):
        assert torch.equal(net(x, t, cond), both)


def test_a_denoiser_that_holds_a_network_will_do():
    denoiser, (x, _, cond) = Denoiser(shaken(small()), cosine(1000), "v"), given()
    before = denoiser(x, 500, cond)
    for part in PARTS:
        with ablate(denoiser, part):
            assert not torch.allclose(denoiser(x, 500, cond), before, atol=1e-6)
    with override_time(denoiser, lambda t: t + 200):
        assert not torch.allclose(denoiser(x, 500, cond), before, atol=1e-6)


def test_an_unknown_or_missing_part_is_named_and_leaves_nothing_behind():
    net = small(vocabulary=0)
    with pytest.raises(ValueError, match="no part is called 'skip'; there are 'skips', 'attention'"):
        with ablate(net, "time", "skip"):
            pass
    with pytest.raises(ValueError, match="this network has no labels"):
        with ablate(net, "labels"):
            pass
    with pytest.raises(ValueError, match="there is no U-Net in this MLP"):
        with override_time(MLP(), lambda t: t):
            pass
    assert not hooks(net)


# -------------------------------------------------------------------------------------------------------- the time


def test_a_network_that_is_told_another_time_answers_for_that_one():
    net, (x, t, cond) = shaken(small()), given()
    truth, frozen = net(x, t, cond), net(x, torch.full_like(t, 500.0), cond)
    with override_time(net, 500):
        assert torch.equal(net(x, t, cond), frozen)
        assert torch.equal(net(x, t=t, cond=cond), frozen)
    with override_time(net, lambda t: t[[1, 2, 0]]):
        torch.testing.assert_close(net(x, t[[2, 0, 1]], cond), truth)
    assert torch.equal(net(x, t, cond), truth) and not hooks(net)


# ------------------------------------------------------------------------------------------------------- the costs


@pytest.mark.parametrize(
    "net, size",
    [
        (small(), 28),
        (small(vocabulary=0), 28),
        (small(heads=2, blocks=2, length=5), 20),
        (small(length=5, depth=2), 20),
        (UNet(channels=3, widths=(16, 16, 24), attention=(True, False, True)), 18),
    ],
)
def test_costs_sum_to_what_torch_counts(net, size):
    x = torch.randn(2, net.channels, size, size)
    cost = count_flops(net, x)
    assert sum(c.parameters for c in cost.values()) == sum(p.numel() for p in net.parameters())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x[:1], torch.zeros(1))
    assert 2 * sum(c.multiply_adds for c in cost.values()) == counter.get_total_flops() > 0
    assert not hooks(net)


def test_a_network_without_numbers_is_counted_too():
    """A large one on the meta device, which has shapes only."""
    net, x = small(), torch.randn(1, 1, 28, 28)
    assert count_flops(net.to("meta"), x.to("meta")) == count_flops(small(), x)


def test_costs_of_a_block_are_those_by_hand():
    cost = count_flops(small(), torch.randn(1, 1, 28, 28))
    assert cost["stem"] == (9 * 4 * 16 + 16, 9 * 4 * 16 * 14 * 14)
    res = 2 * (9 * 16 * 16 + 16) + 2 * (16 + 16) + 64 * 32 + 32
    assert cost["down 14x14"] == (res, 2 * 9 * 16 * 16 * 196 + 64 * 32)
    assert cost["time"] == (16 * 64 + 64 + 64 * 64 + 64, 16 * 64 + 64 * 64)
    assert cost["labels"] == (11 * 24 + 24 + 24 * 64 + 64, 24 * 64)  # ids, a place, and the gist


# --------------------------------------------------------------------------------------------- who moves whom


def test_influence_is_the_gradient():
    net, (x, _, _) = shaken(small(vocabulary=0)), given(batch=1, size=(8, 8))
    m, step = receptive_field(net, x, 300, (3, 4)), 1e-2
    times = torch.full((1,), 300.0)
    for i, j in ((3, 4), (0, 0), (7, 2)):
        up, down = x.clone(), x.clone()
        up[0, 0, i, j] += step
        down[0, 0, i, j] -= step
        slope = (net(up, times) - net(down, times))[0, 0, 3, 4] / (2 * step)
        torch.testing.assert_close(m[i, j], slope.abs(), rtol=2e-2, atol=2e-3)


def test_convolutions_alone_see_the_field_that_the_rule_says():
    net, x = shaken(small(vocabulary=0)), torch.randn(1, 1, 104, 104)
    with ablate(net, "attention"):
        m = receptive_field(net, x, 300, (52, 52), statistics=False) > 0
    assert m.sum() == 78**2 and m.any(0).sum() == m.any(1).sum() == 78  # 2 + 3 2 2 + 2 2 + 6 2 4 + 3 2 2
    assert (receptive_field(net, x, 300, (52, 52), statistics=False) > 0).float().mean() > 0.99
    with ablate(net, "attention"):
        assert (receptive_field(net, x, 300, (52, 52)) > 0).float().mean() > 0.99


def test_holding_the_statistics_still_changes_no_value():
    net, (x, _, _) = shaken(small()), given()
    seen = []
    net.head.register_forward_hook(lambda module, args, out: seen.append(out.detach()))
    for statistics in (True, False):
        receptive_field(net, x, 300, (0, 0), statistics=statistics)
    torch.testing.assert_close(*seen, rtol=1e-4, atol=1e-4)


def test_influence_needs_no_gradient_mode_and_leaves_none_behind():
    net, (x, _, _) = shaken(small()).requires_grad_(False), given()
    with torch.no_grad():
        assert receptive_field(net, x, 300, (0, 0)).shape == (28, 28)
    assert not x.requires_grad and x.grad is None and not hooks(net)


def test_reach_is_the_mean_distance():
    m = torch.zeros(5, 7)
    m[1, 2], m[1, 6], m[4, 2] = 2.0, 1.0, 1.0  # 0, 4 and 3 pixels away
    assert receptive_radius(m, (1, 2)) == pytest.approx(7 / 4)


# --------------------------------------------------------------------------------------- where it looks for each word


def captioned(blocks=1, heads=1):
    """A U-Net that reads captions of 5 words at 6x6 and 3x3, three pictures and their captions."""
    torch.manual_seed(0)
    net = UNet(widths=(16, 24), attention=(True, True), vocabulary=9, length=5, depth=1, blocks=blocks, heads=heads)
    return shaken(net), torch.randn(3, 1, 6, 6), torch.randint(0, 9, (3, 5))


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_maps_are_what_the_network_looks_with_and_reading_them_changes_nothing(heads):
    net, x, cond = captioned(heads=heads)
    before = net(x, torch.full((3,), 300.0), cond)
    maps = attention_maps(net, x, 300, cond)
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "down 6x6": (3, 5, 6, 6),
        "down 3x3": (3, 5, 3, 3),
        "middle 3x3": (3, 5, 3, 3),
        "up 3x3": (3, 5, 3, 3),
        "up 6x6": (3, 5, 6, 6),
    }
    for one in maps.values():
        assert (one >= 0).all()
        torch.testing.assert_close(one.sum(1), torch.ones_like(one[:, 0]))
    assert torch.equal(net(x, torch.full((3,), 300.0), cond), before) and not hooks(net)


def test_an_attention_map_mixes_what_the_words_say_into_what_the_layer_adds():
    """With one head: x + out(sum over words of map * v), and that is what the layer handed on."""
    net, x, cond = captioned()
    layer, seen = net.up[1].cross_attention[0], {}
    handle = layer.register_forward_hook(lambda layer, args, out: seen.update(x=args[0], words=args[1], out=out))
    maps = attention_maps(net, x, 300, cond)
    handle.remove()
    v = layer.kv(seen["words"][1])[..., 16:]
    expected = seen["x"] + layer.out(torch.einsum("blhw,blc->bhwc", maps["up 6x6"], v)).permute(0, 3, 1, 2)
    torch.testing.assert_close(seen["out"], expected)


def test_an_attention_map_is_the_mean_over_heads():
    net, x, cond = captioned(heads=2)
    layer, seen = net.down[0].cross_attention[0], {}
    handle = layer.register_forward_hook(lambda layer, args, out: seen.update(x=args[0], words=args[1]))
    maps = attention_maps(net, x, 300, cond)["down 6x6"]
    handle.remove()
    q = layer.q(layer.norm(seen["x"]).flatten(2).transpose(1, 2))
    k = layer.kv(seen["words"][0])[..., :16]
    heads = [(q[..., i] @ k[..., i].mT / 8**0.5).softmax(-1) for i in (slice(0, 8), slice(8, 16))]
    torch.testing.assert_close(maps, (sum(heads) / 2).transpose(1, 2).unflatten(-1, (6, 6)))


def test_maps_of_several_blocks_at_one_resolution_are_all_kept():
    net, x, cond = captioned(blocks=2)
    again = ["down 6x6", "down 6x6 again", "down 3x3", "down 3x3 again"]
    assert list(attention_maps(net, x, 300, cond))[:4] == again


def test_pictures_that_shared_attention_leave_the_first_as_it_is_and_pull_the_others_after_it():
    net, x, cond = captioned(heads=4)
    x[1:], cond[1] = x[:1], cond[0]
    before = net(x, torch.full((3,), 300.0), cond)
    with shared_attention(net):
        alike = net(x, torch.full((3,), 300.0), cond)
    torch.testing.assert_close(alike[:2], before[:2])  # the second is the same picture with the same caption
    assert not torch.allclose(alike[2], before[2], atol=1e-5) and not torch.allclose(alike[2], alike[0], atol=1e-5)
    assert torch.equal(net(x, torch.full((3,), 300.0), cond), before) and not hooks(net)


def test_pictures_that_shared_attention_take_where_from_the_first_and_what_from_their_own_words():
    net, _, cond = captioned()
    layer = net.down[0].cross_attention[0]
    features, words = torch.randn(3, 16, 6, 6), net.read(cond, 3)
    with shared_attention(Denoiser(net, cosine())):
        alike = layer(features, words)
    q = layer.q(layer.norm(features[:1]).flatten(2).transpose(1, 2))
    k, v = layer.kv(words[0])[..., :16], layer.kv(words[1])[..., 16:]
    where = (q @ k[:1].mT / 4).softmax(-1)
    torch.testing.assert_close(alike, features + layer.out(where @ v).transpose(1, 2).reshape(3, 16, 6, 6))


def test_guidance_with_pictures_that_shared_attention_leaves_the_first_as_it_is():
    net, x, cond = captioned()
    denoiser = Denoiser(net, cosine())
    guided, x = classifier_free(denoiser, 3.0), x[:1].expand(3, -1, -1, -1)
    before = guided(x, 300, cond)
    with shared_attention(denoiser, rows=3):
        alike = guided(x, 300, cond)
    torch.testing.assert_close(alike[0], before[0])
    assert not torch.allclose(alike[1:], before[1:], atol=1e-5)
    with shared_attention(denoiser, rows=1):
        torch.testing.assert_close(guided(x, 300, cond), before)
    with pytest.raises(ValueError, match="rows = 0; expected a whole number, at least 1"):
        shared_attention(denoiser, rows=0)


def test_a_network_without_words_has_no_maps():
    for look in (lambda net: attention_maps(net, torch.randn(1, 1, 6, 6), 5, None), shared_attention):
        with pytest.raises(ValueError, match="vocabulary=0: it has no cross-attention"):
            look(UNet(widths=(8,), attention=(True,)))
