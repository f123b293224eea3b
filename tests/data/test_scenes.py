"""Captioned scenes: what is said is what is there, what is held out stays out, and a seed is all it takes."""

import os
import re
from itertools import product

import pytest
import torch
from torch.nn.functional import normalize

from mpl_diffusion import chimera_scenes, detokenize, parse_captions, scene_batches, scenes, tokenize, write_caption
from mpl_diffusion.data import scenes as room
from mpl_diffusion.data.mnist import VARIABLE, Digits
from mpl_diffusion.data.scenes import (
    ANY,
    BESIDE,
    CAPTIONS,
    CENTRES,
    COLOURS,
    DIGITS,
    HELD_OUT,
    LENGTH,
    PLACES,
    STACKED,
    VOCABULARY,
)

STYLES = (0.0, 0.5)
REAL = os.environ.get(VARIABLE, "")
THINGS = list(product(range(10), range(6)))
HELD = {(DIGITS.index(digit), list(COLOURS).index(colour)) for digit, colour in HELD_OUT}
ALL = {(place, *thing, ANY, ANY) for place in range(5) for thing in THINGS} | {
    (place, *one, *two) for place in (BESIDE, STACKED) for one in THINGS for two in THINGS
}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv(VARIABLE, "offline")


@pytest.fixture(scope="module", params=["offline", "MNIST"])
def drawn(request):
    """All kinds of scenes of the stand-in, and of MNIST's test digits where they are."""
    if request.param == "offline":
        return scenes(300, seed=5, captions="all", folder="offline")
    if not os.path.isdir(REAL):
        pytest.skip(f"{VARIABLE} names no folder")
    return scenes(300, seed=5, captions="all", train=False, folder=REAL)


def arrangements(captions):
    """All that scenes with these captions are drawn from."""
    return {tuple(row) for kind in room._choices(captions) for row in kind.tolist()}


def same(a, b):
    return all(torch.equal(x.nan_to_num(-7), y.nan_to_num(-7)) if torch.is_tensor(x) else x == y for x, y in zip(a, b))


# ----------------------------------------------------------------------------------- words


def test_the_vocabulary_is_a_few_dozen_words_each_once_and_id_0_is_no_word():
    assert VOCABULARY[0] == "" and len(set(VOCABULARY)) == len(VOCABULARY) == 29
    assert {*COLOURS, *DIGITS, *" ".join(PLACES).split()} < set(VOCABULARY)


def test_every_arrangement_is_found_again_in_either_way_to_say_it():
    said = {row: [write_caption(row, style) for style in STYLES] for row in ALL}
    first, second = (dict(zip(said, parse_captions([pair[k] for pair in said.values()]).tolist())) for k in range(2))
    assert all(first[row] == list(row) for row in ALL)
    assert all(second[row] == (list(row) if row[0] >= BESIDE else [ANY, *row[1:]]) for row in ALL)
    assert len({text for pair in said.values() for text in pair}) == 2 * 7200 + 300 + 60  # no two say the same


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a red seven left of a blue three", [5, 7, 0, 3, 4]),
        ("a blue three right of a red seven", [5, 7, 0, 3, 4]),
        ("a red seven right of a blue three", [5, 3, 4, 7, 0]),
        ("a red seven above a blue three", [6, 7, 0, 3, 4]),
        ("a blue three below a red seven", [6, 7, 0, 3, 4]),
        ("a green five", [ANY, 5, 2, ANY, ANY]),
        ("a yellow zero at the left", [0, 0, 1, ANY, ANY]),
        ("a cyan one at the right", [1, 1, 3, ANY, ANY]),
        ("a green five at the top", [2, 5, 2, ANY, ANY]),
        ("a magenta nine at the bottom", [3, 9, 5, ANY, ANY]),
        ("  A Green FIVE in the\tmiddle ", [4, 5, 2, ANY, ANY]),
    ],
)
def test_a_caption_means_what_it_says(text, expected):
    assert parse_captions([text]).tolist() == [expected] and parse_captions([text]).dtype == torch.long


def test_a_style_below_a_half_begins_with_the_first_thing_and_tells_a_single_ones_place():
    pair, single = (STACKED, 7, 0, 3, 4), (2, 5, 2, ANY, ANY)
    assert [write_caption(pair, s) for s in (0, 0.49, 0.5, 0.99)] == [
        *["a red seven above a blue three"] * 2,
        *["a blue three below a red seven"] * 2,
    ]
    assert [write_caption(single, s) for s in (0, 0.49, 0.5, 0.99)] == [
        *["a green five at the top"] * 2,
        *["a green five"] * 2,
    ]
    assert write_caption((ANY, 5, 2, ANY, ANY)) == "a green five"


def test_ids_and_words_are_inverses_and_0_fills_the_end():
    said = [write_caption(row, style) for row in sorted(ALL)[::7] for style in STYLES]
    cond = tokenize(said)
    assert cond.shape == (len(said), LENGTH) and cond.dtype == torch.long and detokenize(cond) == said
    lengths = torch.tensor([len(text.split()) for text in said])
    assert torch.equal(cond > 0, torch.arange(LENGTH) < lengths[:, None]) and lengths.max() == LENGTH
    assert torch.equal(tokenize(["  A Green\tFIVE "]), tokenize(["a green five"]))
    assert detokenize(torch.zeros(2, LENGTH)) == ["", ""]


@pytest.mark.parametrize(
    "read, captions, message",
    [
        (tokenize, ["a red seven", "a purple dog"], r"^'purple' is not a word of these captions\. They name digits "),
        (tokenize, ["a purple dog"], r"\(zero to nine\), colours \(red, .*, magenta\) and where things are, as in"),
        (tokenize, [""], r"^there is no word in it; a caption is, for instance, 'a red seven left of a blue three'$"),
        (tokenize, ["  "], r"^there is no word in it"),
        (tokenize, [" . "], r"^there is no word in it"),
        (tokenize, ["a red seven left of a blue blue three"], r"^these are 9 words; a caption has at most 8, as '.*'"),
        (tokenize, [None], r"^a caption is a text, such as '.*'; one of these is a NoneType$"),
        (tokenize, "a red seven", r"captions = 'a red seven' is one text; expected a list of them: \['a red seven'\]"),
        (
            parse_captions,
            "a red seven",
            r"captions = 'a red seven' is one text; expected a list of them: \['a red seven'\]",
        ),
        (
            parse_captions,
            ["a red seven", "red seven"],
            r"'red seven' is not a caption of a scene; expected 'a COLOUR DIGIT'",
        ),
        (parse_captions, ["a seven"], r"colours: red, yellow, green, cyan, blue, magenta; digits: zero ... nine"),
        (
            parse_captions,
            ["a seven red"],
            r"is not a caption .*one of at the left, .*one of left of, right of, above, below",
        ),
        (parse_captions, ["the red seven"], r"'the red seven' is not a caption"),
        (parse_captions, ["a red blue"], r"'a red blue' is not a caption"),
        (parse_captions, ["a red seven left of"], r"'a red seven left of' is not a caption"),
        (parse_captions, ["a red seven at the left of a blue three"], r"is not a caption"),
        (parse_captions, ["a red seven left of a blue three at the top"], r"is not a caption"),
        (parse_captions, ["a red seven at the top at the left"], r"is not a caption"),
        (parse_captions, ["a red seven above a blue three above a red one"], r"is not a caption"),
        (parse_captions, [""], r"'' is not a caption"),
    ],
)
def test_what_is_no_caption_is_named_with_the_words_that_there_are(read, captions, message):
    with pytest.raises(ValueError, match=message):
        read(captions)


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("a red seven left of a blue three.", "a red seven left of a blue three"),
        ("A red seven, left of a blue three!", "a red seven left of a blue three"),
        ('"a green five"', "a green five"),
        ("a green five ?", "a green five"),
    ],
)
def test_punctuation_around_words_is_no_mistake(typed, meant):
    assert torch.equal(tokenize([typed]), tokenize([meant]))
    assert torch.equal(parse_captions([typed]), parse_captions([meant]))


@pytest.mark.parametrize(
    "typed, meant",
    [
        *[("fuor", "four"), ("sevn", "seven"), ("tree", "three"), ("tow", "two"), ("fife", "five"), ("nien", "nine")],
        *[("yelow", "yellow"), ("magneta", "magenta"), ("gren", "green"), ("Reds", "red"), ("botom", "bottom")],
        *[("an", "a"), ("lef", "left"), ("abov", "above"), ("midle", "middle"), ("4", "four"), ("0", "zero")],
    ],
)
def test_a_near_miss_is_told_what_it_missed(typed, meant):
    said = rf"^'{typed.lower()}' is not a word of these captions: did you mean {meant}\?$"
    with pytest.raises(ValueError, match=said):
        tokenize([f"a red {typed}"])


@pytest.mark.parametrize("typed", ["cat", "pink", "dog", "orange", "and", "ten", "grey", "42", "\u00b2"])
def test_what_is_near_nothing_is_told_no_nonsense(typed):
    with pytest.raises(ValueError, match="They name digits"):
        tokenize([f"a red {typed}"])


@pytest.mark.parametrize("typed", ["x" * 300, "a red seven " * 25, "dog " * 75, "?" * 300])
@pytest.mark.parametrize("read", [tokenize, parse_captions, lambda texts: tokenize(texts[0])])
def test_no_message_echoes_a_long_text_or_speaks_python_to_whoever_types(read, typed):
    with pytest.raises(ValueError) as caught:
        read([typed])
    assert len(str(caught.value)) < 340 and 60 * "x" not in str(caught.value)
    assert read is not tokenize or not re.search(r"None|cond|=|\[", str(caught.value))


# ----------------------------------------------------------------------------------- what is held out


def test_train_unseen_and_held_out_have_no_arrangement_in_common_and_together_are_all():
    parts = [arrangements(kind) for kind in CAPTIONS[:3]]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(ALL)
    assert set().union(*parts) == arrangements("all") == ALL


def test_what_is_kept_back_is_a_fifth_and_the_same_in_every_process_since_what_ships_was_trained_on_the_rest():
    kept = room._choices("unseen")
    room._choices.cache_clear()
    torch.manual_seed(1)
    assert all(map(torch.equal, room._choices("unseen"), kept))
    assert [len(rows) for kind in CAPTIONS[:3] for rows in room._choices(kind)] == [217, 4660, 53, 1172, 30, 1368]
    assert 0.19 < (53 + 1172) / (217 + 4660 + 53 + 1172) < 0.21


def test_no_wording_of_what_is_kept_back_is_a_caption_of_training():
    trained = {write_caption(row, style) for row in arrangements("train") for style in STYLES}
    for kind in ("unseen", "held out"):
        rows = arrangements(kind)
        kept = {write_caption(row, style) for row in rows for style in STYLES if row[0] >= BESIDE or kind == "held out"}
        assert not trained & (kept | {write_caption(row) for row in rows})
        assert not trained & set(scenes(100, seed=1, captions=kind).captions)


def test_a_held_out_colour_never_meets_its_digit_in_training_or_among_the_unseen():
    assert len(HELD) == 6 == len({digit for digit, _ in HELD}) == len({colour for _, colour in HELD})

    def with_it(rows):
        return [bool({row[1:3], row[3:]} & HELD) for row in rows]

    assert not any(with_it(arrangements("train"))) and not any(with_it(arrangements("unseen")))
    assert all(with_it(arrangements("held out"))) and sum(with_it(ALL)) == 5 * 6 + 2 * (60**2 - 54**2)
    forbidden = [f"{colour} {digit}" for digit, colour in HELD_OUT]
    for kind, occurs in (("train", 0), ("unseen", 0), ("held out", 400)):
        said = scenes(400, seed=2, captions=kind).captions
        assert sum(any(thing in text for thing in forbidden) for text in said) == occurs


def test_everything_that_is_asked_of_unseen_and_held_out_has_been_seen_in_training_in_parts():
    rows = arrangements("train")
    known = set(THINGS) - HELD
    for place in (BESIDE, STACKED):
        pairs = [row for row in rows if row[0] == place]
        assert {row[1:3] for row in pairs} == {row[3:] for row in pairs} == known
    assert {row[1:3] for row in rows if row[0] < BESIDE} == known
    assert {row[0] for row in rows} == set(range(7))
    assert {digit for digit, _ in known} == set(range(10)) and {colour for _, colour in known} == set(range(6))


# ----------------------------------------------------------------------------------- chance and its seed


@pytest.mark.parametrize("captions", CAPTIONS)
def test_the_same_seed_gives_the_same_scenes_and_takes_no_number_from_anyone_else(captions):
    first = scenes(40, seed=3, captions=captions)
    torch.rand(5)
    state = torch.get_rng_state()
    assert same(first, scenes(40, seed=3, captions=captions)) and torch.equal(torch.get_rng_state(), state)
    other = scenes(40, seed=4, captions=captions)
    assert first.captions != other.captions and not torch.equal(first.images, other.images)
    assert {tuple(row) for row in first.arrangement.tolist()} <= arrangements(captions)


def test_scenes_may_be_edited_and_the_next_are_as_they_would_have_been():
    first = scenes(10)
    kept = [x.clone() if torch.is_tensor(x) else list(x) for x in first[:5]]
    for x in first[:5]:
        x.zero_() if torch.is_tensor(x) else x.clear()
    assert same(scenes(10)[:5], kept)


def test_captions_ids_and_arrangements_tell_of_the_same_scenes():
    drawn = scenes(400, captions="all")
    assert detokenize(drawn.cond) == drawn.captions
    asked = parse_captions(drawn.captions)
    open_place = asked[:, 0] == ANY
    assert torch.equal(asked[:, 1:], drawn.arrangement[:, 1:])
    assert torch.equal(asked[~open_place, 0], drawn.arrangement[~open_place, 0])
    assert open_place.any() and (drawn.arrangement[open_place, 0] < BESIDE).all()
    said = " ".join(drawn.captions)
    assert all(word in said for word in VOCABULARY)
    for kind in CAPTIONS:
        told = (parse_captions(scenes(100, captions=kind).captions)[:, 0] != ANY).all()
        assert told == (kind == "unseen")  # where "a green five" is no news, wherever it is


def test_three_quarters_are_pairs_and_no_arrangement_comes_again_before_all_have_come():
    drawn = scenes(600, captions="held out").arrangement
    single = drawn[drawn[:, 3] == ANY]
    assert abs(len(single) / 600 - 0.25) < 4 * (0.25 * 0.75 / 600) ** 0.5
    assert len(drawn[drawn[:, 3] != ANY].unique(dim=0)) == 600 - len(single)  # of 1,368
    counts = single.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 30 and counts.max() - counts.min() <= 1


def test_light_digits_places_and_sizes_vary_from_scene_to_scene():
    one = scenes(60, captions="held out", seed=8)
    pick = one.boxes[one.arrangement[:, 0] == BESIDE]
    sizes, middles = pick[..., 2:] - pick[..., :2], (pick[..., 2:] + pick[..., :2]) / 2
    assert (sizes[:, 0, 1].std() > 1) and (middles[:, 0, 1].std() > 1.5) and (middles[:, 0, 0].std() > 0.3)
    grounds = one.images[:, :, [0, 0, 63, 63], [0, 63, 0, 63]].mean(2)  # where the light's fall cancels
    assert (grounds.std(0) > 0.05).all() and (grounds.diff(dim=1).std(0) > 0.02).all() and grounds.max() < -0.5
    assert (one.images[:, :, 0, :] - one.images[:, :, 63, :]).abs().amax((1, 2)).median() > 0.02  # the light falls off


def test_a_chimera_is_the_upper_half_of_one_digit_on_the_lower_half_of_another():
    images, digits = chimera_scenes(40, seed=3)
    again = chimera_scenes(40, seed=3)
    assert torch.equal(images, again[0]) and torch.equal(digits, again[1])
    assert images.shape == (40, 3, 64, 64) and digits.shape == (40, 2) and (digits[:, 0] != digits[:, 1]).all()
    assert not torch.equal(images, chimera_scenes(40, seed=4)[0])
    ink = (images.amax(1) - images.amin(1)) > 0.5
    assert ink[:, :32].any(2).any(1).all() and ink[:, 32:].any(2).any(1).all()
    assert set(digits.flatten().tolist()) == set(range(10))
    with pytest.raises(ValueError, match=r"n = 0; expected a whole number, at least 1"):
        chimera_scenes(0)


def test_the_halves_of_a_chimera_come_from_its_two_digits(monkeypatch):
    """Digit d is a full square of ink of brightness (d + 1) / 10: which digit is where shows in the colours."""

    def squares(arrangement, rng, train, folder):
        return (arrangement[:, 1::2, None, None] + 1) / 10 * torch.ones(64, 64), None, "squares"

    monkeypatch.setattr(room, "_ink", squares)
    monkeypatch.setattr(room, "_painted", lambda ink, arrangement, rng: ink)
    ink, digits = chimera_scenes(20, seed=1)
    torch.testing.assert_close(ink[:, 0, 0, 0], (digits[:, 0] + 1) / 10)
    torch.testing.assert_close(ink[:, 0, 31, 5], (digits[:, 0] + 1) / 10)
    torch.testing.assert_close(ink[:, 0, 32, 5], (digits[:, 1] + 1) / 10)
    assert not ink[:, 1].any()


class TestFresh:
    def test_a_batch_is_a_pure_function_of_the_seed_and_its_number(self):
        one = scene_batches("images", "cond", "captions", "arrangement", size=6, seed=1)
        seen = [one[k] for k in (5, 0, 2, 5)]
        torch.rand(3)
        state = torch.get_rng_state()
        again = scene_batches("images", "cond", "captions", "arrangement", size=6, seed=1)
        assert all(same(batch, again[k]) for batch, k in zip(seen, (5, 0, 2, 5)))
        assert torch.equal(torch.get_rng_state(), state)

    def test_no_two_batches_and_no_two_seeds_give_the_same(self):
        said = [tuple(scene_batches("captions", size=6, seed=seed)[k][0]) for seed in range(3) for k in range(20)]
        assert len(set(said)) == 60

    @pytest.mark.parametrize("captions", CAPTIONS)
    def test_it_gives_the_fields_asked_for_in_their_order_of_the_scenes_asked_for(self, captions):
        boxes, images, arrangement = scene_batches("boxes", "images", "arrangement", size=6, captions=captions)[4]
        assert boxes.shape == (6, 2, 4) and images.shape == (6, 3, 64, 64)
        assert {tuple(row) for row in arrangement.tolist()} <= arrangements(captions)

    def test_its_arrays_are_the_digits_that_the_scenes_are_made_of(self):
        images, labels = scene_batches("images", size=6).arrays
        assert images.shape == (1500, 1, 28, 28) and labels.shape == (1500,)

    def test_unknown_fields_and_captions_are_named(self):
        with pytest.raises(ValueError, match=r"scenes have no labels, pictures; they have images, cond, captions, "):
            scene_batches("images", "pictures", "labels", size=6)
        with pytest.raises(ValueError, match=r"captions = 'test'; expected one of 'train', 'unseen', 'held"):
            scene_batches("images", size=6, captions="test")


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(n=0), r"n = 0; expected at least one scene"),
        (dict(n=3, captions="heldout"), r"captions = 'heldout'; expected one of 'train', 'unseen', 'held out', 'all'"),
    ],
)
def test_scenes_that_there_are_not_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        scenes(**options)


# ----------------------------------------------------------------------------------- the picture


def chroma(images):
    """How far from grey each pixel is, (N, 64, 64) in [0, 1]: the ground is nearly grey, ink is not."""
    return (images.amax(1) - images.amin(1)) / 2


def inside(boxes, margin=0.0):
    """The pixels (..., 64, 64) whose middle lies in a box."""
    middle = torch.arange(64) + 0.5
    left, top, right, bottom = (boxes[..., k, None] for k in range(4))
    across = (middle > left - margin) & (middle < right + margin)
    down = (middle > top - margin) & (middle < bottom + margin)
    return down[..., :, None] & across[..., None, :]


def test_scenes_are_pictures_from_minus_1_to_1(drawn):
    images = drawn.images
    assert images.shape == (300, 3, 64, 64) and images.dtype == drawn.boxes.dtype == torch.float32
    assert images.min() >= -1 and images.max() <= 1 and images.max() > 0.95 and images.min() < -0.99


def test_all_ink_is_in_the_boxes_and_the_boxes_are_tight(drawn):
    ink = chroma(drawn.images) > 0.25
    assert torch.equal(drawn.boxes.isnan(), ((drawn.arrangement[:, 1::2] == ANY)[..., None]).expand(-1, -1, 4))
    assert not (ink & ~inside(drawn.boxes, 0.5).any(1)).any()
    things = [(ink[n] & inside(drawn.boxes[n, i], 2), drawn.boxes[n, i]) for i in range(2) for n in range(300)]
    slack = []
    for seen, (left, top, right, bottom) in (thing for thing in things if not thing[1].isnan().any()):
        rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
        slack.append(torch.stack([columns[0] - left, rows[0] - top, right - columns[-1] - 1, bottom - rows[-1] - 1]))
    slack = torch.stack(slack)
    assert slack.min() > -1 and slack.abs().median() < 0.6 and slack.quantile(0.99) < 4  # a digit's end may be faint


def test_no_digit_is_cut_off_by_the_edge(drawn):
    boxes = drawn.boxes.nan_to_num(32)
    assert boxes[..., :2].min() >= 1 - 1e-4 and boxes[..., 2:].max() <= 63 + 1e-4
    assert (boxes[..., :2].min() < 1.01) or (boxes[..., 2:].max() > 62.9)  # some would have been
    ink = chroma(drawn.images) > 0.25
    assert not ink[:, [0, -1]].any() and not ink[:, :, [0, -1]].any()


def test_the_ink_has_the_colour_that_the_caption_says(drawn):
    palette = normalize(torch.tensor(list(COLOURS.values())))
    lit, grey = (drawn.images + 1) / 2, chroma(drawn.images)
    for i in range(2):
        there = drawn.arrangement[:, 1 + 2 * i] != ANY
        box = inside(drawn.boxes[there, i])
        best = torch.where(box, grey[there], -1).flatten(1).argmax(1)
        ink = lit[there].flatten(2)[torch.arange(len(best)), :, best]
        seen = (normalize(ink) @ palette.T).argmax(1)
        assert torch.equal(seen, drawn.arrangement[there, 2 + 2 * i])


def test_the_first_of_a_pair_is_at_the_left_or_above_and_the_two_do_not_touch(drawn):
    first, second = drawn.boxes.unbind(1)
    for place, axis in ((BESIDE, 0), (STACKED, 1)):
        rows = drawn.arrangement[:, 0] == place
        assert rows.sum() > 80 and (first[rows, axis + 2] + 1 < second[rows, axis]).all()


def test_a_single_thing_is_nearest_to_the_place_that_the_caption_says(drawn):
    single = drawn.arrangement[:, 3] == ANY
    box = drawn.boxes[single, 0]
    places = torch.tensor([first for first, _ in CENTRES[:5]], dtype=torch.float32)
    nearest = torch.cdist((box[:, :2] + box[:, 2:]) / 2, places).argmin(1)
    assert single.sum() > 50 and torch.equal(nearest, drawn.arrangement[single, 0])


def test_the_ink_of_a_single_thing_leans_to_the_side_that_the_caption_says():
    drawn = scenes(300, captions="all", seed=6)
    ink, weight = (chroma(drawn.images) > 0.25).float(), torch.arange(64) - 31.5
    right, down = ((ink.sum(axis) * weight).sum(1) / ink.sum((1, 2)) for axis in (1, 2))
    lean = {"left": -right, "right": right, "top": -down, "bottom": down}
    seen = [lean[text.split()[-1]][n] for n, text in enumerate(drawn.captions) if " at the " in text]
    assert len(seen) > 20 and min(seen) > 6


# ----------------------------------------------------------------------------------- the digits in it


def bars(train=True, folder=None):
    """Digits of which digit d is a block 2d + 8 wide and 26 high; test digits are rings."""
    labels = torch.arange(40) % 10
    images = torch.full((40, 1, 28, 28), -1.0)
    for image, d in zip(images, labels.tolist()):
        image[0, 1:27, 10 - d : 18 + d] = 1
        if not train:
            image[0, 3:25, 12 - d : 16 + d] = -1
    return Digits(images, labels, "training blocks" if train else "test rings")


@pytest.fixture
def blocks(monkeypatch):
    monkeypatch.setattr(room, "mnist", bars)
    room._source.cache_clear()
    yield
    room._source.cache_clear()


def test_each_thing_is_the_digit_that_the_caption_says(blocks):
    drawn = scenes(200, captions="all")
    sizes = drawn.boxes[..., 2:] - drawn.boxes[..., :2]
    digits = (13 * sizes[..., 0] / sizes[..., 1] - 4).nan_to_num(ANY)
    torch.testing.assert_close(digits, drawn.arrangement[:, 1::2].float(), atol=1e-3, rtol=0)
    assert drawn.name == "training blocks"


def test_large_ink_is_moved_inwards_together_with_its_box(blocks):
    drawn = scenes(200, captions="all")
    ink, box = chroma(drawn.images) > 0.25, inside(drawn.boxes, 1)
    assert not (ink & ~box.any(1)).any() and not ink[:, [0, -1]].any() and not ink[:, :, [0, -1]].any()
    single, box = drawn.arrangement[:, 3] == ANY, inside(drawn.boxes)
    assert (ink & box[:, 0])[single].sum() > 0.95 * box[:, 0][single].sum()  # what the box is around is there
    assert (drawn.boxes[..., 2:] > 63 - 1e-3).any() and (drawn.boxes[..., :2] < 1 + 1e-3).any()  # some had to be moved


def test_a_digit_is_written_by_many_hands():
    drawn = scenes(300, captions="all")
    size = drawn.boxes[..., 2:] - drawn.boxes[..., :2]
    for d in range(10):
        shape = (size[..., 0] / size[..., 1])[drawn.arrangement[:, 1::2] == d]
        assert len((shape * 1e3).round().unique()) > 2  # the stand-in has few widths


def test_test_scenes_are_made_of_test_digits_alone(blocks):
    drawn = scenes(100, captions="all", train=False)
    wide = drawn.arrangement[:, 1] >= 5
    hole = ((drawn.boxes[:, 0, :2] + drawn.boxes[:, 0, 2:]) / 2).long()
    middle = chroma(drawn.images)[torch.arange(100), hole[:, 1], hole[:, 0]]
    assert (middle[wide] < 0.25).all() and drawn.name == "test rings"
    assert (chroma(scenes(100, captions="all").images)[torch.arange(100), hole[:, 1], hole[:, 0]] > 0.25).all()


def test_a_variable_that_changes_is_heeded_and_a_missing_folder_is_named(monkeypatch, tmp_path):
    assert scenes(2).name == "scikit-learn digits"
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="has no train-images"):
        scenes(2)
    assert scenes(2, folder="offline").name == "scikit-learn digits"


def test_the_box_of_the_thing_that_a_caption_names_first_holds_its_colour():
    some = scenes(60, seed=1, captions="all")
    hue = {"red": 0, "green": 1, "blue": 2}
    told = [(k, hue[caption.split()[1]]) for k, caption in enumerate(some.captions) if caption.split()[1] in hue]
    second = [" right of " in some.captions[k] or " below " in some.captions[k] for k, _ in told]
    assert any(second) and not all(second)
    for k, channel in told:
        left, top, right, bottom = (64 * some.first_boxes[k]).int().tolist()
        ink = some.images[k, :, top:bottom, left:right].amax((1, 2))
        assert ink.argmax() == channel
