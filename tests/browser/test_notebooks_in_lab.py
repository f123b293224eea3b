"""Every notebook of the course in a real JupyterLab: cells run twice in a row, widgets move, nothing complains.

nbval runs the same notebooks with MNIST and compares what is stored; .ci/run runs these without, as an offline reader.
MPLD_SCREENSHOTS=folder keeps pictures of every notebook, screen by screen.
"""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from labserver import REPOSITORY, moves, shoot

from mpl_diffusion import check

FOLDER = REPOSITORY / "notebooks"
FIRST = ("00_start_here", "01_forward_process")  # the first hour; the others take minutes and are marked
NOTEBOOKS = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in FIRST else pytest.mark.long)
    for path in sorted(FOLDER.rglob("*.ipynb"))
]


def stored(path):
    """What each code cell printed when the notebook was stored, by its place; None where it is not compared."""
    cells = nbformat.read(path, as_version=4).cells
    return {
        index: None
        if "nbval-ignore-output" in cell.metadata.get("tags", [])
        else "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for index, cell in enumerate(cells)
        if cell.cell_type == "code"
    }


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_reader_runs_every_cell_twice_moves_every_widget_and_pastes_every_solution(lab, folder, path):
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)  # with what lies beside the notebooks
    lab.open(str(path.relative_to(FOLDER)))
    try:
        runs = lab.run_each(times=2)
        assert [f"cell {cell.index}: {error}" for run in runs for cell in run for error in cell.errors] == []
        texts = stored(path)
        for first, _ in runs:
            assert texts[first.index] in (None, first.stdout), f"cell {first.index} prints other than is stored"
        lab.page.wait_for_timeout(1000)  # the last widgets draw themselves
        assert lab.widgets(), "no widget is to be seen"
        still = [k for k, widget in enumerate(lab.widgets()) if not moves(widget)]
        if screenshots := os.environ.get("MPLD_SCREENSHOTS"):
            shoot(lab.page, Path(screenshots), path.stem)
        assert still == [], "these widgets, counted from 0, do not move"
        for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "code":
                for name in re.findall(r"^check\.(\w+)\(", cell.source, re.M):
                    pasted = lab.run_as(index, f"{check.solution(name)}\n\ncheck.{name}(my_{name})")
                    assert pasted.stdout.startswith(f"{name}: right"), f"{pasted.stdout}{pasted.errors}"
        assert lab.complaints == []
    finally:
        lab.close()
