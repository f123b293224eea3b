"""How each shipped model was trained: data, loss and numbers, one short function per model.

`python -m mpl_diffusion train NAME` follows a recipe to its end and writes the weights. The random numbers of a run
begin with its seed, before the network is built: the same seed, data and machine give the same weights. Each recipe
has its own numbers of `steps` and rows per `batch`; all take `seed`, `device`, and what `compute_options` takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from .. import models
from ..data.mnist import mnist as real_digits
from ..data.scenes import ANY, scene_batches, scenes
from ..evaluation.digits import quality, write_reference
from ..evaluation.metrics import frechet, psnr, sharpness
from ..evaluation.scenes import adherence, read_scenes, scene_features
from ..files import digest
from ..nets.autoencoder import Autoencoder, PatchDiscriminator
from ..nets.classifier import Classifier
from ..nets.reader import SceneReader
from ..reverse.ancestral import ddim
from ..reverse.denoiser import Denoiser
from ..reverse.guidance import clamp
from ..reverse.walk import final
from .losses import AutoencoderLosses, PerceptualLoss
from .trainer import AlternatingTrainer, Trainer, batches, fast_precision

Device = str | torch.device


class Recipe(NamedTuple):
    """All that a training needs, and how its outcome is measured."""

    trainer: Trainer | AlternatingTrainer
    data: Any  # data[k] is the batch of step k; data.arrays is what it is made of
    steps: int
    source: str  # where the data come from
    measure: Callable[[nn.Module], dict[str, float]]  # the quality that the weights' header tells
    also: Callable[[nn.Module, Path], object] | None = None  # writes what else comes of the weights, into their folder
    finish: Callable[[nn.Module], object] | None = None  # what is done to the weights before they are measured
    facts: Mapping[str, str] = MappingProxyType({})  # what else the weights' header tells


def mnist(steps: int = 12_000, batch: int = 128, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """Digits by label: L_simple for v on a cosine schedule, 15 % of the labels dropped (Ho & Salimans 2022)."""
    images, labels, source = real_digits()
    torch.manual_seed(seed)
    denoiser = models.mnist().to(device)
    trainer = Trainer(denoiser, denoiser.loss, lr=2e-3, ema=0.03, warmup=200, **compute_options(device, **how))
    return Recipe(trainer, batches(images, labels[:, None] + 1, size=batch, seed=seed), steps, source, sample_quality)


def digit_classifier(steps: int = 2_000, batch: int = 128, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """Which digit is it? Cross-entropy with smoothed labels, on digits that are turned, scaled and moved a little."""
    images, labels, source = real_digits()
    torch.manual_seed(seed)
    classifier = Classifier().to(device)

    def loss(x: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(classifier(augment(x)), label, label_smoothing=0.1)

    trainer = Trainer(classifier, loss, lr=2e-3, ema=0.05, **compute_options(device, **how))
    return Recipe(
        trainer, batches(images, labels, size=batch, seed=seed), steps, source, classifier_accuracy, write_reference
    )


def scene_reader(steps: int = 5_000, batch: int = 128, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """Place, digits and colours of scenes: cross-entropies with smoothed labels, on turned, slightly noisy ones."""
    torch.manual_seed(seed)
    reader = SceneReader().to(device)

    def loss(x: Tensor, arrangement: Tensor) -> Tensor:
        x = augment(x, scale=0.05)
        x = x + 0.1 * torch.rand(len(x), 1, 1, 1, device=x.device) * torch.randn_like(x)
        place, digits, colours = reader(x)
        loss = cross_entropy(place, arrangement[:, 0], label_smoothing=0.05)
        for seen, truth in ((digits, arrangement[:, 1::2]), (colours, arrangement[:, 2::2])):
            loss = loss + cross_entropy(seen.flatten(0, 1), truth.flatten(), ignore_index=ANY, label_smoothing=0.05)
        return loss

    trainer = Trainer(reader, loss, lr=2e-3, ema=0.05, **compute_options(device, **how))
    data = scene_batches("images", "arrangement", size=batch, seed=seed, captions="all")
    return Recipe(trainer, data, steps, real_digits().name, reader_accuracy, finish=round_to_half)


def scenes_autoencoder_no_gan(
    steps: int = 2_000, batch: int = 64, *, f: int = 8, seed: int = 0, device: Device = "cpu", **how
) -> Recipe:
    """Scenes to latents f times less wide, and back: likeness and a little KL (see `losses`)."""
    models.load("scene-reader")  # it measures in the end: better to miss it now
    torch.manual_seed(seed)
    autoencoder, perceptual = Autoencoder(f).to(device), PerceptualLoss(models.load("digit-classifier")).to(device)
    losses = AutoencoderLosses(autoencoder, perceptual)
    trainer = Trainer(
        autoencoder, losses.autoencoder_loss, lr=2e-3, ema=0.05, warmup=200, **compute_options(device, **how)
    )
    data = scene_batches("images", size=batch, seed=seed)
    return Recipe(trainer, data, steps, real_digits().name, reconstruction_quality, finish=standardise_latents)


def scenes_autoencoder(steps: int = 400, batch: int = 64, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """The same autoencoder, its decoder taken further against a patch discriminator.

    The encoder stays as it is, so both decoders read the same latents (as those of Stable Diffusion's finer VAEs do).
    """
    models.load("scene-reader")  # it measures in the end: better to miss it now
    torch.manual_seed(seed)
    autoencoder = models.load("scenes-autoencoder-no-gan").to(device)
    autoencoder.decoder.requires_grad_(True)
    critic, perceptual = PatchDiscriminator().to(device), PerceptualLoss(models.load("digit-classifier")).to(device)
    losses, how = AutoencoderLosses(autoencoder, perceptual, critic), compute_options(device, **how)
    trainer = AlternatingTrainer(
        Trainer(autoencoder, losses.autoencoder_loss, lr=5e-4, ema=0.05, **how),
        Trainer(critic, losses.critic_loss, lr=5e-4, betas=(0.5, 0.99), **how),
    )
    facts = {"latents": models.latents_of(autoencoder)}
    data = scene_batches("images", size=batch, seed=seed)
    return Recipe(trainer, data, steps, real_digits().name, reconstruction_quality, finish=round_to_half, facts=facts)


def scenes_latent(steps: int = 8_000, batch: int = 128, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """Captions to latents: L_simple for v, 15 % of the captions dropped, on scaled latents of 60,000 scenes.

    The shipped weights started from those of such a run, with 12,000 more steps on other scenes (seed 1).
    """
    for name in ("scene-reader", "scenes-autoencoder"):
        models.load(name)  # they measure in the end: better to miss them now
    torch.manual_seed(seed)
    denoiser, autoencoder = models.scenes_latent().to(device), models.load("scenes-autoencoder-no-gan").to(device)
    latents, cond = encode_scenes(autoencoder, 60_000, seed)
    trainer = Trainer(denoiser, denoiser.loss, lr=1.5e-3, ema=0.03, warmup=300, **compute_options(device, **how))
    facts = {
        "latents": models.latents_of(autoencoder),
        "data_sha256": digest(dict(zip("xy", real_digits()[:2])), {}),
    }
    data = batches(latents, cond, size=batch, seed=seed)
    return Recipe(
        trainer, data, steps, f"scenes of {real_digits().name}", caption_adherence, finish=round_to_half, facts=facts
    )


def scenes_pixel(steps: int = 300, batch: int = 64, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """The same on the scenes themselves: what latents save is measured against this."""
    models.load("scene-reader")  # it measures in the end: better to miss it now
    torch.manual_seed(seed)
    denoiser = models.scenes_pixel().to(device)
    trainer = Trainer(denoiser, denoiser.loss, lr=2e-3, ema=0.03, warmup=100, **compute_options(device, **how))
    data = scene_batches("images", "cond", size=batch, seed=seed)
    return Recipe(trainer, data, steps, real_digits().name, partial(caption_adherence, n=150), finish=round_to_half)


def compute_options(device: Device, precision: str | None = None, compile: bool = False) -> dict:
    """How the Trainers of a recipe compute: in the precision that was asked for, or the faster one on the device."""
    return {"precision": precision or fast_precision(device), "compile": compile}


RECIPES: dict[str, Callable[..., Recipe]] = {
    "mnist": mnist,
    "digit-classifier": digit_classifier,
    "scene-reader": scene_reader,
    "scenes-autoencoder": scenes_autoencoder,
    "scenes-autoencoder-no-gan": scenes_autoencoder_no_gan,
    "scenes-autoencoder-f2": partial(scenes_autoencoder_no_gan, f=2),
    "scenes-autoencoder-f4": partial(scenes_autoencoder_no_gan, f=4),
    "scenes-autoencoder-f16": partial(scenes_autoencoder_no_gan, f=16),
    "scenes-latent": scenes_latent,
    "scenes-pixel": scenes_pixel,
}


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round what a model has learned to half precision: its file is half as large."""
    for tensor in model.state_dict().values():
        tensor.copy_(tensor.half())


@torch.no_grad()
def standardise_latents(autoencoder: Autoencoder) -> None:
    """Measure mean and std of each channel of the latents, on 2,000 training scenes, for `scale`; round all to half."""
    device = autoencoder.mean.device
    z = torch.cat([autoencoder.encode(x.to(device)) for x in scenes(2000, seed=1).images.split(250)])
    autoencoder.mean.copy_(z.mean((0, 2, 3))[:, None, None])
    autoencoder.std.copy_(z.std((0, 2, 3))[:, None, None])
    round_to_half(autoencoder)


@torch.no_grad()
def encode_scenes(autoencoder: Autoencoder, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Scaled latents and caption ids of n training scenes, drawn in parts so that the pictures need no memory."""
    data, device = scene_batches("images", "cond", size=500, seed=seed), autoencoder.mean.device
    parts = [
        (autoencoder.scale(autoencoder.encode(x.to(device))).cpu(), cond)
        for x, cond in map(data.__getitem__, range(-(-n // 500)))
    ]
    return tuple(torch.cat(part)[:n] for part in zip(*parts))


@torch.no_grad()
def reader_accuracy(reader: SceneReader, n: int = 2000) -> dict[str, float]:
    """What a reader reads right on n scenes of test digits in all arrangements: each attribute, and the whole."""
    test = scenes(n, seed=2, captions="all", train=False)
    device = next(reader.parameters()).device
    seen = torch.cat([reader.read(x.to(device)).cpu() for x in test.images.split(250)])
    same = seen == test.arrangement
    parts = {"digit": same[:, 1::2], "colour": same[:, 2::2], "place": same[:, :1], "all": same}
    return {part: float(right.all(1).double().mean()) for part, right in parts.items()}


@torch.no_grad()
def reconstruction_quality(autoencoder: Autoencoder, n: int = 1000) -> dict[str, float]:
    """How n unseen scenes survive: PSNR in dB, sharpness (1: the originals'), digits read right before and after."""
    test, device = scenes(n, seed=3, captions="unseen", train=False), autoencoder.mean.device
    again = torch.cat([autoencoder(x.to(device)).cpu() for x in test.images.split(250)])
    before, after = ((read_scenes(x) == test.arrangement)[:, 1::2].all(1) for x in (test.images, again))
    return {
        "psnr": psnr(again, test.images),
        "sharpness": sharpness(again, test.images),
        "read_before": float(before.double().mean()),
        "read_after": float(after.double().mean()),
    }


@torch.no_grad()
def caption_adherence(denoiser: Denoiser, n: int = 1000, steps: int = 50) -> dict[str, float]:
    """What the reader finds in n scenes painted from captions, w = 1: of unseen arrangements, of held-out colours.

    And how far, in its eyes, 200 of the first are from real scenes of the same captions (a Frechet distance).
    """
    device, process = next(denoiser.parameters()).device, denoiser.process
    latent = denoiser.net.channels == 4
    autoencoder = models.load("scenes-autoencoder").to(device) if latent else None
    found = {}
    for kind, name in (("unseen", ""), ("held out", "held_out_")):
        asked = scenes(n, seed=4, captions=kind)
        rng, images = torch.Generator().manual_seed(0), []
        for cond in asked.cond.split(250):
            shape = (4, 8, 8) if latent else (3, 64, 64)
            x_T = process.prior(len(cond), *shape, generator=rng).to(device)
            x = final(ddim(denoiser, process, x_T, steps=steps, cond=cond.to(device)))
            images.append((autoencoder.decode(autoencoder.unscale(x)) if latent else x).cpu())
        images = torch.cat(images)
        score = adherence(images, asked.captions)
        found |= {f"{name}{part}": getattr(score, part) for part in ("digit", "colour", "place", "all")}
        if kind == "unseen":
            found["frechet"] = frechet(scene_features(images[:200]), scene_features(asked.images[:200]))
    return found


def augment(x: Tensor, degrees: float = 10, scale: float = 0.1, pixels: float = 2) -> Tensor:
    """Images (B, C, H, W) in [-1, 1], each turned, scaled and moved at random, by at most so much; black outside."""
    turn, stretch, *move = (2 * torch.rand(4, len(x), device=x.device) - 1).unbind()
    angle, size = turn * math.radians(degrees), 1 + scale * stretch
    cos, sin = size * angle.cos(), size * angle.sin()
    right, down = (2 * pixels / n * part for n, part in zip((x.shape[3], x.shape[2]), move))  # an image is 2 wide
    theta = torch.stack([cos, -sin, right, sin, cos, down], dim=1).unflatten(1, (2, 3))
    with torch.autocast(x.device.type, enabled=False):  # half precision would move the pixels
        grid = affine_grid(theta, x.shape, align_corners=False)
        return grid_sample(x + 1, grid, align_corners=False) - 1


@torch.no_grad()
def classifier_accuracy(classifier: nn.Module) -> dict[str, float]:
    """The share of the test digits that a classifier reads right."""
    images, labels, _ = real_digits(train=False)
    device = next(classifier.parameters()).device
    right = sum(
        int((classifier(x.to(device)).argmax(1).cpu() == y).sum()) for x, y in zip(images.split(500), labels.split(500))
    )
    return {"accuracy": right / len(labels)}


@torch.no_grad()
def sample_quality(denoiser: Denoiser, n: int = 5000) -> dict[str, float]:
    """The quality of n digits, labels drawn evenly, 20 steps of DDIM, eta = 1, w = 1: `digits.quality` of them."""
    device, process = next(denoiser.parameters()).device, denoiser.process
    labels, rng = torch.arange(n) % 10, torch.Generator().manual_seed(0)
    images = [
        final(
            ddim(
                clamp(denoiser, process),
                process,
                process.prior(len(some), 1, 28, 28, generator=rng).to(device),
                steps=20,
                eta=1.0,
                noise=rng,
                cond=(some[:, None] + 1).to(device),
            )
        )
        for some in labels.split(500)
    ]
    found = quality(torch.cat(images), labels)
    return {
        "frechet": found.frechet,
        "floor": found.floor.frechet,
        "precision": found.precision,
        "recall": found.recall,
        "accuracy": found.accuracy,
    }
