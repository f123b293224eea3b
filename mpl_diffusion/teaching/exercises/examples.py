"""The smallest case that an answer gets wrong, written out as a person writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from .engine import Attempt


def example(attempt: Attempt, most_numbers: int = 16) -> Iterator[str]:
    """The first wrong case that is small enough to be read."""
    for case, given, truth, agrees in zip(attempt.cases, attempt.answers, attempt.truths, attempt.agrees, strict=True):
        if (
            not agrees
            and isinstance(given, Tensor)
            and sum(a.numel() for a in (*case.args, truth) if isinstance(a, Tensor)) <= most_numbers
        ):
            args = ", ".join(map("{} = {}".format, attempt.exercise.arguments, map(written, case.args)))
            yield f"For example, take {args}."
            yield f"Expected {written(truth)}, got {written(given)}."
            return


def written(value) -> str:
    """A small argument as a person writes it: [1, 0.64], not tensor([1.0000, 0.6400], dtype=torch.float64)."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return f"{value or 0:.4g}"  # -0.0 is 0


def listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
