"""MNIST, 28x28 handwritten digits: read from a folder, or fetched once; offline, a stand-in.

`mnist()` looks in the folder that the variable MPL_DIFFUSION_MNIST names, or else in a per-user cache, which it fills
from the first mirror that answers. With neither files nor network it enlarges the 8x8 digits that scikit-learn carries,
and says so in one line. Whatever is read, from a disk or a mirror, stays in memory until the SHA-256 of the *unpacked*
file agrees (mirrors pack differently): no bad file is ever believed or left behind.
"""

import gzip
import hashlib
import io
import os
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ..files import write_whole

VARIABLE = "MPL_DIFFUSION_MNIST"  # a folder with the four files, or the word offline; unset: the per-user cache
SHA256 = {  # of the unpacked files
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
CURE = (
    f"mnist(folder=...) or the variable {VARIABLE} names this folder: put fresh copies of MNIST's four files there, "
    f"packed (.gz) or not; or unset {VARIABLE} to have them fetched; or set it to offline for scikit-learn's digits."
)
PATIENCE = 5.0  # seconds for a mirror to answer; all are asked at once
ROUNDS = 2  # how often the mirrors that answer are tried in turn


class Digits(NamedTuple):
    """Images (N, 1, 28, 28) in [-1, 1], float32; labels (N,) from 0 to 9, int64; where they come from."""

    images: Tensor
    labels: Tensor
    name: str  # "MNIST" or "scikit-learn digits"


def mnist(train: bool = True, folder: str | Path | None = None) -> Digits:
    """60,000 training or 10,000 test digits, as fresh tensors that you may edit in place.

    `folder` holds the four IDX files, packed or not; a folder that is named, here or by the variable
    MPL_DIFFUSION_MNIST, must have them. With none named they come from the per-user cache, which is filled once;
    without a network, scikit-learn's 1,797 digits stand in (1,500 to train, 297 to test), as they do for the folder
    "offline".
    """
    images, labels, name = _read(folder or os.environ.get(VARIABLE) or None)[0 if train else 1]
    pixels = torch.from_numpy(images.astype(np.float32)).div_(127.5).sub_(1)
    return Digits(pixels[:, None], torch.from_numpy(labels.astype(np.int64)), name)


@cache
def _read(folder: str | Path | None) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Training and test set as (images (N, 28, 28), labels (N,), name), uint8; read once per process."""
    if str(folder) == "offline":
        return _stand_in("offline was asked for")
    try:
        arrays = [_array(_from_folder(n, Path(folder).expanduser()) if folder else _from_cache(n)) for n in SHA256]
    except ConnectionError as error:
        return _stand_in(str(error))
    return [(*arrays[:2], "MNIST"), (*arrays[2:], "MNIST")]


def _array(payload: bytes) -> np.ndarray:
    """IDX: two zeros, the type (8: unsigned bytes), the number of dimensions, each as a big-endian int32, the items."""
    shape = np.frombuffer(payload, ">i4", count=payload[3], offset=4)
    return np.frombuffer(payload, np.uint8, offset=4 + 4 * payload[3]).reshape(shape)


def _stand_in(reason: str) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """scikit-learn's digits, drawn as MNIST draws its own: about 20x20 in the middle of a black 28x28."""
    from sklearn.datasets import load_digits

    print(
        f"scikit-learn's 1,797 digits, enlarged from 8x8, stand in for MNIST: {reason}. "
        f"For MNIST, set {VARIABLE} to a folder with its four files, or restart with a network.",
        file=sys.stderr,
    )
    digits = load_digits()
    small = pad(torch.from_numpy(digits.images)[:, None] / 16, (1, 1, 1, 1))  # a dark rim, or strokes end in flat cuts
    large = pad(interpolate(small, size=(24, 24), mode="bicubic").clamp(0, 1), (2, 2, 2, 2))
    images, labels = (large[:, 0] * 255).round().byte().numpy(), digits.target.astype(np.uint8)
    return [(images[part], labels[part], "scikit-learn digits") for part in (slice(1500), slice(1500, None))]


def _from_folder(name: str, folder: Path) -> bytes:
    try:
        return read(name, folder)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{error}. {CURE}") from None


def _from_cache(name: str) -> bytes:
    damage = None
    try:
        return read(name, cache_folder())
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        damage = error
    try:
        payload = fetch(name)
    except ConnectionError as error:
        if damage:
            raise ValueError(f"{damage}. It cannot be fetched again now ({error}): delete it, or replace it.") from None
        raise
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_whole(cache_folder() / name, payload)
    except OSError as error:
        print(f"{name} cannot be kept ({error}): it will be fetched again next time.", file=sys.stderr)
    return payload


def cache_folder() -> Path:
    """The per-user folder in which a fetched MNIST is kept."""
    import pooch

    return Path(pooch.os_cache("mpl_diffusion")) / "mnist"


def find(name: str, folder: Path) -> Path | None:
    """The file of `folder` that should hold `name`: unpacked or .gz, spelled with a dash or, as often seen, a dot."""
    spellings = name, name.replace("-idx", ".idx")
    candidates = (folder / (spelling + end) for end in ("", ".gz") for spelling in spellings)
    return next((path for path in candidates if path.is_file()), None)


def read(name: str, folder: Path) -> bytes:
    """The payload of IDX file `name` in `folder`; FileNotFoundError or ValueError: what is wrong there."""
    path = find(name, folder)
    if path is None:
        raise FileNotFoundError(f"{folder} has no {name}" if folder.is_dir() else f"there is no folder {folder}")
    return unpack(path.read_bytes(), name, path)


def unpack(data: bytes, name: str, source: object) -> bytes:
    """The payload of IDX file `name`, from packed or unpacked `data`; ValueError: what is wrong with `source`."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{source} is cut short or damaged: {error}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest == SHA256[name]:
        return data
    _, kind, idx, _ = name.split("-")
    magic = bytes([0, 0, 8, int(idx[-1])])
    if swapped := next((other for other, known in SHA256.items() if known == digest), None):
        raise ValueError(f"{source} holds {swapped}, not {name}: files were swapped")
    if data[:4] != magic:
        raise ValueError(f"{source} is no IDX file of {kind}: it starts with {data[:4]!r}, not with {magic!r}")
    raise ValueError(f"{source} is cut short or altered: its SHA-256 is {digest[:12]}..., not {SHA256[name][:12]}...")


_unreachable: list[str] = []  # why the first fetch that failed did: asked once per process


def fetch(name: str) -> bytes:
    """The payload of IDX file `name` from the first mirror that delivers it whole; ConnectionError: why none did."""
    if _unreachable:
        raise ConnectionError(_unreachable[0])
    reason = f"no mirror answered within {PATIENCE:g} s"
    for _ in range(ROUNDS):
        answered = False
        for url, size in _answering(f"{name}.gz"):
            answered = True
            try:
                return unpack(_download(url, size), name, url)
            except ValueError as error:
                reason = str(error)
            except OSError as error:  # every error of requests is one
                reason = f"{url} failed ({type(error).__name__})"
        if not answered:
            break
    _unreachable.append(reason)
    raise ConnectionError(reason)


def _answering(file: str) -> Iterator[tuple[str, int | None]]:
    """Address and size of `file` on each mirror, as they answer: a dead mirror or a slow name server costs
    nothing while another lives, and PATIENCE seconds in all where none does."""
    import requests

    answers: SimpleQueue[tuple[str, int | None] | None] = SimpleQueue()

    def ask(url: str) -> None:
        try:
            reply = requests.head(url, timeout=PATIENCE, allow_redirects=True)
            answers.put((url, int(reply.headers.get("Content-Length", 0)) or None))
        except (OSError, ValueError):
            answers.put(None)

    for mirror in MIRRORS:
        threading.Thread(target=ask, args=(mirror + file,), daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    for _ in MIRRORS:
        try:
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            return
        if answer:
            yield answer


def _download(url: str, size: int | None) -> bytes:
    from pooch import HTTPDownloader
    from tqdm.auto import tqdm

    data, name = io.BytesIO(), url.rpartition("/")[2]
    with tqdm.wrapattr(data, "write", total=size, desc=name, leave=False) as sink:
        HTTPDownloader(chunk_size=2**16, timeout=(PATIENCE, 4 * PATIENCE))(url, sink, None)
    return data.getvalue()
