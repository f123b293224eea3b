"""Planted answers to the exercises of notebook 11."""

from . import Planted

PLANTED = {
    "times_smaller": Planted(
        right=(
            "(image[0] * image[1] * image[2]) / (latent[0] * latent[1] * latent[2])",
            "C, H, W = image; c, h, w = latent; return (H / h) * (W / w) * C / c",
            "torch.tensor(image).prod() / torch.tensor(latent).prod()",
            "torch.zeros(image, device='meta').numel() / torch.zeros(latent, device='meta').numel()",
        ),
        wrong={
            "math.prod(latent) / math.prod(image)": "upside down",
            "image[1] / latent[1]": "f, how many|one side",
            "(image[1] * image[2]) / (latent[1] * latent[2])": "positions",
            "math.prod(image) - math.prod(latent)": "fewer",
            "math.prod(image) // math.prod(latent)": "fraction|//",
            "sum(image) / sum(latent)": "add",
            "1 - math.prod(latent) / math.prod(image)": "share",
            "C, H, W = image; c, h, w = latent; return (C * H * W) / (h * w)": "latent's channels",
            "C, H, W = image; c, h, w = latent; return (H * W) / (c * h * w)": "colours",
            "C, H, W = image; c, h, w = latent; return C * H * W / c * h * w": "brackets",
            "C, H, W = image; c, h, w = latent; return (H / h) * (W / w) * c / C": "places",
            "int(math.prod(image) / math.prod(latent))": "fraction|round",
            "C, H, W = image; c, h, w = latent; return C / c": "channels",
        },
    ),
    "receptive_field": Planted(
        right=(
            "1 + sum((k - 1) * math.prod(strides[:i]) for i, k in enumerate(kernels))",
            """
            r = 1
            for k, s in reversed(list(zip(kernels, strides))):
                r = (r - 1) * s + k
            return r
            """,
            """
            jump, field = 1, 1
            for i in range(len(kernels)):
                field = field + (kernels[i] - 1) * jump
                jump = jump * strides[i]
            return field
            """,
            """
            def field(i):
                return 1 if i == len(kernels) else (field(i + 1) - 1) * strides[i] + kernels[i]
            return field(0)
            """,
        ),
        wrong={
            "1 + sum(k - 1 for k in kernels)": "leave the strides out",
            "sum(kernels)": "add the kernels",
            "math.prod(kernels)": "multiply the kernels",
            """
            width, step = 1, 1
            for k, s in zip(kernels, strides):
                step *= s
                width += (k - 1) * step
            return width
            """: "own stride",
            """
            width = 1
            for k, s in zip(kernels, strides):
                width = (width - 1) * s + k
            return width
            """: "wrong order|order",
            """
            width = 1
            for k, s in zip(kernels[::-1], strides[::-1]):
                width = width * s + k
            return width
            """: "gap",
            "1 + sum((k - 1) * s for k, s in zip(kernels, strides))": "own stride",
            """
            width, step = 0, 1
            for k, s in zip(kernels, strides):
                width += (k - 1) * step
                step *= s
            return width
            """: "one pixel",
            """
            width, step = 1, 1
            for k, s in zip(kernels, strides):
                width += k * step
                step *= s
            return width
            """: "kernel of 4 reaches 3",
            """
            width, step = 1, 1
            for k, s in zip(kernels, strides):
                width += (k - 1) * step
                step += s
            return width
            """: "add",
            """
            width, step = kernels[0], strides[0]
            for k, s in zip(kernels, strides):
                width += (k - 1) * step
                step *= s
            return width
            """: "first layer|twice|counted",
            "kernels[0] + sum((k - 1) * strides[0] for k in kernels[1:])": "first stride|all layers below|below",
        },
    ),
    "image_to_image": Planted(
        right=(
            "p = parts; return p.decode(p.unscale(p.sample(p.diffuse(p.scale(p.encode(x)), t, eps), t)))",
            "encode, scale, diffuse, sample, unscale, decode = parts; "
            "return decode(unscale(sample(diffuse(scale(encode(x)), t, eps), t)))",
            """
            latent = parts.encode(x)
            latent = parts.scale(latent)
            latent = parts.diffuse(latent, t, eps=eps)
            latent = parts.sample(latent, t)
            return parts.decode(parts.unscale(latent))
            """,
            "with torch.no_grad(): return parts.decode(parts.unscale(parts.sample("
            "parts.diffuse(parts.scale(parts.encode(x)), t, eps), t)))",
        ),
        wrong={
            "p.decode(p.sample(p.diffuse(p.encode(x), t, eps), t))": "scale",
            "p.decode(p.sample(p.diffuse(p.scale(p.encode(x)), t, eps), t))": "missing before it",
            "p.decode(p.unscale(p.sample(p.diffuse(p.encode(x), t, eps), t)))": "std that the encoder",
            "p.unscale(p.decode(p.sample(p.diffuse(p.scale(p.encode(x)), t, eps), t)))": "unscale the picture",
            "p.unscale(p.sample(p.diffuse(p.scale(p.encode(x)), t, eps), t))": "latents",
            "p.decode(p.unscale(p.diffuse(p.scale(p.encode(x)), t, eps)))": "noisy",
            "p.decode(p.unscale(p.sample(p.scale(p.encode(x)), t)))": "Nothing was noised",
            "p.decode(p.unscale(p.sample(eps, t)))": "noise alone",
            "p.decode(p.unscale(p.sample(p.scale(p.encode(x)) + eps, t)))": "in full",
            "p.decode(p.scale(p.sample(p.diffuse(p.unscale(p.encode(x)), t, eps), t)))": "places",
            "p.decode(p.unscale(p.sample(p.scale(p.diffuse(p.encode(x), t, eps)), t)))": "after the noise",
            "p.decode(p.sample(p.unscale(p.diffuse(p.scale(p.encode(x)), t, eps)), t))": "too early",
            "p.decode(p.unscale(p.sample(p.diffuse(p.scale(p.encode(x)), t, torch.randn_like(eps)), t)))": "use eps",
            "p.decode(p.unscale(p.sample(p.diffuse(p.scale(p.encode(x)), t, eps), t - 1)))": "t - 1|early|number",
        },
        start="p = parts",
    ),
    "scale_factor": Planted(
        right=(
            "z.std().reciprocal()",
            "1 / torch.sqrt(z.var())",
            "float(1 / z.flatten().std())",
            "d = z - z.mean(); return ((z.numel() - 1) / (d ** 2).sum()).sqrt()",
            "z.var() ** -0.5",
        ),
        wrong={
            "z.std()": "std that they have",
            "1 / z.var()": "variance",
            "1 / z.std(correction=0)": "divide by n",
            "1 / z.abs().max()": "\\[-1, 1\\]",
            "1 / (z ** 2).mean().sqrt()": "mean",
            "1 / z.std(dim=(0, 2, 3))": "channel",
            "z / z.std()": "number",
            "1 / z.mean()": "mean",
            "1 / z.abs().mean()": "mean size",
            "0.18215": "Stable Diffusion",
            "1 / z.norm()": "length",
            "-1 / z.std()": "sign",
            "1 / z.std() ** 0.5": "root too many",
            "1 / z.std(0).mean()": "batch|average|place",
        },
    ),
}
