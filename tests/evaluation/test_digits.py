"""Drawn digits, judged: what real ones get, and what every fault costs; with MNIST where it is, and without.

Without MNIST real digits are scikit-learn's: other hands, another scanner, so they are held against each other.
"""

import json
import math
import os
import shutil

import pytest
import torch
from torch.nn.functional import conv2d

from mpl_diffusion import Classifier, classify_digits, digit_features, floor_at, frechet, mnist, models, quality
from mpl_diffusion.data.mnist import VARIABLE
from mpl_diffusion.evaluation import digits
from mpl_diffusion.evaluation.digits import REFERENCE, write_reference
from mpl_diffusion.files import load_tensors, save_tensors

CLASSIFIER = "digit-classifier.safetensors"
REAL = os.environ.get(VARIABLE, "")
with_mnist = pytest.mark.skipif(not os.path.isdir(REAL), reason=f"{VARIABLE} names no folder")


def blur(images, std):
    bell = torch.exp(-(torch.arange(-6, 7) ** 2) / (2 * std**2))
    bell = bell / bell.sum()
    return (
        conv2d(conv2d(images + 1, bell.view(1, 1, 13, 1), padding=(6, 0)), bell.view(1, 1, 1, 13), padding=(0, 6)) - 1
    )


FAULTS = {
    "noise": lambda x, y: x + 0.5 * torch.randn_like(x),
    "blur": lambda x, y: blur(x, 1.0),
    "moved by two pixels": lambda x, y: torch.roll(x, 2, 3),
    "a missing class": lambda x, y: x[y != 7],
    "a rare class": lambda x, y: torch.cat([x[y != 7], x[y == 7][:5]]),
    "white specks": lambda x, y: torch.where(torch.rand_like(x) < 0.05, torch.ones(()), x),
    "mirrored": lambda x, y: x.flip(3),
    "nothing but noise": lambda x, y: torch.randn_like(x),
    "one picture": lambda x, y: x[:1].expand_as(x) + 0.01 * torch.randn_like(x),
}
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@pytest.fixture(scope="module")
def stand_in():
    return mnist(folder="offline")


@pytest.fixture(scope="module")
def real():
    return mnist(folder=REAL), mnist(train=False, folder=REAL)


@pytest.fixture
def box(monkeypatch, tmp_path):
    """A box of one's own, with the shipped files in it."""
    for name in (CLASSIFIER, REFERENCE):
        shutil.copy(models.WEIGHTS / name, tmp_path)
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    yield forget() or tmp_path
    forget()


def forget():
    """What a new process would not know."""
    digits._classifier.cache_clear()
    digits._reference.cache_clear()


# --- from the box alone


def test_the_box_tells_the_classifiers_accuracy_and_it_is_enough():
    assert json.loads(load_tensors(models.WEIGHTS / CLASSIFIER)[1]["quality"])["accuracy"] >= 0.993


def test_without_a_class_the_test_digits_own_features_are_clearly_worse():
    """No picture is needed: the shipped features, read by the classifier's last layer."""
    features = digits._reference()[0]
    read = digits._classifier().head(features).argmax(1)
    assert features.shape == (10_000, 64) and frechet(features, features.flip(0)) < 1e-6
    for c in range(10):
        rest = features[read != c]
        assert 800 < 10_000 - len(rest) < 1200 and frechet(rest, features) > 5 * floor_at(len(rest)).frechet


def test_a_floor_falls_with_n_and_between_its_measured_sizes_it_is_a_line_in_1_over_n():
    floors = digits._reference()[1]
    assert list(floors) == sorted(floors) and {1000, 2000, 5000, 10_000} <= set(floors)
    distances = [floor.frechet for floor in floors.values()]
    assert distances == sorted(distances, reverse=True)
    assert all(0.7 < v < 1 for floor in floors.values() for v in (floor.precision, floor.recall))
    assert all(0 < floor.frechet_std < 0.5 * floor.frechet for floor in floors.values())
    assert all(floor_at(n) == floor for n, floor in floors.items()) and floor_at(70_000) == floors[10_000]
    middle = 2 / (1 / 1000 + 1 / 2000)  # 1/n half way
    assert floor_at(round(middle)).frechet == pytest.approx((floors[1000].frechet + floors[2000].frechet) / 2, rel=1e-3)
    assert floor_at(1999).recall == pytest.approx(floors[2000].recall, abs=1e-3)


@faults
def test_every_fault_is_clearly_worse_than_other_real_digits_of_the_stand_in(fault, stand_in):
    x, y = stand_in.images, stand_in.labels
    reference, other = digit_features(x[:750]), digit_features(x[750:])
    spoilt = digit_features(fault(x[750:], y[750:]))
    assert frechet(spoilt, reference) > 1.5 * frechet(other, reference)


def test_the_stand_in_is_read_as_what_it_is(stand_in):
    assert (classify_digits(stand_in.images) == stand_in.labels).double().mean() > 0.9


def test_shares_classes_and_accuracy_are_counts_of_what_is_read(stand_in):
    x = stand_in.images[:400]
    read = classify_digits(x)
    asked = torch.where(torch.arange(400) < 100, (read + 1) % 10, read)  # a quarter wrong
    score = quality(x, asked)
    assert score.accuracy == 0.75 and quality(x).accuracy is None
    assert score.shares == [float((read == c).double().mean()) for c in range(10)]
    assert score.classes == pytest.approx(math.exp(-sum(p * math.log(p) for p in score.shares)))
    ones = quality(x[read == 1].repeat(10, 1, 1, 1))
    assert ones.classes == pytest.approx(1) and ones.shares[1] == 1
    even = torch.cat([x[read == c][:20] for c in range(10)])
    assert quality(even).classes == pytest.approx(10) and quality(even[20:]).classes == pytest.approx(9)
    assert score.n == 400 and score.floor == floor_at(400) and score.ratio == score.frechet / score.floor.frechet
    assert str(score).startswith("400 images: Frechet distance ") and str(score).endswith(", 75.0% read as labelled")


def test_features_and_digits_are_the_classifiers_in_any_number_and_overshoot_is_clamped(stand_in):
    x, classifier = stand_in.images[:1003], models.load("digit-classifier")
    torch.testing.assert_close(digit_features(x), classifier.features(x), rtol=1e-4, atol=1e-4)
    assert torch.equal(classify_digits(x[:77]), classifier(x[:77]).argmax(1))
    torch.testing.assert_close(digit_features(1.5 * x[:9]), classifier.features((1.5 * x[:9]).clamp(-1, 1)))
    assert digit_features(x[:1].double().requires_grad_()).requires_grad is False


WRONG = {
    "shape": (lambda x: x[:, 0], r"images have shape \(120, 28, 28\); expected digits, \(n, 1, 28, 28\)"),
    "colours": (lambda x: x.expand(-1, 3, -1, -1), r"images have shape \(120, 3, 28, 28\)"),
    "8x8": (lambda x: x[..., :8, :8], r"images have shape \(120, 1, 8, 8\)"),
    "none": (lambda x: x[:0], r"0 images are too few|shape \(0, 1, 28, 28\)"),
    "[0, 1]": (lambda x: (x + 1) / 2, r"from 0 to 1; expected \[-1, 1\].*2 \* x - 1"),
    "0 ... 255": (lambda x: (x + 1) * 127.5, r"from 0 to 255; expected \[-1, 1\].*x / 127.5 - 1"),
    "bytes": (lambda x: ((x + 1) * 127.5).byte(), r"from 0 to 255; expected \[-1, 1\]"),
    "standardised": (lambda x: ((x + 1) / 2 - 0.1307) / 0.3081, r"from -0.4242\d* to 2.8\d*; expected \[-1, 1\]"),
    "NaN": (lambda x: torch.where(torch.arange(28) == 5, math.nan, x), "NaN or infinity"),
    "infinite": (lambda x: torch.where(torch.arange(28) == 5, math.inf, x), "NaN or infinity"),
    "one NaN": (lambda x: torch.where(torch.arange(120).view(-1, 1, 1, 1) == 7, math.nan, x), "NaN or infinity"),
}


@pytest.mark.parametrize("measure", [quality, digit_features, classify_digits])
@pytest.mark.parametrize("case", WRONG)
def test_images_that_are_no_digits_are_named(case, measure, stand_in):
    change, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        measure(change(stand_in.images[:120]))


def test_too_few_images_to_tell_are_named(stand_in):
    assert quality(stand_in.images[:100]).n == 100
    with pytest.raises(ValueError, match="99 images are too few to tell; expected at least 100"):
        quality(stand_in.images[:99])


@pytest.mark.parametrize(
    "labels", [torch.arange(119) % 10, torch.arange(120) % 10 + 1, torch.arange(120)[:, None] % 10, torch.zeros(120)]
)
def test_labels_that_are_no_digits_are_named(labels, stand_in):
    with pytest.raises(ValueError, match=r"labels have shape .* from .* to .*; expected \(120,\) whole numbers"):
        quality(stand_in.images[:120], labels)


def test_the_classifier_names_images_that_it_cannot_read():
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 32, 32\); the classifier reads digits"):
        Classifier()(torch.zeros(2, 1, 32, 32))
    assert Classifier(features=7).features(torch.zeros(2, 1, 28, 28)).shape == (2, 7)


def test_features_of_another_classifier_are_refused_with_the_cure(box, stand_in):
    tensors, header = load_tensors(box / CLASSIFIER)
    tensors["head.1.bias"] = tensors["head.1.bias"] + 1e-6
    save_tensors(box / CLASSIFIER, tensors, header)
    with pytest.raises(ValueError, match=f"{REFERENCE} was made with another digit classifier.*train digit-classifier"):
        quality(stand_in.images[:100])
    with pytest.raises(ValueError, match="another digit classifier"):
        floor_at(1000)
    assert len(digit_features(stand_in.images[:5])) == 5  # these need no reference


def test_what_is_written_for_a_new_classifier_is_what_quality_reads(box, monkeypatch, stand_in):
    monkeypatch.setenv(VARIABLE, "offline")
    torch.manual_seed(1)
    classifier = Classifier()
    save_tensors(box / CLASSIFIER, classifier.state_dict(), {"model": "digit-classifier"})
    floors = write_reference(classifier, box, sizes=(100, 400))
    test = mnist(train=False).images
    score = quality(stand_in.images[:200])
    features = digit_features(test)
    assert score.frechet == pytest.approx(frechet(digit_features(stand_in.images[:200]), features), rel=1e-2)
    assert floor_at(400) == floors[400] and floors[100].frechet > floors[400].frechet > 0
    assert floors[400].frechet_std < floors[400].frechet
    rows = [(stand_in.labels == c).nonzero()[:40, 0] for c in range(10)]  # 40 of each class, other ones than were drawn
    even = frechet(digit_features(stand_in.images[torch.cat(rows)]), features)
    assert floors[400].even == pytest.approx(even, rel=0.5)
    assert load_tensors(box / REFERENCE)[1]["data"] == "scikit-learn digits"


# --- with MNIST


@with_mnist
def test_the_classifier_reads_at_least_993_of_1000_test_digits(real):
    accuracy = float((classify_digits(real[1].images) == real[1].labels).double().mean())
    told = json.loads(load_tensors(models.WEIGHTS / CLASSIFIER)[1]["quality"])["accuracy"]
    assert accuracy >= 0.993 and abs(accuracy - told) < 5e-4


@with_mnist
def test_the_shipped_features_are_the_test_digits_and_half_precision_costs_nothing(real):
    exact, shipped = digit_features(real[1].images), digits._reference()[0]
    torch.testing.assert_close(shipped, exact, rtol=2e-3, atol=1e-3)
    some = digit_features(real[0].images[:1000])
    assert frechet(some, shipped) == pytest.approx(frechet(some, exact), rel=1e-3)


@with_mnist
def test_real_training_digits_get_the_floor(real):
    some = torch.randperm(60_000, generator=torch.Generator().manual_seed(5))[:2000]
    score = quality(real[0].images[some], real[0].labels[some])
    assert abs(score.frechet - score.floor.frechet) < 4 * score.floor.frechet_std
    assert abs(score.precision - score.floor.precision) < 0.03 and abs(score.recall - score.floor.recall) < 0.03
    assert score.classes > 9.9 and score.accuracy > 0.99


@with_mnist
def test_the_floors_of_even_labels_are_those_of_as_many_real_digits_of_each_class(real):
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(5))
    rows = torch.cat([order[real[0].labels[order] == c][:500] for c in range(10)])
    features = digit_features(real[0].images[rows])
    assert frechet(features, digits._reference()[0]) == pytest.approx(floor_at(5000).even, rel=0.25)


@with_mnist
@faults
def test_every_fault_of_real_digits_is_clearly_worse_than_the_floor(fault, real):
    x, y = real[0].images[:2000], real[0].labels[:2000]
    assert quality(fault(x, y)).ratio > 2.5


@with_mnist
def test_copies_cost_recall_a_shift_costs_precision_noise_costs_all_and_a_missing_class_is_counted(real):
    """Noise keeps some precision: the ball around a far outlier is wide. The distance and recall are not deceived."""
    x, y = real[0].images[:2000], real[0].labels[:2000]
    fine, copies, moved, noise, missing = (
        quality(v)
        for v in (
            x,
            x[:20].repeat(100, 1, 1, 1),
            FAULTS["moved by two pixels"](x, y),
            FAULTS["nothing but noise"](x, y),
            x[y != 7],
        )
    )
    assert fine.recall > 0.85 and copies.recall < 0.1 and noise.recall < 0.05
    assert fine.precision > 0.85 and moved.precision < 0.7 and noise.precision < 0.7 and noise.ratio > 100
    assert fine.classes > 9.9 and missing.classes < 9.1 and missing.shares[7] < 0.01
