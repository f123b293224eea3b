"""Data: points, mixtures known exactly, digits, captioned scenes."""
