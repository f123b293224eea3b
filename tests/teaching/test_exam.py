"""The exam cards are read from the notebooks, whole and in order."""

import json
import re
from pathlib import Path

import pytest

from mpl_diffusion import exam_cards

FOLDER = Path(__file__).parents[2] / "notebooks"


def test_every_notebook_shows_its_three_cards_with_their_answers_folded():
    cards = exam_cards(FOLDER)
    notebooks = sorted(FOLDER.glob("*.ipynb"))
    assert repr(cards) == f"{len(notebooks)} notebooks, {3 * len(notebooks)} exam cards"
    assert re.findall(r"\]\((\S+\.ipynb)\)", cards) == [path.name for path in notebooks]
    assert cards.count("<details><summary>Answer</summary>") == 3 * len(notebooks)
    assert cards.count("<details>") == cards.count("</details>") == 4 * len(notebooks)
    assert cards._repr_markdown_() == cards


def test_a_card_ends_where_the_next_section_begins(tmp_path):
    text = (
        "# 01 · A title\n\n## Three exam cards\n\n> **1.** Why? <details></details>\n\n## Next\n\n> **2.** Not a card"
    )
    cell = {"cell_type": "markdown", "source": text.splitlines(keepends=True)}
    (tmp_path / "01_one.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    cards = exam_cards(tmp_path)
    assert "01 · A title" in cards and "Why?" in cards and "Not a card" not in cards


def test_a_folder_without_notebooks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"lies in {tmp_path}: name the notebooks' folder")):
        exam_cards(tmp_path)
