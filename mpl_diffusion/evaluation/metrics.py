"""How far apart are two samples? Distances and tests that need no density, for points and small images."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..checks import check_finite_tensor, check_floats, check_pictures, check_whole, is_integer, same_shape
from ..forward.process import Process


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int = 256, seed: int = 0) -> float:
    """Mean over random unit directions u of W_1(u.x, u.y): sort both shadows, average |difference|.

    x (n, ...), y (m, ...), in the units of the data. Biased upwards for finite samples: always hold it against its
    floor, the distance between two fresh data sets of the same sizes (Bonneel et al. 2015).
    """
    check_whole(directions=directions)
    x, y = _two_samples(x, y)
    u = torch.randn(x.shape[1], directions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u = u / u.norm(dim=0)
    x, y = (x @ u).sort(0).values, (y @ u).sort(0).values
    if len(x) != len(y):  # compare quantiles on a common grid
        q = (torch.arange(max(len(x), len(y)), dtype=torch.float64) + 0.5) / max(len(x), len(y))
        x, y = (v[(q * len(v)).long()] for v in (x, y))
    return float((x - y).abs().mean())


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|: 0 only if both have one distribution (Szekely & Rizzo 2013)."""
    x, y = _two_samples(x, y)
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


def two_sample_test(x: Tensor, y: Tensor, permutations: int = 500, seed: int = 0) -> float:
    """p-value of "x and y come from one distribution": how often shuffled labels give as large an energy distance.

    Uniform on (0, 1] when they do; near 1/(permutations + 1) when they clearly do not. Keep n + m below about 4,000.
    """
    check_whole(permutations=permutations)
    x, y = _two_samples(x, y)
    both = torch.cat([x, y])
    apart = torch.cdist(both, both)
    sign = torch.cat([torch.full((len(x),), 1 / len(x)), torch.full((len(y),), -1 / len(y))]).double()
    rng = torch.Generator().manual_seed(seed)
    shuffled = torch.stack([sign] + [sign[torch.randperm(len(sign), generator=rng)] for _ in range(permutations)])
    distance = -((shuffled @ apart) * shuffled).sum(1)  # the energy distance, once with the true labels, then shuffled
    return float((distance >= distance[0] - 1e-12).double().mean())


def frechet(x: Tensor, y: Tensor) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)): the squared W_2 distance of the two fitted Gaussians.

    x (n, ...), y (m, ...), usually features; in their units squared (Heusel et al. 2017, eq. 6). Biased upwards, by
    about 1/n: compare at equal n only, and hold it against its floor. Fewer rows than columns will do.
    """
    x, y = _two_samples(x, y)
    a, b = ((v - v.mean(0)) / (len(v) - 1) ** 0.5 for v in (x, y))  # S_x = a'a, S_y = b'b
    ra, rb = (torch.linalg.qr(v, mode="r").R for v in (a, b))  # the same S from D rows: S_x = ra'ra
    cross = torch.linalg.svdvals(ra @ rb.T).sum()  # tr (S_x S_y)^(1/2), without a root of a tiny eigenvalue
    return float((x.mean(0) - y.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * cross)


class PrecisionRecall(NamedTuple):
    precision: float
    recall: float


def jackknife(measure: Callable[[Tensor], float], x: Tensor, parts: int = 10, seed: int = 0) -> float:
    """The std of measure(x), from leaving out one of k random parts of the rows at a time (Tukey 1958).

        std^2 = (k - 1)/k  sum_i (m_i - mean m)^2,       m_i without part i

    x (n, ...), k = `parts`, from 2 to n; in the units of `measure`.
    """
    check_whole(low=2, high=len(x), parts=parts)
    groups = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).chunk(parts)
    left = torch.tensor([measure(x[torch.cat([*groups[:i], *groups[i + 1 :]])]) for i in range(len(groups))])
    check_finite_tensor(measure=left)
    return float(((len(groups) - 1) * left.double().var(correction=0)).sqrt())


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
    """Precision: the share of fakes among the real ones. Recall: the share of real ones among the fakes.

    "Among": in a ball around one of them, out to its k-th nearest neighbour (Kynkaanniemi et al. 2019, eqs. 1 and 2).
    real (n, ...), fake (m, ...), usually features; real data against real data does not reach 1 either. Low precision:
    bad samples. Low recall: samples of few kinds, or copies. The ball around a far outlier is wide: precision alone can
    be deceived (Naeem et al. 2020).
    """
    real, fake = _two_samples(real, fake)
    if not is_integer(k) or not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k = {k!r} for {len(real)} and {len(fake)} rows; expected 1 <= k < rows of either")
    real, fake = ((v - real.mean(0)).float() for v in (real, fake))  # near 0, so that single precision will do
    return PrecisionRecall(_share_among(fake, real, k), _share_among(real, fake, k))


def _share_among(points: Tensor, centres: Tensor, k: int) -> float:
    """The share of points in at least one ball around a centre, which reaches to its k-th nearest other centre."""
    rows = 1000  # at a time, for the memory
    near = [torch.cdist(c, centres).topk(k + 1, largest=False).values for c in centres.split(rows)]
    radius = torch.cat(near)[:, k]  # column 0 is the centre itself
    return float(torch.cat([(torch.cdist(p, centres) <= radius).any(1) for p in points.split(rows)]).double().mean())


@torch.no_grad()
def loss_at(denoiser, process: Process, x0: Tensor, t: int, eps: Tensor) -> float:
    """Mean squared error of eps_hat at one noise level, per coordinate: E |eps - denoiser(x_t, t)|^2."""
    eps_hat = denoiser(process.diffuse(x0, t, eps), t)
    same_shape(eps=eps, eps_hat=eps_hat)
    return float((eps_hat - eps).square().mean())


def radial_power(images: Tensor) -> Tensor:
    """Mean power of images (B, H, W) at each whole spatial frequency 0 ... W/2, in cycles per image; float64.

    The orthonormal 2-D Fourier transform, |F|^2 averaged over rings and images: white noise of variance s^2 gives
    s^2 at every frequency (van der Schaaf & van Hateren 1996).
    """
    if images.ndim != 3 or images.shape[1] != images.shape[2] or not images.numel():
        raise ValueError(f"images have shape {tuple(images.shape)}; expected squares, (B, N, N)")
    check_floats(finite=True, images=images)
    n = images.shape[-1]
    power = torch.fft.fft2(images.double(), norm="ortho").abs().square().mean(0)
    k = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    ring = (k[:, None] ** 2 + k**2).sqrt().round().long().flatten()
    total = torch.zeros(int(ring.max()) + 1, dtype=torch.float64).index_add_(0, ring, power.flatten())
    return (total / ring.bincount())[: n // 2 + 1]


def psnr(images: Tensor, originals: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, of images in [-1, 1]: 10 log10(2^2 / mean squared error), averaged over images.

    (B, C, H, W) each. 20 dB: the error's RMS is a tenth of the range; 6 dB more halve it.
    """
    same_shape(images=images, originals=originals)
    check_pictures(images=images, originals=originals)
    error = (images.double() - originals.double()).square().flatten(1).mean(1)
    return float((10 * torch.log10(4 / error)).mean())


def sharpness(images: Tensor, originals: Tensor) -> float:
    """How much of the fine detail is left: power at more than W/8 cycles per image, over the originals'.

    (B, C, W, W) each. 1: as sharp as the originals, below 1: blurred, above 1: rough.
    """
    check_pictures(images=images, originals=originals)
    same_shape(images=images, originals=originals)
    fine = [radial_power(v.flatten(0, 1))[v.shape[-1] // 8 + 1 :].sum() for v in (images, originals)]
    if not fine[1] > 0:
        raise ValueError("the originals have no fine detail: nothing above W/8 cycles per image to compare with")
    return float(fine[0] / fine[1])


def saturation(images: Tensor) -> float:
    """How colourful pictures (B, 3, H, W) in [-1, 1] are: the brightest channel minus the darkest, 0 (grey) to 1.

    The mean over all pixels; what lies outside [-1, 1] counts as its end, as on a screen.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; expected colour pictures, (B, 3, H, W)")
    check_pictures(images=images)
    x = images.double().clamp(-1, 1)
    return float((x.amax(1) - x.amin(1)).mean() / 2)


def mass_inside(maps: Tensor, boxes: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor]:
    """How much of each map (n, h, w) >= 0 lies in its box, and how much of the square does: two shares (n,).

    boxes (n, 4): left, top, right, bottom as shares of the square, 0 ... 1. A cell that a box cuts counts in part, or,
    where `whole`, with all that it has: a coarse map cannot say in which part of a cell its mass is. The second share
    is what chance would give, counted in the same way. An empty map or box: NaN.
    """
    if maps.ndim != 3 or boxes.shape != (len(maps), 4):
        raise ValueError(
            f"maps {tuple(maps.shape)}, boxes {tuple(boxes.shape)}; expected maps (n, h, w) and boxes (n, 4)"
        )
    check_finite_tensor(maps=maps)
    if ((boxes < 0) | (boxes > 1)).any() or (maps < 0).any():
        raise ValueError(
            f"boxes run from {float(boxes.min()):g} to {float(boxes.max()):g}, maps from {float(maps.min()):g}; "
            "expected boxes as shares of the square, 0 ... 1 (of pixels take `boxes / width`), and maps >= 0"
        )
    left, top, right, bottom = boxes.T[:, :, None]

    def covered(low: Tensor, high: Tensor, cells: int) -> Tensor:
        edge = torch.linspace(0, 1, cells + 1).to(boxes)
        return (torch.minimum(edge[1:], high) - torch.maximum(edge[:-1], low)).clamp(min=0) * cells

    box = covered(top, bottom, maps.shape[1])[:, :, None] * covered(left, right, maps.shape[2])[:, None]
    box = box.ceil() if whole else box
    return (maps * box).sum((1, 2)) / maps.sum((1, 2)), box.mean((1, 2))


def _two_samples(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.ndim < 2 or x.shape[1:] != y.shape[1:] or len(x) < 2 or len(y) < 2:
        raise ValueError(
            f"samples of shape {tuple(x.shape)} and {tuple(y.shape)}; expected (n, ...) and (m, ...), alike"
        )
    if x.is_complex() or y.is_complex():
        raise ValueError(f"samples of {x.dtype} and {y.dtype}; expected real numbers")
    x, y = (v.detach().cpu().double().flatten(1) for v in (x, y))
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ValueError("a sample holds NaN or infinity")
    return x, y
