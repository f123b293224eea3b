"""How good are drawn digits? Distances between a digit classifier's features of them and of MNIST's test set.

The classifier's 64 features of the 10,000 test digits ship with the package, and so does every measure's *floor*: what
real training digits get. Nothing is downloaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .. import models
from ..checks import check_whole
from ..data.mnist import mnist
from ..files import digest, load_tensors, save_tensors
from ..nets.classifier import Classifier
from .metrics import frechet, jackknife, precision_recall

REFERENCE = "mnist-test-features.safetensors"
SIZES = (100, 200, 500, 1000, 2000, 5000, 10_000)  # so many training digits, for the floors


class Floor(NamedTuple):
    """What n real training digits get against the test set: means over draws, and the distance's std over them.

    MNIST's classes are not quite even (892 to 1,135 test digits each), and from some 5,000 images on the distance
    mostly sees that: real digits with even labels, `even`, are then *farther* from the test set than any others.
    """

    frechet: float
    frechet_std: float
    even: float
    precision: float
    recall: float


class Quality(NamedTuple):
    """What `quality` measured on n images, and what n real digits get: `floor`."""

    n: int
    frechet: float
    frechet_std: float  # by a jackknife over ten parts
    precision: float
    recall: float
    shares: list[float]  # of the images, read as 0 ... 9
    classes: float  # exp(entropy of the shares): 10 when they are even, 9 when one is missing
    accuracy: float | None  # the share read as their labels say
    floor: Floor

    @property
    def ratio(self) -> float:
        """The distance in units of its floor: 1 is as good as real."""
        return self.frechet / self.floor.frechet

    def __str__(self) -> str:
        read = "" if self.accuracy is None else f", {self.accuracy:.1%} read as labelled"
        real = self.floor
        return (
            f"{self.n:,} images: Frechet distance {self.frechet:.2f} +- {self.frechet_std:.2f} "
            f"({self.ratio:.1f} x real digits' {real.frechet:.2f}; {real.even:.2f} with even labels), "
            f"precision {self.precision:.2f} (real {real.precision:.2f}), "
            f"recall {self.recall:.2f} (real {real.recall:.2f}), {self.classes:.2f} of 10 classes{read}"
        )


def quality(images: Tensor, labels: Tensor | None = None) -> Quality:
    """Drawn digits (n, 1, 28, 28) in [-1, 1] against MNIST's 10,000 test digits; labels (n,), the digits asked for.

    Frechet distance (Heusel et al. 2017), precision and recall with k = 3 (Kynkaanniemi et al. 2019), each beside what
    n real training digits get; the distance minds uneven labels, see Floor. n >= 100. A distance between other sets:
    `frechet(digit_features(x), digit_features(y))`.
    """
    if labels is not None:
        _check_labels(labels, len(images))
    floor = floor_at(len(images))
    features, real = digit_features(images), _reference()[0]
    read = _classifier().head(features).argmax(1)
    shares = read.bincount(minlength=10).double() / len(read)
    return Quality(
        len(images),
        frechet(features, real),
        jackknife(lambda part: frechet(part, real), features),
        *precision_recall(real, features),
        shares.tolist(),
        classes=math.exp(float(torch.special.entr(shares).sum())),
        accuracy=None if labels is None else float((read == labels.cpu()).double().mean()),
        floor=floor,
    )


def digit_features(images: Tensor) -> Tensor:
    """The classifier's 64 features of digits (n, 1, 28, 28) in [-1, 1], on the CPU; what overshoots is clamped."""
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28) or not len(images):
        raise ValueError(f"images have shape {tuple(images.shape)}; expected digits, (n, 1, 28, 28)")
    images = images.detach().cpu()
    low, high = (float(v) for v in images.aminmax())
    if not math.isfinite(high - low):
        raise ValueError("the images hold NaN or infinity")
    if low > -0.5:  # every set of digits has black in it
        raise ValueError(
            f"pixels reach from {low:g} to {high:g}; expected [-1, 1], black is -1. "
            "Of [0, 1] take 2 * x - 1, of 0 ... 255 take x / 127.5 - 1"
        )
    with torch.no_grad():
        return torch.cat([_classifier().features(x.float().clamp(-1, 1)) for x in images.split(500)])


def classify_digits(images: Tensor) -> Tensor:
    """The digits 0 ... 9 (n,) that the classifier sees in images (n, 1, 28, 28) in [-1, 1]."""
    return _classifier().head(digit_features(images)).argmax(1)


def floor_at(n: int) -> Floor:
    """What n real training digits get; between the measured sizes on a line in 1/n, beyond the last what that got."""
    check_whole(low=0, n=n)
    floors = _reference()[1]
    if n < min(floors):
        raise ValueError(f"{n} images are too few to tell; expected at least {min(floors)}")
    small, large = max(size for size in floors if size <= n), min([size for size in floors if size >= n] or floors)
    if small >= large:
        return floors[small]
    w = (1 / n - 1 / small) / (1 / large - 1 / small)
    return Floor(*(a + w * (b - a) for a, b in zip(floors[small], floors[large])))


@torch.no_grad()
def write_reference(classifier: Classifier, folder: str | Path, sizes: Sequence[int] = SIZES) -> dict[int, Floor]:
    """Measure MNIST's test set and the floors with a new classifier, into FOLDER's file; returns the floors. Minutes.

    Each floor is that of n training digits, n in `sizes`: distances are drawn 20 times, precision and recall 3 times.
    A hash of the classifier ties the file to it.
    """
    train, test = mnist(), mnist(train=False)
    seen, real = (torch.cat([classifier.features(x) for x in d.images.split(500)]) for d in (train, test))
    rng = torch.Generator().manual_seed(0)
    floors = {}
    for n in (n for n in sizes if n <= len(seen)):
        orders = [torch.randperm(len(seen), generator=rng) for _ in range(20)]
        even = [torch.cat([rows[train.labels[rows] == c][: n // 10] for c in range(10)]) for rows in orders]
        distance, of_even = (
            torch.tensor([frechet(seen[rows], real) for rows in draws]) for draws in ([o[:n] for o in orders], even)
        )
        shares = torch.tensor([precision_recall(real, seen[rows[:n]]) for rows in orders[:3]]).mean(0)
        floors[n] = Floor(float(distance.mean()), float(distance.std()), float(of_even.mean()), *shares.tolist())
    header = {"data": test.name, "classifier": digest(classifier.state_dict(), {}), "floors": json.dumps(floors)}
    save_tensors(Path(folder) / REFERENCE, {"features": real.half()}, header)
    return floors


@cache
def _classifier() -> Classifier:
    return models.load("digit-classifier")


@cache
def _reference() -> tuple[Tensor, dict[int, Floor]]:
    """The test digits' features (10,000, 64) and the floors."""
    tensors, header = load_tensors(models.WEIGHTS / REFERENCE)
    if header.get("classifier") != digest(_classifier().state_dict(), {}):
        raise ValueError(
            f"{models.WEIGHTS / REFERENCE} was made with another digit classifier than the one beside it; "
            "`python -m mpl_diffusion train digit-classifier` makes both"
        )
    floors = {int(n): Floor(*floor) for n, floor in json.loads(header["floors"]).items()}
    return tensors["features"].float(), floors


def _check_labels(labels: Tensor, n: int) -> None:
    if labels.shape != (n,) or labels.is_floating_point() or not ((labels >= 0) & (labels <= 9)).all():
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, {labels.dtype}, from {labels.min()} to {labels.max()}; "
            f"expected ({n},) whole numbers, the digits 0 ... 9 themselves (an id is digit + 1)"
        )
