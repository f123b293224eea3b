"""Files that are written whole or not at all; tensors in safetensors files that notice when they are damaged."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

FORMAT = "mpl_diffusion 1"


def write_whole(path: Path, blob: bytes) -> None:
    """Write in one step: a reader, or another process that writes it too, sees the old file or the whole new one."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")  # `remove_parts` knows this form
    try:
        with open(part, "wb") as f:
            f.write(blob)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except OSError as error:
        if error.errno is None:
            raise
        # named by the file that the caller knows, also where the disk is full
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing is left to delete, and the first error counts
            part.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """The folder, after a trial that files can be written into it: better to know before the work than after it.

    ValueError: it, or a part of its path, is a file or a link that leads nowhere; OSError: the system refuses.
    """
    for part in (folder, *folder.parents):
        if part.is_symlink() and not part.exists():
            raise ValueError(f"{part} is a link that leads nowhere; name another --out")
        if part.exists() and not part.is_dir():
            raise ValueError(f"{part} is a file; expected a folder: name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".writable.{uuid.uuid4().hex}"
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        error.filename = str(folder)
        raise


def remove_parts(path: Path) -> None:
    """Delete what a killed process left half written of this file; nobody else's *.part."""
    own = re.compile(re.escape(path.name) + r"\.[0-9a-f]{32}\.part")
    for part in path.parent.glob("*.part"):
        if own.fullmatch(part.name):
            part.unlink(missing_ok=True)


def save_tensors(path: str | Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Write tensors and a header of strings; a crash on the way leaves the old file as it was."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {**header, "format": FORMAT}
    blob = save(tensors, {**header, "sha256": digest(tensors, header)})
    write_whole(Path(path), blob)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header; ValueError if the file is damaged or not ours, FileNotFoundError if it is missing."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as f:
            header = f.metadata() or {}
            tensors = {name: f.get_tensor(name) for name in f.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no safetensors file ({error}); delete it and make it again") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} has format {header.get('format')!r}; this version reads {FORMAT!r}")
    if header.pop("sha256", None) != digest(tensors, header):
        raise ValueError(f"{path} is damaged: its contents do not match its checksum; delete it and make it again")
    return tensors, header


def half_if_exact(tensor: Tensor) -> Tensor:
    """Floats in half precision where that loses nothing, everything else as it is."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


def digest(tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    """The SHA-256 of tensors, with their names, types and shapes, and of a header."""
    sha = hashlib.sha256(repr(sorted(header.items())).encode())
    for name in sorted(tensors):
        sha.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        sha.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
