"""What all pictures with controls share: a live view, a text, and a page that needs neither kernel nor network."""

import base64
import json
from html import escape
from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


def source(*names: str) -> str:
    """The named files beside this one, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class CanvasWidget(anywidget.AnyWidget):
    """A widget whose whole content travels once, as traits tagged `page`; the rest happens in the browser.

    A subclass says what it is in `_title`, and has `summary`, `alt`, `caption` and `picture` (PNG bytes).
    """

    _css = source("base.css")
    _title = traitlets.Unicode().tag(sync=True, page=True)

    def __repr__(self) -> str:
        return f"{self._title} | {self.summary}"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """The live view; for a reader that has none, the picture shown now and a label that is always the same."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {
            "text/plain": repr(self),
            "image/png": base64.b64encode(self.picture).decode(),
            "application/vnd.jupyter.widget-view+json": view,
        }

    def html(self, title: str = "") -> str:
        """One self-contained page with the same controls and pictures; it needs no kernel and no network."""
        state = {name.removeprefix("_"): getattr(self, name) for name in self.trait_names(page=True)}
        data = json.dumps(state, default=lambda data: {"base64": base64.b64encode(data).decode()})
        data = data.replace("<", "\\u003c")  # no caption can end the script
        heading = escape(title or self._title)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{heading}</title><style>{self._css}</style></head>"
            f'<body class="mpld-page"><h1>{heading}</h1><main></main><script type="module">\n'
            f"const STATE = {data};\n{self._esm}\n{source('page.js')}</script></body></html>\n"
        )

    def save(self, path) -> Path:
        """Write `html()` to a file and say where it is."""
        path = Path(path)
        path.write_text(self.html(), encoding="utf-8")
        return path
