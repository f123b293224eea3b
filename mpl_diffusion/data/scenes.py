"""Captioned scenes: one or two coloured digits on a dark ground, and the words that say which, and where.

    scene := thing [place] | thing relation thing           "a green five at the top"
    thing := a COLOUR DIGIT                                 "a red seven left of a blue three"

A scene's *arrangement* is what its caption can tell: five numbers, (place, digit, colour, digit, colour). Of a pair the
thing at the left or at the top comes first, so that "a red seven left of a blue three" and "a blue three right of a red
seven" are one arrangement. The models that paint never see the colours of HELD_OUT on their digits, nor one arrangement
in five; the reader that judges them sees all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ..checks import check_number, check_whole
from .mnist import VARIABLE, mnist

SIZE = 64  # pixels, height and width
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {
    "red": (0.93, 0.17, 0.17),
    "yellow": (1.00, 0.88, 0.20),
    "green": (0.20, 0.75, 0.25),
    "cyan": (0.25, 0.88, 0.95),
    "blue": (0.22, 0.38, 1.00),
    "magenta": (0.95, 0.35, 0.85),
}
PLACES = ("at the left", "at the right", "at the top", "at the bottom", "in the middle")  # of one thing: places 0 ... 4
RELATIONS = {"left of": (5, False), "right of": (5, True), "above": (6, False), "below": (6, True)}  # place, swapped?
BESIDE, STACKED = 5, 6  # the places of two things
ANY = -1  # a caption need not say where a single thing is
VOCABULARY = ("", "a", *COLOURS, *DIGITS, *dict.fromkeys(" ".join([*PLACES, *RELATIONS]).split()))  # id 0: nothing
LENGTH = 8  # words at most
EXAMPLE = "a red seven left of a blue three"
PUNCTUATION = ".,;:!?\"'"  # around a word it means nothing
HELD_OUT = tuple(zip(("four", "two", "eight", "one", "six", "nine"), COLOURS))  # a red four, a yellow two, ...
CAPTIONS = ("train", "unseen", "held out", "all")
PAIRS = 0.75  # the share of scenes with two things
# Where things stand, by place: the middles (x, y) of the first and second thing, how far each may stray; pixels
CENTRES = (
    *(((x, y), (x, y)) for x, y in ((18, 32), (46, 32), (32, 18), (32, 46), (32, 32))),
    ((16, 32), (48, 32)),
    ((32, 16), (32, 48)),
)
STRAY = *[(3, 3)] * 5, (1, 5), (5, 1)
CANVAS = *[(32, 42)] * 5, (29, 35), (29, 35)  # the width of the square that a digit is drawn on, from ... to


class Scenes(NamedTuple):
    """Pictures, what is said of them, and what is in them; of a single thing the second digit and colour are ANY."""

    images: Tensor  # (N, 3, 64, 64) in [-1, 1], float32
    cond: Tensor  # ids of the captions' words (N, 8)
    captions: list[str]
    arrangement: Tensor  # (N, 5), int64: place, digit, colour, digit, colour
    boxes: Tensor  # (N, 2, 4), float32: left, top, right, bottom of each thing's ink, pixels; NaN where there is none
    name: str  # where the digits come from

    @property
    def first_boxes(self) -> Tensor:
        """(N, 4): the box of the thing that each caption names first, in shares of the picture, 0 ... 1."""
        second = torch.tensor([" right of " in caption or " below " in caption for caption in self.captions])
        return self.boxes[torch.arange(len(second)), second.long()] / self.images.shape[-1]


def scenes(
    n: int, seed: int = 0, captions: str = "train", train: bool = True, folder: str | Path | None = None
) -> Scenes:
    """n Scenes, the same for the same seed: digits of MNIST's training or test set, or of its stand-in (see `mnist`).

    `captions`: those of "train"; those that it leaves out, "unseen" (known things in new arrangements) and "held out"
    (with a colour that was never on this digit); or "all" of them.
    """
    if n < 1:
        raise ValueError(f"n = {n!r}; expected at least one scene")
    choices = _choices(captions)
    rng = torch.Generator().manual_seed(seed)
    pair = torch.rand(n, generator=rng) < PAIRS
    arrangement = torch.empty(n, 5, dtype=torch.long)
    for kind, rows in zip(choices, (~pair, pair)):
        order = torch.randperm(len(kind), generator=rng).repeat(-(-n // len(kind)))
        arrangement[rows] = kind[order[: int(rows.sum())]]
    spoken = [
        write_caption(row, style) for row, style in zip(arrangement.tolist(), torch.rand(n, generator=rng).tolist())
    ]
    if captions == "unseen":  # "a green five" is no news wherever it is
        spoken = [say if row[0] > 4 else write_caption(row, 0.0) for say, row in zip(spoken, arrangement.tolist())]
    ink, boxes, name = _ink(arrangement, rng, train, folder)
    return Scenes(_painted(ink, arrangement, rng), tokenize(spoken), spoken, arrangement, boxes, name)


def chimera_scenes(
    n: int, seed: int = 0, train: bool = True, folder: str | Path | None = None
) -> tuple[Tensor, Tensor]:
    """n scenes (n, 3, 64, 64) in which there is no digit, and the two that each is made of, (n, 2).

    In the middle stands the upper half of one digit on the lower half of another. No caption describes it; what a
    reader of scenes says to it tells how much its word is worth.
    """
    check_whole(low=1, n=n)
    rng = torch.Generator().manual_seed(seed)
    digits = torch.stack([torch.randperm(len(DIGITS), generator=rng)[:2] for _ in range(n)])
    colour = torch.randint(len(COLOURS), (n,), generator=rng)
    middle = torch.full((n,), PLACES.index("in the middle"))
    arrangement = torch.stack([middle, digits[:, 0], colour, digits[:, 1], colour], dim=1)
    ink = _ink(arrangement, rng, train, folder)[0]
    upper = torch.arange(SIZE)[:, None] < SIZE // 2
    halves = torch.where(upper, ink[:, 0], ink[:, 1])
    return _painted(torch.stack([halves, torch.zeros_like(halves)], dim=1), arrangement, rng), digits


class scene_batches:
    """Endless minibatches of new scenes: `scene_batches("images", "cond", size=64)[k]` is the batch of step k.

    A pure function of the seed and k, as `batches` is; nothing is stored.
    """

    def __init__(self, *fields: str, size: int, seed: int = 0, captions: str = "train"):
        if unknown := set(fields) - set(Scenes._fields):
            raise ValueError(f"scenes have no {', '.join(sorted(unknown))}; they have {', '.join(Scenes._fields)}")
        _choices(captions)
        self.fields, self.size, self.seed, self.captions = fields, size, seed, captions
        self.arrays = mnist()[:2]  # what the scenes are made of

    def __getitem__(self, k: int) -> tuple[Tensor, ...]:
        drawn = scenes(self.size, seed=1_000_003 * self.seed + k + 1, captions=self.captions)
        return tuple(getattr(drawn, field) for field in self.fields)


def write_caption(arrangement: Sequence[int], style: float = 0.0) -> str:
    """The words for (place, digit, colour, digit, colour). A style in [0, 1) picks one of the two ways to say it.

    A pair is told from its first thing or (style >= 0.5) from its second; a single thing with or without its place.
    """
    check_number(low=0, high=1, style=style)
    place, *things = arrangement
    first, second = (f"a {list(COLOURS)[c]} {DIGITS[d]}" if d != ANY else "" for d, c in zip(things[::2], things[1::2]))
    if not second:
        return first if place == ANY or style >= 0.5 else f"{first} {PLACES[place]}"
    relation = next(word for word, told in RELATIONS.items() if told == (place, style >= 0.5))
    return f"{second} {relation} {first}" if style >= 0.5 else f"{first} {relation} {second}"


def tokenize(captions: Sequence[str]) -> Tensor:
    """Captions -> the ids of their words (N, 8), padded with 0; large letters and punctuation do not matter.

    ValueError: an unknown word, no word, or too many; it says so in words for whoever typed the caption. Where there
    is to be no caption at all, a denoiser takes `cond=None`.
    """
    return torch.tensor([_row(text) for text in _several(captions)], dtype=torch.long)


def detokenize(cond: Tensor) -> list[str]:
    """Ids (N, L) -> captions."""
    return [" ".join(VOCABULARY[i] for i in row if i) for row in cond.tolist()]


def parse_captions(captions: Sequence[str]) -> Tensor:
    """What captions ask for: (N, 5) place, digit, colour, digit, colour; ANY where they leave it open.

    ValueError: words that the grammar does not put together so.
    """
    return torch.tensor([_parsed(text) for text in _several(captions)], dtype=torch.long)


def _several(captions: Sequence[str]) -> Sequence[str]:
    if isinstance(captions, str):
        short = _short(captions)
        raise ValueError(f"captions = {short} is one text; expected a list of them: [{short}]")
    if strangers := [text for text in captions if not isinstance(text, str)]:
        raise ValueError(f"a caption is a text, such as {EXAMPLE!r}; one of these is a {type(strangers[0]).__name__}")
    return captions


def _words(text: str) -> list[str]:
    """A caption's words in small letters, without the full stop, comma or quotation marks that somebody typed."""
    return [bare for word in text.lower().split() if (bare := word.strip(PUNCTUATION))]


def _short(text: str) -> str:
    """A text in quotation marks, cut off where it is longer than any caption."""
    return repr(text if len(text) <= 50 else f"{text[:47]}...")


def _row(text: str) -> list[int]:
    said = _words(text)
    if unknown := [word for word in said if word not in VOCABULARY]:
        raise ValueError(_unknown(unknown[0]))
    if not said:
        raise ValueError(f"there is no word in it; a caption is, for instance, {EXAMPLE!r}")
    if len(said) > LENGTH:
        raise ValueError(f"these are {len(said)} words; a caption has at most {LENGTH}, as {EXAMPLE!r} has")
    return [VOCABULARY.index(word) for word in said] + [0] * (LENGTH - len(said))


def _unknown(word: str) -> str:
    """What to say to whoever typed a word that is not in the VOCABULARY."""
    near = [known for known in VOCABULARY[1:] if _near(word, known)]
    if word in tuple("0123456789"):
        near = [DIGITS[int(word)]]
    if near:
        return f"{_short(word)} is not a word of these captions: did you mean {near[0]}?"
    return (
        f"{_short(word)} is not a word of these captions. They name digits (zero to nine), colours "
        f"({', '.join(COLOURS)}) and where things are, as in {EXAMPLE!r}"
    )


def _near(word: str, known: str) -> bool:
    """Whether one slip of the hand lies between them: a letter too many, missing, wrong, or two exchanged."""
    if len(word) == 1 or len(known) <= 2 < len(word):  # a cat is not "at"
        return False
    same = next((k for k, (x, y) in enumerate(zip(word, known)) if x != y), min(len(word), len(known)))
    a, b = word[same:], known[same:]  # they differ from their first letter on
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _parsed(text: str) -> list[int]:
    said = " ".join(_words(text))
    for relation, (place, swapped) in RELATIONS.items():
        first, found, second = said.partition(f" {relation} ")
        if found and (things := [_thing(first), _thing(second)]) and all(things):
            return [place, *things[swapped], *things[not swapped]]
    for place, end in enumerate(PLACES):
        if said.endswith(f" {end}") and (thing := _thing(said.removesuffix(f" {end}"))):
            return [place, *thing, ANY, ANY]
    if thing := _thing(said):
        return [ANY, *thing, ANY, ANY]
    raise ValueError(
        f"{_short(text)} is not a caption of a scene; expected 'a COLOUR DIGIT', then one of {', '.join(PLACES)}, or "
        f"one of {', '.join(RELATIONS)} and a second 'a COLOUR DIGIT'; colours: {', '.join(COLOURS)}; "
        "digits: zero ... nine"
    )


def _thing(said: str) -> list[int] | None:
    match said.split():
        case ["a", colour, digit] if colour in COLOURS and digit in DIGITS:
            return [DIGITS.index(digit), list(COLOURS).index(colour)]


@cache
def _choices(captions: str) -> tuple[Tensor, Tensor]:
    """The arrangements of one thing, and of two, that scenes with these captions are drawn from."""
    if captions not in CAPTIONS:
        raise ValueError(f"captions = {captions!r}; expected one of {', '.join(map(repr, CAPTIONS))}")
    things = torch.cartesian_prod(torch.arange(len(DIGITS)), torch.arange(len(COLOURS)))
    new = {(DIGITS.index(digit), list(COLOURS).index(colour)) for digit, colour in HELD_OUT}
    held = torch.tensor([tuple(thing) in new for thing in things.tolist()])
    found = []
    for places, count in ((range(5), 1), ((BESIDE, STACKED), 2)):
        grids = torch.cartesian_prod(torch.tensor(list(places)), *[torch.arange(len(things))] * count)
        kept_back = torch.rand(len(grids), generator=torch.Generator().manual_seed(count)) < 0.2
        new = held[grids[:, 1:]].any(1)
        rows = {"train": ~new & ~kept_back, "unseen": ~new & kept_back, "held out": new, "all": new | ~new}[captions]
        place, *which = grids[rows].T
        nothing = torch.full((len(place), 2 * (2 - count)), ANY)
        found.append(torch.cat([place[:, None], *(things[w] for w in which), nothing], dim=1))
    return tuple(found)


@cache
def _source(train: bool, folder) -> tuple[Tensor, Tensor, list[Tensor], str]:
    """Digits as ink in [0, 1] (M, 1, 28, 28), the box around each (M, 4) on its canvas from -1 to 1, the rows of each
    digit 0 ... 9, and where they come from."""
    images, labels, name = mnist(train, folder)
    ink, sides = (images + 1) / 2, []
    for across in (2, 3):  # a column has ink if any row has, and a row if any column has
        seen = (ink[:, 0].amax(across - 1) > 0.2).float()
        sides.append((seen.argmax(1) / 14 - 1, 1 - seen.flip(1).argmax(1) / 14))
    (left, right), (top, bottom) = sides
    return ink, torch.stack([left, top, right, bottom], dim=1), [(labels == d).nonzero()[:, 0] for d in range(10)], name


def _ink(arrangement: Tensor, rng: torch.Generator, train: bool, folder) -> tuple[Tensor, Tensor, str]:
    """Where each thing's ink is, (N, 2, 64, 64) in [0, 1], the boxes around it (N, 2, 4), and the digits' source."""
    source, around, rows_of, name = _source(train, folder or os.environ.get(VARIABLE))
    place, digit = arrangement[:, 0], arrangement[:, 1::2]
    which, wide, move = torch.rand(4, len(place), 2, generator=rng).tensor_split((1, 2))
    rows = torch.zeros_like(digit)
    for d, of_digit in enumerate(rows_of):
        rows[digit == d] = of_digit[(which[0][digit == d] * len(of_digit)).long()]
    low, high = torch.tensor(CANVAS, dtype=torch.float32)[place].T[:, :, None]
    canvas = low + (high - low) * wide[0]
    middle = torch.tensor(CENTRES, dtype=torch.float32)[place]
    middle = middle + torch.tensor(STRAY)[place][:, None] * (2 * move.permute(1, 2, 0) - 1)
    boxes = middle.repeat(1, 1, 2) + canvas[..., None] / 2 * around[rows]
    inwards = (1 - boxes[..., :2]).clamp(min=0) - (boxes[..., 2:] - (SIZE - 1)).clamp(min=0)  # nothing is cut off
    middle, boxes = middle + inwards, boxes + inwards.repeat(1, 1, 2)
    zoom = SIZE / canvas
    theta = torch.zeros(len(place), 2, 2, 3)  # place on the canvas = zoom (place in the scene - middle), from -1 to 1
    theta[..., 0, 0], theta[..., 1, 1] = zoom, zoom
    theta[..., 2] = -zoom[..., None] * (2 * middle / SIZE - 1)
    grid = affine_grid(theta.flatten(0, 1), [2 * len(place), 1, SIZE, SIZE], align_corners=False)
    ink = grid_sample(source[rows.flatten()], grid, align_corners=False).unflatten(0, (-1, 2))[:, :, 0]
    missing = digit == ANY
    return ink.masked_fill(missing[..., None, None], 0), boxes.masked_fill(missing[..., None], torch.nan), name


def _painted(ink: Tensor, arrangement: Tensor, rng: torch.Generator) -> Tensor:
    """The scenes (N, 3, 64, 64) in [-1, 1]: a dark ground that fades across, and each thing in its colour."""
    n = len(ink)
    tint = 0.14 * torch.rand(n, 1, generator=rng) + 0.06 * torch.rand(n, 3, generator=rng)
    angle = 2 * torch.pi * torch.rand(n, generator=rng)
    line = torch.linspace(-1, 1, SIZE)
    fade = angle.cos()[:, None, None] * line + angle.sin()[:, None, None] * line[:, None]
    scene = tint[:, :, None, None] * (1 + 0.4 * fade[:, None])
    palette = torch.tensor(list(COLOURS.values()))
    bright = 0.9 + 0.1 * torch.rand(n, 2, generator=rng)
    for i in range(2):
        colour = bright[:, i, None] * palette[arrangement[:, 2 + 2 * i].clamp(min=0)]
        scene = torch.lerp(scene, colour[:, :, None, None], ink[:, i, None])
    return 2 * scene - 1
