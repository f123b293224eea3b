"""Exercises of notebook 12: what the scale of six public formulas means, and that of an unknown one."""

from .engine import Case, Exercise, Mistake


def our_w(formula, scale):
    start_at_cond = ("Ho & Salimans", "classifier on p(x|c)")
    return scale + 1 if formula in start_at_cond else scale


FORMULAS = ("diffusers", "GLIDE", "lucidrains", "Ho & Salimans", "classifier on p(x)", "classifier on p(x|c)")


def scales():
    return [Case(formula, (formula, scale)) for formula in FORMULAS for scale in (3.0, 0.5)]


def adding(*numbers):
    """A wrong our_w: what it adds to the scale, for each of the six formulas."""
    return lambda formula, scale: scale + numbers[FORMULAS.index(formula)]


def adds(formula, paper):
    """paper for the formulas that begin at eps_cond, and 0 for the others."""
    return paper * our_w(formula, 0)


OUR_W = Exercise(
    solution=our_w,
    task="the w of eps_uncond + w (eps_cond - eps_uncond) that does what `formula`, a name, does with its scale",
    praise="so you can tell what each scale means",
    cases=scales,
    mistakes=(
        Mistake(
            adding(0, 0, 0, 0, 0, 0),
            "You take every scale as it is. Two of the six call eps_cond, and not eps_uncond, their 0.",
        ),
        Mistake(
            adding(0, 0, 0, 0, 0, 1),
            'Right but for one: put w = 0 into "Ho & Salimans". What is left, and which w of ours gives it?',
        ),
        Mistake(
            adding(0, 0, 0, 1, 0, 0),
            'Right but for one: with s = 0 "classifier on p(x|c)" is conditional already. The classifier is added.',
        ),
        *(
            Mistake(
                adding(0, 0, 0, -1, 0, classifier),
                'Wrong direction: "Ho & Salimans" is conditional at 0, and we are at 1. Which of the two is larger?',
            )
            for classifier in (-1, 0, 1)
        ),
        *(
            Mistake(
                adding(0, 0, 0, paper, 1, 0),
                "The two classifiers have changed places. One starts at the score of p(x), which knows no condition.",
            )
            for paper in (0, 1)
        ),
        Mistake(
            adding(0, 0, 0, 1, 1, 1),
            "You treat both classifiers alike. With s = 0 only one of them knows the condition: which?",
        ),
        Mistake(
            lambda formula, scale: our_w(formula, -scale if "classifier" in formula else scale),
            "eps is minus the score, times the noise. But that turns the start *and* the arrow: no sign is left.",
        ),
        Mistake(
            adding(1, 1, 1, 1, 1, 1),
            "You add 1 to every scale. With a scale of 0, which of the six are unconditional, as ours is?",
        ),
        Mistake(
            adding(1, 1, 1, 1, 0, 1),
            'You add 1 to the scale of programs. Put 0 into "diffusers": what is left, and which w of ours gives it?',
        ),
        *(
            Mistake(
                adding(1, 1, 1, 0, *classifiers),
                "The other way round: programs count as we do, and the paper does not.",
            )
            for classifiers in ((0, 0), (1, 0), (0, 1))
        ),
        Mistake(
            adding(-1, -1, -1, 0, -1, 0),
            "You translate into the paper's w. Translate into that of programs, which is 1 for eps_cond.",
        ),
        *(
            Mistake(
                adding(*(n == odd for n in range(3)), 1, 0, 1),
                f'Right but for one: "{FORMULAS[odd]}" is our own formula in other letters. Put in 0, and then 1.',
            )
            for odd in range(3)
        ),
        *(
            Mistake(
                lambda formula, scale, paper=paper: -scale if "classifier" in formula else scale + adds(formula, paper),
                "eps is minus the score, times the noise. But that turns the start *and* the arrow: no sign is left.",
            )
            for paper in (0, 1)
        ),
        Mistake(
            lambda formula, scale: scale * (1 + adds(formula, 1)),
            "You double the scale. With a scale of 0, two of the six are already at our w = 1: is twice 0 that?",
        ),
        Mistake(
            lambda formula, scale: 1 - scale if our_w(formula, 0) else scale,
            "Check the sign of the scale: a larger scale leads farther away from eps_uncond in all six.",
        ),
        Mistake(
            adding(0, 0, 0, 0, 1, 1),
            "You treat both classifiers alike, and forget the paper: with a scale of 0, which are conditional already?",
        ),
        Mistake(
            adding(-1, -1, -1, -1, -1, -1),
            "You subtract 1 from every scale. Programs count as we do; two of the six begin at our w = 1.",
        ),
        Mistake(
            lambda formula, scale: 2 * scale,
            "You double every scale. Programs count as we do; two of the six only begin at another place.",
        ),
    ),
)


def off_at(guide):
    at_0, at_1 = guide(0.0, 1.0, 0.0), guide(0.0, 1.0, 1.0)
    return (1 - at_0) / (at_1 - at_0)


def convention(a, b):
    """Guidance whose w is ours after a w + b."""

    def guide(eps_uncond, eps_cond, w):
        return eps_uncond + (a * w + b) * (eps_cond - eps_uncond)

    guide.__name__ = f"eps_uncond + {in_w(a, b)} (eps_cond - eps_uncond)"
    return guide


def in_w(a, b):
    """a w + b as one writes it: "w", "(w + 1)", "0.5 w", "(4 - 2 w)"."""
    if a < 0:
        return f"({b:g} - {-a:g} w)"
    slope = "w" if a == 1 else f"{a:g} w"
    return f"({slope} {'+' if b > 0 else '-'} {abs(b):g})" if b else slope


def conventions():
    """Powers of two: float32 is exact as well."""
    yield Case("the w of programs", (convention(1, 0),))
    yield Case("the paper's w", (convention(1, 1),))
    yield Case("a w in other units", (convention(0.5, 0),))
    yield Case("a w in other units", (convention(4, 0),))
    yield Case("a w with another 0", (convention(2, -4),))
    yield Case("a w that counts down", (convention(-2, 4),))


def probed(formula):
    """A wrong off_at: what guide makes of eps_uncond = 0 and eps_cond = 1 at w = 0 and at w = 1 -> w."""
    return lambda guide: formula(guide(0.0, 1.0, 0.0), guide(0.0, 1.0, 1.0))


OFF_AT = Exercise(
    solution=off_at,
    task="the w, a number, at which guide(eps_uncond, eps_cond, w) gives back eps_cond; it is linear in w, and takes "
    "numbers as well as tensors",
    praise="in every convention that is linear in w",
    cases=conventions,
    mistakes=(
        Mistake(
            lambda guide: 1,
            "1 is what programs do. You cannot know what somebody does before you have asked guide.",
        ),
        Mistake(
            lambda guide: 0,
            "0 is what the paper does. You cannot know what somebody does before you have asked guide.",
        ),
        Mistake(
            probed(lambda g0, g1: g0 / (g0 - g1)),
            "There it is unconditional: it gives back eps_uncond. Guidance is off where it gives back eps_cond.",
        ),
        Mistake(
            probed(lambda g0, g1: (g0 - 1) / (g1 - g0)),
            "Only the sign is wrong. Is one of your differences taken the other way round?",
        ),
        Mistake(
            probed(lambda g0, g1: 1 - g0),
            "You know how far it is from the answer at w = 0. But how much of it does one unit of w bring?",
        ),
        Mistake(
            probed(lambda g0, g1: (1 - g0) * (g1 - g0)),
            "You multiply by the slope. If one unit of w brings twice as much, does it take more of them or fewer?",
        ),
        Mistake(
            probed(lambda g0, g1: (1 - g0) / g1),
            "Your slope is the answer at w = 1 alone. A slope is a difference: from where did it come?",
        ),
        Mistake(
            probed(lambda g0, g1: 1 / g1),
            "You take for granted that w = 0 is unconditional. Ask guide there as well.",
        ),
        Mistake(
            probed(lambda g0, g1: 1 / (g1 - g0)),
            "The slope is right. But you do not start from nothing: what has guide already reached at w = 0?",
        ),
        Mistake(
            probed(lambda g0, g1: g1 - g0),
            "That is the slope, what one unit of w brings. How many units does it take?",
        ),
        Mistake(
            probed(lambda g0, g1: g1),
            "That is what guide answers at w = 1. The question is at which w it answers eps_cond.",
        ),
        Mistake(
            probed(lambda g0, g1: (1 - g1) / (g1 - g0)),
            "That is how far it is from w = 1. Add the 1 at which you started, or start at w = 0.",
        ),
        Mistake(
            probed(lambda g0, g1: (1 + g0) / (g1 - g0)),
            "Check the sign: what is left to do at w = 0 is 1 *minus* what guide answers there.",
        ),
        Mistake(
            probed(lambda g0, g1: (g1 - g0) / (1 - g0)),
            "Upside down: divide what is left to do by what one unit of w brings.",
        ),
        Mistake(
            probed(lambda g0, g1: g0),
            "That is what guide answers at w = 0. The question is at which w it answers eps_cond.",
        ),
    ),
)

EXERCISES = (OUR_W, OFF_AT)
