"""What it saves to diffuse latents instead of pixels: the same U-Net on both, the same captions, in one run.

    python benchmarks/latent.py                 seconds for a picture, 3 minutes
    python benchmarks/latent.py quality [10]    and both trained, each for so many minutes at most; 25 in all

Seconds: 64 captions, 16, and one alone, DDIM, 20 steps, the latents' decoder pass included; alternating rounds in one
process, two threads, medians. Quality: each trains alone, as many steps as fit into the time, the encoding of the
scenes included (the stage-one autoencoder is given); the reader then looks at 300 pictures of captions in unseen
arrangements, DDIM, 50 steps, eta = 0, w = 1.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import time
from statistics import median

import torch

from mpl_diffusion import ddim, final, load, scenes
from mpl_diffusion.training.recipes import caption_adherence, scenes_latent, scenes_pixel

ROUNDS, SIZES = 3, (64, 16, 1)


def painter(name: str):
    """captions' ids -> pictures, in 20 steps."""
    denoiser, autoencoder = load(name), load("scenes-autoencoder")
    process, latent = denoiser.process, name == "scenes-latent"

    @torch.no_grad()
    def paint(cond: torch.Tensor) -> torch.Tensor:
        x_T = process.prior(len(cond), *((4, 8, 8) if latent else (3, 64, 64)))
        x = final(ddim(denoiser, process, x_T, steps=20, cond=cond))
        return autoencoder.decode(autoencoder.unscale(x)) if latent else x

    return paint


def speed() -> None:
    cond = scenes(SIZES[0], captions="unseen").cond
    painters = {name: painter(name) for name in ("scenes-latent", "scenes-pixel")}
    seconds = {(name, n): [] for name in painters for n in SIZES}
    for round in range(-1, ROUNDS):  # round -1 warms up
        for (name, n), taken in seconds.items():
            begin = time.perf_counter()
            painters[name](cond[:n])
            if round >= 0:
                taken.append(time.perf_counter() - begin)
    for n in SIZES:
        latent, pixel = (median(seconds[name, n]) for name in painters)
        ratio = median(b / a for a, b in zip(seconds["scenes-latent", n], seconds["scenes-pixel", n]))
        print(f"{n:2} pictures: latent {latent:.2f} s, pixels {pixel:.2f} s, ratio {ratio:.1f}   (at least 8)")


def quality(minutes: float) -> None:
    for make in (scenes_latent, scenes_pixel):
        name, begin, seconds = make.__name__.replace("_", "-"), time.perf_counter(), 60 * minutes
        recipe = make()  # encoding the scenes to latents counts
        trainer, data = recipe.trainer, recipe.data
        spent = []
        for _ in trainer.run(data, 20):  # its warm-up: how long does a step take?
            spent.append(time.perf_counter() - begin)
        steps = 20 + max(1, int((seconds - spent[-1]) / (spent[-1] - spent[9]) * 10))  # as many as fit
        for progress in trainer.run(data, steps):
            if time.perf_counter() - begin > seconds:
                break
        images, wall = progress.step * data.size, time.perf_counter() - begin
        found = caption_adherence(trainer.ema, n=300)
        parts = ", ".join(f"{part} {value:.4g}" for part, value in found.items())
        print(f"{name}: {images:,} images in {wall:.0f} s, {progress.step} of {steps} steps: {parts}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    match sys.argv[1:]:
        case []:
            speed()
        case ["quality", *minutes]:
            speed()
            quality(float(minutes[0]) if minutes else 10)
        case _:
            sys.exit(__doc__)
