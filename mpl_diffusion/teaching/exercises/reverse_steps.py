"""Exercises of notebook 04, second half: one step of each sampler."""

from .alpha_bars import with_wrong_alpha_bar
from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def ddim_step(x_t, t, t_next, eps, alpha_bar):
    x0_hat = (x_t - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()
    return alpha_bar[t_next].sqrt() * x0_hat + (1 - alpha_bar[t_next]).sqrt() * eps


def ddim_steps():
    random = Random()
    yield Case("points", (table(1, 1)[None], 2, 1, table(0, 1)[None], table(1, 0.64, 0.36)))
    yield Case("the last step (to t = 0)", (table(1, 1)[None], 1, 0, table(0, 1)[None], table(1, 0.64)))
    for kind, shape in random.shapes():
        yield Case(kind, (random.normal(*shape), 30, 20, random.normal(*shape), random.alpha_bar()))


def with_step(step):
    """A wrong ddim_step: x0_hat, eps, x_t and the two alpha_bars -> the next x."""

    def formula(x_t, t, t_next, eps, alpha_bar):
        a, a_next = alpha_bar[t], alpha_bar[t_next]
        return step((x_t - (1 - a).sqrt() * eps) / a.sqrt(), eps, x_t, a, a_next)

    return formula


DDIM_STEP = Exercise(
    solution=ddim_step,
    task="the deterministic step (eta = 0) from t to an earlier t_next; both are whole numbers",
    praise="on points and images, also in the last step",
    cases=ddim_steps,
    mistakes=(
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next.sqrt() * x_t + (1 - a_next).sqrt() * eps),
            "You shrink x_t and add noise to it, though it is noisy already. First read the clean sample out of it.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a.sqrt() * x0 + (1 - a_next).sqrt() * eps),
            "Your signal is still that of t. Where does the step arrive?",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next.sqrt() * x0 + (1 - a).sqrt() * eps),
            "Your noise is still that of t. Where does the step arrive?",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: x_t),
            "You take x_t apart and put it together again at the same t, so nothing moves.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next.sqrt() * x0),
            "You forgot the noise that is still there at t_next: the same eps, made smaller.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next.sqrt() * x0 + (1 - a_next) * eps),
            "At t_next you multiply eps by a variance. A factor on eps is a std.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next * x0 + (1 - a_next).sqrt() * eps),
            "At t_next you multiply x0_hat by alpha_bar, a variance. Use an amplitude.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: x0),
            "That is x0_hat, a leap to the very end. Go back from it to the noise level of t_next.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: (a_next * a).sqrt() * x0 + (1 - a_next).sqrt() * eps),
            "Your x0_hat is still shrunk: after taking the noise away, undo the shrinking too.",
        ),
        Mistake(
            lambda x_t, t, t_next, eps, alpha_bar: ddim_step(x_t, t, t - 1, eps, alpha_bar),
            "You always go to t - 1. DDIM may jump: t_next says how far.",
        ),
        Mistake(
            lambda x_t, t, t_next, eps, alpha_bar: ddim_step(x_t, t_next, t, eps, alpha_bar),
            "You walk from t_next to t, into the noise. Exchange the two times.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next * x0 + (1 - a_next) * eps),
            "At t_next both of your factors are variances. Use an amplitude and a std.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: (1 - a_next).sqrt() * x0 + a_next.sqrt() * eps),
            "At t_next signal and noise have changed places.",
        ),
        Mistake(
            with_step(lambda x0, eps, x_t, a, a_next: a_next.sqrt() * x0 + eps),
            "You add all of eps. Only a part of it, the std of the noise at t_next, is left there.",
        ),
    ),
)


def ddpm_step(x_t, t, eps, z, beta):
    alpha_bar = (1 - beta).cumprod(0)
    mean = (x_t - beta[t] / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()
    variance = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]
    return mean + variance.sqrt() * z


def ddpm_steps():
    random = Random()
    for kind, shape in random.shapes():
        noises = random.normal(*shape), random.normal(*shape)
        yield Case(kind, (random.normal(*shape), random.time(), *noises, random.beta()))
    yield Case(
        "the last step (from t = 1)", (table(1, 1)[None], 1, table(0, 1)[None], table(1, 1)[None], table(0, 0.36))
    )


def with_mean(mean):
    """A wrong ddpm_step with the right noise: x_t, eps, beta_t, alpha_bar_t -> mean."""

    def formula(x_t, t, eps, z, beta):
        alpha_bar_t = (1 - beta).cumprod(0)[t]
        return mean(x_t, eps, beta[t], alpha_bar_t) + ddpm_step(0 * x_t, t, 0 * eps, z, beta)

    return formula


def with_sigma(sigma):
    """A wrong ddpm_step with the right mean: beta_t, beta_tilde_t, t -> what multiplies z."""

    def formula(x_t, t, eps, z, beta):
        alpha_bar = (1 - beta).cumprod(0)
        beta_tilde = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]
        return ddpm_step(x_t, t, eps, 0 * z, beta) + sigma(beta[t], beta_tilde, t) * z

    return formula


def in_alphas(x_t, t, eps, z, beta):
    alpha = 1 - beta
    alpha_bar = alpha.cumprod(0)
    mean = (x_t - (1 - alpha[t]) / (1 - alpha_bar[t]).sqrt() * eps) / alpha[t].sqrt()
    sigma = (beta[t] * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])).sqrt()
    return mean + sigma * z


DDPM_STEP = Exercise(
    solution=ddpm_step,
    forms=(in_alphas,),
    task="the random step from t to t - 1 with noise z, whose variance sigma^2 is beta_tilde_t",
    praise="on points and images, also in the last step",
    cases=ddpm_steps,
    mistakes=(
        Mistake(
            with_sigma(lambda b, b_tilde, t: b.sqrt()),
            "Your variance is beta_t, so noise is added even in the last step. beta_tilde_t has one factor more, "
            "which is 0 there.",
        ),
        Mistake(
            with_sigma(lambda b, b_tilde, t: b.sqrt() * (t > 1)),
            "Your variance is beta_t, which is allowed, but not asked for here. beta_tilde_t is smaller, and needs no "
            "`if` in the last step.",
        ),
        Mistake(
            with_sigma(lambda b, b_tilde, t: b_tilde),
            "You multiply z by the variance. A factor on noise is a std.",
        ),
        Mistake(
            with_sigma(lambda b, b_tilde, t: 0),
            "You return the mean and never add the noise z. Without it all walks end in the same few places.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: x - b / (1 - a_bar).sqrt() * e),
            "You forgot to divide by the root of alpha_t: the step back has to undo the shrinking of one step.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: (x - b / (1 - a_bar).sqrt() * e) / (1 - b)),
            "You divide by alpha_t, a variance. One step shrinks x by an amplitude.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: (x - b / (1 - a_bar).sqrt() * e) / a_bar.sqrt()),
            "You undo the shrinking of all t steps at once. This step goes back by one: alpha_t, with no bar.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: (x - b / (1 - a_bar) * e) / (1 - b).sqrt()),
            "In the factor on eps you divide by the variance of the noise. Divide by its std.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: (x + b / (1 - a_bar).sqrt() * e) / (1 - b).sqrt()),
            "You add the noise that should be taken away: check the sign of eps.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: (x - b.sqrt() * e) / (1 - b).sqrt()),
            "You take eps for the noise of this one step. It is the *total* noise from x0 to x_t, and only a part of "
            "it goes now.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: (x - (1 - a_bar).sqrt() * e) / a_bar.sqrt()),
            "Your mean is x0_hat, the end of the walk. One step goes only a part of the way.",
        ),
        Mistake(
            lambda x_t, t, eps, z, beta: ddpm_step(x_t, t, eps, z / (1 - beta[t]).sqrt(), beta),
            "Check the brackets: the mean is divided by the root of alpha_t, the noise z is not.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: x / (1 - b).sqrt() - b / (1 - a_bar).sqrt() * e),
            "Check the brackets: eps has to be divided by the root of alpha_t as well.",
        ),
        Mistake(
            with_mean(lambda x, e, b, a_bar: x - b / (1 - a_bar).sqrt() * e / (1 - b).sqrt()),
            "Check the brackets: x_t has to be divided by the root of alpha_t as well.",
        ),
        *with_wrong_alpha_bar(
            lambda alpha_bar, x_t, t, eps, z, beta: (
                (x_t - beta[t] / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()
                + ((1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]).sqrt() * z
            ),
            "sum",
        ),
        Mistake(
            lambda x_t, t, eps, z, beta: ddpm_step(x_t, t, z, eps, beta),
            "eps and z have changed places: eps is the noise to be removed, z the fresh one.",
        ),
    ),
)

EXERCISES = (DDIM_STEP, DDPM_STEP)
