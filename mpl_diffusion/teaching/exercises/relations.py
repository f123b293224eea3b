"""How a wrong answer stands to the right one, whatever the exercise: twice as large, one row short, upside down."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .engine import Attempt, Verdict, same


def related(attempt: Attempt) -> Verdict | None:
    if not all(isinstance(given, Tensor) and not given.is_complex() for given in attempt.answers):
        return None
    pairs = list(zip(attempt.answers, attempt.truths, strict=True))
    for relation, sentence in RELATIONS:
        if all(relation(given, truth) for given, truth in pairs):
            return attempt.not_yet("mistake", sentence)
    if few_digits(pairs):
        return attempt.not_yet(
            "mistake",
            "Your formula is right, but it has lost digits: a part of it was computed in float32.",
            "torch.arange, torch.linspace and torch.tensor make float32, unless you write dtype=torch.float64.",
        )
    for look in (one_row, factor, offset):
        if sentence := look(pairs):
            return attempt.not_yet("mistake", sentence)


def shaped(change: Callable[[Tensor], Tensor], given: Tensor, truth: Tensor) -> bool:
    """Whether the right answer, changed, is the given one."""
    return truth.ndim > 0 and same(given, change(truth))


def longer(given: Tensor, truth: Tensor) -> bool:
    return given.ndim == truth.ndim > 0 and len(given) == len(truth) + 1


def late(given: Tensor, truth: Tensor) -> bool:
    """Whether a table stands one row lower than it should."""
    return given.ndim == truth.ndim == 1 and len(truth) > 2 and same(given[1:], truth[:-1])


def positive(truth: Tensor) -> bool:
    return truth.is_floating_point() and bool((truth >= 0).all())


RELATIONS: tuple[tuple[Callable[[Tensor, Tensor], bool], str], ...] = (
    (lambda a, b: shaped(lambda v: v[1:], a, b), "The first row is missing. The others are right."),
    (lambda a, b: shaped(lambda v: v[:-1], a, b), "The last row is missing. The others are right."),
    (lambda a, b: longer(a, b) and same(a[1:], b), "There is one row too many, the first. The others are right."),
    (lambda a, b: longer(a, b) and same(a[:-1], b), "There is one row too many, the last. The others are right."),
    (lambda a, b: shaped(lambda v: v.flip(0), a, b), "Your rows are right, but in the opposite order."),
    (lambda a, b: late(a, b), "Every row stands one row too late. Its neighbour belongs there."),
    (lambda a, b: late(b, a), "Every row stands one row too early. Its neighbour belongs there."),
    (lambda a, b: a.ndim == b.ndim == 2 and same(a.T, b), "Rows and columns have changed places."),
    (
        lambda a, b: a.ndim == b.ndim == 1 and same(a.sort()[0], b.sort()[0]),
        "Your numbers are right, but in another order.",
    ),
    (
        lambda a, b: a.shape != b.shape and a.numel() == b.numel() and same(a.flatten(), b.flatten()),
        "Your numbers are right, but their shape is not: it has an axis too many or too few. One number alone is taken "
        "out of its tensor with .item(), float() or int().",
    ),
    (
        lambda a, b: shaped(lambda v: v[0], a, b),
        "You return the first of your answers alone. All of them are asked for.",
    ),
    (lambda a, b: positive(b) and same(a, b**2), "Your answer is the square of what is expected."),
    (lambda a, b: positive(b) and same(a, b.sqrt()), "Your answer is the square root of what is expected."),
    (
        lambda a, b: b.is_floating_point() and same(a, 1 / b),
        "Upside down: you give 1 divided by what is expected.",
    ),
    (lambda a, b: b.is_floating_point() and same(a, 1 - b), "Your answer is 1 minus what is expected."),
)


def few_digits(pairs: list[tuple[Tensor, Tensor]]) -> bool:
    return all(a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, 1e-5, 1e-6) for a, b in pairs)


def one_row(pairs: list[tuple[Tensor, Tensor]]) -> str | None:
    """Whether the same row, the first or the last, is the only wrong one of every table."""
    if not all(a.ndim == b.ndim == 1 and len(a) == len(b) > 2 for a, b in pairs):
        return None
    for row, others, name in ((0, slice(1, None), "Row 0"), (-1, slice(None, -1), "The last row")):
        if all(same(a[others], b[others]) for a, b in pairs):
            a, b = pairs[0]
            return f"{name} is wrong, and all others are right: expected {b[row]:.4g}, got {a[row]:.4g}."


def factor(pairs: list[tuple[Tensor, Tensor]]) -> str | None:
    """Whether every answer is the right one times the same number."""
    if not all(a.shape == b.shape and a.is_floating_point() and b.is_floating_point() for a, b in pairs):
        return None
    a, b = (torch.cat([v.double().flatten() for v in side]) for side in zip(*pairs, strict=True))
    c = float(a @ b / (b @ b))
    if len(a) < 2 or c == 0 or not torch.allclose(a, c * b, rtol=1e-8, atol=1e-10):
        return None
    if abs(c + 1) < 1e-9:
        return "Right but for the sign: turn it around."
    return f"Your answer is {c:.4g} times what is expected, on every input: a constant factor is wrong."


def offset(pairs: list[tuple[Tensor, Tensor]]) -> str | None:
    """Whether every answer is the right one plus the same number."""
    if not all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs):
        return None
    difference = torch.cat([(a.double() - b.double()).flatten() for a, b in pairs])
    c = float(difference[0])
    if (
        len(difference) < 2
        or c == 0
        or not math.isfinite(c)
        or not torch.allclose(difference, difference[:1], rtol=1e-9, atol=1e-10)
    ):
        return None
    return f"Your answer is {'larger' if c > 0 else 'smaller'} by {abs(c):.4g} than what is expected, on every input."
