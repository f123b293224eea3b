"""Data: points, mixtures, digits."""
