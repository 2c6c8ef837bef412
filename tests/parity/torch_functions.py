"""Layers of PyTorch as functions `theirs(p, x, mask)` of our parameters and arrays.

They get our parameters, images (rows, height, width, channels) and sequences (rows, positions, features) as
tensors, and change the order of their axes themselves; so PyTorch differentiates through that as well, and
gradients come out in our layout.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
F = torch.nn.functional
torch.set_num_threads(1)


def first(x):
    """Channels first, as PyTorch has them."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def dense(p, x, mask):
    return F.linear(x, p["weight"].T, p.get("bias"))


def conv2d(pad=(0, 0, 0, 0), **how):
    """`pad`: zeros left, right, above and below."""
    return lambda p, x, mask: last(
        F.conv2d(F.pad(first(x), pad), p["weight"].permute(3, 2, 0, 1), p.get("bias"), **how)
    )


def conv1d(pad=(0, 0), **how):
    return lambda p, x, mask: last(
        F.conv1d(F.pad(first(x), pad), p["weight"].permute(2, 1, 0), p.get("bias"), **how)
    )


def transposed(crop=(0, 0), **how):
    """`crop`: rows and columns to leave away at the end."""

    def theirs(p, x, mask):
        y = F.conv_transpose2d(first(x), p["weight"].permute(3, 2, 0, 1), p.get("bias"), **how)
        return last(y[:, :, : y.shape[2] - crop[0], : y.shape[3] - crop[1]])

    return theirs


def pooled(function, pad=(0, 0), value=float("-inf"), **how):
    return lambda p, x, mask: last(function(F.pad(first(x), pad, value=value), **how))


def batch_norm(p, x, mask, training=True):
    running = p["running_mean"].detach().clone(), p["running_variance"].detach().clone()
    return last(F.batch_norm(first(x), *running, p["scale"], p["shift"], training=training))


def recurrent(run, sequences=False, reverse=False):
    """A recurrent function of PyTorch; where `lengths` are given, on packed sequences."""

    def theirs(p, x, mask):
        units = p["recurrent"].shape[0]
        weights = [p["weight"].T, p["recurrent"].T]
        if "bias" in p:
            after = torch.zeros_like(p["bias"])
            if "candidate_bias" in p:
                after = torch.cat([after[: 2 * units], p["candidate_bias"]])
            weights += [p["bias"], after]
        zero = torch.zeros(1, x.shape[0], units)
        start = (zero, zero) if run is torch.lstm else zero
        how = ("bias" in p, 1, 0.0, True, False)
        if mask is None:
            states = run(x.flip(1) if reverse else x, start, weights, *how, True)[0]
            return (states.flip(1) if reverse else states) if sequences else states[:, -1]
        lengths = mask.sum(dim=1)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, end, *_ = run(packed.data, packed.batch_sizes, start, weights, *how)
        if not sequences:
            return end[0][packed.unsorted_indices]
        padded = packed._replace(data=states)
        return torch.nn.utils.rnn.pad_packed_sequence(padded, batch_first=True, total_length=x.shape[1])[0]

    return theirs


def attention(heads, causal=False):
    def theirs(p, x, mask):
        rows, positions, features = x.shape
        z = F.linear(
            x, p["qkv"].reshape(features, -1).T, None if "qkv_bias" not in p else p["qkv_bias"].flatten()
        )
        q, k, v = z.reshape(rows, positions, 3, heads, -1).permute(2, 0, 3, 1, 4)
        seen = None if mask is None else mask[:, None, None, :].expand(rows, heads, positions, positions)
        if causal and seen is not None:
            seen, causal_now = seen & torch.ones(positions, positions, dtype=torch.bool).tril(), False
        else:
            causal_now = causal
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=causal_now)
        return F.linear(y.transpose(1, 2).reshape(x.shape), p["out"].T, p.get("out_bias"))

    return theirs


def feed_forward(p, x, mask):
    inner = F.gelu(F.linear(x, p["up"].T, p["up_bias"]), approximate="tanh")
    return F.linear(inner, p["down"].T, p["down_bias"])


def transformer_block(heads, causal):
    """PyTorch's encoder layer, norms first and without dropout."""

    def theirs(p, x, mask):
        (norm1, inner), (norm2, wide) = ((p[part]["0"], p[part]["1"]) for part in ("0", "1"))
        features = x.shape[-1]
        module = torch.nn.TransformerEncoderLayer(
            features,
            heads,
            wide["up"].shape[1],
            dropout=0.0,
            activation=lambda h: F.gelu(h, approximate="tanh"),
            batch_first=True,
            norm_first=True,
        )
        given = {
            "self_attn.in_proj_weight": inner["qkv"].reshape(features, -1).T,
            "self_attn.in_proj_bias": inner["qkv_bias"].flatten(),
            "self_attn.out_proj.weight": inner["out"].T,
            "self_attn.out_proj.bias": inner["out_bias"],
            "norm1.weight": norm1["scale"],
            "norm1.bias": norm1["shift"],
            "norm2.weight": norm2["scale"],
            "norm2.bias": norm2["shift"],
            "linear1.weight": wide["up"].T,
            "linear1.bias": wide["up_bias"],
            "linear2.weight": wide["down"].T,
            "linear2.bias": wide["down_bias"],
        }
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
        hidden = None if mask is None else ~mask
        return torch.func.functional_call(
            module, given, (x,), {"src_mask": later, "src_key_padding_mask": hidden}
        )

    return theirs


def tied(p, x, mask):
    h = F.embedding(x, p["weight"])
    return F.linear(h + torch.tanh(dense(p["0"]["0"], h, None)), p["weight"])


def plain(function):
    """A function of x alone."""
    return lambda p, x, mask: function(x)
