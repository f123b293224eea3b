"""The widgets without a browser: what they send, what they say, what they refuse."""

import importlib
import io
import itertools
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from mpl_diffusion.teaching.widgets import explore, particles, player, watch
from mpl_diffusion.teaching.widgets.axis import Axis
from mpl_diffusion.teaching.widgets.progress import bar, duration

WATCH = importlib.import_module("mpl_diffusion.teaching.widgets.watch")
EXPLORE = importlib.import_module("mpl_diffusion.teaching.widgets.explore")


def shade(level: int) -> np.ndarray:
    return np.full((640, 8), level, np.uint8)


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def sent(widget) -> list[np.ndarray]:
    """The pictures as the browser will cut them out."""
    bounds = itertools.pairwise([0, *widget._ends])
    return [pixels(widget._frames[start:end]) for start, end in bounds]


def described(t: int, kind: str = "a"):
    """A stand-in for `plots.Picture`."""
    stream = io.BytesIO()
    Image.fromarray(shade(t)).save(stream, "PNG")
    return SimpleNamespace(png=lambda dpi: stream.getvalue(), alt=f"grey {t}, {kind}", caption=f"{t} of 255")


def test_every_combination_of_values_is_drawn_once_and_the_last_axis_runs_fastest():
    calls = []
    e = explore(lambda t, kind: calls.append((t, kind)) or shade(len(calls)), t=[0, 5], kind=["a", "b", "c"])
    assert calls == [(0, "a"), (0, "b"), (0, "c"), (5, "a"), (5, "b"), (5, "c")]
    assert [frame[0, 0, 0] for frame in sent(e)] == [1, 2, 3, 4, 5, 6]


def test_the_pictures_arrive_without_loss():
    noise = np.random.default_rng(0).integers(0, 256, (640, 200, 3), dtype=np.uint8)
    np.testing.assert_array_equal(sent(explore(lambda t: noise, t=[0]))[0], noise)


def test_setting_an_axis_moves_what_python_and_the_browser_see():
    e = explore(described, t=range(0, 201, 50), kind=["a", "b"], start={"t": 50})
    assert (e.t, e.kind, e.values) == (50, "a", {"t": 50, "kind": "a"})
    e.t, e.kind = 150, "b"
    assert e.values == {"t": 150, "kind": "b"} and e._at == [3, 1]
    assert (e.alt, e.caption) == ("grey 150, b", "150 of 255")
    assert pixels(e.picture)[0, 0, 0] == 150


def test_a_twin_says_an_axis_in_other_numbers():
    e = explore(lambda **_: shade(0), kind=["a", "b"], w=[0, 1, 3.5], twins={"w": ("their w", lambda w: w - 1)})
    assert e._twins == [{"label": "their w", "ticks": ["-1", "0", "2.5"], "buttons": True, "of": 1}]
    assert [axis["label"] for axis in e._axes] == ["kind", "w"] and e.values == {"kind": "a", "w": 0}


def test_the_browser_moves_what_python_sees():
    e = explore(described, t=[10, 20])
    e.set_state({"_at": [1]})
    assert e.t == 20 and e.caption == "20 of 255"


def test_without_words_of_its_own_a_picture_is_called_by_its_place():
    e = explore(lambda t: shade(t), alt="a grey", labels={"t": "level"}, t=[1, 2])
    e.t = 2
    assert (e.caption, e.alt) == ("level = 2", "a grey: level = 2")
    assert e._captions == []  # and no line stands below it


def test_numbers_slide_and_names_are_chosen():
    e = explore(
        lambda **_: shade(0), t=np.linspace(0, 0.3, 4), w=[True, False], name=["x", "y"], many=list("abcdefghi")
    )
    assert [axis["buttons"] for axis in e._axes] == [False, True, True, False]
    assert e._axes[0]["ticks"] == ["0", "0.1", "0.2", "0.3"] and e._axes[1]["ticks"] == ["yes", "no"]
    e.t = 0.1 + 0.2  # 0.30000000000000004
    assert e._at[0] == 3


def test_a_truth_value_is_no_number():
    assert not Axis.of("last", [True, False, True + 1]).numeric and Axis.of("t", [0, 1.5]).numeric
    switch, number = Axis.of("last", [False, True]), Axis.of("t", [0, 1, 2, 3])
    assert (switch.ticks, switch.index(True), number.index(1.0)) == (("no", "yes"), 1, 1)
    for axis, value in ((switch, 1), (number, True)):
        with pytest.raises(ValueError, match="is not on the grid"):
            axis.index(value)


@pytest.mark.parametrize("value", [33, "linear", None, float("nan")])
def test_a_value_off_the_grid_is_refused_with_those_that_are_on_it(value):
    e = explore(lambda t: shade(t), t=[0, 20, 40])
    with pytest.raises(ValueError, match=r"t = .* is not on the grid: 0, 20, 40"):
        e.t = value
    assert e.t == 0


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({}, "at least one axis"),
        ({"t": []}, "t has no values"),
        ({"t": 5}, "t needs a list of values"),
        ({"kind": "linear"}, "kind needs a list of values"),
        ({"t": [1, 1]}, "read the same"),
        ({"values": [1]}, "cannot be called 'values'"),
        ({"layout": [1]}, "cannot be called 'layout'"),
        ({"t": range(50), "s": range(50)}, r"50 t x 50 s = 2,500 pictures, more than 2,000: take coarser steps"),
        ({"t": [1], "start": {"s": 1}}, "start names s; the axes are t"),
        ({"t": [1], "start": {"t": 2}}, "t = 2 is not on the grid"),
        ({"t": [1], "labels": {"s": "steps"}}, "labels names s"),
        ({"t": [1], "twins": {"s": ("steps", float)}}, "twins names s"),
        ({"t": [-1, 1], "twins": {"t": ("its size", abs)}}, "its size has values that read the same"),
        ({"t": [1, 2], "twins": {"t": abs}}, r"the twin of t is .* expected \(name, function"),
        ({"t": [1, 2], "twins": {"t": ("its size", None)}}, r"the twin of t is \('its size', None\)"),
        ({"t": [0.0, float("nan")]}, "t holds NaN"),
        ({"t": [1], "labels": ["t"]}, r"labels = \['t'\]; expected a value for each axis"),
        ({"t": [1], "start": 1}, "start = 1; expected a value for each axis"),
        ({"t": [1], "alt": 3}, "alt = 3; expected a str"),
    ],
)
def test_axes_that_make_no_sense_are_refused_before_anything_is_drawn(axes, words):
    with pytest.raises(ValueError, match=words):
        explore(lambda **_: pytest.fail("it drew"), **axes)


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (None, "draw returned None"),
        ("a string", "draw returned 'a string'"),
        (np.zeros((2, 3, 4)), r"\(H, W\) or \(H, W, 3\)"),
        (np.array([[0.0, 2.0]]), "0 to 2"),
        (np.array([[0.0, np.nan]]), "nan"),
        (np.array([[0, 200]]), "0 to 200; of bytes 0 ... 255 take uint8"),
        (np.zeros((2, 2), complex), "complex128"),
        (b"no png", "6 bytes that begin with b'no png' are no complete PNG"),
        (b"", "0 bytes"),
        (described(9).png(dpi=1)[:60], "60 bytes .* are no complete PNG"),
    ],
)
def test_an_error_about_what_draw_returned_names_the_values_it_had(drawn, words):
    with pytest.raises(ValueError, match=words) as caught:
        explore(lambda t, kind: drawn, t=[7], kind=["b"])
    assert caught.value.__notes__ == ["while drawing t = 7, kind = 'b'"]


def test_an_error_in_draw_stays_what_it_is_and_names_the_values():
    with pytest.raises(ZeroDivisionError) as caught:
        explore(lambda t: shade(1 // t), t=[1, 0])
    assert caught.value.__notes__ == ["while drawing t = 0"]


def test_pictures_that_weigh_too_much_are_refused(monkeypatch):
    monkeypatch.setattr(EXPLORE, "MOST_BYTES", 200_000)
    noise = np.random.default_rng(0).integers(0, 256, (640, 200), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"2 of 9 pictures .* coarser steps"):
        explore(lambda t: noise, t=range(9))


def test_figures_png_bytes_and_arrays_are_all_pictures():
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(4, 3), facecolor="black")
    assert pixels(explore(lambda t: figure, t=[0]).picture).shape == (450, 600, 3)
    assert not pyplot.fignum_exists(figure.number), "the figure is shown a second time under the cell"
    assert pixels(explore(lambda t: described(9).png(dpi=1), t=[0]).picture)[0, 0, 0] == 9
    assert pixels(explore(lambda t: np.full((640, 4, 3), 0.2), t=[0]).picture)[0, 0].tolist() == [51, 51, 51]


def test_a_float_image_is_rounded_to_the_nearest_grey():
    levels = np.array([0.0, 0.25, 0.5, 0.999, 1.0])  # 63.75, 127.5 and 254.745 of 255
    shown = pixels(explore(lambda t: levels[None].repeat(640, 0), t=[0]).picture)
    assert shown[0, :, 0].tolist() == [0, 64, 128, 255, 255]


def test_a_small_image_is_shown_in_whole_blocks():
    image = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    shown = pixels(explore(lambda t: image, t=[0]).picture)[..., 0]
    assert shown.shape == (644, 644)
    np.testing.assert_array_equal(shown[::23, ::23], image)
    np.testing.assert_array_equal(shown[22::23, 22::23], image)


def test_a_player_walks_from_the_first_step_to_the_last_whatever_the_stride():
    steps = (SimpleNamespace(t=t, x=t) for t in range(100, -1, -10))  # eleven, from a generator
    p = player(steps, lambda step: shade(step.x), alt="a walk", every=4)
    assert [frame[0, 0, 0] for frame in sent(p)] == [100, 60, 20, 0]
    assert (p.step, p.caption) == (0, "t = 100")
    p.step = 3
    assert (p.caption, p.alt, repr(p)) == ("t = 0", "a walk: t = 0", "explore: a walk | t = 100, 60, 20, 0")


def test_a_player_refuses_an_empty_walk_and_a_stride_below_one():
    with pytest.raises(ValueError, match="no steps to play"):
        player(iter([]), shade)
    with pytest.raises(ValueError, match="every = 0"):
        player([SimpleNamespace(t=0)], shade, every=0)
    with pytest.raises(ValueError, match=r"every = 1\.5"):
        player([SimpleNamespace(t=0)], shade, every=1.5)


def test_a_player_refuses_a_time_that_is_no_number():
    with pytest.raises(ValueError, match="t = nan"):
        player([SimpleNamespace(t=float("nan"))], lambda step: shade(0))


def test_a_widget_shows_a_stable_label_and_its_picture_to_readers_without_a_live_view():
    e = explore(described, alt="a grey", t=range(0, 101, 20), kind=["a", "b"])
    bundle = e._repr_mimebundle_()
    assert bundle["text/plain"] == "explore: a grey | t = 0 ... 100 (6), kind = a, b"
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == e.model_id
    assert bundle["image/png"].startswith("iVBOR")


@pytest.mark.parametrize("make", [lambda: explore(described, t=[0, 1]), lambda: particles(np.zeros((2, 3, 2)))])
def test_a_page_of_its_own_asks_for_nothing_and_no_text_can_end_its_script(make, tmp_path):
    widget = make()
    widget._alt = widget._title = "</script><b>"
    page = widget.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 1 and "<b>" not in page
    assert not any(word in page for word in ("http://", "https://", "src=", "import "))


# Particles

WALK = np.random.default_rng(0).normal(size=(4, 50, 2))


def positions(p) -> np.ndarray:
    """What the browser reads back; NaN where a point is outside."""
    sent = np.frombuffer(p._points, "<u2").reshape(*p._shape, 2).astype(float)
    left, right, bottom, top = p._extent
    return np.where(sent == 0, np.nan, (sent - 1) / 65534 * (right - left, top - bottom) + (left, bottom))


def test_positions_arrive_to_a_thirty_thousandth_of_the_picture():
    p = particles(WALK, limit=(-6, 4, -5, 7))
    np.testing.assert_allclose(positions(p), WALK, atol=12 / 30_000, rtol=0)


def test_a_point_outside_the_picture_is_not_moved_to_its_edge():
    walk = WALK.copy()
    walk[2, 7] = (0.5, 3.5)
    outside = np.isnan(positions(particles(walk, limit=3)))
    np.testing.assert_array_equal(outside.any(-1), (np.abs(walk) > 3).any(-1))
    assert outside[2, 7].all()


def test_without_a_limit_one_stray_point_does_not_shrink_the_others():
    walk = np.random.default_rng(0).normal(size=(2, 5000, 2))
    walk[0, 0] = 1e6
    assert 3 < particles(walk)._extent[1] < 6


def test_steps_of_a_sampler_and_an_array_with_times_are_the_same_walk():
    steps = [SimpleNamespace(t=t, x=x) for t, x in zip((90, 60, 30, 0), WALK, strict=True)]
    a, b = particles(iter(steps)), particles(WALK, times=[90, 60, 30, 0])
    assert a._points == b._points and a._times == b._times == ["90", "60", "30", "0"]


def test_following_a_point_says_where_it_is_in_two_decimals():
    walk = WALK.copy()
    walk[2, 7] = (-0.001, 1.239)
    p = particles(walk, times=[9, 6, 3, 0], alt="points")
    assert p.caption == "t = 9: 50 points"
    p.follow, p.frame = 7, 2
    assert (p.caption, p.alt) == ("t = 3: point 7 at (0.00, 1.24)", "points, t = 3: point 7 at (0.00, 1.24)")
    p.follow = None
    assert p.caption == "t = 3: 50 points"


def test_the_static_picture_shows_the_points_where_they_are_and_the_path_that_is_followed():
    walk = np.tile([[0.5, 0.5], [-0.9, -0.9]], (2, 1, 1)).astype(float)
    walk[0, 0] = (-0.5, 0.5)
    p = particles(walk, limit=1, follow=0)
    p.frame = 1
    shown = pixels(p.picture)
    assert shown[120, 240].tolist() == [0xD5, 0x5E, 0]  # half way along the path, a quarter from the top
    assert shown[120, 360].tolist() == [0xD5, 0x5E, 0]  # where the point is now
    assert shown[120, 363].tolist() == [0xD5, 0x5E, 0]  # its disc reaches beyond the end of the path
    p.frame = 0
    shown = pixels(p.picture)
    assert shown[120, 120].tolist() == [0xD5, 0x5E, 0]
    assert shown[120, 240].tolist() == [255, 255, 255]  # the path ends at the frame that is shown
    assert shown[456, 24, 2] > shown[456, 24, 0]  # the other, blue, at the lower left


def test_row_zero_of_a_background_lies_at_the_bottom_and_zero_is_white():
    p = particles(WALK, background=np.array([[4.0, 0.0], [2.0, 1.0]]))
    image = pixels(p._backdrops)[..., 0]
    assert image[0, 0] > image[1, 0] and image[1, 1] == 255
    assert image[1, 0] == 150


def test_each_frame_can_have_a_background_of_its_own():
    p = particles(WALK, background=[np.full((2, 2), level) for level in (1.0, 2, 3, 4)])
    assert len(p._ends) == 4
    for k, grey in enumerate((229, 202, 176, 150)):  # white at 0, 150 at the highest of all frames
        p.frame = k
        assert pixels(p.picture)[0, 0].tolist() == [grey] * 3


@pytest.mark.parametrize(
    ("walk", "options", "words"),
    [
        ([], {}, "no steps to show"),
        (WALK[..., :1], {}, r"shape \(frames, N, 2\), these have \(4, 50, 1\)"),
        (np.zeros((0, 5, 2)), {}, "shape"),
        (np.where(np.arange(4)[:, None, None] == 2, np.nan, WALK), {}, "frame 2 holds NaN"),
        (WALK, {"times": [1, 2]}, "2 times for 4 frames"),
        (WALK, {"limit": 0}, "limit = 0"),
        (WALK, {"limit": (1, -1, 0, 1)}, "limit = "),
        (WALK, {"limit": (0, 1, 2)}, "limit = "),
        (WALK, {"limit": float("inf")}, "limit = inf"),
        (WALK, {"limit": "3"}, "limit = '3'"),
        (WALK, {"color": "blue"}, "color = 'blue'; expected six digits"),
        (WALK, {"times": [3, 2, 1, float("nan")]}, "times = nan"),
        (WALK, {"alt": None}, "alt = None; expected a str"),
        (WALK + 0j, {}, "complex"),
        (WALK, {"follow": 50}, "follow = 50: it counts from 0 to 49"),
        (WALK, {"background": [np.ones((2, 2))] * 3}, "3 backgrounds for 4 frames"),
        (WALK, {"background": np.ones(5)}, "background is an"),
        (WALK, {"background": np.ones((0, 5))}, "background is an"),
        (WALK, {"background": -np.ones((5, 5))}, "from 0 "),
        (WALK, {"background": np.full((5, 5), np.nan)}, "finite"),
        (WALK, {"background": "grey"}, "background = 'grey'"),
        (WALK, {"background": b"no png"}, "no complete PNG"),
        (np.broadcast_to(np.float32(0), (1001, 10_000, 2)), {}, "keep fewer"),
    ],
)
def test_walks_that_cannot_be_shown_are_refused(walk, options, words):
    with pytest.raises(ValueError, match=words):
        particles(walk, **options)


@pytest.mark.parametrize("k", [-1, 4, 1.5, True, "0"])
def test_a_frame_that_is_not_there_is_refused(k):
    p = particles(WALK)
    with pytest.raises(ValueError, match="it counts from 0 to 3"):
        p.frame = k


# Watching


class Item(SimpleNamespace):
    def __init__(self, step, loss):
        super().__init__(step=step, loss=loss)


class Panel:
    shown: list

    def __init__(self, label):
        Panel.shown, Panel.label = [], label

    def show(self, html):
        Panel.shown.append(html)


@pytest.fixture(params=["notebook", "terminal"])
def place(request, monkeypatch):
    monkeypatch.setattr(WATCH, "in_notebook", lambda: request.param == "notebook")
    monkeypatch.setattr(WATCH, "Panel", Panel)
    return request.param


def test_watching_passes_every_item_through_unchanged(place):
    items = [Item(k, 1 / k) for k in range(1, 50)]
    assert all(a is b for a, b in zip(watch(items, 49), items, strict=True))


def test_a_run_that_is_left_early_can_be_taken_up_again(place):
    run = (Item(k, 1.0) for k in range(1, 10))
    for item in watch(run, 9):
        if item.step == 4:
            break
    assert [item.step for item in watch(run, 9)] == [5, 6, 7, 8, 9]
    if place == "notebook":
        assert 'value="9" max="9"' in Panel.shown[-1]


@pytest.mark.parametrize("place", ["notebook"], indirect=True)
def test_the_time_left_of_a_run_that_goes_on_counts_only_its_own_steps(place, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(WATCH.time, "perf_counter", lambda: clock.now)
    for _ in watch((Item(k, 1.0) for k in range(801, 811)), 1000):
        clock.now += 3.0
    assert 'value="810" max="1000"' in Panel.shown[-1] and "9 min 30 s left" in Panel.shown[-1]


@pytest.mark.parametrize("place", ["notebook"], indirect=True)
def test_a_run_that_goes_on_shows_its_whole_curve_and_one_that_is_done_all_of_it_at_once(place):
    def whole(html):
        drawn = [point.split(",")[0] for point in html.split('points="')[1].split('"')[0].split()]
        return drawn == ["25.00", "50.00", "75.00", "100.00"] and "step 4 of 4, loss 0.25" in html

    losses = [1.0, 0.5]
    for _ in watch((losses.append(0.25) or Item(k, 0.25) for k in (3, 4)), 4, past=losses):
        pass
    assert whole(Panel.shown[-1])
    assert [*watch([], 4, past=losses)] == []
    assert whole(Panel.shown[-1])


@pytest.mark.parametrize("place", ["terminal"], indirect=True)
def test_in_a_terminal_ctrl_c_stays_what_it_is(place):
    def run():
        yield Item(1, 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        list(watch(run(), 9))
    assert caught.type is KeyboardInterrupt


@pytest.mark.parametrize("place", ["notebook"], indirect=True)
def test_drawing_takes_at_most_a_hundredth_of_the_run(place, monkeypatch):
    clock = SimpleNamespace(now=0.0, drawing=0.0)

    def draw(panel, html):
        clock.now += 0.1
        clock.drawing += 0.1

    monkeypatch.setattr(WATCH.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(Panel, "show", draw)
    for _ in watch((Item(k, 1.0) for k in range(100_000)), 100_000):
        clock.now += 0.001
    assert 0.5 < clock.drawing < 0.013 * clock.now


@pytest.mark.parametrize("resumed", [0, 20])
def test_with_a_batch_size_the_images_per_second_stand_beside_the_loss(place, resumed, monkeypatch):
    clock, terminal = SimpleNamespace(now=0.0), io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(WATCH.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(sys, "stderr", terminal)

    def run():
        for k in range(resumed + 1, 41):
            clock.now += 0.5
            yield Item(k, 0.25)

    def shown(**options):
        list(watch(run(), 40, **options))
        return Panel.shown[-1] if place == "notebook" else terminal.getvalue()

    assert "loss 0.25" in shown() and "images/s" not in shown()
    assert "loss 0.25, 2,000 images/s" in shown(batch=1000)


@pytest.mark.parametrize("place", ["terminal"], indirect=True)
def test_a_resumed_run_counts_only_its_own_steps_in_the_time_left(place, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    counts, close = [], tqdm.close
    monkeypatch.setattr(tqdm, "close", lambda line: (counts.append((line.initial, line.n)), close(line)))
    list(watch((Item(k, 0.25) for k in range(1001, 1011)), 1010))
    assert counts[0] == (1000, 1010)


@pytest.mark.parametrize("place", ["notebook"], indirect=True)
def test_the_output_has_a_stable_label(place):
    list(watch([Item(1, 0.123)], 2000, label="eps loss"))
    assert Panel.label == "eps loss over 2,000 steps"


@pytest.mark.parametrize("count", [1, 255, 256, 257, 5000])
def test_the_curve_keeps_few_means_and_loses_no_loss(count):
    losses = np.random.default_rng(0).random(count)
    curve = WATCH.Curve(count)
    for k, loss in enumerate(losses, 1):
        curve.add(Item(k, loss))
    assert len(curve.bins) <= WATCH.BINS and curve.bins[-1][0] == count
    assert sum(bin[2] for bin in curve.bins) == count
    np.testing.assert_allclose(sum(bin[1] for bin in curve.bins), losses.sum())
    first = curve.bins[0]
    np.testing.assert_allclose(first[1], losses[: first[2]].sum())


def curve_of(losses, **options):
    curve = WATCH.Curve(len(losses), **options)
    for k, loss in enumerate(losses, 1):
        curve.add(Item(k, loss))
    return curve


def heights(curve) -> list[float]:
    """Where the curve's points are, in percent of the plot from above."""
    return [float(point.split(",")[1]) for point in curve.html().split('points="')[1].split('"')[0].split()]


def test_a_point_of_the_curve_is_the_mean_of_its_stretch(monkeypatch):
    monkeypatch.setattr(WATCH, "BINS", 4)
    assert curve_of([1, 3, 5, 9]).points() == [(1, 1), (2, 3), (3, 5), (4, 9)]
    assert curve_of([1, 3, 5, 9, 2, 6, 7]).points() == [(2, 2), (4, 7), (6, 4), (7, 7)]
    assert curve_of([1, 3, 5, 9, 2, 6, 7, 1, 10]).points() == [(4, 4.5), (8, 4), (9, 10)]


def test_a_loss_that_falls_far_has_a_log_axis_where_equal_ratios_are_equal_distances():
    curve = curve_of([100.0, 10.0, 1.0])
    high, middle, low = heights(curve)
    assert "loss on a log scale" in curve.html()
    assert high == 0 and low < 100 and middle == pytest.approx(low / 2, abs=0.01)


def test_a_loss_that_falls_a_little_has_a_linear_axis():
    curve = curve_of([4.0, 3.0, 2.0])
    high, middle, low = heights(curve)
    assert "log scale" not in curve.html()
    assert 0 < high < low < 100 and middle == pytest.approx((high + low) / 2, abs=0.01)


@pytest.mark.parametrize("losses", [[4.0, 3.0], [400.0, 3.0]])
def test_the_axis_reaches_down_to_a_floor_below_every_loss(losses):
    html = curve_of(losses, floor=1.0).html()
    floor = float(html.split("M0 ")[1].split("H100")[0])
    assert heights(curve_of(losses, floor=1.0))[-1] < floor < 100
    assert (
        "best possible" not in html
        and "best possible 1<" in curve_of(losses, floor=1.0, floor_label="best possible").html()
    )


@pytest.mark.parametrize("losses", [[0.3], [0.3, 0.3], [5.0, 0.01], [-1.0, -2.0], [float("nan"), 1.0], [float("nan")]])
@pytest.mark.parametrize("floor", [None, 0.2])
def test_any_losses_can_be_drawn(losses, floor):
    curve = WATCH.Curve(10, floor=floor)
    for k, loss in enumerate(losses, 1):
        curve.add(Item(k, loss))
    html = curve.html()
    assert f"{len(losses)} of 10" in html and "nan" not in html


def test_the_floor_is_drawn_at_the_height_of_its_loss():
    curve = WATCH.Curve(2, floor=0.5)
    curve.add(Item(1, 1.0))
    curve.add(Item(2, 0.5))
    html = curve.html()
    height = html.split('points="')[1].split('"')[0].split(",")[-1]
    assert f"M0 {height}H100" in html and "0.5" in html


@pytest.mark.parametrize(
    "options", [{"total": 0}, {"total": 1.5}, {"every": float("nan")}, {"floor": float("nan")}, {"batch": 0}]
)
def test_a_run_that_cannot_be_watched_is_refused_before_its_first_step(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"{name} = {value!r}; expected"):
        watch([], **{"total": 9, **options})


# Progress


def test_a_bar_says_how_long_it_will_take():
    assert "drawing 25 of 100, 30 s left" in bar(25, 100, 10.0, "drawing")  # 10 s for a quarter
    assert "drawing 99 of 100, 1 min 40 s left" in bar(99, 100, 9900.0, "drawing")
    assert "left" not in bar(100, 100, 10.0, "drawing")


def test_a_duration_is_rounded_to_seconds():
    assert [duration(seconds) for seconds in (0.4, 59.4, 59.6, 61, 3600)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "1 min 01 s",
        "60 min 00 s",
    ]


# In a notebook

CELLS = [
    "import numpy as np\nfrom types import SimpleNamespace as Item\n"
    "from mpl_diffusion.teaching.widgets import explore, particles, watch",
    'e = explore(lambda t: np.full((9, 9), t / 100), alt="a grey", t=range(0, 101, 10))\ne',
    "e.t = 90\nprint(e.caption)",
    'particles(np.random.default_rng().normal(size=(5, 20, 2)), alt="points")',
    "total = sum(p.step for p in watch((Item(step=k, loss=1 / k) for k in range(1, 60)), 59))\nprint(total)",
]


def test_every_widget_passes_strict_nbval_with_and_without_its_stored_view(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, kernel_name="python3", store_widget_state=False).execute()
    nbformat.write(notebook, tmp_path / "with.ipynb")
    outputs = [output.data for cell in notebook.cells for output in cell.outputs if "data" in output]
    assert [data["text/plain"] for data in outputs] == [
        "",  # where the progress bar was
        "explore: a grey | t = 0 ... 100 (11)",
        "particles: points | 20 points, t = 0 ... 4 (5)",
        "loss over 59 steps",
    ]
    assert list(outputs[0]) == ["text/plain"], "the bar's view is still there"
    for data in outputs:
        data.pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, tmp_path / "without.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    ran = subprocess.run([*command, f"--rootdir={tmp_path}", tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0 and "10 passed" in ran.stdout, ran.stdout[-3000:]


RUN = """import time
from types import SimpleNamespace as Item
from mpl_diffusion.teaching.widgets import watch
losses = []
def run(seconds):
    while len(losses) < 6:
        time.sleep(seconds)
        losses.append(0.5)
        yield Item(step=len(losses), loss=0.5)
for _ in watch(run(0.01), 3):
    if len(losses) == 3:
        break"""


def test_the_stop_button_ends_the_cell_with_one_line_and_the_cell_goes_on_when_run_again():
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    said, begun = [], []

    def hear(message):
        kind, content = message["msg_type"], message["content"]
        said.append({"error": "traceback", "stream": content.get("text")}.get(kind))
        if kind == "display_data" and begun:
            kernel.interrupt_kernel()

    def cell(code):
        said.clear()
        reply = client.execute_interactive(code, timeout=60, output_hook=hear)
        return reply["content"]["status"], [words for words in said if words]

    try:
        assert cell(RUN) == ("ok", [])
        begun.append(True)
        slow = "for _ in watch(run({}), 6, past=losses): pass\nprint('done')"
        stopped = "Stopped after step 3 of 6. Run this cell again, and it goes on from there.\n"
        assert cell(slow.format(60)) == ("error", [stopped])  # so the cells that wait behind it do not run
        begun.clear()
        assert cell(slow.format(0.01)) == ("ok", ["done\n"])
        assert cell(slow.format(0.01)) == ("ok", ["done\n"]), "a run that is complete"
        begun.append(True)
        fresh = "for _ in watch((time.sleep(60) for k in range(2)), 2): pass"
        assert cell(fresh) == ("error", ["Stopped after step 0 of 2.\n"])
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def test_importing_the_package_imports_no_widget():
    code = "import sys, mpl_diffusion; sys.exit('anywidget' in sys.modules or 'ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
