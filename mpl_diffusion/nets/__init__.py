"""Networks. They know nothing of diffusion: they map (x, t, cond) to something of x's shape."""
