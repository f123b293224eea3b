"""How long from a key press to the new picture, in a real JupyterLab: `python benchmarks/slider_latency.py`.

The clock starts when the key event reaches the page and stops after the frame in which the canvas has changed was
drawn; every fifth press is of a key that jumps to a picture not decoded yet. Needs JupyterLab, playwright, Chromium.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from labserver import CHROMIUM, PROJECTOR, Lab, chromium, lab_server

PRESSES = 100
CELLS = {
    "explore, 51 x 2 line plots": """
        from matplotlib import pyplot as plt
        import numpy as np
        from mpl_diffusion.teaching.widgets import explore, particles
        rng = np.random.default_rng(0)
        def wave(t, kind):
            figure, ax = plt.subplots(figsize=(9.6, 4))
            x = np.linspace(0, 1, 300)
            ax.plot(x, np.sin(x * t / 30) if kind == "sine" else np.sign(np.sin(x * t / 30)))
            return figure
        e = explore(wave, t=range(0, 1001, 20), kind=["sine", "square"], progress=False)
        print(len(e._frames)); e""",
    "explore, 51 sheets of noisy digits": """
        sheet = rng.normal(size=(112, 280))
        e = explore(lambda t: np.clip(0.5 + sheet * t / 3000, 0, 1), t=range(0, 1001, 20), progress=False)
        print(len(e._frames)); e""",
    "particles, 5,000 points": """
        walk = rng.normal(size=(1, 5000, 2)) * np.linspace(1, 0.2, 51)[:, None, None]
        p = particles(walk, limit=3)
        print(len(p._points)); p""",
}
# Two animation frames: the first callback runs before the picture is put on the screen, the second after it.
PRESS = """canvas => { window.took = new Promise(done => {
    const before = canvas.dataset.shown;
    document.addEventListener('keydown', () => {
        const start = performance.now();
        const look = () => canvas.dataset.shown === before ? requestAnimationFrame(look)
            : requestAnimationFrame(() => done(performance.now() - start));
        look();
    }, { capture: true, once: true });
}) }"""


def main() -> None:
    if CHROMIUM is None:
        sys.exit("there is no Chromium on this machine")
    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(dedent(cell)) for cell in CELLS.values()],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, Path(folder, "latency.ipynb"))
        with lab_server(Path(folder)) as address, chromium() as browser:
            lab = Lab(browser.new_page(viewport=PROJECTOR), address)
            lab.open("latency.ipynb")
            errors = [error for cell in lab.run_all() for error in cell.errors]
            if errors:
                sys.exit("\n".join(errors))
            lab.page.wait_for_timeout(2000)
            sizes = [
                int(text) for text in lab.page.locator(".jp-OutputArea-output pre").all_text_contents() if text.strip()
            ]
            print(f"{'':36}{'median ms':>10}{'90 % ms':>10}{'MB sent':>10}{'frames/s':>10}")
            for name, widget, size in zip(CELLS, lab.widgets(), sizes, strict=True):
                times = [press(widget, key) for key in keys()]
                ninth = statistics.quantiles(times, n=10)[8]
                rate = frames_per_second(widget)
                print(f"{name:36}{statistics.median(times):10.1f}{ninth:10.1f}{size / 1e6:10.2f}{rate:10.0f}")
            lab.close()
    print(f"{PRESSES} presses each; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def dedent(cell: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in cell.strip().splitlines())


def keys():
    for k in range(PRESSES // 5):
        yield from ("ArrowRight",) * 4 if k % 2 == 0 else ("ArrowLeft",) * 4
        yield "End" if k % 2 == 0 else "Home"


def press(widget, key: str) -> float:
    canvas, slider = widget.locator("canvas"), widget.locator("input[type=range]")
    slider.focus()
    canvas.evaluate(PRESS)
    widget.page.keyboard.press(key)
    return widget.page.evaluate("() => took")


def frames_per_second(widget, seconds: float = 3) -> float:
    """How often the picture changes while it plays."""
    widget.locator(".mpld-play").click()
    changes = widget.locator("canvas").evaluate(
        """async (canvas, seconds) => {
           let changes = 0, last = '';
           for (const start = performance.now(); performance.now() - start < 1000 * seconds; ) {
               await new Promise(requestAnimationFrame);
               if (canvas.dataset.shown !== last) [last, changes] = [canvas.dataset.shown, changes + 1];
           }
           return changes }""",
        seconds,
    )
    widget.locator(".mpld-play").click()
    return changes / seconds


if __name__ == "__main__":
    main()
