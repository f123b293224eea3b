"""Planted answers to the exercises of notebook 07."""

from . import Planted

PLANTED = {
    "forward_diffusion": Planted(
        right=(
            "ab = row(torch.cat([torch.ones(1), torch.cumprod(1 - betas, 0)])[t]); "
            "return ab ** 0.5 * x_0 + (1 - ab) ** 0.5 * eps",
            "ab = torch.stack([torch.prod(1 - betas[:n]) for n in t]); s = (-1,) + (1,) * (x_0.dim() - 1); "
            "return ab.sqrt().view(s) * x_0 + (1 - ab).sqrt().view(s) * eps",
            """
            while a.ndim < x_0.ndim:
                a = a.unsqueeze(-1)
            return torch.sqrt(a) * x_0 + torch.sqrt(1 - a) * eps
            """,
            "return (x_0.transpose(0, -1) * a.sqrt() + eps.transpose(0, -1) * (1 - a).sqrt()).transpose(0, -1)",
        ),
        wrong={
            "a.sqrt() * x_0 + (1 - a).sqrt() * eps": "reshape",
            "a = a.view(-1, 1, 1, 1); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "on images",
            "a = row((1 - betas).cumprod(0)[t]); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "row t",
            "a = row(a); return a * x_0 + (1 - a) * eps": "variances",
            "a = row(a); return a.sqrt() * x_0 + (1 - a) * eps": "std",
            "a = row(a); return (1 - a).sqrt() * x_0 + a.sqrt() * eps": "places",
            "a = row((1 - betas)[t - 1]); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "one step",
            "a = row(betas.cumprod(0)[t - 1]); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "betas",
            "a = row(1 - betas.cumsum(0)[t - 1]); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "add|sum|nan",
            "a = row(1 - betas.cumprod(0)[t - 1]); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "take away|betas",
            "a = row(a); return a.sqrt() * x_0 - (1 - a).sqrt() * eps": "sign|add",
            "a = row(a); return a.sqrt() * x_0 + eps": "factor|all of eps",
            "a = row((1 - betas).cumprod(0)[t - 2]); return a.sqrt() * x_0 + (1 - a).sqrt() * eps": "early",
            "a = row(a); return a.sqrt() * x_0 + (1 - a.sqrt()) * eps": "root|squares",
            "a = row(a); return a.sqrt() * x_0 + (1 - a).sqrt() * torch.randn_like(x_0)": "use eps",
            "a = row(a); return x_0 + (1 - a).sqrt() * eps": "all of x_0",
        },
        start="a = (1 - betas).cumprod(0)[t - 1]; row = lambda v: v.reshape(-1, *[1] * (x_0.ndim - 1))",
    ),
    "ema_update": Planted(
        right=(
            "slow + (1 - decay) * (fast - slow)",
            "torch.lerp(fast, slow, decay)",
            "slow.clone().mul_(decay).add_(fast, alpha=1 - decay)",
            "fast - decay * (fast - slow)",
        ),
        wrong={
            "decay * fast + (1 - decay) * slow": "places|exchanged",
            "slow + (1 - decay) * fast": "all of the old",
            "decay * slow + fast": "all of the new",
            "(slow + fast) / 2": "middle",
            "slow * decay": "only shrinks|missing",
            "slow + decay * (fast - slow)": "places|exchanged",
            "slow - (1 - decay) * (fast - slow)": "away|sign",
            "decay * slow - (1 - decay) * fast": "sign",
            "decay * slow + decay * fast": "shares|1 minus|add up to 1",
            "decay * slow + (1 + decay) * fast": "sign|add up to 1",
            "(decay * slow + (1 - decay) * fast) / 2": "times|factor|half",
            "slow.mul_(decay).add_((1 - decay) * fast)": "in place",
        },
    ),
    "nearest": Planted(
        right=(
            "((samples[:, None] - train[None]) ** 2).sum((2, 3, 4)).argmin(1)",
            "(t2 - 2 * torch.einsum('nchw,mchw->nm', samples, train)).argmin(dim=1)",
            "torch.stack([((train - x) ** 2).flatten(1).sum(1).argmin() for x in samples])",
            "torch.cdist(samples.flatten(1), train.flatten(1)).min(1).indices",
            "torch.tensor([min(range(len(train)), key=lambda i: (x - train[i]).norm()) for x in samples])",
            "(samples.flatten(1) @ train.flatten(1).T - t2 / 2).argmax(1)",
            "((samples[:, None] - train) ** 2).mean((2, 3, 4)).argsort(1)[:, 0]",
        ),
        wrong={
            "torch.cdist(samples.flatten(1), train.flatten(1)).argmax(1)": "farthest",
            "torch.cdist(samples.flatten(1), train.flatten(1)).argmin(0)": "wrong axis",
            "torch.cdist(samples.flatten(1), train.flatten(1)).min(1).values": "distances themselves",
            "torch.cdist(samples.flatten(1), train.flatten(1)).min(1)": "values and their places",
            "torch.cdist(samples.flatten(1), train.flatten(1)).argmin()": "one nearest pair",
            "(samples.flatten(1) @ train.flatten(1).T).argmax(1)": "product",
            "torch.einsum('nchw,mchw->nm', samples, train).argmin(1)": "product",
            "(samples[:, None] - train[None]).sum((2, 3, 4)).argmin(1)": "sign|square",
            "(samples[:, None] - train[None]).abs().sum((2, 3, 4)).argmin(1)": "absolute",
            "F.cosine_similarity(samples.flatten(1)[:, None], train.flatten(1)[None], dim=2).argmax(1)": "angle|cosine",
            "torch.cdist(samples, train).argmin(1)": "rows of pixels|two shapes",
            "train[torch.cdist(samples.flatten(1), train.flatten(1)).argmin(1)]": "index|place|image itself|images",
            "torch.cdist(samples.flatten(1), train.flatten(1)).argmin(1) + 1": "from 0|too large|larger by 1|by 1",
            "(samples.mean((1, 2, 3))[:, None] - train.mean((1, 2, 3))[None]).abs().argmin(1)": "brightness|mean",
        },
        start="t2 = (train ** 2).sum((1, 2, 3))",
    ),
}
