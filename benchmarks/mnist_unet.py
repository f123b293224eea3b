"""The U-Net and its training beside diffusers' UNet2DModel + DDPMScheduler: images/s, memory, and quality for time.

    python benchmarks/mnist_unet.py                 speed and memory, 3 minutes
    python benchmarks/mnist_unet.py quality [10]    and both trained for so many minutes on MNIST, 4 times that in all

The peer is the from-scratch recipe of the Hugging Face diffusion course, unit 1, notebook 2: UNet2DModel of 1.7 M
parameters, batch 128, Adam at 1e-3, DDPMScheduler's 1,000 linear steps, mean squared error of eps; images in [-1, 1].

Speed: alternating rounds in one process, two threads, batch 128 to train and 64 to call, medians. bfloat16 is measured
where `fast_precision` recommends it. Memory: the peak of a process of its own that does three training steps.
Quality: each trains alone for the same wall time; Frechet distance to the test set, and its floor at the same number
of samples; even labels for ours, DDIM with 20 steps, eta 0 and 1, for both (theirs through its own DDIMScheduler).
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import resource
import subprocess
import sys
import time

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from torch.nn.functional import mse_loss

from mpl_diffusion import Denoiser, Trainer, batches, clamp, ddim, final, mnist
from mpl_diffusion.models import mnist as our_model

ROUNDS = 9
LINEAR = dict(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")


class Peer:
    """The course's network and its training loop."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = UNet2DModel(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            layers_per_block=2,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        )
        self.scheduler = DDPMScheduler(**LINEAR)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)

    def train(self, x0: torch.Tensor, cond: torch.Tensor) -> None:
        eps, t = torch.randn_like(x0), torch.randint(0, 1000, (len(x0),))
        x_t = self.scheduler.add_noise(x0, eps, t)
        loss = mse_loss(self.net(x_t, t, return_dict=False)[0], eps)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def call(self, x_t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        return self.net(x_t, 500, return_dict=False)[0]

    @torch.no_grad()
    def sample(self, n: int, eta: float) -> tuple[torch.Tensor, torch.Tensor | None]:
        scheduler = DDIMScheduler(**LINEAR)
        scheduler.set_timesteps(20)
        x = torch.randn(n, 1, 28, 28)
        for t in scheduler.timesteps:
            x = scheduler.step(self.net(x, t, return_dict=False)[0], t, x, eta=eta).prev_sample
        return x.clamp(-1, 1), None


class Ours:
    """This package's recipe; `steps` sets how fast the learning rate decays."""

    def __init__(self, precision: str = "float32", steps: int = 10**6, lr: float = 2e-3, size: int = 128):
        torch.manual_seed(0)
        self.denoiser: Denoiser = our_model()
        self.trainer = Trainer(self.denoiser, self.denoiser.loss, lr=lr, ema=0.03, warmup=200, precision=precision)
        self.precision, self.steps, self.size = precision, steps, size

    def train(self, x0: torch.Tensor, cond: torch.Tensor) -> None:
        self.trainer.update((x0, cond), self.steps)

    @torch.no_grad()
    def call(self, x_t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self.denoiser(x_t, 500, cond)

    @torch.no_grad()
    def sample(self, n: int, eta: float) -> tuple[torch.Tensor, torch.Tensor]:
        labels, schedule = torch.arange(n) % 10, self.denoiser.process
        x_T, denoiser = schedule.prior(n, 1, 28, 28), clamp(self.trainer.ema, schedule)
        return final(ddim(denoiser, schedule, x_T, steps=20, eta=eta, cond=labels[:, None] + 1)), labels


def contenders() -> dict:
    from mpl_diffusion.training.trainer import fast_precision

    both = {"diffusers": Peer, "ours, float32": Ours}
    return both | ({"ours, bfloat16": lambda: Ours("bfloat16")} if fast_precision("cpu") == "bfloat16" else {})


def speed() -> None:
    memory = {name: peak(name) for name in contenders()}  # first: a child begins with its parent's peak
    x, cond = torch.randn(128, 1, 28, 28), torch.randint(0, 11, (128, 1))
    models = {name: make() for name, make in contenders().items()}
    seconds = {(name, what): [] for name in models for what in ("train", "call")}
    for round in range(-1, ROUNDS):  # round -1 warms up
        for name, model in models.items():
            for what, rows in (("train", 128), ("call", 64)):
                start = time.perf_counter()
                getattr(model, what)(x[:rows], cond[:rows])
                if round >= 0:
                    seconds[name, what].append(time.perf_counter() - start)
    rate = {key: (128 if key[1] == "train" else 64) / sorted(s)[len(s) // 2] for key, s in seconds.items()}
    print(f"{'':16}{'train img/s':>12}{'ratio':>7}{'call img/s':>12}{'ratio':>7}{'peak GB':>9}")
    for name in models:
        ratio = {what: rate[name, what] / rate["diffusers", what] for what in ("train", "call")}
        print(
            f"{name:16}{rate[name, 'train']:12.0f}{ratio['train']:7.1f}{rate[name, 'call']:12.0f}{ratio['call']:7.1f}"
            f"{memory[name]:9.2f}"
        )


def peak(name: str) -> float:
    """GB that a process of its own needs at most for three training steps, torch and all."""
    return float(subprocess.check_output([sys.executable, __file__, "peak", name], text=True))


def quality(minutes: float) -> None:
    from mpl_diffusion import quality as judged

    digits = mnist()
    data = batches(digits.images, digits.labels[:, None] + 1, size=128)
    for name, make in {"ours": fastest, "diffusers": lambda _: Peer()}.items():
        model = make(minutes)
        steps, start, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < 60 * minutes and steps < getattr(model, "steps", 10**9):
            model.train(*data[steps])
            steps += 1
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"{name}: {128 * steps:,} images in {wall:.0f} s ({cpu:.0f} s of CPU)", flush=True)
        for n, eta in ((1000, 0.0), (1000, 1.0), (5000, 1.0)) if name == "ours" else ((1000, 0.0), (1000, 1.0)):
            torch.manual_seed(1)
            print(f"  eta = {eta:g}: {judged(*model.sample(n, eta))}", flush=True)


def fastest(minutes: float) -> Ours:
    """Ours in its fastest precision, with as many steps as fit: thirty of a trial run tell how many."""
    from mpl_diffusion.training.trainer import fast_precision

    x, cond = torch.randn(128, 1, 28, 28), torch.randint(0, 11, (128, 1))
    trial = Ours(fast_precision("cpu"))
    for k in range(40):
        if k == 10:
            start = time.perf_counter()
        trial.train(x, cond)
    return Ours(fast_precision("cpu"), steps=int(60 * minutes / (time.perf_counter() - start) * 30))


if __name__ == "__main__":
    torch.set_num_threads(2)
    match sys.argv[1:]:
        case ["peak", name]:
            model = contenders()[name]()
            for _ in range(3):
                model.train(torch.randn(128, 1, 28, 28), torch.randint(0, 11, (128, 1)))
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
        case []:
            speed()
        case ["quality", *minutes]:
            speed()
            quality(float(minutes[0]) if minutes else 10)
        case _:
            sys.exit(__doc__)
