"""Two processes under torchrun train as one: the same weights, the same checks, one writer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_processes import STEPS, fresh, state

from mpl_diffusion import MLP, Denoiser, Trainer, linear
from mpl_diffusion.files import load_tensors

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = Path(__file__).with_name("two_processes.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([*torchrun, script, folder], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr[-3000:]
    (folder / "out").write_text(ran.stdout)
    return folder


@pytest.fixture(scope="module")
def ranks(folder):
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def same(a, b):
    assert a.keys() == b.keys() and not [name for name in a if not torch.equal(a[name], b[name])]


def test_two_processes_make_the_weights_of_one_up_to_rounding(ranks):
    trainer, data = fresh()
    list(trainer.run(data, STEPS))
    one = state(trainer)
    for name, tensor in ranks[0]["plain"].items():
        torch.testing.assert_close(tensor, one[name], rtol=1e-4, atol=1e-5)


def test_weights_average_and_losses_are_the_same_bit_for_bit_on_every_rank(ranks):
    for run in ("plain", "whole", "resumed"):
        same(ranks[0][run], ranks[1][run])


def test_a_rank_draws_its_own_noise_and_rank_0_that_of_a_single_process(ranks):
    fresh()
    assert torch.equal(ranks[0]["noise"], torch.rand(3)) and not torch.equal(ranks[0]["noise"], ranks[1]["noise"])


def test_a_nan_on_one_rank_stops_all_at_the_same_step(ranks):
    for seen in ranks:
        assert seen["nan"].startswith("the loss is nan at step 5; model and ema are those of step 4")
        assert seen["after nan"] == 4


def test_a_batch_that_the_processes_cannot_share_evenly_is_refused(ranks):
    for seen in ranks:
        assert seen["uneven"] == "a batch of 9 rows for 2 processes; expected a multiple of them"


def test_resumed_equals_uninterrupted_on_every_rank(ranks):
    for seen in ranks:
        assert seen["resumed at"] == 6
        same(seen["resumed"], seen["whole"])


def test_a_checkpoint_of_two_processes_is_refused_by_one(folder):
    denoiser = Denoiser(MLP(width=8, depth=1), linear(50))
    trainer = Trainer(denoiser, denoiser.loss)
    with pytest.raises(ValueError, match=r"half.safetensors is of another run: it has processes = 2 and not 1"):
        trainer.load(folder / "half.safetensors")


def test_the_command_line_trains_in_two_processes_stops_both_at_one_s_ctrl_c_and_goes_on_exactly(folder, ranks):
    assert ranks[0]["codes"] == ranks[1]["codes"] == [0, 130, 0]
    for file in ("checkpoint", "weights"):
        (one, facts), (two, others) = (load_tensors(folder / run / f"{file}.safetensors") for run in ("one", "two"))
        assert facts == others
        same(one, two)
    assert facts["model"] == "tiny" and "rng.1" in load_tensors(folder / "one" / "checkpoint.safetensors")[0]


def test_only_rank_0_speaks(folder):
    lines = (folder / "out").read_text().splitlines()
    assert len(lines) == 6 and sum("float32 on 2 x cpu" in line for line in lines) == 3
    assert sum("stopped after step 7" in line for line in lines) == 1
