"""A tiny transformer that reads captions: each word's token learns what the other words are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ..checks import check_whole


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d)) v  (Vaswani et al. 2017, eq. 1): q (..., N, d), k and v (..., L, d) -> (..., N, d)."""
    if q.device.type == "cpu" and q.itemsize == 2:  # the fused kernel's way back is several times slower than this
        return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v
    return scaled_dot_product_attention(q, k, v)


class Transformer(nn.Module):
    """Tokens (B, L, D) -> tokens (B, L, D): `depth` layers, each  x + attention(norm x),  then  x + MLP(norm x).

    No mask: every word sees every word, and the empty places say how long the caption is
    (Vaswani et al. 2017; norms first, as Xiong et al. 2020).
    """

    def __init__(self, dim: int, depth: int, heads: int = 4):
        super().__init__()
        check_whole(dim=dim, heads=heads)
        check_whole(low=0, depth=depth)
        if dim % heads:
            raise ValueError(f"dim = {dim}, heads = {heads}; expected heads that divide dim")
        self.layers = nn.ModuleList(Layer(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)


class Layer(nn.Module):
    """Self-attention, then an MLP on each token, both added to what came in."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.out = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (a.unflatten(-1, (self.heads, -1)).transpose(1, 2) for a in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        x = x + self.out(attend(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))
