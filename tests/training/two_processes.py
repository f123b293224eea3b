"""What tests/test_distributed.py lets torchrun start in two processes; each writes what it saw to FOLDER/RANK.pt."""

import os
import sys
from pathlib import Path

import tiny_recipe
import torch
from torch.nn.functional import mse_loss

from mpl_diffusion import MLP, Denoiser, Trainer, batches, linear
from mpl_diffusion.__main__ import main

STEPS = 20
DATA = torch.randn(48, 2, generator=torch.Generator().manual_seed(0))


def fresh(seed=0, size=12):
    """A loss without chance; gradients are clipped, so that a mean taken after the clip would show."""
    torch.manual_seed(seed)
    net = MLP(width=8, depth=1)
    trainer = Trainer(net, lambda x: mse_loss(net(x, torch.zeros(len(x))), 3 * x.sin()), lr=1e-2, warmup=5, clip=0.3)
    return trainer, batches(DATA, size=size, seed=1)


def state(trainer):
    return {
        "losses": torch.tensor(trainer.losses),
        **{f"model.{k}": v.clone() for k, v in trainer.model.state_dict().items()},
        **{f"ema.{k}": v.clone() for k, v in trainer.ema.state_dict().items()},
    }


def error(run):
    try:
        list(run)
    except ValueError as error:
        return str(error)


def everything(folder: Path, rank: int) -> dict:
    seen = {}
    trainer, data = fresh(seed=5 * rank)  # other first weights on each: rank 0's hold
    list(trainer.run(data, STEPS))
    seen["plain"] = state(trainer)

    trainer, data = fresh()
    seen["noise"] = torch.rand(3)
    seen["uneven"] = error(trainer.run(batches(DATA, size=9), STEPS))

    loss = trainer.loss
    trainer.loss = lambda x: loss(x) * (float("nan") if (rank, trainer.step) == (1, 4) else 1)
    seen["nan"], seen["after nan"] = error(trainer.run(data, STEPS)), trainer.step

    torch.manual_seed(0)
    denoiser = Denoiser(MLP(width=8, depth=1), linear(50))
    trainer = Trainer(denoiser, denoiser.loss, warmup=5)  # a loss with chance
    for progress in trainer.run(data, STEPS):
        if progress.step == 6:
            trainer.save(folder / "half.safetensors")
    seen["whole"] = state(trainer)
    torch.manual_seed(9)
    trainer.load(folder / "half.safetensors")
    seen["resumed at"] = trainer.step
    list(trainer.run(data, STEPS))
    seen["resumed"] = state(trainer)

    seen["codes"] = [main(["train", "tiny", "--out", str(folder / "one")])]
    tiny_recipe.interrupted_at = 7 if rank == 1 else None  # Ctrl-C reaches only one of them
    seen["codes"] += [main(["train", "tiny", "--out", str(folder / "two")])]
    tiny_recipe.interrupted_at = None
    seen["codes"] += [main(["train", "tiny", "--out", str(folder / "two"), "--resume"])]
    return seen


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny_recipe.join_the_others()
    rank = int(os.environ["RANK"])
    torch.save(everything(Path(sys.argv[1]), rank), Path(sys.argv[1], f"{rank}.pt"))
