"""A box of words, and the picture that a function paints for them while the reader looks on."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from threading import RLock, Thread
from typing import NamedTuple

import traitlets
from PIL import Image

from .axis import Axis, axes_of, check_text
from .frame import as_png, frame
from .scene import Scene, source

EVERY = 0.05  # seconds from one picture of a walk to the next one shown; those between are not even rendered


class Question(NamedTuple):
    """What `paint` is called with, how it is told, and since when an answer is awaited."""

    text: str
    values: dict
    said: str
    since: float


class PromptBox(Scene):
    """The widget of `prompt_box`: `box.text = "a green five"` does what Enter does; each axis is an attribute."""

    _esm = source("scene.js", "prompt_box.js")
    _label = traitlets.Unicode().tag(sync=True, page=True)
    _axes = traitlets.List().tag(sync=True, page=True)
    _text = traitlets.Unicode().tag(sync=True, page=True)  # asked last, as is the place on the axes
    _at = traitlets.List(traitlets.Int()).tag(sync=True, page=True)
    _asked = traitlets.Int().tag(sync=True)  # how often: tells the browser that it was heard
    _frame = traitlets.Bytes().tag(sync=True, page=True)  # the picture shown, and its words
    _size = traitlets.List().tag(sync=True, page=True)  # of the first picture; the others are fitted into it
    _legible = traitlets.Int().tag(sync=True, page=True)  # pixels: no picture is shown narrower than this
    _caption = traitlets.Unicode().tag(sync=True, page=True)
    _alt = traitlets.Unicode().tag(sync=True, page=True)
    _state = traitlets.Unicode().tag(sync=True)  # painting, painted, stopped, or nothing
    _seconds = traitlets.Float().tag(sync=True)
    _pictures = traitlets.Int().tag(sync=True)  # that came since the question
    _error = traitlets.Unicode().tag(sync=True)
    _grid: Mapping[str, Axis] = {}
    error: BaseException | None = None  # what went wrong, to be looked at or raised

    def __init__(self, paint: Callable, check: Callable | None, grid: dict, at: list, text: str, alt: str, label: str):
        self._paint, self._check, self._what = paint, check, alt
        self._lock = RLock()  # a question comes, a picture is shown: one after the other
        self._question: Question | None = None  # the newest one; all others are stale
        self._worker: Thread | None = None  # alive only while there is something to paint
        axes = [{"label": a.label, "ticks": list(a.ticks), "buttons": a.buttons} for a in grid.values()]
        super().__init__(
            _title=f"prompt box: {alt}" if alt else "prompt box", _label=label, _axes=axes, _text=text, _at=at
        )
        self._grid = grid
        self.on_msg(lambda _, said, __: self.stop() if said.get("stop") else self._ask(said["text"], said["at"]))

    @property
    def text(self) -> str:
        """The words in the box; those of the picture are in `caption`."""
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._ask(text, self._at)

    @property
    def values(self) -> dict:
        """The value of every axis, now."""
        return {name: axis.values[k] for (name, axis), k in zip(self._grid.items(), self._at, strict=True)}

    @property
    def status(self) -> str:
        """What stands beside the picture, without the seconds."""
        return self._error or self._state or "nothing painted yet"

    @property
    def caption(self) -> str:
        """The line under the picture: the words it was painted for."""
        return self._caption

    @property
    def alt(self) -> str:
        """The picture shown now, in words."""
        return self._alt

    @property
    def picture(self) -> bytes:
        """The picture shown now, as PNG; empty while there is none."""
        return as_png(Image.open(io.BytesIO(self._frame))) if self._frame else b""

    @property
    def summary(self) -> str:
        return ", ".join([f'"{self.text}"', *(f"{axis.label} = {axis}" for axis in self._grid.values())])

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the answer, at most `timeout` seconds; whether it is there."""
        if worker := self._worker:
            worker.join(timeout)
        return self._question is None

    def stop(self) -> None:
        """Drop what is being painted; the picture stays as it is."""
        with self._lock:
            if self._question is not None:
                self._question, self._state = None, "stopped"

    def close(self) -> None:
        self.stop()
        super().close()

    def _repr_mimebundle_(self, **kwargs) -> dict:
        return {kind: data for kind, data in super()._repr_mimebundle_(**kwargs).items() if data}

    def __getattr__(self, name: str):
        if name in self._grid:
            return self.values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute or axis {name!r}")

    def __setattr__(self, name: str, value) -> None:
        if name not in self._grid:
            return super().__setattr__(name, value)
        k = self._grid[name].index(value)
        self._ask(self._text, [k if name == mine else old for mine, old in zip(self._grid, self._at, strict=True)])

    def __dir__(self):
        return [*super().__dir__(), *self._grid]

    def _ask(self, text: str, at: list[int]) -> None:
        """The newest question makes the older ones stale; words that `check` refuses make none."""
        check_text(text=text)
        with self._lock, self.hold_sync():
            self._text, self._at, self._asked = text, at, self._asked + 1
            places = (f"{axis.label} = {axis.ticks[k]}" for axis, k in zip(self._grid.values(), at, strict=True))
            self._fail(None)
            try:
                if self._check is not None:
                    self._check(text)
            except Exception as error:
                return self._fail(error)
            self._question = Question(text, self.values, ", ".join([text, *places]), time.perf_counter())
            self._state, self._seconds, self._pictures = "painting", 0.0, 0
            if self._worker is None:
                self._worker = Thread(target=self._work, name="paint", daemon=True)
                self._worker.start()

    def _fail(self, error: BaseException | None) -> None:
        plain = isinstance(error, ValueError) and str(error)  # a ValueError says what is wrong with the words
        self.error, self._error = error, plain or (f"{type(error).__name__}: {error}" if error is not None else "")

    def _work(self) -> None:
        """The worker: answers the newest question until there is none."""
        while question := self._next():
            error = None
            try:
                self._answer(question)
            except BaseException as caught:  # SystemExit, too: a thread that dies tells nobody
                error = caught
            with self._lock, self.hold_sync():
                if question is self._question:
                    self._question, self._seconds = None, time.perf_counter() - question.since
                    self._state = "" if error else "painted"
                    if error:  # else words refused in the meantime stay refused
                        self._fail(error)

    def _next(self) -> Question | None:
        with self._lock:
            if self._question is None:
                self._worker = None
            return self._question

    def _answer(self, question: Question) -> None:
        count, due, late = 0, 0.0, []
        with closing(_pictures(self._paint(question.text, **question.values))) as walk:
            for count, drawn in enumerate(walk, 1):
                if question is not self._question:
                    return
                late = [drawn]
                if (now := time.perf_counter()) >= due:
                    self._show(question, drawn, count)
                    late, due = [], time.perf_counter() + max(EVERY, time.perf_counter() - now)
        if not count:
            raise ValueError("paint yielded no picture")
        for drawn in late:  # the last picture of a walk is always shown
            self._show(question, drawn, count)

    def _show(self, question: Question, drawn, count: int) -> None:
        one = frame(drawn)
        with self._lock, self.hold_sync():
            if question is self._question:
                if not self._size:
                    self._size, self._legible = list(one.size), one.legible
                self._frame = one.webp
                self._caption = ": ".join(filter(None, (question.said, one.caption)))
                self._alt = ": ".join(filter(None, (self._what, question.said, one.alt)))
                self._pictures, self._seconds = count, time.perf_counter() - question.since


def _pictures(drawn) -> Iterator:
    if isinstance(drawn, Iterator):
        yield from drawn  # when this is closed, so is a generator
    else:
        yield drawn


def prompt_box(
    paint: Callable,
    text: str,
    *,
    check: Callable | None = None,
    alt: str = "",
    label: str = "caption",
    at_once: bool = True,
    start: Mapping | None = None,
    labels: Mapping[str, str] | None = None,
    **axes: Iterable,
) -> PromptBox:
    """A box of words: Enter calls `paint(text, **values)` in the background and shows the picture that it returns.

    `prompt_box(paint, "a red seven left of a blue three", check=lambda text: tokenize([text]), w=[1, 2, 4, 8])`

    A `paint` that yields pictures, such as the walk of a sampler, is shown as it goes; its last picture stays. A newer
    question ends the older walk at its next yield. A ValueError, of `check(text)` before or of `paint`, tells the
    reader what is wrong, and the picture stays. The axes, `labels` and `start` are those of `explore`. `at_once`
    paints the first picture while the cell runs, and raises what goes wrong with it.
    """
    check_text(text=text, alt=alt, label=label)
    grid, at = axes_of(PromptBox, axes, labels, start)
    box = PromptBox(paint, check, {axis.name: axis for axis in grid}, at, text, alt, label)
    if at_once:
        try:
            box.text = text
            box.wait()
            if box.error is not None:
                raise box.error
        except BaseException:  # an interrupt, too: nothing goes on behind a cell that was stopped
            box.close()
            raise
    return box
