"""`daskpar compile`: kernels compiled before the first run, e.g. while a container's image is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from daskpar.cli.lines import errors_in_one_line
from daskpar.cli.options import examples
from daskpar.cli.terminal import out

_CONV: dict[str, Any] = {"conv2d": {"channels": 16, "padding": "same"}}
_CLASSES: dict[str, Any] = {"dense": 3}
_IMAGES: list[Any] = [
    *(_CONV, "batch_norm", "relu", {"residual": [_CONV, {"group_norm": 4}, "silu"]}, {"max_pool": 2}),
    *({"conv2d": {"channels": 32, "stride": 2, "kernel": 1}}, "relu", {"avg_pool": 2}, "flatten"),
    *(
        {"dense": 128},
        "relu",
        {"dense": 128},
        "relu",
        {"dense": 64},
        "gelu",
        "layer_norm",
        {"dropout": 0.2},
        _CLASSES,
    ),
]
_SEQUENCES: list[Any] = [{"reshape": [16, 16]}, {"lstm": 64}, "rms_norm", _CLASSES]
_BLOCK: dict[str, Any] = {"repeat": {"times": 2, "layers": [{"transformer_block": 4}]}}
_TEXTS: dict[str, Any] = {
    "words": 8,
    "features": 128,
    "layers": ["learned_positions", _BLOCK, "layer_norm"],
}
_OPTIMIZERS = ("adam", {"adamw": {"weight_decay": 0.1}}, {"sgd": {"momentum": 0.9}}, "sgd", "rmsprop")
_CLIP = {"norm": 1.0}


@click.command(epilog=examples("daskpar compile"))
def compile() -> None:
    """Compile the kernels of all kinds of layers and optimizers.

    A run compiles the kernels that it needs, once on a machine, in some seconds. This command does it for
    all, e.g. in a container's image: NUMBA_CACHE_DIR is the folder for them, NUMBA_CPU_NAME the oldest
    processor that runs them.
    """
    with errors_in_one_line():
        count = _train_all()
        out.print(f"kernels compiled, in {count} small trainings")


def _train_all() -> int:
    import numpy as np

    numbers = np.random.default_rng(0)
    x, y = numbers.random((96, 16, 16, 1), np.float32), numbers.integers(0, 3, 96)
    texts = numbers.integers(0, 8, (96, 64))
    models: list[tuple[list[Any], Any, Any]] = [
        (_IMAGES, x, y),
        (_SEQUENCES, x, y),
        ([{"tied_embedding": _TEXTS}], texts, texts),
        ([{"tied_embedding": _TEXTS}], texts.astype(np.uint8), texts),
    ]
    for model, examples_of_it, targets in models:
        _train(model, examples_of_it, targets, "adam")
    for optimizer in _OPTIMIZERS:
        _train(_IMAGES, x, y, optimizer)
    return len(models) + len(_OPTIMIZERS)


def _train(model: Sequence[Any], x: Any, y: Any, optimizer: Any) -> None:
    from daskpar import Layout, Trainer

    for layout in (Layout(), Layout(data=2)):
        Trainer(
            list(model),
            optimizer=optimizer,
            batch=64,
            steps=2,
            layout=layout,
            clip=_CLIP,
            client="threaded-scheduler",
            verbose=0,
        ).fit(x, y, validation=0.25)
