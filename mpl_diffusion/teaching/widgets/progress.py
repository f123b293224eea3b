"""A bar that leaves nothing behind: in a notebook a live line that strict nbval accepts, in a terminal tqdm."""

import sys
import time

import ipywidgets

TYPE = (
    "font: clamp(16px, 1.2vw, 32px)/1.5 var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, inherit);"
)


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class Panel:
    """A piece of HTML that stands under the cell and can be rewritten while the cell runs."""

    def __init__(self, label: str = ""):
        from IPython.display import display

        self.html = ipywidgets.HTML()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.html.model_id}
        data = {"text/plain": label, "application/vnd.jupyter.widget-view+json": view}
        self.handle = display(data, raw=True, display_id=True)

    def show(self, html: str) -> None:
        self.html.value = html

    def clear(self) -> None:
        self.html.close()
        self.handle.update({"text/plain": ""}, raw=True)


class Progress:
    """`with Progress(51, "drawing") as bar: bar.show(7)`; drawn at most five times a second, and gone at the end."""

    def __init__(self, total: int, label: str, shown: bool = True):
        self.total, self.label = total, label
        self.panel = Panel() if shown and in_notebook() else None
        self.tqdm = None
        if shown and self.panel is None:
            from tqdm import tqdm

            self.tqdm = tqdm(total=total, desc=label, leave=False, disable=None)  # None: silent where no one looks
        self.began = time.perf_counter()
        self.due = self.began

    def show(self, done: int) -> None:
        if self.tqdm is not None:
            self.tqdm.update(done - self.tqdm.n)
        elif self.panel is not None and (now := time.perf_counter()) >= self.due:
            self.due = now + 0.2
            self.panel.show(bar(done, self.total, now - self.began, self.label))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error) -> None:
        if self.tqdm is not None:
            self.tqdm.close()
        if self.panel is not None:
            self.panel.clear()


def bar(done: int, total: int, seconds: float, label: str, after: str = "", before: int = 0) -> str:
    """A progress bar as HTML: how far, and how long it will take; the first `before` were done earlier."""
    left = f", {duration(seconds * (total - done) / (done - before))} left" if before < done < total else ""
    return (
        f'<div style="{TYPE}"><progress value="{done}" max="{total}" style="width: 12em; accent-color: #0072B2">'
        f"</progress> {label} {done:,} of {total:,}{left}{after}</div>"
    )


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
