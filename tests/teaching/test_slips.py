"""Small slips and relations: what no table of mistakes thought of is named all the same, and rightly."""

import ast
import inspect
import textwrap

import pytest
import torch

from mpl_diffusion.teaching.exercises import EXERCISES, Case, Exercise, judge
from mpl_diffusion.teaching.exercises.engine import Attempt
from mpl_diffusion.teaching.exercises.slips import changes, slips


def a_mean(x, t, eps, table):
    """A formula of no notebook, in which most slips can be made."""
    noise = (1 - table[t]).sqrt()
    return (x - noise * eps) / table[t].sqrt() + table[t - 1] * (x + eps)


def cases():
    x, eps = torch.tensor([[0.3, -1.2]], dtype=torch.float64), torch.tensor([[0.7, 0.4]], dtype=torch.float64)
    table = torch.tensor([1, 0.9, 0.7, 0.4, 0.3], dtype=torch.float64)
    yield Case("points", (x, 2, eps, table))
    yield Case("points", (eps, 3, x, table))


EXERCISE = Exercise(a_mean, "a number per point", "on points", cases, mistakes=())


@pytest.mark.parametrize(
    "source, words",
    [
        ("(x - (1 - table[t]) * eps) / table[t].sqrt() + table[t - 1] * (x + eps)", "a square root is missing"),
        ("(x - (1 - table[t]) * eps) / table[t] + table[t - 1] * (x + eps)", "more than one square root is missing"),
        ("(x - noise.sqrt() * eps) / table[t].sqrt() + table[t - 1] * (x + eps)", "one square root too many"),
        ("(x - (1 - table[t].sqrt()) * eps) / table[t].sqrt() + table[t - 1] * (x + eps)", "root is taken before"),
        ("(x - noise * eps) / table[t].sqrt() + table[t - 1] ** 2 * (x + eps)", "squared that should not be"),
        ("(x + noise * eps) / table[t].sqrt() + table[t - 1] * (x + eps)", "a sign is wrong"),
        ("(x + noise * eps) / table[t].sqrt() - table[t - 1] * (x + eps)", "more than one sign is wrong"),
        ("(noise * eps - x) / table[t].sqrt() + table[t - 1] * (x + eps)", "a sign is wrong"),
        ("(x - noise * eps) * table[t].sqrt() + table[t - 1] * (x + eps)", "multiply where you should divide"),
        ("(x - noise / eps) / table[t].sqrt() + table[t - 1] * (x + eps)", "divide where you should multiply"),
        ("(x - noise * eps) + table[t - 1] * (x + eps)", "a division is missing"),
        ("table[t].sqrt() / (x - noise * eps) + table[t - 1] * (x + eps)", "a fraction is upside down"),
        ("x - noise * eps / table[t].sqrt() + table[t - 1] * (x + eps)", "check the brackets"),
        ("(x - noise * eps) / table[t].sqrt() + table[t - 1] * x + eps", "check the brackets"),
        ("(x - table[t].sqrt() * eps) / table[t].sqrt() + table[t - 1] * (x + eps)", "stands where 1 minus it belongs"),
        ("(x - noise * eps) / table[t].sqrt() + (1 - table[t - 1]) * (x + eps)", "1 minus a quantity stands where"),
        ("(x - noise * eps) / table[t].sqrt() + table[t - 2] * (x + eps)", "one row too early"),
        ("(x - noise * eps) / table[t].sqrt() + table[t] * (x + eps)", "one row too late"),
        ("a_mean(x, t - 1, eps, table)", "one row too early"),
        ("(x - noise * eps) / table[t].sqrt()", "a term is missing"),
        ("(x - noise) / table[t].sqrt() + table[t - 1] * (x + eps)", "a factor is missing, the one with eps"),
        ("(x - noise * x) / table[t].sqrt() + table[t - 1] * (x + eps)", "you use x where eps belongs"),
        ("(x - noise * eps) / table[t].sqrt() + 2 * table[t - 1] * (x + eps)", "twice as large"),
        ("a_mean(eps, t, x, table)", "exchanged x and eps"),
        ("-a_mean(x, t, eps, table)", "Right but for the sign"),
        ("3 * a_mean(x, t, eps, table)", "3 times what is expected"),
        ("a_mean(x, t, eps, table) + 0.5", "larger by 0.5"),
        ("1 / a_mean(x, t, eps, table)", "Upside down"),
        ("a_mean(x, t, eps, table)[0]", "Your numbers are right, but their shape is not"),
        ("a_mean(x, t, eps, table) + 1e-8 * x", "it has lost digits"),
        ("a_mean(x, t, eps, table).float()", "torch.float32; expected torch.float64"),
    ],
)
def test_one_slip_is_named(source, words):
    scope = {"a_mean": a_mean}
    exec(f"def my_mean(x, t, eps, table):\n    noise = (1 - table[t]).sqrt()\n    return {source}", scope)
    verdict = judge(EXERCISE, scope["my_mean"])
    assert verdict.status == "mistake" and words in verdict.message.replace("\n", " ")


def a_table(x):
    return x.cumprod(0)


TABLE = Exercise(a_table, "a table", "on tables", lambda: [Case("a table", (torch.tensor([0.9, 0.8, 0.7, 0.6]),))], ())


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda v: v[1:], "The first row is missing"),
        (lambda v: v[:-1], "The last row is missing"),
        (lambda v: torch.cat([torch.ones(1), v]), "one row too many, the first"),
        (lambda v: torch.cat([v, torch.zeros(1)]), "one row too many, the last"),
        (lambda v: v.flip(0), "opposite order"),
        (lambda v: torch.cat([torch.ones(1), v[:-1]]), "one row too late"),
        (lambda v: torch.cat([v[1:], torch.ones(1)]), "one row too early"),
        (lambda v: v[[1, 0, 3, 2]], "in another order"),
        (lambda v: v**2, "the square of what is expected"),
        (lambda v: 1 - v, "1 minus"),
        (lambda v: torch.cat([v[:1] * torch.nan, v[1:]]), "Row 0 is wrong, and all others are right"),
        (lambda v: torch.cat([v[:-1], torch.zeros(1)]), "The last row is wrong"),
    ],
)
def test_how_a_wrong_table_stands_to_the_right_one_is_said(change, words):
    verdict = judge(TABLE, lambda x: change(x.cumprod(0)))
    assert verdict.status == "mistake" and words in verdict.message


def test_slips_in_another_right_form_are_named_too():
    def over_a_denominator(x, t, eps, table):
        return (x - (1 - table[t]).sqrt() * eps + table[t - 1] * table[t].sqrt() * (x + eps)) / table[t].sqrt()

    def my_mean(x, t, eps, table):
        return (x - (1 - table[t]).sqrt() * eps + table[t - 1] * table[t - 1].sqrt() * (x + eps)) / table[t].sqrt()

    assert judge(EXERCISE, my_mean).status == "wrong"
    exercise = Exercise(a_mean, "", "", cases, (), forms=(over_a_denominator,))
    assert "one row too early" in judge(exercise, my_mean).message


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_another_form_is_right_too(exercise):
    assert all(judge(exercise, form).status == "right" for form in exercise.forms)


@pytest.mark.parametrize("exercise", [EXERCISE, EXERCISES["ddpm_step"], EXERCISES["time_features"]])
def test_each_slip_changes_one_thing_and_the_formula_is_whole_again_after_it(exercise):
    tree = ast.parse(textwrap.dedent(inspect.getsource(exercise.solution)))
    whole, seen = ast.unparse(tree), 0
    for _ in changes(tree, exercise.arguments):
        seen += 1
    assert seen > 50 and ast.unparse(tree) == whole
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    assert len(nodes) == len(set(map(id, nodes)))  # or a later change would show at two places


def test_a_sentence_about_a_slip_names_only_what_a_student_knows():
    for sentence, _, _ in slips(EXERCISES["ddim_eta"]):
        assert "a_next" not in sentence and "on_eps" not in sentence


def test_a_solution_without_a_source_has_no_slips():
    scope = {}
    exec("def double(x):\n    return 2 * x", scope)
    exercise = Exercise(scope["double"], "twice x", "on numbers", lambda: [Case("numbers", (3,))], ())
    assert slips(exercise) == []
    assert judge(exercise, lambda x: 3 * x).status == "wrong"


def test_an_answer_that_is_right_but_for_its_dtype_has_no_slip():
    verdict = judge(EXERCISES["drop_captions"], lambda *args: EXERCISES["drop_captions"].solution(*args).double())
    assert "expected whole numbers" in verdict.message
    assert Attempt(EXERCISES["our_w"], lambda formula, scale: 1).agrees.count(True) == 0
    assert "float64" not in judge(EXERCISES["our_w"], lambda formula, scale: 1).message
