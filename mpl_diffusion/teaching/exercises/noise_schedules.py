"""Exercises of notebook 02: signal to noise in decibels, the cosine table, and a table that ends in pure noise."""

import math

import torch

from ...forward.schedules import cosine, linear
from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def snr_db(alpha_bar):
    return 10 * (alpha_bar / (1 - alpha_bar)).log10()


def rows():
    yield Case("a few rows", (table(0.5, 0.1, 0.01),))
    yield Case("the linear table", (linear().alpha_bar[1:],))


def ratio_of_amplitudes(alpha_bar):
    return 20 * (alpha_bar.sqrt() / (1 - alpha_bar).sqrt()).log10()


def difference_of_logarithms(alpha_bar):
    return 10 * (alpha_bar.log10() - (1 - alpha_bar).log10())


SNR_DB = Exercise(
    solution=snr_db,
    forms=(
        ratio_of_amplitudes,
        difference_of_logarithms,
    ),
    task="the signal-to-noise ratio of powers in decibels, one for each row that is given",
    praise="on a few rows and on the linear table",
    cases=rows,
    mistakes=(
        Mistake(
            lambda alpha_bar: 20 * (alpha_bar / (1 - alpha_bar)).log10(),
            "20 belongs to a ratio of amplitudes. alpha_bar and 1 - alpha_bar are variances, which are powers.",
        ),
        Mistake(
            lambda alpha_bar: 10 * (alpha_bar / (1 - alpha_bar)).log(),
            "Your logarithm is the natural one. Decibels count powers of ten.",
        ),
        Mistake(
            lambda alpha_bar: (alpha_bar / (1 - alpha_bar)).log10(),
            "These are bels; a decibel is the tenth part of one, so there must be more of them.",
        ),
        Mistake(
            lambda alpha_bar: 10 * (alpha_bar / (1 - alpha_bar)).sqrt().log10(),
            "You compare amplitudes, signal / noise. Decibels compare powers: leave out the square roots.",
        ),
        Mistake(
            lambda alpha_bar: 10 * ((1 - alpha_bar) / alpha_bar).log10(),
            "Your ratio is upside down: it grows with t, while the signal is lost.",
        ),
        Mistake(
            lambda alpha_bar: 10 * alpha_bar.log10(),
            "That is the power of the signal alone. Divide by the power of the noise first.",
        ),
        Mistake(
            lambda alpha_bar: alpha_bar / (1 - alpha_bar),
            "The ratio is right. Now say it in decibels.",
        ),
        Mistake(
            lambda alpha_bar: 10 * (1 - alpha_bar).log10(),
            "That is the power of the noise alone. The ratio has the power of the signal above it.",
        ),
        Mistake(
            lambda alpha_bar: 10 * alpha_bar.log10() / (1 - alpha_bar).log10(),
            "You divide one logarithm by another. The logarithm of a ratio is the difference of the two.",
        ),
        Mistake(
            lambda alpha_bar: 10 * (alpha_bar / (1 - alpha_bar)),
            "The logarithm is missing: decibels are ten times the logarithm of the ratio.",
        ),
        Mistake(
            lambda alpha_bar: 10 * (alpha_bar / 1 - alpha_bar).log10(),
            "Check the brackets: alpha_bar / 1 - alpha_bar is 0. Divide by the whole of 1 - alpha_bar.",
        ),
        Mistake(
            lambda alpha_bar: (10 * alpha_bar / (1 - alpha_bar)).log10(),
            "Your 10 stands inside the logarithm. It multiplies the logarithm.",
        ),
    ),
)


def cosine_alpha_bar(T):
    t = torch.arange(T + 1, dtype=torch.float64)
    f = ((t / T + 0.008) / 1.008 * torch.pi / 2).cos() ** 2
    return f / f[0]


def lengths():
    yield Case("T = 4", (4,))
    yield Case("T = 1000", (1000,))


def with_angle(angle, power=2):
    """A wrong cosine_alpha_bar: t/T -> what the cosine is taken of."""

    def formula(T):
        f = angle(torch.arange(T + 1, dtype=torch.float64) / T).cos() ** power
        return f / f[0]

    return formula


COSINE_ALPHA_BAR = Exercise(
    solution=cosine_alpha_bar,
    task="the cosine table f(t) / f(0) with s = 0.008: T + 1 rows, float64, no cap on beta",
    praise="for T = 4 and T = 1000",
    cases=lengths,
    mistakes=(
        Mistake(
            lambda T: ((torch.arange(T + 1, dtype=torch.float64) / T + 0.008) / 1.008 * math.pi / 2).cos() ** 2,
            "That is f(t). Row 0 is the clean data and must be exactly 1: divide by something.",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008) / 1.008 * math.pi / 2, power=1),
            "You forgot the square. The cosine is the amplitude of the signal, and alpha_bar is a variance.",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008) / 1.008 * math.pi),
            "Your angle runs up to pi, so the signal fades and comes back. Let it end where the cosine is 0.",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008) / 1.008),
            "Your angle runs up to 1 radian, and the signal never fades. Where is the cosine 0?",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008) / 1.008 * 90),
            "Your angle is in degrees. cos() takes radians.",
        ),
        Mistake(
            with_angle(lambda u: u * math.pi / 2),
            "You left out s, the small shift that keeps the first betas from being too tiny.",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008) * math.pi / 2),
            "You add s, but do not divide by 1 + s: at t = T the angle goes past the place where the cosine is 0.",
        ),
        Mistake(
            lambda T: cosine_alpha_bar(T)[:-1],
            "Your table stops at T - 1. It has T + 1 rows, and t = T is the last.",
        ),
        Mistake(
            lambda T: cosine_alpha_bar(T)[1:],
            "Your table begins at t = 1. It has T + 1 rows, and row 0 is the clean data.",
        ),
        Mistake(
            lambda T: cosine(T).alpha_bar,
            "Your last row is lifted by the cap on beta_T. Here the formula itself is asked for, without the cap.",
        ),
        Mistake(
            with_angle(lambda u: u + 0.008 / 1.008 * math.pi / 2),
            "Check the brackets: s is added to t/T first, and the sum is divided by 1 + s and multiplied by pi/2.",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008 / 1.008) * math.pi / 2),
            "Check the brackets: the sum t/T + s is divided by 1 + s, not s alone.",
        ),
        *(
            Mistake(with_angle(lambda u, s=s: (u + s) / (1 + s) * math.pi / 2), "Your s is not 0.008.")
            for s in (0.8, 0.08, 0.0008, 0.01, 0.001)
        ),
        Mistake(
            lambda T: cosine_alpha_bar(T)[1:] / cosine_alpha_bar(T)[1],
            "Your table begins at t = 1, and is divided by f(1). It has T + 1 rows, and row 0 is the clean data.",
        ),
        Mistake(
            with_angle(lambda u: (u + 0.008) / 1.008 * math.pi / 2, power=0.5),
            "You take a root where a square belongs. The cosine is an amplitude, and alpha_bar a variance.",
        ),
    ),
)


def zero_terminal(alpha_bar):
    signal = alpha_bar.sqrt()
    first, last = signal[1], signal[-1]
    signal = (signal - last) * first / (first - last)
    signal[0] = 1
    return signal**2


def tables():
    yield Case("a table of four rows", (table(1, 0.81, 0.49, 0.25),))
    yield Case("a random table", (Random().alpha_bar(),))
    yield Case("the linear table", (linear().alpha_bar,))


def with_row_0(rescaled):
    """A wrong zero_terminal that keeps row 0 right: the rows from t = 1 on -> the same, rescaled."""
    return lambda alpha_bar: torch.cat([table(1), rescaled(alpha_bar[1:])])


def shifted_and_scaled(v):
    """v, moved so that its last row is 0 and stretched so that its first stays."""
    return (v - v[-1]) * v[0] / (v[0] - v[-1])


ZERO_TERMINAL = Exercise(
    solution=zero_terminal,
    task="the same table with its signal shifted and scaled: signal(T) = 0, signal(1) and row 0 stay as they are",
    praise="on short tables and on the linear one",
    cases=tables,
    mistakes=(
        Mistake(
            with_row_0(shifted_and_scaled),
            "You shift and scale alpha_bar, the variance. The recipe shifts and scales the signal, an amplitude.",
        ),
        Mistake(
            with_row_0(lambda a: (a.sqrt() - a[-1].sqrt()) ** 2),
            "You shift, and forget to scale: signal(T) = 0 is right, but signal(1) has become smaller too.",
        ),
        Mistake(
            with_row_0(lambda a: shifted_and_scaled(a.sqrt())),
            "Your table is the signal. Go back to alpha_bar, the variance, at the end.",
        ),
        Mistake(
            lambda alpha_bar: (
                ((alpha_bar.sqrt() - alpha_bar[-1].sqrt()) / (1 - (alpha_bar[-1] / alpha_bar[1]).sqrt())) ** 2
            ),
            "Row 0 has become larger than 1. It is the clean data: shift and scale from t = 1 on, and leave it alone.",
        ),
        Mistake(
            lambda alpha_bar: shifted_and_scaled(alpha_bar.sqrt()) ** 2,
            "You scale so that row 0 stays, and signal(1) changes. It is t = 1 that must keep its place.",
        ),
        Mistake(
            with_row_0(lambda a: torch.cat([a[:-1], table(0)])),
            "You set the last row to 0 and leave the others, so all that is left goes in one step. Spread the change "
            "over all rows.",
        ),
        Mistake(
            with_row_0(lambda a: ((a.sqrt() - a[-1].sqrt()) * (1 - (a[-1] / a[0]).sqrt())) ** 2),
            "Your factor is upside down: the shifted signal(1) is too small, and has to grow back to what it was.",
        ),
        Mistake(
            with_row_0(lambda a: shifted_and_scaled(a.sqrt()).sqrt()),
            "You take a root at the end. From the signal, an amplitude, to alpha_bar, a variance, one squares.",
        ),
        Mistake(
            with_row_0(lambda a: (a.sqrt() / a[0].sqrt() * a[0].sqrt() / (1 - (a[-1] / a[0]).sqrt())) ** 2),
            "You scale, and forget to shift: subtract signal(T) first, so that the last row is 0.",
        ),
    ),
)

EXERCISES = (SNR_DB, COSINE_ALPHA_BAR, ZERO_TERMINAL)
