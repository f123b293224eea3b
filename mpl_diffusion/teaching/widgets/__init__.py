"""Pictures that move under a finger: rendered once, scrubbed in the browser, alive with no kernel and no network."""

from .explore import Explorer, explore, player
from .particles import Particles, particles
from .prompt_box import PromptBox, prompt_box
from .watch import watch

__all__ = ["Explorer", "Particles", "PromptBox", "prompt_box", "explore", "particles", "player", "watch"]
