"""Figures: pictures of the expected size, with their alt text, and values where they belong."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mpl_diffusion import plots

t = np.arange(11)
x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
U = {"stem": (8, 4, 4), "down 4x4": (8, 4, 4), "middle 2x2": (8, 2, 2), "up 4x4": (8, 4, 4)}
PICTURES = {
    "lines": lambda: plots.lines(
        t, {"signal": t / 10, "noise": 1 - t / 10}, ylabel="std", alt="two lines", marks={"half": (5, 0.5)}
    ),
    "lines, log": lambda: plots.lines(t + 1, {"power": 1.0 / (t + 1)}, logx=True, logy=True, ylim=(0.01, 2), alt="a"),
    "points": lambda: plots.points({"data": x, "samples": -x}, color=plots.LEARNED, alt="two clouds"),
    "images": lambda: plots.images(
        [torch.zeros(4, 1, 8, 8), torch.ones(3, 8, 8)], ["zeros", "ones"], columns=list("abcd"), alt="b"
    ),
    "colour images": lambda: plots.images([torch.zeros(4, 3, 8, 8)], alt="c"),
    "density": lambda: plots.density_paths(t, np.linspace(-2, 2, 20), np.ones((11, 20)), [t / 10], alt="heat map"),
    "arrows": lambda: plots.arrows(x, 0.5 * x, behind=x, name="t = 5", alt="arrows"),
    "bars": lambda: plots.bars(
        {"ours": 1.0, "theirs": 2.0}, {"theirs": plots.NOISE}, xlabel="us", floor=0.5, alt="bars"
    ),
    "heat": lambda: plots.heat(np.eye(5), xlabel="column", ylabel="row", name="identity", alt="a diagonal"),
    "unet": lambda: plots.unet(U, ["middle 2x2"], (3, 8, 8), alt="a U"),
    "pipeline": lambda: plots.pipeline({"x": torch.zeros(1, 4, 4), "z": torch.zeros(2, 2)}, ["encoder"], alt="a way"),
    "panels": lambda: plots.panels(2, 6.0, 2.0, alt="empty")[0],
}


def pixels(picture, dpi=90):
    return np.asarray(Image.open(io.BytesIO(picture.png(dpi))).convert("RGB"))


def rgb(color):
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])


def count(image, color, tolerance=12):
    return int((np.abs(image.astype(int) - rgb(color)).max(-1) <= tolerance).sum())


@pytest.mark.parametrize("name", PICTURES)
def test_each_figure_is_a_png_of_its_size_with_its_alt_text_beside_it(name):
    picture = PICTURES[name]()
    data, metadata = picture._repr_mimebundle_()
    image = Image.open(io.BytesIO(data["image/png"]))
    image.load()
    width, height = picture.figure.get_size_inches() * 90
    assert image.format == "PNG" and image.size == (int(width), int(height))
    assert data["text/plain"] == picture.alt == repr(picture) == metadata["image/png"]["alt"] and picture.alt
    assert set(data) == {"image/png", "text/plain"}


@pytest.mark.parametrize("name", [n for n in PICTURES if n != "panels"])
def test_each_figure_is_drawn_the_same_every_time(name):
    assert PICTURES[name]().png() == PICTURES[name]().png()


def test_a_figure_without_alt_text_names_what_it_holds():
    assert "signal" in repr(plots.lines(t, {"signal": t})) and "roll" in repr(plots.points({"roll": x}))
    assert "digits" in repr(plots.images([torch.zeros(2, 8, 8)], ["digits"])) and "ours" in repr(
        plots.bars({"ours": 1})
    )


def test_save_writes_the_same_picture_larger(tmp_path):
    picture = PICTURES["bars"]()
    picture.save(tmp_path / "bars.png")
    width, height = picture.figure.get_size_inches()
    assert Image.open(tmp_path / "bars.png").size == (int(180 * width), int(180 * height))


def test_drawing_on_given_axes_returns_no_second_picture():
    picture, (a, b) = plots.panels(2, alt="a pair")
    assert plots.lines(t, {"y": t}, ax=a) is None and plots.points({"x": x}, axes=[b]) is None
    assert plots.arrows(x, x, ax=b) is None and plots.images([torch.zeros(1, 8, 8)], ax=a) is None
    assert plots.density_paths(t, t, np.ones((11, 11)), ax=a) is None
    assert picture.png()[:4] == b"\x89PNG"


def test_images_stand_in_their_rows_and_columns_with_a_white_gap_and_the_right_shade():
    """Two rows of one-colour images: what `imshow` is given, and what the PNG shows."""
    levels = torch.tensor([[-1.0, 0.0, 1.0], [0.5, -0.5, -3.0]])  # -3 is clipped to black
    rows = [row[:, None, None, None].expand(3, 1, 4, 4) for row in levels]
    picture = plots.images(rows)
    sheet = np.asarray(picture.figure.axes[0].images[0].get_array())
    assert sheet.shape == (10, 16)
    for i in range(2):
        for j in range(3):
            block = sheet[6 * i : 6 * i + 4, 6 * j : 6 * j + 4]
            np.testing.assert_allclose(block, max(0.0, (float(levels[i, j]) + 1) / 2), atol=1e-6)
    assert (sheet[4:6] == 1).all() and (sheet[:, [4, 5, 10, 11]] == 1).all()
    image = pixels(picture)
    box = picture.figure.axes[0].get_window_extent()
    H = image.shape[0]
    scale = image.shape[1] / picture.figure.bbox.width
    for i in range(2):
        for j in range(3):
            across, down = box.x0 + box.width * (6 * j + 2) / 16, (box.y1 - box.height * (6 * i + 2) / 10)
            shade = image[H - int(down * scale), int(across * scale)]
            assert np.abs(shade.astype(int) - round(255 * max(0.0, (float(levels[i, j]) + 1) / 2))).max() <= 2


def test_colour_images_keep_their_channels_rows_and_columns():
    red_above = torch.full((1, 3, 4, 6), -1.0)
    red_above[:, 0, :2] = 1
    picture = plots.images([red_above])
    sheet = np.asarray(picture.figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(sheet, (red_above[0].permute(1, 2, 0).numpy() + 1) / 2)
    assert count(pixels(picture), "#ff0000") > 1000


def test_images_can_be_given_on_another_scale():
    sheet = np.asarray(plots.images([torch.full((1, 2, 2), 0.25)], scale=(0, 1)).figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(sheet, 0.25)


def test_points_lie_where_their_coordinates_say():
    cloud = torch.tensor([[1.0, 2.0]]).repeat(50, 1)
    picture = plots.points({"one": cloud}, size=200, limit=2.6, color=plots.DATA)
    image = pixels(picture)
    rows, columns = np.nonzero(np.abs(image.astype(int) - rgb(plots.DATA)).max(-1) < 60)
    ax = picture.figure.axes[0]
    px, py = ax.transData.transform((1.0, 2.0)) * image.shape[1] / picture.figure.bbox.width
    assert abs(columns.mean() - px) < 2 and abs((image.shape[0] - rows.mean()) - py) < 2


def test_a_table_is_shaded_over_its_numbers_or_over_a_given_scale():
    def darkest(**scale):
        return pixels(plots.heat(np.array([[0.0, 1.0], [0.0, 0.0]]), alt="one", **scale))[80:250, 120:700].min()

    assert darkest() < 10 < 100 < darkest(scale=(0, 3))


def test_a_bar_says_what_black_and_white_mean_and_can_be_left_out():
    def bar(picture):
        (ax,) = picture.figure.axes[1:]
        low, high = ax.get_ylim()
        shown = ((y, tick.get_text()) for y, tick in zip(ax.get_yticks(), ax.get_yticklabels()))
        return ax.get_ylabel(), [text for y, text in shown if low <= y <= high]

    table = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert bar(plots.heat(table, scale=(0, 1), bar="share"))[0] == "share"
    assert len(plots.heat(table, bar=None).figure.axes) == 1

    grey = plots.images([torch.zeros(1, 4, 4)], scale=(-2.5, 2.5), bar="value / std")
    assert bar(grey) == ("value / std", ["\u22122.5", "0", "2.5"])
    assert len(plots.images([torch.zeros(1, 4, 4)]).figure.axes) == 1


def test_the_drawing_of_a_unet_has_its_shapes_and_a_skip_for_each_size():
    for downs in (1, 2, 3):
        sizes = [4 * 2**k for k in range(downs)][::-1]
        shapes = {f"down {n}x{n}": (8, n, n) for n in sizes} | {"middle 2x2": (9, 2, 2)}
        shapes |= {f"up {n}x{n}": (8, n, n) for n in sizes[::-1]}
        drawn = [text.get_text() for text in plots.unet(shapes, ["middle 2x2"], (1, 28, 28)).figure.axes[0].texts]
        assert drawn.count("skip") == downs and "2×2×9\nResBlock, attention" in drawn
        assert all(drawn.count(f"{n}×{n}×8\nResBlock") == 2 for n in sizes)


def test_a_pipeline_has_its_stations_in_order_an_arrow_between_any_two_and_what_comes_in_from_above():
    red, grey = torch.tensor([1.0, -1, -1])[:, None, None].expand(3, 4, 4), torch.zeros(2, 2)
    picture = plots.pipeline({"x": red, "z": grey, "y": red}, ["encoder", "U-Net"], {1: "words"})
    (ax,) = picture.figure.axes
    assert [image.get_array().shape for image in ax.images] == [(4, 4, 3), (2, 2), (4, 4, 3)]
    assert ax.images[0].get_array()[0, 0].tolist() == [1, 0, 0] and (ax.images[1].get_array() == 0.5).all()
    at = {text.get_text(): text.get_position()[0] for text in ax.texts if text.get_text()}
    assert sorted(at, key=at.get) in (
        ["x", "encoder", "z", "U-Net", "words", "y"],
        ["x", "encoder", "z", "words", "U-Net", "y"],
    )
    assert at["words"] == at["U-Net"] and len([text for text in ax.texts if not text.get_text()]) == 3
    assert picture.alt == "x -> z -> y"
    with pytest.raises(ValueError, match="3 stations have 2 arrows between them, not 1"):
        plots.pipeline({"x": red, "z": grey, "y": red}, ["encoder"])


def test_classes_behind_arrows_differ_in_colour_and_marker_and_are_named():
    classes = {"class 1": x, "class 2": x + 1}
    (ax,) = plots.arrows(x, 0.5 * x, classes).figure.axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(classes)
    one, two = ax.collections[:2]
    assert not np.array_equal(one.get_facecolor(), two.get_facecolor())
    assert len(one.get_paths()[0].vertices) != len(two.get_paths()[0].vertices)


def test_bars_stand_side_by_side():
    axes = plots.panels(2, alt="two")[1]
    assert plots.bars({"a": 1.0, "b": 2.0}, ax=axes[1]) is None
    assert [len(ax.patches) for ax in axes] == [0, 2]


@pytest.mark.parametrize("color", [plots.DATA, plots.NOISE, plots.LEARNED])
def test_a_curve_has_the_colour_it_was_given(color):
    here, there = pixels(plots.lines(t, {"y": t}, {"y": color})), pixels(plots.lines(t, {"y": t}, {"y": "#000000"}))
    assert count(here, color) > 500 > 20 > count(there, color)


def test_a_curve_has_a_band_of_one_std_to_either_side():
    _, (ax,) = plots.panels(1, alt="a band")
    plots.lines([0, 1, 2], {"y": [1.0, 2.0, 3.0], "bare": [0.0, 0.0, 0.0]}, std={"y": [0.5, 0.1, 0.2]}, ax=ax)
    (band,) = ax.collections
    corners = {(round(x, 3), round(y, 3)) for x, y in band.get_paths()[0].vertices}
    assert {(0, 0.5), (0, 1.5), (1, 1.9), (1, 2.1), (2, 2.8), (2, 3.2)} <= corners


def test_names_at_the_ends_of_lines_do_not_overlap():
    names = ["one", "two", "three", "four"]
    picture = plots.lines(t, {name: t * 0 + 0.001 * k for k, name in enumerate(names)})
    picture.png()
    boxes = [text.get_window_extent() for text in picture.figure.axes[0].texts]
    assert [text.get_text() for text in picture.figure.axes[0].texts] == names
    for below, above in zip(boxes, boxes[1:], strict=False):
        assert above.y0 >= below.y1 - 4


def test_a_line_with_gaps_and_nothing_but_gaps_can_be_drawn():
    gaps = np.where(t < 5, t, np.nan)
    assert plots.lines(t, {"gaps": gaps, "none": t * np.nan}).png()[:4] == b"\x89PNG"


def test_type_is_at_least_13_points():
    picture = PICTURES["lines"]()
    picture.png()
    ax = picture.figure.axes[0]
    texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label, *ax.texts]
    assert min(text.get_fontsize() for text in texts if text.get_text()) >= 13


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.points({"x": torch.zeros(5, 3)}), r"points have shape \(5, 3\); expected \(n, 2\)"),
        (lambda: plots.points({"x": torch.zeros(5)}), r"points have shape \(5,\); expected \(n, 2\)"),
        (lambda: plots.arrows(torch.zeros(5, 2), torch.zeros(2, 5)), r"points have shape \(2, 5\)"),
        (lambda: plots.images([torch.zeros(8, 8)]), r"images have shape \(8, 8\); expected \(n, H, W\)"),
        (
            lambda: plots.images([torch.zeros(2, 2, 8, 8)]),
            r"images have shape \(2, 2, 8, 8\); expected .*\(n, 3, H, W\)",
        ),
    ],
)
def test_points_and_images_of_a_wrong_shape_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_here_imports_pyplot():
    """pyplot would choose a backend, and costs half a second."""
    code = (
        "import sys, torch\n"
        "from mpl_diffusion import plots\n"
        "plots.lines([0, 1], {'y': [0, 1]}).png()\n"
        "plots.points({'x': torch.zeros(5, 2)}).png()\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'IPython' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_names_stand_over_and_beside_the_middle_of_their_pictures():
    ax = plots.images(
        [torch.zeros(3, 4, 4)] * 2, ["a", "b"], columns=["u", "v", "w"], alt="six dark squares"
    ).figure.axes[0]
    assert list(ax.get_xticks()) == [1.5, 7.5, 13.5] and list(ax.get_yticks()) == [1.5, 7.5]  # pixel k is at k


def test_a_short_log_axis_reads_1_2_5_in_plain_numbers():
    y = {"y": [0.3, 0.02]}
    ax = plots.lines([4, 100], y, logx=True, logy=True, alt="a line").figure.axes[0]
    assert {"5", "10", "20", "50", "100"} <= {text.get_text() for text in ax.get_xticklabels()}
    assert {"0.05", "0.1", "0.2"} <= {text.get_text() for text in ax.get_yticklabels()}
    long = plots.lines([1, 1e5], y, logx=True, alt="a line").figure.axes[0]
    assert "5" not in {text.get_text() for text in long.get_xticklabels()}
    ax = plots.bars({"a": 1.5, "b": 300.0}, logx=True, alt="bars").figure.axes[0]
    assert {"20", "50", "100"} <= {text.get_text() for text in ax.get_xticklabels()}
