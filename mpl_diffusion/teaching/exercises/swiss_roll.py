"""Exercises of notebook 04, first half: reading x0 out of the noise, and the loss."""

import torch
from torch import nn

from .engine import Case, Exercise, Mistake
from .inputs import Random, per_row, table


def x0_from_eps(x_t, t, eps, alpha_bar):
    alpha_bar_t = alpha_bar[t].reshape(-1, *[1] * (x_t.ndim - 1))
    return (x_t - (1 - alpha_bar_t).sqrt() * eps) / alpha_bar_t.sqrt()


def jumps():
    return (Case(*jump) for jump in Random().jumps())


def with_rates(read):
    """A wrong x0_from_eps: x_t, eps, signal, noise -> x0."""

    def formula(x_t, t, eps, alpha_bar):
        a = per_row(alpha_bar[t], x_t)
        return read(x_t, eps, a.sqrt(), (1 - a).sqrt())

    return formula


def in_two_parts(x_t, t, eps, alpha_bar):
    alpha_bar_t = alpha_bar[t].reshape(-1, *[1] * (x_t.ndim - 1))
    return x_t / alpha_bar_t.sqrt() - ((1 - alpha_bar_t) / alpha_bar_t).sqrt() * eps


X0_FROM_EPS = Exercise(
    solution=x0_from_eps,
    forms=(in_two_parts,),
    task="the clean sample that eps implies, on points and images; t is one number or has shape (B,)",
    praise="on points and images, for one t and a batch of them",
    cases=jumps,
    mistakes=(
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: x_t - noise * eps),
            "You take the noise away, and what is left is the *shrunk* copy. Undo the shrinking too.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: (x_t - noise * eps) / signal**2),
            "You divide by alpha_bar, a variance. x0 was multiplied by an amplitude.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: (x_t - noise**2 * eps) / signal),
            "You subtract eps times the variance of the noise. eps was multiplied by its std.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: (x_t - noise**2 * eps) / signal**2),
            "Both of your factors are variances. x0 and eps were multiplied by amplitudes.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: (x_t + noise * eps) / signal),
            "You add the noise once more. Solve x_t = signal x0 + noise eps for x0, and check the sign.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: (x_t - eps) / signal),
            "You subtract all of eps. Only a part of it, the std of the noise at t, went into x_t.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: x_t - noise / signal * eps),
            "You divide the noise alone. x_t has to be divided as well: check the brackets.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: (x_t - signal * eps) / noise),
            "Signal and noise have changed places. That is how eps is found when x0 is known.",
        ),
        Mistake(
            lambda x_t, t, eps, alpha_bar: x0_from_eps(x_t, t - 1, eps, alpha_bar),
            "You read the table at t - 1, as the lecture's snippets must. Ours has a row 0 for the clean data.",
        ),
        Mistake(
            lambda x_t, t, eps, alpha_bar: (x_t - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt(),
            "Your formula is right for one t. For a batch, alpha_bar[t] has shape (B,) and meets the *last* axis of "
            "x_t: reshape it, so that it has one number per row of x_t.",
        ),
        Mistake(
            lambda x_t, t, eps, alpha_bar: (
                (x_t - (1 - alpha_bar[t]).view(-1, 1, 1, 1).sqrt() * eps) / alpha_bar[t].view(-1, 1, 1, 1).sqrt()
            ),
            "Right on images, with four axes. Points have two: let ndim say how many ones there are.",
        ),
        Mistake(
            lambda x_t, t, eps, alpha_bar: (
                (x_t - (1 - alpha_bar[t]).view(-1, 1).sqrt() * eps) / alpha_bar[t].view(-1, 1).sqrt()
            ),
            "Right on points, with two axes. Images have four: let ndim say how many ones there are.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: x_t * signal - noise * eps),
            "You multiply by the signal, though x0 was multiplied by it already. Divide, eps as well.",
        ),
        Mistake(
            with_rates(lambda x_t, eps, signal, noise: signal * x_t + noise * eps),
            "That is the way from x0 to x_t, which adds noise. Solve it for x0.",
        ),
    ),
)


def loss(net, x0, t, eps, alpha_bar):
    alpha_bar_t = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
    x_t = alpha_bar_t.sqrt() * x0 + (1 - alpha_bar_t).sqrt() * eps
    return ((net(x_t, t) - eps) ** 2).mean()


class Net(nn.Module):
    """A net that was never trained. Its output depends on x, on the time and on one weight, which could be learned."""

    def __init__(self, weight: float):
        super().__init__()
        self.weight = nn.Parameter(table(weight))
        self.__name__ = "a net that always answers 0" if weight == 0 else f"a net with weight {weight:g}"

    def forward(self, x, t):
        return self.weight * torch.tanh(x + per_row(torch.as_tensor(t, dtype=x.dtype) / 40, x))


def losses():
    yield Case("points with one t", (Net(0.0), table(1, 0)[None], 1, table(0, 1)[None], table(1, 0.64)))
    for kind, args in Random().jumps():
        yield Case(kind, (Net(0.9), *args))


def with_error(error):
    """A wrong loss: net, x_t, t, x0, eps -> one number."""

    def formula(net, x0, t, eps, alpha_bar):
        a = per_row(alpha_bar[t], x0)
        return error(net, a.sqrt() * x0 + (1 - a).sqrt() * eps, t, x0, eps)

    return formula


LOSS = Exercise(
    solution=loss,
    task="one number: the mean squared error of net(x_t, t) against eps, with x_t made from x0, t and eps",
    praise="on points and images, for one t and a batch of them",
    cases=losses,
    mistakes=(
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t) - x0) ** 2).mean()),
            "You compare with x0, the clean data. This net is asked for the noise.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t) - x_t) ** 2).mean()),
            "You compare with x_t, which the net was shown: it could copy it. This net is asked for the noise in it.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x0, t) - eps) ** 2).mean()),
            "Your net is shown x0, which has no noise to find. Show it the noisy sample.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(eps, t) - eps) ** 2).mean()),
            "Your net is shown the very noise it should find. Show it the noisy sample.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t) - eps) ** 2).sum()),
            "You add the squared errors up, so the loss grows with the batch. Take their mean.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t) - eps) ** 2).sum() / len(x0)),
            "You add up within each sample, so the loss grows with the size of an image. Take the mean over all.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: (net(x_t, t) - eps).abs().mean()),
            "That is the mean of the absolute errors. Square them instead.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: (net(x_t, t) - eps).mean()),
            "Your errors may be of either sign, and cancel. Square them first.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: (net(x_t, t) - eps).mean() ** 2),
            "You take the mean first and the square after it, so errors of either sign cancel. The other way round.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t) - eps) ** 2).mean().sqrt()),
            "You take a root at the end. The squared error itself is asked for.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: (net(x_t, t) - eps) ** 2),
            "You return one squared error per number. A loss is a single number: their mean.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t - 1) - eps) ** 2).mean()),
            "You tell the net t - 1. In this course it is told t itself.",
        ),
        Mistake(
            lambda net, x0, t, eps, alpha_bar: loss(net, x0, t, eps, 1 - alpha_bar),
            "In your x_t, signal and noise have changed places.",
        ),
        Mistake(
            lambda net, x0, t, eps, alpha_bar: (
                (net(per_row(alpha_bar[t], x0) * x0 + per_row(1 - alpha_bar[t], x0) * eps, t) - eps) ** 2
            ).mean(),
            "Your x_t is mixed with variances. What multiplies x0 or eps must be on the scale of a std.",
        ),
        Mistake(
            lambda net, x0, t, eps, alpha_bar: (
                (net(per_row(alpha_bar[t], x0) * x0 + per_row(1 - alpha_bar[t], x0).sqrt() * eps, t) - eps) ** 2
            ).mean(),
            "In your x_t, x0 is multiplied by alpha_bar, a variance. Use an amplitude.",
        ),
        Mistake(
            lambda net, x0, t, eps, alpha_bar: (
                (net(alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps, t) - eps) ** 2
            ).mean(),
            "Your formula is right for one t. For a batch, alpha_bar[t] has shape (B,) and meets the *last* axis of "
            "x0, sometimes silently: reshape it, so that it has one number per row of x0.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, t) - eps) ** 2).sum(1).mean()),
            "You add up along axis 1 before you take the mean. Take the mean over all axes.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: (net(x_t, t) - eps).norm()),
            "That is the length of the error, a root of a sum. The mean of the squares is asked for.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: (net(x_t, t) ** 2 - eps**2).mean()),
            "You subtract squares. Subtract first, and square the difference.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x0 + eps, t) - eps) ** 2).mean()),
            "You show the net x0 + eps. x_t is a shrunk x0 plus a part of eps, as alpha_bar at t says.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(eps, t) - x0) ** 2).mean()),
            "You show the net eps and compare with x0: that is a leap in one step. Show it x_t, and compare with eps.",
        ),
        Mistake(
            lambda net, x0, t, eps, alpha_bar: with_error(
                lambda net, x_t, t, x0, eps: ((net(x_t, alpha_bar[t]) - eps) ** 2).mean()
            )(net, x0, t, eps, alpha_bar),
            "You tell the net alpha_bar_t. In this course it is told t itself.",
        ),
        Mistake(
            lambda net, x0, t, eps, alpha_bar: (
                (
                    net(
                        alpha_bar[t].view(-1, 1, 1, 1).sqrt() * x0 + (1 - alpha_bar[t]).view(-1, 1, 1, 1).sqrt() * eps,
                        t,
                    )
                    - eps
                )
                ** 2
            ).mean(),
            "Right on images, with four axes. Points have two: let ndim say how many ones there are.",
        ),
        Mistake(
            with_error(lambda net, x_t, t, x0, eps: ((net(x_t, 0 * t) - eps) ** 2).mean()),
            "You tell the net t = 0, whatever t is.",
        ),
    ),
)

EXERCISES = (X0_FROM_EPS, LOSS)
