"""Quality against steps, measured once and shipped with the package: what each sampler costs, and how good it is.

`python -m mpl_diffusion measure ddim` makes the table again, in the manner of J. Song et al. (2020, table 1). All rows
start from the same x_T and ask for the same labels. Long walks have fewer images, so each row names its number.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..checks import MOST_THREADS, check_whole
from ..files import digest, make_folder, write_whole
from ..models import WEIGHTS, load
from ..reverse.ancestral import ddim, ddpm
from ..reverse.denoiser import Denoiser
from ..reverse.guidance import clamp
from ..reverse.heun import ddim_heun
from ..reverse.multistep import dpm_solver
from ..reverse.walk import Step
from .digits import Floor, floor_at, quality

FORMAT = "mpl_diffusion table 2"
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 1000)
ETAS = (0.0, 0.5, 1.0)
SPACED = (10, 20, 50)  # also in the other spacings, and without their last step
LONG, FEW = 100, 2000  # a walk of more than 100 steps has at most 2,000 images
BATCH = 200
PRECISIONS = ("float32", "bfloat16")


class Walk(NamedTuple):
    """A way from x_T to x_0: "ddim" with its eta, "ddpm" with sigma^2 = beta, "dpm_solver" (2M), "heun"."""

    sampler: str
    steps: int
    eta: float | None = None
    spacing: str = "trailing"

    def run(self, denoiser, process, x: Tensor, cond: Tensor, noise: torch.Generator) -> Iterator[Step]:
        times = process.times(self.steps, self.spacing)
        if self.sampler == "ddim":
            return ddim(denoiser, process, x, times, self.eta, cond=cond, noise=noise)
        if self.sampler == "ddpm":
            return ddpm(denoiser, process, x, times, variance="beta", cond=cond, noise=noise)
        return {"dpm_solver": dpm_solver, "heun": ddim_heun}[self.sampler](denoiser, process, x, times, cond=cond)


class Row(NamedTuple):
    """What came of one walk; `last` = False: of the same one, stopped before its last step."""

    sampler: str
    steps: int
    eta: float | None
    spacing: str
    last: bool
    n: int  # images
    evaluations: int
    frechet: float
    std: float  # of the distance, by a jackknife over ten parts
    precision: float
    recall: float
    accuracy: float  # the share read as the label that was asked for
    seconds: float  # for all n images, of the whole walk


class Table(NamedTuple):
    """The rows, and what they were measured with: `facts` are command, precision, weights, torch, machine.

    `floors` holds, for each number of images n, what n real digits get.
    """

    floors: dict[int, Floor]
    rows: list[Row]
    facts: dict[str, str]

    def pick(self, *, spacing: str = "trailing", last: bool = True, **what) -> list[Row]:
        """The rows that agree, the fewest evaluations first: `table.pick(sampler="ddim", eta=0)`."""
        what = {"spacing": spacing, "last": last, **what}
        if unknown := what.keys() - set(Row._fields):
            raise ValueError(f"a row has no {', '.join(sorted(unknown))}; it has {', '.join(Row._fields)}")
        rows = [row for row in self.rows if all(getattr(row, key) == value for key, value in what.items())]
        return sorted(rows, key=lambda row: row.evaluations)

    def distances(self, steps: Sequence[int] = STEPS, **what) -> tuple[list[float], list[float]]:
        """The distance and its std after each of `steps`, of the rows that agree; NaN where nothing was measured.

        Both are in floors: the distance of as many real digits with even labels is 1.
        """
        rows = {row.steps: row for row in self.pick(**what)}
        distances, stds = [], []
        for S in steps:
            unit = self.floors[rows[S].n].even if S in rows else 1.0
            distances.append(rows[S].frechet / unit if S in rows else math.nan)
            stds.append(rows[S].std / unit if S in rows else math.nan)
        return distances, stds


def walks() -> list[Walk]:
    """All of the table, in the order in which it is measured: the long walks last, and the longest at the very end."""
    etas = [Walk("ddim", S, eta) for S in STEPS for eta in ETAS]
    others = [Walk("ddpm", S) for S in STEPS] + [Walk("heun", S) for S in (1, 3, 5, 10, 25)]
    others += [Walk("dpm_solver", S) for S in (1, 2, 5, 10, 20, 50)]
    spaced = [Walk("ddim", S, 0.0, spacing) for spacing in ("linspace", "leading") for S in SPACED]

    def order(walk: Walk):
        between = walk.eta == 0.5 or walk.sampler == "ddpm"  # of less interest than both ends, eta = 0 and 1
        return walk.steps > LONG, walk.steps == max(STEPS), between, walk.steps

    return sorted([*etas, *others, *spaced], key=order)


def load_table(name: str | Path = "ddim") -> Table:
    """The table that ships with the package, or one in a JSON file that `python -m mpl_diffusion measure` wrote.

    A measurement that was stopped has fewer rows than `walks`. ValueError: a file that is damaged, or was measured
    with other weights than those shipped with the package.
    """
    path = Path(name) if str(name).endswith(".json") else WEIGHTS / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"there is no table {path}; `python -m mpl_diffusion measure ddim` makes it")
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ValueError(f"{path} has format {found['format']!r}; this version reads {FORMAT!r}")
        floors = {int(n): Floor(**floor) for n, floor in found["floors"].items()}
        table = Table(floors, [Row(**row) for row in found["rows"]], found["facts"])
        if not floors or {row.n for row in table.rows} - floors.keys():
            raise KeyError("a floor is missing")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} is damaged, or no table of this project; make it again") from None
    if table.facts.get("weights") != weights():
        raise ValueError(f"{path} was measured with other weights than the shipped ones; measure it again")
    return table


def measure(
    name: str,
    *,
    n: int = 5000,
    precision: str = "float32",
    out: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    compile: bool = False,
    threads: int | None = None,
) -> int:
    """Measure what FILE does not hold yet of all `walks`, and write it row by row; returns the exit status.

    n images for each row, and at most 2,000 beyond S = 100. The one row that was measured in both
    precisions agrees: DDIM with 20 steps, eta = 0 and 2,000 digits got 2.836 in float32 and 2.853 in bfloat16, with a
    std of 0.79.
    ValueError: an unknown table, a file that is in use, or with `resume` one of other weights, n or precision.
    """
    if name != "ddim":
        raise ValueError(f"no table is called {name!r}; there is 'ddim'")
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r}; expected one of {', '.join(PRECISIONS)}")
    if threads is not None:
        check_whole(high=MOST_THREADS, threads=threads)
    path = Path("runs", f"{name}.json") if out is None else Path(out)
    if path.suffix != ".json":
        raise ValueError(f"out = {str(out)!r}; expected a file whose name ends in .json")
    if path.is_symlink() and not path.exists():
        raise ValueError(f"{path} is a link that leads nowhere; name another --out")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file; name another --out")
    rows = []
    if path.exists():
        if not resume:
            raise ValueError(f"{path} is there already: go on with --resume, or delete it, or name another --out")
        before = load_table(path)
        if max(before.floors) != n:
            held = max(before.floors)
            raise ValueError(f"{path} holds rows of {held} images; go on with --n {held}, or start anew")
        if (held := before.facts.get("precision")) != precision:
            raise ValueError(f"{path} was measured in {held}; go on with --precision {held}, or start anew")
        rows = before.rows
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no 'cuda' here; leave out --device, and the CPU measures")
    if threads:
        torch.set_num_threads(threads)
    where = f"CPU, {torch.get_num_threads()} thread(s)" if device == "cpu" else torch.cuda.get_device_name(device)
    options = f"--n {n} --precision {precision}" + " --compile" * compile + f" --threads {threads}" * bool(threads)
    facts = {
        "command": f"python -m mpl_diffusion measure {name} {options}",
        "precision": precision,
        "weights": weights(),
        "torch": torch.__version__,
        "machine": where + ", compiled" * compile,
    }
    floors = {size: floor_at(size)._asdict() for size in (n, min(n, FEW))}
    table = {"format": FORMAT, "floors": floors, "facts": facts}
    make_folder(path.parent)
    denoiser = load("mnist").to(device)
    if compile:
        denoiser.net.compile()
        rows_of(Walk("ddim", 1, 0.0), denoiser, BATCH, precision)  # compiles now, not in the first row's seconds
    done = {Walk(*row[:4]) for row in rows}
    for walk in (walk for walk in walks() if walk not in done):
        size = n if walk.steps <= LONG else min(n, FEW)
        rows += (found := rows_of(walk, denoiser, size, precision))
        write_whole(path, json.dumps({**table, "rows": [row._asdict() for row in rows]}, indent=0).encode())
        print(f"{' '.join(map(str, walk))}: {found[0].frechet:.2f} after {found[0].seconds:.0f} s", flush=True)
    print(f"{path}: {len(rows)} rows")
    return 0


def rows_of(walk: Walk, denoiser: Denoiser, n: int, precision: str = "float32", seed: int = 0) -> list[Row]:
    """What a walk gives: n digits, labels 0 ... 9 in turn, w = 1; of some walks also a row without the last step."""
    process, device = denoiser.process, next(denoiser.parameters()).device
    labels, clamped = torch.arange(n) % 10, clamp(denoiser, process)
    start, noise = (torch.Generator().manual_seed(2 * seed + k) for k in (0, 1))
    ends, begin = [], time.perf_counter()
    for some in labels.split(BATCH):
        x, cond = process.prior(len(some), 1, 28, 28, generator=start).to(device), (some[:, None] + 1).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            ends.append([step.x.cpu() for step in deque(walk.run(clamped, process, x, cond, noise), maxlen=2)])
    seconds = time.perf_counter() - begin
    calls = 2 * walk.steps - 1 if walk.sampler == "heun" else walk.steps
    short = walk.sampler == "ddim" and walk.eta in (0, 1) and walk.steps in SPACED
    return [
        Row(
            *walk,
            last,
            n,
            calls - (not last),
            *_scores(torch.cat([end[-1 if last else 0] for end in ends]), labels),
            seconds,
        )
        for last in ([True, False] if short else [True])
    ]


def weights() -> str:
    """The SHA-256 of the digits' weights that ship with the package."""
    return digest(load("mnist").state_dict(), {})


def _scores(images: Tensor, labels: Tensor) -> list[float]:
    found = quality(images, labels)
    scores = (found.frechet, found.frechet_std, found.precision, found.recall, found.accuracy)
    return [round(value, 4) for value in scores]
