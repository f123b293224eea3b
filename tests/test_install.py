"""pyproject.toml, constraints.txt, environment.yml and README say the same about how the course is installed."""

import platform
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mpl_diffusion import adherence, classify_digits

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEST = PROJECT["optional-dependencies"]["test"]
WANTED = [Requirement(line) for line in PROJECT["dependencies"] + TEST]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PIN = {canonicalize_name(pin.name): pin for pin in PINS}
COMMANDS = (
    "pip install -c constraints.txt -e . && python -m mpl_diffusion lab",
    'pip install -c constraints.txt -e ".[test]" && pytest',
)


def test_each_pin_is_exact_and_stands_once():
    assert len(PIN) == len(PINS)
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.extras for pin in PINS)
    assert PINS[0].name == "torch"


@pytest.mark.parametrize("wanted", WANTED, ids=lambda r: r.name)
def test_a_dependency_has_a_range_and_a_tested_version_inside_it(wanted):
    assert {s.operator for s in wanted.specifier} & {">=", "~="}, "no lower bound"
    version = str(PIN[canonicalize_name(wanted.name)].specifier).removeprefix("==")
    assert wanted.specifier.contains(version)


def test_each_dependency_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for wanted in WANTED:
        assert re.search(rf'^    "{re.escape(wanted.name)}[^"]*",\s+# \S', text, re.M), f"{wanted.name}: why?"


def test_whatever_a_dependency_pulls_in_is_pinned_too():
    """All that pip would install here, by the metadata of what is installed."""
    todo, seen = [Requirement("mpl_diffusion[test]")], set()
    while todo:
        r = todo.pop()
        name = canonicalize_name(r.name)
        if (name, *sorted(r.extras)) in seen:
            continue
        seen.add((name, *sorted(r.extras)))
        try:
            lines = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:  # a part of a peer library that nothing here uses
            lines = ()
        for extra in ("", *r.extras):
            todo += [d for d in map(Requirement, lines) if d.marker is None or d.marker.evaluate({"extra": extra})]
    names = {name for name, *_ in seen} - {"mpl-diffusion"}
    gpu = re.compile(r"nvidia-|cuda-|triton$")  # torch itself pins what its GPU build needs
    assert {name for name in names if not gpu.match(name)} <= PIN.keys()


def test_the_conda_environment_installs_by_the_same_two_lines():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, lines = environment["dependencies"]
    assert pip == "pip" and lines == {"pip": ["-c constraints.txt", "-e .[test]"]}
    name, _, version = python.partition("=")
    assert name == "python" and version in Requirement(f"python{PROJECT['requires-python']}").specifier


def test_the_readme_gives_the_two_commands_and_the_pinned_torch():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"\n{command}\n" in readme for command in COMMANDS)
    assert all(f"torch{PIN['torch'].specifier}" == found for found in re.findall(r"torch==[\w.]+", readme))
    for file in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme):
        assert (ROOT / file).exists(), f"README links to {file}"


def test_the_readmes_examples_run(tmp_path, monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.S)
    assert max(sum(bool(line.strip()) for line in example.splitlines()) for example in examples) <= 10
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    roll, digits, pictures = ({} for _ in examples)
    for example, names in zip(examples, (roll, digits, pictures)):
        exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "roll.png").stat().st_size > 10_000 and (tmp_path / "sevens.png").stat().st_size > 3_000
    assert roll["x"].shape == (2000, 2) and roll["x"].abs().max() < 4, "a point strayed"
    assert (classify_digits(digits["x"]) == 7).sum() >= 13, "the sevens are none"
    painted = pictures["autoencoder"].decode(pictures["autoencoder"].unscale(pictures["z"]))
    assert adherence(painted, ["a red seven left of a blue three"] * 8).all >= 0.75, "it paints something else"
    assert (tmp_path / "scenes.png").stat().st_size > 10_000


def test_what_runs_here_is_inside_the_ranges():
    assert platform.python_version() in Requirement(f"python{PROJECT['requires-python']}").specifier
    for wanted in WANTED:
        assert wanted.specifier.contains(metadata.version(wanted.name), prereleases=True), wanted.name
