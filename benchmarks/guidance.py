"""What guidance gives and takes, scale by scale; where words look; what it costs.

    python benchmarks/guidance.py [1000]     so many captions for each w; 20 minutes on two cores

Scenes: captions of unseen arrangements and of held-out pairs, DDIM, 20 steps, eta = 0, the same x_T for every w; what
the reader finds, how saturated the pictures are, and the variety of 16 pictures of each of 40 captions. Digits: label
accuracy of twice as many, clamped. Words: the share of the map of a digit's word that lies in the digit's box, in the
map's own cells and to the pixel, beside chance, on noisy unseen scenes. Seconds: w = 3 over w = 1, alternating rounds
in one process, medians.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import time
from functools import cache
from statistics import median

import torch

from mpl_diffusion import (
    adherence,
    attention_maps,
    clamp,
    classifier_free,
    classify_digits,
    ddim,
    diversity,
    final,
    load,
    mass_inside,
    saturation,
    scenes,
)

SCALES = (0, 1, 1.5, 2, 3, 4, 5, 8, 12)
STEPS, ROUNDS = 20, 9
fetch = cache(load)


@torch.no_grad()
def paint(w: float, cond: torch.Tensor, seed: int = 0) -> torch.Tensor:
    denoiser, autoencoder = fetch("scenes-latent"), fetch("scenes-autoencoder")
    guide, process, rng = classifier_free(denoiser, w), denoiser.process, torch.Generator().manual_seed(seed)
    parts = []
    for some in cond.split(250):
        z = final(ddim(guide, process, process.prior(len(some), 4, 8, 8, generator=rng), STEPS, cond=some))
        parts.append(autoencoder.decode(autoencoder.unscale(z)))
    return torch.cat(parts)


def trade(n: int) -> None:
    unseen, held_out = (scenes(n, seed=4, captions=kind) for kind in ("unseen", "held out"))
    asked = [caption for caption in unseen.captions[:40] for _ in range(16)]
    again = unseen.cond[:40].repeat_interleave(16, 0)
    print("    w  unseen (digit, colour, place)  held out  saturation  variety")
    for w in SCALES:
        images = paint(w, unseen.cond)
        score, other = adherence(images, unseen.captions), adherence(paint(w, held_out.cond), held_out.captions)
        parts = f"({score.digit:.1%}, {score.colour:.1%}, {score.place:.1%})"
        various = diversity(paint(w, again, seed=1), asked)
        print(f"{w:5g}  {score.all:.1%} {parts}  {other.all:.1%}  {saturation(images):.4f}  {various:.3f}", flush=True)


def digits(n: int) -> None:
    denoiser = fetch("mnist")
    process, label, rng = denoiser.process, torch.arange(n) % 10, torch.Generator().manual_seed(0)
    for w in (1, 2, 3, 5):
        guide, parts = clamp(classifier_free(denoiser, w), process), []
        for some in label.split(500):
            x_T = process.prior(len(some), 1, 28, 28, generator=rng)
            parts.append(final(ddim(guide, process, x_T, STEPS, cond=some[:, None] + 1)))
        right = float((classify_digits(torch.cat(parts)) == label).double().mean())
        print(f"digits, w = {w}: {right:.2%} read as what was asked for", flush=True)


@torch.no_grad()
def words(n: int) -> None:
    denoiser, autoencoder = fetch("scenes-latent"), fetch("scenes-autoencoder")
    test, process = scenes(n, seed=5, captions="unseen", train=False), denoiser.process
    z = torch.cat([autoencoder.scale(autoencoder.encode(x)) for x in test.images.split(250)])
    for t in (200, 400, 500, 600, 800):
        maps = attention_maps(denoiser.net, process.diffuse(z, t, torch.randn_like(z)), t, test.cond)
        for whole, what in ((True, "the cells of its box"), (False, "its box to the pixel")):
            told = []
            for name, one in maps.items():
                inside, chance = mass_inside(one[:, 2], test.first_boxes, whole=whole)  # of the caption's third word
                told.append(f"{name} {inside.mean():.0%} (chance {chance.mean():.0%})")
            print(f"the digit's word in {what}, t = {t}: {', '.join(told)}", flush=True)


def seconds() -> None:
    cond, taken = scenes(16, captions="unseen").cond, {1: [], 3: []}
    for round in range(-1, ROUNDS):  # round -1 warms up
        for w in taken:
            begin = time.perf_counter()
            paint(w, cond)
            if round >= 0:
                taken[w].append(time.perf_counter() - begin)
    ratio = median(b / a for a, b in zip(taken[1], taken[3]))
    print(f"16 scenes, {STEPS} steps: w = 3 takes {ratio:.3f} times as long as w = 1   (at most 2.05)")


if __name__ == "__main__":
    if len(sys.argv) > 2 or not all(arg.isdecimal() for arg in sys.argv[1:]):
        sys.exit(__doc__)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    torch.set_num_threads(2)
    torch.manual_seed(0)
    seconds()
    words(n)
    digits(2 * n)
    trade(n)
