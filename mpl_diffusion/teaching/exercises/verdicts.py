"""What there is to say about an attempt: looks in a fixed order, and the first that has something to say says it."""

from __future__ import annotations

import inspect
import itertools
import re
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .crashes import PER_ROW, crash
from .engine import Attempt, Exercise, Verdict, alike, equal, own_arguments, returns_a_value, trial, unread
from .examples import example, listed
from .guard import own_random_numbers
from .relations import related
from .slips import slips


def judge(exercise: Exercise, function: Callable) -> Verdict:
    """The verdict on a student's function. Prints nothing, and leaves the session as it was."""
    attempt = Attempt(exercise, function)
    with own_random_numbers(), warnings.catch_warnings(action="ignore"):
        try:
            return next(verdict for look in LOOKS if (verdict := look(attempt)))
        except KeyboardInterrupt:
            return attempt.not_yet("crash", f"You stopped {attempt.yours} while it ran. Does its loop ever end?")


def no_function(attempt: Attempt) -> Verdict | None:
    if not callable(attempt.function):
        hint = f"check.{attempt.exercise.name} wants the function itself: write its name, with no brackets after it."
        return attempt.not_yet("crash", hint)


def other_arguments(attempt: Attempt) -> Verdict | None:
    expected = attempt.exercise.arguments
    try:
        given = inspect.signature(attempt.function)
        given.bind(*expected)
        fits = list(given.parameters) == expected or sorted(given.parameters) != sorted(expected)
    except ValueError:  # a built-in function that does not tell
        return None
    except TypeError:  # fewer or more arguments
        fits = False
    if not fits:  # other names are fine, the same names in another order are not
        hint = f"{attempt.yours} takes {given}; expected the arguments of {attempt.exercise.signature}, in this order."
        return attempt.not_yet("crash", hint)


def untouched(attempt: Attempt) -> Verdict | None:
    first, yours = attempt.answers[0], attempt.yours
    stub = own_arguments(attempt.function) and unread(attempt.function) == own_arguments(attempt.function)
    if first is ... or (stub and (first is None or isinstance(first, NotImplementedError))):
        return Verdict("untouched", f"not attempted yet: write the body of {yours}, then run this cell again")
    if isinstance(first, BaseException) and re.search("'ellipsis'|not ellipsis", str(first)):
        return Verdict("untouched", f"not finished yet: a `...` still stands in {yours}; put your formula in its place")


def right(attempt: Attempt) -> Verdict | None:
    if not all(attempt.agrees):
        return None
    for place in {place for one in attempt.trials for place in one.changed}:
        name = attempt.exercise.arguments[place]
        return attempt.not_yet(
            "mistake",
            f"Your answer is right, but {attempt.yours} changes {name} in place, and its caller still needs {name}.",
            "Look for +=, *=, an assignment to a row, or a method that ends in an underscore.",
        )
    if not learns(attempt):
        return attempt.not_yet(
            "mistake",
            "Your answer is right, but its gradient does not reach the network's weights, so nothing could be learned.",
            "Look for .item(), float(), .detach(), .data, torch.no_grad(), or a .backward() of your own.",
        )
    return Verdict("right", f"{attempt.exercise.name}: right, {attempt.exercise.praise}.")


def learns(attempt: Attempt) -> bool:
    """Whether the networks among the arguments get the gradient that they get from the solution."""
    for case, given in zip(attempt.cases, attempt.trials, strict=True):
        if not any(isinstance(a, nn.Module) for a in case.args):
            continue
        truth = trial(attempt.exercise.solution, case.args).gradients
        if truth and not (given.gradients and all(map(torch.allclose, given.gradients, truth))):
            return False
    return True


def usual_mistake(attempt: Attempt) -> Verdict | None:
    for formula, sentence in attempt.exercise.mistakes:
        if attempt.answers_as(formula):
            return attempt.not_yet("mistake", sentence)


def small_slip(attempt: Attempt) -> Verdict | None:
    finite = any(isinstance(given, Tensor) and given.isfinite().any() for given in attempt.answers)
    if not finite or isinstance(attempt.answers[0], BaseException) or all(map(equal, attempt.answers, attempt.truths)):
        return None
    for sentence, formula, first in slips(attempt.exercise):
        if alike(attempt.answers[0], first) and attempt.answers_as(formula):
            return attempt.not_yet("mistake", f"Nearly right: {sentence}.", *example(attempt))


def exchanged(attempt: Attempt) -> Verdict | None:
    """Whether an answer would be right if two of its arguments changed places."""
    for i, j in itertools.combinations(range(len(attempt.exercise.arguments)), 2):
        if attempt.right_with(lambda *args, i=i, j=j: attempt.function(*swapped(args, i, j))):
            a, b = attempt.exercise.arguments[i], attempt.exercise.arguments[j]
            hint = f"You have exchanged {a} and {b}; otherwise your formula is right."
            return attempt.not_yet("mistake", hint, f"The arguments come in this order: {attempt.exercise.signature}.")


def swapped(args: tuple, i: int, j: int) -> list:
    args = list(args)
    args[i], args[j] = args[j], args[i]
    return args


def own_noise(attempt: Attempt) -> Verdict | None:
    if any(one.drew for one in attempt.trials) or attempt.answers_differ:
        if noise := given_noise(attempt.exercise.arguments):
            hint = f"The noise is given: use {noise}."
        else:
            hint = f"No noise is asked for: with the same arguments {attempt.exercise.name} is always the same."
        return attempt.not_yet("mistake", f"{attempt.yours} draws random numbers of its own.", hint)


def given_noise(arguments: list[str]) -> str | None:
    """The argument that holds fresh noise. Beside x_t, eps is not fresh: it is the noise already in x_t."""
    names = ("z", "u") if "x_t" in arguments else ("z", "u", "eps")
    return next((name for name in names if name in arguments), None)


def not_a_tensor(attempt: Attempt) -> Verdict | None:
    for case, given, truth in zip(attempt.cases, attempt.answers, attempt.truths, strict=True):
        if given is None:
            return attempt.not_yet("mistake", returns_nothing(attempt, case.kind))
        if type(given).__module__ == "torch.return_types":
            hint = "it returns values and their places together. Take one of them: .values or .indices"
            return attempt.not_yet("mistake", f"Your last call, .{type(given).__name__}(...), has two answers: {hint}.")
        if not isinstance(given, Tensor):
            expected = "one tensor" if truth.ndim else "one number"
            return attempt.not_yet("mistake", f"{attempt.yours} returns {a_thing(given)}; expected {expected}.")


def returns_nothing(attempt: Attempt, kind: str) -> str:
    if returns_a_value(attempt.function):
        return (
            f"On {kind}, {attempt.yours} returns nothing: it comes to its end without meeting `return`. Does a loop "
            "end before it finds anything, or does an `if` let some case through?"
        )
    return f"{attempt.yours} returns nothing: hand your result back with `return`; to print it is not enough."


THINGS = {
    "ndarray": "a NumPy array",
    "builtin_function_or_method": "a method that is never called (are there brackets after its name?)",
    "method": "a method that is never called (are there brackets after its name?)",
    "ellipsis": "`...`",
    "str": "text",
}


def a_thing(value) -> str:
    """A value's type in words: a tuple, an int, a NumPy array."""
    name = type(value).__name__
    return THINGS.get(name) or f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def other_shape(attempt: Attempt) -> Verdict | None:
    for case, given, truth in zip(attempt.cases, attempt.answers, attempt.truths, strict=True):
        if given.shape != truth.shape:
            expected = f"shape {tuple(truth.shape)}" if truth.ndim else "one number"
            hint = PER_ROW if case.kind.endswith("a batch of t") else ""
            shape = f"On {case.kind}, your answer has shape {tuple(given.shape)}; expected {expected}."
            return attempt.not_yet("wrong", shape, hint)


def other_dtype(attempt: Attempt) -> Verdict | None:
    for given, truth in zip(attempt.answers, attempt.truths, strict=True):
        if given.dtype == truth.dtype or (truth.ndim == 0 and truth.is_floating_point()):
            continue
        if not truth.is_floating_point():
            return attempt.not_yet("mistake", f"Your answer is {given.dtype}; expected whole numbers.")
        return attempt.not_yet(
            "mistake",
            f"Your answer is {given.dtype}; expected {truth.dtype}.",
            "In less than float64 the small differences 1 - alpha_bar lose their digits: look for a cast, or a tensor "
            "made without dtype=torch.float64.",
        )


def somewhere_wrong(attempt: Attempt) -> Verdict:
    """Which kinds of input are right and which are wrong, the smallest example, arguments that are never used."""
    kinds = [case.kind for case in attempt.cases]
    wrong = dict.fromkeys(kind for kind, agrees in zip(kinds, attempt.agrees, strict=True) if not agrees)
    fine = dict.fromkeys(kind for kind in kinds if kind not in wrong)
    forgotten = unread(attempt.function)
    return attempt.not_yet(
        "wrong",
        f"Right on {listed(fine)}; wrong on {listed(wrong)}." if fine else "It is not right on any input yet.",
        *example(attempt),
        f"You never use {listed(forgotten)}." if forgotten else "",
        "Your answer has NaN in it: look for 0 / 0, or a root of something negative." if has_nan(attempt) else "",
        f'Stuck? A tested solution is folded away below; check.solution("{attempt.exercise.name}") shows it too.',
    )


def has_nan(attempt: Attempt) -> bool:
    return any(given.isnan().any() and not truth.isnan().any() for given, truth in zip(attempt.answers, attempt.truths))


LOOKS = (
    no_function,
    other_arguments,
    untouched,
    right,
    usual_mistake,
    exchanged,
    small_slip,
    related,
    crash,
    not_a_tensor,
    own_noise,
    other_shape,
    other_dtype,
    somewhere_wrong,
)
