"""Exercises of notebook 06: time as cosines and sines, a ResBlock's parameters, attention."""

import torch

from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def time_features(t, dim):
    i = torch.arange(dim // 2, dtype=t.dtype)
    angle = t[:, None] * 10_000 ** (-i / (dim / 2))
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def moments():
    yield Case("one time, four features", (table(1), 4))
    yield Case("five times, eight features", (table(0, 1, 37.5, 500, 1000), 8))
    yield Case("as many times as frequencies", (Random().uniform(0, 1000, 24), 48))


def with_frequencies(w, join=lambda angle: torch.cat([angle.cos(), angle.sin()], dim=1)):
    """A wrong time_features: (i, number of frequencies) -> w_i, and how cosines and sines are put together."""

    def formula(t, dim):
        return join(t[:, None] * w(torch.arange(dim // 2, dtype=t.dtype), dim // 2))

    return formula


def geometric(i, n):
    return 10_000 ** (-i / n)


TIME_FEATURES = Exercise(
    solution=time_features,
    task="(B, dim): first the cosines of t w_i, then their sines, w_i = 10,000^(-i / (dim/2)), i from 0",
    praise="for one time and for many",
    tolerance=1e-4,
    cases=moments,
    mistakes=(
        Mistake(
            with_frequencies(geometric, lambda angle: torch.cat([angle.sin(), angle.cos()], dim=1)),
            "You put the sines first. So do Vaswani et al.; here the cosines come first.",
        ),
        Mistake(
            with_frequencies(geometric, lambda angle: torch.stack([angle.cos(), angle.sin()], dim=2).flatten(1)),
            "You let cosines and sines take turns. Here all cosines come first, then all sines.",
        ),
        Mistake(
            with_frequencies(geometric, lambda angle: torch.cat([angle.cos(), angle.sin()], dim=0)),
            "You put the sines below the cosines, as if they were more times. Each time needs both in its own row.",
        ),
        Mistake(
            with_frequencies(lambda i, n: 10_000 ** (i / n)),
            "Your frequencies grow up to 10,000 turns per step. The minus sign is missing: they get slower.",
        ),
        Mistake(
            with_frequencies(lambda i, n: 10_000 ** (-i / (2 * n))),
            "You divide i by dim. There are only dim/2 frequencies, so your slowest is much too fast.",
        ),
        Mistake(
            with_frequencies(lambda i, n: 10_000 ** (-(i + 1) / n)),
            "Your i starts at 1. The first frequency is w_0 = 1.",
        ),
        Mistake(
            with_frequencies(lambda i, n: 10_000 ** (-i / (n - 1))),
            "You divide by one less than the number of frequencies, as some libraries do. Here it is by dim/2.",
        ),
        Mistake(
            with_frequencies(lambda i, n: 2 * torch.pi * geometric(i, n)),
            "You turn by 2 pi t w_i. Leave out the 2 pi.",
        ),
        Mistake(
            lambda t, dim: time_features(t / 1000, dim),
            "You shrink t to 0 ... 1 first. With these frequencies neighbouring times would then look the same.",
        ),
        Mistake(
            lambda t, dim: with_frequencies(geometric)(t, 2 * dim),
            "You have dim cosines and dim sines. Each frequency gives two features, so take half as many.",
        ),
        Mistake(
            lambda t, dim: (t * geometric(torch.arange(dim // 2, dtype=t.dtype), dim // 2)).cos(),
            "You multiply times by frequencies one by one. Every time needs every frequency: make t a column.",
        ),
        *(
            Mistake(with_frequencies(lambda i, n, base=base: base ** (-i / n)), "Your base is not 10,000.")
            for base in (10, 1000, 1024, 100_000, torch.e)
        ),
        Mistake(
            with_frequencies(lambda i, n: 10_000 ** (-2 * i / n)),
            "Your slowest frequency is much too slow: i is divided by dim/2, which is 2 i / dim.",
        ),
        Mistake(
            with_frequencies(geometric, lambda angle: angle),
            "Those are the angles. Now take their cosines and their sines.",
        ),
        Mistake(
            with_frequencies(geometric, lambda angle: angle.cos()),
            "The sines are missing. Each frequency gives two features.",
        ),
        Mistake(
            with_frequencies(geometric, lambda angle: angle.sin()),
            "The cosines are missing. Each frequency gives two features.",
        ),
        Mistake(
            with_frequencies(geometric, lambda angle: angle.cos() + angle.sin()),
            "You add cosines and sines up. Put them side by side.",
        ),
    ),
)


def resblock_parameters(c_in, c_out, time_dim):
    norms = 2 * c_in + 2 * c_out
    convs = (9 * c_in * c_out + c_out) + (9 * c_out * c_out + c_out)
    time = time_dim * 2 * c_out + 2 * c_out
    skip = c_in * c_out + c_out if c_in != c_out else 0
    return norms + convs + time + skip


def widths():
    yield Case("equal widths", (1, 1, 1))
    yield Case("other widths", (2, 1, 1))
    yield Case("the shipped blocks", (48, 48, 192))
    yield Case("the shipped decoder", (112, 48, 192))
    yield Case("a block that widens", (48, 64, 192))


def wrong_by(slip):
    """A wrong count: (c_in, c_out, time_dim) -> what is missing, or too much when negative."""
    return lambda c_in, c_out, time_dim: resblock_parameters(c_in, c_out, time_dim) - slip(c_in, c_out, time_dim)


def skip_of(c_in, c_out):
    return c_in * c_out + c_out


RESBLOCK_PARAMETERS = Exercise(
    solution=resblock_parameters,
    task="a whole number: the parameters of a ResBlock (two norms, two 3x3 convolutions, one linear layer from "
    "time_dim to a scale and a shift per channel, and a 1x1 convolution as skip where the widths differ)",
    praise="with and without a 1x1 skip",
    cases=widths,
    mistakes=(
        Mistake(
            wrong_by(lambda i, o, d: 2 * o),
            "You are short by 2 c_out, and there are three suspects: the biases of both convolutions, the second "
            "norm's two numbers per channel, the bias of the time layer. One of them is missing.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 2 * i + 2 * o),
            "The norms are missing. Each has a scale and a shift per channel, and the first sees c_in of them.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 2 * i - 2 * o),
            "Both of your norms have c_out channels. The first one stands before the convolution that changes them.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: i + o),
            "Your norms have one number per channel. They have two: a scale and a shift.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: d * o + o),
            "Time gives every channel one number in your count. Here it gives two, a scale and a shift.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 2 * o * d + 2 * o),
            "You left out the layer that tells the block the time.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 4 * o if i == o else 5 * o),
            "No layer of yours has a bias. Convolutions and linear layers have one number more per output channel.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: skip_of(i, o) if i != o else 0),
            "Where c_in and c_out differ, x cannot be added to f(x). Something has to change its width: count it.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 0 if i != o else -skip_of(i, o)),
            "You count a 1x1 convolution where the widths are equal. There x is added as it is.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: -8 * i * o if i != o else 0),
            "Your skip is a 3x3 convolution. It only changes the number of channels: 1x1 is enough.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 6 * (i * o + o * o)),
            "Your kernels have 3 weights. A 3x3 kernel has more.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 9 * o * o - 9 * i * o),
            "Both of your convolutions read c_in channels. The second one reads what the first one wrote.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 9 * o * o + o),
            "You count one 3x3 convolution. There are two.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: skip_of(i, o) if i != o else -skip_of(i, o)),
            "Your `if` is the wrong way round: the 1x1 convolution is needed where the widths differ.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: o if i != o else 0),
            "The bias of the 1x1 convolution is missing.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: o),
            "You are short by c_out: is the bias of one of the two convolutions missing?",
        ),
        Mistake(
            wrong_by(lambda i, o, d: -o),
            "You are c_out too high: is a bias counted twice?",
        ),
        Mistake(
            wrong_by(lambda i, o, d: -skip_of(i, o) if i != o else 0),
            "You count the 1x1 convolution twice.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 9 * o * o + o - 9 * i * i - i),
            "Your second convolution goes from c_in to c_in. It reads and writes what the first one wrote.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: d * o + 2 * o),
            "Time gives every channel two numbers, a scale and a shift, and the layer has biases.",
        ),
        Mistake(
            wrong_by(lambda i, o, d: 2 * i),
            "The first norm is missing: it has a scale and a shift for each of c_in channels.",
        ),
    ),
)


def self_attention(q, k, v):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ v


def questions():
    """Rows of q, k and v: as many as columns in one case, so that a wrong transpose runs, and is found elsewhere."""
    yield Case("two positions", tuple(table(*rows).reshape(1, 2, 1) for rows in ((1, 0), (1, 2), (0, 1))))
    random = Random()
    for kind, positions, asked, d in (
        ("as many positions as features", 8, 8, 8),
        ("49 positions", 49, 49, 16),
        ("49 positions that ask 5 tokens", 49, 5, 16),
    ):
        yield Case(kind, (random.normal(3, positions, d), random.normal(3, asked, d), random.normal(3, asked, d)))


def with_scores(weights):
    """A wrong self_attention: (q, k, v) -> the weights that v is averaged with."""
    return lambda q, k, v: weights(q, k, v) @ v


def raw(q, k):
    return q @ k.transpose(-1, -2)


SELF_ATTENTION = Exercise(
    solution=self_attention,
    task="(B, N, d): each of N questions' average of the rows of v, with weights softmax(q k' / sqrt(d)); "
    "q is (B, N, d), k and v are (B, L, d)",
    praise="for positions that ask each other, and for positions that ask tokens",
    cases=questions,
    mistakes=(
        Mistake(
            with_scores(lambda q, k, v: raw(q, k).softmax(-1)),
            "Your scores grow with the number of features, and the softmax becomes nearly one-hot. Scale them first.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-1]).softmax(-1)),
            "You divide by d. The std of a sum of d products is only its root.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) * q.shape[-1] ** 0.5).softmax(-1)),
            "You multiply by the root of d. Divide, to keep the scores small.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-2] ** 0.5).softmax(-1)),
            "You scale with the number of questions. The scores are sums over features: count these.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / k.shape[-2] ** 0.5).softmax(-1)),
            "You scale with the number of positions. The scores are sums over features: count these.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-1] ** 0.5).softmax(-2)),
            "Your weights sum to 1 over those who ask. Each question's weights must sum to 1 over what is asked.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-1] ** 0.5).softmax(0)),
            "Your softmax runs over the batch, so the pictures look at each other.",
        ),
        Mistake(
            with_scores(lambda q, k, v: raw(q, k) / q.shape[-1] ** 0.5),
            "You average with the raw scores, which may be negative. Turn them into weights that sum to 1.",
        ),
        Mistake(
            with_scores(lambda q, k, v: raw(q, k).softmax(-1) / q.shape[-1] ** 0.5),
            "You scale after the softmax, so your weights no longer sum to 1. Scale the scores.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(k, q) / q.shape[-1] ** 0.5).softmax(-1)),
            "Questions and keys have changed places: row n of the scores must belong to question n.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (q @ k / q.shape[-1] ** 0.5).softmax(-1)),
            "You multiply q by k as it stands. Each score is a question times a key: features against features.",
        ),
        Mistake(
            lambda q, k, v: self_attention(q, k, k),
            "You average the keys. They only decide the weights; what is handed over is v.",
        ),
        Mistake(
            lambda q, k, v: (raw(q, k) / q.shape[-1] ** 0.5).softmax(-1),
            "These are the weights, and they are right. Now use them on v.",
        ),
        Mistake(
            lambda q, k, v: self_attention(q, k, v) + v,
            "You add v again at the end. The sum with the input comes later, outside of this function.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-1] ** 0.5).sigmoid()),
            "You use a sigmoid, so that each weight is for itself. A softmax makes them sum to 1.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-1] ** 0.5).exp()),
            "Your weights do not sum to 1: divide the exponentials by their sum, or use a softmax.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (-raw(q, k) / q.shape[-1] ** 0.5).softmax(-1)),
            "Check the sign: your largest weight goes to the key that fits least.",
        ),
        Mistake(
            lambda q, k, v: self_attention(q, k, v) + q,
            "You add q at the end. The sum with the input comes later, outside of this function.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / q.shape[-1] ** 2).softmax(-1)),
            "You divide by d squared. The std of a sum of d products is the root of d.",
        ),
        Mistake(
            with_scores(lambda q, k, v: (raw(q, k) / k.shape[-2]).softmax(-1)),
            "You divide by the number of positions. The scores are sums over features: count these.",
        ),
        Mistake(
            lambda q, k, v: self_attention(q, k, v) * q.shape[-1] ** 0.5,
            "You multiply the result by the root of d. Only the scores are scaled.",
        ),
    ),
)


EXERCISES = (TIME_FEATURES, RESBLOCK_PARAMETERS, SELF_ATTENTION)
