"""A reader of scenes: which digits, in which colours, where. It scores what a generator painted, nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..checks import check_whole
from .classifier import block


class SceneReader(nn.Module):
    """Scenes (B, 3, 64, 64) in [-1, 1] -> logits: place (B, places), digit (B, 2, 10) and colour (B, 2, colours).

    The second thing's mean nothing where the place is that of a single thing; `read` says ANY (-1) there.
    """

    def __init__(self, places: int = 7, colours: int = 6, single: int = 5, features: int = 64):
        super().__init__()
        check_whole(places=places, colours=colours, features=features)
        check_whole(low=0, high=places, single=single)
        self.single = single  # the places below this number are of one thing
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            *block(12, 32, size=3, stride=1),
            *block(32, 64, size=3, stride=2),
            *block(64, 64, size=3, stride=1),
            *block(64, 96, size=3, stride=2),
            *block(96, 96, size=3, stride=1),
            *block(96, 128, size=3, stride=2),
            nn.Flatten(),
        )
        self.place = nn.Linear(128 * 4 * 4, places)
        self.things = nn.Linear(128 * 4 * 4, 2 * features)
        self.digit = nn.Sequential(nn.SiLU(), nn.Linear(features, 10))
        self.colour = nn.Sequential(nn.SiLU(), nn.Linear(features, colours))

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, 2 features), before the last SiLU and layers."""
        return self.things(self._seen(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self._seen(x)
        things = self.things(seen).unflatten(1, (2, -1))
        return self.place(seen), self.digit(things), self.colour(things)

    def _seen(self, x: Tensor) -> Tensor:
        if x.shape[1:] != (3, 64, 64):
            raise ValueError(f"x has shape {tuple(x.shape)}; the reader reads scenes, (B, 3, 64, 64)")
        return self.body(x)

    def read(self, x: Tensor) -> Tensor:
        """Scenes (B, 3, 64, 64) -> (B, 5), int64: place, digit, colour, digit, colour."""
        place, digit, colour = (logits.argmax(-1) for logits in self(x))
        found = torch.stack([place, digit[:, 0], colour[:, 0], digit[:, 1], colour[:, 1]], dim=1)
        found[place < self.single, 3:] = -1
        return found
