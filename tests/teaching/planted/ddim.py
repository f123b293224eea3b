"""Planted answers to the exercises of notebook 08."""

from . import Planted

PLANTED = {
    "walk_times": Planted(
        right=(
            "torch.tensor([round(T * (S - i) / S) for i in range(S + 1)])",
            "torch.round(T * torch.arange(S, -1, -1) / S).long()",
            "T - torch.linspace(0, T, S + 1, dtype=torch.float64).round().long()",
            "torch.linspace(0, T, S + 1).round().int().flip(0)",
            "(torch.arange(S + 1, dtype=torch.float64).flip(0) * T / S + 0.5).floor().to(torch.int64)",
        ),
        wrong={
            "torch.arange(T, -1, -(T // S))": "stride|T // S",
            "torch.arange(T - 1, -1, -(T // S))": "T - 1|lecture",
            "torch.linspace(T, 0, S).round().long()": "S times",
            "torch.linspace(T, 1, S + 1).round().long()": "t = 1|the data are at 0|0 is missing",
            "torch.linspace(T - 1, 0, S + 1).round().long()": "T - 1",
            "torch.linspace(T, 0, S + 1).long()": "cuts|fraction",
            "torch.linspace(T, 0, S + 1)": "fractions",
            "torch.linspace(0, T, S + 1).round().long()": "rise",
            "torch.linspace(T, 1, S).round().long()": "t = 1|0 is missing",
            "torch.linspace(T, 0, S + 1).round().long()[1:]": "T is missing|begin|one row|first",
            "torch.linspace(T, 0, S + 1).round().long()[:-1]": "0 is missing",
            "torch.linspace(T, 0, S + 1).ceil().long()": "nearest|ceil|up",
            "torch.linspace(T, 0, S + 1).round().tolist()": "list",
            "torch.linspace(T, 0, S + 2).round().long()": "too many|S \\+ 1",
        },
    ),
    "ddim_eta": Planted(
        right=(
            "var = eta ** 2 * (1 - b) / (1 - a) * (1 - a / b); "
            "return b ** 0.5 * x0 + (1 - b - var) ** 0.5 * eps + var ** 0.5 * z",
            "s = eta * torch.sqrt((1 - b) / (1 - a)) * torch.sqrt(1 - a / b); "
            "return torch.sqrt(b) * x0 + torch.sqrt(1 - b - s * s) * eps + s * z",
            "s = eta * ((1 - b) / (1 - a)).sqrt() * ((b - a) / b).sqrt(); d = (1 - b - s ** 2).sqrt(); "
            "return (b / a).sqrt() * x_t + (d - (b / a * (1 - a)).sqrt()) * eps + s * z",
            "x0 = x_t / a.sqrt() - (1 / a - 1).sqrt() * eps; "
            "return b.sqrt() * x0 + (1 - b - sigma ** 2).clamp(min=0).sqrt() * eps + sigma * z",
        ),
        wrong={
            "b.sqrt() * x0 + (1 - b).sqrt() * eps + sigma * z": "all of the noise|sigma\\^2",
            "b.sqrt() * x0 + (1 - b - sigma ** 2).sqrt() * eps": "z",
            "b.sqrt() * x0 + (1 - b - sigma).sqrt() * eps + sigma * z": "variance",
            "b.sqrt() * x0 + (1 - b - sigma ** 2).sqrt() * eps + sigma ** 2 * z": "std|variance",
            "b.sqrt() * x0 + ((1 - b).sqrt() - sigma) * eps + sigma * z": "std",
            "b.sqrt() * x0 + (1 - b + sigma ** 2).sqrt() * eps + sigma * z": "sign|add",
            "b.sqrt() * x0 + (1 - b - sigma ** 2) * eps + sigma * z": "root",
            "b.sqrt() * x_t + (1 - b - sigma ** 2).sqrt() * eps + sigma * z": "x0_hat is missing",
            "b.sqrt() * x0 + (1 - a - sigma ** 2).sqrt() * eps + sigma * z": "alpha_bar of t",
            "a.sqrt() * x0 + (1 - b - sigma ** 2).sqrt() * eps + sigma * z": "alpha_bar of t",
            "s = eta * ((1 - a) / (1 - b) * (1 - a / b)).sqrt(); "
            "return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "head|upside down",
            "s = eta * ((1 - b) / (1 - a) * (1 - b / a)).sqrt(); "
            "return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "head|upside down",
            "s = eta * (1 - b) / (1 - a) * (1 - a / b); "
            "return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "root",
            "s = ((1 - b) / (1 - a) * (1 - a / b)).sqrt(); "
            "return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "eta",
            "s = eta * (1 - a / b).sqrt(); return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "beta",
            "s = eta * ((1 - b) / (1 - a)).sqrt(); "
            "return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "missing|factor|1 - alpha_bar",
            "s = eta * ((1 - b) / (1 - a) * (a / b)).sqrt(); "
            "return b.sqrt() * x0 + (1 - b - s ** 2).sqrt() * eps + s * z": "1 minus",
            "s = eta * ((1 - b) / (1 - a) * (1 - a / b)); "
            "return b.sqrt() * x0 + (1 - b - s).sqrt() * eps + s.sqrt() * z": "eta|root",
            "b.sqrt() * x0 + (1 - b - sigma ** 2).sqrt() * eps + sigma * torch.randn_like(x_t)": "use z",
        },
        start="a, b = alpha_bar[t], alpha_bar[t_next]; x0 = (x_t - (1 - a).sqrt() * eps) / a.sqrt(); "
        "sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()",
    ),
    "ddpm_coefficients": Planted(
        right=(
            "torch.stack([1 / al.sqrt(), -beta[t] / (al * (1 - a)).sqrt(), tilde.sqrt()])",
            "c = (b / a).sqrt(); s2 = (1 - b) / (1 - a) * (1 - a / b); "
            "return torch.stack([c, (1 - b - s2).sqrt() - c * (1 - a).sqrt(), s2.sqrt()])",
            "torch.cat([v.reshape(1) for v in (al ** -0.5, -beta[t] / (1 - a) ** 0.5 / al ** 0.5, tilde ** 0.5)])",
            "torch.tensor([1 / al.sqrt(), (al - 1) / (1 - a).sqrt() / al.sqrt(), tilde.sqrt()], dtype=beta.dtype)",
        ),
        wrong={
            "torch.stack([1 / al.sqrt(), beta[t] / (al * (1 - a)).sqrt(), tilde.sqrt()])": "sign",
            "torch.stack([1 / al.sqrt(), -beta[t] / (al * (1 - a)).sqrt(), tilde])": "variance|std",
            "torch.stack([1 / al.sqrt(), -beta[t] / (al * (1 - a)).sqrt(), beta[t].sqrt()])": "beta_t",
            "torch.stack([1 / al.sqrt(), -beta[t] / (1 - a).sqrt(), tilde.sqrt()])": "divided by the root of alpha_t",
            "torch.stack([1 / al, -beta[t] / (al * (1 - a)).sqrt(), tilde.sqrt()])": "root",
            "torch.stack([al.sqrt(), -beta[t] / (al * (1 - a)).sqrt(), tilde.sqrt()])": "larger again|upside down",
            "torch.stack([1 / a.sqrt(), -beta[t] / (al * (1 - a)).sqrt(), tilde.sqrt()])": "all t steps",
            "torch.stack([1 / al.sqrt(), -beta[t] / (al.sqrt() * (1 - a)), tilde.sqrt()])": "std|root",
            "torch.stack([1 / al.sqrt(), -beta[t] / (al * a).sqrt(), tilde.sqrt()])": "1 minus",
            "torch.stack([b.sqrt(), (1 - b - tilde).sqrt(), tilde.sqrt()])": "x0_hat",
            "torch.stack([1 / al.sqrt(), (1 - b - tilde).sqrt(), tilde.sqrt()])": "twice|once more",
            "torch.stack([1 / al.sqrt(), (1 - b).sqrt() - ((1 - a) / al).sqrt(), tilde.sqrt()])": "sigma\\^2",
            "torch.stack([1 / al.sqrt(), (1 - b).sqrt() - ((1 - a) / al).sqrt(), 0 * tilde])": "eta = 0",
            "torch.stack([1 / al.sqrt(), -beta[t] / (al * (1 - a)).sqrt(), "
            "((1 - a) / (1 - b) * beta[t]).sqrt()])": "upside down",
            "torch.stack([1 / al.sqrt(), -beta[t] / (al * (1 - b)).sqrt(), tilde.sqrt()])": "early|row",
        },
        start="ab = (1 - beta).cumprod(0); a, b, al = ab[t], ab[t - 1], 1 - beta[t]; "
        "tilde = (1 - b) / (1 - a) * beta[t]",
    ),
}
