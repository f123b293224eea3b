"""What a step of an ODE or SDE solver costs beside the score: 10,000 points of the plane, an exact score.

    python benchmarks/ode_step.py            # about a minute on one core

The score is that of a Gaussian mixture at one noise level, through its denoiser: a function (x_t, t) -> eps. A walk is
timed whole (coefficients and loop) and divided by its calls of the score, so that Heun's two and RK4's four count as
what they are; beside it, in the same rounds and on one thread, as many calls of the score alone. The figure is the
median of the rounds' ratios of CPU time. Target: at most 1.3 times the score; a row that misses it says so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from mpl_diffusion import (
    EULER,
    HEUN,
    RK4,
    VP,
    GaussianMixture,
    adaptive_solver,
    ddim,
    dpm_solver,
    euler_maruyama,
    final,
    langevin,
    linear,
    probability_flow,
)

TARGET = 1.3  # a step / its calls of the score
POINTS, STEPS = 10_000, 10
SDE, SCHEDULE = VP(t_min=0.01), linear()
WALKS = {  # name: (process, walk)
    "Euler-Maruyama": (SDE, lambda d, x: euler_maruyama(d, SDE, x, STEPS)),
    "churn 0.5": (SDE, lambda d, x: euler_maruyama(d, SDE, x, STEPS, churn=0.5)),
    "Langevin": (SDE, lambda d, x: langevin(d, SDE, x, 0.5, STEPS)),
    "ODE, Euler": (SDE, lambda d, x: probability_flow(d, SDE, x, STEPS, EULER)),
    "ODE, Heun": (SDE, lambda d, x: probability_flow(d, SDE, x, STEPS, HEUN)),
    "ODE, RK4": (SDE, lambda d, x: probability_flow(d, SDE, x, STEPS, RK4)),
    "ODE, adaptive(1e-3)": (SDE, lambda d, x: probability_flow(d, SDE, x, 1, adaptive_solver(1e-3))),
    "DDIM": (SCHEDULE, lambda d, x: ddim(d, SCHEDULE, x, STEPS)),
    "DPM-Solver++ 2M": (SCHEDULE, lambda d, x: dpm_solver(d, SCHEDULE, x, STEPS)),
}


def mixture(components: int) -> GaussianMixture:
    """A ring of equal round components of std 0.2: one covariance for all, the cheapest score there is."""
    angle = torch.arange(components) * (2 * torch.pi / components)
    mean = torch.stack([angle.cos(), angle.sin()], 1)
    return GaussianMixture(torch.full((components,), 1 / components), mean, 0.04 * torch.eye(2))


class Counting:
    """A denoiser that remembers when it was asked."""

    def __init__(self, denoiser):
        self.denoiser, self.times = denoiser, []

    def __call__(self, x, t, cond=None):
        self.times.append(t)
        return self.denoiser(x, t, cond)


@torch.no_grad()
def score_alone(denoiser, x, times) -> None:
    for t in times:
        denoiser(x, t)


def cpu_seconds(work, *arguments) -> float:
    begin = time.thread_time()
    work(*arguments)
    return time.thread_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each walk (15)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)

    x = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0))
    print(f"{'':38}{'score':>10}{'step':>10}{'ratio':>8}   (milliseconds per call of the score; target {TARGET})")
    for components in (2, 8):
        data = mixture(components)
        for name, (process, walk) in WALKS.items():
            denoiser, ratios, score = data.denoiser(process), [], []
            counting = Counting(denoiser)
            final(walk(counting, x))  # warms up, and counts
            for _ in range(rounds):
                alone = cpu_seconds(score_alone, denoiser, x, counting.times)
                ratios.append(cpu_seconds(final, walk(denoiser, x)) / alone)
                score.append(1e3 * alone / len(counting.times))
            ratio, ms = statistics.median(ratios), statistics.median(score)
            row = f"{f'{components} components, {name}':38}{ms:10.2f}{ratio * ms:10.2f}{ratio:8.2f}"
            print(row + ("" if ratio <= TARGET else "   MISSED"))


if __name__ == "__main__":
    main()
