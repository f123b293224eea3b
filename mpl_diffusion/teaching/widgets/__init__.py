"""Interactive pictures: computed once, moved in the browser; they go on working without a kernel or network."""

from .explore import Explorer, explore, player
from .particles import Particles, particles
from .prompt_box import PromptBox, prompt_box
from .watch import watch

__all__ = ["Explorer", "Particles", "PromptBox", "prompt_box", "explore", "particles", "player", "watch"]
