"""Planted answers to the exercises of notebook 00."""

from . import Planted

PLANTED = {
    "lecture_index": Planted(
        right=("-1 + t", "int(t) - 1", "range(1001)[t - 1]", "row = t; row -= 1; return row"),
        wrong={
            "t": "at our own t",
            "t + 1": "wrong way",
            "t - 2": "too early|smaller by 1|wrong number|numbers? in your formula",
            "1000 - t": "backwards",
            "1001 - t": "backwards",
            "999 - t": "backwards",
            "1 - t": "wrong way round|sign|order",
            "-t": "negative",
        },
    ),
    "noise_std": Planted(
        right=(
            "torch.sqrt(1 - alpha_bar_t)",
            "(1 - alpha_bar_t) ** 0.5",
            "torch.pow(1.0 - alpha_bar_t, 1 / 2)",
            "variance = 1 - alpha_bar_t; return variance.sqrt()",
        ),
        wrong={
            "1 - alpha_bar_t": "variance",
            "alpha_bar_t.sqrt()": "signal",
            "1 - torch.sqrt(alpha_bar_t)": "subtract",
            "alpha_bar_t": "signal",
            "torch.sqrt(1 - alpha_bar_t ** 2)": "square",
            "torch.sqrt(1 + alpha_bar_t)": "sign|add",
            "1 / torch.sqrt(1 - alpha_bar_t)": "upside down|divided by",
            "torch.sqrt((1 - alpha_bar_t) / alpha_bar_t)": "ratio|divide|signal",
            "(1 - alpha_bar_t.sqrt()).sqrt()": "root",
        },
    ),
}
