"""Does a picture show what its caption says? A reader, a classifier trained on clean scenes alone, judges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from .. import models
from ..data.scenes import ANY, BESIDE, parse_captions


class Adherence(NamedTuple):
    """Shares of the captions: every digit right, every colour, the place, and all of it; `right` (n,), one by one."""

    digit: float
    colour: float
    place: float
    all: float
    right: Tensor

    def __str__(self) -> str:
        return (
            f"{len(self.right):,} captions: digits right in {self.digit:.1%}, colours {self.colour:.1%}, "
            f"places {self.place:.1%}, all of it {self.all:.1%}"
        )


def adherence(images: Tensor, captions: Sequence[str] | Tensor) -> Adherence:
    """Compare what the reader sees in scenes (n, 3, 64, 64) in [-1, 1] with n captions, or arrangements (n, 5).

    What a caption leaves open, the place of "a green five", may be anything that is not two things. The reader has
    no word for a drawing that is no digit and names the nearest one: a share of digits is an upper bound (see
    `reader_certainty`).
    """
    asked = captions if isinstance(captions, Tensor) else parse_captions(captions)
    if len(asked) != len(images):
        raise ValueError(f"{len(images)} images and {len(asked)} captions; expected one caption each")
    seen = read_scenes(images)
    same = seen == asked
    same[:, 0] |= (asked[:, 0] == ANY) & (seen[:, 3] == ANY)
    digit, colour, place = same[:, 1::2].all(1), same[:, 2::2].all(1), same[:, 0]
    right = digit & colour & place
    return Adherence(*(float(share.double().mean()) for share in (digit, colour, place, right)), right)


def diversity(images: Tensor, captions: Sequence[str]) -> float:
    """How different pictures (n, 3, 64, 64) of the same caption are: the mean distance of any two, in features.

    Features are the reader's (see `scene_features`); the mean is over captions, each with at least two pictures.
    """
    if len(captions) != len(images):
        raise ValueError(f"{len(images)} images and {len(captions)} captions; expected one caption each")
    features, rows = scene_features(images), {}
    for k, caption in enumerate(captions):
        rows.setdefault(caption, []).append(k)
    if lonely := [caption for caption, some in rows.items() if len(some) < 2]:
        raise ValueError(f"{lonely[0]!r} has one picture; expected at least two of each caption")
    return float(torch.stack([torch.pdist(features[some]).mean() for some in rows.values()]).mean())


@torch.no_grad()
def read_scenes(images: Tensor) -> Tensor:
    """What the reader sees in scenes (n, 3, 64, 64): (n, 5) place, digit, colour, digit, colour; ANY for no second."""
    return torch.cat([_reader().read(part) for part in _checked(images).split(250)])


@torch.no_grad()
def reader_certainty(images: Tensor) -> Tensor:
    """How sure the reader is of the digits that it names in scenes (n, 3, 64, 64): (n,), in [0.1, 1].

    Its largest probability of a digit, and of two things the smaller one. It was trained with smoothed labels, so 0.96
    is the most it says. Nine in ten clean scenes get more than 0.9; so does a third of `chimera_scenes`, in which
    there is no digit at all: it knows doubt, but not enough of it.
    """
    return torch.cat([_certainty(*_reader()(part)) for part in _checked(images).split(250)])


def _certainty(place: Tensor, digit: Tensor, colour: Tensor) -> Tensor:
    """Logits (n, places), (n, 2, 10), (n, 2, colours) -> (n,)."""
    first, second = digit.softmax(-1).amax(-1).T
    return torch.where(place.argmax(-1) < BESIDE, first, torch.minimum(first, second))


@torch.no_grad()
def scene_features(images: Tensor) -> Tensor:
    """The reader's 128 features of scenes (n, 3, 64, 64), 64 for each thing, on the CPU: for a Frechet distance."""
    return torch.cat([_reader().features(part) for part in _checked(images).split(250)])


def _checked(images: Tensor) -> Tensor:
    if images.ndim != 4 or images.shape[1:] != (3, 64, 64) or not len(images):
        raise ValueError(f"images have shape {tuple(images.shape)}; expected scenes, (n, 3, 64, 64)")
    images = images.detach().cpu().float()
    if not torch.isfinite(images).all():
        raise ValueError("the images hold NaN or infinity")
    low, high = images.aminmax()
    if low >= 0:  # in [-1, 1] the dark ground of every scene is negative
        raise ValueError(
            f"the images run from {low:.2f} to {high:.2f}; expected [-1, 1]: from [0, 1], `2 * images - 1`"
        )
    return images.clamp(-1, 1)


@cache
def _reader():
    return models.load("scene-reader")
