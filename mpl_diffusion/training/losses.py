"""The losses of an autoencoder: pixels, a perceptual distance, an adversarial term, and the KL to N(0, I).

    L = |x - x_hat| + perceptual + lambda adversarial + KL       each with a weight (Rombach et al. 2022, eq. 25)

lambda makes the discriminator's gradient as strong as that of the first two at the decoder's last layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from ..checks import check_floats, check_whole, same_shape
from ..nets.autoencoder import Autoencoder, PatchDiscriminator
from ..nets.classifier import Classifier

PERCEPTUAL, ADVERSARIAL, KL = 0.1, 0.5, 1e-4  # the weights in the loss


class PerceptualLoss(nn.Module):
    """How different two pictures look to a digit classifier: the mean squared distance of its unit feature vectors.

    x, y (B, C, H, W), each colour read as a picture in grey (read together, a wrong colour would cost nothing) -> a
    number; summed over the classifier's first `depth` convolutions (Zhang et al. 2018, eq. 1, with equal weights).
    Strokes and edges count here, exact greys do not.
    """

    def __init__(self, classifier: Classifier, depth: int = 2):
        super().__init__()
        check_whole(high=4, depth=depth)
        self.blocks = nn.ModuleList(classifier.body[3 * i : 3 * i + 3] for i in range(depth))
        self.requires_grad_(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        same_shape(x=x, y=y)
        x, y = (v.flatten(0, 1)[:, None] for v in (x, y))
        distance = 0.0
        for block in self.blocks:
            x, y = block(x), block(y)
            distance = distance + (normalize(x) - normalize(y)).square().sum(1).mean()
        return distance


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, var) || N(0, I)) in nats per latent number: (mean^2 + var - 1 - log var) / 2, averaged."""
    same_shape(mean=mean, log_var=log_var)
    check_floats(mean=mean, log_var=log_var)
    return (mean.square() + log_var.exp() - 1 - log_var).mean() / 2


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss: half of  mean max(0, 1 - real) + mean max(0, 1 + fake),  of logits (Lim & Ye 2017)."""
    if not (real.numel() and fake.numel()):
        raise ValueError(f"{real.numel()} real and {fake.numel()} fake logits; expected at least one of each")
    return (relu(1 - real).mean() + relu(1 + fake).mean()) / 2


def adaptive_weight(likeness: Tensor, adversarial: Tensor, last: Tensor) -> Tensor:
    """lambda = |grad likeness| / |grad adversarial|, by the decoder's last weights (Esser et al. 2021, eq. 7).

    A number, without a gradient of its own.
    """
    one, other = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (likeness, adversarial))
    return (one / (other + 1e-6)).clamp(max=1e3)  # grad, without create_graph, gives numbers that carry no graph


class AutoencoderLosses(nn.Module):
    """The two losses of an autoencoder and its discriminator, for two Trainers that take turns.

    `autoencoder_loss(x)` goes first and remembers its reconstruction, `critic_loss(x)` then judges it. Without a critic
    there is only the first. Of the adversarial term only the gradient counts: its value says how strict the critic is,
    not how good the pictures are, and is left out of the loss that is shown.
    """

    def __init__(self, autoencoder: Autoencoder, perceptual: PerceptualLoss, critic: PatchDiscriminator | None = None):
        super().__init__()
        for name, part in {"autoencoder": autoencoder, "perceptual": perceptual, "critic": critic}.items():
            if not callable(part) and not (name == "critic" and part is None):
                raise ValueError(f"{name} = {part!r}; expected a network")
        self.autoencoder, self.perceptual, self.critic = autoencoder, perceptual, critic

    def autoencoder_loss(self, x: Tensor) -> Tensor:
        mean, log_var = self.autoencoder.posterior(x)
        x_hat = self.autoencoder.decode(mean + (log_var / 2).exp() * torch.randn_like(mean))
        likeness = (x - x_hat).abs().mean() + PERCEPTUAL * self.perceptual(x, x_hat)
        loss = likeness + KL * kl_to_standard_normal(mean, log_var)
        if self.critic is None:
            return loss
        self.x_hat = x_hat.detach()
        adversarial = -self.critic(x_hat).mean()
        weight = ADVERSARIAL * adaptive_weight(likeness, adversarial, self.autoencoder.last)
        return loss + weight * (adversarial - adversarial.detach())

    def critic_loss(self, x: Tensor) -> Tensor:
        return hinge_loss(self.critic(x), self.critic(self.x_hat))
