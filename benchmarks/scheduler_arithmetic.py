"""What a sampler costs beside its network: this package and diffusers, same numbers in, same numbers out, in one run.

    python benchmarks/scheduler_arithmetic.py            # about a minute on one core

The denoiser is a constant tensor, so a walk is the sampler's own arithmetic and nothing else. What is timed is a whole
walk (coefficients and loop) divided by its steps: rounds of all sides alternate in one process with one thread; the
figure is the median of that thread's CPU time. DDIM makes 50 steps of T = 1000, DDPM all 1000, and both end at x_0.

The same walks are then compared, from one start and with one noise: every single step in float32, from the same x_t,
and the whole walk in float64. Each must agree to 1e-6 of the largest value, or the exit status is 1; it never depends
on speed. For this comparison diffusers is given its table alpha_bar in float64, as ours is: its own float32 one puts
1 - alpha_bar off by up to 1e-3 near t = 1. (A whole walk in float32 strays further, from the exact one too: against a
constant eps, rounding grows 150-fold on the way from T to 0.)
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from diffusers import DDIMScheduler, DDPMScheduler

from mpl_diffusion import clamp, ddim, ddpm, linear

T = 1000
SCHEDULE = linear(T)
SHAPES = {"10,000 points": (10_000, 2), "64 digits": (64, 1, 28, 28)}
TARGETS = {  # theirs / ours, at least
    "DDIM": {"10,000 points": 6.0, "64 digits": 5.0},
    "DDIM, clamped": {"10,000 points": 2.4, "64 digits": 1.7},
    "DDPM": {"10,000 points": 2.5, "64 digits": 2.0},
}
LARGEST_DIFFERENCE = 1e-6  # relative to the largest value


class Ours:
    """Walks with this package."""

    def __init__(self, sampler: str):
        self.sampler = sampler

    def walk(self, x, eps, noise, steps=None):
        def denoiser(x_t, t, cond=None):
            return eps

        if self.sampler == "DDPM":
            return ddpm(denoiser, SCHEDULE, x, steps=steps, noise=noise)
        denoiser = clamp(denoiser, SCHEDULE) if self.sampler == "DDIM, clamped" else denoiser
        return ddim(denoiser, SCHEDULE, x, steps=steps or 50)

    def __call__(self, x, eps, noise):
        return (step.x for step in self.walk(x, eps, noise))


class Theirs:
    """Walks with diffusers: its times are ours - 1, "trailing" ones for DDIM; its table in float64 if `exact`."""

    def __init__(self, sampler: str, exact: bool = False, rederive_eps: bool = True):
        self.clamped = sampler == "DDIM, clamped"
        if sampler == "DDPM":
            self.scheduler, self.steps = DDPMScheduler(num_train_timesteps=T, clip_sample=False), T
            self.options = {}
        else:
            self.scheduler = DDIMScheduler(num_train_timesteps=T, clip_sample=self.clamped, timestep_spacing="trailing")
            self.steps = 50
            self.options = {"use_clipped_model_output": self.clamped and rederive_eps}
        if exact:
            self.scheduler.alphas_cumprod = SCHEDULE.alpha_bar[1:].clone()

    @torch.no_grad()
    def __call__(self, x, eps, noise):
        self.scheduler.set_timesteps(self.steps)
        for t in self.scheduler.timesteps:
            x = self.scheduler.step(eps, t, x, generator=noise, **self.options).prev_sample
            yield x


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def seconds_per_step(walk, x, eps) -> float:
    noise, begin = seeded(), time.thread_time()
    steps = sum(1 for _ in walk(x, eps, noise))
    return (time.thread_time() - begin) / steps


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def difference_of_steps(sampler: str, x, eps) -> float:
    """The largest difference of any one step in float32, from the x_t where diffusers' walk stands."""
    ours, noise, worst = Ours(sampler), seeded(), 0.0
    times = SCHEDULE.times(T if sampler == "DDPM" else 50).tolist()
    walk = Theirs(sampler, exact=True)(x, eps, seeded())
    for t, t_next, x_next in zip(times[:-1], times[1:], walk, strict=True):
        (step,) = ours.walk(x, eps, noise, steps=[t, t_next])
        worst, x = max(worst, apart(step.x, x_next)), x_next
    return worst


def difference_of_walks(sampler: str, x, eps) -> float:
    """The difference of what whole walks end in, in float64, where diffusers is given the tables in float64."""
    x, eps = x.double(), eps.double()
    (*_, a), (*_, b) = Ours(sampler)(x, eps, seeded()), Theirs(sampler, exact=True)(x, eps, seeded())
    return apart(a, b)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each walk (15)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)

    print(f"{'':30}{'ours':>8}{'diffusers':>11}{'ratio':>8}{'target':>8}   largest difference: a step, a walk")
    print(f"{'':30}{'us/step':>8}{'us/step':>11}")
    agree = True
    for what, shape in SHAPES.items():
        x, eps = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
        for sampler, targets in TARGETS.items():
            sides = {"ours": Ours(sampler), "theirs": Theirs(sampler)}
            if sampler == "DDIM, clamped":
                sides["theirs, old eps"] = Theirs(sampler, rederive_eps=False)
            took = {name: [] for name in sides}
            for round in range(rounds + 1):
                for name, walk in sides.items():
                    seconds = seconds_per_step(walk, x, eps)
                    if round:  # the first one warms up
                        took[name].append(1e6 * seconds)
            us = {name: statistics.median(seconds) for name, seconds in took.items()}
            differences = difference_of_steps(sampler, x, eps), difference_of_walks(sampler, x, eps)
            agree &= max(differences) <= LARGEST_DIFFERENCE
            ratio, target = us["theirs"] / us["ours"], targets[what]
            print(
                f"{f'{what}, {sampler}':30}{us['ours']:8.1f}{us['theirs']:11.1f}{ratio:8.1f}{target:8.1f}   "
                f"{differences[0]:.0e}, {differences[1]:.0e}{'' if ratio >= target else '   MISSED'}"
            )
            if "theirs, old eps" in us:
                ratio = us["theirs, old eps"] / us["ours"]
                print(f"{'    (diffusers keeps old eps)':30}{'':8}{us['theirs, old eps']:11.1f}{ratio:8.1f}")
    if not agree:
        print(f"The results differ by more than {LARGEST_DIFFERENCE:.0e} of their scale.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
