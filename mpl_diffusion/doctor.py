"""What this machine has for the course, in plain words, and the cure for what is missing."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from .lab import COURSE, START

INSTALL = "pip install -c constraints.txt -e ."


class Finding(NamedTuple):
    """One line of the report. Only a PROBLEM keeps the course from running; what can be mended comes with its cure."""

    mark: str  # "ok", "note" or "PROBLEM"
    text: str
    cure: str = ""


def doctor() -> int:
    """Print what was found; 0 if the course can run here, else 1."""
    marks = []
    for check in (python, packages, torch, device, data, weights, widgets, notebooks):
        try:
            findings = list(check())
        except Exception as error:  # a broken install breaks in many ways; the report goes on
            findings = [Finding("PROBLEM", f"{type(error).__name__}: {error}", INSTALL)]
        for mark, text, cure in findings:
            print(f"{mark:8} {check.__name__:10} {text}" + (f"\n{'':19} -> {cure}" if cure else ""))
            marks.append(mark)
    print()
    if problems := marks.count("PROBLEM"):
        print(f"The course cannot run here yet. Problems: {problems}, each with its cure at ->.")
        return 1
    print("The course can run here: python -m mpl_diffusion lab")
    return 0


def python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    version, wanted = platform.python_version(), metadata.metadata("mpl_diffusion")["Requires-Python"]
    text = f"{version} on {platform.system()} {platform.machine()}, {sys.executable}"
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield Finding("ok", text)
    else:
        yield Finding("PROBLEM", f"{text}, but the course needs {wanted}", "make an environment with such a Python")


def packages() -> Iterator[Finding]:
    """Each dependency is there, in the range that pyproject.toml gives."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in metadata.requires("mpl_diffusion") or ()]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    sound = True
    for r in wanted:
        try:
            version = metadata.version(r.name)
        except metadata.PackageNotFoundError:
            version = "missing"
        if version == "missing" or not r.specifier.contains(version, prereleases=True):
            sound = False
            yield Finding("PROBLEM", f"{r.name} is {version}, wanted {r.specifier}", INSTALL)
    if sound:
        yield Finding("ok", f"all {len(wanted)} that the course needs")


def torch() -> Iterator[Finding]:
    import torch

    waiting = os.environ.get("OMP_WAIT_POLICY", "unset")
    cpu = getattr(torch.cpu, "get_capabilities", dict)()
    bf16 = "in hardware" if any(cpu.get(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16")) else "emulated, so slow"
    text = f"{torch.__version__}, {torch.get_num_threads()} threads, OMP_WAIT_POLICY={waiting}, bf16 on the CPU {bf16}"
    if waiting.upper() == "PASSIVE":
        yield Finding("ok", text)
    else:
        yield Finding("note", text, "set OMP_WAIT_POLICY=PASSIVE: waiting threads that spin make small networks crawl")


def device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        free, total = (n / 2**30 for n in torch.cuda.mem_get_info())
        yield Finding("ok", f"cuda: {torch.cuda.get_device_name()}, {free:.0f} of {total:.0f} GiB free")
    elif torch.backends.mps.is_available():
        yield Finding("ok", "mps: the GPU of this Mac")
    else:
        yield Finding("ok", "cpu: torch sees no GPU here, and the course needs none")


def data() -> Iterator[Finding]:
    """Reads and checks the digits that are here; fetches nothing."""
    from .data.mnist import CURE, SHA256, VARIABLE, cache_folder, read

    named = os.environ.get(VARIABLE)
    if named == "offline":
        yield Finding("ok", f"scikit-learn's digits stand in for MNIST, as {VARIABLE}=offline asks")
        return
    folder = Path(named).expanduser() if named else cache_folder()
    try:
        for name in SHA256:
            read(name, folder)
    except (OSError, ValueError) as error:
        if named:
            yield Finding("PROBLEM", f"MNIST: {error}", CURE)
        else:
            cure = f"it is fetched into {folder} (11 MB, once) when first used; offline, scikit-learn's digits stand in"
            yield Finding("note", f"MNIST: {error}", cure)
    else:
        yield Finding("ok", f"MNIST is in {folder}, all four files whole")


def weights() -> Iterator[Finding]:
    files = sorted((Path(__file__).parent / "weights").glob("*.safetensors"))
    yield Finding("ok", ", ".join(f.stem for f in files) or "none are shipped yet: the notebooks train their own")


def widgets() -> Iterator[Finding]:
    """Of each widget package, the half that JupyterLab finds is the half that came with what Python imports."""
    from jupyter_core.paths import jupyter_path

    sound = True
    halves = {"jupyterlab_widgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
    for package, extension in halves.items():
        place = Path("labextensions", extension, "package.json")
        ours = [Path(f.locate()) for f in metadata.files(package) or () if f.match(f"*/{place.as_posix()}")]
        found = [f for p in jupyter_path() if (f := Path(p) / place).is_file()]
        if not found or (ours and _version(found[0]) != _version(ours[0])):
            sound = False
            if found:
                text = f"JupyterLab finds another {package} in {found[0].parent}"
                yield Finding("PROBLEM", text, f"delete that folder, then {INSTALL}")
            else:
                yield Finding("PROBLEM", f"JupyterLab finds no {package}", f"{INSTALL} --force-reinstall")
    if sound:
        names = (f"{name} {metadata.version(name)}" for name in ("jupyterlab", "ipywidgets", "anywidget"))
        yield Finding("ok", f"{', '.join(names)} belong together")


def _version(package: Path) -> str:
    return json.loads(package.read_text(encoding="utf-8"))["version"]


def notebooks() -> Iterator[Finding]:
    found = sorted((COURSE / "notebooks").glob("[0-9]*.ipynb"))
    if COURSE / START in found:
        yield Finding("ok", f"{len(found)} in {COURSE / 'notebooks'}")
    else:
        yield Finding("PROBLEM", f"there is no {COURSE / START}", f"clone the repository, and there: {INSTALL}")
