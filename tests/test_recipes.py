"""The recipes: their numbers, the order of their random numbers, and that they learn."""

import inspect
import math

import pytest
import torch
from torch import nn

from mpl_diffusion import Denoiser, Trainer, UNet, batches, cosine, fast_precision, recipes
from mpl_diffusion.data.mnist import Digits
from mpl_diffusion.models import MODELS
from mpl_diffusion.recipes import RECIPES, accuracy, wiggle

IMAGES = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.arange(64) % 10


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setattr(recipes, "real_digits", lambda train=True: Digits(IMAGES, LABELS, "a few digits"))


def test_there_is_a_recipe_for_every_model_that_ships():
    assert set(MODELS) <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_the_model_of_its_name_and_takes_every_option(name):
    recipe = RECIPES[name](steps=7, batch=8, seed=3, device="cpu", precision="bfloat16", compile=False)
    expected = {k: v.shape for k, v in MODELS[name]().state_dict().items()}
    assert {k: v.shape for k, v in recipe.trainer.ema.state_dict().items()} == expected
    assert (recipe.steps, recipe.data.size, recipe.data.seed) == (7, 8, 3) and recipe.source == "a few digits"
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
    RECIPES[name](batch=8, compile=True)
    assert len(compiled) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_pure_function_of_its_seed(name):
    def losses(seed):
        torch.rand(3)
        recipe = RECIPES[name](batch=8, seed=seed)
        return [p.loss for p, _ in zip(recipe.trainer.run(recipe.data, 100), range(2))]

    assert losses(0) == losses(0) != losses(1)


def test_mnist_follows_the_numbers_its_weights_were_made_with():
    """Written out: seed, then network, then Adam (0.9, 0.99), clip 1, warm-up 200, lr 2e-3, 15 % of labels dropped."""
    torch.manual_seed(4)
    denoiser = Denoiser(UNet(patch=2, vocabulary=11), cosine(1000), "v")

    def loss(x0, cond):
        with torch.autocast("cpu", torch.bfloat16):
            return denoiser.loss(x0, cond, p_uncond=0.15)

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
    torch.testing.assert_close(wiggle(IMAGES, 0, 0, 0), IMAGES, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [dict(pixels=3), dict(degrees=20), dict(scale=0.2)])
def test_a_wiggle_moves_turns_and_scales_up_to_its_bounds_and_no_further(options):
    images = wiggle(bar().expand(400, 1, 28, 28), **{"degrees": 0, "scale": 0, "pixels": 0, **options})
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
    plain = wiggle(IMAGES)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(wiggle(IMAGES), plain)


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
    assert accuracy(Knows()) == {"accuracy": pytest.approx(0.6)}  # 0, 5 ... 9


def test_drawn_digits_are_measured_with_the_labels_asked_for(monkeypatch):
    seen = {}

    class Found:
        frechet, precision, recall, accuracy = 4.0, 0.9, 0.8, 1.0
        floor = type("Floor", (), {"frechet": 2.0})

    def quality(images, labels):
        seen.update(images=images, labels=labels)
        return Found

    monkeypatch.setattr(recipes, "quality", quality)
    denoiser, asked = MODELS["mnist"]().eval(), []
    denoiser.net.forward = lambda x, t, cond: asked.append(cond[:, 0]) or -x
    found = recipes.drawn(denoiser, n=1010)
    assert found == {"frechet": 4.0, "floor": 2.0, "precision": 0.9, "recall": 0.8, "accuracy": 1.0}
    assert seen["images"].shape == (1010, 1, 28, 28) and seen["labels"].bincount().tolist() == [101] * 10
    assert len(asked) == 60 and torch.equal(torch.cat(asked[::20]), seen["labels"] + 1)
