"""Weights from the box: small, signed with how they were made, and noticed when they are damaged."""

import json
import shutil

import pytest
import torch

from mpl_diffusion import clamp, ddim, final, load
from mpl_diffusion.files import load_tensors, save_tensors
from mpl_diffusion.models import MODELS, WEIGHTS

SHIPPED = sorted(WEIGHTS.glob("*.safetensors"))


def test_all_weights_together_are_at_most_25_megabytes():
    assert 0 < sum(path.stat().st_size for path in SHIPPED) <= 25e6


@pytest.mark.parametrize("name", MODELS)
def test_every_model_ships_with_its_recipe_seed_data_steps_and_quality(name):
    _, header = load_tensors(WEIGHTS / f"{name}.safetensors")
    assert header["model"] == name and header["data"] == "MNIST"
    assert len(header["data_sha256"]) == 64 and int(header["steps"]) > 0 and int(header["seed"]) >= 0
    assert json.loads(header["quality"])
    assert header["recipe"] == name and header["precision"] in ("float32", "bfloat16")


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_ready_to_be_called_and_cannot_be_trained_by_accident(name):
    model = load(name)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_digits_of_every_class_grow_from_noise_and_are_read_as_what_was_asked_for():
    mnist, reader = load("mnist"), load("digit-classifier")
    labels, rng = torch.arange(40) % 10, torch.Generator().manual_seed(0)
    x_T = torch.randn(40, 1, 28, 28, generator=rng)
    walk = ddim(clamp(mnist, mnist.process), mnist.process, x_T, steps=10, cond=labels[:, None] + 1)
    with torch.no_grad():
        read = reader(final(walk)).argmax(1)
        noise = reader(x_T.clamp(-1, 1)).argmax(1)
    assert (read == labels).sum() >= 36
    assert (noise == labels).sum() <= 15  # the reader does not say what it is asked


# ----------------------------------------------------------------------------------- bad files


@pytest.fixture
def copy(tmp_path):
    return shutil.copy(WEIGHTS / "mnist.safetensors", tmp_path / "mine.safetensors")


def test_a_file_is_loaded_by_its_path(copy):
    ours, theirs = load(copy).state_dict(), load("mnist").state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_an_unknown_name_lists_the_models():
    with pytest.raises(ValueError, match=r"no model is called 'mnst'; there are 'mnist', 'digit-classifier'"):
        load("mnst")


def test_missing_weights_name_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr("mpl_diffusion.models.WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="python -m mpl_diffusion train mnist"):
        load("mnist")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*mine\.safetensors$"):
        load(tmp_path / "mine.safetensors")


@pytest.mark.parametrize("cut", [0, 7, 5_000, -1])
def test_truncated_weights_are_noticed(copy, cut):
    blob = copy.read_bytes()
    copy.write_bytes(blob[:cut])
    with pytest.raises(ValueError, match=r"mine\.safetensors is damaged.*delete it and make it again"):
        load(copy)


def test_a_single_flipped_bit_is_noticed(copy):
    blob = bytearray(copy.read_bytes())
    blob[-1000] ^= 1
    copy.write_bytes(blob)
    with pytest.raises(ValueError, match="do not match its checksum"):
        load(copy)


def test_weights_of_another_version_or_model_are_refused(copy):
    tensors, header = load_tensors(copy)
    save_tensors(copy, tensors, {**header, "model": "cifar"})
    with pytest.raises(ValueError, match="holds a model called 'cifar'; expected one of 'mnist'"):
        load(copy)
    save_tensors(copy, {k: v for k, v in tensors.items() if "head" not in k}, header)
    with pytest.raises(ValueError, match="written by another version"):
        load(copy)
    save_tensors(copy, tensors, {k: v for k, v in header.items() if k != "model"})
    with pytest.raises(ValueError, match="holds a model called None"):
        load(copy)
