"""Weights from the box: small, signed with how they were made, and noticed when they are damaged."""

import json
import shutil

import pytest
import torch

from mpl_diffusion import (
    Autoencoder,
    Denoiser,
    UNet,
    adherence,
    clamp,
    classifier_free,
    cosine,
    ddim,
    final,
    load,
    models,
    scenes,
)
from mpl_diffusion.files import half_if_exact, load_tensors, save_tensors
from mpl_diffusion.models import MODELS, WEIGHTS, latents_of, model_header
from mpl_diffusion.training.recipes import RECIPES, caption_adherence

SHIPPED = sorted(WEIGHTS.glob("*.safetensors"))


def test_all_weights_together_are_at_most_25_megabytes():
    assert 0 < sum(path.stat().st_size for path in SHIPPED) <= 25e6


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_ships_with_its_recipe_seed_data_steps_and_quality(name):
    _, header = load_tensors(WEIGHTS / f"{name}.safetensors")
    assert header["model"] == name and header["data"] in ("MNIST", "scenes of MNIST")
    assert len(header["data_sha256"]) == 64 and int(header["steps"]) > 0 and int(header["seed"]) >= 0
    assert json.loads(header["quality"])
    assert header["recipe"] == name and name in RECIPES and header["precision"] in ("float32", "bfloat16")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_loaded_model_is_ready_to_be_called_and_cannot_be_trained_by_accident(name):
    model = load(name)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_both_decoders_in_the_box_read_the_same_latents_and_the_critic_made_one_of_them_sharper():
    plain, critical = (load(f"scenes-autoencoder{which}") for which in ("-no-gan", ""))
    assert latents_of(plain) == latents_of(critical) == model_header("scenes-autoencoder")["latents"]
    told, asked = (model_header(f"scenes-autoencoder{which}")["quality"] for which in ("-no-gan", ""))
    assert abs(1 - asked["sharpness"]) < 0.7 * abs(1 - told["sharpness"])
    assert min(told["psnr"], asked["psnr"]) > 30
    assert min(q["read_after"] / q["read_before"] for q in (told, asked)) > 0.97


def test_trained_for_as_long_an_autoencoder_of_fewer_numbers_loses_more():
    names = ("-f2", "-f4", "-no-gan", "-f16")
    headers = [model_header(f"scenes-autoencoder{name}") for name in names]
    assert {header["steps"] for header in headers} == {"2000"}
    for part in ("psnr", "sharpness"):
        values = [header["quality"][part] for header in headers]
        assert values == sorted(values, reverse=True)
    *others, last = [header["quality"]["read_after"] for header in headers]
    assert min(others) > 0.97 > last


def test_captions_become_scenes_in_which_the_colours_stand_where_they_were_asked_for_and_guidance_helps():
    asked = scenes(24, seed=3, captions="unseen")
    denoiser, autoencoder = load("scenes-latent"), load("scenes-autoencoder")
    x_T = torch.randn(24, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for w, bound in ((1, 0.4), (3, 0.85)):
        with torch.no_grad():
            z = final(ddim(classifier_free(denoiser, w), denoiser.process, x_T, steps=10, cond=asked.cond))
            seen = adherence(autoencoder.decode(autoencoder.unscale(z)), asked.captions)
        assert min(seen.colour, seen.place) > 0.9 and seen.all > bound


@pytest.mark.long
def test_the_painter_gets_four_in_five_unseen_captions_right_without_guidance_and_fewer_of_them_say_the_same():
    told, found = model_header("scenes-latent")["quality"], caption_adherence(load("scenes-latent"), n=100)
    assert told["all"] >= 0.8 and told["held_out_all"] > 0.7
    assert abs(found["all"] - told["all"]) < 0.12  # three standard errors


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


# ----------------------------------------------------------------------------------- latents, and whose they are


@pytest.fixture
def box(monkeypatch, tmp_path):
    """A box of one's own with a tiny latent model, and the autoencoder whose latents it was trained on."""
    for name in ("scenes-autoencoder", "scenes-autoencoder-no-gan"):
        monkeypatch.setitem(MODELS, name, lambda: Autoencoder(f=2))
    monkeypatch.setitem(MODELS, "scenes-latent", lambda: Denoiser(UNet(channels=4, widths=(8, 8)), cosine(10), "v"))
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    torch.manual_seed(1)
    autoencoder = rounded(Autoencoder(f=2))
    put_both(tmp_path, autoencoder)
    put(tmp_path, "scenes-latent", MODELS["scenes-latent"](), latents=latents_of(autoencoder))
    return tmp_path


def rounded(model):
    for tensor in model.state_dict().values():
        tensor.copy_(tensor.half())
    return model


def put(box, name, model, **facts):
    tensors = {key: half_if_exact(tensor) for key, tensor in model.state_dict().items()}
    save_tensors(box / f"{name}.safetensors", tensors, {"model": name, **facts})


def put_both(box, autoencoder):
    """The two that share an encoder."""
    for name in ("scenes-autoencoder", "scenes-autoencoder-no-gan"):
        put(box, name, autoencoder)


def test_a_latent_model_is_loaded_beside_the_autoencoder_that_it_was_trained_on(box):
    assert load("scenes-latent").net.channels == 4
    assert load(shutil.copy(box / "scenes-latent.safetensors", box / "mine.safetensors")).net.channels == 4


@pytest.mark.parametrize("change", ["encoder.1.weight", "mean", "std"])
def test_a_latent_model_of_another_encoder_or_another_scale_is_refused(box, change):
    autoencoder = load("scenes-autoencoder")
    autoencoder.state_dict()[change].add_(0.5)
    put_both(box, autoencoder)
    with pytest.raises(
        ValueError,
        match=r"scenes-latent.safetensors was trained on the latents of another autoencoder .*train scenes-latent",
    ):
        load("scenes-latent")
    load("scenes-autoencoder")  # that one is not to blame


def test_another_decoder_of_the_same_latents_will_do(box):
    autoencoder = load("scenes-autoencoder")
    autoencoder.last.mul_(2)
    put_both(box, autoencoder)
    load("scenes-latent")


def test_a_latent_model_that_does_not_say_whose_latents_it_knows_is_refused(box):
    put(box, "scenes-latent", MODELS["scenes-latent"]())
    with pytest.raises(ValueError, match="latents of another autoencoder"):
        load("scenes-latent")
    for file in box.glob("scenes-autoencoder*"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"train scenes-autoencoder.*` makes it"):
        load("scenes-latent")


def test_weights_that_lie_in_half_precision_are_loaded_in_full_and_the_same(box):
    tensors, _ = load_tensors(box / "scenes-autoencoder.safetensors")
    model = load("scenes-autoencoder")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.half}
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert all(torch.equal(tensor.float(), model.state_dict()[name]) for name, tensor in tensors.items())


def test_the_header_of_a_model_is_read_without_its_weights_and_its_quality_as_numbers():
    told = model_header("mnist")
    assert told["recipe"] == "mnist" and told["quality"]["accuracy"] > 0.9
    assert model_header(WEIGHTS / "mnist.safetensors") == told
    with pytest.raises(ValueError, match="no model is called 'mnst'"):
        model_header("mnst")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        model_header("nowhere.safetensors")
