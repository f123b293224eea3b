"""The recipes: their numbers, the order of their random numbers, and that they learn."""

import inspect
import math

import pytest
import torch
from torch import nn

from mpl_diffusion import (
    Autoencoder,
    Denoiser,
    Trainer,
    UNet,
    batches,
    cosine,
    fast_precision,
    frechet,
    models,
    psnr,
    scenes,
    sharpness,
    tokenize,
)
from mpl_diffusion.data.mnist import VARIABLE, Digits
from mpl_diffusion.data.scenes import ANY
from mpl_diffusion.evaluation.scenes import Adherence
from mpl_diffusion.models import MODELS, latents_of
from mpl_diffusion.training import recipes
from mpl_diffusion.training.recipes import (
    RECIPES,
    augment,
    classifier_accuracy,
    encode_scenes,
    round_to_half,
    standardise_latents,
)

IMAGES = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.arange(64) % 10


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    """Few digits, scenes of the stand-in, few latents, and a box with every model in it, if not a trained one."""
    monkeypatch.setattr(recipes, "real_digits", lambda train=True: Digits(IMAGES, LABELS, "a few digits"))
    monkeypatch.setenv(VARIABLE, "offline")
    monkeypatch.setattr(models, "load", loaded)
    monkeypatch.setattr(recipes, "encode_scenes", lambda autoencoder, n, seed: (LATENTS, tokenize(["a red one"] * 64)))


AUTOENCODERS = "scenes-autoencoder", "scenes-autoencoder-no-gan"  # of one encoder
LATENTS = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def loaded(name):
    model = MODELS[name]().eval().requires_grad_(False)
    round_to_half(model)
    return model


def test_there_is_a_recipe_for_every_model_that_ships():
    assert set(MODELS) <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_the_model_of_its_name_and_takes_every_option(name):
    recipe = RECIPES[name](steps=7, batch=8, seed=3, device="cpu", precision="bfloat16", compile=False)
    expected = {k: v.shape for k, v in MODELS[name]().state_dict().items()}
    assert {k: v.shape for k, v in recipe.trainer.ema.state_dict().items()} == expected
    assert (recipe.steps, recipe.data.size, recipe.data.seed) == (7, 8, 3) and "a few digits" in recipe.source
    assert recipe.trainer.precision == "bfloat16" and recipe.trainer.device.type == "cpu"
    assert RECIPES[name](batch=8).trainer.precision == fast_precision("cpu")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("option", [{"precison": "float32"}, {"lr": 1e-3}, {"clip": 5.0}])
def test_what_is_no_option_of_a_recipe_is_refused_also_where_its_trainer_has_one(name, option):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(option))}'"):
        RECIPES[name](batch=8, **option)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_compiled_when_asked_for_and_only_then(name, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    RECIPES[name](batch=8)
    assert compiled == []
    trainer = RECIPES[name](batch=8, compile=True).trainer
    assert len(compiled) == len(getattr(trainer, "trainers", [trainer]))


@pytest.mark.long
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_pure_function_of_its_seed(name):
    def losses(seed):
        torch.rand(3)
        recipe = RECIPES[name](batch=2, seed=seed)
        return [p.loss for p, _ in zip(recipe.trainer.run(recipe.data, 100), range(2))]

    assert losses(0) == losses(0) != losses(1)


def test_mnist_follows_the_numbers_its_weights_were_made_with():
    """Written out: seed, then network, then Adam (0.9, 0.99), clip 1, warm-up 200, lr 2e-3, 15 % of labels dropped."""
    torch.manual_seed(4)
    denoiser = Denoiser(UNet(patch=2, vocabulary=11), cosine(1000), "v", p_uncond=0.15)

    def loss(x0, cond):
        with torch.autocast("cpu", torch.bfloat16):
            return denoiser.loss(x0, cond)

    trainer = Trainer(denoiser, loss, lr=2e-3, ema=0.03, warmup=200, betas=(0.9, 0.99), clip=1.0)
    data = batches(IMAGES, LABELS[:, None] + 1, size=16, seed=4)
    expected = [p.loss for p, _ in zip(trainer.run(data, 12_000), range(3))]
    recipe = RECIPES["mnist"](batch=16, seed=4, precision="bfloat16")
    assert [p.loss for p, _ in zip(recipe.trainer.run(recipe.data, recipe.steps), range(3))] == expected
    assert recipe.steps == 12_000 and inspect.signature(recipes.mnist).parameters["batch"].default == 128
    for name, tensor in trainer.ema.state_dict().items():
        assert torch.equal(tensor, recipe.trainer.ema.state_dict()[name])


def test_the_classifier_learns_what_it_is_shown():
    recipe = RECIPES["digit-classifier"](batch=64, precision="float32")
    images = (torch.arange(10)[LABELS] / 4.5 - 1)[:, None, None, None].expand(-1, 1, 28, 28)  # a digit is a grey
    recipe = recipe._replace(data=batches(images, LABELS, size=64))
    losses = [p.loss for p, _ in zip(recipe.trainer.run(recipe.data, 60), range(60))]
    assert losses[0] == pytest.approx(math.log(10), rel=0.1) and losses[-1] < 0.8 * losses[0]


def test_a_reader_is_shown_scenes_that_are_turned_scaled_and_moved_a_little(monkeypatch):
    recipe, wiggled = RECIPES["scene-reader"](batch=4, precision="float32"), []

    def noted(x, **how):
        wiggled.append((len(x), how))
        return torch.zeros_like(x)

    monkeypatch.setattr(recipes, "augment", noted)
    recipe.trainer.loss(*recipe.data[0])
    assert wiggled == [(4, {"scale": 0.05})]


def test_a_new_reader_knows_nothing_and_what_it_says_of_a_second_thing_that_is_not_there_does_not_count():
    recipe = RECIPES["scene-reader"](batch=64, precision="float32")
    images, arrangement = recipe.data[0]
    loss, reader = recipe.trainer.loss, recipe.trainer.model
    torch.manual_seed(1)
    told = loss(images, arrangement)
    assert float(told.detach()) == pytest.approx(math.log(7) + math.log(10) + math.log(6), rel=0.1)
    single = arrangement[:, 3] == ANY
    assert 4 < single.sum() < 40

    def shout(layer, args, out, rows):
        return out + torch.where(rows[:, None, None] & torch.tensor([[False], [True]]), torch.randn_like(out), 0)

    for rows, heard in ((single, False), (~single, True)):
        hooks = [part.register_forward_hook(lambda *a, r=rows: shout(*a, r)) for part in (reader.digit, reader.colour)]
        torch.manual_seed(1)
        assert torch.equal(loss(images, arrangement), told) != heard
        for hook in hooks:
            hook.remove()


def test_the_decoder_is_taken_further_against_a_critic_and_the_encoder_stays_bit_for_bit():
    recipe = RECIPES["scenes-autoencoder"](batch=2)
    model = recipe.trainer.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    known = latents_of(model)
    assert recipe.facts["latents"] == known
    for _ in zip(recipe.trainer.run(recipe.data, recipe.steps), range(2)):
        pass
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)}
    assert moved == {name for name, _ in model.named_parameters() if name.startswith("decoder")}
    recipe.finish(recipe.trainer.ema)
    assert latents_of(recipe.trainer.ema) == known


# ----------------------------------------------------------------------------------- its parts


def bar():
    image = -torch.ones(1, 1, 28, 28)
    image[..., 10:18, 6:22] = 1
    return image


def centre(image):
    mass = image[0, 0] + 1
    down, right = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    return torch.stack([(mass * down).sum(), (mass * right).sum()]) / mass.sum(), mass


def test_without_a_wiggle_an_image_stays_as_it_is():
    torch.testing.assert_close(augment(IMAGES, 0, 0, 0), IMAGES, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [dict(pixels=3), dict(degrees=20), dict(scale=0.2)])
def test_a_wiggle_moves_turns_and_scales_up_to_its_bounds_and_no_further(options):
    images = augment(bar().expand(400, 1, 28, 28), **{"degrees": 0, "scale": 0, "pixels": 0, **options})
    assert images.min() >= -1 - 1e-5 and images.max() <= 1 + 1e-5 and images[:, 0, 0, 0].max() < -0.99  # black outside
    moved, angle, mass = [], [], []
    for image in images:
        middle, m = centre(image[None])
        down, right = torch.meshgrid(torch.arange(28.0) - middle[0], torch.arange(28.0) - middle[1], indexing="ij")
        across, along, both = (m * down**2).sum(), (m * right**2).sum(), (m * down * right).sum()
        moved.append((middle - 13.5).tolist())
        angle.append(math.degrees(0.5 * math.atan2(2 * both, along - across)))
        mass.append(float(m.sum()))
    largest = [max(abs(v) for v in axis) for axis in zip(*moved)] + [max(map(abs, angle))]
    area = [float(bar().add(1).sum()) / m for m in mass]
    bounds = [options.get("pixels", 0)] * 2 + [options.get("degrees", 0)]
    for found, bound in zip(largest, bounds):
        assert 0.85 * bound <= found <= 1.02 * bound + 0.05
    scale = options.get("scale", 0)
    assert (1 - scale) ** 2 - 0.03 <= min(area) <= (1 - 0.85 * scale) ** 2 + 0.03
    assert (1 + 0.85 * scale) ** 2 - 0.03 <= max(area) <= (1 + scale) ** 2 + 0.03


def test_a_wiggle_is_as_exact_under_autocast():
    torch.manual_seed(1)
    plain = augment(IMAGES)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(IMAGES), plain)


class Knows(nn.Module):
    """Reads the digit from the first pixel, and says 0 wherever it is below 5."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        digit = ((x[:, 0, 0, 0] + 1) * 4.5).round().long()
        return torch.eye(10)[torch.where(digit < 5, 0, digit)]


def test_accuracy_is_the_share_read_right(monkeypatch):
    labels = torch.arange(1010) % 10
    images = (labels / 4.5 - 1)[:, None, None, None].expand(-1, 1, 28, 28)
    monkeypatch.setattr(recipes, "real_digits", lambda train: Digits(images, labels, "test" if not train else 0 / 0))
    assert classifier_accuracy(Knows()) == {"accuracy": pytest.approx(0.6)}  # 0, 5 ... 9


class Measured:
    """What `quality` might answer."""

    frechet, precision, recall, accuracy = 4.0, 0.9, 0.8, 1.0
    floor = type("Floor", (), {"frechet": 2.0})


def test_drawn_digits_are_measured_with_the_labels_asked_for(monkeypatch):
    seen = {}

    def quality(images, labels):
        seen.update(images=images, labels=labels)
        return Measured

    monkeypatch.setattr(recipes, "quality", quality)
    denoiser, asked = MODELS["mnist"]().eval(), []
    denoiser.net.forward = lambda x, t, cond: asked.append(cond[:, 0]) or -x
    found = recipes.sample_quality(denoiser, n=1010)
    assert found == {"frechet": 4.0, "floor": 2.0, "precision": 0.9, "recall": 0.8, "accuracy": 1.0}
    assert seen["images"].shape == (1010, 1, 28, 28) and seen["labels"].bincount().tolist() == [101] * 10
    assert len(asked) == 60 and torch.equal(torch.cat(asked[::20]), seen["labels"] + 1)


def test_every_part_of_a_measured_sample_has_noise_of_its_own(monkeypatch):
    """Digits are drawn 500 at a time: the starts, and the noise on the way, must not be those of the part before."""
    seen = []
    monkeypatch.setattr(recipes, "quality", lambda images, labels: seen.append(images) or Measured)
    denoiser = MODELS["mnist"]().eval()
    denoiser.net.forward = lambda x, t, cond: -x
    recipes.sample_quality(denoiser, n=1000)
    recipes.sample_quality(denoiser, n=1000)
    first, second = seen[0].flatten(1).split(500)
    assert not torch.isclose(first, second).all(1).any()
    assert len(seen[0].flatten(1).unique(dim=0)) == 1000
    assert torch.equal(seen[0], seen[1])  # and yet the measurement repeats


def test_every_part_of_measured_scenes_has_noise_of_its_own(monkeypatch):
    starts = []
    monkeypatch.setattr(recipes, "scenes", lambda n, **how: scenes(300, **how))
    monkeypatch.setattr(recipes, "adherence", lambda *a: Adherence(0.9, 0.8, 0.7, 0.6, None))
    monkeypatch.setattr(recipes, "scene_features", lambda images: images[:, :, ::32, ::32].flatten(1))
    denoiser = MODELS["scenes-pixel"]().eval()
    denoiser.net.forward = lambda x, t, cond: starts.append(x) or torch.zeros_like(x)
    recipes.caption_adherence(denoiser, n=300, steps=1)
    first, second = starts[:2]
    assert (len(first), len(second)) == (250, 50) and not torch.equal(first[:50], second)


def test_rounded_to_half_every_weight_is_the_nearest_that_half_precision_has():
    net = nn.Sequential(nn.Linear(20, 20), nn.GroupNorm(2, 20))
    net.register_buffer("steps", torch.tensor(7))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    round_to_half(net)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name].half().to(tensor.dtype)) and tensor.dtype == before[name].dtype
    assert not torch.equal(net[0].weight, before["0.weight"])


def test_standardised_latents_of_other_training_scenes_have_mean_0_and_std_1_in_each_channel(monkeypatch):
    asked = []
    monkeypatch.setattr(recipes, "scenes", lambda n, **how: asked.append((n, how)) or scenes(120, **how))
    autoencoder = Autoencoder(f=4)
    with torch.no_grad():
        autoencoder.encoder[-1].bias.add_(torch.arange(8.0))
        autoencoder.encoder[-1].weight.mul_(torch.arange(1.0, 9)[:, None, None, None])
    standardise_latents(autoencoder)
    ((n, how),) = asked
    assert n == 2000 and {"captions": "train", "train": True, **how} == {"captions": "train", "train": True, "seed": 1}
    with torch.no_grad():
        z = autoencoder.scale(autoencoder.encode(scenes(120, seed=7).images))
    assert z.mean((0, 2, 3)).abs().max() < 0.1 and (z.std((0, 2, 3)) - 1).abs().max() < 0.1
    with torch.no_grad():
        z = autoencoder.scale(autoencoder.encode(scenes(120, seed=1).images))
    assert z.mean((0, 2, 3)).abs().max() < 5e-3 and (z.std((0, 2, 3)) - 1).abs().max() < 5e-3  # but for the rounding
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in autoencoder.state_dict().values())


def test_what_is_encoded_are_the_scaled_latents_of_fresh_scenes_with_their_captions_in_order(monkeypatch):
    class Numbered:
        """The pictures of batch k are all k/10, its captions k."""

        def __init__(self, *fields, size, seed):
            assert fields == ("images", "cond") and seed == 5
            self.size = size

        def __getitem__(self, k):
            return torch.full((self.size, 3, 8, 8), k / 10), torch.full((self.size, 8), k)

    monkeypatch.setattr(recipes, "scene_batches", Numbered)
    autoencoder = Autoencoder(f=8)
    autoencoder.mean.fill_(3.0)
    autoencoder.std.fill_(0.5)
    z, cond = encode_scenes(autoencoder, 1100, seed=5)
    assert z.shape == (1100, 4, 1, 1) and cond[:, 0].tolist() == [0] * 500 + [1] * 500 + [2] * 100
    with torch.no_grad():
        for k, row in ((0, 499), (1, 500), (2, 1099)):
            one = (autoencoder.encode(torch.full((1, 3, 8, 8), k / 10)) - 3) / 0.5
            torch.testing.assert_close(z[row : row + 1], one, rtol=1e-4, atol=1e-4)
    assert not z.requires_grad


def drawn_here(monkeypatch):
    """The scenes that a measure asks for, fewer of them, and how it asked."""
    asked = []

    def few(n, **how):
        asked.append((n, how, scenes(min(n, 20), **how)))
        return asked[-1][2]

    monkeypatch.setattr(recipes, "scenes", few)
    return asked


def test_reading_counts_each_attribute_by_itself_on_test_digits_in_all_arrangements(monkeypatch):
    asked = drawn_here(monkeypatch)

    class Reader(nn.Linear):
        def read(self, x):
            rows = asked[0][2].arrangement.clone()
            rows[0, 0] += 1
            rows[1:3, 2] += 1
            rows[3:7, 1] += 1
            rows[6:8, 3] = 17
            return rows

    found = recipes.reader_accuracy(Reader(1, 1))
    assert found == {"digit": 0.75, "colour": 0.9, "place": 0.95, "all": pytest.approx(0.6)}
    assert asked[0][:2] == (2000, {"seed": 2, "captions": "all", "train": False})


def test_reconstructions_of_unseen_scenes_of_test_digits_are_measured_and_read_again(monkeypatch):
    asked, autoencoder = drawn_here(monkeypatch), Autoencoder(f=2).eval()

    def read(x):
        rows = asked[0][2].arrangement.clone()
        rows[0, 1] += 1
        if not torch.equal(x, asked[0][2].images):
            rows[4:8, 3] = 17
        rows[:, 2] = 9  # colours do not count here
        return rows

    monkeypatch.setattr(recipes, "read_scenes", read)
    found = recipes.reconstruction_quality(autoencoder)
    assert asked[0][:2] == (1000, {"seed": 3, "captions": "unseen", "train": False})
    x = asked[0][2].images
    with torch.no_grad():
        again = autoencoder(x)
    assert found == {
        "psnr": pytest.approx(psnr(again, x)),
        "sharpness": pytest.approx(sharpness(again, x)),
        "read_before": 0.95,
        "read_after": 0.75,
    }


@pytest.mark.parametrize("name, shape", [("scenes-latent", (4, 8, 8)), ("scenes-pixel", (3, 64, 64))])
def test_painted_scenes_are_those_of_their_captions_unscaled_and_decoded(monkeypatch, name, shape):
    asked, heard, judged = drawn_here(monkeypatch), [], []
    autoencoder, denoiser = Autoencoder().eval(), MODELS[name]().eval()
    autoencoder.mean.fill_(2.0)
    autoencoder.std.fill_(0.25)
    monkeypatch.setattr(models, "load", dict.fromkeys(AUTOENCODERS, autoencoder).__getitem__)
    monkeypatch.setattr(recipes, "adherence", lambda *a: judged.append(a) or Adherence(0.9, 0.8, 0.7, 0.6, None))
    monkeypatch.setattr(recipes, "scene_features", lambda images: images[:, :, ::32, ::32].flatten(1))
    denoiser.net.forward = lambda x, t, cond: heard.append((x, cond)) or torch.zeros_like(x)
    found = recipes.caption_adherence(denoiser, n=20, steps=3)
    parts = {"digit": 0.9, "colour": 0.8, "place": 0.7, "all": 0.6}
    seen = [images[:, :, ::32, ::32].flatten(1) for images in (judged[0][0], asked[0][2].images)]
    assert found.pop("frechet") == pytest.approx(frechet(*seen)) and frechet(*seen) > 1
    assert found == parts | {f"held_out_{part}": share for part, share in parts.items()}
    assert [how["captions"] for _, how, _ in asked] == ["unseen", "held out"] and len(heard) == 6
    for k, (images, said) in enumerate(judged):
        x_T, cond = heard[3 * k]
        assert x_T.shape == (20, *shape) and torch.equal(cond, tokenize(said)) and said == asked[k][2].captions
        assert torch.equal(x_T, heard[0][0])  # the same noise for both
        x = shrunk(denoiser.process, 3) * x_T
        with torch.no_grad():
            expected = x if name == "scenes-pixel" else autoencoder.decode(2.0 + 0.25 * x)
        torch.testing.assert_close(images, expected, rtol=1e-3, atol=1e-3)


def shrunk(process, steps):
    """What DDIM multiplies x_T by where v_hat = 0: x_0_hat = a x_t, eps_hat = s x_t, so a a' + s s' at each step."""
    times = process.times(steps)
    a, s = ([float(rate(int(t))) for t in times] for rate in (process.signal, process.noise))
    return math.prod(x * y + u * v for x, y, u, v in zip(a, a[1:], s, s[1:]))
