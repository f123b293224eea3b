"""Planted answers to the exercises of notebook 02."""

from . import Planted

PLANTED = {
    "snr_db": Planted(
        right=(
            "10 * torch.log10(alpha_bar / (1 - alpha_bar))",
            "10 * (alpha_bar.log10() - (1 - alpha_bar).log10())",
            "20 * torch.log10(alpha_bar.sqrt() / (1 - alpha_bar).sqrt())",
            "10 * torch.log(alpha_bar / (1 - alpha_bar)) / math.log(10)",
            "10 * torch.logit(alpha_bar) / math.log(10)",
        ),
        wrong={
            "20 * torch.log10(alpha_bar / (1 - alpha_bar))": "20|amplitude",
            "10 * torch.log(alpha_bar / (1 - alpha_bar))": "natural",
            "torch.log10(alpha_bar / (1 - alpha_bar))": "bels",
            "10 * torch.log10((1 - alpha_bar) / alpha_bar)": "upside down|grows",
            "-10 * torch.log10(alpha_bar / (1 - alpha_bar))": "upside down|grows|sign",
            "10 * torch.log10(alpha_bar)": "signal alone",
            "alpha_bar / (1 - alpha_bar)": "decibels",
            "10 * torch.log10(alpha_bar.sqrt() / (1 - alpha_bar).sqrt())": "amplitudes",
            "10 * torch.log2(alpha_bar / (1 - alpha_bar))": "log2|powers of ten|two",
            "10 * torch.log10(alpha_bar / 1 - alpha_bar)": "brackets|nan",
            "10 * torch.log10(1 - alpha_bar)": "noise",
            "10 * torch.log10(alpha_bar) / torch.log10(1 - alpha_bar)": "divide|quotient|ratio|logarithm",
        },
    ),
    "cosine_alpha_bar": Planted(
        right=(
            "f = lambda t: math.cos((t / T + 0.008) / (1 + 0.008) * math.pi / 2) ** 2; "
            "return torch.tensor([f(t) / f(0) for t in range(T + 1)], dtype=torch.float64)",
            "s = 0.008; u = torch.linspace(0, 1, T + 1, dtype=torch.float64); "
            "f = torch.cos((u + s) / (1 + s) * torch.pi / 2).square(); return f / f[0]",
            "u = torch.arange(T + 1).double() / T; a = (u + 0.008) / 1.008 * math.pi; "
            "f = (1 + a.cos()) / 2; return f / f[0]",
            "u = torch.arange(T + 1, dtype=torch.float64) / T; a = (u + 0.008) / 1.008 * math.pi / 2; "
            "return (a.cos() / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2",
        ),
        wrong={
            "t = torch.arange(T + 1, dtype=torch.float64); "
            "return torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2": "f\\(t\\)|row 0",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2); "
            "return f / f[0]": "square",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos(t / T * math.pi / 2) ** 2; "
            "return f / f[0]": "left out s",
            "t = torch.arange(T, dtype=torch.float64); f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2; "
            "return f / f[0]": "T - 1",
            "t = torch.arange(1, T + 1, dtype=torch.float64); "
            "f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2; return f / f[0]": "T \\+ 1 rows|t = 1|row 0",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos((t / T + 0.008) / 1.008 * math.pi) ** 2; "
            "return f / f[0]": "angle",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.sin((t / T + 0.008) / 1.008 * math.pi / 2) ** 2; "
            "return f / f[0]": "sin",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos((t / T + 0.008) * math.pi / 2) ** 2; "
            "return f / f[0]": "divide",
            "t = torch.arange(T + 1); f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2; "
            "return f / f[0]": "float64",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos((t / T + 0.08) / 1.08 * math.pi / 2) ** 2; "
            "return f / f[0]": "number|0.008|\\bs\\b",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos(t / T + 0.008 / 1.008 * math.pi / 2) ** 2; "
            "return f / f[0]": "brackets",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2; "
            "return f / f[-1]": "row|early|first",
            "t = torch.arange(T + 1, dtype=torch.float64); f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2; "
            "return f / f.max() * f[0]": "f\\(t\\)|row 0",
        },
    ),
    "zero_terminal": Planted(
        right=(
            """
            s = torch.sqrt(alpha_bar)
            s1, sT = s[1].clone(), s[-1].clone()
            out = (s - sT) * (s1 / (s1 - sT))
            out[0] = 1.0
            return out.square()
            """,
            "s = alpha_bar[1:].sqrt(); s = (s - s[-1]) / (s[0] - s[-1]) * s[0]; "
            "return torch.cat([alpha_bar[:1], s ** 2])",
            "s = alpha_bar ** 0.5; out = s - s[-1]; out = out / out[1] * s[1]; "
            "return torch.where(torch.arange(len(s)) == 0, alpha_bar, out ** 2)",
            "s = alpha_bar.sqrt(); k = s[1] ** 2 / (s[1] - s[-1]) ** 2; out = k * (s - s[-1]) ** 2; "
            "out[0] = 1; return out",
        ),
        wrong={
            "a = alpha_bar; out = (a - a[-1]) * a[1] / (a[1] - a[-1]); out[0] = 1; return out": "variance",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) * s[1] / (s[1] - s[-1]); out[0] = 1; return out": "signal",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) ** 2; out[0] = 1; return out": "scale",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) * s[1] / (s[1] - s[-1]); return out ** 2": "row 0",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) * s[0] / (s[0] - s[-1]); return out ** 2": "row 0 stays|t = 1",
            "out = alpha_bar.clone(); out[-1] = 0; return out": "last row",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) / (s[1] - s[-1]); out[0] = 1; return out ** 2": "factor",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) * (s[1] - s[-1]) / s[1]; out[0] = 1; return out ** 2": "upside",
            "s = alpha_bar.sqrt(); out = s * s[1] / (s[1] - s[-1]); out[0] = 1; return out ** 2": "shift|subtract|term",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) * s[1] / (s[1] - s[-1]); out[0] = 1; "
            "return torch.sqrt(out)": "root|square",
            "s = alpha_bar.sqrt(); out = (s - s[-1]) * s[1] / (s[1] + s[-1]); out[0] = 1; return out ** 2": "sign",
            "s = alpha_bar.sqrt(); out = (s + s[-1]) * s[1] / (s[1] - s[-1]); out[0] = 1; return out ** 2": "sign",
        },
    ),
}
