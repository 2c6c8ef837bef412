"""The networks of the works in PyTorch, in its fastest memory layout, with our initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pipelines.works import Work


def build(work: Work, weights: dict[str, np.ndarray], compiled: bool) -> tuple[Any, Any]:
    """Return the network and the optimizer of a work; with `compiled`, through torch.compile."""
    named = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    tokens = work.model.tokens
    net = GPT(named) if tokens else layers(work, named)
    if not tokens:
        net = net.to(memory_format=torch.channels_last)  # the faster one for convolutions on a CPU
    ((kind, lr),) = work.optimizer.items()
    if kind == "sgd":
        optimizer: Any = torch.optim.SGD(net.parameters(), lr=lr)
    else:
        optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.0, fused=True)
    return (torch.compile(net) if compiled else net), optimizer


def layers(work: Work, named: dict[str, Any]) -> Any:
    """Return a Sequential of the layers of a work."""
    out: list[Any] = []
    image: tuple[int, ...] = ()
    for i, layer in enumerate(work.model.layers):
        weight, bias = named.get(f"{i}.weight"), named.get(f"{i}.bias")
        if layer.kind == "dense":
            if image:  # our rows of pixels are (height, width, channels), theirs (channels, height, width)
                height, width, channels = image
                weight = weight.reshape(height, width, channels, -1).permute(2, 0, 1, 3).flatten(0, 2)
                image = ()
            out.append(loaded(nn.Linear(*weight.shape), weight.T, bias))
        elif layer.kind == "conv2d":
            out.append(
                loaded(nn.Conv2d(weight.shape[2], weight.shape[3], 3), weight.permute(3, 2, 0, 1), bias)
            )
        elif layer.kind == "flatten":
            image = shape_before(work, i)
            out.append(nn.Flatten())
        else:
            out.append({"relu": nn.ReLU(), "max_pool": nn.MaxPool2d(2)}[layer.kind])
    return nn.Sequential(*out)


def shape_before(work: Work, index: int) -> tuple[int, ...]:
    """Return the shape of an example where it reaches a layer."""
    shape = work.data(1)[0].shape[1:]
    for layer in work.model.layers[:index]:
        shape = layer.init(np.random.default_rng(0), shape)[1]
    return shape


def loaded(module: Any, weight: Any, bias: Any) -> Any:
    """Copy a weight and a bias into a module; return the module."""
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None:
            module.bias.copy_(bias)
    return module


class Block(nn.Module):
    """A transformer block with the parameters under `prefix`."""

    def __init__(self, named: dict[str, Any], prefix: str, heads: int = 4):
        super().__init__()
        own = {name.removeprefix(prefix): v for name, v in named.items() if name.startswith(prefix)}
        wide = own["0.0.scale"].shape[0]
        self.heads = heads
        self.first = loaded(nn.LayerNorm(wide), own["0.0.scale"], own["0.0.shift"])
        self.second = loaded(nn.LayerNorm(wide), own["1.0.scale"], own["1.0.shift"])
        qkv = own["0.1.qkv"].flatten(1)
        self.qkv = loaded(nn.Linear(*qkv.shape), qkv.T, own["0.1.qkv_bias"].flatten())
        self.out = loaded(nn.Linear(wide, wide), own["0.1.out"].T, own["0.1.out_bias"])
        self.up = loaded(nn.Linear(*own["1.1.up"].shape), own["1.1.up"].T, own["1.1.up_bias"])
        self.down = loaded(nn.Linear(*own["1.1.down"].shape), own["1.1.down"].T, own["1.1.down_bias"])

    def forward(self, x: Any) -> Any:
        rows, positions, wide = x.shape
        z = self.qkv(self.first(x)).view(rows, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(z[0], z[1], z[2], is_causal=True)
        x = x + self.out(h.transpose(1, 2).reshape(rows, positions, wide))
        return x + self.down(functional.gelu(self.up(self.second(x)), approximate="tanh"))


class GPT(nn.Module):
    """The language model, with output weights tied to the embedding."""

    def __init__(self, named: dict[str, Any]):
        super().__init__()
        self.table = nn.Parameter(named["0.weight"].clone())
        self.positions = nn.Parameter(named["0.0.weight"].clone())
        self.blocks = nn.Sequential(*(Block(named, f"0.{i}.") for i in range(1, 5)))
        self.norm = loaded(nn.LayerNorm(128), named["0.5.scale"], named["0.5.shift"])

    def forward(self, x: Any) -> Any:
        h = functional.embedding(x, self.table) + self.positions
        return functional.linear(self.norm(self.blocks(h)), self.table)
