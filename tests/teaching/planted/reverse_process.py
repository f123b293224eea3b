"""Planted answers to the exercises of notebook 03."""

from . import Planted

PLANTED = {
    "posterior_mean": Planted(
        right=(
            "a = torch.cumprod(1 - beta, 0); d = 1 - a[t]; "
            "return torch.sqrt(a[t - 1]) * beta[t] / d * x0 + torch.sqrt(1 - beta[t]) * (1 - a[t - 1]) / d * x_t",
            "c = beta[t] / (1 - ab[t]); return ab[t - 1].sqrt() * c * x0 + (1 - c) / (1 - beta[t]).sqrt() * x_t",
            "p = ab[t - 1]; al = 1 - beta[t]; v = (1 - p) * beta[t] / (1 - ab[t]); "
            "return ab[t - 1].sqrt() * beta[t] / (1 - ab[t]) * x0 + v * al.sqrt() / beta[t] * x_t",
            "eps = (x_t - ab[t].sqrt() * x0) / (1 - ab[t]).sqrt(); "
            "return (x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / (1 - beta[t]).sqrt()",
        ),
        wrong={
            "return (ab[t].sqrt() * beta[t] * x0 + al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "at t\\b",
            "return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t]) * x_t) / (1 - ab[t])": "noise at t|one step earlier",
            "return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t - 1])": "denominator|divide",
            "return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ ab[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "alpha_bar|alpha_t",
            "return (al[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "alpha_bar|alpha",
            "al = ab; return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - al[t - 1]) * x_t) / (1 - al[t])": "alpha_bar|alpha_t",
            "return (ab[t - 1].sqrt() * beta[t] * x_t "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x0) / (1 - ab[t])": "exchanged",
            "return (ab[t - 1] * beta[t] * x0 + al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "root",
            "return (ab[t - 1].sqrt() * beta[t] * x0 + al[t] * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "root",
            "return (ab[t - 1] * beta[t] * x0 + al[t] * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "roots|variances",
            "return ab[t - 1].sqrt() * beta[t] * x0 + al[t].sqrt() * (1 - ab[t - 1]) * x_t": "divide",
            "ab = (1 - beta).cumsum(0); return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ (1 - beta[t]).sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "add|sum|nan",
            "ab = 1 - beta.cumprod(0); return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ (1 - beta[t]).sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "take away|betas|nan",
            "return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t - 1].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "early",
            "t = t - 1; return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "early",
            "return (ab[t - 1].sqrt() * beta[t - 1] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "early",
            "return (ab[t - 1].sqrt() * beta[t] * x0 - al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])": "sign|add",
            "return (ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t]).sqrt()": "root",
            "return ab[t - 1].sqrt() * beta[t] * x0 "
            "+ al[t].sqrt() * (1 - ab[t - 1]) * x_t / (1 - ab[t])": "brackets|divi",
        },
        start="al, ab = 1 - beta, (1 - beta).cumprod(0)",
    ),
    "beta_tilde": Planted(
        right=(
            "ab = torch.cumprod(1 - beta, 0); before = torch.cat([ab[:1], ab[:-1]]); "
            "out = (1 - before) / (1 - ab) * beta; out[0] = 0; return out",
            """
            ab = (1 - beta).cumprod(0)
            rows = [0.0]
            for t in range(1, len(beta)):
                rows.append(float((1 - ab[t - 1]) / (1 - ab[t]) * beta[t]))
            return torch.tensor(rows, dtype=beta.dtype)
            """,
            "before = ab.roll(1); return torch.nan_to_num((1 - before) / (1 - ab)) * beta",
            "noise = 1 - (1 - beta).cumprod(0); return torch.cat([torch.zeros(1), noise[:-1] * beta[1:] / noise[1:]])",
        ),
        wrong={
            "out = beta.clone(); out[1:] *= (1 - ab[1:]) / (1 - ab[:-1]); return out": "upside down",
            "out = torch.zeros_like(beta); out[1:] = (1 - ab[:-1]) / (1 - ab[1:]); return out": "beta",
            "before = torch.cat([ab[:1], ab[:-1]]); return (1 - before) / (1 - ab) * beta": "row 0|nan",
            "before = torch.cat([torch.ones(1), ab[:-1]]); return (1 - before) / (1 - ab)": "row 0|nan",
            "return (1 - ab[:-1]) / (1 - ab[1:]) * beta[1:]": "row 0",
            "out = beta.clone(); out[1:] *= (1 - ab[:-1]) / (1 - ab[1:]); return out.sqrt()": "std",
            "beta.clone()": "beta itself",
            "out = beta.clone(); out[1:] *= ab[:-1] / ab[1:]; return out": "signals",
            "out = beta.clone(); out[1:] *= 1 - ab[:-1]; return out": "divide",
            "ab = 1 - beta; out = beta.clone(); out[1:] *= (1 - ab[:-1]) / (1 - ab[1:]); return out": "product",
            "out = beta.clone(); out[1:] *= ((1 - ab[:-1]) / (1 - ab[1:])).sqrt(); return out": "std|root",
            "out = beta.clone(); out[1:] = (1 - ab[:-1]) / (1 - ab[1:]) * beta[:-1]; "
            "return out": "early|row|shift|wrong end",
            "ab = 1 - beta.cumsum(0); out = beta.clone(); out[1:] *= (1 - ab[:-1]) / (1 - ab[1:]); return out": "sum",
            "ab = 1 - beta.cumprod(0); out = beta.clone(); out[1:] *= (1 - ab[:-1]) / (1 - ab[1:]); "
            "return out": "take away|betas|nan",
            "out = beta.clone(); out[1:] *= (1 - ab[:-1]) / (1 - ab[1:]); out[0] = 1; return out": "row 0",
        },
        start="al, ab = 1 - beta, (1 - beta).cumprod(0)",
    ),
    "mean_from_eps": Planted(
        right=(
            "al = 1 - beta[t]; ab = torch.prod(1 - beta[: t + 1]); "
            "return 1 / torch.sqrt(al) * (x_t - (1 - al) / torch.sqrt(1 - ab) * eps)",
            "x0 = (x_t - (1 - ab[t]).sqrt() * eps) / ab[t].sqrt(); "
            "return (ab[t - 1].sqrt() * beta[t] * x0 + (1 - beta[t]).sqrt() * (1 - ab[t - 1]) * x_t) / (1 - ab[t])",
            "ab = (1 - beta).cumprod(0)[t]; a = 1 - beta[t]; "
            "return x_t / a ** 0.5 - beta[t] / ((1 - ab) * a) ** 0.5 * eps",
            "s = (1 - torch.cumprod(1 - beta, 0)[t]) ** -0.5; return (x_t - beta[t] * s * eps) * (1 - beta[t]) ** -0.5",
        ),
        wrong={
            "return (x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / ab[t].sqrt()": "alpha_bar|all t",
            "return x_t - beta[t] / (1 - ab[t]).sqrt() * eps / (1 - beta[t]).sqrt()": "brackets",
            "return x_t / (1 - beta[t]).sqrt() - beta[t] / (1 - ab[t]).sqrt() * eps": "brackets",
            "return (x_t - beta[t]) / (1 - ab[t]).sqrt() * eps / (1 - beta[t]).sqrt()": "brackets",
            "return (x_t - beta[t] / (1 - ab[t]) * eps) / (1 - beta[t]).sqrt()": "variance",
            "return (x_t + beta[t] / (1 - ab[t]).sqrt() * eps) / (1 - beta[t]).sqrt()": "add",
            "return (x_t - beta[t] / (1 - ab[t]).sqrt() * eps) * (1 - beta[t]).sqrt()": "multiply|shrink",
            "return (x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / (1 - beta[t])": "root",
            "return x_t - beta[t] / (1 - ab[t]).sqrt() * eps": "shrinking",
            "return (x_t - (1 - ab[t]).sqrt() * eps) / ab[t].sqrt()": "x0|x_0|all the way",
            "return (x_t - (1 - beta[t]) / (1 - ab[t]).sqrt() * eps) / (1 - beta[t]).sqrt()": "1 minus|alpha",
            "return (x_t - beta[t] / ab[t].sqrt() * eps) / (1 - beta[t]).sqrt()": "1 minus|signal",
            "return (x_t - beta[t] / (1 - ab[t - 1]).sqrt() * eps) / (1 - beta[t]).sqrt()": "early|t - 1",
            "return (x_t - beta[t].sqrt() / (1 - ab[t]).sqrt() * eps) / (1 - beta[t]).sqrt()": "root",
            "ab = al; return (x_t - beta[t] / (1 - ab[t]).sqrt() * eps) / (1 - beta[t]).sqrt()": "step t alone",
            "return (x_t - eps) / (1 - beta[t]).sqrt()": "all of eps|factor|share|part",
        },
        start="al, ab = 1 - beta, (1 - beta).cumprod(0)",
    ),
}
