"""The exam cards of all notebooks on one page, read from where they are taught."""

import json
import re
from pathlib import Path

HEADING = "## Three exam cards"


class ExamCards(str):
    """Markdown that a notebook shows as text: cards with folded answers."""

    def __repr__(self) -> str:
        return f"{self.count('<b>')} notebooks, {self.count('> **')} exam cards"

    def _repr_markdown_(self) -> str:
        return str(self)


def exam_cards(folder: str | Path = ".") -> ExamCards:
    """The exam cards of the notebooks in a folder, one fold for each notebook, in the course's order.

    Raises FileNotFoundError where the folder holds no notebook with cards.
    """
    folds = []
    for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb")):
        text = _markdown(path)
        title = re.search(r"^# (.+)$", text, re.M)
        cards = re.findall(r"^> \*\*\d+\.\*\* .*$", text.partition(HEADING)[2].partition("\n## ")[0], re.M)
        if title and cards:
            summary = f"<summary><b>{title[1]}</b></summary>"
            lines = "\n\n".join([*cards, f"Read more: [{path.name}]({path.name})"])
            folds.append(f"<details>{summary}\n\n{lines}\n\n</details>")
    if not folds:
        raise FileNotFoundError(
            f"no notebook with exam cards lies in {Path(folder).resolve()}: name the notebooks' folder"
        )
    return ExamCards("\n\n".join(folds))


def _markdown(path: Path) -> str:
    """The text of a notebook, without its code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
