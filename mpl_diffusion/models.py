"""The trained models that come with the package: how each is built, and its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from .data.scenes import LENGTH, VOCABULARY
from .files import digest, load_tensors
from .forward.schedules import cosine
from .nets.autoencoder import Autoencoder
from .nets.classifier import Classifier
from .nets.reader import SceneReader
from .nets.unet import UNet
from .reverse.denoiser import Denoiser

WEIGHTS = Path(__file__).parent / "weights"
P_UNCOND = 0.15  # of the labels and captions are dropped in training: what guidance needs


def mnist() -> Denoiser:
    """Digits (B, 1, 28, 28) in [-1, 1]; ids (B, 1): 0 is "any", a digit's id is digit + 1."""
    return Denoiser(UNet(patch=2, vocabulary=11), cosine(1000), predicts="v", p_uncond=P_UNCOND)


SCENES = dict(widths=(96, 128), vocabulary=len(VOCABULARY), length=LENGTH, depth=2, heads=4)  # those that read captions


def scenes_latent() -> Denoiser:
    """Scaled latents of scenes (B, 4, 8, 8); ids of captions (B, 8)."""
    return Denoiser(UNet(channels=4, attention=(True, True), **SCENES), cosine(1000), predicts="v", p_uncond=P_UNCOND)


def scenes_pixel() -> Denoiser:
    """Scenes themselves (B, 3, 64, 64) in [-1, 1]; ids of captions (B, 8). The same U-Net, on 32x32 and 16x16."""
    return Denoiser(
        UNet(channels=3, attention=(False, True), patch=2, **SCENES), cosine(1000), predicts="v", p_uncond=P_UNCOND
    )


MODELS: dict[str, Callable[[], nn.Module]] = {
    "mnist": mnist,
    "digit-classifier": Classifier,
    "scene-reader": SceneReader,
    "scenes-autoencoder": Autoencoder,
    "scenes-autoencoder-no-gan": Autoencoder,
    "scenes-autoencoder-f2": partial(Autoencoder, 2),
    "scenes-autoencoder-f4": partial(Autoencoder, 4),
    "scenes-autoencoder-f16": partial(Autoencoder, 16),
    "scenes-latent": scenes_latent,
    "scenes-pixel": scenes_pixel,
}


def load(name: str | Path) -> nn.Module:
    """A trained model, ready to be called: one of MODELS, shipped with the package, or a file that you trained.

    ValueError: an unknown name, or a file that is damaged or of another version; FileNotFoundError: there is none.
    """
    path = _find(name)
    tensors, header = load_tensors(path)
    if (kind := header.get("model")) not in MODELS:
        raise ValueError(f"{path} holds a model called {kind!r}; expected one of {', '.join(map(repr, MODELS))}")
    model = MODELS[kind]().eval().requires_grad_(False)
    if {k: v.shape for k, v in model.state_dict().items()} != {k: v.shape for k, v in tensors.items()}:
        raise ValueError(f"{path} was written by another version: its parameters have other names or shapes")
    model.load_state_dict(tensors)
    if kind == "scenes-latent" and header.get("latents") != latents_of(load("scenes-autoencoder-no-gan")):
        raise ValueError(
            f"{path} was trained on the latents of another autoencoder than the one shipped with the "
            f"package: their meaning and their scale differ. `python -m mpl_diffusion train {kind}` makes it anew"
        )
    return model


def model_header(name: str | Path) -> dict:
    """The header of a model's file: recipe, seed, steps, batch, data, precision, torch; `quality` as a dict."""
    found = load_tensors(_find(name))[1]
    return {**found, "quality": json.loads(found["quality"])}


def _find(name: str | Path) -> Path:
    boxed = not str(name).endswith(".safetensors")
    if boxed and name not in MODELS:
        raise ValueError(
            f"no model is called {str(name)!r}; there are {', '.join(map(repr, MODELS))}, and files named *.safetensors"
        )
    path = WEIGHTS / f"{name}.safetensors" if boxed else Path(name)
    if not path.is_file():
        cure = f"; `python -m mpl_diffusion train {name}` makes it" if boxed else ""
        raise FileNotFoundError(f"there is no file {path}{cure}")
    return path


def latents_of(autoencoder: Autoencoder) -> str:
    """The SHA-256 of all that decides what an autoencoder's scaled latents are: its encoder, their mean and std."""
    parts = {name: tensor.cpu() for name, tensor in autoencoder.state_dict().items() if not name.startswith("decoder")}
    return digest(parts, {})
