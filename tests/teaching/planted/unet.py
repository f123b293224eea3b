"""Planted answers to the exercises of notebook 06."""

from . import Planted

PLANTED = {
    "time_features": Planted(
        right=(
            "w = torch.exp(-math.log(10_000) * i / (dim // 2)); a = t[:, None] * w[None]; "
            "return torch.cat((torch.cos(a), torch.sin(a)), -1)",
            "w = 1 / 10_000 ** (2 * i / dim); a = torch.outer(t, w); return torch.hstack([a.cos(), a.sin()])",
            "w = torch.exp(-math.log(10000) * torch.arange(dim // 2) / (dim // 2)); a = t.view(-1, 1) * w; "
            "return torch.cat([a.cos(), a.sin()], dim=1)",
            "a = torch.einsum('b,i->bi', t, 10_000 ** (-i / half)); return torch.cat([a.cos(), a.sin()], dim=1)",
        ),
        wrong={
            "a = t[:, None] * 10_000 ** (-i / half); return torch.cat([a.sin(), a.cos()], dim=1)": "sines first",
            "a = t[:, None] * 10_000 ** (-i / half); return torch.cat([a.cos(), a.sin()], dim=0)": "below|axis",
            "a = t[:, None] * 10_000 ** (-i / half); return torch.stack([a.cos(), a.sin()], 2).flatten(1)": "turns",
            "a = t[:, None] * 10_000 ** (i / half); return torch.cat([a.cos(), a.sin()], dim=1)": "minus sign",
            "a = t[:, None] * 10_000 ** (-i / dim); return torch.cat([a.cos(), a.sin()], dim=1)": "dim/2",
            "a = t[:, None] * 10_000 ** (-i / (half - 1)); return torch.cat([a.cos(), a.sin()], dim=1)": "one less",
            "a = t[:, None] * 10_000 ** (-(i + 1) / half); return torch.cat([a.cos(), a.sin()], dim=1)": "starts at 1",
            "a = t[:, None] * 1000 ** (-i / half); return torch.cat([a.cos(), a.sin()], dim=1)": "number|10,000",
            "a = t[:, None] * 10_000 ** (-2 * i / half); return torch.cat([a.cos(), a.sin()], dim=1)": "dim/2",
            "a = t[:, None] * 10_000 ** (-i / half); return torch.cat([a.cos(), a.cos()], dim=1)": "cos",
            "a = t[:, None] * 10_000 ** (-i / half); return a": "cosines|cos|angles",
            "a = t[:, None] * 10_000 ** (-i / half); return a.cos()": "sines|half",
            "a = t[:, None] / 1000 * 10_000 ** (-i / half); return torch.cat([a.cos(), a.sin()], dim=1)": "shrink t",
            "a = t[:, None] * torch.exp(-i / half); return torch.cat([a.cos(), a.sin()], dim=1)": "10,000",
        },
        start="half = dim // 2; i = torch.arange(half, dtype=t.dtype)",
    ),
    "resblock_parameters": Planted(
        right=(
            "conv1 = c_out * (9 * c_in + 1); conv2 = c_out * (9 * c_out + 1); time = 2 * c_out * (time_dim + 1); "
            "skip = c_out * (c_in + 1) * (c_in != c_out); return 2 * (c_in + c_out) + conv1 + conv2 + time + skip",
            """
            total = 2 * c_in + 3 * 3 * c_in * c_out + c_out
            total += (time_dim + 1) * 2 * c_out
            total += 2 * c_out + 3 * 3 * c_out * c_out + c_out
            if c_in != c_out:
                total += c_in * c_out + c_out
            return total
            """,
            """
            from torch import nn
            parts = [nn.GroupNorm(1, c_in), nn.Conv2d(c_in, c_out, 3), nn.Linear(time_dim, 2 * c_out)]
            parts += [nn.GroupNorm(1, c_out), nn.Conv2d(c_out, c_out, 3)]
            if c_in != c_out:
                parts.append(nn.Conv2d(c_in, c_out, 1))
            return sum(p.numel() for part in parts for p in part.parameters())
            """,
            "linear = lambda i, o: i * o + o; return 2 * c_in + 2 * c_out + linear(9 * c_in, c_out) "
            "+ linear(9 * c_out, c_out) + linear(time_dim, 2 * c_out) + (linear(c_in, c_out) if c_in - c_out else 0)",
        ),
        wrong={
            "convs + time + skip": "norms",
            "norms + convs + skip": "time",
            "norms + convs + time": "differ|skip|1x1",
            "norms + convs + time + c_in * c_out + c_out": "equal",
            "norms + 9 * c_in * c_out + 9 * c_out * c_out + time + skip": "biases",
            "norms + convs + time_dim * c_out + c_out + skip": "two|scale and a shift",
            "c_in + c_out + convs + time + skip": "two",
            "norms + convs + time_dim * 2 * c_out + skip": "bias",
            "4 * c_out + convs + time + skip": "first",
            "norms + 2 * (9 * c_in * c_out + c_out) + time + skip": "second",
            "norms + 9 * c_in * c_out + c_out + time + skip": "one 3x3|two",
            "norms + 3 * c_in * c_out + c_out + 3 * c_out * c_out + c_out + time + skip": "kernel",
            "norms + convs + time + (c_in * c_out if c_in != c_out else 0)": "bias|term|missing",
            "norms + convs + time + (9 * c_in * c_out + c_out if c_in != c_out else 0)": "3x3",
            "norms + convs + time + (c_in * c_out + c_out if c_in == c_out else 0)": "equal|wrong way round",
        },
        start="norms = 2 * c_in + 2 * c_out; convs = 9 * c_in * c_out + c_out + 9 * c_out * c_out + c_out; "
        "time = time_dim * 2 * c_out + 2 * c_out; skip = c_in * c_out + c_out if c_in != c_out else 0",
    ),
    "self_attention": Planted(
        right=(
            "F.scaled_dot_product_attention(q, k, v)",
            "w = torch.softmax(torch.bmm(q, k.mT) / math.sqrt(k.size(-1)), dim=2); return torch.bmm(w, v)",
            "s = torch.einsum('bnd,bld->bnl', q, k) * d ** -0.5; return torch.einsum('bnl,bld->bnd', s.softmax(2), v)",
            "e = (q @ k.transpose(1, 2) / d ** 0.5).exp(); return (e / e.sum(-1, keepdim=True)) @ v",
        ),
        wrong={
            "(q @ k.transpose(1, 2)).softmax(-1) @ v": "scale",
            "(q @ k.transpose(1, 2) / d).softmax(-1) @ v": "divide by d",
            "(q @ k.transpose(1, 2) * d ** 0.5).softmax(-1) @ v": "multiply",
            "(q @ k.transpose(1, 2) / d ** 0.5).softmax(1) @ v": "those who ask|questions|axis",
            "(q @ k.transpose(1, 2) / d ** 0.5).softmax(0) @ v": "batch|axis",
            "(q @ k.transpose(1, 2) / d ** 0.5) @ v": "raw scores",
            "(q @ k.transpose(1, 2) / d ** 0.5).softmax(-1)": "weights",
            "(q @ k.transpose(1, 2) / d ** 0.5).softmax(-1) @ k": "keys",
            "(q @ k.transpose(1, 2)).softmax(-1) @ v / d ** 0.5": "after the softmax|scale",
            "(q @ k.transpose(1, 2) / q.shape[1] ** 0.5).softmax(-1) @ v": "features",
            "(q @ k.transpose(1, 2) / d ** 0.5).sigmoid() @ v": "sigmoid|sum to 1",
            "(q @ k.transpose(1, 2) / d ** 0.5).softmax(-1) @ v + q": "outside|added|add",
            "(-q @ k.transpose(1, 2) / d ** 0.5).softmax(-1) @ v": "sign",
            "(q @ k.transpose(1, 2) / d ** 0.5).exp() @ v": "sum to 1|exp",
        },
        start="d = q.shape[-1]",
    ),
}
