"""python -m mpl_diffusion doctor: what is there, what is not, and the cure."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from mpl_diffusion import doctor
from mpl_diffusion.__main__ import main
from mpl_diffusion.data import mnist as door


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with the course, without MNIST, without a choice made about either."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / doctor.START).touch()
    monkeypatch.setattr(doctor, "COURSE", tmp_path)
    monkeypatch.setattr(door, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(door.VARIABLE, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")


def report(capsys):
    code = main(["doctor"])
    return code, capsys.readouterr().out


def lines(out, subject):
    return [line for line in out.splitlines() if line.split()[1:2] == [subject]]


def test_a_sound_machine_has_a_line_for_each_subject_and_no_problem(capsys):
    code, out = report(capsys)
    assert code == 0 and "PROBLEM" not in out and "The course can run here" in out
    for subject in ("python", "packages", "torch", "device", "data", "weights", "widgets", "notebooks"):
        assert len(lines(out, subject)) == 1, subject
    assert metadata.version("torch") in lines(out, "torch")[0] and "OMP_WAIT_POLICY=PASSIVE" in out
    assert metadata.version("anywidget") in lines(out, "widgets")[0]


def test_digits_that_are_not_here_are_no_problem(capsys, tmp_path):
    code, out = report(capsys)
    assert code == 0 and lines(out, "data")[0].startswith("note") and f"fetched into {tmp_path / 'cache'}" in out


def test_the_stand_in_is_named(capsys, monkeypatch):
    monkeypatch.setenv(door.VARIABLE, "offline")
    assert "scikit-learn's digits stand in" in lines(report(capsys)[1], "data")[0]


def test_a_named_folder_without_the_digits_is_a_problem_with_its_cure(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv(door.VARIABLE, str(tmp_path))
    code, out = report(capsys)
    assert code == 1 and f"PROBLEM  data       MNIST: {tmp_path} has no train-images" in out
    assert f"unset {door.VARIABLE}" in out and "Problems: 1," in out


def test_digits_that_are_here_are_checked(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(door, "unpack", lambda data, name, source: data)
    (tmp_path / "cache").mkdir()
    for name in door.SHA256:
        (tmp_path / "cache" / name).write_bytes(b"digits")
    assert lines(report(capsys)[1], "data")[0].startswith("ok") and f"{tmp_path / 'cache'}" in report(capsys)[1]
    monkeypatch.undo()
    monkeypatch.setenv(door.VARIABLE, str(tmp_path / "cache"))
    assert "is no IDX file" in report(capsys)[1]


def test_spinning_threads_are_noted(capsys, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    code, out = report(capsys)
    assert code == 0 and lines(out, "torch")[0].startswith("note") and "set OMP_WAIT_POLICY=PASSIVE" in out


def test_missing_notebooks_are_a_problem(capsys, tmp_path):
    (tmp_path / doctor.START).unlink()
    code, out = report(capsys)
    assert code == 1 and str(tmp_path / doctor.START) in lines(out, "notebooks")[0]


@pytest.mark.parametrize("version", [None, "0.1"])
def test_a_package_that_is_missing_or_too_old_is_a_problem(capsys, monkeypatch, version):
    known = metadata.version

    def pretend(name):
        if name != "pooch":
            return known(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", pretend)
    code, out = report(capsys)
    assert code == 1 and f"pooch is {version or 'missing'}, wanted" in out and doctor.INSTALL in out


def test_a_python_that_is_too_old_is_a_problem(capsys, monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    code, out = report(capsys)
    assert code == 1 and "3.9.1" in out and "but the course needs >=3" in out


@pytest.mark.parametrize("extension", ["anywidget", "@jupyter-widgets/jupyterlab-manager"])
def test_a_widget_whose_halves_differ_is_a_problem(capsys, monkeypatch, tmp_path, extension):
    """An old half in a user's own folder hides the one of this environment."""
    package = tmp_path / "labextensions" / extension / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text(json.dumps({"version": "0.0.1"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    code, out = report(capsys)
    assert code == 1 and "-> delete that folder" in out and str(package.parent) in lines(out, "widgets")[0]


def test_a_widget_without_its_half_in_jupyterlab_is_a_problem(capsys, monkeypatch):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [])
    code, out = report(capsys)
    assert code == 1 and "JupyterLab finds no anywidget" in out


def test_a_check_that_breaks_does_not_end_the_report(capsys, monkeypatch):
    def broken(*_):
        raise OSError("libtorch is broken")

    monkeypatch.setattr("torch.cuda.is_available", broken)
    code, out = report(capsys)
    assert code == 1 and "OSError: libtorch is broken" in lines(out, "device")[0] and lines(out, "notebooks")


def test_shipped_weights_are_listed(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "doctor.py"))
    assert "none are shipped yet" in report(capsys)[1]
    Path(tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "roll.safetensors").touch()
    assert lines(report(capsys)[1], "weights")[0].endswith("roll")
