"""What it saves to diffuse latents instead of pixels: the same U-Net on both, the same captions, in one run.

    python benchmarks/latent.py                 seconds for a picture, 3 minutes
    python benchmarks/latent.py quality [10]    and both trained for so many minutes, 3 times that in all

Seconds: 64 captions, 16, and one alone, DDIM, 20 steps, the latents' decoder pass included; alternating rounds in one
process, two threads, medians. Quality: each trains alone for the same wall time by its recipe (the stage-one
autoencoder is given); the reader then looks at 300 pictures of captions in unseen arrangements, DDIM, 50 steps.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import time
from statistics import median

import torch

from mpl_diffusion import ddim, final, load, scenes
from mpl_diffusion.recipes import painted, scenes_latent, scenes_pixel

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
        name = make.__name__.replace("_", "-")
        trial = make()
        run = trial.trainer.run(trial.data, trial.steps)
        next(run)
        begin = time.perf_counter()
        for _ in range(10):
            next(run)
        recipe = make(steps=max(1, int(60 * minutes / (time.perf_counter() - begin) * 10)))  # as many as fit
        begin = time.perf_counter()
        for progress in recipe.trainer.run(recipe.data, recipe.steps):
            if time.perf_counter() - begin > 60 * minutes:
                break
        images, wall = progress.step * recipe.data.size, time.perf_counter() - begin
        found = painted(recipe.trainer.ema, n=300)
        parts = ", ".join(f"{part} {share:.1%}" for part, share in found.items())
        print(f"{name}: {images:,} images in {wall:.0f} s: {parts}", flush=True)


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
