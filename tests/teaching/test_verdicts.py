"""Verdicts: whatever a student hands in is met with words that fit, and nothing ever raises."""

import _sitebuiltins
import io
import math
import pydoc
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mpl_diffusion.teaching.exercises import EXERCISES, NOTEBOOKS, Case, Exercise, check, judge
from mpl_diffusion.teaching.exercises.engine import Attempt
from mpl_diffusion.teaching.exercises.examples import written

DIFFUSE = EXERCISES["diffuse"]


def said(name, function):
    return judge(EXERCISES[name], function)


def returns_ellipsis(x0, t, eps, alpha_bar):
    """Jump to t."""
    return ...


def has_an_empty_body(x0, t, eps, alpha_bar):
    """Jump to t."""


def has_three_dots(x0, t, eps, alpha_bar): ...


def raises_not_implemented(x0, t, eps, alpha_bar):
    raise NotImplementedError("write me")


def keeps_a_gap(x0, t, eps, alpha_bar):
    x_t = ...
    return x_t


@pytest.mark.parametrize(
    "stub", [returns_ellipsis, has_an_empty_body, has_three_dots, raises_not_implemented, keeps_a_gap]
)
def test_an_untouched_stub_is_not_attempted_yet(stub):
    message = f"not attempted yet: write the body of {stub.__name__}, then run this cell again"
    assert said("diffuse", stub) == ("untouched", message)


def test_a_gap_in_a_formula_is_not_finished_yet():
    verdict = said("diffuse", lambda x0, t, eps, alpha_bar: ... * x0 + (1 - alpha_bar[t]) * eps)
    assert verdict.status == "untouched" and "`...` still stands" in verdict.message


def forgets_return(x0, t, eps, alpha_bar):
    DIFFUSE.solution(x0, t, eps, alpha_bar)


def misspells(x0, t, eps, alpha_bar):
    return alfa_bar[t] * x0  # noqa: F821


def interrupted(x0, t, eps, alpha_bar):
    raise KeyboardInterrupt  # as the button "stop" does in an endless loop


OTHERS = [
    (forgets_return, "mistake", "returns nothing: hand"),
    (lambda x0, t, eps, alpha_bar: (x0, eps), "mistake", "returns a tuple; expected one tensor"),
    (lambda x0, t, eps, alpha_bar: x0.numpy(), "mistake", "returns a NumPy array; expected one tensor"),
    (lambda x0, t, eps, alpha_bar: x0[:1].sum(), "wrong", "shape (); expected shape (1, 2)"),
    (
        lambda x0, t, eps, alpha_bar: DIFFUSE.solution(x0, t, eps, alpha_bar).float(),
        "mistake",
        "torch.float32; expected",
    ),
    (lambda x0, t, eps, alpha_bar: DIFFUSE.solution(x0, t, torch.randn_like(eps), alpha_bar), "mistake", "use eps."),
    (lambda x0, t, eps, alpha_bar: 0.5 * (x0 + eps), "wrong", "You never use t and alpha_bar"),
    (lambda x0, t, alpha_bar: x0, "crash", "takes (x0, t, alpha_bar); expected the arguments of diffuse(x0, t, eps"),
    (lambda t, x0, eps, alpha_bar: x0, "crash", "in this order"),
    (torch.ones(3), "crash", "wants the function itself"),
    (
        misspells,
        "crash",
        "name 'alfa_bar' is not defined. It stops at the line `return alfa_bar[t] * x0  # noqa: F821`. Is that",
    ),
    (lambda x0, t, eps, alpha_bar: alpha_bar[t + 999] * x0, "crash", "T + 1 rows"),
    (lambda x0, t, eps, alpha_bar: alpha_bar[t / 2] * x0, "crash", "whole number"),
    (lambda x0, t, eps, alpha_bar: math.sqrt(alpha_bar[t]) * x0, "crash", "math.sqrt take one number"),
    (lambda x0, t, eps, alpha_bar: x0 if t > 0 else eps, "crash", "`if` wants one True or False"),
    (lambda x0, t, eps, alpha_bar: alpha_bar[t].squareroot() * x0, "crash", "misspelt"),
    (lambda x0, t, eps, alpha_bar: 2 * alpha_bar[t] * x0, "crash", "When t has shape (B,), so has alpha_bar[t]"),
    (lambda x0, t, eps, alpha_bar: alpha_bar[t[:, None]] * x0, "crash", "a plain number here"),
    (lambda x0, t, eps, alpha_bar: 1 / 0, "crash", "stops with ZeroDivisionError"),
    (lambda x0, t, eps, alpha_bar: alpha_bar[eps] * x0, "crash", "in this order: diffuse(x0, t, eps, alpha_bar)"),
    (lambda x0, t, eps, alpha_bar: x0.sum(7), "crash", "You name an axis that this tensor does not have"),
    (lambda x0, t, eps, alpha_bar: x0.min(1), "mistake", "values and their places together"),
    (lambda x0, t, eps, alpha_bar: x0.sqrt, "mistake", "are there brackets after its name?"),
    (lambda x0, t, eps, alpha_bar: exit(), "crash", "end the whole program"),
    (interrupted, "crash", "Does its loop ever end?"),
]


@pytest.mark.parametrize("function, status, words", OTHERS, ids=[words for _, _, words in OTHERS])
def test_anything_else_is_met_with_words_and_never_raises(function, status, words):
    verdict = said("diffuse", function)
    assert verdict.status == status
    assert words in verdict.message.replace("\n", " ")


def test_a_wrong_answer_is_told_where_it_is_right_and_given_one_example():
    def my_diffuse(x0, t, eps, alpha_bar):
        return DIFFUSE.solution(x0, t if isinstance(t, int) else t[-1], eps, alpha_bar)

    assert said("diffuse", my_diffuse) == (
        "wrong",
        "diffuse: not yet.\n"
        "Right on points with one t and images with one t; "
        "wrong on points with a batch of t and images with a batch of t.\n"
        "For example, take x0 = [[1], [1]], t = [1, 2], eps = [[0], [1]], alpha_bar = [1, 0.64, 0.36].\n"
        "Expected [[0.8], [1.4]], got [[0.6], [1.4]].\n"
        'Stuck? A tested solution is folded away below; check.solution("diffuse") shows it too.',
    )


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_a_wrong_answer_to_any_exercise_is_met_with_words(exercise):
    verdict = judge(exercise, lambda *args: 3 * exercise.solution(*args) + 7)
    assert verdict.status == "wrong" and "Stuck?" in verdict.message


def test_an_example_writes_tuples_out():
    words = "For example, take kernels = [3], strides = [1].\nExpected 3, got 16.\n"
    assert words in said("receptive_field", lambda k, s: 3 * EXERCISES["receptive_field"].solution(k, s) + 7).message


def test_an_example_writes_words_in_quotes_and_a_function_by_its_name():
    words = 'For example, take formula = "Ho & Salimans", scale = 3.\nExpected 4, got 2.5.\n'
    assert words in said("our_w", lambda formula, scale: {"Ho & Salimans": 2.5}.get(formula, scale)).message
    words = "take guide = eps_uncond + (w + 1) (eps_cond - eps_uncond).\nExpected 0, got 1.\n"
    assert words in said("off_at", lambda guide: 1.0).message


def test_parts_that_need_no_scaling_show_that_it_is_the_scale_that_is_wrong():
    def my_way(x, t, eps, parts):
        z = parts.scale(parts.scale(parts.encode(x)))
        return parts.decode(parts.unscale(parts.unscale(parts.sample(parts.diffuse(z, t, eps), t))))

    assert "Right on latents that need no scaling; wrong on" in said("image_to_image", my_way).message


@pytest.mark.parametrize("inplace", [lambda x, f: x.mul_(f), lambda x, f: x.__imul__(f)])
def test_a_right_answer_that_spoils_its_arguments_is_told_so(inplace):
    def my_step(x, beta_t, z):
        return inplace(x, (1 - beta_t).sqrt()) + beta_t.sqrt() * z

    verdict = said("chain_step", my_step)
    assert verdict.status == "mistake" and "changes x in place" in verdict.message


def test_a_verdict_is_the_same_whatever_was_drawn_before_and_draws_nothing_itself():
    def my_diffuse(x0, t, eps, alpha_bar):
        return x0 + torch.randn_like(x0)

    torch.manual_seed(1)
    first, state = said("diffuse", my_diffuse), torch.get_rng_state()
    torch.manual_seed(2)
    assert said("diffuse", my_diffuse) == first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def sets_everything(x0, t, eps, alpha_bar):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    return DIFFUSE.solution(x0, t, eps, alpha_bar)


def test_what_an_answer_sets_or_seeds_ends_with_its_check():
    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    assert said("diffuse", sets_everything).status == "right"
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
    assert (torch.rand(1), random.random(), np.random.rand()) == expected


def test_a_default_device_that_an_answer_sets_ends_with_its_check():
    def my_noise_std(alpha_bar_t):
        torch.set_default_device("meta")
        return (1 - alpha_bar_t).sqrt()

    assert said("noise_std", my_noise_std).status == "right"
    assert torch.rand(1).device.type == "cpu"


def test_exit_in_an_answer_ends_neither_a_notebooks_kernel_nor_the_input(monkeypatch):
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    stdin = io.StringIO()
    monkeypatch.setattr(sys, "stdin", stdin)
    assert said("noise_std", lambda alpha_bar_t: shell.ask_exit()).status == "crash"
    assert said("noise_std", lambda alpha_bar_t: _sitebuiltins.Quitter("exit", "")()).status == "crash"
    assert vars(shell) == {} and sys.stdin is stdin and not stdin.closed


def no_gradient(how):
    """A loss that is right, and whose gradient is lost."""

    def my_loss(net, x0, t, eps, alpha_bar):
        return how(EXERCISES["loss"].solution(net, x0, t, eps, alpha_bar))

    return my_loss


def gone_backward(loss):
    loss.backward()
    return loss


@pytest.mark.parametrize(
    "how",
    [torch.Tensor.item, torch.Tensor.detach, lambda v: v.detach().requires_grad_(), lambda v: v.data, gone_backward],
)
def test_a_loss_that_cannot_be_learned_from_is_not_right(how):
    assert "its gradient does not reach the network's weights" in said("loss", no_gradient(how)).message


def test_a_loss_without_gradients_is_not_right_and_one_in_a_session_without_gradients_is():
    solution = EXERCISES["loss"].solution
    assert "does not reach the network's weights" in said("loss", torch.no_grad()(solution)).message
    with torch.no_grad():
        assert said("loss", solution).status == "right"
        assert said("loss", no_gradient(torch.Tensor.item)).status == "mistake"


def test_one_number_is_compared_by_its_value():
    in_float32 = said("times_smaller", lambda a, b: torch.tensor(a).prod() / torch.tensor(b).prod())
    assert in_float32.status == "right"
    assert Attempt(EXERCISES["times_smaller"], lambda a, b: 48).agrees[1:3] == [True, True]


def test_a_search_that_ends_without_return_is_told_so():
    def my_half_point(alpha_bar):
        for t in range(10):
            if alpha_bar[t % len(alpha_bar)] < 0.4:
                return t

    message = said("half_point", my_half_point).message
    assert "On the linear table, my_half_point returns nothing" in message and "Does a loop end" in message


def test_an_index_beyond_a_tuple_is_not_told_about_tables():
    message = said("receptive_field", lambda kernels, strides: kernels[9]).message
    assert "beyond the end" in message and "T + 1" not in message


def test_an_index_beyond_the_lectures_table_is_told_about_that_one():
    assert "table has T rows" in said("forward_diffusion", lambda x_0, t, eps, betas: betas[99] * x_0).message


def test_noise_that_nobody_asked_for_is_told_so():
    def my_ddim_step(x_t, t, t_next, eps, alpha_bar):
        return x_t + torch.randn_like(x_t)

    assert "No noise is asked for" in said("ddim_step", my_ddim_step).message


def test_arguments_taken_in_another_order_are_told_so():
    def my_loss(net, x0, eps, time, table):
        return EXERCISES["loss"].solution(net, x0, time, eps, table)

    assert "You have exchanged t and eps" in said("loss", my_loss).message


def test_an_answer_with_nan_is_told_so():
    assert "has NaN in it" in said("noise_std", lambda alpha_bar_t: (alpha_bar_t - 3).sqrt()).message


def test_minus_zero_is_written_as_zero():
    assert written(torch.tensor([-0.0, -5 / 3])) == "[0, -1.667]"


def test_a_built_in_function_and_an_object_are_judged_too():
    class Doubled:
        def __call__(self, alpha_bar_t):
            return 2 * alpha_bar_t

    assert "That is the signal" in said("noise_std", torch.sqrt).message
    assert "Expected 0.6, got 1.28." in said("noise_std", Doubled()).message


def test_a_whole_number_must_be_one():
    verdict = said("half_point", lambda alpha_bar: float((alpha_bar > 0.5).sum()))
    assert verdict.status == "mistake" and "expected whole numbers" in verdict.message


# ------------------------------------------------------------------------------------------ what the student sees


def test_a_check_prints_its_verdict_and_returns_nothing(capsys):
    assert check.diffuse(DIFFUSE.solution) is None
    assert capsys.readouterr().out == "diffuse: right, on points and images, for one t and a batch of them.\n"
    assert check.diffuse(DIFFUSE.mistakes[6].formula) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "diffuse: not yet." and max(map(len, lines)) <= 100


def test_check_lists_its_exercises_and_refuses_others_by_name():
    assert set(dir(check)) == {*EXERCISES, "solution"}
    assert all(name in repr(check) for name in EXERCISES)
    with pytest.raises(AttributeError, match=r"no exercise 'difuse'; there are lecture_index, .*diffuse"):
        check.difuse  # noqa: B018
    with pytest.raises(AttributeError, match="no exercise 'difuse'"):
        check.solution("difuse")


def test_help_states_the_arguments_that_are_expected():
    text = pydoc.plain(pydoc.render_doc(check.diffuse))
    assert "diffuse(x0, t, eps, alpha_bar)" in text and DIFFUSE.task in text


@pytest.mark.parametrize("name", EXERCISES)
def test_a_shown_solution_is_code_that_is_right(name):
    shown = check.solution(name)
    assert repr(shown).startswith(f"def my_{name}(") and shown._repr_markdown_().startswith("```python\ndef")
    scope = {"torch": torch, "math": math, "Tensor": torch.Tensor}
    exec(shown, scope)
    assert said(name, scope[f"my_{name}"]).status == "right"


def test_every_name_is_used_once_and_none_hides_the_solutions():
    names = [exercise.name for exercises in NOTEBOOKS.values() for exercise in exercises]
    assert len(names) == len(set(names)) and "solution" not in names


def test_a_new_exercise_is_data_alone():
    def double(x):
        return 2 * x

    exercise = Exercise(double, "twice x", "on numbers", lambda: [Case("numbers", (3,))], mistakes=())
    assert judge(exercise, lambda x: x + x) == ("right", "double: right, on numbers.")
    assert "For example, take x = 3.\nExpected 6, got 81." in judge(exercise, lambda x: x**4).message
    assert "one of the numbers in your formula is wrong" in judge(exercise, lambda x: 3 * x).message
