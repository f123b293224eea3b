"""A text field, and the picture that a function paints for its text in the background."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from threading import RLock, Thread
from typing import NamedTuple

import traitlets
from PIL import Image

from .axis import Axis, axes_of, check_text
from .base import CanvasWidget, source
from .frame import as_png, frame

EVERY = 0.05  # seconds from one picture of a walk to the next one shown; those between are not even rendered


class Request(NamedTuple):
    """What `paint` is called with, as text for the caption, and when it was sent (seconds)."""

    text: str
    values: dict
    description: str
    sent: float


class PromptBox(CanvasWidget):
    """The widget of `prompt_box`: `box.text = "a green five"` does what Enter does; each axis is an attribute."""

    _esm = source("base.js", "prompt_box.js")
    _label = traitlets.Unicode().tag(sync=True, page=True)
    _axes = traitlets.List().tag(sync=True, page=True)
    _text = traitlets.Unicode().tag(sync=True, page=True)  # of the newest request, as is the place on the axes
    _at = traitlets.List(traitlets.Int()).tag(sync=True, page=True)
    _requests = traitlets.Int().tag(sync=True)  # how many: tells the browser that the newest has arrived
    _frame = traitlets.Bytes().tag(sync=True, page=True)  # the picture shown
    _size = traitlets.List().tag(sync=True, page=True)  # of the first picture; the others are fitted into it
    _legible = traitlets.Int().tag(sync=True, page=True)  # pixels: no picture is shown narrower than this
    _caption = traitlets.Unicode().tag(sync=True, page=True)
    _alt = traitlets.Unicode().tag(sync=True, page=True)
    _state = traitlets.Unicode().tag(sync=True)  # painting, painted, stopped, or nothing
    _seconds = traitlets.Float().tag(sync=True)
    _pictures = traitlets.Int().tag(sync=True)  # of the newest request so far
    _error = traitlets.Unicode().tag(sync=True)
    _grid: Mapping[str, Axis] = {}
    error: BaseException | None = None  # what went wrong, to be looked at or raised

    def __init__(self, paint: Callable, check: Callable | None, grid: dict, at: list, text: str, alt: str, label: str):
        self._paint, self._check, self._subject = paint, check, alt
        self._lock = RLock()  # a request arrives, a picture is shown: one after the other
        self._request: Request | None = None  # the newest one; all others are stale
        self._worker: Thread | None = None  # alive only while there is something to paint
        axes = [{"label": a.label, "ticks": list(a.ticks), "buttons": a.buttons} for a in grid.values()]
        super().__init__(
            _title=f"prompt box: {alt}" if alt else "prompt box", _label=label, _axes=axes, _text=text, _at=at
        )
        self._grid = grid
        self.on_msg(lambda _, message, __: self._receive(message))

    @property
    def text(self) -> str:
        """The text in the field; that of the picture is in `caption`."""
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._submit(text, self._at)

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
        """The line under the picture: the text it was painted for."""
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
        return self._request is None

    def stop(self) -> None:
        """Drop what is being painted; the picture stays as it is."""
        with self._lock:
            if self._request is not None:
                self._request, self._state = None, "stopped"

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
        self._submit(self._text, [k if name == mine else old for mine, old in zip(self._grid, self._at, strict=True)])

    def __dir__(self):
        return [*super().__dir__(), *self._grid]

    def _receive(self, message: dict) -> None:
        """What the browser sends: Enter, a slider that came to rest, or Escape."""
        if message.get("stop"):
            self.stop()
        else:
            self._submit(message["text"], message["at"])

    def _submit(self, text: str, at: list[int]) -> None:
        """The newest request makes the older ones stale; text that `check` refuses makes none."""
        check_text(text=text)
        with self._lock, self.hold_sync():
            self._text, self._at, self._requests = text, at, self._requests + 1
            places = [f"{axis.label} = {axis.ticks[k]}" for axis, k in zip(self._grid.values(), at, strict=True)]
            self._set_error(None)
            try:
                if self._check is not None:
                    self._check(text)
            except Exception as error:
                return self._set_error(error)
            said = ", ".join([text.rstrip(". "), *places]) if places else text
            self._request = Request(text, self.values, said, time.perf_counter())
            self._state, self._seconds, self._pictures = "painting", 0.0, 0
            if self._worker is None:
                self._worker = Thread(target=self._run, name="paint", daemon=True)
                self._worker.start()

    def _set_error(self, error: BaseException | None) -> None:
        plain = isinstance(error, ValueError) and str(error)  # a ValueError says what is wrong with the text
        self.error, self._error = error, plain or (f"{type(error).__name__}: {error}" if error is not None else "")

    def _run(self) -> None:
        """The worker thread: paints for the newest request until there is none."""
        while request := self._next():
            error = None
            try:
                self._fulfil(request)
            except BaseException as caught:  # SystemExit, too: nobody would see that the thread died
                error = caught
            with self._lock, self.hold_sync():
                if request is self._request:
                    self._request, self._seconds = None, time.perf_counter() - request.sent
                    self._state = "" if error else "painted"
                    if error:  # else the message about a text refused in the meantime stays
                        self._set_error(error)

    def _next(self) -> Request | None:
        with self._lock:
            if self._request is None:
                self._worker = None
            return self._request

    def _fulfil(self, request: Request) -> None:
        count, due, late = 0, 0.0, []
        with closing(_pictures(self._paint(request.text, **request.values))) as walk:
            for count, drawn in enumerate(walk, 1):
                if request is not self._request:
                    return
                late = [drawn]
                if (now := time.perf_counter()) >= due:
                    self._show(request, drawn, count)
                    late, due = [], time.perf_counter() + max(EVERY, time.perf_counter() - now)
        if not count:
            raise ValueError("paint yielded no picture")
        for drawn in late:  # the last picture of a walk is always shown
            self._show(request, drawn, count)

    def _show(self, request: Request, drawn, count: int) -> None:
        one = frame(drawn)
        with self._lock, self.hold_sync():
            if request is self._request:
                if not self._size:
                    self._size, self._legible = list(one.size), one.legible
                self._frame = one.webp
                self._caption = ": ".join(filter(None, (request.description, one.caption)))
                self._alt = ": ".join(filter(None, (self._subject, request.description, one.alt)))
                self._pictures, self._seconds = count, time.perf_counter() - request.sent


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
    """A text field: Enter calls `paint(text, **values)` in the background and shows the picture that it returns.

    `prompt_box(paint, "a red seven left of a blue three", check=lambda text: tokenize([text]), w=[1, 2, 4, 8])`

    A `paint` that yields pictures, such as the walk of a sampler, is shown as it goes; its last picture stays. A newer
    request ends the older walk at its next yield. A ValueError, of `check(text)` before or of `paint`, tells the
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
