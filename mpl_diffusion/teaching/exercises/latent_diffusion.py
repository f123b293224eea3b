"""Exercises of notebook 11: the 48, what a patch discriminator sees, the scale of latents."""

import math

from .engine import Case, Exercise, Mistake
from .inputs import Random, table


def times_smaller(image, latent):
    return math.prod(image) / math.prod(latent)


def compressions():
    yield Case("a small grey picture", ((1, 4, 8), (2, 2, 4)))
    yield Case("Stable Diffusion", ((3, 512, 512), (4, 64, 64)))
    yield Case("our scenes", ((3, 64, 64), (4, 8, 8)))
    yield Case("a latent of 16 channels", ((3, 256, 512), (16, 32, 64)))
    yield Case("a latent of 10 channels", ((3, 64, 96), (10, 16, 24)))


def of_sizes(count):
    """A wrong times_smaller: channels, height and width of the image, then those of the latent -> a number."""
    return lambda image, latent: count(*image, *latent)


TIMES_SMALLER = Exercise(
    solution=times_smaller,
    task="how many times fewer numbers a latent has than its image; both are shapes, tuples (channels, height, width)",
    praise="for wide pictures and latents of many channels too",
    cases=compressions,
    mistakes=(
        Mistake(
            lambda image, latent: 2 * times_smaller(image, latent),
            "Twice too many: that is how 512x512x3 and 64x64x4 come to the lecture's 96. Do you leave out half of the "
            "latent's channels, or give its numbers half as many bytes? Count numbers, and count all of them.",
        ),
        Mistake(
            lambda image, latent: times_smaller(image, latent) / 2,
            "Half of it. Does your latent have mean and log variance? The encoder gives both, and only a z drawn from "
            "them is diffused. Or do you count bytes, two for each number of z? Count numbers.",
        ),
        Mistake(
            lambda image, latent: times_smaller(image, latent) / 4,
            "You count bytes: one for each number of the image, four for each of the latent. That is a question of "
            "its own; here count numbers.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: H * W / (h * w)),
            "You count positions. At each of them the image has its colours, and the latent its channels.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: H / h),
            "That is f, how many times smaller one side is. There are two sides, and there are channels.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: H / h * C / c),
            "The channels are in, but only one side of the picture is. It shrinks in height and in width.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: H / h + W / w),
            "You add what height and width shrink by. The numbers of a picture are a product of its sides.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: C * H * W / (h * w)),
            "The latent's channels are missing: at each of its positions stand several numbers.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: H * W / (c * h * w)),
            "The image's colours are missing: each pixel is more than one number.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: H * W * c / (h * w * C)),
            "The two numbers of channels have changed places. A latent with more channels is less small.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: C * H * W * c / (h * w)),
            "You multiply by the latent's channels. A latent with more channels is less small.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: C * H * W / c * h * w),
            "Check the brackets: in a / b * c Python divides by b alone.",
        ),
        Mistake(
            lambda image, latent: math.prod(latent) / math.prod(image),
            "Upside down: that is the part of the image's numbers that is left. It is the image that has more.",
        ),
        Mistake(
            lambda image, latent: 1 - math.prod(latent) / math.prod(image),
            "That is the share of the numbers that is saved. The question is how many *times* fewer there are.",
        ),
        Mistake(
            lambda image, latent: math.prod(image) - math.prod(latent),
            "That is how many numbers fewer there are. The question is how many *times* fewer.",
        ),
        Mistake(
            lambda image, latent: sum(image) / sum(latent),
            "You add channels, height and width up. A box 64 x 64 x 3 holds a product of numbers.",
        ),
        Mistake(
            lambda image, latent: math.prod(image),
            "Those are the numbers of the image. Compare them with the latent's.",
        ),
        Mistake(
            lambda image, latent: math.prod(image) // math.prod(latent),
            "// drops the fraction: 4.8 times smaller is not 4 times smaller.",
        ),
        Mistake(
            lambda image, latent: round(math.prod(image) / math.prod(latent)),
            "You round: 4.8 times smaller is not 5 times smaller.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: C / c),
            "You compare the channels alone. The latent's sides are shorter, too.",
        ),
        Mistake(
            of_sizes(lambda C, H, W, c, h, w: C * H * W / (c * h)),
            "The latent's width is missing: it has a height and a width.",
        ),
    ),
)


def receptive_field(kernels, strides):
    width, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        width += (kernel - 1) * step
        step *= stride
    return width


def stacks():
    yield Case("one layer", ((3,), (1,)))
    yield Case("one layer", ((4,), (2,)))
    yield Case("layers of stride 1", ((3, 3, 3), (1, 1, 1)))
    yield Case("layers of several strides", ((3, 5), (2, 1)))
    yield Case("our discriminator", ((4, 4, 4), (2, 2, 1)))
    yield Case("pix2pix's discriminator", ((4, 4, 4, 4, 4), (2, 2, 2, 1, 1)))
    yield Case("layers of several strides", ((7, 3, 5, 2), (3, 2, 1, 2)))


def growing(grow, start=1):
    """A wrong receptive_field, from the pixels upwards: kernel, stride, and the steps below and above this layer, in
    pixels -> by how much the field grows."""

    def formula(kernels, strides):
        width, step = start, 1
        for kernel, stride in zip(kernels, strides):
            width += grow(kernel, stride, step, step * stride)
            step *= stride
        return width

    return formula


def from_the_logit(below, start=1):
    """A wrong receptive_field, from the logit downwards: width, kernel and stride of a layer -> the width below it."""

    def formula(kernels, strides):
        width = start
        for kernel, stride in zip(kernels[::-1], strides[::-1]):
            width = below(width, kernel, stride)
        return width

    return formula


RECEPTIVE_FIELD = Exercise(
    solution=receptive_field,
    task="the width, in pixels, of the patch that one logit of a stack of convolutions sees, a whole number; kernels "
    "and strides are tuples, the layer next to the picture first",
    praise="for our discriminator, for pix2pix's, and for any other stack",
    cases=stacks,
    mistakes=(
        Mistake(
            growing(lambda k, s, step, above: k - 1),
            "You leave the strides out. Above a layer of stride 2 two neighbours are two pixels apart, so what comes "
            "later reaches farther.",
        ),
        Mistake(
            growing(lambda k, s, step, above: (k - 1) * above),
            "You count a layer's own stride as well. It sets the outputs apart; the kernel reads what lies below.",
        ),
        Mistake(
            growing(lambda k, s, step, above: (k - 1) * s),
            "You take each layer's own stride. What counts is how far apart the kernel's inputs lie in the picture, "
            "and that is what all the layers below have done.",
        ),
        Mistake(
            growing(lambda k, s, step, above: k * step),
            "A kernel of 4 reaches 3 beyond the number it begins with. You count that one again in every layer.",
        ),
        Mistake(
            growing(lambda k, s, step, above: (k - 1) * step, start=0),
            "One pixel short: begin with the one that every layer's reach is added to.",
        ),
        Mistake(
            growing(lambda k, s, step, above: k * step, start=0),
            "Two slips: a kernel of 4 reaches 3 beyond the number it begins with, and one pixel is there before any "
            "layer.",
        ),
        Mistake(
            lambda kernels, strides: receptive_field(kernels[::-1], strides[::-1]),
            "You go through the layers in the wrong order. The first one touches the picture, and its stride spreads "
            "all that come after it.",
        ),
        Mistake(
            lambda kernels, strides: 1 + sum(k - 1 for k in kernels) * math.prod(strides),
            "You spread every layer by all of the strides. A layer is spread by those below it.",
        ),
        Mistake(
            lambda kernels, strides: 1 + sum((k - 1) * s for k, s in zip(kernels, (1, *strides))),
            "You take the stride of the one layer below. All layers below spread it, each times the others.",
        ),
        Mistake(
            lambda kernels, strides: 1 + sum((k - 1) * (1 + sum(strides[:i])) for i, k in enumerate(kernels)),
            "You add strides up. Two layers of stride 2, one on the other, set neighbours 4 pixels apart; and three?",
        ),
        Mistake(
            from_the_logit(lambda width, k, s: width * s + k),
            "You give each of the numbers a stretch as long as the stride, and then a whole kernel. Count the gaps "
            "between them: there is one less, and the last number has the kernel to itself.",
        ),
        Mistake(
            from_the_logit(lambda width, k, s: width * s + k - 1),
            "Nearly: so many numbers have one gap less between them, and each gap is as long as the stride.",
        ),
        Mistake(
            from_the_logit(lambda width, k, s: (width - 1) * s + k, start=0),
            "You begin with nothing at the top. There is one logit.",
        ),
        Mistake(
            from_the_logit(lambda width, k, s: (width - 1) * s + k - 2),
            "You take the padding off. It decides where the patch lies and how many there are, not how wide each is.",
        ),
        Mistake(
            lambda kernels, strides: math.prod(kernels),
            "You multiply the kernels, as if neighbouring windows had nothing in common. They overlap: each layer adds "
            "to the width.",
        ),
        Mistake(
            lambda kernels, strides: sum(kernels),
            "You add the kernels up. They overlap by one, and they are spread by the strides below them.",
        ),
        Mistake(
            lambda kernels, strides: kernels[-1] * math.prod(strides[:-1]),
            "You spread the kernel at the top, and forget the others. Below each number that it reads, a whole kernel "
            "reaches farther than one stride.",
        ),
        Mistake(
            lambda kernels, strides: math.prod(strides),
            "That is how many pixels lie between two neighbouring logits. Their patches are wider, and overlap.",
        ),
        Mistake(
            lambda kernels, strides: receptive_field(kernels, strides) ** 2,
            "That is how many pixels the patch has. Its width is asked for.",
        ),
        Mistake(
            lambda kernels, strides: kernels[0] + (receptive_field(kernels, strides) - 1) * strides[0],
            "You count the first layer twice: you begin with it, and meet it again in the loop.",
        ),
        Mistake(
            lambda kernels, strides: kernels[0] + sum((k - 1) * strides[0] for k in kernels[1:]),
            "You spread all layers by the first stride. Each is spread by all layers below it.",
        ),
        Mistake(
            lambda kernels, strides: sum(k * s for k, s in zip(kernels, strides)),
            "You add up kernels times strides. Kernels overlap, and the strides below spread them.",
        ),
        Mistake(
            lambda kernels, strides: max(kernels),
            "You take the largest kernel. Each layer reaches farther than the one below.",
        ),
        Mistake(
            lambda kernels, strides: 1 + sum((k - 1) * 2**i for i, k in enumerate(kernels)),
            "You take every stride for 2. The strides are given.",
        ),
    ),
)


def scale_factor(z):
    return 1 / z.std()


def raw_latents():
    yield Case("four numbers", (table(1, 1, 1, 5).view(2, 1, 1, 2),))
    random = Random()
    spread, middle = table(2, 5, 7, 9).view(4, 1, 1), table(3, -1, 6, 0).view(4, 1, 1)
    yield Case("latents around 0", (5 * random.normal(6, 4, 8, 8),))
    yield Case("latents with channels unlike each other", (spread * random.normal(6, 4, 8, 8) + middle,))


SCALE_FACTOR = Exercise(
    solution=scale_factor,
    task="one number: what raw latents z, (N, c, h, w), are multiplied by so that all their numbers together, about "
    "their mean, have variance 1; with torch's own std, which divides by n - 1",
    praise="whatever the mean of the latents is",
    cases=raw_latents,
    mistakes=(
        Mistake(
            lambda z: z.std(),
            "That is the std that they have. What brings it to 1?",
        ),
        Mistake(
            lambda z: 1 / z.var(),
            "You divide by the variance. If z is multiplied by a, its variance is multiplied by the square of a.",
        ),
        Mistake(
            lambda z: z.var(),
            "That is the variance that they have. What brings it to 1, and how does it change when z is multiplied?",
        ),
        Mistake(
            lambda z: 1 / z.std().sqrt(),
            "One root too many: a std is a root already.",
        ),
        Mistake(
            lambda z: 1 / z.std(correction=0),
            "Very near: you divide by n where torch divides by n - 1. Both are in use; here take torch's own std as it "
            "comes.",
        ),
        Mistake(
            lambda z: 1 / z.square().mean().sqrt(),
            "That is how far the numbers are from 0. Variance is about their mean: where is it taken off?",
        ),
        Mistake(
            lambda z: 1 / z.square().mean(),
            "Two slips: variance is about the mean, and the factor's square is what multiplies it.",
        ),
        Mistake(
            lambda z: 1 / z.abs().mean(),
            "You divide by the mean size of a number. Variance averages squares, about the mean.",
        ),
        Mistake(
            lambda z: 1 / (z - z.mean()).abs().mean(),
            "You average how far the numbers are from their mean. Variance averages the squares of that.",
        ),
        Mistake(
            lambda z: 1 / z.abs().max(),
            "You bring all numbers into [-1, 1], as one does with pixels. Latents have no bounds; it is their variance "
            "that must be 1.",
        ),
        Mistake(
            lambda z: 1 / z.max(),
            "You divide by the largest number. One single number must not decide: look at the variance of all.",
        ),
        Mistake(
            lambda z: 1 / (z.max() - z.min()),
            "You divide by the range. Two single numbers must not decide: look at the variance of all.",
        ),
        Mistake(
            lambda z: 1 / z.norm(),
            "That brings the length of all of z to 1, however many numbers there are. Each one should have variance 1.",
        ),
        Mistake(
            lambda z: 1 / z.mean(),
            "You divide by the mean, which says where the numbers lie. How far they spread is another question.",
        ),
        Mistake(
            lambda z: 1 / z.std((0, 2, 3)),
            "You give every channel a factor of its own. That is a good idea, and our autoencoder does so; Stable "
            "Diffusion has one number for all, and so should you.",
        ),
        Mistake(
            lambda z: 1 / z.std((0, 2, 3), keepdim=True),
            "You give every channel a factor of its own. That is a good idea, and our autoencoder does so; Stable "
            "Diffusion has one number for all, and so should you.",
        ),
        Mistake(
            lambda z: 1 / z.std((0, 2, 3)).mean(),
            "You average the std of the channels. Where the channels' means differ, all numbers together spread wider.",
        ),
        Mistake(
            lambda z: (1 / z.std((0, 2, 3))).mean(),
            "You average the factors of the channels. Take all numbers together, whatever their channel.",
        ),
        Mistake(
            lambda z: 1 / z.flatten(1).std(1),
            "You give every latent a factor of its own. A new one, made by the sampler, could not know its own.",
        ),
        Mistake(
            lambda z: (1 / z.flatten(1).std(1)).mean(),
            "You average the factors of single latents. Take all numbers together, whichever latent they are from.",
        ),
        Mistake(
            lambda z: 1 / z.flatten(1).std(1).mean(),
            "You average the std of single latents. Take all numbers together, whichever latent they are from.",
        ),
        Mistake(
            lambda z: 1 / z.std(0),
            "You take the std over the batch only, so every place has a factor of its own. There is one for all.",
        ),
        Mistake(
            lambda z: z / z.std(),
            "Those are the latents, scaled, and they are right. Return the number that did it.",
        ),
        Mistake(
            lambda z: (z - z.mean()) / z.std(),
            "You standardise the latents and shift their mean. Return one number; the mean stays where it is.",
        ),
        Mistake(
            lambda z: 0.18215,
            "That is Stable Diffusion's, measured on its own autoencoder. Each autoencoder has another: measure z.",
        ),
        Mistake(
            lambda z: 1 / z.std(0).mean(),
            "You take the std over the batch, place by place, and average it. Take all numbers together.",
        ),
        Mistake(
            lambda z: 1 / z.var(0).mean().sqrt(),
            "You take the variance over the batch, place by place, and average it. Take all numbers together.",
        ),
        Mistake(
            lambda z: 1 / (z - z.mean()).norm(),
            "That brings the length of all of z to 1, however many numbers there are. Each one should have variance 1.",
        ),
        Mistake(
            lambda z: 1 / (z.max() - z.mean()),
            "You divide by how far the largest number is from the mean. Look at the variance of all.",
        ),
        Mistake(
            lambda z: 1 / z[0].std(),
            "You measure the first latent alone. Take all of them.",
        ),
    ),
)

EXERCISES = (TIMES_SMALLER, RECEPTIVE_FIELD, SCALE_FACTOR)
