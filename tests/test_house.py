"""The rooms and their floors: imports only go down, and importing the package fetches nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mpl_diffusion

HOME = Path(mpl_diffusion.__file__).parent
FLOORS = (
    {"process", "files", "distributed", "nets.time", "data.__init__"},
    {"schedules", "ode", "nets.*", "data.mixture", "data.mnist", "data.scenes"},
    {"denoiser", "sde", "samplers", "posterior", "data.toy", "data.empirical"},  # the roll's exact law is a mixture
    {"guidance", "solvers", "rotation", "likelihood", "bound", "models", "metrics", "compress"},
    {"plots", "train", "digits", "captions"},
    {"recipes", "tables", "widgets.*", "exercises.*"},
    {"lab", "doctor", "runs", "__main__"},  # tools, which may see every room
)
ONLY_IN = {"matplotlib": "plots", "ipywidgets": "widgets", "anywidget": "widgets"}
ROOMS = {
    ".".join(file.relative_to(HOME).with_suffix("").parts): file
    for file in sorted(HOME.rglob("*.py"))
    if file.parent != HOME or file.stem != "__init__"
}


def floor(room):
    """The number of the floor; a room that is named goes before one that its folder's star takes in."""
    for name in (room, room.rpartition(".")[0] + ".*"):
        for number, rooms in enumerate(FLOORS):
            if name in rooms:
                return number
    raise AssertionError(f"no floor knows {room}: give it one in tests/test_house.py")


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
        elif ours and floor(name) >= here and not neighbours(room, name):
            yield f"{room} (floor {here}) imports {name} (floor {floor(name)})"
        elif not ours and name in ONLY_IN and room.partition(".")[0] != ONLY_IN[name]:
            yield f"{room} imports {name}, which belongs in {ONLY_IN[name]}"


def neighbours(room, other):
    """Rooms of one folder, on one floor, may see each other; so may the tools."""
    one, two = room.rpartition(".")[0], other.rpartition(".")[0]
    return floor(room) == floor(other) and (one == two != "" or floor(room) == len(FLOORS) - 1)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_down(room):
    assert list(faults(room, ROOMS[room].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "room, line",
    [
        ("process", "from .schedules import linear"),
        ("process", "from . import plots"),
        ("schedules", "def f():\n    from .train import Trainer"),
        ("data.toy", "from ..denoiser import Denoiser"),
        ("data.mixture", "import mpl_diffusion.reverse.samplers"),
        ("samplers", "from mpl_diffusion.training.trainer import Trainer"),
        ("metrics", "from .plots import points"),
        ("samplers", "from mpl_diffusion import linear"),
        ("train", "import matplotlib.pyplot as plt"),
        ("plots", "import ipywidgets"),
    ],
)
def test_an_import_that_goes_up_is_seen(room, line):
    assert list(faults(room, line))


@pytest.mark.parametrize(
    "room, line",
    [
        ("schedules", "from .process import Process"),
        ("data.mixture", "from ..process import Process"),
        ("nets.mlp", "from .time import time_features"),
        ("plots", "import matplotlib.pyplot as plt"),
        ("doctor", "from .lab import COURSE"),
        ("samplers", "import torch, math"),
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
