"""What to say when an answer stops with an error: the error, the student's own line, and what it usually means."""

from __future__ import annotations

import re
import traceback

from .engine import Attempt, Verdict

SHAPES = "Two shapes do not fit: print the shape of each factor."
PER_ROW = (
    "When t has shape (B,), so has alpha_bar[t]: reshape it so that it multiplies images (B, C, H, W), and points "
    "(B, D) as well."
)
ROWS = "A table has T + 1 rows, t = 0 ... T: your index lies outside."
LECTURE_ROWS = "The lecture's table has T rows, and the first belongs to t = 1: your index lies outside."
CAUSES = {  # searched in "type: words" of an error, from the top: what it usually means
    r"SystemExit": "exit() and quit() end the whole program. A function ends with `return` and its answer.",
    r"RecursionError": "Your function calls itself, and never stops doing so.",
    r"must match|broadcast|invalid for input|cannot be concatenated|cannot be multiplied|Expected size": SHAPES,
    r"Dimension out of range": "You name an axis that this tensor does not have: print its shape.",
    r"(list|tuple) (assignment )?index out of range": "Your index lies beyond the end. Python counts from 0.",
    r"IndexError.*out of (bounds|range)": ROWS,
    r"too many indices": "You use more indices than the tensor has axes: print its shape.",
    r"used as indices|only integer|slice indices": "An index must be a whole number, like t; a quotient such as t / 2 "
    "is a fraction, and a tensor such as eps has fractions. The arguments come in this order: {signature}.",
    r"converted to (a )?(Python )?[Ss]calar": "float(), int() and math.sqrt take one number; a tensor has .sqrt().",
    r"[Bb]ool(ean)? value": "`if` wants one True or False, and here it meets a whole batch.",
    r"same dtype|expected scalar type|same scalar type": "Two dtypes meet: the arguments are float64, so make your own "
    "tensors with dtype=torch.float64.",
    r"numpy\(\) on Tensor that requires grad": "Stay with torch's functions: NumPy cannot carry a gradient.",
    r"must be Tensor, not (int|float)": "torch's functions want a tensor; for a plain number there is the math module.",
    r"'(int|float)' object (has no attribute|is not)": "That is a plain number here, not a tensor.",
    r"'tuple' object": "A tuple stays as it is: make a list of it, or read it from the end with [::-1].",
    r"'(function|method|builtin_function_or_method)'": "Something is never called: are there brackets after its name?",
    r"Tensor' object is not callable": "A tensor is called like a function: is a * missing before a bracket?",
    r"'NoneType'": "Something returned nothing, and you go on with it.",
    r"has no attribute": "Is the method's name misspelt?",
    r"UnboundLocalError|NameError": "Is that name misspelt, not imported, or set only later?",
    r"missing \d+ required positional": "A function that you call wants more arguments than you give it.",
    r"StopIteration": "next() found nothing: the search ends without success.",
    r"ZeroDivisionError": "You divide by 0. Which of your denominators can be 0?",
}


def crash(attempt: Attempt) -> Verdict | None:
    for case, error in zip(attempt.cases, attempt.answers, strict=True):
        if isinstance(error, BaseException):
            words = (str(error).strip() or "it gives no reason").splitlines()[0].rstrip(".")
            return attempt.not_yet(
                "crash",
                f"On {case.kind}, {attempt.yours} stops with {type(error).__name__}: {words}.",
                line_of(error, attempt),
                cause(error, case.kind, attempt),
            )


def line_of(error: BaseException, attempt: Attempt) -> str:
    """The line of the student's own function in which an error arose, as they wrote it."""
    own = getattr(getattr(attempt.function, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own and frame.line]
    return f"It stops at the line `{lines[-1]}`." if lines else ""


def cause(error: BaseException, kind: str, attempt: Attempt) -> str:
    words = f"{type(error).__name__}: {error}"
    hint = next((hint for pattern, hint in CAUSES.items() if re.search(pattern, words)), "")
    if hint == SHAPES and kind.endswith("a batch of t"):
        return PER_ROW
    if hint == ROWS:
        return rows_of(attempt.exercise.arguments)
    return hint.format(signature=attempt.exercise.signature)


def rows_of(arguments: list[str]) -> str:
    if "betas" in arguments:
        return LECTURE_ROWS
    return ROWS if {"beta", "alpha_bar"} & set(arguments) else CAUSES["(list|tuple) (assignment )?index out of range"]
