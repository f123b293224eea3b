"""Training: one step is a method, a run is a generator, a checkpoint is a file that resumes bit for bit."""

from __future__ import annotations

import copy
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..checks import check_whole, is_integer
from ..files import load_tensors, save_tensors
from . import distributed

PRECISIONS = ("float32", "bfloat16")
WINDOW = 100  # a run has diverged when most of so many losses are far too high


class Progress(NamedTuple):
    step: int
    loss: float


class batches:
    """Endless shuffled minibatches of tensors held in memory: `batches(x, y, size=256)[k]` is the batch of step k.

    A pure function of the seed and k, so a resumed run sees what an uninterrupted one would have seen.
    """

    def __init__(self, *arrays: Tensor, size: int, seed: int = 0):
        rows = {len(a) for a in arrays}
        if len(rows) != 1 or not is_integer(size) or not 1 <= size <= max(rows):
            raise ValueError(f"arrays of {sorted(rows)} rows, size = {size}; expected equal rows and 1 <= size <= rows")
        for a in arrays:
            if a.is_floating_point() and not torch.isfinite(a).all():
                raise ValueError(f"{int((~torch.isfinite(a)).sum())} entries of the data are NaN or infinite")
        self.arrays, self.size, self.seed = arrays, size, seed
        self._epoch, self._order = -1, None

    def __getitem__(self, k: int) -> tuple[Tensor, ...]:
        epoch, i = divmod(k, len(self.arrays[0]) // self.size)
        if epoch != self._epoch:
            seed = 1_000_003 * self.seed + epoch  # torch reads only the low 32 bits of it, so no shift by 32
            shuffle = torch.Generator().manual_seed(seed)
            self._epoch, self._order = epoch, torch.randperm(len(self.arrays[0]), generator=shuffle)
        rows = self._order[i * self.size : (i + 1) * self.size]
        return tuple(a[rows] for a in self.arrays)


class Trainer:
    """Adam, a warm-up, a decay to 0, and a moving average of the weights, `ema`: sample from that one.

    lr(k) = lr * min(1, k / warmup) * cos^2(pi/2 (k - 1)/steps), and the average over the last share `ema` of the run
    so far:

        slow += (1 - (1 - 1/k)^(gamma + 1)) (fast - slow),     gamma from the share (Karras et al. 2024b, sec. 3.1)

    so that an early average is no more than early weights: never the noise that they started from.

    `precision` "bfloat16" computes the loss under autocast (weights stay float32), `compile` sends the network (a
    denoiser's `net`) through torch.compile. Under torchrun each process takes its rows of every batch, and all step by
    the mean gradient.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        lr: float = 2e-3,
        *,
        ema: float = 0.05,
        warmup: int = 100,
        betas: tuple[float, float] = (0.9, 0.99),
        clip: float = 1.0,
        precision: str = "float32",
        compile: bool = False,
    ):
        if not (0 < lr < math.inf and 0 < ema < 0.28):
            raise ValueError(f"lr = {lr!r}, ema = {ema!r}; expected lr > 0, and the share 0 < ema < 0.28")
        if not (clip > 0 and not isinstance(clip, bool)):  # infinity clips nothing
            raise ValueError(f"clip = {clip!r}; expected the largest norm of a gradient, above 0")
        check_whole(warmup=warmup)
        if not isinstance(compile, bool):
            raise ValueError(f"compile = {compile!r}; expected True or False")
        if precision not in PRECISIONS:
            raise ValueError(f"precision = {precision!r}; expected one of {', '.join(map(repr, PRECISIONS))}")
        self.model, self.lr, self.warmup, self.clip, self.precision = model, lr, warmup, clip, precision
        self.loss = loss
        self.gamma = _gamma(ema)
        self._fast = list(model.parameters())
        self.device = self._fast[0].device
        self.rank, self.world = distributed.join(self.device)
        distributed.broadcast_(list(model.state_dict().values()))
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank)  # other t and eps than rank 0's, for other rows
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self._slow = list(self.ema.parameters())
        if compile:
            getattr(model, "net", model).compile()
        self.optimizer = torch.optim.Adam(self._fast, lr=lr, betas=betas, fused=True)
        self.rival = False  # a critic's loss rises when its opponent improves: that is no divergence
        self.step = 0
        self.losses: list[float] = []  # one per step: an interrupted cell still has its curve
        self._lowest: list[float] = []  # the lowest median so far, after every WINDOW losses

    def run(self, data, steps: int) -> Iterator[Progress]:
        """Train on data[self.step], data[self.step + 1], ... until `steps` are done in all; yields Progress.

        Stop it anywhere, run it again: it goes on where it was, as if it had never stopped. Ctrl-C waits for the step
        that is under way. ValueError: a loss or gradient is not finite, or the run has diverged.
        """
        _check_steps(steps)
        while self.step < steps:
            with _finish_first():
                progress = self.turn(data, steps)
            yield progress

    def turn(self, data, steps: int) -> Progress:
        """One step on this process's rows of data[self.step]."""
        return self.update(tuple(map(self._mine, data[self.step])), steps)

    def update(self, batch: tuple[Tensor, ...], steps: int) -> Progress:
        """One step of gradient descent on this process's rows, number self.step + 1 of `steps`."""
        k = self.step + 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * min(1, k / self.warmup) * math.cos(math.pi / 2 * self.step / steps) ** 2
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            loss = self.loss(*batch)
        self.optimizer.zero_grad()
        loss.backward()
        loss = loss.detach()
        distributed.all_mean_([loss, *(p.grad for p in self._fast if p.grad is not None)])
        norm = nn.utils.clip_grad_norm_(self._fast, self.clip)
        value, norm = torch.stack([loss, norm]).tolist()  # the one place where the host waits for the device
        self._check(k, value, norm)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._slow, self._fast, 1 - (1 - 1 / k) ** (self.gamma + 1))
        self.step = k
        self.losses.append(value)
        return Progress(k, value)

    @property
    def healthy(self) -> bool:
        """No loss of the last ten is one of a diverged run: a checkpoint of now is worth keeping."""
        return max(self.losses[-10:], default=0.0) <= self._bar()

    def save(self, path: str | Path, facts: dict[str, str] | None = None) -> None:
        """A checkpoint: weights, their average, Adam's moments, the random states, the curve, your facts; atomic.

        Of several processes all call it, and rank 0 writes.
        """
        _write(path, self, self.state(), facts)

    def state(self) -> dict[str, Tensor]:
        """All that a checkpoint holds. Of several processes all call it; rank 0 has the others' random states too."""
        tensors = {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        for name, generator in self._generators().items():
            for rank, state in enumerate(distributed.all_gather(generator.get_state())):
                tensors[f"{name}.{rank}" if rank else name] = state
        for part, state in (("model", self.model.state_dict()), ("ema", self.ema.state_dict())):
            tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": tensor for name, tensor in moments.items()}
        return tensors

    def load(self, path: str | Path, facts: dict[str, str] | None = None) -> dict[str, str]:
        """Go back to a checkpoint, and return its header; ValueError if it is damaged or incomplete, of another model,
        of other facts than those given, or of another number of processes (then nothing is changed)."""
        tensors, header = _read(path, self, facts)
        self.check(tensors, int(header["step"]), path)
        self.restore(tensors, int(header["step"]))
        return header

    def check(self, tensors: dict[str, Tensor], step: int, path: str | Path) -> None:
        """ValueError if these are another model's parameters, or a part of the state after `step` steps is missing."""
        expected = {f"model.{name}": t.shape for name, t in self.model.state_dict().items()}
        if {name: t.shape for name, t in tensors.items() if name.startswith("model.")} != expected:
            raise ValueError(f"{path} holds another model: its parameters have other names or shapes than this one's")
        wanted = {"losses", *(f"ema.{name}" for name in self.ema.state_dict())}
        wanted |= {f"rng.{rank}" if rank else "rng" for rank in range(self.world)}
        moments = {name.split(".")[1] for name in tensors if name.startswith("adam.")}  # none of a frozen parameter
        wanted |= {f"adam.{i}.{part}" for i in moments or {0} for part in ("step", "exp_avg", "exp_avg_sq") if step}
        if missing := sorted(wanted - set(tensors)):
            raise ValueError(
                f"{path} is no whole checkpoint: it lacks {', '.join(missing[:3])}{', ...' * (len(missing) > 3)}; "
                f"delete it and start anew"
            )
        sizes = {f"ema.{name}": t.shape for name, t in self.ema.state_dict().items()}
        for i, parameter in enumerate(self._fast):
            sizes |= {f"adam.{i}.{part}": parameter.shape for part in ("exp_avg", "exp_avg_sq")}
        sizes["rng"] = torch.get_rng_state().shape
        if other := sorted(name for name, size in sizes.items() if name in tensors and tensors[name].shape != size):
            raise ValueError(f"{path} is no whole checkpoint: {other[0]} has another shape; delete it and start anew")
        if len(tensors["losses"]) != step:
            raise ValueError(f"{path} has {len(tensors['losses'])} losses after {step} steps; delete it and start anew")

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Be as after `step` steps, when `state()` gave these tensors."""
        parts = {"model": {}, "ema": {}, "adam": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part in parts:
                parts[part][rest] = tensor
        self.model.load_state_dict(parts["model"])
        self.ema.load_state_dict(parts["ema"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["adam"].items():
            i, _, moment = name.partition(".")
            moments.setdefault(int(i), {})[moment] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        for name, generator in self._generators().items():
            if (state := tensors.get(f"{name}.{self.rank}" if self.rank else name)) is not None:
                generator.set_state(state)
        self.losses, self.step, self._lowest = tensors["losses"].tolist(), step, []

    def _mine(self, array: Tensor) -> Tensor:
        """This process's rows of a batch, on its device."""
        if len(array) % self.world:
            raise ValueError(f"a batch of {len(array)} rows for {self.world} processes; expected a multiple of them")
        rows = len(array) // self.world
        return array[self.rank * rows : (self.rank + 1) * rows].to(self.device, non_blocking=True)

    def _check(self, k: int, loss: float, gradient: float) -> None:
        for name, value in (("loss", loss), ("gradient", gradient)):
            if not math.isfinite(value):
                raise ValueError(
                    f"the {name} is {value} at step {k}; model and ema are those of step {k - 1}. "
                    f"Lower lr = {self.lr:g}?"
                )
        bar = self._bar()
        if loss > bar and sum(past > bar for past in self.losses[-WINDOW:]) >= WINDOW // 2:
            raise ValueError(
                f"the run has diverged: at step {k} the loss is {loss:.3g}, and most of the last {WINDOW} were above "
                f"{bar:.3g}; its level was {self._lowest[-1]:.3g} once. Go back to a checkpoint from before, or start "
                f"anew with a lower lr than {self.lr:g}"
            )

    def _bar(self) -> float:
        """What the loss of a healthy run stays below: 10 times its lowest level so far, and its level at the start.

        A level is the median of WINDOW losses (the first: of ten, if that is lower). Ten times the lowest alone would
        stop a run whose loss had almost vanished, the start alone one whose loss rises a little at once.
        """
        if self.rival:
            return math.inf
        while (seen := WINDOW * len(self._lowest)) <= len(self.losses) - WINDOW:
            before = self._lowest[-1] if self._lowest else median(self.losses[:10])
            self._lowest.append(min(before, median(self.losses[seen : seen + WINDOW])))
        return max(self._lowest[0], 10 * abs(self._lowest[-1])) if self._lowest else math.inf

    def _generators(self) -> dict[str, torch.Generator]:
        """The sources of this process's random numbers, by their names in a checkpoint."""
        generators = {"rng": torch.default_generator}
        if self.device.type == "cuda":
            generators["rng.cuda"] = torch.cuda.default_generators[self.device.index]
        elif self.device.type == "mps":
            generators["rng.mps"] = torch.mps._get_default_mps_generator()
        return generators


class AlternatingTrainer:
    """Trainers that take turns at every step, each on the same batch: a generator and its critic are a GAN.

    Everything else (`ema`, `step`, `losses`, ...) is that of the first; a checkpoint holds all of them.
    """

    def __init__(self, *trainers: Trainer):
        if not trainers or not all(isinstance(trainer, Trainer) for trainer in trainers):
            raise ValueError(f"trainers = {trainers!r}; expected one Trainer or more")
        self.trainers = trainers
        for trainer in trainers[1:]:
            trainer.rival = True

    def __getattr__(self, name: str):
        return getattr(self.trainers[0], name)

    def run(self, data, steps: int) -> Iterator[Progress]:
        """As `Trainer.run`; yields the first one's Progress."""
        _check_steps(steps)
        made = [trainer.step for trainer in self.trainers]
        if len(set(made)) > 1:
            raise ValueError(f"the trainers have made {made} steps: one failed in mid-turn. `load` a checkpoint")
        while self.step < steps:
            with _finish_first():
                turns = [trainer.turn(data, steps) for trainer in self.trainers]
            yield turns[0]

    @property
    def healthy(self) -> bool:
        return all(trainer.healthy for trainer in self.trainers)

    def save(self, path: str | Path, facts: dict[str, str] | None = None) -> None:
        """One checkpoint of all, as `Trainer.save`."""
        states = enumerate(trainer.state() for trainer in self.trainers)
        _write(path, self, {f"{i}.{name}": tensor for i, state in states for name, tensor in state.items()}, facts)

    def load(self, path: str | Path, facts: dict[str, str] | None = None) -> dict[str, str]:
        """Go back to it, as `Trainer.load`; one that does not fit changes none of them."""
        tensors, header = _read(path, self, facts)
        step = int(header["step"])
        parts = {str(i): {} for i in range(len(self.trainers))}
        for name, tensor in tensors.items():
            i, _, rest = name.partition(".")
            parts.setdefault(i, {})[rest] = tensor
        if len(parts) != len(self.trainers):
            raise ValueError(f"{path} is no checkpoint of {len(self.trainers)} trainers that take turns")
        for trainer, part in zip(self.trainers, parts.values()):
            trainer.check(part, step, path)
        for trainer, part in zip(self.trainers, parts.values()):
            trainer.restore(part, step)
        return header


def _write(
    path: str | Path, trainer: Trainer | AlternatingTrainer, tensors: dict[str, Tensor], facts: dict[str, str] | None
):
    if trainer.rank == 0:
        how = {"step": str(trainer.step), "processes": str(trainer.world), "precision": trainer.precision}
        save_tensors(path, tensors, {**(facts or {}), **how})
    distributed.all_max(0)  # whoever reads the file next finds it whole


def _read(
    path: str | Path, trainer: Trainer | AlternatingTrainer, facts: dict[str, str] | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, header = load_tensors(path)
    if not header.get("step", "").isdecimal():
        found = f"its step is {header['step']!r}" if "step" in header else "it has no step"
        raise ValueError(f"{path} is no checkpoint ({found}); weights are read by load(...), or begun with by --begin")
    given = {**(facts or {}), "processes": str(trainer.world)}
    header.setdefault("processes", "1")
    if other := [f"{k} = {header.get(k)} and not {v}" for k, v in given.items() if header.get(k) != v]:
        raise ValueError(f"{path} is of another run: it has {', '.join(other)}. Go on with that, or start anew")
    return tensors, header


def _check_steps(steps: int) -> None:
    check_whole(steps=steps)


def fast_precision(device: str | torch.device) -> str:
    """The precision that trains faster on a device: "bfloat16" where its hardware multiplies that, else "float32".

    GPUs from Ampere on have it, and CPUs with AVX512_BF16 or AMX; other CPUs are slower in it than in float32.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = kind == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return "bfloat16" if fast else "float32"


def _gamma(share: float) -> float:
    """The exponent of the power-function average t^gamma whose relative std is `share`: by bisection.

    share^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))  (Karras et al. 2024b, sec. 3.1)
    """
    low, high = 0.0, 1e6
    for _ in range(100):
        gamma = (low + high) / 2
        wide = (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)) > share**2
        low, high = (gamma, high) if wide else (low, gamma)
    return gamma


@contextmanager
def _finish_first():
    """Hold Ctrl-C (a notebook's stop button) back until the block is done, so that no step is left half made."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals only ever reach the main thread
        return
    held = []
    before = signal.signal(signal.SIGINT, lambda *caught: held.append(caught))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held and callable(before):
        before(*held[0])
