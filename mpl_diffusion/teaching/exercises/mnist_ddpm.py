"""Exercises of notebook 07: the lecture's class repaired, an average of weights, the nearest training image."""

import torch

from ...forward.schedules import linear
from .alpha_bars import with_wrong_alpha_bar
from .engine import Case, Exercise, Mistake
from .inputs import Random, per_row, table


def forward_diffusion(x_0, t, eps, betas):
    alpha_bar_t = (1 - betas).cumprod(0)[t - 1].reshape(-1, *[1] * (x_0.ndim - 1))
    return alpha_bar_t.sqrt() * x_0 + (1 - alpha_bar_t).sqrt() * eps


def lecture_jumps():
    """Tables as the lecture keeps them: T rows, the first is beta_1. t has shape (B,); T is among most of them."""
    yield Case("points", (table(1, 1)[:, None], torch.tensor([1, 2]), table(0, 1)[:, None], table(0.36, 0.4375)))
    random, betas = Random(), linear(T=40, beta_T=0.2).beta[1:]
    for kind, shape in random.shapes():
        t = random.times(shape[0])
        if len(t) > 2:
            t[0], t[1] = 40, 1
        yield Case(kind, (random.normal(*shape), t, random.normal(*shape), betas))


def with_table(jump):
    """A wrong forward_diffusion: x_0, eps, alpha_bar_t, one per row -> x_t."""

    def formula(x_0, t, eps, betas):
        return jump(x_0, eps, per_row((1 - betas).cumprod(0)[t - 1], x_0))

    return formula


def with_four_axes(x_0, t, eps, betas):
    a = (1 - betas).cumprod(0)[t - 1].view(-1, 1, 1, 1)
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


def with_no_axes(x_0, t, eps, betas):
    a = (1 - betas).cumprod(0)[t - 1]
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


def one_row_late(x_0, t, eps, betas):
    a = per_row((1 - betas).cumprod(0)[t], x_0)
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


def one_row_late_but_clipped(x_0, t, eps, betas):
    a = per_row((1 - betas).cumprod(0)[t.clamp(max=len(betas) - 1)], x_0)
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


def of_one_step(x_0, t, eps, betas):
    a = per_row(1 - betas[t - 1], x_0)
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


def of_beta(x_0, t, eps, betas):
    b = per_row(betas[t - 1], x_0)
    return (1 - b).sqrt() * x_0 + b.sqrt() * eps


def of_the_betas(x_0, t, eps, betas):
    a = per_row(betas.cumprod(0)[t - 1], x_0)
    return a.sqrt() * x_0 + (1 - a).sqrt() * eps


FORWARD_DIFFUSION = Exercise(
    solution=forward_diffusion,
    task="x_t for t of shape (B,), from 1 to T, and the lecture's table: T rows, of which the first is beta_1",
    praise="on points and images, from t = 1 to t = T",
    cases=lecture_jumps,
    mistakes=(
        Mistake(
            one_row_late,
            "You read row t, as our tables allow and the lecture's do not: theirs begin with beta_1, so at t = T "
            "there is no row t.",
        ),
        Mistake(
            one_row_late_but_clipped,
            "You stay inside the table, and are one row late all the same: the first row is beta_1, so which row "
            "belongs to t?",
        ),
        Mistake(
            with_no_axes,
            "What you look up has shape (B,) and meets the *last* axis of x_0: 16 images stop with an error, 28 "
            "images of 28 columns silently give each column another image's t. Reshape it: one number per row "
            "of x_0.",
        ),
        Mistake(
            with_four_axes,
            "Right on images, and that is where the lecture's .view(-1, 1, 1, 1) is safe. On points (B, 2) it returns "
            "four axes: let x_0.ndim say how many ones there are.",
        ),
        Mistake(
            of_one_step,
            "You use alpha_t, which is what one step leaves. To jump over all t of them you need their product.",
        ),
        Mistake(
            of_the_betas,
            "You multiply up the betas, the part that each step takes away. Multiply what each step leaves.",
        ),
        Mistake(
            with_table(lambda x_0, eps, a: a * x_0 + (1 - a).sqrt() * eps),
            "You forgot the square root on x_0's factor: alpha_bar is a variance, and x_0 is multiplied by an "
            "amplitude.",
        ),
        Mistake(
            with_table(lambda x_0, eps, a: a.sqrt() * x_0 + (1 - a) * eps),
            "You multiply eps by the variance of the noise. A factor on eps is a std.",
        ),
        Mistake(
            with_table(lambda x_0, eps, a: a * x_0 + (1 - a) * eps),
            "Both of your factors are variances. What multiplies x_0 or eps must be on the scale of a std.",
        ),
        Mistake(
            with_table(lambda x_0, eps, a: (1 - a).sqrt() * x_0 + a.sqrt() * eps),
            "Signal and noise have changed places: at t = 1, x_t must be almost x_0.",
        ),
        Mistake(
            with_table(lambda x_0, eps, a: x_0 + (1 - a).sqrt() * eps),
            "You keep all of x_0. It is a *shrunk* copy of the data that the noise is added to.",
        ),
        *with_wrong_alpha_bar(
            lambda alpha_bar, x_0, t, eps, betas: (
                per_row(alpha_bar[t - 1], x_0).sqrt() * x_0 + (1 - per_row(alpha_bar[t - 1], x_0)).sqrt() * eps
            ),
            "betas",
            "alpha",
            "noise",
        ),
        Mistake(
            lambda x_0, t, eps, betas: (
                (1 - betas).cumprod(0)[t - 1].view(-1, 1).sqrt() * x_0
                + (1 - (1 - betas).cumprod(0)[t - 1]).view(-1, 1).sqrt() * eps
            ),
            "Right on points, with two axes. Images have four: let x_0.ndim say how many ones there are.",
        ),
        Mistake(
            lambda x_0, t, eps, betas: x_0 + eps,
            "You add x_0 and eps as they are. How much of each there is, the table says.",
        ),
        Mistake(
            lambda x_0, t, eps, betas: forward_diffusion(x_0, len(betas) + 1 - t, eps, betas),
            "You read the table from its end: t = 1 stands in its first row.",
        ),
    ),
)


def ema_update(slow, fast, decay):
    return decay * slow + (1 - decay) * fast


def weights():
    yield Case("two weights", (table(0, 1), table(1, 1), 0.75))
    random = Random()
    for decay in (0.5, 0.9, 0.999):
        yield Case("random weights", (random.normal(16, 3), random.normal(16, 3), decay))


EMA_UPDATE = Exercise(
    solution=ema_update,
    task="the new average: it keeps the share `decay` of slow, the old one, and takes the rest from fast",
    praise="for small and large decays",
    cases=weights,
    mistakes=(
        Mistake(
            lambda slow, fast, decay: (1 - decay) * slow + decay * fast,
            "The two shares have changed places: with a decay of 0.999 your average is nearly the latest weights.",
        ),
        Mistake(
            lambda slow, fast, decay: slow + (1 - decay) * fast,
            "You keep all of the old average, so it grows without end. The two shares must add up to 1.",
        ),
        Mistake(
            lambda slow, fast, decay: decay * slow + fast,
            "You add all of the new weights, so the average grows to 1/(1 - decay) times their size. The two shares "
            "must add up to 1.",
        ),
        Mistake(
            lambda slow, fast, decay: (slow + fast) / 2,
            "That is the middle of the two, whatever the decay: it remembers only the last few steps.",
        ),
        Mistake(
            lambda slow, fast, decay: slow - (1 - decay) * (fast - slow),
            "You move away from the new weights: check the sign.",
        ),
        Mistake(
            lambda slow, fast, decay: decay * (slow + (1 - decay) * fast),
            "You shrink the new weights twice: check the brackets.",
        ),
        Mistake(
            lambda slow, fast, decay: decay * slow,
            "Your average only shrinks. Give it its share of the new weights.",
        ),
        Mistake(
            lambda slow, fast, decay: fast,
            "You return the latest weights, without averaging them.",
        ),
        Mistake(
            lambda slow, fast, decay: slow + decay * fast,
            "You keep all of the old average, and give the new weights its share. The shares must add up to 1.",
        ),
        Mistake(
            lambda slow, fast, decay: decay * fast,
            "You shrink the new weights, and the old average is missing.",
        ),
        Mistake(
            lambda slow, fast, decay: (1 - decay) * fast,
            "The old average is missing: it keeps the share `decay`.",
        ),
        Mistake(
            lambda slow, fast, decay: decay * slow + decay * fast,
            "Both get the share `decay`. The two shares must add up to 1.",
        ),
    ),
)


def nearest(samples, train):
    return torch.cdist(samples.flatten(1), train.flatten(1)).argmin(1)


def looking():
    yield Case("images of two pixels", (table(0, 0, 3, 3).view(2, 1, 1, 2), table(3, 2, -1, 0, 9, 9).view(3, 1, 1, 2)))
    random = Random()
    for kind, n, m, size in (
        ("fewer samples than training images", 5, 40, (1, 8, 8)),
        ("as many samples as training images", 8, 8, (1, 8, 8)),
        ("images of three channels", 28, 50, (3, 4, 4)),
    ):
        yield Case(kind, (random.normal(n, *size), random.normal(m, *size)))


def by_distance(distance):
    """A wrong nearest: rows of both, (n, 1, D) and (1, m, D) -> (n, m), the least is taken."""
    return lambda samples, train: distance(samples.flatten(1)[:, None], train.flatten(1)[None]).argmin(1)


NEAREST = Exercise(
    solution=nearest,
    task="for every sample the index, (n,), of the training image with the smallest L2 distance over all pixels",
    praise="for as many samples as you like, with one channel or three",
    cases=looking,
    mistakes=(
        Mistake(
            lambda samples, train: torch.cdist(samples.flatten(1), train.flatten(1)).argmin(0),
            "You look along the wrong axis: for every training image you find the nearest sample.",
        ),
        Mistake(
            lambda samples, train: torch.cdist(samples.flatten(1), train.flatten(1)).argmax(1),
            "Those are the farthest ones.",
        ),
        Mistake(
            lambda samples, train: torch.cdist(samples.flatten(1), train.flatten(1)).amin(1),
            "Those are the distances themselves. Return the index of the smallest.",
        ),
        Mistake(
            lambda samples, train: torch.cdist(samples.flatten(1), train.flatten(1)).argmin(),
            "You look for the one nearest pair of all. Every sample has a neighbour of its own.",
        ),
        Mistake(
            by_distance(lambda a, b: (a - b).abs().sum(-1)),
            "You add up absolute differences. The L2 distance adds up their squares.",
        ),
        Mistake(
            by_distance(lambda a, b: (a - b).abs().amax(-1)),
            "You compare by the one worst pixel. The L2 distance counts them all.",
        ),
        Mistake(
            by_distance(lambda a, b: (a - b).sum(-1).abs()),
            "Your differences may be of either sign, and cancel: two images of the same brightness look alike to you. "
            "Square first.",
        ),
        Mistake(
            lambda samples, train: (samples.flatten(1) @ train.flatten(1).T).argmax(1),
            "You take the largest product, which prefers whatever image is brightest. Take the smallest distance.",
        ),
        Mistake(
            lambda samples, train: (samples - train).flatten(1).norm(dim=1).argmin(),
            "You compare sample 0 with image 0, sample 1 with image 1, and so on. Each sample has to meet every image.",
        ),
        Mistake(
            lambda samples, train: torch.cdist(samples, train).argmin(1),
            "For images cdist measures between single *rows of pixels*: flatten every image first.",
        ),
        Mistake(
            lambda samples, train: (samples.flatten(1) @ train.flatten(1).T).argmin(1),
            "You take the smallest product, which is no distance: sum the squares of the differences.",
        ),
        Mistake(
            by_distance(lambda a, b: (a - b).sum(-1)),
            "You add up differences with their signs, so the largest image wins. Square them first.",
        ),
        Mistake(
            by_distance(lambda a, b: -torch.cosine_similarity(a, b, dim=-1)),
            "You compare angles, by the cosine, which does not see how bright an image is. Take the L2 distance.",
        ),
        Mistake(
            by_distance(lambda a, b: ((a - b) ** 2).amin(-1)),
            "You compare by the one best pixel. The L2 distance counts them all.",
        ),
        Mistake(
            lambda samples, train: train[nearest(samples, train)],
            "Those are the nearest images. Return their indices in train.",
        ),
        Mistake(
            lambda samples, train: torch.cdist(samples.flatten(1), train.flatten(1)).argsort(1)[:, 1],
            "You take the second nearest: the nearest has the number 0 in the sorted list.",
        ),
        Mistake(
            lambda samples, train: torch.cdist(samples.flatten(1), train.flatten(1)).argsort(1),
            "You sort all training images by their distance. Only the first of each row is asked for.",
        ),
    ),
)

EXERCISES = (FORWARD_DIFFUSION, EMA_UPDATE, NEAREST)
