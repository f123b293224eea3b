"""What DDIM's loop costs beside the network that it calls, beside diffusers' pipeline, and what guidance costs.

    python benchmarks/ddim.py          4 minutes, two cores

64 digits, 28x28, the network and weights of load("mnist"), 20 steps, in alternating rounds in one process; medians.

    loop / calls        our whole walk, over as many bare calls of the same network on the same x_T
    pipeline / ours     diffusers' DDIMPipeline with the same network, weights, schedule and number of steps
    guided / unguided   w = 3, one doubled batch a step

Both walks start from the same x_T, and the run checks that they end in the same digits, to 2e-2 (theirs keeps
its tables in float32, which the steep end of the cosine schedule feels).
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import time
from statistics import median
from types import SimpleNamespace

import torch
from diffusers import ConfigMixin, DDIMPipeline, DDIMScheduler, ModelMixin
from diffusers.configuration_utils import register_to_config

from mpl_diffusion import classifier_free, ddim, final, load

ROUNDS, STEPS, BATCH = 21, 20, 64


class Peer(ModelMixin, ConfigMixin):
    """The same network behind the interface that the pipeline expects; its t is ours minus 1."""

    @register_to_config
    def __init__(self, sample_size: int = 28, in_channels: int = 1):
        super().__init__()
        self.net, self.cond = torch.nn.Identity(), None

    def forward(self, x, t):
        return SimpleNamespace(sample=self.net(x, (t + 1.0).expand(len(x)), self.cond))


def seconds(run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> int:
    torch.set_num_threads(2)
    denoiser = load("mnist")
    process, net = denoiser.process, denoiser.net
    x = process.prior(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    cond = (torch.arange(BATCH) % 10 + 1)[:, None]
    times = [torch.full((BATCH,), float(t)) for t in process.times(STEPS)[:-1]]
    guided = classifier_free(denoiser, 3.0)
    scheduler = DDIMScheduler(
        trained_betas=process.beta[1:].float().numpy(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    peer = Peer()
    peer.net, peer.cond = net, cond
    pipeline = DDIMPipeline(peer, scheduler)
    pipeline.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def calls():
        for t in times:
            net(x, t, cond)

    def ours():
        return final(ddim(denoiser, process, x, STEPS, cond=cond))

    def theirs():
        # the pipeline draws its own x_T, and hands back (x / 2 + 1/2) in [0, 1], (B, H, W, C)
        import diffusers.pipelines.ddim.pipeline_ddim as room

        room.randn_tensor, keep = (lambda *args, **options: x.clone()), room.randn_tensor
        try:
            return pipeline(batch_size=BATCH, num_inference_steps=STEPS, output_type="np").images
        finally:
            room.randn_tensor = keep

    def with_guidance():
        return final(ddim(guided, process, x, STEPS, cond=cond))

    mine, other = ours(), torch.as_tensor(theirs()).permute(0, 3, 1, 2) * 2 - 1
    apart = float((mine.clamp(-1, 1) - other).abs().max())
    runs = {"calls": calls, "ours": ours, "theirs": theirs, "guided": with_guidance}
    for run in runs.values():
        run()
    rounds = [{name: seconds(run) for name, run in runs.items()} for _ in range(ROUNDS)]
    ratio = lambda a, b: median(r[a] / r[b] for r in rounds)  # noqa: E731
    print(
        f"{BATCH} digits, {STEPS} steps, {torch.get_num_threads()} threads: {median(r['ours'] for r in rounds):.2f} s"
    )
    print(f"loop / calls       {ratio('ours', 'calls'):.3f}   (at most 1.03)")
    print(f"pipeline / ours    {ratio('theirs', 'ours'):.3f}   (more than 1)")
    print(f"guided / unguided  {ratio('guided', 'ours'):.3f}   (at most 2.05)")
    print(f"the same digits: they differ by at most {apart:.1e}")
    return int(apart > 2e-2)


if __name__ == "__main__":
    sys.exit(main())
