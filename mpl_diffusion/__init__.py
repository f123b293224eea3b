"""mpl_diffusion: the lecture on diffusion models that you can run.

A process is two rates, a denoiser is any function eps = denoiser(x_t, t, cond), every loop is a generator.
Names are fetched when they are first used, so importing this package costs little more than importing torch.
"""

import importlib
import os

# torch's threads spin while they wait, and starve each other on a busy laptop (a small network then runs 100 times
# slower). This must be set before torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

_HOME = {
    "forward.process": ["Process"],
    "forward.schedules": ["Schedule", "linear", "cosine", "sigmoid", "from_beta", "from_alpha_bar"],
    "reverse.ode": ["Tableau", "EULER", "MIDPOINT", "HEUN", "RK4", "ADAPTIVE", "adaptive_solver", "integrate"],
    "forward.sde": ["SDE", "VP", "SubVP", "VE", "ScheduleVP"],
    "reverse.denoiser": ["Denoiser"],
    "nets.mlp": ["MLP"],
    "nets.unet": ["UNet"],
    "nets.classifier": ["Classifier"],
    "nets.autoencoder": ["Autoencoder", "PatchDiscriminator"],
    "nets.reader": ["SceneReader"],
    "nets.text": ["Transformer"],
    "nets.time": ["time_features"],
    "nets.anatomy": [
        "feature_maps",
        "ablate",
        "override_time",
        "count_flops",
        "receptive_field",
        "receptive_radius",
        "attention_maps",
        "shared_attention",
    ],
    "data.toy": ["swiss_roll", "exact_roll", "moons", "rings"],
    "data.mixture": ["GaussianMixture", "mixture_1d", "exact_reverse", "moment_matched_gaussian", "kl_divergence"],
    "data.empirical": ["EmpiricalDenoiser"],
    "data.mnist": ["mnist"],
    "data.scenes": [
        "scenes",
        "chimera_scenes",
        "scene_batches",
        "write_caption",
        "tokenize",
        "detokenize",
        "parse_captions",
    ],
    "forward.posterior": ["transition", "posterior"],
    "reverse.walk": ["Step", "final"],
    "reverse.ancestral": ["ddpm", "ddim"],
    "reverse.multistep": ["dpm_solver"],
    "reverse.probability_flow": ["ode_velocity", "probability_flow"],
    "reverse.sde_solvers": ["euler_maruyama", "langevin"],
    "reverse.heun": ["ddim_heun"],
    "reverse.inversion": ["invert", "slerp"],
    "reverse.likelihood": ["log_likelihood", "bits_per_dim"],
    "reverse.elbo": ["bound_terms", "variational_bound", "discretised_gaussian"],
    "models": ["load", "model_header"],
    "reverse.guidance": ["classifier_free", "guidance_interval", "clamp", "dynamic_threshold", "edit_x0"],
    "training.losses": [
        "AutoencoderLosses",
        "PerceptualLoss",
        "kl_to_standard_normal",
        "hinge_loss",
        "adaptive_weight",
    ],
    "evaluation.scenes": ["adherence", "diversity", "read_scenes", "reader_certainty", "scene_features"],
    "training.trainer": ["Trainer", "AlternatingTrainer", "batches", "fast_precision"],
    "evaluation.metrics": [
        "sliced_wasserstein",
        "energy_distance",
        "two_sample_test",
        "frechet",
        "jackknife",
        "precision_recall",
        "loss_at",
        "radial_power",
        "psnr",
        "sharpness",
        "saturation",
        "mass_inside",
    ],
    "evaluation.digits": ["quality", "digit_features", "classify_digits", "floor_at"],
    "evaluation.tables": ["load_table"],
    "teaching.widgets": ["explore", "player", "particles", "watch", "prompt_box"],
    "teaching.exercises": ["check"],
    "teaching.exam": ["exam_cards"],
}
_ROOM_OF = {name: room for room, names in _HOME.items() for name in names}
_ROOMS = {"plots": "teaching.plots"}

__all__ = [*_ROOM_OF, *_ROOMS]


def __getattr__(name: str):
    if name in _ROOM_OF:
        return getattr(importlib.import_module(f".{_ROOM_OF[name]}", __name__), name)
    if name in _ROOMS:
        return importlib.import_module(f".{_ROOMS[name]}", __name__)
    raise AttributeError(f"mpl_diffusion has no {name!r}; it has {', '.join(sorted(__all__))}")


def __dir__():
    return sorted([*globals(), *__all__])
