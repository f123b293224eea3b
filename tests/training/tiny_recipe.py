"""A recipe of milliseconds for the tests of `train`."""

import os

import torch

from mpl_diffusion import MLP, Denoiser, Trainer, batches, linear, models
from mpl_diffusion.training import recipes

DATA = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
explode_after = None  # a step: from there on the loss is 1,000 times as large
pipe = None  # a file descriptor: told of every step
interrupted_at = None  # a step during which this process gets its own Ctrl-C


def model():
    return Denoiser(MLP(width=8, depth=1), linear(50))


class Reported(batches):
    def __getitem__(self, k):
        if pipe is not None:
            os.write(pipe, b".")
        if k + 1 == interrupted_at:
            os.kill(os.getpid(), 2)
        return super().__getitem__(k)


def tiny(steps=40, batch=16, *, seed=0, device="cpu", precision=None, compile=False):
    torch.manual_seed(seed)
    denoiser = model().to(device)

    def loss(x0):
        far = explode_after is not None and trainer.step >= explode_after
        return denoiser.loss(x0) * (1000 if far else 1)

    trainer = Trainer(denoiser, loss, warmup=5, precision=precision or "float32", compile=compile)
    data = Reported(DATA, size=batch, seed=seed)
    return recipes.Recipe(
        trainer, data, steps, "random points", lambda model: {"weights": float(model.net.out.bias[0])}
    )


def join_the_others():
    recipes.RECIPES["tiny"], models.MODELS["tiny"] = tiny, model
