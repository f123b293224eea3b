"""How each shipped model was trained: data, loss and numbers, one short function per model.

`python -m mpl_diffusion train NAME` follows a recipe to its end and writes the weights. The random numbers of a run
begin with its seed, before the network is built: the same seed, data and machine give the same weights. Each recipe
has its own numbers of `steps` and rows per `batch`; all take `seed`, `device`, and what `computing` takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from . import models
from .data.mnist import mnist as real_digits
from .denoiser import Denoiser
from .digits import quality, write_reference
from .guidance import clamp
from .nets.classifier import Classifier
from .samplers import ddim, final
from .train import Trainer, batches, fast_precision

Device = str | torch.device


class Recipe(NamedTuple):
    """All that a training needs, and how its outcome is measured."""

    trainer: Trainer
    data: batches
    steps: int
    source: str  # where the data come from
    measure: Callable[[nn.Module], dict[str, float]]  # the quality that the weights' header tells
    also: Callable[[nn.Module, Path], object] | None = None  # writes what else comes of the weights, into their folder


def mnist(steps: int = 12_000, batch: int = 128, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """Digits by label: L_simple for v on a cosine schedule, 15 % of the labels dropped (Ho & Salimans 2022)."""
    images, labels, source = real_digits()
    torch.manual_seed(seed)
    denoiser = models.mnist().to(device)
    loss = partial(denoiser.loss, p_uncond=0.15)
    trainer = Trainer(denoiser, loss, lr=2e-3, ema=0.03, warmup=200, **computing(device, **how))
    return Recipe(trainer, batches(images, labels[:, None] + 1, size=batch, seed=seed), steps, source, drawn)


def digit_classifier(steps: int = 2_000, batch: int = 128, *, seed: int = 0, device: Device = "cpu", **how) -> Recipe:
    """Which digit is it? Cross-entropy with smoothed labels, on digits that are turned, scaled and moved a little."""
    images, labels, source = real_digits()
    torch.manual_seed(seed)
    classifier = Classifier().to(device)

    def loss(x: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(classifier(wiggle(x)), label, label_smoothing=0.1)

    trainer = Trainer(classifier, loss, lr=2e-3, ema=0.05, **computing(device, **how))
    return Recipe(trainer, batches(images, labels, size=batch, seed=seed), steps, source, accuracy, write_reference)


def computing(device: Device, precision: str | None = None, compile: bool = False) -> dict:
    """How the Trainers of a recipe compute: in the precision that was asked for, or the faster one on the device."""
    return {"precision": precision or fast_precision(device), "compile": compile}


RECIPES: dict[str, Callable[..., Recipe]] = {"mnist": mnist, "digit-classifier": digit_classifier}


def wiggle(x: Tensor, degrees: float = 10, scale: float = 0.1, pixels: float = 2) -> Tensor:
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
def accuracy(classifier: nn.Module) -> dict[str, float]:
    """The share of the test digits that a classifier reads right."""
    images, labels, _ = real_digits(train=False)
    device = next(classifier.parameters()).device
    right = sum(
        int((classifier(x.to(device)).argmax(1).cpu() == y).sum()) for x, y in zip(images.split(500), labels.split(500))
    )
    return {"accuracy": right / len(labels)}


@torch.no_grad()
def drawn(denoiser: Denoiser, n: int = 5000) -> dict[str, float]:
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
