"""Bad arguments: none is silent, none ends in NaN, none runs for ever. Each message says what is expected."""

import math

import numpy as np
import pytest
import torch

from mpl_diffusion import (
    ADAPTIVE,
    MLP,
    RK4,
    VE,
    VP,
    AlternatingTrainer,
    Autoencoder,
    AutoencoderLosses,
    Classifier,
    Denoiser,
    EmpiricalDenoiser,
    GaussianMixture,
    PatchDiscriminator,
    PerceptualLoss,
    SceneReader,
    SubVP,
    Trainer,
    Transformer,
    UNet,
    adaptive_solver,
    batches,
    bits_per_dim,
    clamp,
    cosine,
    ddim,
    ddim_heun,
    discretised_gaussian,
    dpm_solver,
    dynamic_threshold,
    edit_x0,
    energy_distance,
    euler_maruyama,
    exact_reverse,
    exact_roll,
    feature_maps,
    final,
    floor_at,
    from_alpha_bar,
    from_beta,
    guidance_interval,
    hinge_loss,
    integrate,
    invert,
    jackknife,
    kl_to_standard_normal,
    langevin,
    linear,
    log_likelihood,
    loss_at,
    mass_inside,
    mixture_1d,
    moons,
    override_time,
    posterior,
    precision_recall,
    probability_flow,
    psnr,
    radial_power,
    receptive_field,
    receptive_radius,
    rings,
    saturation,
    shared_attention,
    sharpness,
    sigmoid,
    slerp,
    sliced_wasserstein,
    swiss_roll,
    time_features,
    transition,
    two_sample_test,
    variational_bound,
    write_caption,
)
from mpl_diffusion.checks import check_finite_tensor, check_number, check_pictures, check_rows, check_whole
from mpl_diffusion.reverse.elbo import gaussian_log_prob
from mpl_diffusion.reverse.walk import noise_source

S = linear(20)
X, Y = torch.linspace(-1, 1, 8).reshape(4, 2), torch.linspace(1, -1, 8).reshape(4, 2)
BYTES = torch.arange(192).reshape(1, 3, 8, 8)
PICTURES = BYTES / 95.5 - 1
ONE = torch.ones(())


def zero(x_t, t, cond=None):
    return torch.zeros_like(x_t)


def narrow(x_t, t, cond=None):
    """An answer that broadcasting would let pass."""
    return x_t[:1]


def fall(x, t):
    return -x


def unet(**settings):
    return UNet(widths=(16, 16), attention=(False, False), **settings)


def trainer(**settings):
    model = MLP(2, width=8, depth=1)
    return Trainer(model, lambda x: model(x, torch.ones(len(x))).mean(), **settings)


def gapped():
    return GaussianMixture(torch.ones(2) / 2, X[:2], torch.eye(2), torch.tensor([0, 2]))


BAD = {
    # ---- times and rates
    "a step as long as nan": (lambda: ADAPTIVE(fall, X, 0.0, math.nan), "h = nan; expected finite times"),
    "a step from nan": (lambda: ADAPTIVE(fall, X, math.nan, 1.0), "t = nan .*expected finite times"),
    "an endless step": (lambda: ADAPTIVE(fall, X, 0.0, math.inf), "h = inf; expected finite times"),
    "a fixed step as long as nan": (lambda: RK4(fall, X, 0.0, math.nan), "h = nan; expected finite times"),
    "a walk to nan": (lambda: integrate(fall, X, [0.0, math.nan]), "times = .*two finite ones"),
    "a walk to infinity": (lambda: integrate(fall, X, [0.0, math.inf], ADAPTIVE), "times = .*two finite ones"),
    "a velocity of one row": (lambda: RK4(lambda x, t: x[:1], X, 0.0, 1.0), r"dx/dt has shape \(1, 2\).*\(4, 2\)"),
    "an endless tolerance": (lambda: adaptive_solver(math.inf), "tolerance = inf; expected a finite number, above 0"),
    "VP below 0": (lambda: VP(-1), "beta_min = -1; expected a finite number, at least 0"),
    "VP of nan": (lambda: VP(0.1, math.nan), "beta_max = nan; expected a finite number"),
    "VP upside down": (lambda: VP(20, 0.1), r"beta_max = 0.1; .* at least 20 \(beta_min comes first\)"),
    "VP of nothing": (lambda: VP(0, 0), "beta_max = 0; expected a finite number, above 0"),
    "SubVP below 0": (lambda: SubVP(-1), "beta_min = -1; expected"),
    "VE upside down": (lambda: VE(50, 0.01), r"sigma_max = 0.01; .* above 50 \(sigma_min comes first\)"),
    "VE of 0": (lambda: VE(0), "sigma_min = 0; expected a finite number, above 0"),
    "VE of infinity": (lambda: VE(0.01, math.inf), "sigma_max = inf; expected a finite number"),
    "the flow at 0": (lambda: VP().flow(0.0), "noise.t. = 0 at t = 0: .*stop at t_min"),
    "half a step": (lambda: VP().times(2.5), "steps = 2.5; expected a whole number, at least 1"),
    "no training times": (lambda: S.random_times(0), "n = 0; expected a whole number, at least 1"),
    "fewer training times": (lambda: VP().random_times(-1), "n = -1; expected a whole number, at least 1"),
    "a table of tables": (lambda: from_beta([[0.1]]), r"beta has shape \(1, 1\); expected a list"),
    "a table without steps": (lambda: from_alpha_bar([1.0]), r"alpha_bar has shape \(1,\); expected"),
    "a cap of 0": (lambda: cosine(10, beta_max=0.0), "beta_max = 0.0; expected a finite number, above 0"),
    "an offset below 0": (lambda: cosine(10, s=-1), "s = -1; expected a finite number, at least 0"),
    "a curve without width": (lambda: sigmoid(10, tau=0), "tau = 0; expected a finite number, above 0"),
    "a curve that rises": (lambda: sigmoid(10, 3.0, -3.0), "end = -3.0; expected a finite number, above 3"),
    "a step on from pure noise": (lambda: transition(from_beta([1.0, 0.5]), 2, 1), "signal.s. = 0 at s = 1"),
    "a step between data": (lambda: posterior(from_beta([0.0, 0.0]), X, X, 2, 1), "noise.t. = 0 at t = 2"),
    "the score of data": (lambda: S.score_from_eps(X, 0), "noise.t. = 0: the score .* infinite"),
    # ---- data
    "no roll": (lambda: swiss_roll(0), "n = 0; expected a whole number, at least 1"),
    "a roll without nodes": (lambda: exact_roll(0), "nodes = 0; expected a whole number, at least 1"),
    "two classes and a half": (lambda: exact_roll(9, classes=2.5), "classes = 2.5; expected a whole number"),
    "one moon": (lambda: moons(1), "n = 1; expected a whole number, at least 2"),
    "one ring": (lambda: rings(1), "n = 1; expected a whole number, at least 2"),
    "rings on a line": (lambda: rings(2, noise=0), "n = 2 points lie on one line"),
    "moons with noise below 0": (lambda: moons(9, noise=-1), "noise = -1; expected a finite number, at least 0"),
    "a std below 0": (lambda: mixture_1d([1], [0], [-1]), r"std = \[-1.0\]; expected standard deviations above 0"),
    "a std of nan": (lambda: mixture_1d([1], [0], [math.nan]), "std = .*above 0"),
    "lists of two lengths": (lambda: mixture_1d([1], [0, 1], [1]), r"shapes \(1,\), \(2,\), \(1,\); expected three"),
    "a mean of nan": (lambda: mixture_1d([1], [math.nan], [1]), "mean holds NaN or infinity: 1 of 1"),
    "a covariance below 0": (lambda: GaussianMixture(ONE[None], X[:1], -torch.eye(2)), "not positive definite"),
    "an unused label": (lambda: gapped().log_prob(X, torch.full((4, 1), 2)), "no component is labelled 1"),
    "no points": (lambda: gapped().sample(0), "n = 0; expected a whole number, at least 1"),
    "data without rows": (lambda: EmpiricalDenoiser(torch.ones(3), S), r"data has shape \(3,\); expected"),
    # ---- networks
    "no features of time": (lambda: time_features(torch.ones(2), 4, 0), "max_period = 0; expected .*above 1"),
    "features of no size": (lambda: time_features(torch.ones(2), 0), "dim = 0; expected a whole number, at least 2"),
    "times in a table": (
        lambda: time_features(torch.ones(2, 2), 4),
        r"t has shape \(2, 2\); expected one time",
    ),
    "an MLP below the ground": (lambda: MLP(2, depth=-1), "depth = -1; expected a whole number, at least 0"),
    "an MLP without width": (lambda: MLP(2, width=0), "width = 0; expected a whole number, at least 1"),
    "an MLP of fewer classes": (lambda: MLP(2, classes=-1), "classes = -1; expected a whole number, at least 0"),
    "an MLP at one time": (lambda: MLP(2)(X, torch.ones(1)), r"t has shape \(1,\); expected one time"),
    "an MLP on one id": (
        lambda: MLP(2, classes=3)(X, torch.ones(4), torch.ones(1, 1, dtype=torch.long)),
        r"cond has shape \(1, 1\), .*expected whole ids, \(4, L\)",
    ),
    "a U-Net without blocks": (lambda: unet(blocks=0), "blocks = 0; expected a whole number, at least 1"),
    "a U-Net below the ground": (lambda: unet(vocabulary=3, depth=-1), "depth = -1; expected a whole number"),
    "a U-Net without resolutions": (lambda: UNet(widths=(), attention=()), "widths is empty"),
    "a U-Net without words": (lambda: unet(vocabulary=3, length=0), "length = 0; expected a whole number, at least 1"),
    "a U-Net at one time": (lambda: unet()(torch.ones(2, 1, 4, 4), torch.ones(1)), r"t has shape \(1,\)"),
    "a transformer without heads": (lambda: Transformer(8, 1, heads=0), "heads = 0; expected a whole number"),
    "an autoencoder without latents": (lambda: Autoencoder(latents=0), "latents = 0; expected a whole number"),
    "a critic without width": (lambda: PatchDiscriminator(width=0), "width = 0; expected a whole number"),
    "a classifier without features": (lambda: Classifier(0), "features = 0; expected a whole number"),
    "a reader without places": (lambda: SceneReader(places=0), "places = 0; expected a whole number"),
    "the time nan": (lambda: override_time(unet(), math.nan), "lie = nan; expected a finite number"),
    "half a row": (lambda: shared_attention(unet(), 1.5), "rows = 1.5; expected a whole number, at least 1"),
    "a pixel outside": (
        lambda: receptive_field(unet(), torch.ones(1, 1, 4, 4), 1, (4, 0)),
        r"at = \(4, 0\); expected .* from \(0, 0\) to \(3, 3\)",
    ),
    "a pixel from the end": (lambda: receptive_radius(torch.ones(4, 4), (-1, 0)), r"at = \(-1, 0\); expected"),
    "no influence": (lambda: receptive_radius(torch.zeros(4, 4), (0, 0)), "influence has .* sum 0; expected"),
    # ---- the way back
    "whole numbers clamped": (lambda: clamp(zero, S)(X.long(), 5), "x_t is torch.int64; expected a tensor of floats"),
    "no scales in an interval": (lambda: guidance_interval([], 0, 1), "w = .*; expected a finite number from 0"),
    "an interval at NaN": (lambda: guidance_interval(2, 0, 1)(math.nan), "t = nan; expected a finite number"),
    "an x0 of data": (lambda: clamp(zero, S)(X, 0), "noise.0. = 0: x_t is the data itself"),
    "an edit of one row": (lambda: edit_x0(zero, S, lambda x0: x0[:1])(X, 5), "x_t has shape .* expected the same"),
    "a loss on one id": (
        lambda: Denoiser(MLP(2, classes=3), S).loss(X, torch.ones(1, 1, dtype=torch.long)),
        r"cond has shape \(1, 1\)",
    ),
    "an arc to nan": (lambda: slerp(X, Y, math.nan), "weight holds NaN or infinity"),
    "bits of no dimension": (lambda: bits_per_dim(ONE, -1), "dims = -1; expected a whole number, at least 1"),
    "bits of no bin": (lambda: bits_per_dim(ONE, 2, 0.0), "bin = 0.0; expected a finite number, above 0"),
    "a prior of columns": (
        lambda: log_likelihood(lambda x, t, cond: x, VP(), X, 4, RK4, prior=lambda x: x[:, :1]),
        r"the prior answers with shape \(4, 1\); expected .*\(4,\)",
    ),
    "no levels": (lambda: discretised_gaussian(X, X, ONE, levels=0), "levels = 0; expected a whole number, at least 2"),
    "a mean of one row": (lambda: discretised_gaussian(X, X[:1], ONE), "x0 has shape .* mean"),
    "a density without width": (lambda: gaussian_log_prob(X, X, 0 * ONE), "std is 0 somewhere"),
    "half a term": (lambda: variational_bound(zero, S, X, 1.5), "n = 1.5; expected None, or a number"),
    "half a repeat": (lambda: langevin(zero, VP(), X, 3, repeats=1.5), "repeats = 1.5; expected a whole number"),
    "a seed as noise": (lambda: noise_source(3), "noise = 3; expected a generator: .*manual_seed.3."),
    # ---- measures
    "no directions": (lambda: sliced_wasserstein(X, Y, 0), "directions = 0; expected a whole number, at least 1"),
    "fewer permutations": (lambda: two_sample_test(X, Y, -1), "permutations = -1; expected a whole number, at least 1"),
    "samples in a row": (lambda: sliced_wasserstein(X[:, 0], Y[:, 0]), r"samples of shape \(4,\)"),
    "half a part": (lambda: jackknife(lambda x: 0.0, X, 2.5), "parts = 2.5; expected a whole number, from 2 to 4"),
    "half a neighbour": (lambda: precision_recall(X, Y, 1.5), "k = 1.5 for 4 and 4 rows; expected"),
    "a loss of one row": (lambda: loss_at(narrow, S, X, 5, X), "eps has shape .* eps_hat"),
    "no power": (lambda: radial_power(torch.zeros(0, 4, 4)), r"images have shape \(0, 4, 4\); expected"),
    "psnr of bytes": (lambda: psnr(BYTES, BYTES), "images is torch.int64; .*images / 127.5 - 1"),
    "psnr of floats like bytes": (lambda: psnr(PICTURES, BYTES.float()), "originals runs from 0 to 191; .*127.5"),
    "psnr of nothing": (lambda: psnr(PICTURES[:0], PICTURES[:0]), "expected at least one picture"),
    "saturation of bytes": (lambda: saturation(BYTES), "images is torch.int64; .*images / 127.5 - 1"),
    "saturation of floats like bytes": (lambda: saturation(BYTES.float()), "images runs from 0 to 191; .*127.5"),
    "sharpness of bytes": (lambda: sharpness(BYTES, BYTES), "images is torch.int64; .*images / 127.5 - 1"),
    "sharpness of NaN": (lambda: sharpness(PICTURES * math.nan, PICTURES), "images runs from nan to nan"),
    "sharpness of a flat original": (lambda: sharpness(PICTURES, 0 * PICTURES), "the originals have no fine detail"),
    "a box in pixels": (
        lambda: mass_inside(torch.ones(1, 4, 4), torch.tensor([[0.0, 0.0, 16.0, 16.0]])),
        "boxes run from 0 to 16.*boxes / width",
    ),
    "mass below 0": (lambda: mass_inside(-torch.ones(1, 4, 4), torch.tensor([[0.0, 0, 1, 1]])), "maps >= 0"),
    "half a digit": (lambda: floor_at(100.5), "n = 100.5; expected a whole number"),
    "a variance for all": (lambda: kl_to_standard_normal(X, X[:1]), "mean has shape .* log_var"),
    "a glance of depth 0": (lambda: PerceptualLoss(Classifier(), 0), "depth = 0; expected a whole number, from 1 to 4"),
    "a glance at one of two": (
        lambda: PerceptualLoss(Classifier())(torch.ones(2, 1, 28, 28), torch.ones(1, 1, 28, 28)),
        "x has shape .* y",
    ),
    # ---- numbers that are no floats, or no numbers
    "noise of whole numbers": (lambda: S.diffuse(X, 5, X.long()), "eps is torch.int64; expected a tensor of floats"),
    "noise of nan": (lambda: S.diffuse(X, 5, X * math.nan), "eps holds NaN or infinity"),
    "complex noise": (lambda: S.x0_from_eps(X, 5, X + 0j), "eps is torch.complex64; expected a tensor of floats"),
    "an x0 of truth values": (lambda: S.eps_from_x0(X, 5, X > 0), "x0 is torch.bool; expected a tensor of floats"),
    "a posterior of whole numbers": (lambda: posterior(S, X, X.long(), 2, 1), "x0 is torch.int64; expected"),
    "training with whole numbers": (
        lambda: Denoiser(MLP(2), S).loss(X, t=5, eps=X.long()),
        "eps is torch.int64; expected a tensor of floats",
    ),
    "a density of nan": (lambda: VP().prior_log_prob(X * math.nan), "x holds NaN or infinity"),
    "a true variance": (lambda: linear(9, True), "beta_1 = True; expected a finite number, at least 0"),
    "a mixture of whole numbers": (
        lambda: GaussianMixture(ONE[None], X[:1].long(), torch.eye(2)),
        "mean is torch.int64; expected a tensor of floats",
    ),
    "a label below 0": (
        lambda: GaussianMixture(ONE[None], X[:1], torch.eye(2), torch.tensor([-1])),
        "expected whole numbers >= 0",
    ),
    "the density of nan": (lambda: gapped().log_prob(X * math.nan), "x holds NaN or infinity"),
    "ids that are floats": (
        lambda: gapped().log_prob(X, torch.ones(4, 1)),
        "cond is torch.float32; expected whole ids",
    ),
    "a point of infinity": (
        lambda: exact_reverse(gapped(), S, torch.tensor([math.inf, 0]), 2, 1),
        "x_t holds NaN or infinity",
    ),
    "data of whole numbers": (lambda: EmpiricalDenoiser(X.long(), S), "data is torch.int64; expected"),
    "data without a process": (lambda: EmpiricalDenoiser(X, None), "process = None; expected a Process"),
    "a denoiser asked at nan": (lambda: EmpiricalDenoiser(X, S)(X * math.nan, 5), "x_t holds NaN or infinity"),
    "a denoiser without a network": (lambda: Denoiser(None, S), "net = None; expected a network"),
    "a denoiser without a process": (lambda: Denoiser(MLP(2), 20), "process = 20; expected a Process"),
    "a style of nan": (lambda: write_caption([4, 5, 0, -1, -1], math.nan), "style = nan; expected a finite number"),
    "an arc from nan": (lambda: slerp(X * math.nan, Y, 0.5), "x holds NaN or infinity"),
    "an arc of whole numbers": (lambda: slerp(X, Y.long(), 0.5), "y is torch.int64; expected a tensor of floats"),
    **{
        f"{walk.__name__} from whole numbers": (
            lambda walk=walk, process=process: final(walk(zero, process, X.long(), 2)),
            "x is torch.int64; expected a tensor of floats",
        )
        for walk, process in [
            (ddim, S),
            (ddim_heun, S),
            (dpm_solver, S),
            (invert, S),
            (probability_flow, VP()),
            (euler_maruyama, VP()),
        ]
    },
    "features of nan": (lambda: feature_maps(unet(), torch.ones(1, 1, 4, 4) * math.nan, 1), "x holds NaN or infinity"),
    "features at the time nan": (
        lambda: feature_maps(unet(), torch.ones(1, 1, 4, 4), math.nan),
        "t holds NaN or infinity",
    ),
    "a field of no picture": (
        lambda: receptive_field(unet(), torch.ones(0, 1, 4, 4), 1, (0, 0)),
        "expected at least one picture",
    ),
    "an endless influence": (
        lambda: receptive_radius(torch.full((4, 4), math.inf), (0, 0)),
        "influence holds NaN or infinity",
    ),
    "a warm-up without an end": (lambda: trainer(warmup=math.inf), "warmup = inf; expected a whole number, at least 1"),
    "half a step of warm-up": (lambda: trainer(warmup=1.5), "warmup = 1.5; expected a whole number"),
    "a true clip": (lambda: trainer(clip=True), "clip = True; expected the largest norm of a gradient, above 0"),
    "a word for compile": (lambda: trainer(compile="no"), "compile = 'no'; expected True or False"),
    "no trainers": (lambda: AlternatingTrainer(None), r"trainers = \(None,\); expected one Trainer or more"),
    "a true size": (lambda: batches(X, size=True), "size = True; expected equal rows"),
    "complex samples": (lambda: energy_distance(X, Y + 0j), "torch.complex64; expected real numbers"),
    "the power of nan": (lambda: radial_power(torch.full((1, 4, 4), math.nan)), "images holds NaN or infinity"),
    "a measure of nan": (lambda: jackknife(lambda x: math.nan, X, 2), "measure holds NaN or infinity"),
    "maps of nan": (
        lambda: mass_inside(torch.full((1, 4, 4), math.nan), torch.tensor([[0.0, 0, 1, 1]])),
        "maps holds NaN or infinity",
    ),
    "a mean of infinity": (lambda: discretised_gaussian(X, X / 0, ONE), "mean holds NaN or infinity"),
    "a divergence of whole numbers": (lambda: kl_to_standard_normal(X, X.long()), "log_var is torch.int64; expected"),
    "no logits": (lambda: hinge_loss(X, X[:0]), "8 real and 0 fake logits; expected at least one of each"),
    "losses without an autoencoder": (lambda: AutoencoderLosses(None, zero), "autoencoder = None; expected a network"),
    "an endless bound": (lambda: dynamic_threshold(zero, S, bound=math.inf), "bound = inf; expected"),
    # ---- the checks themselves
    "a truth value": (lambda: check_whole(n=True), "n = True; expected a whole number, at least 1"),
    "a word": (lambda: check_number(w="2"), "w = '2'; expected a finite number"),
    "nothing": (lambda: check_number(w=None), "w = None; expected a finite number"),
    "a list": (lambda: check_number(w=[1.0]), r"w = \[1.0\]; expected a finite number"),
    "ids that are no whole numbers": (lambda: check_rows(X, X[:, 0], X), "cond .*torch.float32; expected whole ids"),
    "a picture of nan": (lambda: check_pictures(x=PICTURES * math.nan), "x runs from nan to nan"),
    "one infinity": (lambda: check_finite_tensor(x=torch.tensor([1.0, math.inf])), "NaN or infinity: 1 of 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_at_the_limit_is_let_through():
    check_whole(n=1, k=np.int64(7))
    check_whole(low=0, high=3, a=0, b=3)
    check_number(low=0, high=1, a=0, b=1.0, c=np.float32(0.5), d=torch.tensor(1.0))
    check_number(above=0, a=1e-300)
    check_pictures(x=PICTURES, y=3 * PICTURES)
    assert VP(1.0, 1.0).beta_max == 1.0 and MLP(2, depth=0)(X, torch.ones(4)).shape == X.shape
    assert bits_per_dim(ONE, np.int64(2)) == pytest.approx(-1 / (2 * math.log(2)))
    assert torch.equal(ADAPTIVE(fall, X, 0.5, 0.0), X)
    assert psnr(PICTURES, PICTURES) == math.inf and 0 < saturation(PICTURES) <= 1
