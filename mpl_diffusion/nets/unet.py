"""The U-Net of DDPM: ResBlocks that know the time, attention where the picture is small, skips across.

Shapes: B batch, C H W image, c channels of a feature map, N = H W positions, L words, D numbers per word.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle, silu

from ..checks import check_rows, check_whole
from .text import Transformer, attend
from .time import time_features


class ResBlock(nn.Module):
    """x + f(x, t), f: norm, SiLU, conv, norm, *time scales and shifts*, SiLU, conv.

    Time comes in as Dhariwal & Nichol's adaptive group norm (2021, sec. 3.1); Ho et al. only shift. The last
    convolution starts at zero: a new block is the identity (or its 1x1 skip).
    """

    def __init__(self, c_in: int, c_out: int, time_dim: int, groups: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time = nn.Linear(time_dim, 2 * c_out)
        self.norm2, self.conv2 = nn.GroupNorm(groups, c_out), zero(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))
        scale, shift = self.time(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class Attention(nn.Module):
    """x + softmax(q k' / sqrt(d)) v: every position asks every position, or (cross) every word of `context`.

    (B, c, H, W), context (2, B, L, D) or none -> (B, c, H, W); the context's first half makes the keys, the second the
    values (Vaswani et al. 2017, eq. 1; Rombach et al. 2022, sec. 3.3).
    """

    def __init__(self, c: int, heads: int, groups: int, context_dim: int | None = None):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(groups, c)
        self.q, self.kv = nn.Linear(c, c), nn.Linear(context_dim or c, 2 * c)
        self.out = zero(nn.Linear(c, c))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(x, context)
        return self.residual(x, attend(q, k, v))

    def qkv(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """q (B, heads, N, d), and k, v (B, heads, N or L, d)."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)  # (B, N, c)
        k, v = self.kv(pixels if context is None else context).chunk(2, dim=-1)
        if context is not None:
            k, v = k[0], v[1]
        return tuple(a.unflatten(-1, (self.heads, -1)).transpose(1, 2) for a in (self.q(pixels), k, v))

    def residual(self, x: Tensor, h: Tensor) -> Tensor:
        """x plus what was read, h (B, heads, N, d)."""
        h = h.transpose(1, 2).flatten(2)  # (B, N, c)
        return x + self.out(h).transpose(1, 2).unflatten(-1, x.shape[2:])


class Stage(nn.Module):
    """What happens at one resolution: ResBlocks, each followed by self- and cross-attention where asked for."""

    def __init__(self, c_in, c_out, blocks, time_dim, groups, heads, attention, token_dim):
        super().__init__()
        cs = [c_in, *[c_out] * blocks]
        self.res = nn.ModuleList(ResBlock(a, b, time_dim, groups) for a, b in zip(cs, cs[1:]))
        self.self_attention = nn.ModuleList(Attention(c_out, heads, groups) for _ in range(blocks * attention))
        cross = blocks * attention if token_dim else 0
        self.cross_attention = nn.ModuleList(Attention(c_out, heads, groups, token_dim) for _ in range(cross))

    def forward(self, x: Tensor, emb: Tensor, words: Tensor | None) -> Tensor:
        for i, res in enumerate(self.res):
            x = res(x, emb)
            if self.self_attention:
                x = self.self_attention[i](x)
            if self.cross_attention:
                x = self.cross_attention[i](x, words)
        return x


class Join(nn.Module):
    """The skip connection: what comes up, enlarged to the skip's size, beside what came across."""

    def forward(self, h: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([interpolate(h, skip.shape[2:]), skip], dim=1)


class UNet(nn.Module):
    """Images (B, C, H, W), times (B,) on the scale 0 ... 1000, ids (B, L) or none -> (B, C, H, W).

    Encoder, bottleneck, decoder (Ho et al. 2020, appendix B). Each resolution i has `widths[i]` channels and `blocks`
    ResBlocks, and half the height and width of the one before; `attention[i]` says whether its pixels look at each
    other. The bottleneck always has attention. `patch` = 2 folds 2x2 pixels into channels first and unfolds them last:
    a cheaper stem for the same network. Any H and W that `patch` divides will do, down to one position at the bottom.

    With a `vocabulary` of n ids, 0 meaning "nothing", every stage with attention also asks `length` words: labels
    (digit + 1, length 1) and captions alike. cond = None is all zeros. A label goes with the time into every ResBlock
    as well, as its gist; a caption does not: what has to be known at one place is asked for there. `depth` layers of a
    transformer read a caption first, so that "red" knows which digit it belongs to; they make the keys, where to look,
    while the values, what is seen there, are the words themselves.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (48, 64),
        blocks: int = 1,
        attention: Sequence[bool] = (False, True),
        *,
        patch: int = 1,
        vocabulary: int = 0,
        length: int = 1,
        depth: int = 0,
        heads: int = 1,
        groups: int = 8,
    ):
        super().__init__()
        check_whole(channels=channels, blocks=blocks, patch=patch, heads=heads, groups=groups)
        check_whole(low=0, vocabulary=vocabulary, depth=depth)
        check_whole(low=1 if vocabulary else 0, length=length)
        if not len(widths):
            raise ValueError("widths is empty; expected at least one resolution, such as widths=(48, 64)")
        check_whole(**{f"widths[{i}]": width for i, width in enumerate(widths)})
        if len(widths) != len(attention) or any(c % groups or c % heads for c in widths):
            raise ValueError(
                f"widths = {tuple(widths)}, attention = {tuple(attention)}; expected one of each per resolution, and "
                f"widths that groups = {groups} and heads = {heads} divide"
            )
        self.channels, self.patch, self.length, self.time_dim = channels, patch, length, widths[0]
        time_dim, token_dim = 4 * widths[0], widths[-1] if vocabulary else 0
        self.time = nn.Sequential(nn.Linear(self.time_dim, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim))
        if vocabulary:
            self.tokens = nn.Embedding(vocabulary, token_dim)
            # as loud as the words: from 0, "left of" and "right of" look alike for thousands of steps
            order = torch.randn(length, token_dim) if length > 1 else torch.zeros(1, token_dim)
            self.places = nn.Parameter(order)
            self.text = Transformer(token_dim, depth) if depth else nn.Identity()
            self.gist = nn.Linear(token_dim, time_dim) if length == 1 else None
        else:
            self.tokens = self.gist = None
        stage = dict(blocks=blocks, time_dim=time_dim, groups=groups, heads=heads, token_dim=token_dim)
        last = widths[-1]
        self.stem = nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(widths, widths[1:]))
        self.down = nn.ModuleList(Stage(c, c, attention=a, **stage) for c, a in zip(widths, attention))
        self.middle = Stage(last, last, attention=True, **stage)
        below = [*widths[1:], last]
        self.join = nn.ModuleList(Join() for _ in widths)
        self.up = nn.ModuleList(
            Stage(b + c, c, attention=a, **stage) for b, c, a in reversed(list(zip(below, widths, attention)))
        )
        self.norm = nn.GroupNorm(groups, widths[0])
        self.head = zero(nn.Conv2d(widths[0], channels * patch**2, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.channels or x.shape[2] % self.patch or x.shape[3] % self.patch:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; this U-Net reads images, (B, {self.channels}, H, W), "
                f"H and W multiples of {self.patch}"
            )
        check_rows(x, t)
        emb, words = self.time(time_features(t, self.time_dim)), self.read(cond, len(x))
        emb = silu(emb if self.gist is None else emb + self.gist(words[1, :, 0]))
        h, skips = self.stem(pixel_unshuffle(x, self.patch)), []
        for stage, shrink in zip(self.down, [nn.Identity(), *self.shrink]):
            h = stage(shrink(h), emb, words)
            skips.append(h)
        h = self.middle(h, emb, words)
        for join, stage in zip(self.join, self.up):
            h = stage(join(h, skips.pop()), emb, words)
        return pixel_shuffle(self.head(silu(self.norm(h))), self.patch)

    def read(self, cond: Tensor | None, batch: int) -> Tensor | None:
        """Ids (B, L) -> (2, B, L, D): each word as the transformer (if there is one) read it among the others, and the
        word itself, an embedding plus one for its place; None: "nothing" everywhere."""
        if self.tokens is None:
            if cond is not None:
                raise ValueError("cond was given, but this U-Net was built with vocabulary=0")
            return None
        if cond is None:
            cond = self.tokens.weight.new_zeros(batch, self.length, dtype=torch.long)
        if cond.shape != (batch, self.length):
            raise ValueError(f"cond has shape {tuple(cond.shape)}; expected ids ({batch}, {self.length})")
        words = self.tokens(cond) + self.places
        return torch.stack([self.text(words), words])


def zero(layer: nn.Module) -> nn.Module:
    """The layer, with weights and bias of 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
