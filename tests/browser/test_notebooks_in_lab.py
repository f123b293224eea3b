"""Every notebook of the course in a real JupyterLab: all cells run, every widget moves, nothing complains.

MPLD_SCREENSHOTS=folder keeps pictures of every notebook, screen by screen.
"""

import os
import shutil
from pathlib import Path

import pytest
from labserver import REPOSITORY, moves, shoot

NOTEBOOKS = sorted((REPOSITORY / "notebooks").rglob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_cells_run_and_every_widget_moves(lab, folder, path):
    shutil.copytree(REPOSITORY / "notebooks", folder, dirs_exist_ok=True)  # with what lies beside the notebooks
    lab.open(str(path.relative_to(REPOSITORY / "notebooks")))
    try:
        cells = lab.run_all()
        assert [f"cell {cell.index}: {error}" for cell in cells for error in cell.errors] == []
        lab.page.wait_for_timeout(1000)  # the last widgets draw themselves
        assert lab.widgets(), "no widget is to be seen"
        still = [k for k, widget in enumerate(lab.widgets()) if not moves(widget)]
        if screenshots := os.environ.get("MPLD_SCREENSHOTS"):
            shoot(lab.page, Path(screenshots), path.stem)
        assert still == [], "these widgets, counted from 0, do not move"
        assert lab.complaints == []
    finally:
        lab.close()
