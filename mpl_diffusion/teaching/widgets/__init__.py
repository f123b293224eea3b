"""Pictures that move under a finger: rendered once, scrubbed in the browser, alive with no kernel and no network."""

from .ask import TextBox, ask
from .explore import Explorer, explore, player
from .particles import Particles, particles
from .watch import watch

__all__ = ["Explorer", "Particles", "TextBox", "ask", "explore", "particles", "player", "watch"]
