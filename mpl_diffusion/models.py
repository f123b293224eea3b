"""The trained models that come with the package: how each is built, and its weights from the box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from .denoiser import Denoiser
from .files import load_tensors
from .nets.classifier import Classifier
from .nets.unet import UNet
from .schedules import cosine

WEIGHTS = Path(__file__).parent / "weights"


def mnist() -> Denoiser:
    """Digits (B, 1, 28, 28) in [-1, 1]; ids (B, 1): 0 is "any", a digit's id is digit + 1."""
    return Denoiser(UNet(patch=2, vocabulary=11), cosine(1000), predicts="v")


MODELS: dict[str, Callable[[], nn.Module]] = {"mnist": mnist, "digit-classifier": Classifier}


def load(name: str | Path) -> nn.Module:
    """A trained model, ready to be called: one of MODELS from the box, or the file that a training of yours wrote.

    ValueError: an unknown name, or a file that is damaged or of another version; FileNotFoundError: there is none.
    """
    boxed = not str(name).endswith(".safetensors")
    path = WEIGHTS / f"{name}.safetensors" if boxed else Path(name)
    if boxed and name not in MODELS:
        raise ValueError(f"no model is called {str(name)!r}; there are {', '.join(map(repr, MODELS))}, and files")
    if not path.is_file():
        cure = f"; `python -m mpl_diffusion train {name}` makes it again" if boxed else ""
        raise FileNotFoundError(f"there is no file {path}{cure}")
    tensors, header = load_tensors(path)
    if (kind := header.get("model")) not in MODELS:
        raise ValueError(f"{path} holds a model called {kind!r}; expected one of {', '.join(map(repr, MODELS))}")
    model = MODELS[kind]().eval().requires_grad_(False)
    if {k: v.shape for k, v in model.state_dict().items()} != {k: v.shape for k, v in tensors.items()}:
        raise ValueError(f"{path} was written by another version: its parameters have other names or shapes")
    model.load_state_dict(tensors)
    return model
