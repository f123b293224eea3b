"""Planted answers to the exercises of notebook 01."""

from . import Planted

PLANTED = {
    "chain_step": Planted(
        right=(
            "torch.sqrt(1 - beta_t) * x + torch.sqrt(beta_t) * z",
            "z * beta_t ** 0.5 + x * (1 - beta_t) ** 0.5",
            "alpha_t = 1 - beta_t; return alpha_t.sqrt() * x + (1 - alpha_t).sqrt() * z",
            "torch.sqrt(1 - beta_t).mul(x).add(torch.sqrt(beta_t).mul(z))",
        ),
        wrong={
            "(1 - beta_t) * x + beta_t * z": "both.*variances",
            "(1 - beta_t).sqrt() * x + beta_t * z": "std",
            "(1 - beta_t) * x + beta_t.sqrt() * z": "variance",
            "x + beta_t.sqrt() * z": "keep all of x|grows",
            "(1 - beta_t).sqrt() * x - beta_t.sqrt() * z": "sign|add",
            "(1 - beta_t).sqrt() * x + z": "all of z|noise.*full|factor",
            "(1 - beta_t).sqrt() * x": "noise|z",
            "beta_t.sqrt() * x + (1 - beta_t).sqrt() * z": "changed places|exchanged",
            "(1 - beta_t.sqrt()) * x + beta_t.sqrt() * z": "squares|root",
            "(1 + beta_t).sqrt() * x + beta_t.sqrt() * z": "sign|larger|shrink",
            "torch.sqrt(1 - beta_t) * x + torch.sqrt(beta_t) * torch.randn_like(x)": "use z",
        },
    ),
    "alpha_bar": Planted(
        right=(
            "torch.cumprod(1 - beta, dim=0)",
            "(1 - beta).log().cumsum(0).exp()",
            """
            out = torch.ones_like(beta)
            for t in range(1, len(beta)):
                out[t] = out[t - 1] * (1 - beta[t])
            return out
            """,
            "alpha = 1 - beta; return torch.stack([alpha[: t + 1].prod() for t in range(len(alpha))])",
        ),
        wrong={
            "beta.cumprod(0)": "betas",
            "1 - beta.cumprod(0)": "betas|take away|first",
            "1 - beta.cumsum(0)": "subtract all betas|multiply",
            "1 - beta": "one step",
            "(1 - beta).prod()": "last number",
            "(1 - beta).cumsum(0)": "add|sum",
            "torch.sqrt((1 - beta).cumprod(0))": "root|signal",
            "torch.cumprod(1 - beta[1:], 0)": "row 0|short",
            "1 - torch.cumprod(1 - beta, 0)": "noise",
            "torch.cat([torch.ones(1), torch.cumprod(1 - beta, 0)])": "one row too many",
            "torch.cumprod(1 - beta, 0).flip(0)": "order|backwards",
            "torch.cumprod(1 + beta, 0)": "sign|grow",
        },
    ),
    "diffuse": Planted(
        right=(
            """
            a = alpha_bar[t]
            if torch.is_tensor(a) and a.ndim > 0:
                a = a.view(-1, *[1 for _ in x0.shape[1:]])
            return torch.sqrt(a) * x0 + torch.sqrt(1 - a) * eps
            """,
            """
            a = torch.as_tensor(alpha_bar[t])
            while a.dim() < x0.dim():
                a = a[..., None]
            return a ** 0.5 * x0 + (1 - a) ** 0.5 * eps
            """,
            "a = alpha_bar[torch.as_tensor(t).expand(len(x0))]; "
            "return torch.einsum('b,b...->b...', a.sqrt(), x0) + torch.einsum('b,b...->b...', (1 - a).sqrt(), eps)",
            "a = alpha_bar[t]; return ((a.sqrt() * x0.transpose(0, -1)) + (1 - a).sqrt() * eps.transpose(0, -1))"
            ".transpose(0, -1)",
        ),
        wrong={
            "alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps": "reshape",
            "return a * x0 + (1 - a) * eps": "variances",
            "return a.sqrt() * x0 + (1 - a) * eps": "std",
            "return a.sqrt() * x0 + (1 - a.sqrt()) * eps": "squares",
            "return a.sqrt() * x0 - (1 - a).sqrt() * eps": "sign|add",
            "return a.sqrt() * x0 + eps": "all of eps|factor",
            "return (1 - a).sqrt() * x0 + a.sqrt() * eps": "places",
            "a = alpha_bar[t - 1].reshape(-1, *[1] * (x0.ndim - 1)); "
            "return a.sqrt() * x0 + (1 - a).sqrt() * eps": "t - 1",
            "a = alpha_bar[t].view(-1, 1, 1, 1); return a.sqrt() * x0 + (1 - a).sqrt() * eps": "on images",
            "a = alpha_bar.cumprod(0)[t].reshape(-1, *[1] * (x0.ndim - 1)); "
            "return a.sqrt() * x0 + (1 - a).sqrt() * eps": "cumprod|product",
            "return a.sqrt() * x0": "eps|noise",
            "return a.sqrt() * (x0 + (1 - a).sqrt() * eps)": "brackets|shrink the noise",
        },
        start="a = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))",
    ),
    "half_point": Planted(
        right=(
            "torch.argmax((alpha_bar <= 0.5).int())",
            "(alpha_bar > 0.5).sum().item()",
            "next(t for t, a in enumerate(alpha_bar.tolist()) if a <= 0.5)",
            """
            t = 0
            while alpha_bar[t] > 1 - alpha_bar[t]:
                t += 1
            return t
            """,
        ),
        wrong={
            "(alpha_bar >= 0.5).sum()": "exactly|equal",
            "int((alpha_bar < 0.5).nonzero()[0])": "exactly|equal",
            "(alpha_bar - 0.5).abs().argmin()": "nearest",
            "(alpha_bar > 0.5).sum() - 1": "early",
            "(alpha_bar > 0.5).sum() + 1": "late",
            "len(alpha_bar) // 2": "middle",
            "int((alpha_bar.sqrt() <= 0.5).nonzero()[0])": "amplitude",
            "alpha_bar[alpha_bar <= 0.5][0]": "its t",
            "(alpha_bar <= 0.5).nonzero()[0]": "one number|shape",
            "(alpha_bar <= 0.5).sum()": "count|after",
            "int((alpha_bar <= 0.5).nonzero()[-1])": "last",
            """
            for t in range(len(alpha_bar)):
                if alpha_bar[t] == 0.5:
                    return t
            """: "without meeting .return",
        },
    ),
}
