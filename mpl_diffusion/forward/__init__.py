"""Noise comes in: a process is two rates, in steps (tables) or in continuous time (SDEs)."""
