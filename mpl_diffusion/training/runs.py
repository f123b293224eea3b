"""A training in a folder: checkpoints on the way, weights at the end, and whatever stops it, it can go on."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .. import models
from ..checks import MOST_THREADS, check_whole
from ..files import digest, half_if_exact, make_folder, remove_parts, save_tensors
from ..teaching.widgets import watch
from .distributed import all_max, local_device
from .recipes import RECIPES, Recipe
from .trainer import AlternatingTrainer, Trainer

STOP = 2  # what a process wishes after a step: 1 a checkpoint, 2 that and an end


def train(
    name: str,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    threads: int | None = None,
    device: str | None = None,
    every: float = 30.0,
    begin: str | Path | None = None,
    **options,
) -> int:
    """Follow a recipe to its end and write OUT/weights.safetensors; the exit status.

    A checkpoint lies beside it, written every so many seconds, at Ctrl-C and at the end. With `resume` the run goes on
    from there if there is one, bit for bit. With `begin`, a model's name or file, step 1 starts from its weights, and
    the header tells their hash. `options` are the recipe's: steps, batch, seed, precision, compile.
    Under torchrun all processes share the work, and rank 0 writes and speaks.
    ValueError: an unknown recipe, a folder that is in use, a checkpoint that is damaged or of another run, weights to
    begin with that are another model's.
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe is called {name!r}; there are {', '.join(map(repr, RECIPES))}")
    if out is not None and not str(out).strip():
        raise ValueError(f"out = {str(out)!r}; expected a folder, or leave --out away for runs/NAME")
    if "seed" in options:
        check_whole(low=0, high=2**32 - 1, seed=options["seed"])
    if threads is not None:
        check_whole(high=MOST_THREADS, threads=threads)
    folder = Path("runs", name) if out is None else Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; expected a folder: name another --out")
    checkpoint, weights = folder / "checkpoint.safetensors", folder / "weights.safetensors"
    if not resume and (there := next((file for file in (checkpoint, weights) if file.exists()), None)):
        raise ValueError(
            f"{there} is there already: go on with --resume, or start anew: delete it, or name another --out"
        )
    if threads:
        torch.set_num_threads(threads)
    recipe = RECIPES[name](device=_device(device), **options)
    trainer, data, steps = recipe.trainer, recipe.data, recipe.steps
    facts = {**_facts(name, recipe), "begin": "new weights" if begin is None else _begin(trainer, begin, name)}
    before = trainer.precision
    if checkpoint.exists():
        before = trainer.load(checkpoint, facts).get("precision", before)
    make_folder(folder)
    if trainer.rank == 0:
        for file in (checkpoint, weights):
            remove_parts(file)
    say = print if trainer.rank == 0 else lambda *_, **__: None
    rows = f"{data.size} of {len(data.arrays[0]):,} rows ({recipe.source})"
    where = f"{trainer.precision} on {trainer.world} x {trainer.device.type}"
    say(f"{name}: step {trainer.step:,} of {steps:,}, each {rows}, {where}", flush=True)
    if before != trainer.precision:
        say(f"the checkpoint was trained in {before}; the run goes on in {trainer.precision}", flush=True)
    run = trainer.run(data, steps)
    due = time.monotonic() + every
    try:
        with _signals() as caught:
            for _ in watch(run, steps, batch=data.size) if trainer.rank == 0 else run:
                wish = all_max(STOP if caught else int(time.monotonic() >= due))
                if wish and trainer.healthy:
                    trainer.save(checkpoint, facts)
                    due = time.monotonic() + every
                if wish == STOP:
                    break
    except ValueError as error:
        raise ValueError(
            f"{error}. The last good checkpoint is in {folder}" if checkpoint.exists() else error
        ) from None
    if trainer.step < steps:
        say(f"stopped after step {trainer.step:,}: the same command with --resume goes on")
        return 130  # as a shell counts it: ended by Ctrl-C
    trainer.save(checkpoint, facts)
    if trainer.rank == 0:
        if recipe.finish:
            recipe.finish(trainer.ema)
        quality = recipe.measure(trainer.ema)
        header = {**facts, "model": name, "precision": trainer.precision, "torch": torch.__version__}
        tensors = {name: half_if_exact(tensor) for name, tensor in trainer.ema.state_dict().items()}
        save_tensors(weights, tensors, {**header, "quality": json.dumps(quality)})
        if recipe.also:
            recipe.also(trainer.ema.cpu(), folder)
        say(f"{weights}: " + (", ".join(f"{what} {value:.4g}" for what, value in quality.items()) or "written"))
    return 0


def _device(kind: str | None) -> torch.device:
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = kind or ("cuda" if usable["cuda"] else "cpu")
    if not usable.get(kind):
        raise ValueError(f"torch sees no {kind!r} here; it sees {', '.join(name for name in usable if usable[name])}")
    return local_device(kind)


def _facts(name: str, recipe: Recipe) -> dict[str, str]:
    """What makes this run the one it is: a checkpoint with other facts belongs to another run."""
    data = recipe.data
    facts = {"recipe": name, "seed": data.seed, "steps": recipe.steps, "batch": data.size, "data": recipe.source}
    facts |= recipe.facts
    if "data_sha256" not in facts:
        facts["data_sha256"] = digest(dict(zip("xyz", data.arrays)), {})
    return {fact: str(value) for fact, value in facts.items()}


def _begin(trainer: Trainer | AlternatingTrainer, begin: str | Path, name: str) -> str:
    """Let a trainer begin with a model's weights; their SHA-256."""
    weights, model = models.load(begin).state_dict(), trainer.model
    if {k: v.shape for k, v in model.state_dict().items()} != {k: v.shape for k, v in weights.items()}:
        raise ValueError(
            f"begin = {str(begin)!r} holds another model: its parameters have other names or shapes than {name}'s"
        )
    for one in (model, trainer.ema):
        one.load_state_dict(weights)
    return digest(weights, {})


@contextmanager
def _signals() -> Iterator[list]:
    """Collects what asks the process to stop (Ctrl-C, a batch system's SIGTERM) instead of stopping it."""
    caught: list = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # signals only ever reach the main thread
        return
    before = {sign: signal.signal(sign, lambda *what: caught.append(what)) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
