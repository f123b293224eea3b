"""The box that paints on demand, without a browser: the newest question wins, a mistake costs nothing."""

import importlib
import io
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mpl_diffusion.teaching.widgets import prompt_box

ASK = importlib.import_module("mpl_diffusion.teaching.widgets.prompt_box")
PATIENCE = 20  # seconds; no test waits so long unless it fails
WORDS = {"one": 1, "two": 2, "three": 3}


def shade(level: int, shape=(640, 8)) -> np.ndarray:
    return np.full(shape, level, np.uint8)


def shown(box) -> int:
    """The grey of the picture that is shown."""
    return int(np.asarray(Image.open(io.BytesIO(box.picture)))[0, 0, 0])


def known(text: str) -> int:
    if text not in WORDS:
        raise ValueError(f"{text!r} is no number here; known are {', '.join(WORDS)}")
    return WORDS[text]


def answered(box, text: str) -> str:
    """Type, press Enter, wait; what stands beside the picture then."""
    box.text = text
    assert box.wait(PATIENCE), "it is still painting"
    return box.status


class Walk:
    """A paint function that takes a step per release, and records what became of each of its walks."""

    def __init__(self):
        self.started, self.closed, self.ended = [], [], []
        self.step, self.stepped = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, text):
        self.started.append(text)
        try:
            for k in range(3):
                self.stepped.release()
                assert self.step.acquire(timeout=PATIENCE)
                yield shade(10 * len(self.started) + k)
            self.ended.append(text)
        except GeneratorExit:
            self.closed.append(text)
            raise

    def until_it_steps(self):
        assert self.stepped.acquire(timeout=PATIENCE)


@pytest.fixture
def walk():
    return Walk()


@pytest.fixture
def box(walk):
    box = prompt_box(walk, "first", at_once=False)
    yield box
    box.stop()
    walk.step.release(9)
    assert box.wait(PATIENCE)


# Asking and being answered


def test_the_first_picture_is_there_before_the_cell_ends():
    box = prompt_box(lambda text: shade(known(text)), "two", alt="a grey")
    assert (shown(box), box.status, box.caption, box.alt) == (2, "painted", "two", "a grey: two")


def test_what_is_typed_is_what_paint_gets_and_what_the_picture_says():
    got = []
    box = prompt_box(lambda text: got.append(text) or shade(len(got)), "one")
    words = ' a "Füchsin" < 3  '
    assert answered(box, words) == "painted"
    assert (got, box.text, box.caption, shown(box)) == (["one", words], words, words, 2)


def test_the_browser_asks_as_python_does():
    box = prompt_box(lambda text, w: shade(w), "one", w=[1, 2, 4, 8], labels={"w": "guidance w"})
    box._handle_custom_msg({"text": "three", "at": [2]}, [])
    assert box.wait(PATIENCE)
    assert (box.text, box.w, shown(box), box.caption) == ("three", 4, 4, "three, guidance w = 4")


def test_the_same_words_can_be_requests_for_again():
    count = iter(range(1, 9))
    box = prompt_box(lambda text: shade(next(count)), "one")
    assert answered(box, "one") == "painted" and shown(box) == 2
    assert box._requests == 2, "the browser does not learn that the request arrived"


def test_setting_an_axis_paints_with_its_value():
    box = prompt_box(lambda text, w, kind: shade(w), "one", w=[1, 2, 4], kind=["a", "b"], start={"w": 2})
    assert shown(box) == 2
    box.w, box.kind = 4, "b"
    assert box.wait(PATIENCE)
    assert (box.values, shown(box), box.caption) == ({"w": 4, "kind": "b"}, 4, "one, w = 4, kind = b")
    with pytest.raises(ValueError, match="w = 3 is not on the grid: 1, 2, 4"):
        box.w = 3
    assert box.w == 4 and "kind" in dir(box)


def test_words_of_the_picture_follow_those_it_was_painted_for():
    png = prompt_box(lambda text: shade(0), "one").picture
    drawn = SimpleNamespace(png=lambda dpi: png, alt="a seven", caption="t = 0")
    box = prompt_box(lambda text, w: drawn, "one", alt="a scene", w=[3])
    assert (box.caption, box.alt) == ("one, w = 3: t = 0", "a scene: one, w = 3: a seven")


def test_a_walk_is_shown_while_it_goes_and_its_last_picture_stays(box, walk):
    box.text = "x"
    walk.until_it_steps()
    walk.step.release()
    walk.until_it_steps()
    assert (shown(box), box.status, box.wait(0)) == (10, "painting", False)
    walk.step.release(2)
    assert box.wait(PATIENCE)
    assert (shown(box), box.status, box._pictures) == (12, "painted", 3)


@pytest.mark.parametrize(("step", "rendering", "most"), [(0.001, 0.2, 0.53), (0.001, 0.001, 0.03)])
def test_at_most_half_the_time_goes_into_showing_a_walk_and_its_last_picture_is_always_shown(
    step, rendering, most, monkeypatch
):
    png, clock, rendered = prompt_box(lambda text: shade(0), "one").picture, SimpleNamespace(now=0.0, rendering=0.0), []
    monkeypatch.setattr(ASK, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def paint(text):
        for k in range(4000):
            clock.now += step
            yield SimpleNamespace(png=lambda dpi, k=k: render(k))

    def render(k):
        clock.now += rendering
        clock.rendering += rendering
        rendered.append(k)
        return png

    box = prompt_box(paint, "one")
    assert rendered[0] == 0 and rendered[-1] == 3999 and box._pictures == 4000
    assert 0.2 * most < clock.rendering / clock.now < most


def test_the_picture_keeps_the_size_of_the_first():
    shapes = iter([(640, 800), (1280, 200)])
    box = prompt_box(lambda text: shade(0, next(shapes)), "one")
    assert answered(box, "two") == "painted"
    assert box._size == [800, 640]


# Stale answers


def test_a_walk_that_became_stale_is_closed_at_its_next_yield_and_no_more_of_it_is_shown(box, walk):
    box.text = "old"
    walk.until_it_steps()
    walk.step.release()
    walk.until_it_steps()
    box.text = "new"
    seen = shown(box)
    walk.step.release()  # the old walk yields: 11
    walk.until_it_steps()  # the new one has begun
    assert (walk.started, walk.closed, shown(box), box.caption) == (["old", "new"], ["old"], seen, "old")
    walk.step.release(3)
    assert box.wait(PATIENCE)
    assert (walk.ended, shown(box), box.caption) == (["new"], 22, "new")


def test_of_quick_questions_only_the_last_is_painted_to_the_end(box, walk):
    box.text = "a"
    walk.until_it_steps()
    box.text = "b"
    box.text = "c"
    walk.step.release(9)
    assert box.wait(PATIENCE)
    assert (walk.started, walk.closed, walk.ended, box.caption) == (["a", "c"], ["a"], ["c"], "c")


def test_the_line_under_the_picture_has_the_words_without_their_full_stop():
    box = prompt_box(lambda text, w: shade(0), "one", w=(1, 3))
    assert answered(box, " two. ") == "painted"
    assert (box.text, box.caption) == (" two. ", " two, w = 1")


def test_an_answer_that_comes_late_is_never_shown():
    """It is overtaken at the last moment: while its picture is being rendered."""
    png = prompt_box(lambda text: shade(0), "one").picture
    captions = []

    def overtaken(dpi):
        box.text = "new"
        return png

    box = prompt_box(lambda text: SimpleNamespace(png=overtaken) if text == "old" else shade(9), "first")
    box.observe(lambda change: captions.append(change.new), "_caption")
    assert answered(box, "old") == "painted"
    assert captions == ["new"] and shown(box) == 9


def test_an_error_of_a_stale_walk_is_nobodys_business():
    began, go = threading.Event(), threading.Event()

    def paint(text):
        if text == "old":
            began.set()
            go.wait(PATIENCE)
            raise RuntimeError("too late")
        return shade(5)

    box = prompt_box(paint, "first")
    box.text = "old"
    assert began.wait(PATIENCE)
    box.text = "new"
    go.set()
    assert box.wait(PATIENCE)
    assert (box.status, box.error, box.caption) == ("painted", None, "new")


def test_one_thread_paints_at_a_time():
    inside, most = [], []

    def paint(text):
        inside.append(text)
        most.append(len(inside))
        time.sleep(0.01)
        inside.remove(text)
        return shade(0)

    box = prompt_box(paint, "first")
    for k in range(5):
        box.text = str(k)
        time.sleep(0.004)
    assert box.wait(PATIENCE)
    assert max(most) == 1 and box.caption == "4"


# Mistakes


@pytest.mark.parametrize("where", ["check", "paint", "the first step"])
def test_an_unknown_word_is_named_with_the_known_ones_and_the_picture_stays(where):
    def stepping(text):
        yield shade(known(text))

    def painting(text):
        return shade(WORDS.get(text, 99) if where == "check" else known(text))

    box = prompt_box(
        stepping if where == "the first step" else painting, "two", check=known if where == "check" else None
    )
    before = (box.picture, box.caption)
    assert answered(box, "four") == "'four' is no number here; known are one, two, three"
    assert (box.picture, box.caption, box.text) == (*before, "four")
    assert isinstance(box.error, ValueError)
    assert answered(box, "three") == "painted" and shown(box) == 3 and box.error is None


def test_words_that_check_refuses_cost_no_running_walk(walk):
    box = prompt_box(walk, "x", at_once=False, check=lambda text: known("four") if text == "typo" else None)
    box.text = "right"
    walk.until_it_steps()
    box.text = "typo"
    assert "no number" in box.status and not box.wait(0)
    walk.step.release(3)
    assert box.wait(PATIENCE)
    assert (walk.ended, shown(box), box.caption) == (["right"], 12, "right")
    assert "no number" in box.status, "the answer to other words took the message away"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError: "),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_any_other_error_is_shown_with_its_type(error, words):
    def paint(text):
        if text == "bad":
            raise error
        return shade(7)

    box = prompt_box(paint, "good")
    assert answered(box, "bad") == words and box.error is error and shown(box) == 7
    assert answered(box, "good") == "painted"


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (None, "None"),
        ("words", "'words'"),
        (np.zeros((2, 3, 4)), "shape"),
        (iter([]), "no picture"),
        (iter([None]), "None"),
    ],
)
def test_a_paint_without_a_picture_is_refused(drawn, words):
    with pytest.raises(ValueError, match=words):
        prompt_box(lambda text: drawn, "one")


def test_nothing_but_the_last_picture_hides_an_error_at_the_end_of_a_walk():
    """Pictures that come too fast are left out; one that is none is not."""
    with pytest.raises(ValueError, match="None"):
        prompt_box(lambda text: iter([shade(1), None]), "one")


def test_a_generator_is_closed_when_its_picture_cannot_be_shown():
    closed = []

    def walk():
        try:
            yield "no picture"
        finally:
            closed.append(True)

    mine = walk()  # it is not closed for want of an owner
    with pytest.raises(ValueError):
        prompt_box(lambda text: mine, "one")
    assert closed == [True]


def test_an_error_with_the_first_words_is_raised_where_the_cell_is():
    with pytest.raises(ValueError, match="known are one, two, three"):
        prompt_box(lambda text: shade(0), "four", check=known)
    with pytest.raises(ZeroDivisionError):
        prompt_box(lambda text: 1 // 0, "one")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"w": []}, "w has no values"),
        ({"w": 3}, "w needs a list of values"),
        ({"values": [1]}, "cannot be called 'values'"),
        ({"w": [1], "start": {"w": 2}}, "w = 2 is not on the grid"),
        ({"w": [1], "start": {"v": 1}}, "start names v; the axes are w"),
        ({"labels": {"w": "weight"}}, "labels names w; the axes are none"),
    ],
)
def test_axes_that_make_no_sense_are_refused_before_anything_is_painted(options, words):
    with pytest.raises(ValueError, match=words):
        prompt_box(lambda text, **_: pytest.fail("it painted"), "one", **options)


# Ends


def test_a_closed_box_paints_no_further_and_its_thread_ends(box, walk):
    box.text = "x"
    walk.until_it_steps()
    worker = box._worker
    box.close()
    walk.step.release()
    worker.join(PATIENCE)
    assert not worker.is_alive() and walk.closed == ["x"] and box._frame == b""


def test_no_thread_waits_while_there_is_nothing_to_paint():
    before = threading.active_count()
    box = prompt_box(lambda text: shade(0), "one")
    assert answered(box, "two") == "painted"
    assert box._worker is None
    assert threading.active_count() == before


def test_escape_drops_what_is_being_painted(box, walk):
    box.text = "x"
    walk.until_it_steps()
    box._handle_custom_msg({"stop": True}, [])
    walk.step.release()
    assert box.wait(PATIENCE)
    assert (box.status, walk.closed, walk.ended, box.picture) == ("stopped", ["x"], [], b"")


# What is sent and kept


def test_a_box_shows_a_stable_label_and_its_picture_to_readers_without_a_live_view():
    bundle = prompt_box(lambda text, w: shade(0), "one", alt="a grey", w=range(1, 9))._repr_mimebundle_()
    assert bundle["text/plain"] == 'prompt box: a grey | "one", w = 1 ... 8 (8)'
    assert bundle["image/png"].startswith("iVBOR") and "application/vnd.jupyter.widget-view+json" in bundle


def test_a_box_that_has_not_painted_yet_has_no_picture(box):
    assert (box.picture, box.status, box.caption) == (b"", "nothing painted yet", "")
    assert set(box._repr_mimebundle_()) == {"text/plain", "application/vnd.jupyter.widget-view+json"}


def test_a_page_of_its_own_asks_for_nothing_and_no_text_can_end_its_script(tmp_path):
    box = prompt_box(lambda text: shade(0), "</script><b>")
    page = box.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 1 and "<b>" not in page
    assert not any(word in page for word in ("http://", "https://", "src=", "import "))


CELLS = [
    "import numpy as np\nfrom mpl_diffusion import prompt_box",
    "def paint(text, w):\n    for k in range(5):\n        yield np.full((9, 9), (w + k) / 20)",
    'box = prompt_box(paint, "a grey", alt="greys", w=[1, 2, 4, 8], check=lambda text: 1 / (text != "zero"))\nbox',
    "box.w = 8\nbox.wait()\nprint(box.status, box.caption)",
    'box.text = "zero"\nbox.wait()\nprint(box.status)',
]


def test_the_box_passes_strict_nbval(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, kernel_name="python3", store_widget_state=False).execute()
    nbformat.write(notebook, tmp_path / "box.ipynb")
    shown, moved, wrong = (cell.outputs[-1] for cell in notebook.cells[2:])
    assert shown.data["text/plain"] == 'prompt box: greys | "a grey", w = 1, 2, 4, 8'
    assert (moved.text, wrong.text) == ("painted a grey, w = 8\n", "ZeroDivisionError: division by zero\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    ran = subprocess.run([*command, f"--rootdir={tmp_path}", tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0 and "5 passed" in ran.stdout, ran.stdout[-3000:]
