"""Several processes on one training: torchrun starts them, each takes its rows of a batch, the gradients are averaged.

With one process every function here is the identity. Sums over processes come out the same, bit for bit, in each of
them: so weights that were equal stay equal, and all processes see the same loss and decide alike.
"""

from __future__ import annotations

import atexit
import os

import torch
import torch.distributed as dist
from torch import Tensor


def join(device: torch.device) -> tuple[int, int]:
    """(rank, world): which process this is, of how many; under torchrun it meets the others first.

    Gloo carries what lives on the CPU, NCCL what lives on a GPU.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"several processes share a training on cpu or cuda, not on {device.type}")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return (dist.get_rank(), dist.get_world_size()) if _several() else (0, 1)


def local_device(device: str) -> torch.device:
    """This process's device of a kind: under torchrun each has its own GPU."""
    return torch.device(device, int(os.environ.get("LOCAL_RANK", 0))) if device == "cuda" else torch.device(device)


def broadcast_(tensors: list[Tensor]) -> None:
    """Every process's tensors become those of rank 0."""
    if _several():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def all_mean_(tensors: list[Tensor]) -> None:
    """Every process's tensors become their mean over the processes; they travel as one."""
    if _several():
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.div_(dist.get_world_size()).split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors)])


def all_gather(tensor: Tensor) -> list[Tensor]:
    """The tensors of all processes, rank 0 first."""
    if not _several():
        return [tensor]
    tensors = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(tensors, tensor)
    return tensors


def all_max(number: int) -> int:
    """The largest of all processes' numbers; none goes on before all have asked."""
    if not _several():
        return number
    box = torch.tensor(number)
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
