"""Training: one step is a method, a run is a generator, a checkpoint is a file that resumes bit for bit."""

from __future__ import annotations

import copy
import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .files import load_tensors, save_tensors


class Progress(NamedTuple):
    step: int
    loss: float


class batches:
    """Endless shuffled minibatches of tensors held in memory: `batches(x, y, size=256)[k]` is the batch of step k.

    A pure function of the seed and k, so a resumed run sees what an uninterrupted one would have seen.
    """

    def __init__(self, *arrays: Tensor, size: int, seed: int = 0):
        rows = {len(a) for a in arrays}
        if len(rows) != 1 or not 1 <= size <= max(rows):
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
    ):
        if not (lr > 0 and 0 < ema < 0.28):
            raise ValueError(f"lr = {lr!r}, ema = {ema!r}; expected lr > 0, and the share 0 < ema < 0.28")
        self.model, self.loss, self.lr, self.warmup, self.clip = model, loss, lr, warmup, clip
        self.gamma = _gamma(ema)
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self._fast, self._slow = list(model.parameters()), list(self.ema.parameters())
        self.optimizer = torch.optim.Adam(self._fast, lr=lr, betas=betas, fused=True)
        self.step = 0
        self.losses: list[float] = []  # one per step: an interrupted cell still has its curve

    def run(self, data, steps: int) -> Iterator[Progress]:
        """Train on data[self.step], data[self.step + 1], ... until `steps` are done in all; yields Progress.

        Stop it anywhere, run it again: it goes on where it was, as if it had never stopped. Ctrl-C waits for the step
        that is under way.
        """
        if steps < 1:
            raise ValueError(f"steps = {steps!r}; expected at least 1")
        while self.step < steps:
            with _finish_first():
                progress = self.update(data[self.step], steps)
            yield progress

    def update(self, batch: tuple[Tensor, ...], steps: int) -> Progress:
        """One step of gradient descent, number self.step + 1 of `steps`."""
        k = self.step + 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * min(1, k / self.warmup) * math.cos(math.pi / 2 * self.step / steps) ** 2
        loss = self.loss(*batch)
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(
                f"the loss is {value} at step {k}; model and ema are those of step {k - 1}. Lower lr = {self.lr:g}?"
            )
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._fast, self.clip).item()
        if not math.isfinite(norm):
            raise ValueError(f"the gradient is {norm} at step {k}; model and ema are those of step {k - 1}")
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._slow, self._fast, 1 - (1 - 1 / k) ** (self.gamma + 1))
        self.step = k
        self.losses.append(value)
        return Progress(k, value)

    def save(self, path: str | Path) -> None:
        """A checkpoint: weights, their average, Adam's moments, the random state and the curve; atomic."""
        tensors = {"losses": torch.tensor(self.losses, dtype=torch.float64), "rng": torch.get_rng_state()}
        if torch.cuda.is_available():
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        for part, state in (("model", self.model.state_dict()), ("ema", self.ema.state_dict())):
            tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": tensor for name, tensor in moments.items()}
        save_tensors(path, tensors, {"step": json.dumps(self.step)})

    def load(self, path: str | Path) -> None:
        """Go back to a checkpoint; ValueError if it is damaged or of another model (then nothing is changed)."""
        tensors, header = load_tensors(path)
        parts = {"model": {}, "ema": {}, "adam": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part in parts:
                parts[part][rest] = tensor
        expected = {name: t.shape for name, t in self.model.state_dict().items()}
        if {name: t.shape for name, t in parts["model"].items()} != expected:
            raise ValueError(f"{path} holds another model: its parameters have other names or shapes than this one's")
        self.model.load_state_dict(parts["model"])
        self.ema.load_state_dict(parts["ema"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["adam"].items():
            i, _, moment = name.partition(".")
            moments.setdefault(int(i), {})[moment] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        torch.set_rng_state(tensors["rng"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        self.losses, self.step = tensors["losses"].tolist(), json.loads(header["step"])


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
