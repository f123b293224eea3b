"""The course in JupyterLab: on this machine only, behind a token, ended at once by Ctrl-C."""

import os
import secrets
import signal
import socket
import sys
from pathlib import Path

HOST = "127.0.0.1"
COURSE = Path(__file__).resolve().parents[1]  # the clone: notebooks stand beside the package
START = "notebooks/00_start_here.ipynb"
NEWS = "@jupyterlab/apputils-extension:announcements"  # asks on the first visit whether it may fetch news


def lab(port: int | None = None, browser: bool = True) -> int:
    """Serve the course until Ctrl-C and return the exit code; `port=None` takes 8888 or the next free one.

    A browser is opened where there is a screen; the address is printed in any case. The server runs in this very
    process: one signal ends it and its kernels, and these inherit the thread setting of the package's front door.
    """
    if not (COURSE / START).is_file():
        return _fail(
            f"{COURSE / START} does not exist: the notebooks come with a clone, not with a wheel.\n"
            "Clone the repository and install it in place: pip install -c constraints.txt -e ."
        )
    if port and (trouble := _trouble(port)):
        return _fail(f"Port {port} cannot be used ({trouble}). Choose another, or leave --port out to find one.")
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # "python3" is this Python, whatever the user has installed
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        return _fail(f"JupyterLab cannot be started ({error}). Install it: pip install -c constraints.txt -e .")

    token = secrets.token_hex(24)
    arguments = [
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.root_dir={COURSE}",
        f"--LabApp.default_url=/lab/tree/{START}",
        f"--IdentityProvider.token={token}",
        "--Application.log_level=ERROR",
        "--LabApp.news_url=None",  # no request leaves this machine
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if port:
        arguments += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if not (browser and _screen()):
        arguments += ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments += ["--allow-root"]
    try:
        server = LabApp.initialize_server(arguments)
    except OSError as error:
        return _fail(
            f"Jupyter cannot write its own files ({error}).\n"
            "Free some room, or name another folder: JUPYTER_CONFIG_DIR, JUPYTER_DATA_DIR and JUPYTER_RUNTIME_DIR."
        )
    server.web_app.settings["page_config_hook"] = _without_news
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop(from_signal=True))
    print(
        f"The course is open at\n\n    {server.connection_url}lab/tree/{START}?token={token}\n\nCtrl-C ends it.",
        flush=True,
    )
    server.start()
    return 0


def _without_news(handler, page_config: dict) -> dict:
    """The page's settings with the announcements switched off, whatever else is switched off already."""
    return {**page_config, "disabledExtensions": [*page_config.get("disabledExtensions", []), NEWS]}


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _trouble(port: int) -> str | None:
    """Why nothing can listen on `port`, if so."""
    with socket.socket() as s:
        if os.name == "posix":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given back is free
        try:
            s.bind((HOST, port))
        except OSError as error:
            return error.strerror
    return None


def _screen() -> bool:
    """Whether a browser opened here would be seen; on Linux a text browser would take over the terminal instead."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
