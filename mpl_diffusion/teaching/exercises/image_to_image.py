"""An exercise of notebook 11: a picture goes up to t in latent space, and comes back as another one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from .engine import Case, Exercise, Mistake
from .inputs import Random


class Parts(NamedTuple):
    """What a latent diffusion model is put together from."""

    encode: Callable  # x -> z
    scale: Callable  # z -> z of variance 1
    diffuse: Callable  # z, t, eps -> z_t
    sample: Callable  # z_t, t -> z, walked from t down to 0
    unscale: Callable  # z of variance 1 -> z
    decode: Callable  # z -> x


def image_to_image(x, t, eps, parts):
    z = parts.scale(parts.encode(x))
    z_t = parts.diffuse(z, t, eps)
    z_0 = parts.sample(z_t, t)
    return parts.decode(parts.unscale(z_0))


def toy(random, colours=3, f=2, mean=1.5, std=4.0):
    """Parts without a network, no two of which may change places; latents (B, 4, H/f, W/f) for pictures of H x W."""
    alpha_bar, numbers = random.alpha_bar(), colours * f**2
    down, up = random.normal(4, numbers), random.normal(numbers, 4)

    def encode(x):
        return torch.einsum("cn, bnhw -> bchw", down, pixel_unshuffle(x, f)) + 2

    def scale(z):
        return (z - mean) / std

    def diffuse(z, t, eps):
        return alpha_bar[t].sqrt() * z + (1 - alpha_bar[t]).sqrt() * eps

    def sample(z_t, t):
        return 0.9 * z_t / alpha_bar[t].sqrt() + 0.01 * t

    def unscale(z):
        return mean + std * z

    def decode(z):
        return pixel_shuffle(torch.einsum("nc, bchw -> bnhw", up, z), f) - 1

    return Parts(encode, scale, diffuse, sample, unscale, decode)


def pictures():
    """Where latents have the shape of pictures, a part that works on the wrong ones runs, and is found by value."""
    random = Random()
    small = random.normal(3, 4, 8, 8), 15, random.normal(3, 4, 8, 8)
    yield Case("latents of the pictures' own shape", (*small, toy(random, colours=4, f=1)))
    for kind, t, given in (
        ("small latents", 5, {}),
        ("small latents", 40, {"mean": -0.5, "std": 0.2}),
        ("latents that need no scaling", 20, {"mean": 0.0, "std": 1.0}),
    ):
        yield Case(kind, (random.normal(2, 3, 16, 16), t, random.normal(2, 4, 8, 8), toy(random, **given)))


def in_order(names):
    """A wrong image_to_image: the names of its parts in the order in which they are applied."""

    def formula(x, t, eps, parts):
        more = {"diffuse": (t, eps), "sample": (t,)}
        for name in names.split():
            x = getattr(parts, name)(x, *more.get(name, ()))
        return x

    return formula


IMAGE_TO_IMAGE = Exercise(
    solution=image_to_image,
    task="pictures x, noised with eps up to t in latent space and walked back from there, as pictures; parts has "
    "encode(x), scale(z), diffuse(z, t, eps), sample(z_t, t), unscale(z) and decode(z)",
    praise="through latents of any shape and scale",
    cases=pictures,
    mistakes=(
        Mistake(
            in_order("encode diffuse sample unscale decode"),
            "Your latents are diffused with the std that the encoder gave them. The noise has std 1, and the sampler "
            "learned on latents that have it too.",
        ),
        Mistake(
            in_order("encode scale diffuse sample decode"),
            "The decoder is given latents of variance 1, and it knows them as the encoder made them. One part is "
            "missing before it.",
        ),
        Mistake(
            in_order("encode diffuse sample decode"),
            "encode and decode fit each other, and so do diffuse and sample. But between these pairs the scale "
            "changes, on the way in and on the way out.",
        ),
        Mistake(
            in_order("encode unscale diffuse sample scale decode"),
            "scale and unscale have changed places. It is the sampler that wants variance 1.",
        ),
        Mistake(
            in_order("encode unscale diffuse sample unscale decode"),
            "You unscale twice. On the way in the latents come from the encoder, and are not scaled yet.",
        ),
        Mistake(
            in_order("encode scale diffuse sample scale decode"),
            "You scale twice. On the way out the latents have variance 1, and the decoder wants them as they were.",
        ),
        Mistake(
            in_order("encode scale scale diffuse sample unscale decode"),
            "You scale twice on the way in. Once makes the variance 1, twice makes it something else again.",
        ),
        Mistake(
            in_order("encode scale diffuse sample unscale unscale decode"),
            "You unscale twice on the way out. You had scaled once.",
        ),
        Mistake(
            in_order("encode scale diffuse sample decode unscale"),
            "You unscale the picture. A scale belongs to latents: undo it while they still are some.",
        ),
        Mistake(
            in_order("scale encode diffuse sample unscale decode"),
            "You scale the picture. A scale belongs to latents: wait until there are some.",
        ),
        Mistake(
            in_order("scale encode diffuse sample decode unscale"),
            "You scale and unscale pictures. A scale belongs to latents: both happen between encoder and decoder.",
        ),
        Mistake(
            in_order("encode diffuse scale sample unscale decode"),
            "You scale after the noise came, so the noise is scaled with them. Its std must be what diffuse gave it.",
        ),
        Mistake(
            in_order("encode scale diffuse unscale sample decode"),
            "You unscale too early: the sampler is given latents at the decoder's scale. It walks at variance 1.",
        ),
        Mistake(
            lambda x, t, eps, p: p.decode(
                p.unscale(p.sample(p.diffuse(p.scale(p.encode(x)), t, p.scale(eps)), t)),
            ),
            "You scale eps as well. It is standard normal already, which is what the latents are scaled for.",
        ),
        Mistake(
            lambda x, t, eps, p: p.decode(p.unscale(p.sample(p.scale(p.encode(x)) + eps, t))),
            "You add eps in full. At t the latents are a shrunk copy plus a part of the noise: there is a part of the "
            "model for that.",
        ),
        Mistake(
            lambda x, t, eps, p: p.decode(p.unscale(p.sample(eps, t))),
            "You start from noise alone, and x is forgotten: that makes a new picture. Start from a noisy x.",
        ),
        Mistake(
            in_order("encode scale sample unscale decode"),
            "Nothing was noised: the sampler is told that its latents are at t, and they are clean.",
        ),
        Mistake(
            in_order("encode scale diffuse unscale decode"),
            "You never walk back: you decode latents that are still noisy.",
        ),
        Mistake(
            in_order("encode scale unscale decode"),
            "That is the autoencoder alone. In the middle the latents are noised up to t, and walked back.",
        ),
        Mistake(
            in_order("encode scale sample diffuse unscale decode"),
            "diffuse and sample have changed places: first up to t, then back.",
        ),
        Mistake(
            in_order("encode scale diffuse sample unscale"),
            "Those are latents, clean and at the right scale. One part turns them into pictures.",
        ),
        Mistake(
            in_order("encode scale diffuse sample"),
            "Those are clean latents of variance 1. Two parts are still to come before they are pictures.",
        ),
        Mistake(
            in_order("encode scale diffuse"),
            "Those are noisy latents at t: half of the way. Now back.",
        ),
        Mistake(
            in_order("diffuse encode scale sample unscale decode"),
            "You noise the picture. The sampler knows noisy latents, not latents of noisy pictures.",
        ),
        Mistake(
            in_order("encode scale diffuse unscale decode sample"),
            "You decode the noisy latents, and walk in pixels. The decoder knows clean latents, and the sampler has "
            "never seen a pixel.",
        ),
        Mistake(
            in_order("diffuse sample"),
            "You walk in pixels. The walk takes place among latents: go there first, and come back at the end.",
        ),
        Mistake(
            in_order("scale diffuse sample unscale"),
            "You scale and walk in pixels. The walk takes place among latents: go there first, and come back.",
        ),
        Mistake(
            in_order("decode scale diffuse sample unscale encode"),
            "encode and decode have changed places. What you are given is a picture, and you return one.",
        ),
        Mistake(
            in_order("encode scale diffuse sample unscale encode"),
            "You encode at the end once more. Back to pictures it is the other way.",
        ),
        Mistake(
            lambda x, t, eps, p: p.decode(p.unscale(p.sample(p.diffuse(eps, t, p.scale(p.encode(x))), t))),
            "In diffuse the latents and eps have changed places: first what is noised, last the noise.",
        ),
        Mistake(
            in_order("encode unscale diffuse sample decode"),
            "On the way in you unscale where you should scale, and on the way out nothing happens to the scale.",
        ),
        Mistake(
            lambda x, t, eps, p: x + image_to_image(x, t, eps, p),
            "You add the picture that you began with. What comes back is the new picture, whole.",
        ),
    ),
)

EXERCISES = (IMAGE_TO_IMAGE,)
