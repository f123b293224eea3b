"""An exercise is data: a solution, cases to try it on, and a table of wrong formulas with the sentence that cures each.

An Attempt sets a student's function beside an exercise and runs both. Nothing here raises for what the student did.
"""

from __future__ import annotations

import copy
import dis
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .guard import own_settings

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
    forms: tuple[Callable, ...] = ()  # other right ways to write it: small slips in these are recognised, too
    tolerance: float = RTOL  # larger only where float32 is as good

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

    @property
    def cases(self) -> list[Case]:
        return cases_of(self.exercise)

    @property
    def truths(self) -> list[Tensor]:
        return truths_of(self.exercise)

    @cached_property
    def trials(self) -> list[Trial]:
        return [trial(self.function, case.args) for case in self.cases]

    @cached_property
    def answers(self) -> list:
        return [t.answer for t in self.trials]

    @cached_property
    def agrees(self) -> list[bool]:
        return [same(*pair, self.exercise.tolerance) for pair in zip(self.answers, self.truths, strict=True)]

    def run(self, function: Callable) -> list:
        return [trial(function, case.args).answer for case in self.cases]

    @property
    def answers_differ(self) -> bool:
        """Whether the student's function, asked the same again, answers otherwise."""
        return not all(map(same, self.answers, self.run(self.function)))

    def answers_as(self, function: Callable) -> bool:
        """Whether a formula of ours gives the student's answers to all cases. It stops at the first that differs."""
        return all(alike(given, ours(function, case.args)) for given, case in zip(self.answers, self.cases))

    def right_with(self, function: Callable) -> bool:
        """Whether another function gives the right answer to all cases."""
        return all(same(trial(function, case.args).answer, truth) for case, truth in zip(self.cases, self.truths))

    def not_yet(self, status: str, *thoughts: str) -> Verdict:
        return Verdict(status, "\n".join([f"{self.exercise.name}: not yet.", *filter(None, thoughts)]))


@cache
def cases_of(exercise: Exercise) -> list[Case]:
    return list(exercise.cases())


@cache
def truths_of(exercise: Exercise) -> list[Tensor]:
    return [ours(exercise.solution, case.args) for case in cases_of(exercise)]


class Trial(NamedTuple):
    """What came of calling a function once."""

    answer: object  # a tensor (numbers become one), something else, or the exception that was raised
    changed: tuple[int, ...] = ()  # the places of arguments that were changed
    gradients: tuple | None = None  # of the answer, for the parameters of the networks among the arguments
    drew: bool = False  # random numbers


def trial(function: Callable, args: tuple) -> Trial:
    """A function called on copies of its arguments. Nothing that it does reaches the reader's session."""
    own, dice = copies(args), torch.get_rng_state()
    try:
        with own_settings():
            value = function(*own)
            value, gradients = as_tensor(value), gradients_of(value, own)
    except KeyboardInterrupt:  # somebody stops an endless loop
        raise
    except BaseException as error:  # exit() raises a SystemExit
        return Trial(error)
    changed = (i for i, (a, b) in enumerate(zip(args, own)) if isinstance(a, Tensor) and not torch.equal(a, b))
    return Trial(value, tuple(changed), gradients, not torch.equal(dice, torch.get_rng_state()))


def ours(formula: Callable, args: tuple):
    """The answer of a formula of this package, which needs no guard, or the exception that it raised."""
    try:
        return as_tensor(formula(*copies(args)))
    except Exception as error:
        return error


def copies(args: tuple) -> list:
    return [copy.deepcopy(a) if isinstance(a, nn.Module) else a.clone() if isinstance(a, Tensor) else a for a in args]


def as_tensor(value):
    if isinstance(value, Real):
        value = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)
    if not isinstance(value, Tensor):
        return value
    value = value.detach().cpu()
    return value if value.is_floating_point() or value.is_complex() else value.long()


def gradients_of(value, args: list) -> tuple | None:
    parameters = [p for a in args if isinstance(a, nn.Module) for p in a.parameters()]
    if not parameters or not isinstance(value, Tensor) or not value.requires_grad:
        return None
    try:
        return torch.autograd.grad(value.sum(), parameters, allow_unused=True, materialize_grads=True)
    except RuntimeError:  # the function itself went backward, and the graph is gone
        return None


def same(a, b, tolerance: float = RTOL) -> bool:
    """Whether two answers coincide: both raised, or both are tensors of one shape, dtype and (closely) value."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.ndim == b.ndim == 0 and b.is_floating_point():
            return same_number(a, b)
        return a.shape == b.shape and a.dtype == b.dtype and close(a, b, tolerance)
    return isinstance(a, BaseException) and isinstance(b, BaseException)


def same_number(a: Tensor, b: Tensor) -> bool:
    """One number is compared by its value: 48 is 48.0, and a float32 has as many digits as it has."""
    return close(a.double(), b.double(), 1e-6 if a.dtype == torch.float32 else RTOL)


def alike(a, b) -> bool:
    """Whether two wrong answers coincide; here one of them may be float32, which is a slip of its own."""
    if isinstance(a, Tensor) and isinstance(b, Tensor) and {a.dtype, b.dtype} == {torch.float32, torch.float64}:
        return a.shape == b.shape and close(a.double(), b.double(), 1e-5)
    return same(a, b)


def equal(a, b) -> bool:
    """Whether two answers have the same numbers, whatever their dtypes."""
    return (
        isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and close(a.double(), b.double(), 1e-5)
    )


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return torch.allclose(a, b, tolerance, ATOL if tolerance == RTOL else tolerance, equal_nan=True)


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


def returns_a_value(function: Callable) -> bool:
    """Whether a `return` with something after it stands anywhere in a function."""
    code = getattr(function, "__code__", None)
    steps = list(dis.get_instructions(code)) if code else []
    loaded = [last for last, step in zip(steps, steps[1:]) if step.opname == "RETURN_VALUE"]
    loaded += [step for step in steps if step.opname == "RETURN_CONST"]  # Python 3.12 and 3.13
    return any("CONST" not in step.opname or step.argval is not None for step in loaded)
