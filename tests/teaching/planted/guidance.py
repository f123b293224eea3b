"""Planted answers to the exercises of notebook 12."""

from . import Planted

PLANTED = {
    "guided": Planted(
        right=(
            "(1 - v) * eps_uncond + v * eps_cond",
            "v * eps_cond - (v - 1) * eps_uncond",
            "torch.lerp(eps_uncond, eps_cond, v)",
            """
            w = torch.as_tensor(w, dtype=eps_cond.dtype)
            while 0 < w.dim() < eps_cond.dim():
                w = w[..., None]
            return eps_uncond + w * (eps_cond - eps_uncond)
            """,
        ),
        wrong={
            "eps_uncond + w * (eps_cond - eps_uncond)": "reshape",
            "eps_cond + v * (eps_cond - eps_uncond)": "w = 0",
            "(1 + v) * eps_cond - v * eps_uncond": "w = 0",
            "eps_uncond + v * (eps_uncond - eps_cond)": "sign|away",
            "eps_cond + v * (eps_uncond - eps_cond)": "places",
            "eps_uncond + v * eps_cond": "as a whole",
            "v * (eps_cond - eps_uncond)": "start",
            "eps_uncond + v * eps_cond - eps_uncond": "brackets",
            "eps_uncond * v + (1 - v) * eps_cond": "places",
            "(eps_uncond + eps_cond) / 2": "mean",
            "v * eps_uncond + v * eps_cond": "1 minus|w\\b.*both|sum to 1|missing",
            "(1 - v) * eps_uncond - v * eps_cond": "sign",
            "eps_uncond - v * (eps_cond - eps_uncond)": "sign",
            "eps_uncond + v ** 2 * (eps_cond - eps_uncond)": "square",
        },
        start="v = w.reshape(-1, *[1] * (eps_cond.ndim - 1)) if torch.is_tensor(w) else torch.tensor(w).double()",
    ),
    "guided_paper": Planted(
        right=(
            "eps_cond + w * (eps_cond - eps_uncond)",
            "eps_uncond + (w + 1) * (eps_cond - eps_uncond)",
            "eps_cond * (w + 1) + eps_uncond * -w",
            "torch.lerp(eps_uncond, eps_cond, 1 + w)",
        ),
        wrong={
            "eps_uncond + w * (eps_cond - eps_uncond)": "programs",
            "eps_cond - w * (eps_cond - eps_uncond)": "sign",
            "(1 + w) * eps_cond + w * eps_uncond": "sign",
            "(1 + w) * eps_uncond - w * eps_cond": "places",
            "(1 - w) * eps_cond + w * eps_uncond": "signs",
            "(1 + w) * eps_cond": "nothing is taken away",
            "(1 + w) * eps_cond - eps_uncond": "all of eps_uncond",
            "1 + w * eps_cond - w * eps_uncond": "brackets",
            "w * eps_cond - (1 + w) * eps_uncond": "sum to|1 \\+ w",
            "w * eps_cond - (w - 1) * eps_uncond": "programs",
            "eps_cond + w * eps_cond": "nothing is taken away",
            "eps_uncond + (w - 1) * (eps_cond - eps_uncond)": "direction",
            "eps_cond + w * (eps_uncond - eps_cond)": "sign",
        },
    ),
    "our_w": Planted(
        right=(
            "scale + (formula in {'Ho & Salimans', 'classifier on p(x|c)'})",
            """
            if formula == "Ho & Salimans" or formula == "classifier on p(x|c)":
                return 1 + scale
            return scale
            """,
            "{'diffusers': scale, 'GLIDE': scale, 'lucidrains': scale, 'Ho & Salimans': scale + 1, "
            "'classifier on p(x)': scale, 'classifier on p(x|c)': 1 + scale}[formula]",
            "return scale + 1.0 if formula.startswith('Ho') or formula.endswith('|c)') else scale * 1.0",
        ),
        wrong={
            "scale": "every scale as it is",
            "scale + 1": "every scale",
            "scale + 1 if formula == 'Ho & Salimans' else scale": "p\\(x\\|c\\)",
            "scale + 1 if formula == 'classifier on p(x|c)' else scale": "Ho & Salimans",
            "scale - 1 if formula in ('Ho & Salimans', 'classifier on p(x|c)') else scale": "direction",
            "scale + 1 if formula in ('Ho & Salimans', 'classifier on p(x)') else scale": "two classifiers",
            "scale + 1 if formula == 'Ho & Salimans' or 'classifier' in formula else scale": "alike",
            "-scale if 'classifier' in formula else scale + (formula == 'Ho & Salimans')": "minus the score|sign",
            "scale if formula in ('Ho & Salimans', 'classifier on p(x|c)') else scale + 1": "other way round",
            "2 * scale if formula in ('Ho & Salimans', 'classifier on p(x|c)') else scale": "number|twice|0",
            "scale - 1 if formula == 'Ho & Salimans' else scale": "direction",
            "1 - scale if formula in ('Ho & Salimans', 'classifier on p(x|c)') else scale": "sign|wrong way",
        },
    ),
    "off_at": Planted(
        right=(
            "u, c = 2.0, 5.0; a, b = guide(u, c, 0), guide(u, c, 1); return (c - a) / (b - a)",
            "g = lambda w: guide(torch.tensor(0.0), torch.tensor(1.0), w); return ((1 - g(0)) / (g(1) - g(0))).item()",
            "m = (guide(0.0, 1.0, 2.0) - guide(0.0, 1.0, 0.0)) / 2; return (1 - guide(0.0, 1.0, 0.0)) / m",
            "a = guide(0.0, 1.0, 0.0) - 1; b = guide(0.0, 1.0, 1.0) - 1; return a / (a - b)",
        ),
        wrong={
            "1": "programs",
            "0": "paper",
            "g0 / (g0 - g1)": "unconditional",
            "(1 - g0) / g1": "slope",
            "1 - g0": "one unit",
            "(1 - g0) * (g1 - g0)": "multiply",
            "1 / (g1 - g0)": "start",
            "(g0 - 1) / (g1 - g0)": "sign",
            "(1 - g0) / (g0 - g1)": "sign",
            "g1": "at w = 1",
            "(g1 - g0) / (1 - g0)": "upside down",
            "1 / g1": "w = 0",
            "(1 + g0) / (g1 - g0)": "sign",
            "next((w for w in (0.0, 1.0) if guide(0.0, 1.0, w) == 1.0), None)": "nothing",
            "(1 - g1) / (g1 - g0)": "w = 0|w = 1|1 too|by 1",
        },
        start="g0, g1 = guide(0.0, 1.0, 0.0), guide(0.0, 1.0, 1.0)",
    ),
    "drop_captions": Planted(
        right=(
            "torch.where((u < p_uncond)[:, None], torch.zeros_like(cond), cond)",
            "out = cond.clone(); out[u < p_uncond] = 0; return out",
            "cond.masked_fill((u < p_uncond).unsqueeze(1), 0)",
            "torch.stack([row * 0 if v < p_uncond else row for row, v in zip(cond, u)])",
            "(cond.T * (u >= p_uncond)).T",
        ),
        wrong={
            "cond * (u < p_uncond)[:, None]": "wrong way round",
            "cond * (u >= p_uncond)": "meets the words|rows",
            "torch.where((u <= p_uncond)[:, None], 0, cond)": "equal",
            "cond[u >= p_uncond]": "throw",
            "out = cond.clone(); out[u < p_uncond] = -1; return out": "0",
            "out = cond.clone(); out[u < p_uncond, 0] = 0; return out": "first word",
            "cond * (torch.rand(len(cond)) >= p_uncond)[:, None]": "use u",
            "cond[u < p_uncond] = 0; return cond": "in place",
            "cond": "nothing|every caption",
            "u >= p_uncond": "which rows",
            "cond * (u > 1 - p_uncond)[:, None]": "share|keep",
            "cond * (u[:, None] >= p_uncond) / (1 - p_uncond)": "scale|Dropout",
            "cond if u.mean() >= p_uncond else 0 * cond": "whole batch|batch|average",
            "out = cond.clone(); out[u < p_uncond] = 1; return out": "0",
        },
    ),
}
