"""The widgets in a real JupyterLab: they move, answer to hands and keys, fit, and live without a kernel."""

import contextlib
import re

import nbformat
import numpy as np
import pytest
from labserver import PROJECTOR, Lab, moves

SETUP = """
import numpy as np
from matplotlib.figure import Figure
from types import SimpleNamespace as Item
from mpl_diffusion.teaching.widgets import explore, particles, player, watch
rng = np.random.default_rng(0)
"""
EXPLORE = """
def bars(t, kind):
    picture = np.full((400, 900), 255, np.uint8)
    picture[:, :30 + 8 * t] = 90 if kind == "linear" else 160
    return picture
e = explore(bars, alt="a bar", t=range(0, 101, 5), kind=["linear", "cosine"])
e
"""
PLAYER = """
p = player([Item(t=t, x=rng.random((28, 28))) for t in range(100, -1, -10)], lambda step: step.x, alt="a walk")
p
"""
PARTICLES = """
turn = np.linspace(0, 2, 21)[:, None]
ring = 2 * np.pi * np.arange(12) / 12
walk = np.stack([2 * np.cos(ring + turn), 2 * np.sin(ring + turn)], -1)
grey = [np.full((2, 2), 1.0 + k) for k in range(21)]
c = particles(walk, times=range(1000, -1, -50), limit=3, background=grey, alt="points on a ring")
c
"""
TWINS = """
def figure(w):
    picture = Figure(figsize=(9.6, 3.6))
    picture.subplots().set(xlabel="t  (step)", ylim=(0, w + 1))
    return picture
g = explore(figure, alt="a figure", w=range(0, 7), start={"w": 3}, twins={"w": ("their w", lambda w: w - 1)})
g
"""
WATCH = "n = sum(1 for _ in watch((Item(step=k, loss=0.3 + 3 / k) for k in range(1, 2001)), 2000, floor=0.3))"


def write(folder, name, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / name)


def wait_for_frame(widget, value: str) -> None:
    """Wait until the canvas shows this place."""
    canvas = widget.locator("canvas").element_handle()
    there = "([canvas, value]) => canvas.dataset.shown === value"
    widget.page.wait_for_function(there, arg=[canvas, value], timeout=5000)


def wait_for_value(widget_lab, value: str, expected: str) -> None:
    """Wait until Python knows: while one move is on its way to the kernel, the next one waits in the browser."""
    for _ in range(50):
        if (found := widget_lab.execute(f"print({value})")) == expected:
            return
        widget_lab.page.wait_for_timeout(100)
    raise AssertionError(f"{value} is {found}, not {expected}")


@pytest.fixture(scope="module")
def widget_lab(folder, lab):
    write(folder, "widgets.ipynb", SETUP, EXPLORE, PLAYER, PARTICLES, TWINS, WATCH)
    lab.open("widgets.ipynb")
    cells = lab.run_all()
    assert [[*cell.errors, cell.stderr] for cell in cells] == [[""]] * 6
    lab.page.locator(".mpld-widget").nth(3).wait_for()
    return lab


@pytest.fixture
def widgets(widget_lab):
    """The explorer, the player and the particles, each at its beginning."""
    widgets = widget_lab.widgets()
    for widget in widgets:
        widget.locator("input[type=range]").first.press("Home")
    yield widgets
    assert widget_lab.complaints == []


def test_an_error_in_a_cell_and_in_the_page_is_seen(folder, lab):
    write(folder, "wrong.ipynb", "from IPython.display import HTML", "1 / 0")
    lab.open("wrong.ipynb")
    assert [cell.errors for cell in lab.run_all()] == [[], ["ZeroDivisionError: division by zero"]]
    lab.page.evaluate("() => { setTimeout(() => { throw Error('on purpose') }); console.error('this too') }")
    lab.page.wait_for_timeout(100)
    assert len(lab.complaints) == 2
    lab.complaints.clear()


def test_every_widget_moves(widgets):
    assert [moves(widget) for widget in widgets] == [True] * 4


def test_twins_move_together_whichever_is_touched(widget_lab, widgets):
    ours, theirs = widgets[3].locator("input[type=range]").all()
    assert [slider.get_attribute("aria-valuetext") for slider in (ours, theirs)] == ["w = 0", "their w = -1"]
    theirs.press("End")
    wait_for_frame(widgets[3], "6")
    assert [slider.get_attribute("aria-valuetext") for slider in (ours, theirs)] == ["w = 6", "their w = 5"]
    ours.press("ArrowLeft")
    wait_for_frame(widgets[3], "5")
    assert [slider.input_value() for slider in (ours, theirs)] == ["5", "5"]
    wait_for_value(widget_lab, "g.w", "5")


def test_keys_move_the_slider_and_never_the_notebook(widget_lab, widgets):
    slider = widgets[0].locator("input[type=range]")
    cells = widget_lab.page.locator(".jp-Cell").count()
    for key, place in [("ArrowRight", 2), ("End", 40), ("ArrowLeft", 38), ("PageDown", 34), ("Home", 0)]:
        slider.press(key)
        wait_for_frame(widgets[0], str(place))
    active = widget_lab.page.evaluate("() => jupyterapp.shell.currentWidget.content.activeCellIndex")
    for key in ["d", "d", "x", "a", "ArrowDown", "ArrowUp"]:
        slider.press(key)
    assert widget_lab.page.locator(".jp-Cell").count() == cells
    assert widget_lab.page.evaluate("() => jupyterapp.shell.currentWidget.content.activeCellIndex") == active


def test_buttons_are_a_radio_group_that_keys_reach(widget_lab, widgets):
    group = widgets[0].get_by_role("radiogroup", name="kind")
    group.get_by_role("radio", name="linear").press("ArrowRight")
    wait_for_frame(widgets[0], "1")
    wait_for_value(widget_lab, "e.kind", "cosine")
    group.get_by_role("radio", name="linear").click()
    wait_for_frame(widgets[0], "0")


def test_python_moves_the_picture_and_follows_the_reader(widget_lab, widgets):
    widget_lab.execute("e.t = 50; c.frame = 7; c.follow = 3; p.step = 10")
    wait_for_frame(widgets[0], "20")
    wait_for_frame(widgets[1], "10")
    wait_for_frame(widgets[2], "7.00")
    assert widgets[2].locator(".mpld-caption").text_content().startswith("t = 650: point 3 at (")
    widgets[0].locator("input[type=range]").press("End")
    wait_for_frame(widgets[0], "40")
    wait_for_value(widget_lab, "e.t", "100")
    widget_lab.execute("c.follow = None")


def test_a_path_ends_at_the_frame_that_is_shown_and_lies_over_its_own_background(widget_lab, widgets):
    canvas = widgets[2].locator("canvas")

    def pixel(x: float, y: float) -> list[int]:
        place = [round((x + 3) / 6 * 720), round((3 - y) / 6 * 720)]
        read = "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)"
        return canvas.evaluate(read, place)

    def on_path(frame: float) -> list[int]:
        angles = np.pi / 2 + (frame + np.array([-0.5, 0.5])) / 10  # a straight line between two frames
        return pixel(2 * np.cos(angles).mean(), 2 * np.sin(angles).mean())

    for frame in (0, 7, 20):
        widget_lab.execute(f"c.frame = {frame}; c.follow = 3")
        wait_for_frame(widgets[2], f"{frame}.00")
        assert pixel(2.9, 2.9) == [255 - round(105 * (frame + 1) / 21)] * 3
    widget_lab.execute("c.frame = 7")
    wait_for_frame(widgets[2], "7.00")
    assert on_path(5.5) == [0xD5, 0x5E, 0], "between frames 5 and 6 the point has passed"
    assert on_path(8.5) != [0xD5, 0x5E, 0], "it has not yet come to frame 8"
    widget_lab.execute("c.follow = None")


def test_the_words_of_the_picture_follow_the_slider(widgets):
    slider, canvas = widgets[0].locator("input[type=range]"), widgets[0].get_by_role("img")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "t = 5"
    assert canvas.get_attribute("aria-label") == "a bar: t = 5, kind = linear"


def test_one_widget_plays_at_a_time_and_space_stops_it(widgets):
    first, second = (widget.locator(".mpld-play") for widget in widgets[1:3])
    first.click()
    assert first.text_content() == "pause"
    second.click()
    assert (first.text_content(), second.text_content()) == ("play", "pause")
    before = widgets[2].locator("canvas").get_attribute("data-shown")
    widgets[2].page.wait_for_function(
        "([w, b]) => w.dataset.shown !== b", arg=[widgets[2].locator("canvas").element_handle(), before]
    )
    widgets[2].locator("input[type=range]").press(" ")
    assert second.text_content() == "play"


def test_a_finger_across_the_picture_turns_the_slider(widget_lab, widgets):
    canvas = widgets[0].locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    y = box["y"] + box["height"] / 2
    widget_lab.page.mouse.move(box["x"] + 100, y)
    widget_lab.page.mouse.down()
    widget_lab.page.mouse.move(box["x"] + 100 + box["width"] / 2, y, steps=5)
    widget_lab.page.mouse.up()
    wait_for_frame(widgets[0], "20")


def test_a_tap_picks_the_nearest_point_and_escape_lets_it_go(widget_lab, widgets):
    canvas = widgets[2].locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.52, "y": box["height"] * 0.1})  # the ring's top: point 3 of 12
    wait_for_value(widget_lab, "c.follow", "3")
    assert widgets[2].locator(".mpld-caption").text_content() == "t = 1000: point 3 at (0.00, 2.00)"
    widgets[2].locator("input[type=range]").press("Escape")
    wait_for_value(widget_lab, "c.follow", "None")


def test_focus_can_be_seen(widgets):
    slider = widgets[0].locator("input[type=range]")
    slider.press("ArrowRight")
    style = slider.evaluate("node => { const s = getComputedStyle(node); return [s.outlineStyle, s.outlineWidth] }")
    assert style == ["solid", "3px"]


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_words_stand_out_in_both_themes(widget_lab, widgets, theme):
    widget_lab.theme(theme)
    widget_lab.page.wait_for_timeout(500)
    luminance = []
    for node, style in ((widgets[0], "color"), (widget_lab.page.locator(".jp-Notebook").first, "backgroundColor")):
        color = node.evaluate(f"node => getComputedStyle(node).{style}")
        linear = [(int(part) / 255) ** 2.2 for part in re.findall(r"\d+", color)[:3]]
        luminance.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    widget_lab.theme("JupyterLab Light")
    assert max(luminance) / min(luminance) > 7


SIZES = """widget => {
    const size = node => [node.getBoundingClientRect().width, node.getBoundingClientRect().height];
    const stage = widget.querySelector('.mpld-stage');
    return {
        widget: size(widget), canvas: size(widget.querySelector('canvas')),
        sliders: [...widget.querySelectorAll('input[type=range]')].map(slider => size(slider)[0]),
        screen: size(document.querySelector('.jp-WindowedPanel-outer')),
        type: parseFloat(getComputedStyle(widget).fontSize),
        inside: widget.scrollWidth <= widget.clientWidth, scrolls: stage.scrollWidth > stage.clientWidth,
        touch: getComputedStyle(widget.querySelector('canvas')).touchAction,
    } }"""
PAGES = {"projector": (1280, 720), "large projector": (1920, 1080), "narrow": (400, 800)}


@contextlib.contextmanager
def page_size(lab, name: str):
    """JupyterLab on a screen of this size; on the narrow one without its list of files."""
    width, height = PAGES[name]
    lab.page.set_viewport_size({"width": width, "height": height})
    lab.page.evaluate(f"() => jupyterapp.shell.{'collapseLeft' if name == 'narrow' else 'expandLeft'}()")
    lab.page.wait_for_timeout(500)
    try:
        yield
    finally:
        lab.page.set_viewport_size(PROJECTOR)
        lab.page.evaluate("() => jupyterapp.shell.expandLeft()")
        lab.page.wait_for_timeout(500)


@pytest.mark.parametrize("page", ["projector", "large projector"])
def test_a_widget_fills_a_projector_and_needs_no_scrolling(widget_lab, widgets, page):
    with page_size(widget_lab, page):
        found = [widget.evaluate(SIZES) for widget in widgets]
    for k, sizes in enumerate(found):
        assert sizes["widget"][1] <= sizes["screen"][1], f"widget {k} is higher than the screen: {sizes}"
        assert sizes["inside"] and not sizes["scrolls"], f"widget {k} is too wide: {sizes}"
        full = sizes["canvas"][0] > 0.97 * sizes["widget"][0] or sizes["canvas"][1] > 0.7 * sizes["screen"][1]
        assert full, f"the picture of widget {k} leaves room: {sizes}"
        assert min(sizes["sliders"]) >= 240, f"a slider of widget {k} is short: {sizes}"
        assert sizes["type"] >= {"projector": 18, "large projector": 23}[page]


def test_on_a_narrow_page_sliders_are_as_wide_as_the_page_and_the_type_of_a_figure_is_legible(widget_lab, widgets):
    with page_size(widget_lab, "narrow"):
        found = [widget.evaluate(SIZES) for widget in widgets]
    for k, sizes in enumerate(found):
        assert sizes["inside"], f"widget {k} is too wide: {sizes}"
        assert min(sizes["sliders"]) > 0.95 * sizes["widget"][0], f"a slider of widget {k} is short: {sizes}"
        assert sizes["widget"][1] <= sizes["screen"][1], f"widget {k} is higher than the screen: {sizes}"
    bars, walk, points, figure = found
    assert not (bars["scrolls"] or walk["scrolls"] or points["scrolls"])
    assert figure["canvas"][0] / 9.6 * 13 / 72 >= 11.9, "13 points are less than 12 pixels"
    assert figure["scrolls"] and figure["touch"] == "auto", "a finger cannot scroll the figure"


def test_the_loss_is_drawn_with_its_floor(widget_lab, widgets):
    curve = widget_lab.page.locator(".mpld-watch")
    assert "step 2,000 of 2,000" in curve.text_content() and "best possible 0.3" in curve.text_content()
    assert curve.locator("polyline").bounding_box()["width"] > 500


def test_widgets_are_there_again_when_the_page_is_loaded_anew(widget_lab, widgets):
    widget_lab.execute("e.t = 100")
    widget_lab.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    widget_lab.open("widgets.ipynb")
    widget_lab.page.locator(".mpld-widget").nth(2).wait_for()
    wait_for_frame(widget_lab.widgets()[0], "40")


def test_a_page_of_its_own_lives_without_kernel_or_network_on_a_telephone(widget_lab, widgets, browser, tmp_path):
    widget_lab.execute(f"for n, w in enumerate((e, c)): w.save(r'{tmp_path}' + f'/{{n}}.html')")
    phone = browser.new_page(viewport={"width": 360, "height": 740}, offline=True, has_touch=True)
    lab = Lab(phone, f"file://{tmp_path}/{{}}.html")
    for name in ("0", "1"):
        phone.goto(lab.address.format(name))
        (widget,) = lab.widgets()
        assert moves(widget)
        assert phone.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "it is too wide"
        words = widget.locator(":scope span, :scope button, :scope p").all()
        assert min(float(word.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")) for word in words) >= 16
    assert lab.complaints == []
    phone.close()


# The box that paints on demand, in a notebook of its own

PROMPT_BOX = """
import threading
import numpy as np
from mpl_diffusion import prompt_box

known, go, closed = "red green blue".split(), threading.Semaphore(0), []

def check(text):
    for word in text.split():
        if word not in known:
            raise ValueError(f"{word!r} in {text!r} is no word here; known are {', '.join(20 * known)}")

def paint(text, w):
    try:
        for k in range(1, 4):
            go.acquire()
            picture = np.full((64, 64, 3), 0.93)
            for word in text.split():
                picture[16:48, : 16 * k, known.index(word)] = w / 10
            yield picture
    except GeneratorExit:
        closed.append(text)
        raise

go.release(3)
box = prompt_box(paint, "red", w=range(1, 10), check=check, alt="stripes")
box
"""


@pytest.fixture(scope="module")
def prompt_lab(folder, lab):
    """Two views of one box; its paint function takes a step per release."""
    write(folder, "prompt_box.ipynb", PROMPT_BOX, "box")
    lab.open("prompt_box.ipynb")
    assert [cell.errors for cell in lab.run_all()] == [[], []]
    for widget in range(2):
        lab.page.locator(".mpld-prompt").nth(widget).locator("canvas").wait_for()
    return lab


@pytest.fixture
def views(prompt_lab):
    prompt_lab.execute("while go.acquire(False): pass")
    yield prompt_lab.widgets()
    prompt_lab.execute("box.stop(); go.release(9)\nbox.wait(5)")
    assert prompt_lab.complaints == []


def enter(view, words: str) -> None:
    view.get_by_role("textbox").fill(words)
    view.get_by_role("textbox").press("Enter")


def wait_for_text(view, selector: str, words: str) -> None:
    """Wait until a part of the box wait_for_text these words."""
    view.locator(selector).filter(has_text=re.compile(words)).wait_for(timeout=10_000)


def test_enter_paints_and_every_view_shows_the_walk_its_words_and_how_long_it_takes(prompt_lab, views):
    enter(views[0], "green")
    prompt_lab.execute("go.release(1)")
    for view in views:
        wait_for_text(view, ".mpld-status.mpld-busy", r"painting: [0-9.]+ s$")
        wait_for_text(view, "figcaption", "^green, w = 1$")
    prompt_lab.execute("go.release(1)")
    for view in views:
        wait_for_text(view, ".mpld-status.mpld-busy", r"painting: [0-9.]+ s, 2 pictures")
        wait_for_text(view, "figcaption", "^green, w = 1$")
    prompt_lab.execute("go.release(1)")
    for view in views:
        wait_for_text(view, ".mpld-status:not(.mpld-busy)", r"painted in [0-9.]+ s, 3 pictures")
        assert view.get_by_role("textbox").input_value() == "green"
        assert view.get_by_role("img").get_attribute("aria-label") == "stripes: green, w = 1"
    assert prompt_lab.execute("print(box.text, box.status)") == "green painted"


def test_a_newer_caption_ends_the_older_walk_and_typing_goes_on_meanwhile(prompt_lab, views):
    enter(views[0], "red")
    prompt_lab.execute("go.release(1)")
    wait_for_text(views[0], "figcaption", "^red, w = 1$")
    enter(views[0], "blue")
    views[0].get_by_role("textbox").press_sequentially(" gr")
    prompt_lab.execute("go.release(9)")
    wait_for_text(views[1], "figcaption", "^blue, w = 1$")
    wait_for_text(views[0], ".mpld-status", "painted in")
    assert prompt_lab.execute("print(closed.pop())") == "red"
    assert views[0].get_by_role("textbox").input_value() == "blue gr"


def test_an_unknown_word_is_named_beside_the_box_and_the_picture_stays_where_it_is(prompt_lab, views):
    canvas, box = views[0].locator("canvas"), views[0].get_by_role("textbox")
    before = (canvas.evaluate("canvas => canvas.toDataURL()"), canvas.bounding_box())
    enter(views[0], "purple")
    wait_for_text(views[0], ".mpld-error", "^'purple' in 'purple' is no word here; known are red, green, blue")
    assert (canvas.evaluate("canvas => canvas.toDataURL()"), canvas.bounding_box()) == before
    assert (box.get_attribute("aria-invalid"), box.input_value()) == ("true", "purple")
    height = prompt_lab.page.locator(".jp-WindowedPanel-outer").first.bounding_box()["height"]
    assert views[0].bounding_box()["height"] <= height
    prompt_lab.execute("go.release(3)")
    enter(views[0], "red")
    views[0].locator("input[aria-invalid=false]").wait_for()
    wait_for_text(views[0], ".mpld-status", "^painted in")  # and the words that were wrong are gone


def test_a_slider_asks_when_it_rests_and_python_moves_it(prompt_lab, views):
    slider = views[0].locator("input[type=range]")
    prompt_lab.execute("before = box._requests; go.release(9)")
    for _ in range(4):
        slider.press("ArrowRight")
    wait_for_text(views[1], "figcaption", "w = 5$")
    assert prompt_lab.execute("print(box._requests - before)") == "1"
    prompt_lab.execute("go.release(9); box.w = 9")
    wait_for_text(views[0], "figcaption", "w = 9$")
    assert slider.get_attribute("aria-valuetext") == "w = 9"
    prompt_lab.execute("go.release(9); box.w = 1")
    wait_for_text(views[0], "figcaption", "w = 1$")


@pytest.mark.parametrize("page", list(PAGES))
def test_the_painting_and_the_slider_of_a_box_fill_every_page(prompt_lab, views, page):
    with page_size(prompt_lab, page):
        sizes = views[0].evaluate(SIZES)
        line = views[0].get_by_role("textbox").bounding_box()["width"]
    assert sizes["inside"] and not sizes["scrolls"]
    assert sizes["widget"][1] <= sizes["screen"][1]
    assert min(sizes["sliders"]) >= min(240, 0.95 * sizes["widget"][0])
    assert line >= min(320, 0.95 * sizes["widget"][0])
    assert sizes["canvas"][0] > 0.95 * sizes["widget"][0] or sizes["canvas"][1] > 0.6 * sizes["screen"][1]


def test_what_is_typed_never_reaches_the_notebook_and_escape_stops(prompt_lab, views):
    cells = prompt_lab.page.locator(".jp-Cell").count()
    box = views[0].get_by_role("textbox")
    box.fill("")
    box.press_sequentially("red dd xab")
    box.press("Enter")
    assert prompt_lab.page.locator(".jp-Cell").count() == cells and box.input_value() == "red dd xab"
    enter(views[0], "red")
    wait_for_text(views[0], ".mpld-busy", "painting")
    box.press("Escape")
    wait_for_text(views[1], ".mpld-status:not(.mpld-busy)", "stopped")


def test_focus_can_be_seen_in_the_box_and_on_its_button(views):
    box = views[0].get_by_role("textbox")
    box.focus()
    for kind in ("INPUT", "BUTTON"):
        ring = "({ tagName }, { outlineStyle, outlineWidth }) => [tagName, outlineStyle, outlineWidth]"
        found = box.evaluate(f"() => ({ring})(document.activeElement, getComputedStyle(document.activeElement))")
        assert found == [kind, "solid", "3px"]
        box.page.keyboard.press("Tab")


def test_a_box_in_a_page_of_its_own_says_that_it_needs_a_notebook(prompt_lab, views, browser, tmp_path):
    prompt_lab.execute(f"box.save(r'{tmp_path}/box.html')")
    phone = browser.new_page(viewport={"width": 360, "height": 740}, offline=True)
    lab = Lab(phone, f"file://{tmp_path}/{{}}.html")
    phone.goto(lab.address.format("box"))
    (widget,) = lab.widgets()
    wait_for_text(widget, ".mpld-status", "needs a running notebook")
    assert widget.get_by_role("img").is_visible() and not widget.locator("input:enabled, button:enabled").all()
    assert phone.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "it is too wide"
    assert lab.complaints == []
    phone.close()


def test_a_box_whose_kernel_is_gone_says_so(prompt_lab):
    view = prompt_lab.widgets()[0]
    view.get_by_role("textbox").focus()
    prompt_lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    enter(view, "red")
    wait_for_text(view, ".mpld-status", "No answer: this box needs a running notebook")
