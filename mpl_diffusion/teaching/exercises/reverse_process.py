"""Exercises of notebook 03: the step back when x_0 is known, its variance, and its mean in terms of the noise."""

import torch

from .alpha_bars import with_wrong_alpha_bar
from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def posterior_mean(x_t, x0, t, beta):
    alpha, alpha_bar = 1 - beta, (1 - beta).cumprod(0)
    on_x0 = alpha_bar[t - 1].sqrt() * beta[t] / (1 - alpha_bar[t])
    on_x_t = alpha[t].sqrt() * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
    return on_x0 * x0 + on_x_t * x_t


def two_points():
    random = Random()
    yield Case("points", (table(1, 0)[None], table(0, 1)[None], 2, table(0, 0.2, 0.5)))
    yield Case("the last step (from t = 1)", (table(1, 0)[None], table(0, 1)[None], 1, table(0, 0.2)))
    for kind, shape in random.shapes():
        yield Case(kind, (random.normal(*shape), random.normal(*shape), 30, random.beta()))


def with_rates(mean):
    """A wrong posterior_mean: x_t, x0, and beta_t, alpha_t, alpha_bar_t, alpha_bar_{t-1} -> the mean."""

    def formula(x_t, x0, t, beta):
        alpha_bar = (1 - beta).cumprod(0)
        return mean(x_t, x0, beta[t], 1 - beta[t], alpha_bar[t], alpha_bar[t - 1])

    return formula


def over_one_denominator(x_t, x0, t, beta):
    alpha = 1 - beta
    alpha_bar = alpha.cumprod(0)
    return (alpha_bar[t - 1].sqrt() * beta[t] * x0 + alpha[t].sqrt() * (1 - alpha_bar[t - 1]) * x_t) / (
        1 - alpha_bar[t]
    )


POSTERIOR_MEAN = Exercise(
    solution=posterior_mean,
    forms=(over_one_denominator,),
    task="the mean of q(x_{t-1} | x_t, x_0); t is a whole number, beta the table with row 0",
    praise="on points and images, also in the last step",
    cases=two_points,
    mistakes=(
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x_t + a.sqrt() * (1 - ab_1) * x0) / (1 - ab)),
            "You exchanged the two: which of x_t and x_0 should count for more when the step is small?",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab_1 * b * x0 + a.sqrt() * (1 - ab_1) * x_t) / (1 - ab)),
            "The root of alpha_bar is missing on x_0: it stands for an amplitude there.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + a * (1 - ab_1) * x_t) / (1 - ab)),
            "The root of alpha_t is missing on x_t: it stands for an amplitude there.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab.sqrt() * b * x0 + a.sqrt() * (1 - ab_1) * x_t) / (1 - ab)),
            "On x_0 you take alpha_bar at t. The step arrives at t - 1.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + a.sqrt() * (1 - ab) * x_t) / (1 - ab)),
            "On x_t you take the noise at t. What was left of it one step earlier?",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: ab_1.sqrt() * b * x0 + a.sqrt() * (1 - ab_1) * x_t),
            "You forgot to divide by the variance of all the noise at t: the two weights do not add up yet.",
        ),
        Mistake(
            with_rates(
                lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + ab.sqrt() * (1 - ab_1) * x_t) / (1 - ab)
            ),
            "On x_t you take alpha_bar. This factor knows one step only: alpha_t, with no bar.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (a.sqrt() * b * x0 + a.sqrt() * (1 - ab_1) * x_t) / (1 - ab)),
            "On x_0 you take alpha_t, which is one step. From x_0 to t - 1 there are many: alpha_bar.",
        ),
        Mistake(
            with_rates(
                lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + a.sqrt() * (1 - ab_1) * x_t) / (1 - ab_1)
            ),
            "In the denominator you take alpha_bar at t - 1. Divide by the variance of all the noise at t.",
        ),
        Mistake(
            with_rates(
                lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + a.sqrt() * (1 - ab_1) * x_t) / (1 - ab).sqrt()
            ),
            "You divide by the root of 1 - alpha_bar, a std. Divide by the variance.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab_1 * b * x0 + a * (1 - ab_1) * x_t) / (1 - ab)),
            "Both roots are missing: on x_0 and on x_t stand variances where amplitudes belong.",
        ),
        Mistake(
            with_rates(
                lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * (1 - b) * x0 + a.sqrt() * (1 - ab_1) * x_t) / (1 - ab)
            ),
            "On x_0 you take alpha_t where beta_t belongs.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + a.sqrt() * ab_1 * x_t) / (1 - ab)),
            "On x_t you take the signal at t - 1. It is the noise there, 1 - alpha_bar, that counts.",
        ),
        *with_wrong_alpha_bar(
            lambda alpha_bar, x_t, x0, t, beta: (
                (alpha_bar[t - 1].sqrt() * beta[t] * x0 + (1 - beta[t]).sqrt() * (1 - alpha_bar[t - 1]) * x_t)
                / (1 - alpha_bar[t])
            )
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (b * x0 + (1 - ab) * x_t - b * x_t) / (1 - ab)),
            "Your two weights sum to 1. They do not: x_t is noisy, and smaller than x_0 in its signal.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: (b * x0 + (1 - ab_1) * x_t) / (1 - ab)),
            "The amplitudes are missing: a root of alpha_bar on x_0, and a root of alpha_t on x_t.",
        ),
        Mistake(
            with_rates(lambda x_t, x0, b, a, ab, ab_1: ab_1.sqrt() * x0 + (1 - ab_1).sqrt() * x_t),
            "That is a jump from x_0 to t - 1 with x_t in place of the noise. Weigh x_0 and x_t as the posterior does.",
        ),
        Mistake(
            with_rates(
                lambda x_t, x0, b, a, ab, ab_1: (ab_1.sqrt() * b * x0 + (a * (1 - ab_1)).sqrt() * x_t) / (1 - ab)
            ),
            "On x_t the root ends too late: of alpha_t it is taken, of 1 - alpha_bar it is not.",
        ),
    ),
)


def beta_tilde(beta):
    alpha_bar = (1 - beta).cumprod(0)
    tilde = beta.clone()
    tilde[1:] *= (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
    return tilde


def tilde_from(alpha_bar, beta):
    tilde = beta.clone()
    tilde[1:] = beta[1:] * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
    return tilde


def tables():
    yield Case("a short table", (table(0, 0.2, 0.5),))
    yield Case("a longer table", (Random().beta(),))


def scaled(factor):
    """A wrong beta_tilde: beta_t times factor(noise variance at t - 1, at t)."""

    def formula(beta):
        noise = 1 - (1 - beta).cumprod(0)
        variance = beta.clone()
        variance[1:] *= factor(noise[:-1], noise[1:])
        return variance

    return formula


BETA_TILDE = Exercise(
    solution=beta_tilde,
    task="the table of the variances of q(x_{t-1} | x_t, x_0), T + 1 rows, row 0 is 0",
    praise="in every row",
    cases=tables,
    mistakes=(
        Mistake(
            lambda beta: beta.clone(),
            "That is beta itself, the variance if x_0 were not known. Knowing x_0 makes you more certain.",
        ),
        Mistake(
            lambda beta: beta_tilde(beta).sqrt(),
            "That is the std. The question asks for the variance.",
        ),
        Mistake(
            scaled(lambda before, now: (before / now).sqrt()),
            "You scale by a ratio of stds. beta is a variance: scale it by a ratio of variances.",
        ),
        Mistake(
            scaled(lambda before, now: (1 - before) / (1 - now)),
            "You scale by a ratio of signals, alpha_bar. It is the noise, 1 - alpha_bar, that counts.",
        ),
        Mistake(
            scaled(lambda before, now: before),
            "You forgot to divide by the variance of the noise at t.",
        ),
        Mistake(
            lambda beta: beta_tilde(beta)[1:],
            "Row 0 is missing: the table has T + 1 rows, and row 0 is 0.",
        ),
        Mistake(
            scaled(lambda before, now: now / before),
            "Your fraction is upside down: it is infinite in row 1. Knowing x_0 makes you more certain.",
        ),
        Mistake(
            lambda beta: beta_tilde(beta) / torch.cat([table(1), beta[1:]]),
            "That is the fraction alone. It has to multiply beta.",
        ),
        *(
            Mistake(
                lambda beta, factor=factor: torch.cat([table(float("nan")), factor(beta)]),
                "Row 0 is NaN, for there is no noise there and you divide 0 by 0; and beta is missing as a factor.",
            )
            for factor in (lambda beta: (beta_tilde(beta) / beta)[1:], lambda beta: (beta / beta_tilde(beta))[1:])
        ),
        Mistake(
            lambda beta: torch.cat([table(float("nan")), beta_tilde(beta)[1:]]),
            "Row 0 is NaN: there is no noise there, and you divide 0 by 0. Set it to 0, or begin at row 1.",
        ),
        Mistake(
            lambda beta: torch.cat([table(0), beta_tilde(beta)[1:] / beta[1:] * beta[:-1]]),
            "You take beta one row too early. In row t, beta_t is multiplied by the fraction.",
        ),
        Mistake(
            lambda beta: torch.cat([table(0), (1 - (1 - beta).cumprod(0))[:-1]]),
            "That is the noise at t - 1 alone. Divide it by the noise at t, and multiply by beta.",
        ),
        *with_wrong_alpha_bar(tilde_from, "betas", "noise"),
    ),
)


def mean_from_eps(x_t, t, eps, beta):
    alpha_bar = (1 - beta).cumprod(0)
    return (x_t - beta[t] / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()


def noisy_points():
    random = Random()
    yield Case("points", (table(1, 1)[None], 2, table(0, 1)[None], table(0, 0.2, 0.5)))
    for kind, shape in random.shapes():
        yield Case(kind, (random.normal(*shape), 30, random.normal(*shape), random.beta()))


def with_noise(mean):
    """A wrong mean_from_eps: x_t, eps, beta_t and the noise variance at t -> the mean."""

    def formula(x_t, t, eps, beta):
        return mean(x_t, eps, beta[t], 1 - (1 - beta).cumprod(0)[t])

    return formula


def in_alphas(x_t, t, eps, beta):
    alpha = 1 - beta
    alpha_bar = alpha.cumprod(0)
    return 1 / alpha[t].sqrt() * (x_t - (1 - alpha[t]) / (1 - alpha_bar[t]).sqrt() * eps)


MEAN_FROM_EPS = Exercise(
    solution=mean_from_eps,
    forms=(in_alphas,),
    task="the mean of the step from t to t - 1, when eps is all the noise in x_t",
    praise="on points and images",
    cases=noisy_points,
    mistakes=(
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t + b / s2.sqrt() * eps) / (1 - b).sqrt()),
            "You add the noise once more. A step back takes it away.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b / s2 * eps) / (1 - b).sqrt()),
            "You divide by a variance. eps is scaled by the std of the noise at t.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: x_t - b / s2.sqrt() * eps),
            "You forgot to undo the shrinking of this one step.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b / s2.sqrt() * eps) / (1 - b)),
            "You undo the shrinking by alpha_t. The step shrank by its root.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b.sqrt() * eps) / (1 - b).sqrt()),
            "You take eps for the noise of step t alone. It is the total noise, and a step takes a share of it.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - s2.sqrt() * eps) / (1 - b).sqrt()),
            "You take all the noise away at once. One step back takes only a share of it.",
        ),
        Mistake(
            lambda x_t, t, eps, beta: (
                mean_from_eps(x_t, t, eps, beta) * ((1 - beta[t]) / (1 - beta).cumprod(0)[t]).sqrt()
            ),
            "You divide by the root of alpha_bar, as if all t steps were undone. This is a single step.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - s2.sqrt() * eps) / (1 - s2).sqrt()),
            "That is x_0, what is left when all the noise is taken away. The mean of a single step is asked for.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: x_t / (1 - b).sqrt() - b / s2.sqrt() * eps),
            "Check the brackets: eps has to be divided by the root of alpha_t as well.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: x_t - b / s2.sqrt() * eps / (1 - b).sqrt()),
            "Check the brackets: x_t has to be divided by the root of alpha_t as well.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b) / s2.sqrt() * eps / (1 - b).sqrt()),
            "Check the brackets: you subtract beta_t from x_t. Subtract beta_t times eps, divided by a std.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - (1 - b) / s2.sqrt() * eps) / (1 - b).sqrt()),
            "In the factor on eps you take alpha_t. The share that this step takes away is beta_t, 1 minus it.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b / (1 - s2).sqrt() * eps) / (1 - b).sqrt()),
            "In the factor on eps you divide by the signal at t. Divide by the std of the noise.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b / s2.sqrt() * eps) * (1 - b).sqrt()),
            "You multiply by the root of alpha_t, and x shrinks once more. A step back has to undo the shrinking.",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t - b * eps) / (1 - b).sqrt()),
            "You divide beta_t by nothing, or by 1: is the std of the noise missing, or is your alpha_bar always 0, "
            "as a product of betas is?",
        ),
        Mistake(
            with_noise(lambda x_t, eps, b, s2: (x_t + b / s2.sqrt() * eps) * (1 - b).sqrt()),
            "You add noise and shrink, as a step forward does. Going back, take noise away and divide.",
        ),
        *with_wrong_alpha_bar(
            lambda alpha_bar, x_t, t, eps, beta: (
                (x_t - beta[t] / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()
            ),
            "betas",
            "alpha",
            "noise",
        ),
    ),
)

EXERCISES = (POSTERIOR_MEAN, BETA_TILDE, MEAN_FROM_EPS)
