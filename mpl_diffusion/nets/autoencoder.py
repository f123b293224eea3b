"""Perceptual compression: an autoencoder with a small latent, and the discriminator that keeps its pictures sharp.

Shapes: B batch, C H W image, f the factor between an image's width and its latent's, c channels of a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..checks import check_whole

WIDTHS = {2: 24, 4: 48, 8: 96, 16: 96}  # channels where the picture is so many times smaller


class Autoencoder(nn.Module):
    """Images (B, C, H, W) <-> latents (B, c, H/f, W/f), f = 2, 4, 8 or 16: KL-regularised (Rombach et al. 2022, 3.1).

    `encode` gives the mean of q(z | x), `decode` the picture. Between them: `scale` brings latents to mean 0 and std 1
    with the `mean` and `std` per channel that lie beside the weights, `unscale` takes them back. Diffuse
    scale(encode(x)); decode unscale(z).
    """

    def __init__(self, f: int = 8, channels: int = 3, latents: int = 4, groups: int = 8):
        super().__init__()
        if f not in WIDTHS:
            raise ValueError(f"f = {f!r}; expected one of {', '.join(map(str, WIDTHS))}")
        check_whole(channels=channels, latents=latents, groups=groups)
        self.f, self.channels, self.latents = f, channels, latents
        widths = [width for factor, width in WIDTHS.items() if factor <= f]
        first, last = widths[0], widths[-1]
        down, up = [], []
        for finer, coarser in zip(widths, widths[1:]):
            down += [nn.Conv2d(finer, coarser, 3, stride=2, padding=1), Residual(coarser, groups)]
            up = [nn.Upsample(scale_factor=2), nn.Conv2d(coarser, finer, 3, padding=1), Residual(finer, groups), *up]
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * channels, first, 3, padding=1),
            Residual(first, groups),
            *down,
            *norm_silu(last, groups),
            nn.Conv2d(last, 2 * latents, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latents, last, 3, padding=1),
            Residual(last, groups),
            Residual(last, groups),
            *up,
            *norm_silu(first, groups),
            nn.Conv2d(first, 4 * channels, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.register_buffer("mean", torch.zeros(latents, 1, 1))
        self.register_buffer("std", torch.ones(latents, 1, 1))

    @property
    def last(self) -> Tensor:
        """The weights of the decoder's last convolution, where the gradients of two losses are compared."""
        return self.decoder[-2].weight

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the Gaussian q(z | x), each (B, c, H/f, W/f)."""
        if x.ndim != 4 or x.shape[1] != self.channels or x.shape[2] % self.f or x.shape[3] % self.f:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected images (B, {self.channels}, H, W) in [-1, 1], "
                f"H and W multiples of f = {self.f}"
            )
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        return mean, log_var.clamp(-20, 10)

    def encode(self, x: Tensor) -> Tensor:
        """Images -> latents, the mean of q(z | x)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Latents, not scaled -> images."""
        return self.decoder(self._latents(z))

    def scale(self, z: Tensor) -> Tensor:
        """(z - mean) / std: latents of unit variance, which a diffusion model is made for."""
        return (self._latents(z) - self.mean) / self.std

    def unscale(self, z: Tensor) -> Tensor:
        """mean + std z: latents as the decoder knows them."""
        return self.mean + self.std * self._latents(z)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction, decode(encode(x))."""
        return self.decode(self.encode(x))

    def _latents(self, z: Tensor) -> Tensor:
        if z.ndim != 4 or z.shape[1] != self.latents:
            raise ValueError(
                f"z has shape {tuple(z.shape)}; expected latents (B, {self.latents}, H/{self.f}, W/{self.f})"
            )
        return z


class Residual(nn.Module):
    """x + f(x), f: norm, SiLU, conv, norm, SiLU, conv."""

    def __init__(self, c: int, groups: int):
        super().__init__()
        convs = (nn.Conv2d(c, c, 3, padding=1) for _ in range(2))
        self.f = nn.Sequential(*(layer for conv in convs for layer in (*norm_silu(c, groups), conv)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


class PatchDiscriminator(nn.Module):
    """Images (B, C, H, W) -> one logit per patch, (B, 1, H/4 - 1, W/4 - 1): real or reconstructed?

    Convolutions 4 wide: two of stride 2, one of stride 1. Each logit sees a patch of 22x22 pixels and nothing else (a
    norm would tell it of the whole picture): so it judges texture and edges, not what the picture shows
    (Isola et al. 2017, sec. 3.2.2; Rombach et al. 2022, 3.1).
    """

    def __init__(self, channels: int = 3, width: int = 32):
        super().__init__()
        check_whole(channels=channels, width=width)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 4, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def norm_silu(c: int, groups: int) -> tuple[nn.Module, nn.Module]:
    return nn.GroupNorm(groups, c), nn.SiLU()
