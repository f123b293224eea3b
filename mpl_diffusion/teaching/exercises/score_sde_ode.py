"""Exercises of notebook 05: the score, the factor T, and the drift of the reverse SDE."""

from .engine import Case, Exercise, Mistake
from .inputs import Random, per_row, table


def score(eps, t, alpha_bar):
    variance = 1 - alpha_bar[t]
    return -eps / variance.sqrt().reshape(-1, *[1] * (eps.ndim - 1))


def scores():
    for kind, (_, t, eps, alpha_bar) in Random().jumps():
        yield Case(kind, (eps, t, alpha_bar))


def with_score(formula):
    """A wrong score: eps and alpha_bar_t, one number per row of eps."""
    return lambda eps, t, alpha_bar: formula(eps, per_row(alpha_bar[t], eps))


SCORE = Exercise(
    solution=score,
    task="the score of the noised density, grad log p_t, that the noise eps implies",
    praise="on points and images, for one t and a batch of them",
    cases=scores,
    mistakes=(
        Mistake(
            with_score(lambda eps, a: eps / (1 - a).sqrt()),
            "Right but for the sign: the score points towards the data, and eps points away from them.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps / (1 - a)),
            "You divide by the variance of the noise. Divide by its std.",
        ),
        Mistake(
            with_score(lambda eps, a: eps / (1 - a)),
            "You divide by the variance of the noise and not by its std, and the score points the other way.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps),
            "The direction is right, the length is not: eps has length about 1 at all times, the score is long where "
            "there is little noise.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps * (1 - a).sqrt()),
            "You multiply by the std of the noise. That is the way back, from the score to eps.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps / a.sqrt()),
            "You divide by the signal. What counts here is the std of the noise.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps / (1 - a.sqrt())),
            "The std of the noise is not 1 minus the signal: their *squares* add up to 1.",
        ),
        Mistake(
            lambda eps, t, alpha_bar: -eps / (1 - alpha_bar[t]).sqrt(),
            "Your formula is right for one t. For a batch, alpha_bar[t] has shape (B,) and meets the *last* axis of "
            "eps, sometimes silently: reshape it, so that it has one number per row of eps.",
        ),
        Mistake(
            with_score(lambda eps, a: eps / a.sqrt()),
            "You divide by the signal, and the score points the other way. What counts is the std of the noise.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps / a),
            "You divide by alpha_bar. What counts here is the std of the noise.",
        ),
        Mistake(
            with_score(lambda eps, a: eps * (1 - a).sqrt()),
            "You multiply by the std of the noise where you should divide, and the sign is missing.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps * a.sqrt()),
            "You multiply by the signal. Divide by the std of the noise.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps * a.sqrt() / (1 - a).sqrt()),
            "The signal does not belong here: divide by the std of the noise, and nothing else.",
        ),
        Mistake(
            with_score(lambda eps, a: -eps / (a * (1 - a)).sqrt()),
            "The signal does not belong here: divide by the std of the noise, and nothing else.",
        ),
        Mistake(
            lambda eps, t, alpha_bar: -eps / (1 - alpha_bar[t]).sqrt().view(-1, 1, 1, 1),
            "Right on images, with four axes. Points have two: let ndim say how many ones there are.",
        ),
        Mistake(
            lambda eps, t, alpha_bar: -eps / (1 - alpha_bar[t]).sqrt().view(-1, 1),
            "Right on points, with two axes. Images have four: let ndim say how many ones there are.",
        ),
    ),
)


def sde_step(x, k, dt, z, beta):
    T = len(beta) - 1
    rate = T * beta[k]
    return x - 0.5 * rate * x * dt + (rate * dt).sqrt() * z


def sde_steps():
    random = Random()
    example = table(2, 2)[None], 1, 0.5, table(0, 1)[None], table(0, 0.32, 0.5)
    yield Case("points", example)
    for kind, shape in random.shapes():
        yield Case(kind, (random.normal(*shape), random.time(), 0.01, random.normal(*shape), random.beta()))


def with_rate(formula):
    """A wrong sde_step: x, the right rate, dt, z -> the next x."""
    return lambda x, k, dt, z, beta: formula(x, (len(beta) - 1) * beta[k], dt, z)


SDE_STEP = Exercise(
    solution=sde_step,
    task="x after one Euler-Maruyama step of length dt of the forward SDE; z is standard normal",
    praise="on points and images, with the factor T",
    cases=sde_steps,
    mistakes=(
        Mistake(
            lambda x, k, dt, z, beta: x - 0.5 * beta[k] * x * dt + (beta[k] * dt).sqrt() * z,
            "You use beta_k, what comes in within *one* of T steps, as a rate per unit of time. With it almost no "
            "noise arrives: what is the rate when the whole walk takes one unit?",
        ),
        Mistake(
            lambda x, k, dt, z, beta: (1 - beta[k]).sqrt() * x + beta[k].sqrt() * z,
            "That is DDPM's own step, which always goes from k - 1 to k. How far you go now is up to dt.",
        ),
        Mistake(
            lambda x, k, dt, z, beta: sde_step(x, k, dt * len(beta) / (len(beta) - 1), z, beta),
            "The table has T + 1 rows, because row 0 is the clean data. T is one less than its length.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt + rate.sqrt() * dt * z),
            "Your noise shrinks like dt. Variances add up over time: the *variance* of a step is proportional to dt.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt + rate.sqrt() * z),
            "Your noise is the same for every dt. A step half as long brings half the variance.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt + rate * dt * z),
            "You multiply z by a variance. A factor on noise is a std.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - rate * x * dt + (rate * dt).sqrt() * z),
            "Your drift is twice too strong: half the rate on x keeps the variance of standardised data at 1.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x + 0.5 * rate * x * dt + (rate * dt).sqrt() * z),
            "Your drift pushes away from the origin, and x explodes. Forward in time x shrinks.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x + (rate * dt).sqrt() * z),
            "You forgot the drift: x must shrink while noise comes in.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt),
            "You forgot the noise: only the drift is there.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt + 0.5 * (rate * dt).sqrt() * z),
            "Half the rate belongs to the drift alone. The noise gets all of it.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: -0.5 * rate * x * dt + (rate * dt).sqrt() * z),
            "That is the change of x alone. Add it to x.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * dt + (rate * dt).sqrt() * z),
            "Your drift is the same wherever x is. It is proportional to x.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x + (rate * dt).sqrt() * z),
            "Your drift is the same for every dt. Multiply it by dt.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt + (rate * dt**0.5) * z),
            "The noise has the root of dt, and lacks the root of the rate: both stand in its variance.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: (1 - rate * dt).sqrt() * x + (rate * dt).sqrt() * z),
            "That is a DDPM step with the variance rate dt, which is nearly the same. Write the drift as Euler does.",
        ),
        Mistake(
            with_rate(lambda x, rate, dt, z: x - 0.5 * rate * x * dt + dt**0.5 * z),
            "The noise lacks the rate: its variance is the rate times dt.",
        ),
        Mistake(
            lambda x, k, dt, z, beta: sde_step(x, k, dt, 0 * z, beta) + (beta[k] * dt).sqrt() * z,
            "Your noise lacks the factor T: per unit of time the rate is T times beta_k, as in your drift.",
        ),
        Mistake(
            lambda x, k, dt, z, beta: sde_step(x, k, dt, z, beta) + 0.5 * (len(beta) - 2) * beta[k] * x * dt,
            "Your drift lacks the factor T: per unit of time the rate is T times beta_k, as in your noise.",
        ),
    ),
)


def reverse_drift(x, score, f, g2):
    return f * x - g2 * score


def drifts():
    random = Random()
    yield Case("points", (table(1, 2)[None], table(1, 0)[None], table(-2).squeeze(), table(4).squeeze()))
    for kind, shape in random.shapes():
        yield Case(kind, (random.normal(*shape), random.normal(*shape), *rates(random)))


def rates(random):
    """f < 0 and g^2 > 0, each one number; not tied to each other as VP's are, so that none stands for the other."""
    return random.uniform(-9, -2, 1).squeeze(), random.uniform(3, 19, 1).squeeze()


REVERSE_DRIFT = Exercise(
    solution=reverse_drift,
    task="what multiplies dt in the reverse SDE, from x, the score at x, and the numbers f(t) and g(t)^2",
    praise="on points and images",
    cases=drifts,
    mistakes=(
        Mistake(
            lambda x, score, f, g2: f * x - 0.5 * g2 * score,
            "With half of g^2 that is the drift of the ODE, which adds no noise. The SDE adds noise, and has to "
            "balance it with a stronger pull.",
        ),
        Mistake(
            lambda x, score, f, g2: f * x + g2 * score,
            "Check the sign of the score. Here dt is negative: the step has to end up *along* the score.",
        ),
        Mistake(
            lambda x, score, f, g2: -f * x + g2 * score,
            "You have reversed time in the drift. It is reversed already: dt is negative on the way back.",
        ),
        Mistake(
            lambda x, score, f, g2: -f * x - g2 * score,
            "Check the sign of f x: it stays as in the forward SDE, because the negative dt reverses it.",
        ),
        Mistake(
            lambda x, score, f, g2: f - g2 * score,
            "f is a number here: the forward drift is f times x.",
        ),
        Mistake(
            lambda x, score, f, g2: f * x - g2**2 * score,
            "g2 is g^2 already: do not square it again.",
        ),
        Mistake(
            lambda x, score, f, g2: f * x - g2.sqrt() * score,
            "The score is multiplied by a variance rate, g^2. You took its root.",
        ),
        Mistake(
            lambda x, score, f, g2: f * x,
            "That is the forward drift alone. Going back you have to know where the data are: the score is missing.",
        ),
        Mistake(
            lambda x, score, f, g2: -g2 * score,
            "You forgot the forward drift f x: the shrinking has to be undone too.",
        ),
        *(
            Mistake(
                lambda x, score, f, g2, sign=sign: sign * f * x + 0.5 * g2 * score,
                "Two slips: half of g^2 belongs to the ODE, and the signs are not to be turned: dt is negative.",
            )
            for sign in (-1, 1)
        ),
        Mistake(
            lambda x, score, f, g2: -0.5 * g2 * score,
            "You forgot the forward drift f x, and half of g^2 belongs to the ODE.",
        ),
        Mistake(
            lambda x, score, f, g2: (f - g2) * x * score,
            "You multiply x and the score. The two terms are added: f times x, and a multiple of the score.",
        ),
    ),
)

EXERCISES = (SCORE, SDE_STEP, REVERSE_DRIFT)
