"""Exercises: solutions agree with the package, every usual mistake is called by its own name, nothing ever raises."""

import functools
import inspect
import math
import re
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.functional import conv1d, scaled_dot_product_attention

from mpl_diffusion import (
    SDE,
    VP,
    Denoiser,
    classifier_free,
    cosine,
    ddim,
    ddpm,
    euler_maruyama,
    final,
    from_beta,
    linear,
    time_features,
)
from mpl_diffusion.forward.posterior import posterior
from mpl_diffusion.nets.autoencoder import Autoencoder, PatchDiscriminator
from mpl_diffusion.nets.unet import ResBlock
from mpl_diffusion.teaching.exercises import EXERCISES, judge
from mpl_diffusion.teaching.exercises.engine import Attempt, cases_of, trial
from mpl_diffusion.teaching.exercises.image_to_image import Parts

MISTAKES = [
    pytest.param(exercise, mistake, id=f"{exercise.name}: {mistake.sentence[:50]}")
    for exercise in EXERCISES.values()
    for mistake in exercise.mistakes
]
DIFFUSE = EXERCISES["diffuse"]


def said(name, function):
    return judge(EXERCISES[name], function)


# ------------------------------------------------------------------------------------------------ the solutions


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_a_solution_is_right_by_its_own_check(exercise):
    assert judge(exercise, exercise.solution) == ("right", f"{exercise.name}: right, {exercise.praise}.")


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_a_solution_answers_every_case_with_finite_numbers(exercise):
    for truth in Attempt(exercise, exercise.solution).truths:
        assert isinstance(truth, torch.Tensor) and torch.isfinite(truth).all()


def as_schedule(alpha_bar):
    return from_beta(1 - alpha_bar[1:] / alpha_bar[:-1])


def rows(alpha_bar):
    """A schedule in which these rows stand at t = 1, 2, ..."""
    return as_schedule(torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar.reshape(-1)]))


def by_package(name):
    """The same function, said by the package."""

    def ddim_step(x_t, t, t_next, eps, alpha_bar):
        return final(ddim(lambda x, t, cond: eps, as_schedule(alpha_bar), x_t, steps=[t, t_next]))

    def ddpm_step(x_t, t, eps, z, beta):
        return final(ddpm(lambda x, t, cond: eps, from_beta(beta[1:]), x_t, steps=[t, t - 1], noise=[z]))

    def loss(net, x0, t, eps, alpha_bar):
        return ((net(as_schedule(alpha_bar).diffuse(x0, t, eps), t) - eps) ** 2).mean()

    def posterior_mean(x_t, x0, t, beta):
        return posterior(from_beta(beta[1:]), x_t, x0, t, t - 1)[0]

    def mean_from_eps(x_t, t, eps, beta):
        return posterior_mean(x_t, from_beta(beta[1:]).x0_from_eps(x_t, t, eps), t, beta)

    def beta_tilde(beta):
        ones = torch.ones(1, 1, dtype=torch.float64)
        rows = [posterior(from_beta(beta[1:]), ones, ones, t, t - 1)[1] for t in range(1, len(beta))]
        return torch.stack([beta[0], *rows])

    class Frozen(SDE):
        """An SDE whose rates stand still, with noise = 1: there the score is -eps."""

        def __init__(self, f, g2):
            super().__init__()
            for name, value in (("signal", 1.0), ("noise", 1.0), ("f", f), ("g2", g2)):
                rate = torch.as_tensor(value, dtype=torch.float64)
                object.__setattr__(self, name, lambda t, rate=rate: rate.expand(torch.as_tensor(t).shape))

    def reverse_drift(x, score, f, g2):
        step = euler_maruyama(
            lambda x, t, cond: -score, Frozen(f, g2), x, steps=[1.0, 0.5], noise=[torch.zeros_like(x)]
        )
        return (x - final(step)) / 0.5

    def sde_step(x, k, dt, z, beta):
        rate = float((len(beta) - 1) * beta[k])
        sde = VP(beta_min=rate, beta_max=rate)
        return x + sde.f(0.5) * x * dt + (sde.g2(0.5) * dt).sqrt() * z

    def ema_update(slow, fast, decay):
        return torch.lerp(slow, fast, 1 - decay)  # as the Trainer does, whose decay goes with the step

    def nearest(samples, train):
        return torch.stack([(train - x).flatten(1).square().sum(1).argmin() for x in samples])

    def ddim_eta(x_t, t, t_next, eps, z, eta, alpha_bar):
        return final(ddim(lambda x, t, cond: eps, as_schedule(alpha_bar), x_t, [t, t_next], eta, noise=[z]))

    def ddpm_coefficients(t, beta):
        one, nil = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
        each = ((one, nil, nil), (nil, one, nil), (nil, nil, one))
        return torch.cat([ddpm_step(x_t, t, eps, z, beta).view(1) for x_t, eps, z in each])

    def times_smaller(image, latent):
        with torch.device("meta"):  # shapes alone
            x = torch.empty(1, *image)
            z = Autoencoder(f=image[1] // latent[1], channels=image[0], latents=latent[0]).encode(x)
        return x.numel() / z.numel()

    def receptive_field(kernels, strides):
        x = pixels = torch.zeros(1, 1, 100, requires_grad=True)
        for kernel, stride in zip(kernels, strides, strict=True):
            x = conv1d(x, torch.ones(1, 1, kernel), stride=stride)
        x[0, 0, 0].backward()
        return int(pixels.grad.count_nonzero())

    def guided(eps_uncond, eps_cond, w):
        def denoiser(x_t, t, cond):
            said = {0: eps_uncond, 1: eps_cond}
            return torch.cat([said[int(half[0])] for half in cond.split(len(eps_cond))])

        return classifier_free(denoiser, w)(torch.zeros_like(eps_cond), 1, torch.ones(len(eps_cond), 1))

    def drop_captions(cond, u, p_uncond):
        heard = []

        class Ear(nn.Module):
            def forward(self, x_t, t, cond):
                heard.append(cond)
                return x_t

        with mock.patch("torch.rand", lambda *size, **where: u):
            Denoiser(Ear(), linear(), p_uncond=p_uncond).loss(torch.zeros(len(cond), 2), cond, t=1)
        return heard[0]

    return {
        "guided": guided,
        "guided_paper": lambda eps_uncond, eps_cond, w: guided(eps_uncond, eps_cond, w + 1),
        "drop_captions": drop_captions,
        "times_smaller": times_smaller,
        "receptive_field": receptive_field,
        "scale_factor": lambda z: z.flatten().cov().rsqrt(),
        "walk_times": lambda T, S: linear(T).times(S),
        "ddim_eta": ddim_eta,
        "ddpm_coefficients": ddpm_coefficients,
        "time_features": time_features,
        "resblock_parameters": lambda *sizes: sum(p.numel() for p in ResBlock(*sizes, groups=1).parameters()),
        "self_attention": scaled_dot_product_attention,
        "forward_diffusion": lambda x_0, t, eps, betas: from_beta(betas).diffuse(x_0, t, eps),
        "ema_update": ema_update,
        "nearest": nearest,
        "score": lambda eps, t, alpha_bar: as_schedule(alpha_bar).score_from_eps(eps, t),
        "sde_step": sde_step,
        "reverse_drift": reverse_drift,
        "posterior_mean": posterior_mean,
        "mean_from_eps": mean_from_eps,
        "beta_tilde": beta_tilde,
        "noise_std": lambda alpha_bar_t: (
            rows(alpha_bar_t).noise(range(1, alpha_bar_t.numel() + 1)).view_as(alpha_bar_t)
        ),
        "chain_step": lambda x, beta_t, z: from_beta([float(beta_t)]).diffuse(x, 1, z),
        "alpha_bar": lambda beta: from_beta(beta[1:]).alpha_bar,
        "diffuse": lambda x0, t, eps, alpha_bar: as_schedule(alpha_bar).diffuse(x0, t, eps),
        "half_point": lambda alpha_bar: int((as_schedule(alpha_bar).snr <= 1).nonzero()[0]),
        "snr_db": lambda alpha_bar: 10 * rows(alpha_bar).snr[1:].log10(),
        "cosine_alpha_bar": lambda T: cosine(T, beta_max=1.0).alpha_bar,
        "zero_terminal": lambda alpha_bar: as_schedule(alpha_bar).zero_terminal_snr().alpha_bar,
        "x0_from_eps": lambda x_t, t, eps, alpha_bar: as_schedule(alpha_bar).x0_from_eps(x_t, t, eps),
        "loss": loss,
        "ddim_step": ddim_step,
        "ddpm_step": ddpm_step,
    }[name]


@pytest.mark.parametrize("name", sorted(set(EXERCISES) - {"lecture_index", "image_to_image", "our_w", "off_at"}))
def test_a_solution_says_the_same_as_the_package(name):
    assert said(name, by_package(name)).status == "right"


def test_the_lecture_keeps_in_row_t_minus_1_what_is_ours_at_t():
    t = torch.arange(1, 1001)
    lecture = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    assert torch.equal(lecture[EXERCISES["lecture_index"].solution(t)], linear(1000).beta[t])


def test_the_half_points_are_those_of_the_lecture():
    half_point = EXERCISES["half_point"].solution
    assert (half_point(linear().alpha_bar), half_point(cosine().alpha_bar)) == (260, 497)


def test_the_latents_of_the_lecture_and_ours_are_48_times_smaller():
    times_smaller = EXERCISES["times_smaller"].solution
    assert times_smaller((3, 512, 512), (4, 64, 64)) == times_smaller((3, 64, 64), (4, 8, 8)) == 48


def test_a_logit_of_our_discriminator_sees_22_pixels_and_one_of_pix2pix_70():
    receptive_field = EXERCISES["receptive_field"].solution
    layers = [layer for layer in PatchDiscriminator().layers if isinstance(layer, nn.Conv2d)]
    kernels, strides = zip(*[(layer.kernel_size[0], layer.stride[0]) for layer in layers], strict=True)
    assert (receptive_field(kernels, strides), receptive_field([4] * 5, [2, 2, 2, 1, 1])) == (22, 70)


def eps_and_classifier(c=1, noise=0.7):
    """Two Gaussians: eps_uncond, eps_cond, and noise times the score of a classifier that knows both, by autograd."""
    x = torch.linspace(-4, 4, 33, dtype=torch.float64, requires_grad=True)
    log_joint = torch.stack([math.log(p) - (x - m) ** 2 / 2 / s**2 - math.log(s) for p, m, s in MIXTURE])
    logs = log_joint.logsumexp(0), log_joint[c], log_joint[c] - log_joint.logsumexp(0)
    on_x, on_x_given_c, on_c_given_x = (torch.autograd.grad(log.sum(), x, retain_graph=True)[0] for log in logs)
    return -noise * on_x, -noise * on_x_given_c, noise * on_c_given_x


MIXTURE = (0.3, -1.5, 1.0), (0.7, 1.0, 0.5)
EPS_UNCOND, EPS_COND, CLASSIFIER = eps_and_classifier()
PUBLIC = {  # as they are written where they are published; a classifier's score is subtracted from eps
    "diffusers": lambda u, c, guidance_scale: u + guidance_scale * (c - u),
    "GLIDE": lambda u, c, guidance_scale: u + guidance_scale * (c - u),
    "lucidrains": lambda u, c, cond_scale: u + (c - u) * cond_scale,
    "Ho & Salimans": lambda u, c, w: (1 + w) * c - w * u,
    "classifier on p(x)": lambda u, c, s: u - s * CLASSIFIER,
    "classifier on p(x|c)": lambda u, c, s: c - s * CLASSIFIER,
}


@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("formula", PUBLIC)
def test_our_w_makes_our_formula_do_what_a_public_one_does(formula, scale):
    w = EXERCISES["our_w"].solution(formula, scale)
    ours = EXERCISES["guided"].solution(EPS_UNCOND, EPS_COND, w)
    torch.testing.assert_close(ours, PUBLIC[formula](EPS_UNCOND, EPS_COND, scale), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("formula", ["diffusers", "GLIDE", "lucidrains", "Ho & Salimans"])
def test_a_public_formula_is_off_where_our_w_is_1(formula):
    assert EXERCISES["our_w"].solution(formula, EXERCISES["off_at"].solution(PUBLIC[formula])) == 1


def test_guidance_may_be_probed_with_single_precision_tensors():
    def my_off_at(guide):
        nothing, something = torch.zeros(3), torch.ones(3)
        at_0, at_1 = guide(nothing, something, 0), guide(nothing, something, 1)
        return ((something - at_0) / (at_1 - at_0)).mean().item()

    assert said("off_at", my_off_at).status == "right"


@pytest.mark.parametrize("t", [1, 20, 40])
def test_with_a_denoiser_that_knows_the_noise_image_to_image_is_the_reconstruction(t):
    net, schedule = Autoencoder(f=2).double(), linear(T=40)
    net.mean += torch.arange(4).view(4, 1, 1)
    net.std *= 5
    generator = torch.Generator().manual_seed(0)
    x, eps = (torch.randn(2, c, n, n, generator=generator, dtype=torch.float64) for c, n in ((3, 8), (4, 4)))

    def sample(z_t, t):
        return final(ddim(lambda x, t, cond: eps, schedule, z_t, steps=[t, 0]))

    parts = Parts(net.encode, net.scale, schedule.diffuse, sample, net.unscale, net.decode)
    torch.testing.assert_close(EXERCISES["image_to_image"].solution(x, t, eps, parts), net(x))


def test_another_right_way_to_write_it_is_right():
    def my_diffuse(x, time, noise, table):  # other names, other words, in another order
        a = table[time]
        while a.ndim < x.ndim:
            a = a.unsqueeze(-1)
        return noise * torch.sqrt(1 - a) + x * a**0.5

    assert said("diffuse", my_diffuse).status == "right"
    assert said("noise_std", lambda a: torch.pow(1 - a, 0.5)).status == "right"
    assert said("half_point", lambda a: (a > 0.5).sum()).status == "right"
    assert said("lecture_index", functools.partial(lambda t, one: t - one, one=1)).status == "right"
    assert said("lecture_index", lambda t: int(t) - 1).status == "right"


def squared_differences(s, t):
    return ((s[:, None] - t[None]) ** 2).sum((2, 3, 4)).argmin(1)


def products(s, t):
    square = (t**2).sum((1, 2, 3))
    return (square - 2 * torch.einsum("nchw,mchw->nm", s, t)).argmin(1)


@pytest.mark.parametrize("answer", [squared_differences, products])
def test_the_nearest_image_is_looked_for_among_images_as_the_text_says(answer):
    assert said("nearest", answer).status == "right"


# ------------------------------------------------------------------------------------------- the usual mistakes


@pytest.mark.parametrize("exercise, mistake", MISTAKES)
def test_a_usual_mistake_is_called_by_its_own_name(exercise, mistake):
    assert judge(exercise, mistake.formula) == ("mistake", f"{exercise.name}: not yet.\n{mistake.sentence}")


@pytest.mark.parametrize("exercise, mistake", MISTAKES)
def test_a_usual_mistake_runs_somewhere(exercise, mistake):
    """Or every function that crashes everywhere would be taken for it."""
    assert any(isinstance(trial(mistake.formula, case.args).answer, torch.Tensor) for case in cases_of(exercise))


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_no_sentence_shows_the_solution_or_raises_its_voice(exercise):
    formulas = re.findall(r"(?:return|=) (.{8,})", inspect.getsource(exercise.solution))
    for _, sentence in exercise.mistakes:
        assert not any(formula in sentence for formula in formulas)
        assert not re.search(r"!|simply|obviously|just ", sentence)
        assert not re.search(r"Asked is|on its head|[Mm]ind the|without a word|in silence", sentence)  # plain English
        assert sentence.endswith((".", "?"))


def test_a_missing_reshape_is_found_though_28_images_run_in_silence():
    def my_diffuse(x0, t, eps, alpha_bar):
        return alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps

    answers = Attempt(DIFFUSE, my_diffuse).answers
    silent = [a for a, c in zip(answers, Attempt(DIFFUSE, my_diffuse).cases, strict=True) if len(c.args[0]) == 28]
    assert (
        sum(isinstance(a, torch.Tensor) for a in silent) == 3
    )  # points with one t, images with one t and with a batch
    assert any(isinstance(a, RuntimeError) for a in answers)
    assert "Reshape it" in said("diffuse", my_diffuse).message
