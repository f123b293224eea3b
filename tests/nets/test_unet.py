"""The U-Net: what holds before any training, what reaches the answer, which sizes fit, and attention by its formula."""

import pytest
import torch
from shaken import shaken
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from mpl_diffusion import Denoiser, Transformer, UNet, cosine, load, time_features
from mpl_diffusion.models import MODELS
from mpl_diffusion.nets.text import attend
from mpl_diffusion.nets.unet import Attention, Join, ResBlock

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def small(**settings):
    """A U-Net of two resolutions, small enough for a test."""
    return UNet(**{"widths": (16, 24), "patch": 2, "vocabulary": 11, **settings})


def given(batch=3, channels=1, size=(28, 28), seed=1):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, channels, *size, generator=rng)
    t = 1000 * torch.rand(batch, generator=rng)
    return x, t, torch.randint(1, 11, (batch, 1), generator=rng)


# ------------------------------------------------------------------------------------------------ a new network


@pytest.mark.parametrize("settings", [{}, {"patch": 1}, {"vocabulary": 0}, {"blocks": 2, "attention": (True, True)}])
def test_a_new_network_answers_exactly_0(settings):
    net = small(**settings)
    x, t, cond = given()
    assert torch.equal(net(x, t, cond if net.tokens is not None else None), torch.zeros_like(x))


def test_the_loss_of_a_new_network_that_predicts_v_is_the_power_of_v():
    x, _, _ = given(batch=64)
    eps = torch.randn_like(x)
    process = cosine(1000)
    a, s = process.rates(500, x)
    loss = Denoiser(small(), process, "v").loss(x, None, 500, eps)
    torch.testing.assert_close(loss, (a * eps - s * x).square().mean())


def test_a_new_block_is_the_identity_or_its_1x1_skip():
    emb = torch.randn(2, 8)
    for c_in, c_out in ((16, 16), (16, 24)):
        x, block = torch.randn(2, c_in, 5, 5), ResBlock(c_in, c_out, 8, groups=8)
        torch.testing.assert_close(block(x, emb), block.skip(x), rtol=0, atol=0)
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(ResBlock(16, 16, 8, groups=8)(x, emb), x)
    assert torch.equal(Attention(16, 1, 8)(x), x)
    assert torch.equal(Attention(16, 2, 8, context_dim=6)(x, torch.randn(2, 2, 3, 6)), x)


def test_a_resblock_is_its_formula_in_which_time_scales_and_shifts():
    block = shaken(ResBlock(16, 24, 8, groups=8))
    x, emb = torch.randn(2, 16, 5, 5), torch.randn(2, 8)
    h = block.conv1(nn.functional.silu(block.norm1(x)))
    scale, shift = block.time(emb)[:, :24, None, None], block.time(emb)[:, 24:, None, None]
    h = block.conv2(nn.functional.silu(block.norm2(h) * (1 + scale) + shift))
    torch.testing.assert_close(block(x, emb), block.skip(x) + h)
    assert scale.abs().max() > 0.1  # or it would not be seen if the scale were left out


def test_every_parameter_takes_part_once_the_last_layers_have_left_0():
    net = shaken(small(blocks=2, heads=2))
    x, t, cond = given()
    net(x, t, cond).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


# ------------------------------------------------------------------------------------- what reaches the answer


def test_x_t_and_cond_reach_every_pixel_of_the_answer():
    net = shaken(small())
    x, t, cond = given()
    out = net(x, t, cond)
    for other in (net(x + 0.1 * torch.randn_like(x), t, cond), net(x, t + 100, cond), net(x, t, cond % 10 + 1)):
        assert ((other - out).abs() > 1e-7).float().mean() > 0.99


@pytest.mark.parametrize("join", [0, 1])
def test_each_skip_reaches_the_answer(join):
    net = shaken(small())
    x, t, cond = given()
    out = net(x, t, cond)
    net.join[join].register_forward_pre_hook(lambda module, args: (args[0], torch.zeros_like(args[1])))
    assert ((net(x, t, cond) - out).abs() > 1e-7).float().mean() > 0.99


@pytest.mark.parametrize("kind", [ResBlock, Attention])
def test_each_block_reaches_the_answer(kind):
    net = shaken(small(blocks=2))
    x, t, cond = given()
    out, blocks = net(x, t, cond), [module for module in net.modules() if isinstance(module, kind)]
    assert len(blocks) == (10 if kind is ResBlock else 12)
    for block in blocks:
        last = block.conv2 if kind is ResBlock else block.out
        handle = last.register_forward_hook(lambda module, args, out: torch.zeros_like(out))
        assert not torch.allclose(net(x, t, cond), out, atol=1e-6)
        handle.remove()
    torch.testing.assert_close(net(x, t, cond), out)


def test_every_resblock_hears_the_time():
    block = shaken(ResBlock(16, 16, 8, groups=8))
    x = torch.randn(2, 16, 5, 5)
    assert not torch.allclose(block(x, torch.zeros(2, 8)), block(x, torch.ones(2, 8)), atol=1e-3)


def silent(layers):
    """The layers, from now on answering 0."""
    with torch.no_grad():
        for layer in layers:
            for p in layer.parameters():
                p.zero_()


@pytest.mark.parametrize("way", ["gist", "cross-attention"])
def test_a_label_reaches_every_pixel_by_either_way_alone(way):
    net = shaken(small())
    x, t, cond = given()
    crossing = [layer.out for stage in (*net.down, net.middle, *net.up) for layer in stage.cross_attention]
    assert len(crossing) == 3
    silent([net.gist] if way == "cross-attention" else crossing)
    assert ((net(x, t, cond % 10 + 1) - net(x, t, cond)).abs() > 1e-7).float().mean() > 0.99
    silent([net.gist, *crossing])
    assert torch.equal(net(x, t, cond % 10 + 1), net(x, t, cond))


@pytest.mark.parametrize("length", [0, 1, 4])
def test_the_resblocks_hear_the_time_and_a_label_and_of_a_caption_nothing(length):
    net = shaken(small(vocabulary=11 if length else 0, length=length))
    x, t, _ = given()
    cond = torch.randint(1, 11, (3, length), generator=torch.Generator().manual_seed(2)) if length else None
    told = net.time[2](nn.functional.silu(net.time[0](time_features(t, 16))))
    if length == 1:
        label = net.tokens.weight[cond[:, 0]] + net.places[0]
        told = told + label @ net.gist.weight.mT + net.gist.bias
    elif length:
        assert not [name for name, _ in net.named_parameters() if name.startswith("gist")]
    else:
        assert not [name for name, _ in net.named_parameters() if name.split(".")[0] in ("tokens", "places", "gist")]
    heard = []
    for block in net.modules():
        if isinstance(block, ResBlock):
            block.register_forward_pre_hook(lambda block, args: heard.append(args[1]))
    net(x, t, cond)
    assert len(heard) == 5
    for emb in heard:
        torch.testing.assert_close(emb, told * told.sigmoid(), rtol=1e-4, atol=1e-5)


def test_every_row_is_treated_by_itself():
    net = shaken(small())
    x, t, cond = given(batch=5)
    alone = torch.cat([net(x[k : k + 1], t[k : k + 1], cond[k : k + 1]) for k in range(5)])
    torch.testing.assert_close(net(x, t, cond), alone, rtol=1e-4, atol=1e-4)


def test_no_cond_and_id_0_are_the_same_nothing():
    net = shaken(small(length=4))
    x, t, _ = given()
    assert torch.equal(net(x, t), net(x, t, torch.zeros(3, 4, dtype=torch.long)))


def test_the_order_of_the_tokens_matters():
    net = shaken(small(length=3))
    x, t, _ = given()
    one, two = torch.tensor([[1, 2, 3]]).expand(3, 3), torch.tensor([[3, 2, 1]]).expand(3, 3)
    assert not torch.allclose(net(x, t, one), net(x, t, two), atol=1e-5)


# ---------------------------------------------------------------------------------------------------- any size


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (14, 18), (26, 30), (2, 2), (4, 6), (64, 20)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_answer_has_the_shape_of_the_question(size, channels):
    net = shaken(small(channels=channels))
    x, t, cond = given(channels=channels, size=size)
    out = net(x, t, cond)
    assert out.shape == x.shape and out.isfinite().all()


@pytest.mark.parametrize("size", [(28, 28), (9, 13), (1, 1), (5, 5)])
def test_unfolded_every_size_will_do(size):
    net = shaken(UNet(widths=(16, 16, 24), attention=(False, False, True), groups=4))
    x, t, _ = given(size=size)
    assert net(x, t).shape == x.shape


def test_one_and_the_same_network_reads_all_sizes():
    net = shaken(small())
    for size in ((28, 28), (56, 56), (20, 36)):
        x, t, cond = given(size=size)
        assert net(x, t, cond).shape == x.shape


def test_folding_moves_pixels_into_channels_and_back():
    """A stem and a head that pass each pixel through, and nothing between them: the answer is the question."""
    net = UNet(widths=(8, 8), patch=2, groups=1)
    for layer in (net.stem, net.head):
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    h = []
    net.stem.register_forward_hook(lambda module, args, out: h.append(args[0]))
    net.head.register_forward_pre_hook(lambda module, args: (torch.cat([h[0], h[0]], 1),))
    x, t, _ = given(size=(6, 10))
    assert torch.equal(net(x, t), x) and h[0].shape == (3, 4, 3, 5)


def test_what_comes_up_is_enlarged_to_the_size_of_the_skip():
    h, skip = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 7, 8)
    out = Join()(h, skip)
    assert out.shape == (2, 8, 7, 8) and torch.equal(out[:, 3:], skip)
    assert torch.equal(Join()(h, skip[..., :4, :4])[:, :3], h)


def test_attention_is_at_the_bottleneck_always_and_elsewhere_where_asked():
    net = small(vocabulary=0, attention=(False, False))
    assert [len(stage.self_attention) for stage in (*net.down, net.middle, *net.up)] == [0, 0, 1, 0, 0]
    net = small(attention=(False, True), blocks=2)
    assert [len(stage.cross_attention) for stage in (*net.down, net.middle, *net.up)] == [0, 2, 2, 2, 0]


# --------------------------------------------------------------------------------------------------- attention


def by_hand(layer, x, context=None):
    """x + out(softmax(q k' / sqrt(d)) v), head by head, position by position."""
    pixels = layer.norm(x).permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1])
    (k, _), (_, v) = (layer.kv(a).chunk(2, dim=-1) for a in ([pixels, pixels] if context is None else context))
    d, answers = x.shape[1] // layer.heads, []
    for one in torch.arange(x.shape[1]).split(d):
        scores = layer.q(pixels)[..., one] @ k[..., one].mT / d**0.5
        answers.append(scores.softmax(-1) @ v[..., one])
    h = layer.out(torch.cat(answers, -1))
    return x + h.reshape(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("tokens", [None, 1, 5])
def test_attention_is_its_formula(heads, tokens):
    torch.manual_seed(0)
    layer = shaken(Attention(16, heads, groups=4, context_dim=None if tokens is None else 6))
    x = torch.randn(2, 16, 5, 3)
    context = None if tokens is None else torch.randn(2, 2, tokens, 6)
    torch.testing.assert_close(layer(x, context), by_hand(layer, x, context), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [None, 5])
def test_attention_in_float64_is_its_formula_in_float64(tokens):
    torch.manual_seed(0)
    layer = shaken(Attention(16, 2, groups=4, context_dim=None if tokens is None else 6)).double()
    x = torch.randn(2, 16, 5, 3).double()
    context = None if tokens is None else torch.randn(2, 2, tokens, 6).double()
    torch.testing.assert_close(layer(x, context), by_hand(layer, x, context), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_attention_takes_the_fused_path_on_a_cpu_never_in_half_precision(monkeypatch, dtype):
    calls = []

    def fused(q, k, v):
        calls.append((q.shape, q.dtype, k.dtype, v.dtype))
        return scaled_dot_product_attention(q, k, v)

    monkeypatch.setattr("mpl_diffusion.nets.text.scaled_dot_product_attention", fused)
    Attention(16, 2, groups=4).to(dtype)(torch.randn(3, 16, 5, 5, dtype=dtype))
    Transformer(16, depth=1, heads=2).to(dtype)(torch.randn(3, 5, 16, dtype=dtype))
    assert calls == [((3, 2, n, 8), dtype, dtype, dtype) for n in (25, 5) if dtype != torch.bfloat16]


def test_attention_in_half_precision_is_the_same_formula():
    q, k, v = (torch.randn(2, 4, n, 24).bfloat16() for n in (9, 7, 7))
    exact = scaled_dot_product_attention(q.float(), k.float(), v.float())
    torch.testing.assert_close(attend(q, k, v).float(), exact, rtol=0.02, atol=0.02)


def test_positions_shuffled_in_are_the_same_positions_shuffled_out():
    layer = shaken(Attention(16, 2, groups=4))
    x, order = torch.randn(2, 16, 5, 5), torch.randperm(25)

    def shuffle(x):
        return x.flatten(2)[..., order].view_as(x)

    torch.testing.assert_close(layer(shuffle(x)), shuffle(layer(x)), rtol=1e-4, atol=1e-5)


def test_the_order_of_keys_does_not_matter_to_attention_and_one_token_says_the_same_everywhere():
    layer = shaken(Attention(16, 2, groups=4, context_dim=6))
    x, context = torch.randn(2, 16, 5, 5), torch.randn(2, 2, 7, 6)
    torch.testing.assert_close(layer(x, context), layer(x, context.flip(2)), rtol=1e-4, atol=1e-5)
    added = layer(x, context[:, :, :1]) - x
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------- how it runs


@pytest.mark.parametrize("device", DEVICES)
def test_channels_last_gives_the_same(device):
    net = shaken(small()).to(device)
    x, t, cond = (a.to(device) for a in given())
    out = net(x, t, cond)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), t, cond)
    torch.testing.assert_close(last, out, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_half_precision_is_close_to_full(device):
    net = load("mnist").net.to(device)
    x, t, cond = (a.to(device) for a in given(batch=8))
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
        half = net(x, t, cond)
    with torch.no_grad():
        full = net(x, t, cond)
    assert half.dtype == torch.bfloat16 and (half.float() - full).square().mean() < 1e-3 * full.square().mean()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_whole_network_works_in_another_dtype(dtype):
    torch.manual_seed(0)
    net = UNet(widths=(8, 16), vocabulary=5)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x, t, cond = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 700.0]), torch.tensor([[1], [4]])
    with torch.no_grad():
        full, other = net(x, t, cond), net.to(dtype)(x.to(dtype), t.to(dtype), cond)
    assert other.dtype == dtype
    if dtype == torch.float64:
        torch.testing.assert_close(other.float(), full, rtol=1e-4, atol=1e-4)


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    model = Denoiser(small(), cosine(1000), "v")
    _, _, cond = given(batch=16)
    x = (cond % 2 * 2.0 - 1)[..., None, None].expand(16, 1, 12, 12)  # all white, or all black
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(100):
        loss = model.loss(x, cond)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_the_shipped_network_is_the_one_that_the_course_describes():
    net = load("mnist").net
    assert sum(p.numel() for p in net.parameters()) == 687_108
    assert (net.channels, net.patch, net.length, net.tokens.num_embeddings) == (1, 2, 1, 11)


# -------------------------------------------------------------------------------------------- with a text encoder


def test_without_depth_a_network_has_the_parameters_that_it_always_had():
    plain, deep = (dict(small(depth=depth).named_parameters()) for depth in (0, 2))
    assert plain.keys() == dict(small().named_parameters()).keys() and not [n for n in plain if "text" in n]
    assert {name for name in deep if not name.startswith("text.")} == plain.keys()
    assert all(deep[name].shape == p.shape for name, p in plain.items())
    assert sum(p.numel() for p in deep.values()) - sum(p.numel() for p in plain.values()) == sum(
        p.numel() for p in Transformer(24, 2).parameters()
    )
    assert small(vocabulary=0, depth=2).state_dict().keys() == small(vocabulary=0).state_dict().keys()


def test_cross_attention_finds_its_word_by_what_the_text_encoder_says_and_reads_the_word_itself():
    net = shaken(small(depth=1, length=4))
    (x, t, _), cond = given(), torch.randint(1, 11, (3, 4))
    tokens, heard = torch.randn(3, 4, 24), []
    net.text.register_forward_hook(lambda module, args, out: tokens)
    for stage in (*net.down, net.middle, *net.up):
        for layer in stage.cross_attention:
            layer.register_forward_hook(lambda module, args, out: heard.append(args[1]))
    net(x, t, cond)
    assert len(heard) == 3
    for read, words in heard:
        assert torch.equal(read, tokens) and torch.equal(words, net.tokens(cond) + net.places)


@pytest.mark.parametrize("depth", [1, 2])
def test_every_parameter_of_the_text_encoder_takes_part_and_rows_stay_apart(depth):
    net = shaken(small(depth=depth, length=4))
    x, t, _ = given()
    cond = torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0], [1, 6, 7, 8]])
    net(x, t, cond).square().sum().backward()
    assert [name for name, p in net.text.named_parameters() if p.grad is None or not p.grad.any()] == []
    alone = torch.cat([net(x[k : k + 1], t[k : k + 1], cond[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(net(x, t, cond), alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, shape", [("scenes-latent", (4, 8, 8)), ("scenes-pixel", (3, 64, 64))])
def test_the_networks_that_paint_captions_read_eight_words_and_have_about_the_same_budget(name, shape):
    net = MODELS[name]().net
    assert (net.length, net.tokens.num_embeddings, len(net.text.layers)) == (8, 29, 2)
    assert net(torch.randn(1, *shape), torch.ones(1), torch.ones(1, 8).long()).shape == (1, *shape)
    count = sum(p.numel() for p in net.parameters())
    assert 3.0e6 < count < 3.4e6


# ------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: small()(torch.randn(3, 2), torch.ones(3)),
            r"x has shape \(3, 2\); this U-Net reads images, \(B, 1, H",
        ),
        (lambda: small()(torch.randn(3, 3, 28, 28), torch.ones(3)), r"\(3, 3, 28, 28\); this U-Net reads images"),
        (lambda: small()(torch.randn(3, 1, 27, 28), torch.ones(3)), "H and W multiples of 2"),
        (lambda: small(vocabulary=0)(*given()), r"cond was given, but this U-Net was built with vocabulary=0"),
        (lambda: small()(*given()[:2], torch.ones(3, 2).long()), r"cond has shape \(3, 2\); expected ids \(3, 1\)"),
        (lambda: small()(*given()[:2], torch.ones(2, 1).long()), r"cond has shape \(2, 1\); expected ids \(3, 1\)"),
        (
            lambda: UNet(widths=(16, 24, 32)),
            r"widths = \(16, 24, 32\), attention = \(False, True\); expected one of each",
        ),
        (lambda: UNet(widths=(12, 24)), r"widths that groups = 8 and heads = 1 divide"),
        (lambda: UNet(widths=(16, 24), heads=5), r"groups = 8 and heads = 5 divide"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
