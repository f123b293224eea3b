"""Tensor files: written whole or not at all, and damage is noticed."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from mpl_diffusion import files
from mpl_diffusion.files import digest, half_if_exact, load_tensors, save_tensors

TENSORS = {
    "weights": torch.arange(6.0).reshape(2, 3),
    "half": torch.randn(3, generator=torch.Generator().manual_seed(0)).bfloat16(),
    "steps": torch.tensor(7),
    "mask": torch.tensor([True, False]),
    "nothing": torch.zeros(0, 4),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "double": torch.tensor([1e-300], dtype=torch.float64),
}


def same(a, b):
    assert a.keys() == b.keys()
    assert all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def test_what_is_read_is_what_was_written(tmp_path):
    path = tmp_path / "some.safetensors"
    save_tensors(path, TENSORS, {"step": "7", "recipe": "étude"})
    tensors, header = load_tensors(str(path))
    same(tensors, TENSORS)
    assert header["step"] == "7" and header["recipe"] == "étude"
    assert os.listdir(tmp_path) == ["some.safetensors"]  # nothing else is left


def test_views_and_tensors_that_need_gradients_are_saved_by_value(tmp_path):
    base = torch.randn(4, 6, requires_grad=True)
    save_tensors(tmp_path / "f", {"view": base[:, ::2].T, "whole": base}, {})
    tensors, _ = load_tensors(tmp_path / "f")
    same(tensors, {"view": base.detach()[:, ::2].T, "whole": base.detach()})


def test_no_byte_can_change_unnoticed(tmp_path):
    path = tmp_path / "some.safetensors"
    save_tensors(path, TENSORS, {"step": "7", "name": "roll"})
    whole, unnoticed = path.read_bytes(), []
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
        try:
            load_tensors(path)
        except ValueError:
            continue
        unnoticed.append(k)
    assert not unnoticed, [whole[max(0, k - 20) : k + 20] for k in unnoticed[:5]]


def test_a_file_cut_anywhere_is_noticed(tmp_path):
    path = tmp_path / "some.safetensors"
    save_tensors(path, TENSORS, {})
    whole = path.read_bytes()
    for n in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"some.safetensors is damaged, or no safetensors file"):
            load_tensors(path)


def test_foreign_and_missing_files_are_named(tmp_path):
    from safetensors.torch import save_file

    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(2)}, foreign)
    with pytest.raises(ValueError, match=r"foreign.safetensors has format None; this version reads 'mpl_diffusion 1'"):
        load_tensors(foreign)
    save_file({"x": torch.zeros(2)}, foreign, {"format": "pt"})
    with pytest.raises(ValueError, match=r"has format 'pt'"):
        load_tensors(foreign)
    torch.save({"x": torch.zeros(2)}, foreign)
    with pytest.raises(ValueError, match=r"no safetensors file"):
        load_tensors(foreign)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such file"):
        load_tensors(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no such file"):
        load_tensors(tmp_path)  # a folder


@pytest.mark.parametrize("where", ["replace", "fsync", "open"])
def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, where):
    path = tmp_path / "some.safetensors"
    save_tensors(path, TENSORS, {"step": "1"})

    def fails(*_):
        raise OSError("disk full")

    if where == "open":

        class Half:
            """A file that takes half of what it is given."""

            def __init__(self, path, mode):
                self.f = open(path, mode)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.f.close()

            def write(self, blob):
                self.f.write(blob[: len(blob) // 2])
                fails()

        monkeypatch.setattr(files, "open", Half, raising=False)
    else:
        monkeypatch.setattr(os, where, fails)
    with pytest.raises(OSError, match="disk full"):
        save_tensors(path, {"weights": torch.zeros(2)}, {"step": "2"})
    monkeypatch.undo()
    tensors, header = load_tensors(path)
    same(tensors, TENSORS)
    assert header["step"] == "1" and os.listdir(tmp_path) == ["some.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_that_half_precision_holds_become_half_and_no_others(dtype):
    exact = torch.tensor([0.0, -0.5, 1 / 1024, 65504.0, -torch.inf, 2.0**-24], dtype=dtype)
    assert half_if_exact(exact).dtype == torch.half and torch.equal(half_if_exact(exact).to(dtype), exact)
    rounded = torch.randn(100, dtype=dtype).half().to(dtype)
    assert half_if_exact(rounded).dtype == torch.half and torch.equal(half_if_exact(rounded).to(dtype), rounded)
    for lost in (0.1, 65520.0, 1e-9, torch.nan, 2049.0):
        kept = torch.tensor([0.5, lost], dtype=dtype)
        assert half_if_exact(kept) is kept
    assert half_if_exact(torch.zeros(0, 3, dtype=dtype)).shape == (0, 3)


@pytest.mark.parametrize("name", ["steps", "mask", "bytes"])
def test_what_is_no_float_stays_as_it_is(name):
    assert half_if_exact(TENSORS[name]) is TENSORS[name]


def test_a_compact_file_is_half_as_large_and_gives_the_same_weights(tmp_path):
    net = torch.nn.Linear(64, 64).requires_grad_(False)
    for p in net.parameters():
        p.copy_(p.half())
    for name, change in (("full", lambda x: x), ("compact", half_if_exact)):
        save_tensors(tmp_path / name, {k: change(v) for k, v in net.state_dict().items()}, {})
    assert os.path.getsize(tmp_path / "compact") < 0.55 * os.path.getsize(tmp_path / "full")
    again = torch.nn.Linear(64, 64)
    again.load_state_dict(load_tensors(tmp_path / "compact")[0])
    assert digest(again.state_dict(), {}) == digest(net.state_dict(), {})


WRITER = """
import sys
import torch
from mpl_diffusion.files import save_tensors
k = 0
while True:
    k += 1
    save_tensors(sys.argv[1], {"x": torch.full((1_000_000,), k, dtype=torch.int32)}, {"k": str(k)})
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_process_killed_while_it_writes_leaves_a_whole_file(tmp_path):
    """Two writers at once, each killed at a random moment in its endless rewriting of a 4 MB checkpoint."""
    paths = [tmp_path / f"{k}.safetensors" for k in range(2)]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for path in paths]
    rng = random.Random(0)
    try:
        for writer, path in zip(writers, paths, strict=True):
            deadline = time.monotonic() + 60
            while not path.exists() and writer.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.02, 0.15))
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
            tensors, header = load_tensors(path)
            assert torch.equal(tensors["x"], torch.full((1_000_000,), int(header["k"]), dtype=torch.int32))
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
