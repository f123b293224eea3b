"""An exercise is data: a solution, cases to try it on, and a table of wrong formulas with the sentence that cures each.

An Attempt sets a student's function beside an exercise and runs both. Nothing here raises for what the student did.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor

RTOL, ATOL = 1e-9, 1e-12  # cases are float64: the order of operations may differ, the formula may not


class Case(NamedTuple):
    kind: str  # in words, as it stands after "on": "images with a batch of t"
    args: tuple


class Mistake(NamedTuple):
    formula: Callable
    sentence: str  # names the mistake and hints at its cure; never shows the solution


@dataclass(frozen=True)
class Exercise:
    solution: Callable  # written as a student would write it; its name and arguments are the exercise's
    task: str  # what it returns, one sentence
    praise: str  # what a right answer is right on: "on points and images"
    cases: Callable[[], Iterable[Case]]  # float64, the same at every call; the smallest double as examples
    mistakes: tuple[Mistake, ...]

    @property
    def name(self) -> str:
        return self.solution.__name__

    @property
    def arguments(self) -> list[str]:
        return list(inspect.signature(self.solution).parameters)

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.arguments)})"


class Verdict(NamedTuple):
    status: str  # "right" | "mistake" | "wrong" | "crash" | "untouched"
    message: str  # one line per thought


@dataclass(frozen=True)
class Attempt:
    """A student's function beside the exercise that it answers."""

    exercise: Exercise
    function: Callable

    @property
    def yours(self) -> str:
        name = getattr(self.function, "__name__", "<lambda>")
        return "your function" if name == "<lambda>" else name

    @cached_property
    def cases(self) -> list[Case]:
        return list(self.exercise.cases())

    @cached_property
    def truths(self) -> list[Tensor]:
        return self.run(self.exercise.solution)

    @cached_property
    def answers(self) -> list:
        return self.run(self.function)

    @cached_property
    def agrees(self) -> list[bool]:
        return list(map(same, self.answers, self.truths))

    def run(self, function: Callable) -> list:
        return [answer(function, case.args) for case in self.cases]

    def not_yet(self, status: str, *thoughts: str) -> Verdict:
        return Verdict(status, "\n".join([f"{self.exercise.name}: not yet.", *filter(None, thoughts)]))


def answer(function: Callable, args: tuple):
    """What a function answers, or the exception that it raised. Numbers become tensors; it works on copies."""
    try:
        value = function(*copies(args))
    except Exception as error:
        return error
    if isinstance(value, Real):
        value = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)
    if not isinstance(value, Tensor):
        return value
    return value.detach().cpu() if value.is_floating_point() else value.detach().cpu().long()


def copies(args: tuple) -> list:
    return [a.clone() if isinstance(a, Tensor) else a for a in args]


def same(a, b) -> bool:
    """Whether two answers coincide: both raised, or both are tensors of one shape, dtype and (closely) value."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, RTOL, ATOL, equal_nan=True)
    return isinstance(a, Exception) and isinstance(b, Exception)


def own_arguments(function: Callable) -> list[str]:
    """The names of a function's arguments; none can be told of a built-in, a partial, an object with __call__."""
    code = getattr(function, "__code__", None)
    return list(code.co_varnames[: code.co_argcount]) if code else []


def unread(function: Callable) -> list[str]:
    """The arguments that the body of a function never reads: all of them in an untouched stub."""
    arguments = own_arguments(function)
    loaded = [step.argval for step in dis.get_instructions(function) if "LOAD_FAST" in step.opname] if arguments else []
    names = {name for v in loaded for name in (v if isinstance(v, tuple) else (v,))}  # Python 3.13 loads two at once
    return [name for name in arguments if name not in names and name not in function.__code__.co_cellvars]
