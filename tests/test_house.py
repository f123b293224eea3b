"""The rooms and their floors: imports only go down, and importing the package fetches nothing heavy."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mpl_diffusion

HOME = Path(mpl_diffusion.__file__).parent
FLOORS = (
    {"checks"},
    {"files", "forward", "nets"},
    {"data", "reverse"},
    {"models", "teaching"},
    {"evaluation"},
    {"training"},
    {"lab", "doctor", "__main__"},  # tools, which may see every wing
)
ONLY_IN = {  # foreign packages, and where alone they may be imported
    "matplotlib": "teaching.plots",
    "ipywidgets": "teaching.widgets",
    "anywidget": "teaching.widgets",
}
ROOMS = {
    ".".join(file.relative_to(HOME).with_suffix("").parts): file
    for file in sorted(HOME.rglob("*.py"))
    if file.parent != HOME or file.stem != "__init__"
}


def wing(room):
    """The folder that a room is in, or the room itself if it stands beside the folders."""
    return room.partition(".")[0]


def floor(room):
    for number, wings in enumerate(FLOORS):
        if wing(room) in wings:
            return number
    raise AssertionError(f"no floor knows {room}: give its wing one in tests/test_house.py")


def imports(room, source):
    """(room of ours or foreign package, whether it is ours) for each import in `source`, wherever it stands."""
    package = ["mpl_diffusion", *room.split(".")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top != "mpl_diffusion":
                yield top, False
            else:
                yield resolve(rest), True


def resolve(name):
    """The room that a dotted name is in: data.mnist.mnist -> data.mnist; exercises.check -> exercises.__init__."""
    while name and name not in ROOMS and f"{name}.__init__" not in ROOMS:
        name = name.rpartition(".")[0]
    return name if name in ROOMS or not name else f"{name}.__init__"


def faults(room, source):
    here = floor(room)
    for name, ours in imports(room, source):
        if ours and not name:
            yield f"{room} imports the front door, which opens on every floor"
        elif ours and floor(name) >= here and wing(name) != wing(room) and here != len(FLOORS) - 1:
            yield f"{room} (floor {here}) imports {name} (floor {floor(name)})"
        elif not ours and name in ONLY_IN and not f"{room}.".startswith(f"{ONLY_IN[name]}."):
            yield f"{room} imports {name}, which belongs in {ONLY_IN[name]}"


def circle(arrows):
    """A circle of rooms that import each other, if there is one: rooms of one wing may meet, but not in a circle."""
    done, open_ = set(), []

    def visit(room):
        if room in open_:
            return open_[open_.index(room) :]
        if room in done:
            return None
        open_.append(room)
        found = next((c for other in arrows.get(room, ()) if (c := visit(other))), None)
        open_.pop()
        done.add(room)
        return found

    return next((c for room in arrows if (c := visit(room))), None)


def test_no_rooms_import_each_other_in_a_circle():
    arrows = {
        room: {name for name, ours in imports(room, file.read_text(encoding="utf-8")) if ours and name != room}
        for room, file in ROOMS.items()
    }
    assert circle(arrows) is None
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c"]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_down(room):
    assert list(faults(room, ROOMS[room].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "room, line",
    [
        ("forward.posterior", "from ..data.mixture import GaussianMixture"),
        ("forward.process", "from ..teaching import plots"),
        ("forward.schedules", "def f():\n    from ..training.trainer import Trainer"),
        ("nets.unet", "from ..forward.process import Process"),
        ("data.mixture", "import mpl_diffusion.reverse.ancestral"),
        ("reverse.ancestral", "from mpl_diffusion.training.trainer import Trainer"),
        ("evaluation.metrics", "from ..training.losses import hinge"),
        ("reverse.ancestral", "from mpl_diffusion import linear"),
        ("training.trainer", "import matplotlib.pyplot as plt"),
        ("teaching.plots", "import ipywidgets"),
        ("teaching.widgets.explore", "import matplotlib"),
    ],
)
def test_an_import_that_goes_up_is_seen(room, line):
    assert list(faults(room, line))


@pytest.mark.parametrize(
    "room, line",
    [
        ("forward.schedules", "from .process import Process"),
        ("data.mixture", "from ..forward.process import Process"),
        ("nets.mlp", "from .time import time_features"),
        ("training.runs", "from ..teaching.widgets import watch"),
        ("teaching.plots", "import matplotlib.pyplot as plt"),
        ("doctor", "from .lab import COURSE"),
        ("reverse.ancestral", "import torch, math"),
    ],
)
def test_an_import_that_goes_down_is_let_through(room, line):
    assert not list(faults(room, line))


def test_a_room_without_a_floor_is_seen():
    with pytest.raises(AssertionError, match="no floor knows utils"):
        floor("utils")


def test_importing_the_package_fetches_nothing_heavy():
    heavy = (
        "torch",
        "matplotlib",
        "sklearn",
        "scipy",
        "ipywidgets",
        "anywidget",
        "IPython",
        "pooch",
        "requests",
        "PIL",
    )
    probe = f"import sys, mpl_diffusion; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout == "[]\n"


def test_using_the_core_fetches_neither_drawing_nor_widgets_nor_downloads():
    """What a training script imports costs torch, and nothing that draws, clicks or calls out."""
    heavy = ("matplotlib", "sklearn", "ipywidgets", "anywidget", "IPython", "pooch", "requests")
    probe = (
        "import sys; from mpl_diffusion import MLP, Denoiser, Trainer, ddim, ddpm, linear, mnist\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def test_the_readme_says_what_each_folder_imports():
    """Its table, row by row, but for checks and files, which stand below all."""
    readme = (HOME.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \| .* \| (.*)\|$", readme, re.M)
    said = {name: set(re.findall(r"`(\w+)`", imported)) for name, imported in rows}
    found = {name: set() for name in said}
    for room, file in ROOMS.items():
        if wing(room) in found:
            names = imports(room, file.read_text(encoding="utf-8"))
            found[wing(room)] |= {wing(name) for name, ours in names if ours} - {wing(room), "checks", "files"}
    assert said == found
    assert set(said) == {folder.name for folder in HOME.iterdir() if (folder / "__init__.py").exists()} | {"models"}
