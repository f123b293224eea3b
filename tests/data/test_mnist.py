"""MNIST's door, with tiny files under MNIST's names and mirrors on this machine; the real files where they are."""

import gzip
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from mpl_diffusion.data import mnist as door
from mpl_diffusion.data.mnist import VARIABLE, mnist
from mpl_diffusion.files import write_whole

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = NAMES = tuple(door.SHA256)
REAL = os.environ.get(VARIABLE, "")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture(autouse=True)
def files(monkeypatch, tmp_path):
    """Twelve and five digits under MNIST's names, known to the door; no variable, an empty cache, no network."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (12, 5)]
    labels = [rng.integers(0, 10, n, np.uint8) for n in (12, 5)]
    arrays[0][0, 0, :3] = 0, 51, 255
    payloads = dict(zip(NAMES, map(idx, (arrays[0], labels[0], arrays[1], labels[1])), strict=True))
    monkeypatch.setattr(door, "SHA256", {n: hashlib.sha256(p).hexdigest() for n, p in payloads.items()})
    monkeypatch.setattr(door, "MIRRORS", ())
    monkeypatch.setattr(door, "PATIENCE", 1.0)
    monkeypatch.setattr(door, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(VARIABLE, raising=False)
    forget()
    yield payloads
    forget()


def forget():
    """What a new process would not know."""
    door._read.cache_clear()
    door._unreachable.clear()


@pytest.fixture
def folder(files, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, payload in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(payload))
    return folder


class Mirror(BaseHTTPRequestHandler):
    """The first part of the address says how this mirror behaves."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.server.fetched.append(self.path)
        self.server.gate()
        body = self.answer()
        self.wfile.write(body[: len(body) // 2] if "/cut/" in self.path or "/close/" in self.path else body)

    def answer(self):
        _, manner, file = self.path.split("/")
        payload = self.server.payloads[file.removesuffix(".gz")]
        body = {
            "html": b"<!DOCTYPE html><title>Please log in</title>",
            "unpacked": payload,
            "altered": gzip.compress(payload[:-1] + b"?"),
        }.get(manner, gzip.compress(payload))
        self.send_response(404 if manner == "gone" else 200)
        if manner != "close":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def log_message(self, *_):
        pass


@pytest.fixture
def server(files, monkeypatch):
    """`server.offer("cut", "good")` makes these the mirrors; `server.fetched` lists what was downloaded."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.payloads, server.fetched, server.gate = files, [], lambda: None
    server.address = f"http://127.0.0.1:{server.server_port}/"
    server.offer = lambda *manners: monkeypatch.setattr(
        door, "MIRRORS", tuple(m if m.startswith("http") else f"{server.address}{m}/" for m in manners)
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def assert_whole(files, folder):
    """The folder holds the four files, unpacked, and nothing else."""
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == files


# --- a named folder


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "unpacked"])
@pytest.mark.parametrize("dotted", [True, False], ids=["dot", "dash"])
def test_a_folder_may_hold_the_files_packed_or_not_and_in_both_spellings(files, tmp_path, monkeypatch, packed, dotted):
    for name, payload in files.items():
        name = name.replace("-idx", ".idx") if dotted else name
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(payload) if packed else payload)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    train, test = mnist(), mnist(train=False)
    assert (train.name, train.images.shape, test.images.shape) == ("MNIST", (12, 1, 28, 28), (5, 1, 28, 28))
    pixels = np.frombuffer(files[IMAGES], np.uint8, offset=16).reshape(12, 1, 28, 28)
    torch.testing.assert_close(train.images, torch.tensor(pixels / 127.5 - 1, dtype=torch.float32))
    assert test.labels.tolist() == list(files[TEST_LABELS][8:])
    assert train.labels.dtype == test.labels.dtype == torch.int64


def test_black_is_minus_one_and_white_is_one_exactly(folder):
    assert mnist(folder=folder).images[0, 0, 0, [0, 2]].tolist() == [-1.0, 1.0]


def test_the_argument_goes_before_the_variable(folder, monkeypatch):
    monkeypatch.setenv(VARIABLE, "offline")
    assert mnist(folder=folder).name == "MNIST"


def test_reading_is_silent(folder, capfd):
    mnist(folder=folder)
    assert capfd.readouterr() == ("", "")


def test_editing_a_result_in_place_does_not_change_the_next(folder):
    first = mnist(folder=folder)
    kept = first.images.clone(), first.labels.clone()
    first.images.zero_(), first.labels.zero_()
    again = mnist(folder=folder)
    assert torch.equal(again.images, kept[0]) and torch.equal(again.labels, kept[1])


def test_files_are_read_once_per_process(folder):
    mnist(folder=folder)
    for file in folder.iterdir():
        file.unlink()
    assert len(mnist(train=False, folder=folder).labels) == 5


def test_a_missing_file_is_named_with_its_folder_the_variable_and_the_cure(folder, monkeypatch):
    (folder / f"{TEST_LABELS}.gz").unlink()
    monkeypatch.setenv(VARIABLE, str(folder))
    with pytest.raises(FileNotFoundError, match=f"{folder} has no {TEST_LABELS}.*{VARIABLE}.*unset"):
        mnist()


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path / 'typo'}.*{VARIABLE}"):
        mnist()


def damage(files):
    pack = gzip.compress(files[IMAGES])
    return {
        "gzip cut short": (pack[: len(pack) // 2], "cut short or damaged"),
        "gzip altered": (pack[:40] + bytes(b ^ 0xFF for b in pack[40:60]) + pack[60:], "cut short or damaged"),
        "gzip of nonsense": (pack[:10] + b"\xff" * 50, "cut short or damaged"),
        "unpacked, cut short": (files[IMAGES][:-1], "cut short or altered: its SHA-256"),
        "one byte altered": (files[IMAGES][:-1] + bytes([files[IMAGES][-1] ^ 1]), "cut short or altered: its SHA-256"),
        "labels for images": (files[LABELS], f"holds {LABELS}, not {IMAGES}: files were swapped"),
        "test for train": (gzip.compress(files[TEST_IMAGES]), f"holds {TEST_IMAGES}, not {IMAGES}: files were swapped"),
        "wrong magic": (b"\0\0\x08\x01" + files[IMAGES][4:], "no IDX file of images: it starts with"),
        "a web page": (b"<!DOCTYPE html>", "no IDX file of images: it starts with b'<!DO'"),
        "empty": (b"", "no IDX file of images: it starts with b''"),
    }


@pytest.mark.parametrize("case", damage(dict.fromkeys(NAMES, bytes(100))))
def test_a_damaged_file_is_named_with_what_is_wrong_and_the_cure(files, folder, monkeypatch, case):
    data, complaint = damage(files)[case]
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(data)
    monkeypatch.setenv(VARIABLE, str(folder))
    with pytest.raises(ValueError) as error:
        mnist()
    assert str(path) in str(error.value) and complaint in str(error.value) and "fresh" in str(error.value)
    path.write_bytes(gzip.compress(files[IMAGES]))
    assert mnist().name == "MNIST", "a mended file works without a restart"


# --- the cache and its mirrors


def test_the_cache_is_filled_once(files, server, tmp_path, capfd):
    server.offer("good")
    fetched = mnist()
    assert sorted(server.fetched) == sorted(f"/good/{name}.gz" for name in NAMES)
    assert f"{IMAGES}.gz" in capfd.readouterr().err, "no progress was shown"
    assert_whole(files, tmp_path / "cache")
    forget()
    again = mnist()
    assert torch.equal(fetched.images, again.images) and len(server.fetched) == 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bad", ["gone", "html", "cut", "close", "altered", "http://127.0.0.1:9/"])
def test_a_bad_mirror_is_passed_over(files, server, tmp_path, bad):
    server.offer(bad, "good")
    assert mnist().name == "MNIST"
    assert_whole(files, tmp_path / "cache")


def test_a_mirror_may_unpack(files, server, tmp_path):
    server.offer("unpacked")
    assert mnist().name == "MNIST"
    assert_whole(files, tmp_path / "cache")


@pytest.mark.parametrize("bad", ["gone", "html", "cut", "close", "altered"])
def test_bad_mirrors_only_are_tried_again_and_then_the_stand_in_says_why(server, tmp_path, capfd, bad):
    server.offer(bad)
    assert mnist().name == "scikit-learn digits"
    assert server.fetched == [f"/{bad}/{IMAGES}.gz"] * door.ROUNDS
    assert f"{server.address}{bad}/{IMAGES}.gz" in capfd.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_a_silent_mirror_keeps_nobody_waiting(server, monkeypatch):
    monkeypatch.setattr(door, "PATIENCE", 20.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a call and says nothing
        server.offer(f"http://127.0.0.1:{silent.getsockname()[1]}/", "good")
        start = time.monotonic()
        assert mnist().name == "MNIST"
        assert time.monotonic() - start < 10


def test_without_a_network_patience_is_spent_once_and_one_line_says_what_happened(server, capfd, monkeypatch):
    monkeypatch.setattr(door, "PATIENCE", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server.offer(*[f"http://127.0.0.1:{silent.getsockname()[1]}/"] * 3)
        start = time.monotonic()
        with pytest.raises(ConnectionError, match="no mirror answered within 2 s"):
            door.fetch(IMAGES)
        assert time.monotonic() - start < 3.5
    assert mnist().name == "scikit-learn digits"
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "no mirror answered within 2 s" in err and VARIABLE in err
    server.offer("good")
    assert mnist().name == mnist(train=False).name == "scikit-learn digits"
    assert server.fetched == [] and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damaged", [IMAGES, f"{IMAGES}.gz"])
def test_a_damaged_file_in_the_cache_is_fetched_again(files, server, tmp_path, damaged):
    server.offer("good")
    mnist()
    (tmp_path / "cache" / IMAGES).unlink()
    (tmp_path / "cache" / damaged).write_bytes(b"\x1f\x8b half a file")
    forget()
    assert mnist().name == "MNIST"
    assert (tmp_path / "cache" / IMAGES).read_bytes() == files[IMAGES]
    forget()
    assert mnist().name == "MNIST" and len(server.fetched) == 5, "it was fetched more than once"


def test_a_damaged_file_in_the_cache_is_an_error_offline(files, tmp_path):
    path = tmp_path / "cache" / IMAGES
    path.parent.mkdir()
    path.write_bytes(files[IMAGES][:-1])
    with pytest.raises(ValueError, match=f"{path} is cut short.*cannot be fetched again now.*delete it"):
        mnist()


def test_a_cache_that_cannot_be_written_is_done_without(server, tmp_path, monkeypatch, capfd):
    (tmp_path / "file").touch()
    monkeypatch.setattr(door, "cache_folder", lambda: tmp_path / "file" / "mnist")
    server.offer("good")
    assert mnist().name == "MNIST"
    assert f"{IMAGES} cannot be kept" in capfd.readouterr().err


def test_a_full_disk_leaves_nothing_behind(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    server.offer("good")
    assert mnist().name == "MNIST"
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_processes_may_fill_the_cache_at_once(files, server, tmp_path):
    both = threading.Barrier(2, timeout=60)
    server.gate = lambda: both.wait()  # each file is served only when both ask for it
    known = json.dumps(door.SHA256)
    program = (
        "import json, pathlib, sys; from mpl_diffusion.data import mnist as door\n"
        "door.SHA256, door.MIRRORS = json.loads(sys.argv[1]), [sys.argv[2]]\n"
        "door.cache_folder = lambda: pathlib.Path(sys.argv[3])\n"
        "print(door.mnist().name)"
    )
    command = [sys.executable, "-c", program, known, f"{server.address}good/", str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [run.communicate(timeout=60)[0] for run in runs] == ["MNIST\n"] * 2
    assert len(server.fetched) == 8
    assert_whole(files, tmp_path / "cache")


def test_a_reader_never_sees_half_a_file(tmp_path):
    """While two writers replace one file again and again, each reading finds one of the two versions, whole."""
    path, versions = tmp_path / "file", [bytes(2**20), b"\1" * 2**20]
    write_whole(path, versions[0])
    stop, trouble = threading.Event(), []

    def write(version):
        try:
            while not stop.is_set():
                write_whole(path, version)
        except OSError as error:
            trouble.append(error)

    writers = [threading.Thread(target=write, args=[version]) for version in versions]
    for writer in writers:
        writer.start()
    read = [path.read_bytes() for _ in range(100)]
    stop.set()
    for writer in writers:
        writer.join()
    assert all(data in versions for data in read) and trouble == []


# --- the stand-in


def test_the_word_offline_asks_for_the_stand_in_without_a_call(server, monkeypatch, capfd):
    server.offer("good")
    monkeypatch.setenv(VARIABLE, "offline")
    train, test = mnist(), mnist(train=False)
    assert train.name == test.name == "scikit-learn digits" and server.fetched == []
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "scikit-learn" in err and "MNIST" in err


def test_the_stand_in_has_mnists_form():
    train, test = mnist(folder="offline"), mnist(train=False, folder="offline")
    assert (train.images.shape, test.images.shape) == ((1500, 1, 28, 28), (297, 1, 28, 28))
    assert train.images.dtype == torch.float32 and train.labels.dtype == torch.int64
    assert train.images.min() == -1 and train.images.max() == 1
    assert train.labels.unique().tolist() == test.labels.unique().tolist() == list(range(10))
    rim = torch.ones(28, 28, dtype=torch.bool)
    rim[2:-2, 2:-2] = False
    assert (train.images[:, 0, rim] == -1).all(), "a digit touches the rim"


def test_the_stand_in_shows_scikit_learns_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    shown = mnist(folder="offline")
    small = torch.nn.functional.adaptive_avg_pool2d(shown.images[:, :, 2:-2, 2:-2], 10)[:, 0, 1:-1, 1:-1]
    wanted = torch.tensor(digits.images[:1500], dtype=torch.float32) / 8 - 1
    assert torch.corrcoef(torch.stack([small.flatten(), wanted.flatten()]))[0, 1] > 0.95
    assert shown.labels.tolist() == digits.target[:1500].tolist()


# --- the real thing


@pytest.mark.skipif(not Path(REAL).is_dir() or not REAL, reason=f"{VARIABLE} names no folder")
def test_the_real_files_are_mnist(monkeypatch):
    monkeypatch.undo()
    forget()
    train, test = mnist(), mnist(train=False)
    assert (train.name, train.images.shape, test.images.shape) == ("MNIST", (60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9] and test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    pixels = (train.images + 1) / 2
    assert abs(pixels.mean() - 0.1307) < 1e-4 and abs(pixels.std() - 0.3081) < 1e-4  # the field's usual constants
