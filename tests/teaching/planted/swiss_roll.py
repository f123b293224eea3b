"""Planted answers to the exercises of notebook 04."""

from . import Planted

PLANTED = {
    "x0_from_eps": Planted(
        right=(
            "x_t / a.sqrt() - ((1 - a) / a).sqrt() * eps",
            "(1 / a).sqrt() * x_t - (1 / a - 1).sqrt() * eps",
            "torch.div(x_t - torch.sqrt(1 - a) * eps, torch.sqrt(a))",
            "t = torch.as_tensor(t).expand(len(x_t)); b = alpha_bar[t].view(len(x_t), *[1] * (x_t.dim() - 1)); "
            "return (x_t - eps * (1 - b) ** 0.5) * b ** -0.5",
        ),
        wrong={
            "x_t - (1 - a).sqrt() * eps": "shrunk|shrinking",
            "(x_t - (1 - a).sqrt() * eps) / a": "alpha_bar, a variance|root",
            "(x_t - (1 - a) * eps) / a.sqrt()": "std",
            "(x_t + (1 - a).sqrt() * eps) / a.sqrt()": "sign|add",
            "(x_t - eps) / a.sqrt()": "all of eps",
            "x_t - (1 - a).sqrt() * eps / a.sqrt()": "brackets",
            "x_t / a.sqrt() - (1 - a).sqrt() * eps": "brackets",
            "(x_t - (1 - a).sqrt() * eps) * a.sqrt()": "multiply|shrink",
            "(x_t - a.sqrt() * eps) / (1 - a).sqrt()": "places",
            "(x_t - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()": "reshape",
            "b = alpha_bar[t - 1].reshape(-1, *[1] * (x_t.ndim - 1)); "
            "return (x_t - (1 - b).sqrt() * eps) / b.sqrt()": "t - 1",
            "((1 - a).sqrt() * eps - x_t) / a.sqrt()": "sign|wrong way",
            "(x_t - (1 - a.sqrt()) * eps) / a.sqrt()": "root|squares",
        },
        start="a = alpha_bar[t].reshape(-1, *[1] * (x_t.ndim - 1))",
    ),
    "loss": Planted(
        right=(
            "F.mse_loss(net(x_t, t), eps)",
            "(eps - net(x_t, t)).pow(2).mean()",
            "d = (net(x_t, t) - eps).flatten(); return d @ d / d.numel()",
            "return ((net(x_t, t) - eps) ** 2).flatten(1).mean(1).mean()",
        ),
        wrong={
            "F.mse_loss(net(x_t, t), eps).item()": "gradient",
            "with torch.no_grad(): return F.mse_loss(net(x_t, t), eps)": "gradient",
            "F.mse_loss(net(x_t, t).detach(), eps)": "gradient",
            "F.mse_loss(net(x_t, t), x0)": "x0",
            "F.mse_loss(net(x_t, t), x_t)": "x_t",
            "F.mse_loss(net(x0, t), eps)": "shown x0",
            "F.mse_loss(net(x_t, t), eps, reduction='sum')": "add",
            "F.mse_loss(net(x_t, t), eps, reduction='none')": "single number",
            "F.l1_loss(net(x_t, t), eps)": "absolute",
            "(net(x_t, t) - eps).mean()": "sign|cancel",
            "((net(x_t, t) - eps) ** 2).mean().sqrt()": "root",
            "((net(x_t, t) - eps) ** 2).mean() / 2": "factor|half|times",
            "((net(x_t, t) - torch.randn_like(eps)) ** 2).mean()": "use eps",
            "((net(x_t, t - 1) - eps) ** 2).mean()": "t - 1",
            "x_t = a * x0 + (1 - a) * eps; return ((net(x_t, t) - eps) ** 2).mean()": "variances",
            "x_t = x0 + (1 - a).sqrt() * eps; return ((net(x_t, t) - eps) ** 2).mean()": "shrunk|all of x0|factor",
            "x_t = a.sqrt() * x0 + (1 - a) * eps; return ((net(x_t, t) - eps) ** 2).mean()": "std|root",
            "((net(x_t, t) + eps) ** 2).mean()": "sign|add",
        },
        start="a = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1)); x_t = a.sqrt() * x0 + (1 - a).sqrt() * eps",
    ),
    "ddim_step": Planted(
        right=(
            "(b / a).sqrt() * x_t + ((1 - b).sqrt() - (b * (1 - a) / a).sqrt()) * eps",
            "x0 = x_t / a ** 0.5 - (1 / a - 1) ** 0.5 * eps; return b ** 0.5 * x0 + (1 - b) ** 0.5 * eps",
            "x = x_t / a.sqrt(); s = lambda c: ((1 - c) / c).sqrt(); return (x + (s(b) - s(a)) * eps) * b.sqrt()",
            "x0 = (x_t - torch.sqrt(1 - a) * eps) / torch.sqrt(a); "
            "return x0 if t_next == 0 else torch.sqrt(b) * x0 + torch.sqrt(1 - b) * eps",
        ),
        wrong={
            "b.sqrt() * x_t + (1 - b).sqrt() * eps": "x_t",
            "b.sqrt() * x0_hat": "noise|eps",
            "x0_hat": "x0_hat",
            "b.sqrt() * x0_hat + (1 - a).sqrt() * eps": "still that of t",
            "a.sqrt() * x0_hat + (1 - b).sqrt() * eps": "still that of t",
            "a.sqrt() * x0_hat + (1 - a).sqrt() * eps": "same t",
            "b * x0_hat + (1 - b) * eps": "variance|roots",
            "b.sqrt() * x0_hat - (1 - b).sqrt() * eps": "sign|add",
            "b.sqrt() * x0_hat + (1 - b).sqrt() * torch.randn_like(x_t)": "No noise",
            "b.sqrt() * x0_hat + eps": "factor|all of eps",
            "x0_hat + (1 - b).sqrt() * eps": "factor|shrink|signal",
            "x0 = x_t - (1 - a).sqrt() * eps; return b.sqrt() * x0 + (1 - b).sqrt() * eps": "shrunk",
            "x0 = (x_t + (1 - a).sqrt() * eps) / a.sqrt(); return b.sqrt() * x0 + (1 - b).sqrt() * eps": "sign|add",
            "x0 = (x_t - (1 - a).sqrt() * eps) / a; return b.sqrt() * x0 + (1 - b).sqrt() * eps": "root|variance",
            "x0 = (x_t - (1 - a) * eps) / a.sqrt(); return b.sqrt() * x0 + (1 - b).sqrt() * eps": "root|variance|std",
            "b = alpha_bar[t - 1]; return b.sqrt() * x0_hat + (1 - b).sqrt() * eps": "t_next",
        },
        start="a, b = alpha_bar[t], alpha_bar[t_next]; x0_hat = (x_t - (1 - a).sqrt() * eps) / a.sqrt()",
    ),
    "ddpm_step": Planted(
        right=(
            "mean + (((1 - ab[t - 1]) / (1 - ab[t]) * beta[t]) ** 0.5) * z",
            "x0 = (x_t - (1 - ab[t]).sqrt() * eps) / ab[t].sqrt(); m = (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t]); "
            "return m + (beta[t] * (1 - ab[t - 1]) / (1 - ab[t])).sqrt() * z",
            "s = (1 - ab[t - 1]) / (1 - ab[t]) * beta[t]; return mean if t == 1 else mean + torch.sqrt(s) * z",
            "m = x_t / al[t].sqrt() - (1 - al[t]) / (al[t] * (1 - ab[t])).sqrt() * eps; return m + tilde.sqrt() * z",
        ),
        wrong={
            "mean + beta[t].sqrt() * z": "beta_t",
            "mean + tilde * z": "std|variance",
            "mean": "z",
            "mean - tilde.sqrt() * z": "sign|add",
            "mean + z": "factor|all of z|std",
            "mean + (beta[t].sqrt() * z if t > 1 else 0)": "beta_t",
            "mean + ((1 - ab[t]) / (1 - ab[t - 1]) * beta[t]).sqrt() * z": "upside down",
            "mean + ((1 - ab[t - 1]) / (1 - ab[t])).sqrt() * z": "factor|beta",
            "mean + tilde.sqrt() * torch.randn_like(x_t)": "use z",
            "(x_t - beta[t] / (1 - ab[t]) * eps) / al[t].sqrt() + tilde.sqrt() * z": "std|root",
            "(x_t - beta[t] / (1 - ab[t]).sqrt() * eps) * al[t].sqrt() + tilde.sqrt() * z": "multiply|shrink",
            "(x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / ab[t].sqrt() + tilde.sqrt() * z": "all t",
            "(x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / al[t] + tilde.sqrt() * z": "alpha_t|root",
            "x_t - beta[t] / (1 - ab[t]).sqrt() * eps / al[t].sqrt() + tilde.sqrt() * z": "brackets",
            "(x_t + beta[t] / (1 - ab[t]).sqrt() * eps) / al[t].sqrt() + tilde.sqrt() * z": "sign|add",
            "(x_t - (1 - ab[t]).sqrt() / beta[t] * eps) / al[t].sqrt() + tilde.sqrt() * z": "upside down",
            "(x_t - al[t] / (1 - ab[t]).sqrt() * eps) / al[t].sqrt() + tilde.sqrt() * z": "1 minus|beta",
            "(x_t - (1 - ab[t]).sqrt() * eps) / ab[t].sqrt() + tilde.sqrt() * z": "x0_hat|x_0|x0",
            "m = x_t - beta[t] / (1 - ab[t]).sqrt() * eps; return (m + tilde.sqrt() * z) / al[t].sqrt()": "brackets",
        },
        start="al = 1 - beta; ab = al.cumprod(0); mean = (x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / al[t].sqrt(); "
        "tilde = (1 - ab[t - 1]) / (1 - ab[t]) * beta[t]",
    ),
}
