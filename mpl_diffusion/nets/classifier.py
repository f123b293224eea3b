"""A small reader of digits: it scores what the generators draw, and its features measure distances."""

from __future__ import annotations

from torch import Tensor, nn

from ..checks import check_whole


class Classifier(nn.Module):
    """Digits (B, 1, 28, 28) in [-1, 1] -> logits (B, 10); `.features` are the 64 before the last SiLU and layer.

    Four convolutions, 28 -> 14 -> 7 -> 7 -> 4 pixels wide; no pooling over positions, so that the features also see
    *where* the ink is.
    """

    def __init__(self, features: int = 64):
        super().__init__()
        check_whole(features=features)
        self.body = nn.Sequential(
            *block(1, 32, size=5, stride=2),
            *block(32, 64, size=3, stride=2),
            *block(64, 96, size=3, stride=1),
            *block(96, 96, size=3, stride=2),
            nn.Flatten(),
            nn.Linear(96 * 4 * 4, features),
        )
        self.head = nn.Sequential(nn.SiLU(), nn.Linear(features, 10))

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) -> (B, 64)."""
        if x.shape[1:] != (1, 28, 28):
            raise ValueError(f"x has shape {tuple(x.shape)}; the classifier reads digits, (B, 1, 28, 28)")
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def block(c_in: int, c_out: int, size: int, stride: int) -> list[nn.Module]:
    """Convolution, norm, SiLU. Norms over groups, not batches: a trained network is its parameters, nothing else."""
    return [nn.Conv2d(c_in, c_out, size, stride, size // 2), nn.GroupNorm(8, c_out), nn.SiLU()]
