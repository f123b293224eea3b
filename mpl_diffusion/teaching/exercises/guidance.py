"""Exercises of notebook 12: guidance in two conventions, dropped captions."""

import torch
from torch import Tensor

from .engine import Case, Exercise, Mistake
from .inputs import Random, per_row, table


def guided(eps_uncond, eps_cond, w):
    if isinstance(w, torch.Tensor):
        w = w.reshape(-1, *[1] * (eps_cond.ndim - 1))
    return eps_uncond + w * (eps_cond - eps_uncond)


def predictions():
    yield Case("points with one w", (table(1, 0)[None], table(0, 1)[None], 3.0))
    yield Case("points with a w each", (table(1, 1)[:, None], table(2, 3)[:, None], table(2, 3)))
    random = Random()
    for (kind, shape), w in zip(random.shapes(), (0.5, 3.0, 7.5, 1.5), strict=True):
        u, c = random.normal(*shape), random.normal(*shape)
        yield Case(f"{kind} with one w", (u, c, w))
        yield Case(f"{kind} with a w each", (u, c, random.uniform(0, 8, shape[0])))


def of_w(change):
    """A wrong guided: w, a number or (B,) -> what stands in its place."""
    return lambda u, c, w: u + change(w) * (c - u)


def mixed(formula):
    """A wrong guided: eps_uncond, eps_cond and w, which multiplies each sample as it should -> eps."""
    return lambda u, c, w: formula(u, c, per_row(torch.as_tensor(w, dtype=u.dtype), u))


def samples_alone(reshape):
    """A wrong of_w: right for a number, and w of shape (B,) -> another shape."""
    return of_w(lambda w: reshape(w) if isinstance(w, Tensor) else w)


def with_two_factors(eps_uncond, eps_cond, w):
    if isinstance(w, torch.Tensor):
        w = w.reshape(-1, *[1] * (eps_cond.ndim - 1))
    return (1 - w) * eps_uncond + w * eps_cond


GUIDED = Exercise(
    solution=guided,
    forms=(with_two_factors,),
    task="the guided noise, in the shape of both predictions: w = 0 is eps_uncond, w = 1 is eps_cond, and from one to "
    "the other it goes on a straight line; w is a number, or (B,), one per sample",
    praise="for one w and for one per sample, on points and images",
    cases=predictions,
    mistakes=(
        Mistake(
            mixed(lambda u, c, w: c + w * (c - u)),
            "Your w = 0 is conditional, as in Ho & Salimans. Here it is unconditional. Where must the arrow start?",
        ),
        Mistake(
            mixed(lambda u, c, w: u - w * (c - u)),
            "The sign of your arrow: it leads away from the condition. From which prediction to which should it point?",
        ),
        Mistake(
            mixed(lambda u, c, w: c + w * (u - c)),
            "The two predictions have changed places, or w and 1 - w have. Try w = 0 and w = 1.",
        ),
        Mistake(
            mixed(lambda u, c, w: w * c - u),
            "You take away all of eps_uncond, whatever w is. At w = 1 you should be left with eps_cond.",
        ),
        Mistake(
            mixed(lambda u, c, w: w * u + (c - u)),
            "You scale eps_uncond, where the arrow starts, and leave the arrow as it is. w says how far to go.",
        ),
        Mistake(
            mixed(lambda u, c, w: w * (c - u)),
            "That is the arrow alone, w times as long. Where does it start?",
        ),
        Mistake(
            mixed(lambda u, c, w: w * c),
            "Only w eps_cond is left. Did you forget eps_uncond, or the brackets of a difference?",
        ),
        Mistake(
            mixed(lambda u, c, w: u + w * c),
            "You add eps_cond as a whole. Only what the condition *changes* is multiplied by w.",
        ),
        Mistake(
            lambda u, c, w: c,
            "That is eps_cond, guidance switched off: w plays no part.",
        ),
        Mistake(
            lambda u, c, w: (u + c) / 2,
            "That is the mean of both, which is w = 1/2. Guidance goes as far as w says, and beyond eps_cond.",
        ),
        Mistake(
            mixed(lambda u, c, w: u + w.clamp(0, 1) * (c - u)),
            "You stop at w = 1. Guidance begins where a mixture ends: w = 3 goes three arrows far.",
        ),
        Mistake(
            of_w(lambda w: w - 1),
            "You translate w before you use it. This formula takes it as it is, and gives eps_cond at w = 1.",
        ),
        Mistake(
            of_w(lambda w: w),
            "Right for one w. But (B,) meets the *last* axis: it stops at 16 images, and at 28 images of 28 columns "
            "each column silently gets its own w. Reshape it, so that it has one number per sample.",
        ),
        Mistake(
            samples_alone(lambda w: w.view(-1, 1, 1, 1)),
            "Right on images. Points have two axes, and your w has four: let ndim say how many ones there must be.",
        ),
        Mistake(
            samples_alone(lambda w: w.view(-1, 1)),
            "Right on points. Images have four axes, and your w has two: let ndim say how many ones there must be.",
        ),
        Mistake(
            samples_alone(lambda w: w.mean()),
            "You average the w of all samples. Each sample has its own w.",
        ),
        Mistake(
            mixed(lambda u, c, w: w * u + w * c),
            "Both predictions are multiplied by w. Their factors must sum to 1, so one of them is 1 minus w.",
        ),
        Mistake(
            mixed(lambda u, c, w: (1 - w) * u - w * c),
            "Check the sign of eps_cond: the two factors must sum to 1.",
        ),
        Mistake(
            mixed(lambda u, c, w: (1 - w) * u + c),
            "The factor on eps_cond is missing: the two factors must sum to 1.",
        ),
        Mistake(
            mixed(lambda u, c, w: c - w * u),
            "At w = 1 you should be left with eps_cond, and at w = 0 with eps_uncond. Put both into your formula.",
        ),
        Mistake(
            lambda u, c, w: u,
            "That is eps_uncond: the condition plays no part.",
        ),
    ),
)


def guided_paper(eps_uncond, eps_cond, w):
    return (1 + w) * eps_cond - w * eps_uncond


def papers():
    yield Case("points", (table(1, 0)[None], table(0, 1)[None], 2.0))
    random = Random()
    for (kind, shape), w in zip(random.shapes(), (0.5, 3.0, 6.5, 0.1), strict=True):
        yield Case(kind, (random.normal(*shape), random.normal(*shape), w))


def from_eps_cond(eps_uncond, eps_cond, w):
    return eps_cond + w * (eps_cond - eps_uncond)


GUIDED_PAPER = Exercise(
    solution=guided_paper,
    forms=(from_eps_cond,),
    task="the guided noise by Ho & Salimans 2022, eq. 6: with their w = 0 it is eps_cond, and w is how far it goes on "
    "from there, away from eps_uncond; w is a number",
    praise="and your own w would be larger by 1",
    cases=papers,
    mistakes=(
        Mistake(
            lambda u, c, w: u + w * (c - u),
            "Off by one: that is how programs count, unconditional at w = 0. In the paper w = 0 is conditional.",
        ),
        Mistake(
            lambda u, c, w: u + (w - 1) * (c - u),
            "You translate in the wrong direction. The paper's w = 0 must be a program's 1: which is larger?",
        ),
        Mistake(
            lambda u, c, w: (2 + w) * c - (1 + w) * u,
            "You translate w, and put it into the formula that was made for it as it is. One of the two is enough.",
        ),
        Mistake(
            lambda u, c, w: (1 + w) * c + w * u,
            "A sign: you add eps_uncond, and the result is 1 + 2w times too large. The two factors must sum to 1.",
        ),
        Mistake(
            lambda u, c, w: (1 + w) * u - w * c,
            "The two predictions have changed places: yours goes away from the condition.",
        ),
        Mistake(
            lambda u, c, w: (1 - w) * c + w * u,
            "Both of your signs are turned: a larger w leads from eps_cond back to eps_uncond. It should lead on.",
        ),
        Mistake(
            lambda u, c, w: (w - 1) * c - w * u,
            "Your two factors sum to -1, so what both predictions agree on changes its sign. They must sum to 1.",
        ),
        Mistake(
            lambda u, c, w: (1 + w) * c - u,
            "You take away all of eps_uncond, whatever w is. At w = 0 you should be left with eps_cond.",
        ),
        Mistake(
            lambda u, c, w: (1 + w) * c,
            "You scale eps_cond up, and nothing is taken away for it. The two factors must sum to 1.",
        ),
        Mistake(
            lambda u, c, w: 1 + w * c - w * u,
            "Check the brackets: you add the number 1 where one more eps_cond should be.",
        ),
        Mistake(
            lambda u, c, w: w * (c - u),
            "That is the arrow alone, w times as long. In the paper it starts at eps_cond.",
        ),
        Mistake(
            lambda u, c, w: w * c - (1 + w) * u,
            "w and 1 + w have changed places: your two factors sum to -1. They must sum to 1.",
        ),
        Mistake(
            lambda u, c, w: c + w * c - u,
            "You take away all of eps_uncond, whatever w is. At w = 0 you should be left with eps_cond.",
        ),
        Mistake(
            lambda u, c, w: u + (1 + w) * (u - c),
            "The sign of your arrow: it leads away from the condition. From which prediction to which should it point?",
        ),
        Mistake(
            lambda u, c, w: (1 + w) * (c - u),
            "That is the arrow alone, 1 + w times as long. In the paper it starts at eps_cond.",
        ),
    ),
)


def drop_captions(cond, u, p_uncond):
    kept = u >= p_uncond
    return cond * kept[:, None]


def captions():
    yield Case("two captions of two words", (torch.tensor([[1, 2], [3, 4]]), table(0.9, 0.2), 0.5))
    random = Random()

    def batch(B, L):
        return random.times(B * L).view(B, L), random.uniform(0, 1, B)

    yield Case("forty captions of six words", (*batch(40, 6), 0.15))
    yield Case("p_uncond = 1", (*batch(8, 6), 1.0))
    ids, _ = batch(4, 3)
    yield Case("p_uncond = 0", (ids, table(0.5, 0, 0.25, 0.75), 0.0))
    yield Case("a u that equals p_uncond", (ids, table(0.5, 0, 0.25, 0.75), 0.25))


def with_rows(answer):
    """A wrong drop_captions: cond, (B, 1) which rows are dropped, p_uncond -> what is returned."""
    return lambda cond, u, p_uncond: answer(cond, (u < p_uncond)[:, None], p_uncond)


DROP_CAPTIONS = Exercise(
    solution=drop_captions,
    task='captions cond, ids of shape (B, L), of which the rows with u < p_uncond are "nothing", all 0; u is (B,)',
    praise="and p_uncond = 0 and 1 do what they say",
    cases=captions,
    mistakes=(
        Mistake(
            with_rows(lambda cond, drop, p: cond * drop),
            "The wrong way round: you keep the rows that should go. With p_uncond = 0.1 nine out of ten stay.",
        ),
        Mistake(
            lambda cond, u, p: cond * (u > p)[:, None],
            "Almost: u may be 0, and p_uncond = 0 must drop nothing. What happens where both are equal?",
        ),
        Mistake(
            with_rows(lambda cond, drop, p: torch.cat([cond[:, :1] * ~drop, cond[:, 1:]], dim=1)),
            "Only the first word is dropped. The rest of the caption still tells what to draw.",
        ),
        Mistake(
            with_rows(lambda cond, drop, p: cond * ~drop / (1 - p)),
            "You scale up what is left, as nn.Dropout does. Ids are names: twice word 7 is word 14.",
        ),
        Mistake(
            lambda cond, u, p: cond * (u >= p),
            "u has one number per caption, and meets the words: with as many of both, columns go. Whole rows must.",
        ),
        Mistake(
            lambda cond, u, p: cond * (u[0] >= p),
            "You decide once for the whole batch. Each caption goes by its own u.",
        ),
        Mistake(
            with_rows(lambda cond, drop, p: torch.where(drop, -1, cond)),
            '"Nothing" is the id 0. An embedding has no row -1.',
        ),
        Mistake(
            with_rows(lambda cond, drop, p: cond[~drop[:, 0]]),
            "You throw the rows away, and their pictures are left without any. They stay, and say nothing.",
        ),
        Mistake(
            lambda cond, u, p: cond * (u >= 1 - p)[:, None],
            "You keep a share of p_uncond, and drop the rest. It is the share that is dropped.",
        ),
        Mistake(
            lambda cond, u, p: cond * (u < 1 - p)[:, None],
            "You drop as many as you should, but those with a *large* u. Drop those with a small u.",
        ),
        *(
            Mistake(
                mask,
                "That only says which rows. Now make the captions: those ids that stay, and 0 for the others.",
            )
            for mask in (lambda cond, u, p: u < p, lambda cond, u, p: u >= p)
        ),
        Mistake(
            lambda cond, u, p: torch.cat([0 * cond[: int(p * len(cond))], cond[int(p * len(cond)) :]]),
            "You always drop the first rows, an exact share of them. Each caption is to go by its own u.",
        ),
        Mistake(
            lambda cond, u, p: cond,
            'Every caption is still there: then "nothing" is never learned.',
        ),
        *(
            Mistake(
                with_rows(lambda cond, drop, p, word=word: torch.where(drop, word, cond)),
                f'"Nothing" is the id 0, and you write {word}, which is a word.',
            )
            for word in (1, 2)
        ),
        Mistake(
            lambda cond, u, p: cond * (u > 1 - p)[:, None],
            "You keep a share of p_uncond, and drop the rest. It is the share that is dropped.",
        ),
    ),
)

EXERCISES = (GUIDED, GUIDED_PAPER, DROP_CAPTIONS)
