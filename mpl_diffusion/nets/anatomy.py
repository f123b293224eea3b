"""Tools to examine a U-Net: what its blocks compute, what they cost, and what it predicts without one of them.

All by hooks: the network itself is never changed, and the hooks are removed afterwards, also after an error.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..checks import check_finite_tensor, check_floats, check_number, check_whole
from .text import Layer
from .unet import Attention, Join, Stage, UNet


def blocks(net: UNet) -> list[tuple[str, Stage, list[nn.Module]]]:
    """(name, the module whose output is the block's, all its modules), in the order in which a picture meets them."""
    shrink = [[], *([layer] for layer in net.shrink)]
    down = [("down", stage, [*before, stage]) for before, stage in zip(shrink, net.down)]
    up = [("up", stage, [stage]) for stage in net.up]
    return [("stem", net.stem, [net.stem]), *down, ("middle", net.middle, [net.middle]), *up]


@torch.no_grad()
def feature_maps(net: UNet, x: Tensor, t, cond: Tensor | None = None) -> dict[str, Tensor]:
    """What each block hands on: {"stem": (B, c, H, W), "down 14x14": ..., "middle 7x7": ..., "up 14x14": ...}."""
    maps = {}

    def keep(kind):
        def hook(module, args, out):
            name = kind if kind == "stem" else f"{kind} {out.shape[2]}x{out.shape[3]}"
            maps[_free(name, maps)] = out

        return hook

    with Hooks(lambda: (last.register_forward_hook(keep(kind)) for kind, last, _ in blocks(net))):
        net(x, _times(t, x), cond)
    return maps


def _free(name: str, taken: dict) -> str:
    """A name that is not taken: two blocks may have one size, and a picture of one position cannot shrink."""
    return _free(f"{name} again", taken) if name in taken else name


class Hooks:
    """A context manager that registers hooks on a network and always removes them; it can be used again."""

    def __init__(self, hang: Callable[[], Iterable]):
        self.hang, self.hung = hang, []

    def __enter__(self) -> None:
        self.hung.append(list(self.hang()))

    def __exit__(self, *error) -> None:
        for handle in self.hung.pop():
            handle.remove()


def ablate(net: nn.Module, *parts: str) -> Hooks:
    """with ablate(net, "skips"): ...  takes parts out of a network, or of a denoiser that holds one.

    "skips": zeros come across. "attention": positions do not see each other. "time": no block receives the time.
    "labels": every id is 0, "nothing". The rest was trained beside the part and expects it: what you see is how much
    *this* network leans on it, not how well another would do that never had it.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"no part is called {part!r}; there are {', '.join(map(repr, PARTS))}")
        if not any(len(PARTS[part].of(module)) for module in net.modules()):
            raise ValueError(f"this network has no {part}")
    places = [(part, layer) for part in parts for module in net.modules() for layer in PARTS[part].of(module)]
    return Hooks(lambda: (PARTS[part].hook(layer) for part, layer in places))


class Part(NamedTuple):
    of: Callable  # module -> the layers in it where this part is
    hook: Callable  # layer -> the hook that takes it out there


def _zeros(module, args, out: Tensor) -> Tensor:
    return torch.zeros_like(out)


PARTS = {
    "skips": Part(
        lambda module: [module] if isinstance(module, Join) else [],
        lambda join: join.register_forward_pre_hook(lambda join, args: (args[0], torch.zeros_like(args[1]))),
    ),
    "attention": Part(
        lambda module: module.self_attention if isinstance(module, Stage) else [],
        lambda layer: layer.register_forward_hook(lambda layer, args, out: args[0]),
    ),
    "time": Part(
        lambda module: [module.time] if isinstance(module, UNet) else [],
        lambda layer: layer.register_forward_hook(_zeros),
    ),
    "labels": Part(
        lambda module: [module.tokens] if isinstance(module, UNet) and module.tokens is not None else [],
        lambda layer: layer.register_forward_pre_hook(lambda layer, args: (torch.zeros_like(args[0]),)),
    ),
}


@torch.no_grad()
def attention_maps(net: UNet, x: Tensor, t, cond: Tensor) -> dict[str, Tensor]:
    """How much each position asks each word: {"down 8x8": (B, L, H, W), ..., "up 8x8": ...} for ids cond (B, L).

    The weights of cross-attention, softmax(q k' / sqrt(d)), the mean over heads; at each position they sum to 1 over
    the L words, empty places among them. Read beside the network's own path (as Hertz et al. 2022, fig. 4).
    """
    maps = {}

    def keep(kind):
        def hook(layer, args, out):
            H, W = args[0].shape[2:]
            maps[_free(f"{kind} {H}x{W}", maps)] = (
                attention_weights(layer, *args).mean(1).transpose(1, 2).unflatten(-1, (H, W))
            )

        return hook

    with Hooks(lambda: [layer.register_forward_hook(keep(kind)) for kind, layer in cross_attentions(net)]):
        net(x, _times(t, x), cond)
    return maps


def shared_attention(net: nn.Module, rows: int | None = None) -> Hooks:
    """with shared_attention(net): ...  lets all pictures of a batch look where the first looks, each at its own words.

    Captions that differ in one word then share a layout, and only the word is exchanged: softmax(q k') is the first
    one's, v its own (Hertz et al. 2022, sec. 3.2). `rows`: so many at a time follow the first among them; guidance
    asks about n pictures in one batch of 2 n, and there rows = n keeps the unguided half to itself.
    """
    if rows is not None:
        check_whole(rows=rows)

    def hook(layer, args, out):
        x, words = args
        row = torch.arange(len(x))
        first = torch.zeros_like(row) if rows is None else row // rows * rows
        return layer.residual(x, attention_weights(layer, x[first], words[:, first]) @ layer.qkv(x, words)[2])

    layers = [layer for module in net.modules() if isinstance(module, UNet) for _, layer in cross_attentions(module)]
    return Hooks(lambda: (layer.register_forward_hook(hook) for layer in layers))


def attention_weights(layer: Attention, x: Tensor, words: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d)) of one layer, (B, heads, N, L)."""
    q, k, _ = layer.qkv(x, words)
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)


def cross_attentions(net: UNet) -> list[tuple[str, Attention]]:
    """The layers that ask the words, each with the kind of its block; ValueError: there are none."""
    found = [(kind, layer) for kind, stage, _ in blocks(net)[1:] for layer in stage.cross_attention]
    if not found:
        raise ValueError("this U-Net was built with vocabulary=0: it has no cross-attention")
    return found


def override_time(net: nn.Module, lie: float | Callable[[Tensor], Tensor]) -> Hooks:
    """with override_time(net, 500): ...  gives the U-Net in `net` the time 500, or lie(t), instead of t (B,)."""
    if not callable(lie):
        check_number(lie=lie)

    def hook(unet, args, kwargs):
        call = inspect.signature(unet.forward).bind(*args, **kwargs)
        t = call.arguments["t"]
        call.arguments["t"] = lie(t) if callable(lie) else torch.full_like(t, lie)
        return call.args, call.kwargs

    unets = [module for module in net.modules() if isinstance(module, UNet)]
    if not unets:
        raise ValueError(f"there is no U-Net in this {type(net).__name__}")
    return Hooks(lambda: (unet.register_forward_pre_hook(hook, with_kwargs=True) for unet in unets))


class Cost(NamedTuple):
    parameters: int
    multiply_adds: int  # for one image; a multiplication and an addition are one, torch counts them as two FLOPs


@torch.no_grad()
def count_flops(net: UNet, x: Tensor) -> dict[str, Cost]:
    """The parameters of each block, and its multiply-adds for one image of x's size; they sum to the whole network.

    Counted: convolutions, linear layers, and attention's two products. Norms and SiLUs are next to nothing beside them.
    """
    inside = {name: modules for (_, _, modules), name in zip(blocks(net), feature_maps(net, x[:1], 0))}
    inside = {"time": [net.time], **inside, "head": [net.norm, net.head]}
    if net.tokens is not None:
        inside["labels"] = [part for part in (net.tokens, net.text, net.gist) if part is not None]
    owner = {layer: name for name, tops in inside.items() for top in tops for layer in top.modules()}
    work = dict.fromkeys(inside, 0)

    def count(layer, args, out):
        work[owner[layer]] += _multiply_adds(layer, args, out)

    with Hooks(lambda: (layer.register_forward_hook(count) for layer in owner)):
        net(x[:1], _times(0, x[:1]))
    sizes = {name: sum(p.numel() for top in tops for p in top.parameters()) for name, tops in inside.items()}
    if net.tokens is not None:
        sizes["labels"] += net.places.numel()
    return {name: Cost(sizes[name], work[name]) for name in inside}


def _multiply_adds(layer: nn.Module, args, out: Tensor) -> int:
    if isinstance(layer, nn.Conv2d):
        return layer.weight.numel() * out[0, 0].numel()  # each weight once at each position
    if isinstance(layer, nn.Linear):
        return layer.weight.numel() * (out.numel() // out.shape[-1])
    if isinstance(layer, Attention):
        positions = args[0][0, 0].numel()
        asked = positions if len(args) == 1 or args[1] is None else args[1].shape[2]
        return 2 * positions * asked * args[0].shape[1]  # q k', and the weights times v
    if isinstance(layer, Layer):
        return 2 * out[0].numel() * out.shape[1]
    return 0


def receptive_field(net: UNet, x: Tensor, t, at: tuple[int, int], *, statistics: bool = True) -> Tensor:
    """How much each pixel moves the answer at pixel `at`: (H, W), the mean over the batch of |d out[at] / d x|.

    A norm's mean and variance are taken over the whole picture, so through them every pixel has a say in every other;
    statistics=False holds them still, and what remains came by convolution and attention.
    """
    _check_pixel(x.shape[-2:], at)
    x = x.detach().clone().requires_grad_()
    norms = [] if statistics else [module for module in net.modules() if isinstance(module, nn.GroupNorm)]
    with torch.enable_grad(), Hooks(lambda: (norm.register_forward_hook(_still) for norm in norms)):
        out = net(x, _times(t, x))[:, :, at[0], at[1]].sum()
    return torch.autograd.grad(out, x)[0].abs().mean((0, 1))


def receptive_radius(influence: Tensor, at: tuple[int, int]) -> float:
    """The mean distance, in pixels, from pixel `at`, weighted with a `receptive_field` (H, W)."""
    check_floats(finite=True, influence=influence)
    if influence.ndim != 2 or not influence.sum() > 0:
        raise ValueError(
            f"influence has shape {tuple(influence.shape)} and sum {float(influence.sum()):g}; expected a map (H, W) "
            "of numbers >= 0 that are not all 0 (a new U-Net answers 0, whatever it sees)"
        )
    _check_pixel(influence.shape, at)
    rows, columns = (torch.arange(n) - k for n, k in zip(influence.shape, at))
    distance = (rows[:, None] ** 2 + columns**2).sqrt().to(influence)
    return float((influence * distance).sum() / influence.sum())


def _check_pixel(size, at) -> None:
    if len(at) != 2 or not all(0 <= k < n for k, n in zip(at, size)):
        raise ValueError(f"at = {at!r}; expected (row, column) of a pixel, from (0, 0) to {tuple(n - 1 for n in size)}")


def _still(norm: nn.GroupNorm, args, out: Tensor) -> Tensor:
    x = args[0].unflatten(1, (norm.num_groups, -1))
    var, mean = torch.var_mean(x.detach(), (2, 3, 4), correction=0, keepdim=True)
    x = ((x - mean) / (var + norm.eps).sqrt()).flatten(1, 2)
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def _times(t, x: Tensor) -> Tensor:
    check_floats(finite=True, x=x)
    if not len(x):
        raise ValueError(f"x has shape {tuple(x.shape)}; expected at least one picture")
    t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    check_finite_tensor(t=t)
    return t.expand(len(x))
