"""Planted answers to the exercises of notebook 05."""

from . import Planted

PLANTED = {
    "score": Planted(
        right=(
            "-eps * (1 - a) ** -0.5",
            "-(eps / torch.sqrt(1 - a))",
            "torch.neg(eps).div(torch.sqrt(1.0 - a))",
            "s = torch.as_tensor((1 - alpha_bar[t]) ** 0.5).expand(len(eps)); "
            "return torch.stack([-e / v for e, v in zip(eps, s)])",
        ),
        wrong={
            "eps / (1 - a).sqrt()": "sign",
            "-eps / (1 - a)": "std",
            "-eps * (1 - a).sqrt()": "multiply",
            "-eps / a.sqrt()": "signal",
            "-eps": "length",
            "-eps / (1 - a.sqrt())": "squares|root",
            "-eps / (1 - alpha_bar[t]).sqrt()": "reshape",
            "b = alpha_bar[t - 1].reshape(-1, *[1] * (eps.ndim - 1)); return -eps / (1 - b).sqrt()": "early|row|t - 1",
            "-(1 - a).sqrt() / eps": "upside down",
            "-eps / (1 - a).sqrt().sqrt()": "root too many|root",
            "-eps / (1 + a).sqrt()": "sign",
        },
        start="a = alpha_bar[t].reshape(-1, *[1] * (eps.ndim - 1))",
    ),
    "sde_step": Planted(
        right=(
            "x + (-0.5 * T * beta[k] * x) * dt + torch.sqrt(T * beta[k]) * math.sqrt(dt) * z",
            "x * (1 - rate * dt / 2) + (rate * dt) ** 0.5 * z",
            "drift, g = -rate / 2 * x, rate ** 0.5; return x + drift * dt + g * dt ** 0.5 * z",
            "b = beta[k] * (beta.shape[0] - 1) * dt; return x - b * x / 2 + torch.sqrt(b) * z",
        ),
        wrong={
            "x - 0.5 * beta[k] * x * dt + (beta[k] * dt).sqrt() * z": "rate|factor T",
            "x - 0.5 * rate * x * dt + rate.sqrt() * dt * z": "variance|dt",
            "x - 0.5 * rate * x * dt + rate.sqrt() * z": "dt",
            "x - rate * x * dt + (rate * dt).sqrt() * z": "twice|half",
            "x + 0.5 * rate * x * dt + (rate * dt).sqrt() * z": "away|sign",
            "x - 0.5 * rate * x * dt": "noise",
            "x + (rate * dt).sqrt() * z": "drift",
            "-0.5 * rate * x * dt + (rate * dt).sqrt() * z": "x|missing|increment",
            "x - 0.5 * rate * dt + (rate * dt).sqrt() * z": "x",
            "r = len(beta) * beta[k]; return x - 0.5 * r * x * dt + (r * dt).sqrt() * z": "T \\+ 1 rows",
            "r = T * beta[k - 1]; return x - 0.5 * r * x * dt + (r * dt).sqrt() * z": "early|row",
            "x - 0.5 * rate * x * dt + rate * dt * z": "std|root",
            "x - 0.5 * rate * x + (rate * dt).sqrt() * z": "dt",
            "x - 0.5 * rate * x * dt - (rate * dt).sqrt() * z": "sign",
            "x - 0.5 * rate.sqrt() * x * dt + (rate * dt).sqrt() * z": "root",
            "x - 0.5 * rate * x * dt + 0.5 * (rate * dt).sqrt() * z": "half|factor|number",
        },
        start="T = len(beta) - 1; rate = T * beta[k]",
    ),
    "reverse_drift": Planted(
        right=(
            "x * f - score * g2",
            "torch.mul(f, x).sub(g2 * score)",
            "g = g2 ** 0.5; return f * x - g ** 2 * score",
            "forward = f * x; correction = -g2 * score; return forward + correction",
        ),
        wrong={
            "f * x - 0.5 * g2 * score": "ODE|half",
            "f * x + g2 * score": "sign",
            "-f * x + g2 * score": "time",
            "-f * x - g2 * score": "sign of f",
            "f - g2 * score": "f times x|number",
            "f * x": "score",
            "-g2 * score": "drift f x|forward drift",
            "f * x - g2.sqrt() * score": "root",
            "f * x - g2 ** 2 * score": "square",
            "f * score - g2 * x": "exchanged",
            "f * x - score": "g2|factor",
            "f * (x - g2 * score)": "brackets",
            "g2 * x - f * score": "exchanged",
            "-f * x + 0.5 * g2 * score": "time|half|ODE",
        },
    ),
}
