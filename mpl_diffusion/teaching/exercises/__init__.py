"""Exercises: `check.diffuse(my_diffuse)` says whether a student's function is right, and if not, what went wrong.

One file per notebook holds its exercises as data; `engine` and `verdicts` know none of them by name.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable

from . import (
    ddim,
    forward_process,
    guidance,
    guidance_scales,
    image_to_image,
    latent_diffusion,
    mnist_ddpm,
    noise_schedules,
    reverse_process,
    reverse_steps,
    score_sde_ode,
    start_here,
    swiss_roll,
    unet,
)
from .engine import Case, Exercise, Mistake, Verdict
from .verdicts import judge

__all__ = ["EXERCISES", "Case", "Exercise", "Mistake", "Solution", "Verdict", "check", "judge"]

NOTEBOOKS = {
    "00": start_here.EXERCISES,
    "01": forward_process.EXERCISES,
    "02": noise_schedules.EXERCISES,
    "03": reverse_process.EXERCISES,
    "04": swiss_roll.EXERCISES + reverse_steps.EXERCISES,
    "05": score_sde_ode.EXERCISES,
    "06": unet.EXERCISES,
    "07": mnist_ddpm.EXERCISES,
    "08": ddim.EXERCISES,
    "11": latent_diffusion.EXERCISES + image_to_image.EXERCISES,
    "12": guidance.EXERCISES + guidance_scales.EXERCISES,
}
EXERCISES = {exercise.name: exercise for exercises in NOTEBOOKS.values() for exercise in exercises}


class Check:
    """check.<name>(your_function) prints a verdict; check.solution("<name>") shows a tested solution."""

    def __getattr__(self, name: str) -> Callable[[Callable], None]:
        return checker(exercise_named(name))

    def __dir__(self):
        return [*EXERCISES, "solution"]

    def __repr__(self) -> str:
        lines = (f"{n}: {', '.join(e.name for e in exercises)}" for n, exercises in NOTEBOOKS.items())
        return "\n".join(["check.<name>(your_function), by notebook:", *lines])

    def solution(self, name: str) -> Solution:
        """The code of a tested solution, to be pasted into the exercise's cell: check.solution("diffuse")."""
        code = inspect.getsource(exercise_named(name).solution)
        return Solution(code.replace(f"def {name}(", f"def my_{name}(", 1))


class Solution(str):
    """Code that a notebook shows as code."""

    def __repr__(self) -> str:
        return self.rstrip()

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.rstrip()}\n```"


def exercise_named(name: str) -> Exercise:
    if name not in EXERCISES:
        raise AttributeError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[name]


def checker(exercise: Exercise) -> Callable[[Callable], None]:
    """What check.<name> is: a function with a help text, which prints and returns nothing."""

    def check_one(function: Callable) -> None:
        for thought in judge(exercise, function).message.splitlines():
            print(textwrap.fill(thought, width=100, break_long_words=False, break_on_hyphens=False))

    check_one.__name__ = check_one.__qualname__ = exercise.name
    check_one.__doc__ = (
        f"Check your {exercise.signature}.\n\n"
        f"Returns {exercise.task}.\n\n"
        f'A tested solution: check.solution("{exercise.name}"), also folded away below the exercise in its notebook.'
    )
    return check_one


check = Check()
