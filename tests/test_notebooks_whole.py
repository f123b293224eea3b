"""Each notebook is stored whole: run from top to bottom, with what it printed, light enough to read on a code host.

nbval compares what is stored and lets pass what is not; so what must be stored is demanded here.
"""

import ast
import builtins
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from mpl_diffusion import check

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FIRST_LIGHT = (
    "00_start_here",
    "01_forward_process",
    "02_noise_schedules",
    "03_reverse_process",
    "04_swiss_roll",
    "05_score_sde_ode",
    "06_unet",
    "07_mnist_ddpm",
    "08_ddim",
    "11_latent_diffusion",
    "12_guidance",
)
CLAIMS = {  # of the lecture, and the notebooks that show each
    **dict.fromkeys(("F1", "F2", "F3", "F4", "F5"), "01"),
    **dict.fromkeys(("F6", "F7"), "02"),
    **dict.fromkeys(("R1", "R2", "R3"), "03"),
    **dict.fromkeys(("R4", "R5", "R6"), "04"),
    **dict.fromkeys(("S1", "S2", "S3", "S4"), "05"),
    **dict.fromkeys(("U1", "U2"), "06"),
    **dict.fromkeys(("U3",), "07"),
    **dict.fromkeys(("D1", "D2", "D3"), "08"),
    **dict.fromkeys(("L1", "L2", "L3"), "11"),
    **dict.fromkeys(("L4", "G1", "G2"), "12"),
}
WIDGET = "application/vnd.jupyter.widget-view+json"
TEXT, PICTURE = "text/plain", ("image/png", "image/jpeg", "image/svg+xml")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def lines(source):
    """Lines of code: neither blank nor comment."""
    return [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def tags(cell):
    return cell.metadata.get("tags", [])


@pytest.mark.parametrize("name", FIRST_LIGHT)
def test_the_notebook_exists(name):
    assert FOLDER / f"{name}.ipynb" in NOTEBOOKS


@each
def test_it_is_a_valid_notebook_for_python_3(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


@each
def test_it_was_run_once_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code(path)]
    assert counts == list(range(1, len(counts) + 1))


@each
def test_what_a_cell_prints_is_stored(path):
    for cell in code(path):
        if any("print(" in line for line in lines(cell.source)):
            assert any(o.output_type == "stream" and o.name == "stdout" for o in cell.outputs), cell.source


@each
def test_no_output_is_an_error(path):
    assert [o.ename for cell in code(path) for o in cell.outputs if o.output_type == "error"] == []


@each
def test_nothing_of_one_run_is_stored(path):
    """No widgets, no execution times: they change with each run; a code host shows a picture where no widget is."""
    notebook = read(path)
    assert "widgets" not in notebook.metadata
    assert [c.source for c in code(path) for o in c.outputs if WIDGET in o.get("data", {})] == []
    assert [c.metadata.execution for c in notebook.cells if "execution" in c.metadata] == []


@each
def test_no_cell_is_skipped_and_each_that_is_not_compared_says_why(path):
    for cell in code(path):
        assert "nbval-skip" not in tags(cell) and "NBVAL_SKIP" not in cell.source, cell.source
        assert "raises-exception" not in tags(cell), cell.source
        if "nbval-ignore-output" in tags(cell) or "NBVAL_IGNORE_OUTPUT" in cell.source:
            assert re.search(r"^# not compared: \S", cell.source, re.M), cell.source


@each
def test_each_picture_has_words(path):
    for cell in read(path).cells:
        for alt in re.findall(r"!\[([^\]]*)\]", cell.source if cell.cell_type == "markdown" else ""):
            assert alt.strip(), f"a picture without alt text in: {cell.source}"
        for tag in re.findall(r"<img\b[^>]*>", cell.source if cell.cell_type == "markdown" else ""):
            assert re.search(r'\balt="[^"]+"', tag), f"a picture without alt text: {tag}"
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if any(kind in data for kind in PICTURE):
                words = data.get(TEXT, "")
                assert words and not re.match(r"<(Figure size|\S+ object|IPython)", words), f"{words!r}: {cell.source}"


@each
def test_it_is_light(path):
    assert path.stat().st_size < 2 * 2**20
    sizes = [len(lines(cell.source)) for cell in code(path) if "\ncheck." not in cell.source]  # an exercise is empty
    assert max(sizes, default=0) <= 20


@each
def test_no_line_of_code_is_cut_off_on_a_projector(path):
    """JupyterLab at 1280 pixels shows 88 characters."""
    assert [line for cell in code(path) for line in lines(cell.source) if len(line) > 88] == []


def anchors(path):
    """What JupyterLab makes of the headings: the text with dashes for blanks; and the ids that are written out."""
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ +(.+?) *$", text, re.M)
    return {h.replace(" ", "-") for h in headings} | set(re.findall(r'\bid="([^"]+)"', text))


@each
def test_its_links_lead_somewhere(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for link in re.findall(r'\]\(([^)\s]+)\)|\b(?:href|src)="([^"]+)"', text):
        file, _, anchor = unquote("".join(link)).partition("#")
        if re.match(r"(https?|attachment|mailto):", file):
            continue
        target = path.parent / file if file else path
        assert target.exists(), f"no {file}"
        if anchor:
            assert anchor in anchors(target), f"no #{anchor} in {target.name}"


@each
def test_it_has_exercises_with_tested_solutions_three_exam_cards_and_a_bug(path):
    cells = read(path).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    names = [name for cell in code(path) for name in re.findall(r"^check\.(\w+)\(", cell.source, re.M)]
    assert 2 <= len(names) <= 5
    for name in names:
        folded = f"```python\n{check.solution(name).rstrip()}\n```"
        assert folded in text, f"{name}: the folded solution is not the tested one"
    cards = text.partition("## Three exam cards")[2].partition("\n## ")[0]
    assert len(re.findall(r"^> \*\*\d\.\*\* .*[?.] <details>", cards, re.M)) == 3
    assert "<summary>Answer</summary>" in text.partition("## One bug to find")[2]


def bound(source):
    """The names that a cell's top level binds."""
    tree = ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!"))))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names


def needed(source):
    """The names that a function needs from outside."""
    read, own = set(), set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            own.add(node.name)
    return read - own


@each
def test_a_printed_solution_needs_only_what_the_reader_has_by_then(path):
    there = set()
    for cell in code(path):
        for name in re.findall(r"^check\.(\w+)\(", cell.source, re.M):
            assert needed(check.solution(name)) <= there | bound(cell.source), name
        there |= bound(cell.source)


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_map_leads_from_each_claim_of_the_lecture_to_the_section_that_shows_it(claim):
    text = "\n".join(cell.source for cell in read(FOLDER / "00_start_here.ipynb").cells if cell.cell_type == "markdown")
    (row,) = re.findall(rf"^\| {claim} \| \S.* \| (\[.*\)) \|$", text, re.M)
    for file, anchor in re.findall(r"\]\(([^)#]+)#([^ ]+?)\)", row):
        assert anchor in anchors(FOLDER / file)
    assert re.search(rf"\]\({CLAIMS[claim]}_\w+\.ipynb#", row)
