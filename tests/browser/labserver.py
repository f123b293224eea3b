"""A real JupyterLab in a headless Chromium, with none of the user's settings: open a notebook, run it, move it."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROJECTOR = {"width": 1280, "height": 720}
REPOSITORY = Path(__file__).parents[2]
QUIET = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update".split()
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, also those below the fold
}


@contextlib.contextmanager
def lab_server(root: Path, timeout: float = 90) -> Iterator[str]:
    """A JupyterLab over a folder, in directories of its own; the address of its notebooks, with a {} for their name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port, token = free.getsockname()[1], secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as home:
        for name, settings in SETTINGS.items():
            file = Path(home, "settings", "@jupyterlab", f"{name}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings))
        folders = {f"JUPYTER_{kind}_DIR": f"{home}/{kind}" for kind in ("CONFIG", "DATA", "RUNTIME")}
        folders |= {"JUPYTERLAB_SETTINGS_DIR": f"{home}/settings", "JUPYTERLAB_WORKSPACES_DIR": f"{home}/workspaces"}
        path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        own = {"IPYTHONDIR": f"{home}/ipython", "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE"}
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": root,
            "IdentityProvider.token": token,
            "LabApp.news_url": "",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "LabApp.expose_app_in_browser": True,
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--{name}={value}" for name, value in options.items()]
        log = Path(home, "log")
        with log.open("w") as out:
            environment = {**os.environ, **folders, **own}
            server = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=home, start_new_session=True
            )
        try:
            _wait(f"http://127.0.0.1:{port}/api?token={token}", server, log, timeout)
            yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token={token}&reset"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _wait(url: str, server: subprocess.Popen, log: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.1)


@dataclass
class Cell:
    """What a code cell shows after it ran."""

    index: int
    count: int | None
    errors: list[str]
    stderr: str
    stdout: str = ""


RUN_CELL = """async index => {
    const { content, sessionContext } = jupyterapp.shell.currentWidget, cell = content.widgets[index];
    content.activeCellIndex = index;
    await jupyterapp.commands.execute('notebook:run-cell');
    const outputs = cell.model.outputs.toJSON(), text = o => [].concat(o.text).join('');
    const all = name => outputs.filter(o => o.name === name).map(text).join('');
    return { index, count: cell.model.executionCount, stderr: all('stderr'), stdout: all('stdout'),
        errors: outputs.filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`) } }"""


@dataclass
class Lab:
    """A browser page on a JupyterLab; `complaints` gathers console errors and requests that leave this machine."""

    page: object
    address: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self):
        say = self.complaints.append
        self.page.on("console", lambda message: say(f"console: {message.text}") if message.type == "error" else None)
        self.page.on("pageerror", lambda error: say(f"error in the page: {error}"))
        self.page.on("request", lambda request: say(f"request to {request.url}") if _leaves(request.url) else None)

    def open(self, name: str, theme: str = "JupyterLab Light") -> None:
        """Open a notebook of the server's folder and wait for its kernel."""
        self.page.goto(self.address.format(name))
        self.page.wait_for_function(
            """() => { const notebook = window.jupyterapp?.shell?.currentWidget;
                       const kernel = notebook?.sessionContext?.session?.kernel;
                       return kernel?.status === 'idle' && notebook.content?.model }""",
            timeout=60_000,
        )
        self.theme(theme)
        self.complaints.clear()  # what JupyterLab itself says while it starts is not the notebook's

    def theme(self, theme: str) -> None:
        self.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)

    def run_all(self, timeout: float = 300) -> list[Cell]:
        """Run every cell and wait for the last one; the code cells with what they show."""
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
        self.page.wait_for_function(
            """() => { const { content, sessionContext } = jupyterapp.shell.currentWidget;
                       const cells = content.widgets.map(cell => cell.model).filter(cell => cell.type === 'code');
                       const ran = cell => cell.executionCount || !cell.sharedModel.getSource().trim();
                       const failed = cell => cell.outputs.toJSON().some(output => output.output_type === 'error');
                       return sessionContext.session.kernel.status === 'idle'
                           && (cells.every(ran) || cells.some(failed)) }""",
            timeout=1000 * timeout,
        )
        found = self.page.evaluate(
            """() => jupyterapp.shell.currentWidget.content.widgets.map((cell, index) => [cell, index])
               .filter(([cell]) => cell.model.type === 'code').map(([cell, index]) => {
                   const outputs = cell.model.outputs.toJSON(), text = o => [].concat(o.text).join('');
                   return { index, count: cell.model.executionCount,
                       errors: outputs.filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`),
                       stderr: outputs.filter(o => o.name === 'stderr').map(text).join('') } })"""
        )
        return [Cell(**cell) for cell in found]

    def run_each(self, times: int) -> list[list[Cell]]:
        """Run every code cell so many times in a row, as hands do; for each cell what it showed, each time."""
        which = """() => jupyterapp.shell.currentWidget.content.widgets.map((cell, index) => [cell.model, index])
                   .filter(([model]) => model.type === 'code' && model.sharedModel.getSource().trim())
                   .map(([, index]) => index)"""
        return [
            [Cell(**self.page.evaluate(RUN_CELL, index)) for _ in range(times)] for index in self.page.evaluate(which)
        ]

    def run_as(self, index: int, source: str) -> Cell:
        """Run a cell with another text in it: a pasted solution."""
        write = "([index, source]) => jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel"
        self.page.evaluate(f"{write}.setSource(source)", [index, source])
        return Cell(**self.page.evaluate(RUN_CELL, index))

    def execute(self, code: str) -> str:
        """Run code in the notebook's kernel, beside its cells; what it prints."""
        return self.page.evaluate(
            """async code => {
               const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
               const future = kernel.requestExecute({ code }), printed = [];
               future.onIOPub = ({ content }) => printed.push(content.text ?? content.evalue ?? '');
               await future.done;
               return printed.join('') }""",
            code,
        ).strip()

    def widgets(self) -> list:
        """The widgets of the notebook, in order, as Playwright locators."""
        return self.page.locator(".mpld-widget").all()

    def close(self) -> None:
        """Shut the kernel down; the next notebook starts its own."""
        self.page.evaluate("() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.shutdown()")


def _leaves(url: str) -> bool:
    return url.startswith(("http", "ws")) and "//127.0.0.1:" not in url


PIXELS = "canvas => canvas.toDataURL()"


def moves(widget, keys=("ArrowRight", "ArrowLeft", "Home", "End")) -> bool:
    """Whether a key on one of the widget's controls changes the pixels of its canvas; a box of captions: draws anew."""
    widget.scroll_into_view_if_needed()
    canvas = widget.locator("canvas").first
    if (box := widget.locator("form input[type=text]")).count():
        before = canvas.get_attribute("data-shown")
        box.fill("a green five above a red five")  # other words: the same ones may give the same picture
        box.press("Enter")
        for _ in range(600):  # its kernel has to paint
            if canvas.get_attribute("data-shown") != before:
                return True
            widget.page.wait_for_timeout(50)
        return False
    for control in widget.locator("input:enabled").all():
        for key in keys:
            before = canvas.evaluate(PIXELS)
            control.press(key)
            for _ in range(40):
                if canvas.evaluate(PIXELS) != before:
                    return True
                widget.page.wait_for_timeout(25)
    return False


@contextlib.contextmanager
def chromium() -> Iterator:
    """A headless Chromium; `chromium.new_page()` is one with cookies and cache of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


def shoot(page, folder: Path, name: str, most: int = 40) -> list[Path]:
    """The whole notebook in tiles, one picture per screen: name-00.png, name-01.png ..."""
    folder.mkdir(parents=True, exist_ok=True)
    scroller = page.locator(".jp-WindowedPanel-outer").first
    height, view = scroller.evaluate("node => [node.scrollHeight, node.clientHeight]")
    files = []
    for tile in range(min(most, -(-height // view))):
        scroller.evaluate("(node, top) => node.scrollTo(0, top)", tile * view)
        page.wait_for_timeout(150)
        files.append(folder / f"{name}-{tile:02d}.png")
        scroller.screenshot(path=str(files[-1]))
    return files
