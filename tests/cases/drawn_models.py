"""Models drawn from the registry of layers, that fit together from an example's shape on."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from daskpar import InputError
from daskpar.nn import Layer, Sequential
from daskpar.nn.registry import layer

WORDS = 7
SHAPES = [(1,), (3,), (8,), (1, 1), (4, 2), (1, 4), (5, 3), (1, 1, 1), (4, 4, 1), (5, 6, 2), (1, 3, 4)]
SOME = (True, False)
SIZES = (1, 2, 3, (1, 2), (3, 1), (2, 3))
EDGES = (0, 1, 2, (0, 1), (2, 0), (1, 1))
PADDINGS = ("valid", "same", *EDGES)
CONVOLUTION = {"channels": (1, 2, 3, 4, 16), "bias": SOME}
RECURRENT = {"units": (1, 2, 3), "sequences": SOME, "bias": SOME, "reverse": SOME}
ATTENTION = {"heads": (1, 2), "causal": SOME, "rotary": SOME, "dropout": (0.0, 0.2)}
POOL = {"size": SIZES, "stride": (None, *SIZES), "padding": PADDINGS}
WIDE = {"words": (WORDS,), "features": (1, 2, 4), "padding": (None, 0)}

ANYWHERE: dict[str, dict[str, Any]] = {
    **{kind: {} for kind in ("tanh", "sigmoid", "gelu", "silu", "flatten", "layer_norm", "rms_norm")},
    "dropout": {"rate": (0.0, 0.3)},
    "reshape": {"shape": ((-1,), (1, -1), (-1, 1), (2, -1), (1, -1, 1), (1, 1, -1), (2, 2, -1))},
    "batch_norm": {"momentum": (0.0, 0.9), "scale": SOME, "shift": SOME, "sync": (True,)},
    "group_norm": {"groups": (1, 2)},
    "feed_forward": {"expansion": (1, 2), "activation": ("gelu", "relu", "silu")},
    "normalise": {"mean": (0.0, 0.5), "deviation": (1, 2.0)},
    "residual": {"layers": Layer, "shortcut": (), "remat": SOME},
    "sequential": {"layers": Layer, "remat": SOME},
    "repeat": {"times": (1, 2), "layers": Layer},
}
BLURRED = {"spatial_dropout": {"rate": (0.0, 0.3)}, "global_avg_pool": {}, "max_pool": POOL, "avg_pool": POOL}
SEQUENCES: dict[str, dict[str, Any]] = {
    **BLURRED,
    "conv1d": {
        "kernel": (1, 2, 3),
        "stride": (1, 2),
        "padding": ("valid", "same", "causal", 0, 1, 2),
        "dilation": (1, 2),
        "groups": (1, 2),
        **CONVOLUTION,
    },
    "simple_rnn": {"activation": ("tanh", "relu"), **RECURRENT},
    "lstm": RECURRENT,
    "gru": RECURRENT,
    "masking": {},
    "learned_positions": {},
    "multi_head_attention": {"bias": SOME, **ATTENTION},
    "transformer_block": {
        "expansion": (1, 2),
        "remat": SOME,
        "norm": ("layer_norm", "rms_norm"),
        **ATTENTION,
    },
}
TURNING = {"kernel": SIZES, "stride": SIZES, "padding": PADDINGS, "dilation": (1, 2), **CONVOLUTION}
IMAGES: dict[str, dict[str, Any]] = {
    **BLURRED,
    "conv2d": {"groups": (1, 2), **TURNING},
    "conv_transpose2d": TURNING,
    "pad": {"rows": EDGES, "columns": EDGES},
    "crop": {"rows": EDGES, "columns": EDGES},
    "random_flip": {"horizontal": SOME, "vertical": SOME},
    "random_shift": {"pixels": (1, 2)},
    "random_crop": {"rows": (1, 2, 3, 4), "columns": (1, 2, 3, 4), "padding": (0, 1)},
    "cutout": {"size": (1, 2)},
}
TOKENS: dict[str, dict[str, Any]] = {"embedding": WIDE, "tied_embedding": {"layers": Layer, **WIDE}}
# of categories in the last columns of the data themselves: rounded, they are the same under every layout
TABLES = {"embed_columns": {"features": (None, 1, 2), "categories": ((2,), (3,), (2, 3))}}
# rectifiers, and what is fused with them, come more often than others
RELU: dict[str, dict[str, Any]] = {"relu": {}}
DENSE = {"dense": {"units": (1, 2, 3, 4), "bias": SOME}}
BY_AXES = {
    1: ([DENSE, RELU] * 2, ANYWHERE),
    2: ([RELU, {"conv1d": SEQUENCES["conv1d"]}, DENSE], ANYWHERE | DENSE | SEQUENCES),
    3: ([RELU, {"conv2d": IMAGES["conv2d"]}, {"max_pool": POOL}], ANYWHERE | IMAGES),
}
KINDS = {*RELU, *DENSE, *ANYWHERE, *SEQUENCES, *IMAGES, *TOKENS, *TABLES}


def drawn_model(rng: Random) -> tuple[Sequential, tuple[int, ...]]:
    """A model with parameters, and the shape of an example."""
    shape = rng.choice(SHAPES)
    layers: list[Layer] = []
    inside = shape
    if rng.random() < 0.2:
        shape = inside = shape[:2]
        tokens = _entry(rng, rng.choice([{kind: TOKENS[kind]} for kind in TOKENS]), (*shape, 4), 1)
        layers, inside = _with(layers, tokens, shape, shape)
    elif len(shape) == 1 and rng.random() < 0.3:
        layers, inside = _with(layers, _entry(rng, TABLES, shape, 1), shape, shape)
    layers += _layers(rng, inside, rng.randint(1, 8), 2)
    model = Sequential(tuple(layers))
    if rng.random() < 0.3 or not any(model.init(np.random.default_rng(0), shape)[0].values()):
        model = Sequential((*layers, layer("flatten"), layer({"dense": rng.randint(1, 4)})))
    return model, shape


def _layers(rng: Random, shape: tuple[int, ...], count: int, deep: int) -> list[Layer]:
    """Layers that take examples of a shape, at least one; what does not fit is left out."""
    layers: list[Layer] = []
    before = shape
    for _ in range(count):
        often, kinds = BY_AXES.get(len(shape), ([RELU], ANYWHERE))
        block = rng.choice(often) if rng.random() < 0.5 else {(kind := rng.choice([*kinds])): kinds[kind]}
        layers, shape = _with(layers, _entry(rng, block, shape, deep), before, shape)
    return layers or [layer("tanh")]


def _with(
    layers: list[Layer], entry: Any, before: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[list[Layer], tuple[int, ...]]:
    """The layers with one more, and their output's shape; without it where it does not fit, or is large."""
    try:
        longer = [*layers, layer(entry)]
        after = Sequential(tuple(longer)).init(np.random.default_rng(0), before)[1]
    except InputError:
        return layers, shape
    return (longer, after) if np.prod(after, dtype=int) < 400 else (layers, shape)


def _entry(rng: Random, block: dict[str, dict[str, Any]], shape: tuple[int, ...], deep: int) -> Any:
    ((kind, arguments),) = block.items()
    if "layers" in arguments and not deep:
        return "relu"
    values = {
        name: rng.choice(options)
        for name, options in arguments.items()
        if isinstance(options, tuple) and options
    }
    if "layers" in arguments:
        inner = (*shape[:-1], values["features"]) if "features" in values else shape
        values["layers"] = _layers(rng, inner, rng.randint(1, 3), deep - 1)
        if kind == "residual" and rng.random() < 0.3:
            values["shortcut"] = _layers(rng, inner, rng.randint(1, 2), 0)
    return {kind: values}
