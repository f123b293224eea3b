"""A network as it is after a little training."""

import torch


def shaken(net, seed=0):
    """The network with every parameter moved, as a little training would: new, its last layers are 0."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng))
    return net.eval()
