"""python -m mpl_diffusion lab: the server answers behind its token, serves the course, and ends cleanly at once."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client import BlockingKernelClient

import mpl_diffusion
from mpl_diffusion.__main__ import main

PACKAGE = Path(mpl_diffusion.__file__).parent
ADDRESS = re.compile(r"http://\S+/lab/tree/notebooks/00_start_here\.ipynb\?token=\w+")
posix = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")


@pytest.fixture
def clone(tmp_path):
    """A clone with one small notebook; python -m run inside uses this copy of the package."""
    clone = tmp_path / "clone"
    shutil.copytree(PACKAGE, clone / "mpl_diffusion", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(), clone / "notebooks" / "00_start_here.ipynb")
    return clone


@pytest.fixture
def environment(tmp_path):
    """Nothing of the user's Jupyter, no screen, and no choice made yet about the threads."""
    gone = "DISPLAY", "WAYLAND_DISPLAY", "OMP_WAIT_POLICY", "JUPYTER_TOKEN"
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    rooms = {f"JUPYTER_{room}_DIR": str(tmp_path / room) for room in ("CONFIG", "DATA", "RUNTIME")}
    return {**kept, **rooms, "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces")}


@pytest.fixture
def lab(clone, environment, tmp_path):
    """lab(*arguments) starts the course and returns the process, with the address it printed as `.address`."""
    runs = []

    def start(*arguments, **extra):
        log = open(tmp_path / "log", "w+")
        run = subprocess.Popen(
            [sys.executable, "-m", "mpl_diffusion", "lab", *arguments],
            cwd=clone, env={**environment, **extra}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        runs.append(run)
        run.said = Path(log.name).read_text
        for _ in range(600):
            if found := ADDRESS.search(run.said()):
                run.address = found[0]
                return run
            if run.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"no address was printed:\n{run.said()}")

    yield start
    for run in runs:
        run.kill()
        run.wait()


def ask(address, path="", method="GET"):
    """The answer of the server at `address` to `path`, which goes with the token of the address."""
    base, _, token = address.partition("/lab/tree/")[0], *address.partition("?token=")[1:]
    request = urllib.request.Request(f"{base}/{path}", method=method, headers={"Authorization": f"token {token}"})
    return json.load(urllib.request.urlopen(request, timeout=20))


@posix
def test_the_course_opens_on_the_port_asked_for_behind_a_token_and_ctrl_c_ends_it_at_once_with_its_kernels(
    lab, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    run = lab("--no-browser", "--port", str(port))
    assert run.address.startswith(f"http://127.0.0.1:{port}/")
    page = urllib.request.urlopen(run.address, timeout=20).read().decode()
    assert "JupyterLab" in page and re.search(r'"news": *\{"disabled": *true', page), "news would be fetched"
    assert re.search(r'"disabledExtensions": *\[[^\]]*"@jupyterlab/apputils-extension:announcements"', page), "it asks"
    assert ask(run.address, "api/contents/notebooks/00_start_here.ipynb")["type"] == "notebook"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(run.address.partition("/lab/")[0] + "/api/contents", timeout=20)

    process = psutil.Process(run.pid)
    assert {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    kernel = ask(run.address, "api/kernels", method="POST")["id"]
    client = BlockingKernelClient(connection_file=str(tmp_path / "RUNTIME" / f"kernel-{kernel}.json"))
    wait_for(Path(client.connection_file).exists)
    client.load_connection_file()
    client.start_channels()
    wait_for(lambda: answers(client))
    said = []
    code = "import os, sys; print(os.environ['OMP_WAIT_POLICY'], sys.executable, os.getpid())"
    client.execute_interactive(code, output_hook=lambda message: said.append(message["content"].get("text", "")))
    client.stop_channels()
    waiting, python, pid = "".join(said).split()
    assert (waiting, python) == ("PASSIVE", sys.executable)

    start = time.monotonic()
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=20) == 0
    assert time.monotonic() - start < 5
    wait_for(lambda: not psutil.pid_exists(int(pid)))  # no kernel is left behind
    assert "Traceback" not in run.said() and "[y/N]" not in run.said()


def answers(client):
    """Whether the kernel does; on a busy machine its heart may beat late at first, which the client takes for death."""
    try:
        client.wait_for_ready(timeout=60)
    except RuntimeError:
        return False
    return True


def wait_for(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited 30 s in vain")


@posix
def test_ctrl_c_in_a_terminal_asks_nothing(clone, environment):
    """A terminal is where Jupyter would ask "are you sure"."""
    import pty

    master, slave = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "mpl_diffusion", "lab", "--no-browser"],
        cwd=clone, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    said = ""
    try:
        while not ADDRESS.search(said):
            said += os.read(master, 4096).decode()
        time.sleep(0.5)
        os.write(master, b"\x03")  # Ctrl-C, as the terminal sends it
        assert run.wait(timeout=10) == 0
        try:
            while chunk := os.read(master, 4096):
                said += chunk.decode()
        except OSError:  # the terminal is gone
            pass
        assert "Traceback" not in said and "Shut down" not in said
    finally:
        run.kill()
        run.wait()
        os.close(master)


def test_a_taken_port_is_an_error_when_it_was_asked_for(clone, environment):
    with socket.create_server(("127.0.0.1", 0)) as s:
        said = refused(clone, environment, "--port", str(s.getsockname()[1]))
        assert f"Port {s.getsockname()[1]} cannot be used" in said and "Choose another" in said


def test_a_missing_notebook_is_an_error_that_says_where_it_was_sought(clone, environment):
    (clone / "notebooks" / "00_start_here.ipynb").unlink()
    assert str(clone / "notebooks" / "00_start_here.ipynb") in refused(clone, environment)


@posix
def test_a_folder_that_jupyter_cannot_write_is_named(clone, environment, tmp_path):
    (tmp_path / "a file").touch()
    environment |= {f"JUPYTER_{kind}_DIR": str(tmp_path / "a file" / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    said = refused(clone, environment)
    assert str(tmp_path / "a file") in said and said.count("\n") == 2 and "JUPYTER_RUNTIME_DIR" in said


def refused(clone, environment, *arguments):
    run = subprocess.run(
        [sys.executable, "-m", "mpl_diffusion", "lab", "--no-browser", *arguments],
        cwd=clone, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1 and "Traceback" not in run.stderr
    return run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
@pytest.mark.parametrize("screen, flags, opened", [("", [], False), (":0", [], True), (":0", ["--no-browser"], False)])
def test_a_browser_is_opened_only_where_there_is_a_screen(lab, tmp_path, screen, flags, opened):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    run = lab(*flags, DISPLAY=screen, BROWSER=str(browser))
    page = tmp_path / "opened"
    if not opened:
        time.sleep(1)
        assert not page.exists()
        return
    wait_for(page.exists)
    wait_for(page.read_text)
    redirect = Path(urllib.request.url2pathname(page.read_text().removeprefix("file://"))).read_text()
    assert run.address.replace("&", "&amp;") in redirect


@pytest.mark.parametrize("port", ["0", "65536", "-1", "eight", "²"])
def test_a_port_that_is_none_is_refused(capsys, monkeypatch, port):
    monkeypatch.setattr("mpl_diffusion.lab.lab", lambda **_: 0)
    with pytest.raises(SystemExit):
        main(["lab", "--port", port])
    assert "expected a whole number from 1 to 65535" in capsys.readouterr().err


def test_no_command_prints_the_help_without_importing_torch(capsys):
    assert main([]) == 0
    assert "lab" in capsys.readouterr().out
    probe = "import sys; from mpl_diffusion.__main__ import main; main([]); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout.endswith("False\n")
