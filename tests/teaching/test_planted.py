"""Planted answers: no wrong one passes, no right one is refused, and nearly all mistakes are called by their names."""

import importlib
import math
import re
import textwrap

import pytest
import torch
from torch.nn import functional as F

from mpl_diffusion.teaching.exercises import EXERCISES, NOTEBOOKS, judge

NAMED = 0.93  # of the mistakes of each notebook
FILES = {
    "00": "start_here",
    "01": "forward_process",
    "02": "noise_schedules",
    "03": "reverse_process",
    "04": "swiss_roll",
    "05": "score_sde_ode",
    "06": "unet",
    "07": "mnist_ddpm",
    "08": "ddim",
    "11": "latent_diffusion",
    "12": "guidance",
}
PLANTED = {number: importlib.import_module(f"planted.{file}").PLANTED for number, file in FILES.items()}


def answer(name, start, source):
    """my_<name>, from the source of its body or of the value that it returns."""
    body = textwrap.dedent(source).strip()
    body = body if re.search(r"\breturn\b", body) else f"return {body}"
    lines = [f"def my_{name}({', '.join(EXERCISES[name].arguments)}):", *filter(None, [start]), *body.splitlines()]
    scope = {"torch": torch, "math": math, "F": F}
    exec("\n    ".join(lines), scope)
    return scope[f"my_{name}"]


def verdicts(name, planted, sources):
    return {source: judge(EXERCISES[name], answer(name, planted.start, source)) for source in sources}


def test_every_exercise_has_planted_answers():
    for number, exercises in NOTEBOOKS.items():
        assert {exercise.name for exercise in exercises} == set(PLANTED[number])
        for planted in PLANTED[number].values():
            assert len(planted.right) >= 4 and len(planted.wrong) >= 8


@pytest.mark.parametrize("name, planted", [pair for group in PLANTED.values() for pair in group.items()])
def test_an_answer_that_is_right_is_accepted(name, planted):
    refused = {source: v.message for source, v in verdicts(name, planted, planted.right).items() if v.status != "right"}
    assert not refused


@pytest.mark.parametrize("number", PLANTED)
def test_no_mistake_passes_and_nearly_all_are_named(number):
    missed, count = {}, 0
    for name, planted in PLANTED[number].items():
        for source, verdict in verdicts(name, planted, planted.wrong).items():
            count += 1
            assert verdict.status != "right", (name, source)
            named = verdict.status in ("mistake", "crash") or "float64" in verdict.message
            if not (named and re.search(planted.wrong[source], verdict.message.replace("\n", " "), re.IGNORECASE)):
                missed[f"{name}: {source}"] = verdict.message
    share = 1 - len(missed) / count
    print(f"notebook {number}: {count - len(missed)} of {count} mistakes named, {share:.1%}")
    assert share >= NAMED, missed
