"""Exercises of notebook 01: one step of the chain, its table, the jump to any t, and the half point."""

import torch

from ...forward.schedules import cosine, linear
from .engine import Case, Exercise, Mistake
from .inputs import Random, per_row, table


def chain_step(x, beta_t, z):
    return (1 - beta_t).sqrt() * x + beta_t.sqrt() * z


def steps():
    yield Case("points", (table(1, 0)[None], table(0.36)[0], table(0, 1)[None]))
    random = Random()
    for kind, shape in random.shapes():
        yield Case(kind, (random.normal(*shape), random.uniform(0.01, 0.2, 1)[0], random.normal(*shape)))


CHAIN_STEP = Exercise(
    solution=chain_step,
    task="the next sample of the chain: x made a little smaller, plus noise z of variance beta_t (one number)",
    praise="on points and images",
    cases=steps,
    mistakes=(
        Mistake(
            lambda x, beta_t, z: (1 - beta_t).sqrt() * x + beta_t * z,
            "You multiply z by beta_t itself. beta_t is a variance, and a factor on noise is a std.",
        ),
        Mistake(
            lambda x, beta_t, z: (1 - beta_t) * x + beta_t.sqrt() * z,
            "The factor on x is too small: 1 - beta_t is how much of the *variance* survives. By how much does x "
            "itself shrink, then?",
        ),
        Mistake(
            lambda x, beta_t, z: (1 - beta_t) * x + beta_t * z,
            "Both of your factors are variances. What multiplies x or z must be on the scale of a std.",
        ),
        Mistake(
            lambda x, beta_t, z: x + beta_t.sqrt() * z,
            "You add noise and keep all of x, so the variance grows with each step. Make x a little smaller, so that "
            "variance 1 stays variance 1.",
        ),
        Mistake(
            lambda x, beta_t, z: beta_t.sqrt() * x + (1 - beta_t).sqrt() * z,
            "Signal and noise have changed places: for a small beta_t, x_t must stay close to x.",
        ),
        Mistake(
            lambda x, beta_t, z: (1 - beta_t.sqrt()) * x + beta_t.sqrt() * z,
            "Your two factors add up to 1, but it is their squares, the variances, that must.",
        ),
        Mistake(
            lambda x, beta_t, z: (1 - beta_t).sqrt() * (x + beta_t.sqrt() * z),
            "You shrink the noise together with x. First make x smaller, then add the noise in full.",
        ),
        Mistake(
            lambda x, beta_t, z: beta_t * x + (1 - beta_t) * z,
            "Signal and noise have changed places, and both of your factors are variances.",
        ),
        Mistake(
            lambda x, beta_t, z: (1 - beta_t / 2) * x + beta_t.sqrt() * z,
            "1 - beta_t / 2 is close to the right factor when beta_t is small. It is not equal to it: take the root.",
        ),
        Mistake(
            lambda x, beta_t, z: x - beta_t.sqrt() * z,
            "You subtract the noise from all of x. Make x smaller, and add the noise.",
        ),
        Mistake(
            lambda x, beta_t, z: (1 - beta_t) ** 2 * x + beta_t**2 * z,
            "You square where a root belongs: variances are the squares of the factors.",
        ),
    ),
)


def alpha_bar(beta):
    return (1 - beta).cumprod(0)


def betas():
    yield Case("a table of three rows", (table(0, 0.5, 0.5),))
    yield Case("a random table", (Random().beta(),))
    yield Case("the linear table", (linear().beta,))


ALPHA_BAR = Exercise(
    solution=alpha_bar,
    task="the table alpha_bar, as long as beta: what is left of the signal's variance after t steps; row 0 is 1",
    praise="on short tables and on the linear one",
    cases=betas,
    mistakes=(
        Mistake(
            lambda beta: beta.cumprod(0),
            "You multiply up the betas, the part that each step takes away. Multiply what each step leaves.",
        ),
        Mistake(
            lambda beta: 1 - beta.cumsum(0),
            "You subtract all betas from 1. Each step takes its part of what is *left*, so the steps multiply.",
        ),
        Mistake(
            lambda beta: 1 - beta,
            "That is alpha_t, what one step leaves. alpha_bar_t is what all steps up to t leave together.",
        ),
        Mistake(
            lambda beta: (1 - beta[1:]).cumprod(0),
            "Your table begins at t = 1 and is one row short. Row 0, the clean data, belongs to it.",
        ),
        Mistake(
            lambda beta: (1 - beta).sqrt().cumprod(0),
            "That is the signal, the root of what is asked for: alpha_bar counts variances.",
        ),
        Mistake(
            lambda beta: torch.cat([table(1), (1 - beta).cumprod(0)[:-1]]),
            "Your table lags by one row: yours at t is alpha_bar at t - 1. beta already has a row 0 of its own.",
        ),
        Mistake(
            lambda beta: torch.cat([table(1), (1 - beta).cumprod(0)]),
            "You put a 1 in front, and have one row too many. What does row 0 of beta already do?",
        ),
        Mistake(
            lambda beta: 1 - (1 - beta).cumprod(0),
            "That is the variance of the noise. alpha_bar is the other part, which starts at 1 and falls.",
        ),
        Mistake(
            lambda beta: (1 - beta).prod(),
            "You keep only the last number, alpha_bar at T. The product up to every t is asked for.",
        ),
    ),
)


def diffuse(x0, t, eps, alpha_bar):
    alpha_bar_t = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
    return alpha_bar_t.sqrt() * x0 + (1 - alpha_bar_t).sqrt() * eps


def jumps():
    return (Case(*jump) for jump in Random().jumps())


def with_factors(factors):
    """A wrong diffuse: alpha_bar_t -> what multiplies x0, what multiplies eps."""

    def formula(x0, t, eps, alpha_bar):
        on_x0, on_eps = factors(per_row(alpha_bar[t], x0))
        return on_x0 * x0 + on_eps * eps

    return formula


DIFFUSE = Exercise(
    solution=diffuse,
    task="x_t in one jump from x0, for points (B, D) and images (B, C, H, W); t is one number or has shape (B,)",
    praise="on points and images, for one t and a batch of them",
    cases=jumps,
    mistakes=(
        Mistake(
            with_factors(lambda a: (a, (1 - a).sqrt())),
            "You forgot the square root of alpha_bar on x0: alpha_bar is a variance, and what multiplies x0 is an "
            "amplitude.",
        ),
        Mistake(
            with_factors(lambda a: (a.sqrt(), 1 - a)),
            "You multiply eps by the variance of the noise. A factor on eps is a std.",
        ),
        Mistake(
            with_factors(lambda a: (a, 1 - a)),
            "Both of your factors are variances. What multiplies x0 or eps must be on the scale of a std.",
        ),
        Mistake(
            with_factors(lambda a: (a.sqrt(), 1 - a.sqrt())),
            "Your two factors add up to 1, but it is their squares, the variances, that must.",
        ),
        Mistake(
            with_factors(lambda a: ((1 - a).sqrt(), a.sqrt())),
            "Signal and noise have changed places: near t = 0, x_t must be almost x0.",
        ),
        Mistake(
            with_factors(lambda a: (1, (1 - a).sqrt())),
            "You keep all of x0. It is a *shrunk* copy of the data that the noise is added to.",
        ),
        Mistake(
            lambda x0, t, eps, alpha_bar: alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps,
            "Your formula is right for one t. For a batch, alpha_bar[t] has shape (B,) and meets the *last* axis of "
            "x0: it stops at 16 images, and at 28 images of 28 columns it silently gives every column its own "
            "t. Reshape it, so that it has one number per row of x0.",
        ),
        Mistake(
            lambda x0, t, eps, alpha_bar: (
                alpha_bar[t].view(-1, 1, 1, 1).sqrt() * x0 + (1 - alpha_bar[t]).view(-1, 1, 1, 1).sqrt() * eps
            ),
            "Right on images. Your (-1, 1, 1, 1) counts on four axes, and points have two, so they come back with "
            "four: let x0.ndim say how many ones there must be.",
        ),
        Mistake(
            lambda x0, t, eps, alpha_bar: (
                alpha_bar[t].view(-1, 1).sqrt() * x0 + (1 - alpha_bar[t]).view(-1, 1).sqrt() * eps
            ),
            "Right on points. Your (-1, 1) counts on two axes, and images have four, so a batch of t meets the wrong "
            "one: let x0.ndim say how many ones there must be.",
        ),
        Mistake(
            lambda x0, t, eps, alpha_bar: diffuse(x0, t - 1, eps, alpha_bar),
            "You read the table at t - 1, as the lecture's snippets must. Ours has a row 0 for the clean data, and t "
            "is its own index.",
        ),
        Mistake(
            lambda x0, t, eps, alpha_bar: diffuse(x0, t, eps, torch.cat([table(1), alpha_bar[1:] / alpha_bar[:-1]])),
            "You use alpha_t, which is what a single step leaves. To jump over all t of them you need their product.",
        ),
        Mistake(
            lambda x0, t, eps, alpha_bar: diffuse(x0, t, eps, alpha_bar.cumprod(0)),
            "You take the product of a table that already is one: alpha_bar needs no further cumprod.",
        ),
        Mistake(
            with_factors(lambda a: (1, a.sqrt())),
            "You keep all of x0, and the noise is multiplied by the factor that belongs to x0.",
        ),
        Mistake(
            with_factors(lambda a: (1, 1)),
            "You add x0 and eps as they are. How much of each there is, alpha_bar says.",
        ),
    ),
)


def half_point(alpha_bar):
    return int((alpha_bar <= 0.5).nonzero()[0])


def tables():
    yield Case("a table of three rows", (table(1, 0.5, 0.25),))
    yield Case("a table of five rows", (table(1, 0.9, 0.8, 0.4, 0.1),))
    yield Case("the linear table", (linear().alpha_bar,))
    yield Case("the cosine table", (cosine().alpha_bar,))


HALF_POINT = Exercise(
    solution=half_point,
    task="the first t, a whole number, at which noise has at least as much variance as signal: alpha_bar at most 1/2",
    praise="t = 260 for the linear table, and 497 for the cosine one",
    cases=tables,
    mistakes=(
        Mistake(
            lambda alpha_bar: int((alpha_bar.sqrt() <= 0.5).nonzero()[0]),
            "There the *amplitude* has fallen to half, and the variance already to a quarter. alpha_bar itself is "
            "what to look at.",
        ),
        Mistake(
            lambda alpha_bar: half_point(alpha_bar) - 1,
            "You are one step early: at your t the signal still has more than half. Row 0 is the clean data, so a "
            "row's number is its t.",
        ),
        Mistake(
            lambda alpha_bar: half_point(alpha_bar) + 1,
            "You are one step late: row 0 is the clean data, so a row's number already is its t.",
        ),
        Mistake(
            lambda alpha_bar: int((alpha_bar < 0.5).nonzero()[0]),
            "Almost: where alpha_bar is *exactly* 1/2, signal and noise already are equal, and that t counts.",
        ),
        Mistake(
            lambda alpha_bar: (alpha_bar - 0.5).abs().argmin(),
            "You take the row nearest to 1/2, which may still lie above it. The first at or below it is asked for.",
        ),
        Mistake(
            lambda alpha_bar: (len(alpha_bar) - 1) // 2,
            "That is the middle of the walk, T / 2. Half of the steps is not half of the noise: look into the table.",
        ),
        Mistake(
            lambda alpha_bar: alpha_bar[half_point(alpha_bar)],
            "You found the place, and return what stands there. Return its t instead.",
        ),
        Mistake(
            lambda alpha_bar: (alpha_bar <= 0.5).sum(),
            "You count the rows after the half point. How many rows come before it?",
        ),
        Mistake(
            lambda alpha_bar: int((alpha_bar <= 0.5).nonzero()[-1]),
            "You take the last row at or below 1/2. The first is asked for.",
        ),
        Mistake(
            lambda alpha_bar: (alpha_bar <= 0.5).nonzero().flatten(),
            "Those are all t at which noise has at least half. The first of them is asked for.",
        ),
        Mistake(
            lambda alpha_bar: int((alpha_bar >= 0.5).nonzero()[0]),
            "You compare the wrong way round: at t = 0 alpha_bar is 1, so 0 is what you find first.",
        ),
    ),
)

EXERCISES = (CHAIN_STEP, ALPHA_BAR, DIFFUSE, HALF_POINT)
