"""What there is to say about an attempt: looks in a fixed order, and the first that has something to say says it."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .engine import Attempt, Exercise, Verdict, own_arguments, same, trial, unread
from .guard import own_random_numbers


def judge(exercise: Exercise, function: Callable) -> Verdict:
    """The verdict on a student's function. Prints nothing, and leaves the session as it was."""
    attempt = Attempt(exercise, function)
    with own_random_numbers():
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
        truth = trial(attempt.exercise.solution, case.args).gradients
        if truth and not (given.gradients and all(map(torch.allclose, given.gradients, truth))):
            return False
    return True


def usual_mistake(attempt: Attempt) -> Verdict | None:
    for formula, sentence in attempt.exercise.mistakes:
        if attempt.answers_as(formula):
            return attempt.not_yet("mistake", sentence)


SHAPES = "Two shapes do not fit: print the shape of each factor."
PER_ROW = (
    "When t has shape (B,), so has alpha_bar[t]: reshape it so that it multiplies images (B, C, H, W), and points "
    "(B, D) as well."
)
CAUSES = {  # searched in "type: words" of an error, from the top: what it usually means
    r"SystemExit": "exit() and quit() end the whole program. A function ends with `return` and its answer.",
    r"must match|broadcast|invalid for input|cannot be concatenated": SHAPES,
    r"IndexError.*out of (bounds|range)": "A table has T + 1 rows, t = 0 ... T: your index lies outside.",
    r"used as indices|only integers|slice indices": "An index must be a whole number: is there a division in it?",
    r"converted to (a )?(Python )?[Ss]calar": "float(), int() and math.sqrt take one number; a tensor has .sqrt().",
    r"[Bb]ool(ean)? value": "`if` wants one True or False, and here it meets a whole batch.",
    r"must be Tensor, not (int|float)": "torch's functions want a tensor; for a plain number there is the math module.",
    r"'(int|float)' object (has no attribute|is not)": "That is a plain number here, not a tensor.",
    r"'tuple' object": "A tuple stays as it is: make a list of it, or read it from the end with [::-1].",
    r"has no attribute": "Is the method's name misspelt?",
    r"UnboundLocalError|NameError": "Is that name misspelt, not imported, or set only later?",
    r"missing \d+ required positional": "A function that you call wants more arguments than you give it.",
}


def crash(attempt: Attempt) -> Verdict | None:
    for case, error in zip(attempt.cases, attempt.answers, strict=True):
        if isinstance(error, BaseException):
            words = (str(error).strip() or "it gives no reason").splitlines()[0].rstrip(".")
            return attempt.not_yet(
                "crash",
                f"On {case.kind}, {attempt.yours} stops with {type(error).__name__}: {words}.",
                line_of(error, attempt),
                cause(error, case.kind),
            )


def line_of(error: BaseException, attempt: Attempt) -> str:
    """The line of the student's own function in which an error arose, as they wrote it."""
    own = getattr(getattr(attempt.function, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own and frame.line]
    return f"It stops at the line `{lines[-1]}`." if lines else ""


def cause(error: BaseException, kind: str) -> str:
    words = f"{type(error).__name__}: {error}"
    hint = next((hint for pattern, hint in CAUSES.items() if re.search(pattern, words)), "")
    return PER_ROW if hint == SHAPES and kind.endswith("a batch of t") else hint


def not_a_tensor(attempt: Attempt) -> Verdict | None:
    for given, truth in zip(attempt.answers, attempt.truths, strict=True):
        if given is None:
            hint = f"{attempt.yours} returns nothing: does its last line begin with `return`?"
            return attempt.not_yet("wrong", hint)
        if not isinstance(given, Tensor):
            expected = "one tensor" if truth.ndim else "one number"
            return attempt.not_yet("wrong", f"{attempt.yours} returns a {type(given).__name__}; expected {expected}.")


def other_shape(attempt: Attempt) -> Verdict | None:
    for case, given, truth in zip(attempt.cases, attempt.answers, attempt.truths, strict=True):
        if given.shape != truth.shape:
            expected = f"shape {tuple(truth.shape)}" if truth.ndim else "one number"
            hint = PER_ROW if case.kind.endswith("a batch of t") else ""
            shape = f"On {case.kind}, your answer has shape {tuple(given.shape)}; expected {expected}."
            return attempt.not_yet("wrong", shape, hint)


def other_dtype(attempt: Attempt) -> Verdict | None:
    for given, truth in zip(attempt.answers, attempt.truths, strict=True):
        if given.dtype == truth.dtype:
            continue
        if not truth.is_floating_point():
            return attempt.not_yet("wrong", f"Your answer is {given.dtype}; expected whole numbers.")
        return attempt.not_yet(
            "wrong",
            f"Your answer is {given.dtype}; expected {truth.dtype}.",
            "In less than float64 the small differences 1 - alpha_bar lose their digits: look for a cast, or a tensor "
            "made without dtype=torch.float64.",
        )


def own_noise(attempt: Attempt) -> Verdict | None:
    if not all(map(same, attempt.answers, attempt.run(attempt.function))):
        hint = "Asked the same twice, it answers differently: use the noise that you are given, and draw none yourself."
        return attempt.not_yet("wrong", hint)


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
        f'Stuck? A tested solution is folded away below; check.solution("{attempt.exercise.name}") shows it too.',
    )


def example(attempt: Attempt, most_numbers: int = 16) -> Iterator[str]:
    """The first wrong case that is small enough to be read."""
    for case, given, truth, agrees in zip(attempt.cases, attempt.answers, attempt.truths, attempt.agrees, strict=True):
        if not agrees and sum(a.numel() for a in (*case.args, truth) if isinstance(a, Tensor)) <= most_numbers:
            args = ", ".join(map("{} = {}".format, attempt.exercise.arguments, map(written, case.args)))
            yield f"For example, take {args}."
            yield f"Expected is {written(truth)}, and you give {written(given)}."
            return


def written(value) -> str:
    """A small argument as a person writes it: [1, 0.64], not tensor([1.0000, 0.6400], dtype=torch.float64)."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    return value.__name__ if callable(value) else f"{value:.4g}"


def listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


LOOKS = (
    no_function,
    other_arguments,
    untouched,
    right,
    usual_mistake,
    crash,
    not_a_tensor,
    other_shape,
    other_dtype,
    own_noise,
    somewhere_wrong,
)
