"""Functions that take a denoiser and return a denoiser. Samplers never know."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from ..checks import check_floats, check_number, same_shape
from ..forward.process import Process

FULL = 40_000  # numbers in a batch, 51 digits: on two cores 128 digits at once took 5 % longer than twice 64


def edit_x0(denoiser, process: Process, edit: Callable[[Tensor], Tensor]):
    """Change the predicted clean sample, x0_hat -> edit(x0_hat), and hand back the noise that goes with it.

    eps is derived anew from the edited x0_hat, so the two stay consistent with x_t (as guided-diffusion does;
    diffusers' `clip_sample` keeps the old eps unless `use_clipped_model_output` is set). `edit` may work in place.
    """

    def edited(x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
        check_floats(x_t=x_t)
        x0 = edit(_x0(process, x_t, t, denoiser(x_t, t, cond)))
        same_shape(x_t=x_t, edited_x0=x0)
        if isinstance(t, Tensor):
            return process.eps_from_x0(x_t, t, x0)
        signal, noise = _rates(process, t)
        return torch.add(x_t, x0, alpha=-signal).div_(noise)

    if hasattr(denoiser, "x0"):  # asked where signal = 0
        edited.x0 = lambda x_t, t, cond=None: edit(denoiser.x0(x_t, t, cond))
    return edited


def clamp(denoiser, process: Process, low: float = -1.0, high: float = 1.0):
    """Keep x0_hat within the data's range, [-1, 1] for images."""
    if not low < high:
        raise ValueError(f"low = {low:g}, high = {high:g}; expected low < high")
    return edit_x0(denoiser, process, lambda x0: x0.clamp_(low, high))


def dynamic_threshold(denoiser, process: Process, share: float = 0.995, bound: float = 1.0):
    """Where the numbers of x0_hat leave [-bound, bound] in crowds, shrink all of them until `share` of them are inside.

        x0_hat <- clamp(x0_hat, -s, s) bound / s,   s = max(bound, the `share` quantile of a sample's |x0_hat|)

    Clamping alone leaves the crowd on the bound: a saturated picture (Saharia et al. 2022, sec. 2.3).
    """
    if not (0 < share <= 1 and 0 < bound < math.inf):
        raise ValueError(f"share = {share!r}, bound = {bound!r}; expected a share, 0 < share <= 1, and a bound > 0")

    def shrink(x0: Tensor) -> Tensor:
        s = x0.abs().flatten(1).quantile(share, dim=1).clamp(min=bound)
        s = _per_sample(s, x0)
        return x0.clamp(-s, s) * (bound / s)

    return edit_x0(denoiser, process, shrink)


def classifier_free(denoiser, w, *, negative: Tensor | None = None, rescale: float = 0.0):
    """Classifier-free guidance: from the unconditional prediction towards the conditional one, and for w > 1 beyond it.

        eps = eps_uncond + w (eps_cond - eps_uncond)

    w = 0 is unconditional, w = 1 conditional, w > 1 guided (Ho & Salimans 2022, eq. 6, whose own w is this one -
    1). It is a number, one per sample, (B,), or a function of t that gives one: `guidance_interval(w, start, end)`.
    cond (B, L) is needed; "nothing" is all zeros, or the ids `negative`, (L,) or (B, L): what the samples are to be
    unlike. `rescale` in [0, 1] takes x0_hat so far towards the std that it has without guidance, per sample: a cure
    for glaring colours; the denoiser must know its process (Lin et al. 2024, sec. 3.4, do it to v; done to eps it
    hardly shows).

    Both are asked in one batch of twice the rows; a batch that fills a CPU already goes in two halves, one after the
    other, which is 5 % faster. With the number 1, or 0, only one of them is asked, and it is the answer bit for bit.
    """
    if getattr(denoiser, "p_uncond", None) == 0:
        raise ValueError(
            'guidance needs to know what the denoiser says to "nothing", and this one was trained with p_uncond = 0: '
            "it never learned that. Train Denoiser(..., p_uncond=0.1), which drops every tenth condition"
        )
    if not 0 <= rescale <= 1:
        raise ValueError(f"rescale = {rescale!r}; expected a number from 0 (not at all) to 1 (all the way)")
    process = getattr(denoiser, "process", None)
    if rescale and process is None:
        raise ValueError("rescale edits x0_hat: it needs a denoiser that knows its process, as a Denoiser does")
    if not callable(w):
        w = _checked(w)

    def rescale_x0(x0: Tensor, given: Tensor) -> Tensor:
        return torch.lerp(x0, x0 * (_std(given) / _std(x0)), rescale)

    def rescale_eps(eps: Tensor, given: Tensor, x_t: Tensor, t) -> Tensor:
        given = _x0(process, x_t, t, given)
        return edit_x0(lambda *_: eps, process, lambda x0: rescale_x0(x0, given))(x_t, t)

    def guide(predict, edit):
        def guided(x_t: Tensor, t, cond: Tensor | None = None) -> Tensor:
            if cond is None:
                raise ValueError("guidance needs a condition: cond is None; sample from the denoiser itself instead")
            nothing = torch.zeros_like(cond) if negative is None else _like(negative, cond)
            now = _checked(w(t)) if callable(w) else w
            if isinstance(now, Tensor):
                if len(now) != len(x_t):
                    raise ValueError(f"w has {len(now)} numbers, and there are {len(x_t)} samples; expected one each")
                now = _per_sample(now.to(x_t), x_t)
            elif now in (0, 1):
                return predict(x_t, t, cond if now else nothing)
            if x_t.device.type == "cpu" and x_t.numel() > FULL:
                without, given = predict(x_t, t, nothing), predict(x_t, t, cond)
            else:
                twice = torch.cat([t, t]) if isinstance(t, Tensor) and t.ndim else t
                without, given = predict(torch.cat([x_t, x_t]), twice, torch.cat([nothing, cond])).chunk(2)
            prediction = torch.lerp(without, given, now)
            return edit(prediction, given, x_t, t) if rescale else prediction

        return guided

    guided = guide(denoiser, rescale_eps)
    if hasattr(denoiser, "x0"):
        guided.x0 = guide(denoiser.x0, lambda x0, given, *_: rescale_x0(x0, given))
    return guided


def guidance_interval(w: float, start: float, end: float) -> Callable:
    """A function of t: w where start <= t <= end, else 1, which costs nothing more (Kynkäänniemi et al. 2024)."""
    w = _checked(w)
    if not start <= end:
        raise ValueError(f"start = {start!r}, end = {end!r}; expected start <= end, both times t")

    def at(t):
        if isinstance(t, Tensor) and t.ndim:
            return torch.where((start <= t) & (t <= end), w, 1.0)
        check_number(t=t)
        return w if start <= t <= end else 1.0

    return at


def _checked(w) -> float | Tensor:
    """A guidance scale, or one per sample; never negative, infinite or NaN."""
    numbers = w if isinstance(w, Tensor) else torch.as_tensor(w, dtype=torch.float64)
    if numbers.ndim > 1 or not numbers.numel() or not ((0 <= numbers) & (numbers < math.inf)).all():
        raise ValueError(
            f"w = {w!r}; expected a finite number from 0 (unconditional) over 1 (conditional) upwards, or one per "
            f"sample, (B,). Away from something goes classifier_free(..., negative=ids)"
        )
    return numbers if numbers.ndim else float(numbers)


def _like(negative: Tensor, cond: Tensor) -> Tensor:
    if negative.shape not in (cond.shape, cond.shape[1:]):
        raise ValueError(
            f"negative has shape {tuple(negative.shape)} and cond {tuple(cond.shape)}; expected the same, or one row"
        )
    return negative.to(cond).expand_as(cond)


def _x0(process: Process, x_t: Tensor, t, eps: Tensor) -> Tensor:
    if isinstance(t, Tensor):
        return process.x0_from_eps(x_t, t, eps)
    signal, noise = _rates(process, t)
    return torch.add(x_t, eps, alpha=-noise).div_(signal)


def _std(x: Tensor) -> Tensor:
    """Of each sample, shaped to multiply it."""
    return _per_sample(x.flatten(1).std(1), x)


def _per_sample(v: Tensor, x: Tensor) -> Tensor:
    """v (B,), one number for each sample of x, shaped to multiply it."""
    return v.reshape(-1, *[1] * (x.ndim - 1))


@lru_cache(maxsize=4096, typed=True)
def _rates(process: Process, t) -> tuple[float, float]:
    """Both rates as numbers, looked up once: between two calls of a small network it would be half the time."""
    signal, noise = float(process.signal(t)), float(process.noise(t))
    if signal == 0:
        raise ValueError(f"signal({t}) = 0: eps cannot tell x_0 there, so there is no x0_hat to edit")
    if noise == 0:
        raise ValueError(f"noise({t}) = 0: x_t is the data itself there, and no noise goes with an edited x0_hat")
    return signal, noise
