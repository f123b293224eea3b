"""Exercises of notebook 00: which row is which, and std against variance."""

from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def lecture_index(t):
    return t - 1


def times():
    yield Case("the first t", (1,))
    yield Case("t = 260", (260,))
    yield Case("the last t", (1000,))


LECTURE_INDEX = Exercise(
    solution=lecture_index,
    task="the row in which the lecture's 0-based tables keep what belongs to our t = 1 ... T",
    praise="from the first t to the last",
    cases=times,
    mistakes=(
        Mistake(
            lambda t: t,
            "You read the lecture's table at our own t. Its rows begin at 0, and it has none for the clean data: "
            "which row belongs to the very first noisy step?",
        ),
        Mistake(
            lambda t: t + 1,
            "You move the wrong way. The table with one row more, for the clean data in front, is ours.",
        ),
        Mistake(
            lambda t: 1000 - t,
            "You count backwards from T. Both tables begin at the data's end; they only disagree about the first row.",
        ),
        *(
            Mistake(
                lambda t, end=end: end - t,
                "You count backwards. Both tables begin at the data's end; they only disagree about the first row.",
            )
            for end in (999, 1001)
        ),
        Mistake(
            lambda t: -t,
            "A negative index counts from the end of the table. Both tables begin at the data's end.",
        ),
    ),
)


def noise_std(alpha_bar_t):
    return (1 - alpha_bar_t).sqrt()


def rows():
    yield Case("one number", (table(0.64)[0],))
    yield Case("a whole table", (Random().alpha_bar(),))


NOISE_STD = Exercise(
    solution=noise_std,
    task="the std of the noise in x_t, where alpha_bar_t is a tensor: one number or many",
    praise="for one number and a whole table",
    cases=rows,
    mistakes=(
        Mistake(
            lambda alpha_bar_t: 1 - alpha_bar_t,
            "That is the variance of the noise. Which step leads from a variance to a std?",
        ),
        Mistake(
            lambda alpha_bar_t: alpha_bar_t.sqrt(),
            "That is the signal, the factor on x_0. The noise has what is left of the variance.",
        ),
        Mistake(
            lambda alpha_bar_t: 1 - alpha_bar_t.sqrt(),
            "You subtract amplitudes from 1, but variances are what adds up to 1: subtract first, then take the root.",
        ),
        Mistake(
            lambda alpha_bar_t: alpha_bar_t,
            "That is the variance of the signal. What is left of 1 belongs to the noise, and a std is asked for.",
        ),
        Mistake(
            lambda alpha_bar_t: (1 - alpha_bar_t) ** 2,
            "You square, where the way from a variance to a std goes in the other direction.",
        ),
        Mistake(
            lambda alpha_bar_t: ((1 - alpha_bar_t) / alpha_bar_t).sqrt(),
            "That is the ratio of noise to signal. The std of the noise itself is asked for, so nothing is divided.",
        ),
    ),
)

EXERCISES = (LECTURE_INDEX, NOISE_STD)
