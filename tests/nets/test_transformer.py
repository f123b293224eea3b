"""The transformer that reads captions: every word hears every word, as torch's own encoder has it."""

import pytest
import torch
from shaken import shaken
from torch import nn
from torch.nn.functional import silu

from mpl_diffusion import Transformer, UNet


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("length", [1, 8])
def test_tokens_come_back_in_their_shape(depth, length):
    assert Transformer(16, depth)(torch.randn(2, length, 16)).shape == (2, length, 16)


@pytest.mark.parametrize("heads", [1, 4])
def test_it_is_torchs_encoder_with_norms_first(heads):
    """The same weights, put into the peer's layers."""
    ours = shaken(Transformer(16, depth=2, heads=heads))
    layer = nn.TransformerEncoderLayer(16, heads, 64, dropout=0, activation=silu, batch_first=True, norm_first=True)
    peer = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(16), enable_nested_tensor=False).eval()
    peer.norm.load_state_dict(ours.norm.state_dict())
    for mine, theirs in zip(ours.layers, peer.layers, strict=True):
        weights = {"norm1": mine.norm1, "norm2": mine.norm2, "self_attn.in_proj": mine.qkv, "linear1": mine.mlp[0]}
        weights |= {"self_attn.out_proj": mine.out, "linear2": mine.mlp[2]}
        theirs.load_state_dict(
            {
                f"{name}{'_' if name.endswith('in_proj') else '.'}{kind}": getattr(module, kind)
                for name, module in weights.items()
                for kind in ("weight", "bias")
            }
        )
    tokens = torch.randn(3, 8, 16)
    torch.testing.assert_close(ours(tokens), peer(tokens), rtol=1e-4, atol=1e-5)


def test_every_answer_depends_on_every_word_and_on_no_other_caption():
    net, tokens = shaken(Transformer(16, depth=1)), torch.randn(2, 8, 16)

    def heard(tokens):
        return net(tokens)[1, :, 0]

    reach = torch.autograd.functional.jacobian(heard, tokens).abs().amax(-1)  # (8 answers, 2 captions, 8 words)
    assert (reach[:, 1] > 1e-6).all() and not reach[:, 0].any()


def test_words_in_another_order_give_the_answers_in_that_order():
    """It knows no places: those are added to the words before."""
    net, tokens, order = shaken(Transformer(16, depth=2)), torch.randn(2, 8, 16), torch.randperm(8)
    torch.testing.assert_close(net(tokens[:, order]), net(tokens)[:, order], rtol=1e-4, atol=1e-5)


def test_every_parameter_takes_part():
    net = Transformer(16, depth=2)
    net(torch.randn(2, 5, 16)).square().sum(-1).std().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(ValueError, match=r"dim = 18, heads = 4; expected heads that divide dim"):
        Transformer(18, depth=1)


# ----------------------------------------------------------------------------------- in the U-Net


def unet(depth):
    return shaken(UNet(widths=(8, 16), vocabulary=11, length=4, depth=depth))


CAPTIONS = torch.tensor([[1, 2, 3, 0], [1, 2, 4, 0]])  # they differ in the third word


def test_without_a_transformer_a_word_is_its_embedding_whatever_stands_beside_it():
    net = unet(depth=0)
    read, words = net.read(CAPTIONS, 2)
    assert torch.equal(words, net.tokens(CAPTIONS) + net.places) and torch.equal(read, words)
    assert torch.equal(words[0, [0, 1, 3]], words[1, [0, 1, 3]])


def test_with_one_every_place_hears_of_a_word_that_changes_the_empty_place_too():
    net = unet(depth=1)
    read, words = net.read(CAPTIONS, 2)
    assert ((read[0] - read[1]).abs().amax(-1) > 1e-4).all()
    torch.testing.assert_close(read, net.text(words))
    assert torch.equal(words, net.tokens(CAPTIONS) + net.places)


@pytest.mark.parametrize("depth", [0, 2])
def test_the_order_of_the_words_matters_and_no_caption_is_all_zeros(depth):
    net = unet(depth)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([100.0, 800.0])
    assert (net(x, t, CAPTIONS) - net(x, t, CAPTIONS[:, [2, 1, 0, 3]])).abs().max() > 1e-4
    assert torch.equal(net(x, t), net(x, t, torch.zeros(2, 4, dtype=torch.long)))


def test_a_new_network_hears_the_order_of_words_as_loud_as_the_words_and_a_label_has_no_place():
    """From places of 0 "left of" and "right of" take thousands of steps to tell apart."""
    net = UNet(widths=(8, 64), vocabulary=29, length=8, depth=2)
    assert 0.8 < (net.places.std() / net.tokens.weight.std()).item() < 1.25
    assert not UNet(vocabulary=11).places.any()
