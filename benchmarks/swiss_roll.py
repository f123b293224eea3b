"""How close to the best possible loss do 10, 30 or 60 seconds of one CPU thread bring a network on the Swiss roll?

    python benchmarks/swiss_roll.py [seconds ...]

Data: scikit-learn's roll (noise 0.5), two coordinates, standardised; linear schedule, T = 1000, t uniform. The measure
is the excess of the mean eps loss over the Bayes-optimal one, E |eps_hat - eps*|^2 / E |eps - eps*|^2, with eps* exact
by quadrature (1,500 nodes), on points that no recipe has seen. Beside it, for 5 seeds: the sliced Wasserstein distance
of 5,000 DDIM-100 samples to a fresh data set, over that of two fresh data sets (the floor), and how many of 100,000
samples are strays, with a coordinate beyond 2.5 (data end near 2.3). All recipes are sampled with x0_hat clamped to
[-3, 3]: without it, a single far x_T in 100,000 can make any eps network's walk explode. The last rows train our recipe
under the cosine schedule; the loss there has another best value.

Three recipes, each with its authors' network, optimiser, batch and loss, re-written here from their published settings:
* ours: the MLP and the Trainer of this package, predicting v, batch 512, lr 6e-3 (eps comes as near; a few strays);
* tiny-diffusion (github.com/tanelp/tiny-diffusion, ddpm.py's defaults, but T = 1000 instead of 50);
* smalldiffusion (github.com/yuanchenyang/smalldiffusion, README's Swiss roll, but sigma over this schedule's range).
Seconds are CPU time of the training steps alone, in one process with one thread; quiet machines get further.
"""

import math
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from torch.nn.functional import gelu, mse_loss

from mpl_diffusion import (
    MLP,
    Denoiser,
    Trainer,
    batches,
    clamp,
    cosine,
    ddim,
    exact_roll,
    final,
    linear,
    sliced_wasserstein,
    swiss_roll,
)

schedule, roll = linear(T=1000), swiss_roll(10_000)


def ours(seconds: float, process=schedule, predicts: str = "v"):
    """The length of the run sets the decay of the learning rate: 200 steps first tell how many fit."""

    def trainer():
        torch.manual_seed(0)
        denoiser = Denoiser(MLP(), process, predicts=predicts)
        return Trainer(denoiser, denoiser.loss, lr=6e-3)

    data = batches(roll, size=512)
    trial, start = trainer(), time.process_time()
    for _ in trial.run(data, 200):
        pass
    steps = int(seconds / (time.process_time() - start) * 200)
    real = trainer()
    for _ in until(seconds, real.run(data, steps)):
        pass
    return real.ema, real.step


class Sinusoids(nn.Module):
    def __init__(self, size: int, scale: float):
        super().__init__()
        self.register_buffer("w", scale * torch.exp(-math.log(10_000) * torch.arange(size // 2) / (size // 2 - 1)))

    def forward(self, x):
        angle = x[:, None] * self.w
        return torch.cat([angle.sin(), angle.cos()], 1)


class TinyNet(nn.Module):
    """Sinusoids of both coordinates (times 25) and of t, 128 each; one layer and three residual ones of 128, GELU."""

    def __init__(self):
        super().__init__()
        self.place, self.time = Sinusoids(128, 25.0), Sinusoids(128, 1.0)
        self.first, self.last = nn.Linear(3 * 128, 128), nn.Linear(128, 2)
        self.hidden = nn.ModuleList(nn.Linear(128, 128) for _ in range(3))

    def forward(self, x, t):
        h = gelu(self.first(torch.cat([self.place(x[:, 0]), self.place(x[:, 1]), self.time(t)], 1)))
        for layer in self.hidden:
            h = h + gelu(layer(h))
        return self.last(h)


def tiny_diffusion(seconds: float):
    torch.manual_seed(0)
    net = TinyNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def steps():
        for (x0,) in forever(batches(roll, size=256)):
            t = torch.randint(1, 1001, (len(x0),))
            eps = torch.randn_like(x0)
            loss = mse_loss(net(schedule.diffuse(x0, t, eps), t - 1.0), eps)
            loss.backward(loss)  # as in its source: the gradient is scaled by the loss, then clipped
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield loss.item()

    n = sum(1 for _ in until(seconds, steps()))
    return no_grad(lambda x, t, cond=None: net(x, torch.full((len(x),), t - 1.0))), n


class SmallNet(nn.Module):
    """(x, sin(log(sigma)/2), cos(log(sigma)/2)) -> 16, 128, 128, 128, 128, 16 -> eps, GELU."""

    def __init__(self):
        super().__init__()
        widths, layers = (4, 16, 128, 128, 128, 128, 16), []
        for n_in, n_out in zip(widths, widths[1:]):
            layers += [nn.Linear(n_in, n_out), nn.GELU()]
        self.net = nn.Sequential(*layers, nn.Linear(16, 2))

    def forward(self, x, sigma):
        half = sigma[:, None].log() / 2
        return self.net(torch.cat([x, half.sin(), half.cos()], 1))


def smalldiffusion(seconds: float):
    torch.manual_seed(0)
    net = SmallNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    ratio = (schedule.noise(torch.tensor([1, 1000])) / schedule.signal(torch.tensor([1, 1000]))).log10()
    sigmas = torch.logspace(float(ratio[0]), float(ratio[1]), 200)

    def steps():
        for (x0,) in forever(batches(roll, size=2048)):
            sigma, eps = sigmas[torch.randint(200, (len(x0),))], torch.randn_like(x0)
            loss = mse_loss(net(x0 + sigma[:, None] * eps, sigma), eps)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()

    n = sum(1 for _ in until(seconds, steps()))

    def denoiser(x, t, cond=None):  # x_t / signal is data plus noise of std sigma = noise/signal
        signal, noise = float(schedule.signal(t)), float(schedule.noise(t))
        return net(x / signal, torch.full((len(x),), noise / signal))

    return no_grad(denoiser), n


def until(seconds: float, steps):
    """Go on until the budget of CPU time is spent."""
    start = time.process_time()
    for step in steps:
        yield step
        if time.process_time() - start > seconds:
            return


def forever(data):
    k = 0
    while True:
        yield data[k]
        k += 1


def no_grad(function):
    return torch.no_grad()(function)


def reference():
    """(t, x_t, eps*) on 250 fresh points at each of 200 times, and the Bayes-optimal loss there."""
    best, x0, rng = exact_roll(1500).denoiser(schedule), swiss_roll(50_000, seed=77), torch.Generator().manual_seed(1)
    rows, loss = [], []
    for i, t in enumerate(range(3, 1001, 5)):
        eps = torch.randn(250, 2, generator=rng)
        x_t = schedule.diffuse(x0[250 * i : 250 * (i + 1)], t, eps)
        rows.append((t, x_t, best(x_t.double(), t).float()))
        loss.append((1 - rows[-1][2].square()).mean())  # E|eps - eps*|^2 = E|eps|^2 - E|eps*|^2
    return rows, float(torch.stack(loss).mean())


@torch.no_grad()
def excess(denoiser, rows, best_loss: float) -> float:
    return float(torch.stack([(denoiser(x_t, t) - best).square().mean() for t, x_t, best in rows]).mean()) / best_loss


def sample_quality(denoiser, process=schedule) -> tuple[float, int]:
    denoiser, distances, strays = clamp(denoiser, process, -3, 3), [], 0
    for seed in range(5):
        x_T = process.prior(20_000, 2, generator=torch.Generator().manual_seed(seed))
        x = final(ddim(denoiser, process, x_T, steps=100))
        distances.append(sliced_wasserstein(x[:5000], swiss_roll(5000, seed=500 + seed)))
        strays += int((x.abs().amax(1) > 2.5).sum())
    return sum(distances) / len(distances), strays


def main() -> None:
    torch.set_num_threads(1)
    budgets = [float(a) for a in sys.argv[1:]] or [10, 30, 60]
    rows, best_loss = reference()
    floor = [sliced_wasserstein(swiss_roll(5000, seed=600 + s), swiss_roll(5000, seed=500 + s)) for s in range(5)]
    floor = sum(floor) / 5
    exact, _ = sample_quality(exact_roll(400).denoiser(schedule))
    print(f"Bayes-optimal loss {best_loss:.4f}; sliced Wasserstein of two fresh data sets {floor:.4f} (the floor);")
    print(f"the exact denoiser itself, DDIM-100: {exact / floor:.2f} floors\n")
    print("recipe            seconds   steps  excess loss  distance/floor   strays")
    for seconds in budgets:
        for recipe in (ours, tiny_diffusion, smalldiffusion):
            denoiser, steps = recipe(seconds)
            distance, strays = sample_quality(denoiser)
            over = excess(denoiser, rows, best_loss)
            row = f"{recipe.__name__:16s} {seconds:8.0f} {steps:7d} {over:12.2%} {distance / floor:15.2f} {strays:8d}"
            print(row, flush=True)
    for seconds in budgets:
        denoiser, steps = ours(seconds, cosine(T=1000))
        distance, strays = sample_quality(denoiser, cosine(T=1000))
        print(
            f"{'ours, cosine':16s} {seconds:8.0f} {steps:7d} {'':12s} {distance / floor:15.2f} {strays:8d}",
            flush=True,
        )


if __name__ == "__main__":
    main()
