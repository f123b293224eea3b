"""Exercises of notebook 08: the times of a shorter walk, DDIM's step with eta, and DDPM found inside it."""

import torch

from .alpha_bars import with_wrong_alpha_bar
from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def walk_times(T, S):
    return torch.linspace(T, 0, S + 1, dtype=torch.float64).round().long()


def walks():
    """No S at which an even time falls half-way between two whole ones: how to round those is nobody's mistake."""
    yield Case("an S that divides T", (10, 5))
    yield Case("an S that does not divide T", (10, 3))
    yield Case("S = 1", (1000, 1))
    for S in (50, 1000):
        yield Case("an S that divides T", (1000, S))
    for S in (7, 300, 600):
        yield Case("an S that does not divide T", (1000, S))


def evenly(start, end, count):
    return torch.linspace(start, end, count, dtype=torch.float64)


WALK_TIMES = Exercise(
    solution=walk_times,
    task="the S + 1 whole times of a walk in S steps from T to 0, falling, as even as whole numbers can be",
    praise="whether S divides T or not",
    cases=walks,
    mistakes=(
        Mistake(
            lambda T, S: torch.arange(T - 1, -1, -(T // S)),
            "That is the lecture's list: it starts at T - 1, never arrives at 0, and for S = 600 it has 1000 steps. "
            "Our tables have rows 0 to T.",
        ),
        Mistake(
            lambda T, S: torch.arange(T, -1, -(T // S)),
            "Your stride is T // S, right only where S divides T: 300 steps become 333, and 600 become 1000. Let the "
            "even times fall between whole numbers first.",
        ),
        Mistake(
            lambda T, S: T - torch.arange(S + 1) * (T // S),
            "Your stride is T // S, right only where S divides T: else the walk stops before it is at 0. Let the even "
            "times fall between whole numbers first.",
        ),
        Mistake(
            lambda T, S: torch.cat([T - torch.arange(S) * (T // S), torch.zeros(1).long()]),
            "Your stride is T // S, and the last step has to make up for all that the division dropped. All steps "
            "should be equally long.",
        ),
        Mistake(
            lambda T, S: evenly(T - 1, 0, S + 1).round().long(),
            "You start at T - 1, as in a table without row 0. Pure noise is at T.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 1)[:-1].round().long(),
            "The 0 is missing: your walk stops one step before the data, with some noise left.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S).round().long(),
            "Those are S times, with S - 1 steps between them. A fence has one post more than gaps.",
        ),
        Mistake(
            lambda T, S: evenly(T, 1, S).round().long(),
            "Your walk ends at t = 1, where there still is noise. The data are at 0.",
        ),
        Mistake(
            lambda T, S: torch.cat([evenly(T, 1, S).round().long(), torch.zeros(1).long()]),
            "Your times are even from T to 1, so that the last step, from 1 to 0, hardly moves. That is a spacing in "
            "use (`linspace`); here all S steps should be equally long.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 1),
            "Your times are fractions, and a table has whole rows. Go to the nearest.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 1).long(),
            "`.long()` cuts the fraction off: 999.9 becomes 999. Go to the nearest whole number first.",
        ),
        Mistake(
            lambda T, S: evenly(0, T, S + 1).round().long(),
            "Your times rise. That is the way from data to noise; you want the way back.",
        ),
        Mistake(
            lambda T, S: torch.arange(T, -1, -1),
            "Those are all the times there are. Of these you want S + 1.",
        ),
        Mistake(
            lambda T, S: torch.arange(S, -1, -1),
            "Those are the last S steps of the walk. Start at T, and make the steps longer.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 1).ceil().long(),
            "You round up. Go to the nearest whole number.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 2).round().long(),
            "Those are S + 2 times, with S + 1 steps between them. One is too many.",
        ),
        Mistake(
            lambda T, S: evenly(T, 1, S + 1).round().long(),
            "Your walk ends at t = 1, where there still is noise. The data are at 0.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 1).round().long()[1:],
            "T is missing: the walk begins there, in pure noise.",
        ),
        Mistake(
            lambda T, S: evenly(T, 0, S + 1).round(),
            "Your times are whole, but their dtype is not: only whole numbers are indices. `.long()` makes them so.",
        ),
        Mistake(
            lambda T, S: torch.arange(T, 0, -(T // S)),
            "0 is missing, for arange stops before its end; and the stride T // S is right only where S divides T.",
        ),
        Mistake(
            lambda T, S: torch.arange(0, T + 1, T // S),
            "Your times rise, and the stride T // S is right only where S divides T.",
        ),
        Mistake(
            lambda T, S: torch.arange(T - 1, -1, -1),
            "Those are all the times of a table without row 0. Of the times from T to 0 you want S + 1.",
        ),
    ),
)


def ddim_eta(x_t, t, t_next, eps, z, eta, alpha_bar):
    a, a_next = alpha_bar[t], alpha_bar[t_next]
    x0_hat = (x_t - (1 - a).sqrt() * eps) / a.sqrt()
    sigma = eta * ((1 - a_next) / (1 - a) * (1 - a / a_next)).sqrt()
    return a_next.sqrt() * x0_hat + (1 - a_next - sigma**2).sqrt() * eps + sigma * z


def jumps():
    random, small = Random(), (table(1, 1)[None], 2, 1, table(0, 1)[None], table(1, 0)[None])
    yield Case("eta = 1", (*small, 1.0, table(1, 0.64, 0.36)))
    yield Case("eta = 0", (*small, 0.0, table(1, 0.64, 0.36)))
    yield Case("the last step (to t = 0)", (table(1, 1)[None], 2, 0, *small[3:], 1.0, table(1, 0.64, 0.36)))
    for (_, shape), eta in zip(random.shapes(), (0.0, 0.2, 0.5, 1.0), strict=True):
        kind = f"eta = {eta:g}" if eta in (0, 1) else "an eta between 0 and 1"
        noises = random.normal(*shape), random.normal(*shape)
        yield Case(kind, (random.normal(*shape), 30, 20, *noises, eta, random.alpha_bar()))


def with_parts(step):
    """A wrong ddim_eta: x0_hat, eps, z, sigma, x_t and the two alpha_bars -> the next x."""

    def formula(x_t, t, t_next, eps, z, eta, alpha_bar):
        a, a_next = alpha_bar[t], alpha_bar[t_next]
        sigma = eta * ((1 - a_next) / (1 - a) * (1 - a / a_next)).sqrt()
        return step((x_t - (1 - a).sqrt() * eps) / a.sqrt(), eps, z, sigma, x_t, a, a_next)

    return formula


def with_sigma(sigma):
    """A ddim_eta with another sigma: eta and the two alpha_bars -> sigma."""

    def formula(x_t, t, t_next, eps, z, eta, alpha_bar):
        a, a_next = alpha_bar[t], alpha_bar[t_next]
        s = sigma(eta, a, a_next)
        x0_hat = (x_t - (1 - a).sqrt() * eps) / a.sqrt()
        return a_next.sqrt() * x0_hat + (1 - a_next - s**2).sqrt() * eps + s * z

    return formula


def at_other_times(other):
    """A right step with wrong times: t, t_next -> the two that are looked up."""
    return lambda x_t, t, t_next, eps, z, eta, alpha_bar: ddim_eta(x_t, *other(t, t_next), eps, z, eta, alpha_bar)


DDIM_ETA = Exercise(
    solution=ddim_eta,
    task="DDIM's step from t to an earlier t_next; z is standard normal, eta from 0 to 1, alpha_bar has row 0",
    praise="for every eta, also in the last step",
    cases=jumps,
    mistakes=(
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x_t + (1 - b - s**2).sqrt() * e + s * z),
            "x0_hat is missing: you shrink x_t and add noise to it, though it is noisy already.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b).sqrt() * e + s * z),
            "Your eps carries all of the noise, and z is added to it. Subtract sigma^2 from the variance of eps.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b - s).sqrt() * e + s * z),
            "Under the root you take sigma, a std, off a variance. Only variances can be subtracted from each other.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + ((1 - b).sqrt() - s) * e + s * z),
            "You subtract one std from another. Independent noises add up in their variances: subtract those, then "
            "take the root.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b - s**2).sqrt() * e),
            "You leave room for fresh noise, and never add it: z is missing.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b).sqrt() * e),
            "That is the step for eta = 0. With a larger eta, fresh noise z replaces a part of eps.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b - s**2).sqrt() * e + s**2 * z),
            "You multiply z by a variance. A factor on noise is a std.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - a - s**2).sqrt() * e + s * z),
            "The factor on eps has the alpha_bar of t. How much noise is there where the step arrives?",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: a.sqrt() * x0 + (1 - b - s**2).sqrt() * e + s * z),
            "The factor on x0_hat has the alpha_bar of t. How much signal is there where the step arrives?",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: (a * b).sqrt() * x0 + (1 - b - s**2).sqrt() * e + s * z),
            "Your x0_hat is still shrunk: after taking the noise away, undo the shrinking too.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b * x0 + (1 - b - s**2).sqrt() * e + s * z),
            "You multiply x0_hat by alpha_bar, a variance. Use an amplitude.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta * ((1 - a) / (1 - b) * (1 - a / b)).sqrt()),
            "In sigma the first fraction is upside down: it must be 0 in the last step, where alpha_bar is 1.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta * ((1 - b) / (1 - a) * (1 - b / a)).sqrt()),
            "In sigma the second fraction is upside down: 1 - alpha_bar/alpha_bar' must be positive.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta * (1 - a / b).sqrt()),
            "Your sigma is that of DDPM's large variance, beta. It lacks the fraction that makes it beta_tilde.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: ((1 - b) / (1 - a) * (1 - a / b)).sqrt()),
            "Your sigma does not know eta: it is always that of DDPM.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: (eta * (1 - b) / (1 - a) * (1 - a / b)) ** 0.5),
            "Your eta stands under the root. It multiplies the std, not the variance.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta**2 * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()),
            "You square eta. It multiplies the std as it is.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta * (1 - b) / (1 - a) * (1 - a / b)),
            "What you call sigma is a variance: its root is missing.",
        ),
        Mistake(
            at_other_times(lambda t, t_next: (t - 1, t_next - 1)),
            "You look one row too early, as the lecture's tables want it. Ours have a row 0, and in the last step "
            "your row -1 silently is that of t = T.",
        ),
        Mistake(
            at_other_times(lambda t, t_next: (t, t - 1)),
            "You always go to t - 1. DDIM may jump: t_next says how far.",
        ),
        Mistake(
            at_other_times(lambda t, t_next: (t_next, t)),
            "You walk from t_next to t, into the noise. Exchange the two times.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: torch.as_tensor(eta, dtype=a.dtype)),
            "You take eta for sigma. eta is a factor from 0 to 1; sigma has the two fractions as well.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b - s**2).sqrt() * z + s * e),
            "eps and z have changed places: sigma multiplies the fresh noise.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta * ((1 - b) / (1 - a)).sqrt() * (1 - a / b)),
            "In sigma the root ends too early: it goes over both fractions.",
        ),
        Mistake(
            with_sigma(lambda eta, a, b: eta * ((1 - b) / (1 - a)).sqrt()),
            "In sigma the second factor is missing, the one with 1 minus a fraction.",
        ),
        Mistake(
            lambda x_t, t, t_next, eps, z, eta, alpha_bar: ddim_eta(x_t, t, t_next, eps, eta * z, eta, alpha_bar),
            "eta comes twice on z: it is already in sigma.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b - s**2) * e + s * z),
            "The factor on eps lacks its root.",
        ),
        Mistake(
            with_parts(lambda x0, e, z, s, x_t, a, b: b.sqrt() * x0 + (1 - b + s**2).sqrt() * e + s * z),
            "Under the root you add sigma^2. The variance of eps gets smaller by what z brings: subtract.",
        ),
        Mistake(
            lambda x_t, t, t_next, eps, z, eta, alpha_bar: (
                ddim_eta(x_t, t, t_next, eps, 0 * z, 0.0, alpha_bar) + eta * z
            ),
            "Your z is multiplied by eta itself, and eps keeps all of the noise. Build sigma first.",
        ),
    ),
)


def ddpm_coefficients(t, beta):
    alpha_bar = (1 - beta).cumprod(0)
    a, a_next = alpha_bar[t], alpha_bar[t - 1]
    sigma = ((1 - a_next) / (1 - a) * (1 - a / a_next)).sqrt()
    on_x = (a_next / a).sqrt()
    on_eps = (1 - a_next - sigma**2).sqrt() - on_x * (1 - a).sqrt()
    return torch.stack([on_x, on_eps, sigma])


def single_steps():
    random = Random()
    yield Case("a short table", (2, table(0, 0.36, 0.4375)))
    yield Case("the last step (from t = 1)", (1, table(0, 0.36)))
    for _ in range(3):
        yield Case("a random table", (random.time(), random.beta()))


def from_tables(beta_t, a, a_next):
    """The three factors as DDPM writes them, for any beta_t, alpha_bar_t and alpha_bar_{t-1}."""
    alpha_t, variance = 1 - beta_t, (1 - a_next) / (1 - a) * beta_t
    return torch.stack([1 / alpha_t.sqrt(), -beta_t / (alpha_t * (1 - a)).sqrt(), variance.sqrt()])


def with_factors(factors):
    """Wrong ddpm_coefficients: the three right ones, beta_t, alpha_bar_t and alpha_bar_{t-1} -> three others."""

    def formula(t, beta):
        alpha_bar = (1 - beta).cumprod(0)
        return torch.stack(factors(*ddpm_coefficients(t, beta), beta[t], alpha_bar[t], alpha_bar[t - 1]))

    return formula


def as_ddpm_writes_them(t, beta):
    alpha = 1 - beta
    alpha_bar = alpha.cumprod(0)
    variance = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]
    on_eps = -beta[t] / (alpha[t].sqrt() * (1 - alpha_bar[t]).sqrt())
    return torch.stack([1 / alpha[t].sqrt(), on_eps, variance.sqrt()])


DDPM_COEFFICIENTS = Exercise(
    solution=ddpm_coefficients,
    forms=(as_ddpm_writes_them,),
    task="the three factors, (3,), of x_t, eps and z in x_{t-1} when eta = 1; beta has row 0, t is one whole number",
    praise="and they are DDPM's with beta_tilde, also in the last step",
    cases=single_steps,
    mistakes=(
        *with_wrong_alpha_bar(lambda alpha_bar, t, beta: from_tables(beta[t], alpha_bar[t], alpha_bar[t - 1])),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, -e, z)),
            "The factor on eps has the wrong sign: a step back takes noise away.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, (1 - a1 - z**2).sqrt(), z)),
            "eps comes twice: once on its own, and once more inside x0_hat. Gather both.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, -x * (1 - a).sqrt(), z)),
            "You gathered the eps inside x0_hat only. There is another one, on its own.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (a1.sqrt(), (1 - a1 - z**2).sqrt(), z)),
            "Those are the factors of x0_hat, eps and z. Put in what x0_hat is, and gather x_t and eps.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, (1 - a1).sqrt() - x * (1 - a).sqrt(), z)),
            "In the factor on eps sigma^2 is missing: that is the step for eta = 0, with noise added on top.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, (1 - a1).sqrt() - x * (1 - a).sqrt(), 0 * z)),
            "Those are the factors for eta = 0. Put eta = 1.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, e, b.sqrt())),
            "Your sigma^2 is beta_t, the large variance. With eta = 1 it is beta_tilde_t, which is 0 in the last step.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, e, z**2)),
            "Your factor on z is a variance. It must be a std.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, -b / (1 - a).sqrt(), z)),
            "The factor on eps is not yet divided by the root of alpha_t. The step back undoes the shrinking of all "
            "that it takes over.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x, -b / (1 - a) * x, z)),
            "In the factor on eps you divide by the variance of the noise. Divide by its std.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (x**2, e, z)),
            "The factor on x_t lacks a root: one step shrinks x by an amplitude.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (1 / x, e, z)),
            "Your factor on x_t shrinks it once more. The step back has to make it larger again.",
        ),
        Mistake(
            with_factors(lambda x, e, z, b, a, a1: (1 / a.sqrt(), e, z)),
            "Your factor on x_t undoes the shrinking of all t steps. This step goes back by one.",
        ),
    ),
)

EXERCISES = (WALK_TIMES, DDIM_ETA, DDPM_COEFFICIENTS)
