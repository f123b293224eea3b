"""Noise goes out: denoisers, the walks from noise to data, guidance, and what the walk says about likelihood."""
