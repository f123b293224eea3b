"""Compression: shapes and scales of latents, what a patch sees, and which loss moves whom."""

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import avg_pool2d, pad

from mpl_diffusion import (
    AlternatingTrainer,
    Autoencoder,
    AutoencoderLosses,
    PatchDiscriminator,
    PerceptualLoss,
    Trainer,
    adaptive_weight,
    batches,
    hinge_loss,
    kl_to_standard_normal,
    load,
    scenes,
)
from mpl_diffusion.training import losses as compress

FACTORS = 2, 4, 8, 16


def measured(autoencoder):
    """The autoencoder, with some mean and std of latents."""
    autoencoder.mean.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0])[:, None, None])
    autoencoder.std.copy_(torch.tensor([0.5, 2.0, 4.0, 8.0])[:, None, None])
    return autoencoder


@pytest.fixture(scope="module")
def perceptual():
    return PerceptualLoss(load("digit-classifier"))


@pytest.fixture(scope="module")
def pictures():
    return scenes(6, folder="offline").images


# ----------------------------------------------------------------------------------- the autoencoder


@pytest.mark.parametrize("f", FACTORS)
@pytest.mark.parametrize("size", [(64, 64), (16, 48)])
def test_latents_are_f_times_smaller_and_pictures_come_back_in_their_size(f, size):
    autoencoder, x = Autoencoder(f), torch.rand(2, 3, *size) * 2 - 1
    z = autoencoder.encode(x)
    assert z.shape == (2, 4, size[0] // f, size[1] // f) and autoencoder.decode(z).shape == x.shape
    mean, log_var = autoencoder.posterior(x)
    assert torch.equal(mean, z) and log_var.shape == z.shape and not torch.equal(mean, log_var)
    assert torch.equal(autoencoder(x), autoencoder.decode(z))


def test_at_f_8_there_are_48_times_fewer_numbers_as_from_512x512x3_to_64x64x4():
    for side in (64, 512):
        with torch.device("meta"):
            x = torch.empty(1, 3, side, side)
            z = Autoencoder().encode(x)
        assert x.numel() == 48 * z.numel() and z.shape == (1, 4, side // 8, side // 8)


def test_channels_and_latents_are_as_many_as_asked_for():
    autoencoder = Autoencoder(f=4, channels=1, latents=7)
    assert autoencoder.encode(torch.zeros(2, 1, 28, 28)).shape == (2, 7, 7, 7)
    assert autoencoder(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 28, 28) and autoencoder.mean.shape == (7, 1, 1)


@pytest.mark.parametrize("f", FACTORS)
def test_every_parameter_takes_part_and_every_row_is_treated_by_itself(f):
    autoencoder, x = Autoencoder(f), torch.rand(3, 3, 32, 32) * 2 - 1
    mean, log_var = autoencoder.posterior(x)
    (autoencoder.decode(mean).square().sum() + log_var.square().sum()).backward()
    assert [name for name, p in autoencoder.named_parameters() if p.grad is None or not p.grad.any()] == []
    alone = torch.cat([autoencoder(x[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(autoencoder(x), alone, rtol=1e-4, atol=1e-5)


def test_scale_and_unscale_are_inverses_and_scaled_latents_have_each_channel_at_mean_0_and_std_1():
    autoencoder = measured(Autoencoder(f=16))  # 4x4 latents: a mean along the wrong axis would show below
    z = autoencoder.std * torch.randn(500, 4, 4, 4) + autoencoder.mean
    scaled = autoencoder.scale(z)
    torch.testing.assert_close(autoencoder.unscale(scaled), z)
    torch.testing.assert_close(autoencoder.scale(autoencoder.unscale(z)), z, rtol=1e-4, atol=1e-5)
    for c, (mean, std) in enumerate([(1.0, 0.5), (-2.0, 2.0), (0.5, 4.0), (3.0, 8.0)]):
        torch.testing.assert_close(scaled[:, c], (z[:, c] - mean) / std)
        assert abs(float(scaled[:, c].mean())) < 0.05 and abs(float(scaled[:, c].std()) - 1) < 0.05


def test_a_new_scale_changes_nothing_and_the_scale_is_kept_with_the_weights():
    z = torch.randn(2, 4, 8, 8)
    assert torch.equal(Autoencoder().scale(z), z) and torch.equal(Autoencoder().unscale(z), z)
    known, again = measured(Autoencoder()), Autoencoder()
    again.load_state_dict(known.state_dict())
    assert torch.equal(again.scale(z), known.scale(z)) and not torch.equal(again.scale(z), z)
    assert not {"mean", "std"} & dict(again.named_parameters()).keys()  # measured, never learned


def test_the_encoder_s_first_channels_are_the_mean_and_the_others_the_log_variance():
    """Shipped weights rely on this order. Only the last convolution's bias is left to answer here."""
    autoencoder = Autoencoder()
    nn.init.zeros_(autoencoder.encoder[-1].weight)
    with torch.no_grad():
        autoencoder.encoder[-1].bias.copy_(torch.tensor([1.0, 2, 3, 4, -1, -2, -3, -4]))
    mean, log_var = autoencoder.posterior(torch.rand(1, 3, 16, 16))
    assert mean[0, :, 0, 0].tolist() == [1, 2, 3, 4] and log_var[0, :, 0, 0].tolist() == [-1, -2, -3, -4]
    assert torch.equal(autoencoder.encode(torch.rand(1, 3, 16, 16)), mean)


def test_no_log_variance_is_so_large_that_its_exponential_is_not_a_number():
    autoencoder = Autoencoder()
    for bias, expected in ((1e6, 10), (-1e6, -20)):
        nn.init.constant_(autoencoder.encoder[-1].bias, bias)
        mean, log_var = autoencoder.posterior(torch.zeros(1, 3, 16, 16))
        assert (log_var == expected).all() and (mean.sign() == (1 if bias > 0 else -1)).all()


def test_last_are_the_weights_that_the_picture_is_linear_in():
    autoencoder, z = Autoencoder(f=4), torch.randn(2, 4, 4, 4)
    bias = autoencoder.decoder[-2].bias
    nn.init.zeros_(bias)
    once = autoencoder.decode(z)
    with torch.no_grad():
        autoencoder.last.mul_(3)
    torch.testing.assert_close(autoencoder.decode(z), 3 * once)
    assert any(autoencoder.last is p for p in autoencoder.decoder.parameters())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Autoencoder(f=3), r"f = 3; expected one of 2, 4, 8, 16"),
        (
            lambda: Autoencoder().encode(torch.zeros(2, 3, 60, 64)),
            r"x has shape \(2, 3, 60, 64\); expected images \(B, 3, H, W\) in \[-1, 1\], H and W multiples of f = 8",
        ),
        (lambda: Autoencoder(16)(torch.zeros(2, 3, 64, 72)), r"\(2, 3, 64, 72\); .* multiples of f = 16"),
        (lambda: Autoencoder().encode(torch.zeros(2, 1, 64, 64)), r"x has shape \(2, 1, 64, 64\)"),
        (lambda: Autoencoder().posterior(torch.zeros(3, 64, 64)), r"x has shape \(3, 64, 64\)"),
        *(
            (
                lambda name=name: getattr(Autoencoder(), name)(torch.zeros(2, 3, 64, 64)),
                r"z has shape \(2, 3, 64, 64\); expected latents \(B, 4, H/8, W/8\)",
            )
            for name in ("decode", "scale", "unscale")
        ),
        (lambda: Autoencoder().decode(torch.zeros(8, 4, 8)), r"z has shape \(8, 4, 8\); expected latents"),
    ],
)
def test_wrong_sizes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ----------------------------------------------------------------------------------- the discriminator


@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
def test_there_is_one_logit_for_each_patch(size):
    logits = PatchDiscriminator()(torch.randn(2, 3, *size))
    assert logits.shape == (2, 1, size[0] // 4 - 1, size[1] // 4 - 1)
    assert PatchDiscriminator(channels=1, width=8)(torch.randn(2, 1, 64, 64)).shape == (2, 1, 15, 15)


def heard_by(critic, row, column):
    """The pixels of a picture 64 wide that move this logit."""
    x = torch.randn(1, 3, 64, 64, requires_grad=True)
    return torch.autograd.grad(critic(x)[0, 0, row, column], x)[0].abs().amax((0, 1)) > 0


@pytest.mark.parametrize("row, column", [(7, 7), (7, 8), (5, 9)])
def test_each_logit_sees_22_by_22_pixels_and_its_neighbours_patch_is_4_pixels_on(row, column):
    patch = torch.zeros(64, 64, dtype=torch.bool)
    patch[4 * row - 7 : 4 * row + 15, 4 * column - 7 : 4 * column + 15] = True
    assert patch.sum() == 22**2 and torch.equal(heard_by(PatchDiscriminator(), row, column), patch)


def test_at_the_edge_a_patch_is_cut_off():
    heard = heard_by(PatchDiscriminator(), 0, 14)
    assert heard[:15, 49:].all() and heard.sum() == 15 * 15


def test_every_parameter_of_the_critic_takes_part():
    critic = PatchDiscriminator()
    critic(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert [name for name, p in critic.named_parameters() if p.grad is None or not p.grad.any()] == []


# ----------------------------------------------------------------------------------- the losses


def blur(x):
    return avg_pool2d(pad(x, (2, 2, 2, 2), mode="replicate"), 5, stride=1)


def test_pictures_that_are_equal_are_at_perceptual_distance_0_and_the_distance_is_symmetric(perceptual, pictures):
    assert perceptual(pictures, pictures) == 0
    other = blur(pictures)
    torch.testing.assert_close(perceptual(pictures, other), perceptual(other, pictures))
    assert perceptual(pictures, other) > 0.01


def test_a_blur_looks_farther_off_than_a_change_of_brightness_that_is_as_large_in_pixels(perceptual, pictures):
    blurred = blur(pictures)
    lighter = pictures + (blurred - pictures).square().mean().sqrt()
    torch.testing.assert_close((lighter - pictures).square().mean(), (blurred - pictures).square().mean())
    assert perceptual(pictures, blurred) > 3 * perceptual(pictures, lighter)


def test_perceptual_distance_is_the_sum_over_depth_of_mean_squared_distances_of_unit_vectors_colour_by_colour():
    torch.manual_seed(3)
    classifier, expected = load("digit-classifier"), []
    x, y = torch.rand(2, 2, 3, 20, 24).mul(2).sub(1).unbind(0)
    for depth in (1, 2, 3):
        for colour in range(3):
            u, v = (classifier.body[: 3 * depth](w[:, colour : colour + 1]) for w in (x, y))
            u, v = (w / w.square().sum(1, keepdim=True).sqrt() for w in (u, v))
            expected.append((u - v).square().sum(1).mean() / 3)
        torch.testing.assert_close(PerceptualLoss(classifier, depth)(x, y), sum(expected))
    torch.testing.assert_close(PerceptualLoss(classifier)(x, y), sum(expected[:6]))


def test_the_same_strokes_in_another_colour_are_at_a_distance(perceptual, pictures):
    assert perceptual(pictures, pictures.roll(1, dims=1)) > 0.01


def test_the_perceptual_network_learns_nothing_and_lets_the_gradient_through_to_the_picture(pictures):
    perceptual = PerceptualLoss(load("digit-classifier").requires_grad_(True))
    x_hat = blur(pictures).requires_grad_()
    perceptual(pictures, x_hat).backward()
    assert x_hat.grad.abs().amax((1, 2, 3)).gt(0).all()
    assert len(list(perceptual.parameters())) == 8
    assert all(p.grad is None and not p.requires_grad for p in perceptual.parameters())


def test_kl_is_that_of_torch_per_latent_number():
    mean, log_var = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64).unbind(0)
    exact = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_to_standard_normal(mean, log_var), exact)
    assert kl_to_standard_normal(torch.zeros(3), torch.zeros(3)) == 0


def test_hinge_is_0_beyond_the_margin_1_for_a_critic_that_says_nothing_and_falls_in_between():
    assert hinge_loss(torch.tensor([1.0, 5.0]), torch.tensor([-1.0, -3.0])) == 0
    assert hinge_loss(torch.zeros(4, 1, 3, 3), torch.zeros(2)) == 1
    assert (
        hinge_loss(torch.tensor([0.5]), torch.tensor([-1.0]))
        == 0.25
        == hinge_loss(torch.tensor([2.0]), torch.tensor([-0.5]))
    )
    assert hinge_loss(torch.tensor([-1.0]), torch.tensor([1.0])) == 2
    real, fake = torch.tensor([0.0, 2.0], requires_grad=True), torch.tensor([0.0, -2.0], requires_grad=True)
    hinge_loss(real, fake).backward()
    assert real.grad.tolist() == [-0.25, 0] and fake.grad.tolist() == [0.25, 0]  # what is clear teaches no more


def test_the_adaptive_weight_makes_both_gradients_equally_long_at_the_last_layer():
    last = torch.randn(4, 3, requires_grad=True)
    likeness, adversarial = (last @ torch.randn(3)).square().sum(), (last * torch.randn(4, 3)).sum()
    weight = adaptive_weight(likeness, adversarial, last)
    assert not weight.requires_grad and last.grad is None
    one, other = (torch.autograd.grad(v, last, retain_graph=True)[0].norm() for v in (likeness, weight * adversarial))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(adaptive_weight(likeness, 7 * adversarial, last), weight / 7)
    torch.testing.assert_close(adaptive_weight(3 * likeness, adversarial, last), 3 * weight)
    assert adaptive_weight(likeness, 0 * adversarial, last) == 1e3  # a critic that says nothing: large, but a number


# ----------------------------------------------------------------------------------- who learns from what


def parts(critic=True, seed=0):
    torch.manual_seed(seed)
    autoencoder, judge = Autoencoder(f=2), PatchDiscriminator(width=8)
    return AutoencoderLosses(autoencoder, PerceptualLoss(load("digit-classifier")), judge if critic else None)


def graded(losses, x, seed=1):
    """The loss on x, with chance from this seed, and the gradient that it gives each of the autoencoder's weights."""
    losses.zero_grad()
    torch.manual_seed(seed)
    loss = losses.autoencoder_loss(x)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in losses.autoencoder.named_parameters()}


def test_the_loss_is_the_difference_in_pixels_and_to_a_network_and_a_little_kl(pictures, monkeypatch):
    monkeypatch.setattr(compress, "PERCEPTUAL", 0.7)
    monkeypatch.setattr(compress, "KL", 0.3)
    losses, x = parts(critic=False), pictures[:2]
    loss, _ = graded(losses, x)
    torch.manual_seed(1)
    mean, log_var = losses.autoencoder.posterior(x)
    x_hat = losses.autoencoder.decode(mean + (log_var / 2).exp() * torch.randn_like(mean))
    kl = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(loss, (x - x_hat).abs().mean() + 0.7 * losses.perceptual(x, x_hat) + 0.3 * kl)


def test_latents_are_drawn_from_the_posterior(pictures, monkeypatch):
    losses, drawn = parts(critic=False), []
    mean, log_var = torch.full((400, 4, 8, 8), 3.0), torch.full((400, 4, 8, 8), 1.3862944)
    monkeypatch.setattr(losses.autoencoder, "posterior", lambda x: (mean, log_var))
    monkeypatch.setattr(losses.autoencoder, "decode", lambda z: drawn.append(z) or torch.zeros(2, 3, 16, 16))
    losses.autoencoder_loss(torch.zeros(2, 3, 16, 16))
    assert abs(float(drawn[0].mean()) - 3) < 0.03 and abs(float(drawn[0].std()) - 2) < 0.03


def test_the_adversarial_term_leaves_the_loss_as_it_is_and_turns_its_gradient(pictures):
    x = pictures[:2]
    plain, without = graded(parts(critic=False), x)
    shown, gradient = graded(parts(), x)
    torch.testing.assert_close(shown, plain, rtol=1e-6, atol=0)
    changed = [name for name in without if not torch.allclose(gradient[name], without[name], rtol=1e-3, atol=0)]
    assert any(name.startswith("encoder") for name in changed) and any(name.startswith("decoder") for name in changed)


@pytest.mark.parametrize("share", [0.5, 2.0])
@pytest.mark.parametrize("factor", [1, 7])
def test_at_the_last_layer_the_critic_pulls_its_share_of_likeness_however_loud_it_is(
    pictures, monkeypatch, share, factor
):
    monkeypatch.setattr(compress, "ADVERSARIAL", share)
    x, losses = pictures[:2], parts()
    with torch.no_grad():
        for p in losses.critic.layers[-1].parameters():
            p.mul_(factor)
    name = next(name for name, p in losses.autoencoder.named_parameters() if p is losses.autoencoder.last)
    likeness = graded(parts(critic=False), x)[1][name]  # KL has no gradient there
    pull = graded(losses, x)[1][name] - likeness
    torch.testing.assert_close(pull.norm(), share * likeness.norm(), rtol=1e-3, atol=0)


def test_the_autoencoder_is_pulled_to_where_the_critic_believes_it(pictures, monkeypatch):
    monkeypatch.setattr(compress, "ADVERSARIAL", 100.0)  # the critic's wish outweighs the rest
    x, losses = pictures[:2], parts()
    _, gradient = graded(losses, x)
    before = losses.critic(losses.autoencoder(x)).mean()
    with torch.no_grad():
        for name, p in losses.autoencoder.named_parameters():
            p.sub_(1e-4 * gradient[name] / gradient[name].norm())
    assert losses.critic(losses.autoencoder(x)).mean() > before


def test_the_critics_loss_judges_the_reconstruction_of_before_and_does_not_reach_the_autoencoder(pictures):
    x, losses = pictures[:2], parts()
    graded(losses, x)
    seen = []
    losses.critic.register_forward_pre_hook(lambda critic, args: seen.append(args[0]))
    torch.manual_seed(1)
    mean, log_var = losses.autoencoder.posterior(x)
    x_hat = losses.autoencoder.decode(mean + (log_var / 2).exp() * torch.randn_like(mean))
    losses.zero_grad()
    loss = losses.critic_loss(x)
    loss.backward()
    assert len(seen) == 2 and torch.equal(seen[0], x) and torch.equal(seen[1], x_hat.detach())
    assert all(p.grad is None or not p.grad.any() for p in losses.autoencoder.parameters())
    assert all(p.grad.any() for p in losses.critic.layers[0].parameters())
    torch.testing.assert_close(loss, hinge_loss(losses.critic(x), losses.critic(x_hat)))


def test_autoencoder_and_critic_take_turns_and_the_perceptual_network_stays(pictures):
    losses = parts()
    before = {name: p.detach().clone() for name, p in losses.named_parameters() if name.endswith("weight")}
    turns = AlternatingTrainer(
        Trainer(losses.autoencoder, losses.autoencoder_loss, warmup=1),
        Trainer(losses.critic, losses.critic_loss, warmup=1),
    )
    list(turns.run(batches(pictures, size=2), 3))
    moved = {
        name.partition(".")[0]
        for name, p in losses.named_parameters()
        if name in before and not torch.equal(p, before[name])
    }
    still = {
        name.partition(".")[0]
        for name, p in losses.named_parameters()
        if name in before and torch.equal(p, before[name])
    }
    assert moved == {"autoencoder", "critic"} and still == {"perceptual"}


def test_an_autoencoder_learns_to_reproduce(pictures):
    losses = parts(critic=False)
    trainer = Trainer(losses.autoencoder, losses.autoencoder_loss, lr=5e-3, warmup=5)
    list(trainer.run(batches(pictures[:, :, 16:48, 16:48], size=3), 40))
    assert sum(trainer.losses[-5:]) < 0.6 * sum(trainer.losses[:5])
