"""Tables that are taken for alpha_bar where it has to be built from beta: the same mistakes in several exercises."""

from collections.abc import Callable

from .engine import Mistake

WRONG = {
    "1 - product": (
        lambda beta: 1 - beta.cumprod(0),
        "Your alpha_bar is 1 minus a product of betas. Subtract first, each beta from 1, and then take the product.",
    ),
    "1 - sum": (
        lambda beta: 1 - beta.cumsum(0),
        "Your alpha_bar is 1 minus the sum of the betas. Each step takes its part of what is left, so they multiply.",
    ),
    "sum": (
        lambda beta: (1 - beta).cumsum(0),
        "Your alpha_bar is a sum over the steps. Each step leaves a part of what is left, so the parts multiply.",
    ),
    "betas": (
        lambda beta: beta.cumprod(0),
        "Your alpha_bar is a product of betas, the part that each step takes away. Multiply what each step leaves.",
    ),
    "alpha": (
        lambda beta: 1 - beta,
        "You take alpha_t, what one step leaves, for alpha_bar_t. That is the product over all steps up to t.",
    ),
    "noise": (
        lambda beta: 1 - (1 - beta).cumprod(0),
        "Your alpha_bar is the variance of the noise. alpha_bar is what is left of the signal: it starts at 1.",
    ),
    "signal": (
        lambda beta: (1 - beta).cumprod(0).sqrt(),
        "Your alpha_bar has one root too many: it is the signal's amplitude, and alpha_bar a variance.",
    ),
    "twice": (
        lambda beta: (1 - beta).cumprod(0).cumprod(0),
        "You take the product over all steps twice. Once gives alpha_bar.",
    ),
}


def with_wrong_alpha_bar(formula: Callable, *known: str) -> tuple[Mistake, ...]:
    """Mistakes in an exercise whose last argument is beta: formula(alpha_bar, *its arguments) -> its answer.

    Those that are `known` have a sentence of their own there.
    """
    return tuple(
        Mistake(lambda *args, wrong=wrong: formula(wrong(args[-1]), *args), sentence)
        for name, (wrong, sentence) in WRONG.items()
        if name not in known
    )
