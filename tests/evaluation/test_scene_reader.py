"""The reader of scenes, and adherence: what counts as painted right, attribute by attribute."""

import json

import pytest
import torch

from mpl_diffusion import (
    SceneReader,
    adherence,
    chimera_scenes,
    diversity,
    models,
    read_scenes,
    reader_certainty,
    scene_features,
    scenes,
)
from mpl_diffusion.data.scenes import ANY, COLOURS, DIGITS, PLACES, RELATIONS
from mpl_diffusion.evaluation import scenes as captions
from mpl_diffusion.files import load_tensors

# ----------------------------------------------------------------------------------- the network


def test_there_are_logits_for_each_place_and_for_digit_and_colour_of_two_things():
    place, digit, colour = SceneReader()(torch.randn(3, 3, 64, 64))
    assert place.shape == (3, len(PLACES) + 2) and digit.shape == (3, 2, len(DIGITS))
    assert colour.shape == (3, 2, len(COLOURS)) and SceneReader().features(torch.randn(3, 3, 64, 64)).shape == (3, 128)


def test_what_is_read_is_the_largest_logit_and_nothing_for_the_second_of_a_single_thing():
    reader = SceneReader()
    logits = torch.randn(40, 7), torch.randn(40, 2, 10), torch.randn(40, 2, 6)
    reader.forward = lambda x: logits
    found, (place, digit, colour) = reader.read(torch.zeros(40, 3, 64, 64)), (v.argmax(-1) for v in logits)
    single = place < 5
    assert single.any() and (~single).any() and found.dtype == torch.long
    assert torch.equal(found[:, :3], torch.stack([place, digit[:, 0], colour[:, 0]], 1))
    assert torch.equal(found[~single, 3:], torch.stack([digit[:, 1], colour[:, 1]], 1)[~single])
    assert (found[single, 3:] == ANY).all()


def test_digit_and_colour_come_of_the_features_half_for_each_thing_and_every_parameter_takes_part():
    reader, x = SceneReader(), torch.randn(4, 3, 64, 64)
    place, digit, colour = reader(x)
    for i, features in enumerate(reader.features(x).split(64, dim=1)):
        torch.testing.assert_close(reader.digit(features), digit[:, i])
        torch.testing.assert_close(reader.colour(features), colour[:, i])
    sum(v.square().sum() for v in (place, digit, colour)).backward()
    assert [name for name, p in reader.named_parameters() if p.grad is None or not p.grad.any()] == []
    alone = torch.cat([reader(x[k : k + 1])[1] for k in range(4)])
    torch.testing.assert_close(digit, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 64, 64), (3, 64, 64)])
def test_what_is_no_scene_is_named(shape):
    for read in (SceneReader(), SceneReader().read, SceneReader().features):
        with pytest.raises(ValueError, match=r"x has shape \(.*\); the reader reads scenes, \(B, 3, 64, 64\)"):
            read(torch.zeros(shape))


# ----------------------------------------------------------------------------------- adherence


class Fake:
    """Reads what `picture` wrote into the first pixels."""

    def read(self, x):
        assert x.dtype == torch.float32 and x.device.type == "cpu" and len(x) <= 250
        return (x[:, 0, 0, :5] * 20).round().long()

    def features(self, x):
        return x[:, 0, :2].flatten(1)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(captions, "_reader", Fake)


def pictures(rows):
    """Scenes in which the fake reader sees these arrangements."""
    images = -torch.ones(len(rows), 3, 64, 64)
    images[:, 0, 0, :5] = torch.tensor(rows, dtype=torch.float32) / 20
    return images


PAIR, SINGLE, OPEN = "a red seven left of a blue three", "a green five at the top", "a green five"
CASES = {  # asked, seen, (digit, colour, place, all) right?
    "as asked": (PAIR, [5, 7, 0, 3, 4], "1111"),
    "another first digit": (PAIR, [5, 1, 0, 3, 4], "0110"),
    "another second digit": (PAIR, [5, 7, 0, 8, 4], "0110"),
    "another first colour": (PAIR, [5, 7, 1, 3, 4], "1010"),
    "another second colour": (PAIR, [5, 7, 0, 3, 5], "1010"),
    "stacked": (PAIR, [6, 7, 0, 3, 4], "1100"),
    "the colours swapped": (PAIR, [5, 7, 4, 3, 0], "1010"),
    "the things swapped": (PAIR, [5, 3, 4, 7, 0], "0010"),
    "one thing where two were asked": (PAIR, [2, 7, 0, ANY, ANY], "0000"),
    "a single thing": (SINGLE, [2, 5, 2, ANY, ANY], "1111"),
    "a single thing elsewhere": (SINGLE, [3, 5, 2, ANY, ANY], "1100"),
    "two things where one was asked": (SINGLE, [5, 5, 2, 5, 2], "0000"),
    **{f"any place, {place}": (OPEN, [place, 5, 2, ANY, ANY], "1111") for place in range(5)},
    "any place, another digit": (OPEN, [0, 6, 2, ANY, ANY], "0110"),
    "any place, another colour": (OPEN, [0, 5, 1, ANY, ANY], "1010"),
    "two things where any place was asked": (OPEN, [6, 5, 2, 5, 2], "0000"),
    "told from the second": ("a blue three right of a red seven", [5, 7, 0, 3, 4], "1111"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_attribute_is_counted_by_itself_when_the_picture_shows(case, fake):
    asked, seen, expected = CASES[case]
    score = adherence(pictures([seen]), [asked])
    assert "".join(str(int(share)) for share in score[:4]) == expected
    assert score.right.tolist() == [expected[3] == "1"]


def test_shares_are_means_over_captions_by_words_and_by_arrangements_alike(fake):
    seen = [row for _, row, _ in CASES.values()]
    score = adherence(pictures(seen), [asked for asked, _, _ in CASES.values()])
    expected = torch.tensor([[int(right) for right in case[2]] for case in CASES.values()])
    assert score[:4] == pytest.approx(expected.double().mean(0).tolist())
    assert torch.equal(score.right, expected[:, 3].bool())
    asked = torch.tensor([[5, 7, 0, 3, 4], [ANY, 5, 2, ANY, ANY]])
    assert adherence(pictures([[5, 7, 0, 3, 4], [1, 5, 2, ANY, ANY]]), asked).all == 1
    assert adherence(pictures([[5, 7, 0, 3, 4], [5, 5, 2, 1, 1]]), asked).right.tolist() == [True, False]
    two = adherence(pictures([[5, 7, 0, 3, 4], [1, 4, 2, ANY, ANY]]), [PAIR, OPEN])
    assert str(two) == "2 captions: digits right in 50.0%, colours 100.0%, places 100.0%, all of it 50.0%"


def test_any_number_of_pictures_is_read_in_order_on_any_dtype_and_without_a_gradient(fake):
    rows = [[k % 7, k % 10, k % 6, k % 10, (k + 1) % 6] for k in range(501)]
    images = pictures(rows).double().requires_grad_()
    assert read_scenes(images).tolist() == rows
    features = scene_features(images)
    assert features.shape == (501, 128) and not features.requires_grad
    torch.testing.assert_close(features, images[:, 0, :2].flatten(1).float().detach())


def test_what_overshoots_is_clamped(fake):
    images = torch.full((2, 3, 64, 64), 3.0)
    images[1] = -3.0
    assert scene_features(images).tolist() == [[1.0] * 128, [-1.0] * 128]


@pytest.mark.parametrize("measure", [read_scenes, scene_features, lambda x: adherence(x, [PAIR] * len(x))])
@pytest.mark.parametrize(
    "images, message",
    [
        (torch.zeros(2, 1, 28, 28), r"images have shape \(2, 1, 28, 28\); expected scenes, \(n, 3, 64, 64\)"),
        (torch.zeros(3, 64, 64), r"images have shape \(3, 64, 64\)"),
        (torch.zeros(0, 3, 64, 64), r"images have shape \(0, 3, 64, 64\)"),
        (torch.full((2, 3, 64, 64), torch.nan), r"the images hold NaN or infinity"),
        (torch.full((2, 3, 64, 64), torch.inf), r"the images hold NaN or infinity"),
        (
            torch.rand(2, 3, 64, 64),
            r"the images run from 0.00 to 1.00; expected \[-1, 1\]: from \[0, 1\], `2 \* images - 1`",
        ),
    ],
)
def test_images_that_are_no_scenes_are_named(measure, images, message, fake):
    with pytest.raises(ValueError, match=message):
        measure(images)


@pytest.mark.parametrize(
    "asked, message",
    [
        ([PAIR], r"2 images and 1 captions; expected one caption each"),
        (torch.zeros(3, 5), r"2 images and 3 captions"),
        ([PAIR, "a red dog"], r"'a red dog' is not a caption of a scene"),
        ("ab", r"captions = 'ab' is one text; expected a list of them"),
    ],
)
def test_captions_that_cannot_be_scored_are_named(asked, message, fake):
    with pytest.raises(ValueError, match=message):
        adherence(pictures([[5, 7, 0, 3, 4]] * 2), asked)


def test_variety_is_the_mean_distance_of_two_pictures_of_one_caption():
    images, asked = scenes(6, captions="all").images, ["a", "b", "a", "b", "a", "b"]
    distance = torch.cdist(scene_features(images), scene_features(images))
    of_a, of_b = (distance[k::2, k::2].sum() / 6 for k in (0, 1))
    assert diversity(images, asked) == pytest.approx(float(of_a + of_b) / 2, rel=1e-4)
    assert diversity(images[:1].expand(4, 3, 64, 64), ["a"] * 4) == pytest.approx(0, abs=1e-2)


def test_variety_needs_two_pictures_of_each_caption():
    images = scenes(3, captions="all").images
    with pytest.raises(ValueError, match="'a green five' has one picture; expected at least two of each caption"):
        diversity(images, ["a red six", "a red six", "a green five"])
    with pytest.raises(ValueError, match="3 images and 2 captions"):
        diversity(images, ["a red six"] * 2)


# ----------------------------------------------------------------------------------- the one from the box


def test_the_box_tells_that_99_of_100_clean_test_scenes_are_read_right_in_everything():
    told = json.loads(load_tensors(models.WEIGHTS / "scene-reader.safetensors")[1]["quality"])
    assert min(told.values()) >= 0.99 and told.keys() == {"digit", "colour", "place", "all"}


@pytest.mark.parametrize("kind", ["unseen", "held out"])
def test_scenes_are_read_as_what_they_are_in_any_combination(kind):
    drawn = scenes(200, seed=11, captions=kind, train=False)
    score = adherence(drawn.images, drawn.captions)
    assert score.all > (0.97 if drawn.name == "MNIST" else 0.9)
    assert float((read_scenes(drawn.images) == drawn.arrangement).all(1).double().mean()) >= score.all - 0.02


def test_a_caption_that_is_wrong_in_one_thing_is_seen_to_be():
    drawn = scenes(200, seed=12, captions="unseen", train=False)
    for part, column, kinds in (("place", 0, len(RELATIONS) + 3), ("digit", 1, 10), ("colour", 2, 6)):
        asked = drawn.arrangement.clone()
        asked[:, column] = (asked[:, column] + 1) % kinds
        score = adherence(drawn.images, asked)
        assert getattr(score, part) < 0.05 and score.all < 0.05


def test_certainty_is_the_largest_probability_and_of_two_things_the_smaller_one(monkeypatch):
    place = torch.eye(7)[[0, 5, 6]]  # a single thing at the left, then two beside each other, then stacked
    odds = [[[0.6] + [0.4 / 9] * 9, [0.2] + [0.8 / 9] * 9], [[0.6] + [0.4 / 9] * 9, [0.7] + [0.3 / 9] * 9]]
    digit = torch.tensor([odds[0], odds[0], odds[1]]).log() + 3
    monkeypatch.setattr(captions, "_reader", lambda: lambda x: (place, digit, torch.zeros(3, 2, 6)))
    torch.testing.assert_close(reader_certainty(-torch.ones(3, 3, 64, 64)), torch.tensor([0.6, 0.2, 0.6]))


def test_the_reader_names_a_digit_where_there_is_none_and_is_then_less_sure():
    """What it cannot do is known: no more than two thirds of the chimeras make it doubt."""
    chimeras, made_of = chimera_scenes(300, seed=1, train=False)
    clean = scenes(300, seed=1, captions="all", train=False)
    seen = read_scenes(chimeras)
    assert (seen[:, 3] == ANY).float().mean() > 0.95  # one thing, with a digit's name
    assert 0.45 < (seen[:, 1:2] == made_of).any(1).float().mean() < 0.8
    sure = (reader_certainty(chimeras) > 0.9).float().mean()
    if clean.name == "MNIST":
        assert 0.2 < sure < 0.5 and (reader_certainty(clean.images) > 0.9).float().mean() > 0.93
