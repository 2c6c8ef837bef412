"""Every sequence of layers that fits together trains, in every layout that takes it, or is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pytest
import reference
from drawn_models import KINDS, WORDS, drawn_model
from hypothesis import HealthCheck, currently_in_test_context, given, note, settings, strategies as st

from daskpar import InputError, Layout, Trainer
from daskpar.data import Sampler
from daskpar.nn import Layer, MeanSquaredError, ReLU, Residual, Sequential
from daskpar.nn.layers.activations import Activation
from daskpar.nn.layers.tied_embedding import TiedEmbedding
from daskpar.nn.registry import LAYERS, model as build
from daskpar.optim import SGD

ROWS, BATCH, RATE, SEED = 11, 6, 1e-2, 3
LAYOUTS = {
    "whole": Layout(),
    "lanes": Layout(data=2),
    "layers": Layout(grain="layer"),
    "lanes, layers": Layout(data=2, grain="layer"),
    "lanes, stage": Layout(data=2, grain="stage"),
    "window": Layout(data=2, grain="window"),
    "stages": Layout(stages=2),
    "stages, microbatches": Layout(data=2, stages=2, microbatches=2, recompute=True),
    "width": Layout(width=2),
    "width, layers": Layout(width=2, grain="layer"),
    "tiles": Layout(tiles=2),
    "shards": Layout(data=2, shards=2),
    "slices": Layout(),
}


def test_every_kind_of_layer_is_drawn() -> None:
    assert set(KINDS) == set(LAYERS)


@dataclass(frozen=True)
class PlainReLU(Activation):
    """max(x, 0), which no other layer knows: nothing is fused with it."""

    def forward(self, params: Any, x: Any, ctx: Any) -> tuple[Any, Any]:
        return np.maximum(x, 0), x > 0

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> tuple[Any, Any]:
        return dy * saved, {}


def unfused(block: Layer) -> Layer:
    """The same layer, with rectifiers that are not fused with others."""
    if isinstance(block, ReLU):
        return PlainReLU()
    if isinstance(block, Sequential | TiedEmbedding):
        return replace(block, layers=tuple(map(unfused, block.layers)))
    if isinstance(block, Residual):
        parts = (tuple(map(unfused, part)) for part in (block.layers, block.shortcut))
        return replace(block, **dict(zip(("layers", "shortcut"), parts, strict=True)))
    return block


def data(model: Sequential, shape: tuple[int, ...], precision: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    out = model.init(rng, shape)[1]
    targets = rng.standard_normal((ROWS, *out)).astype(precision)
    if model.tokens:
        return rng.integers(0, WORDS, (ROWS, *shape)).astype(np.int32), targets
    return rng.standard_normal((ROWS, *shape)).astype(precision), targets


def plainly(
    model: Sequential, x: np.ndarray, y: np.ndarray, order: Sampler, precision: str
) -> dict[str, np.ndarray]:
    """Parameters after a plain loop in one process."""
    x = x if model.tokens else x.astype(precision)
    options = (1, RATE, SEED, precision, MeanSquaredError(), SGD(RATE))
    return reference.train(model, x, y.astype(precision), order, *options)


def farthest(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative where values are above 1."""
    return float(np.abs(one - other).max()) / max(1.0, float(np.abs(other).max()))


def check(model: Sequential, shape: tuple[int, ...], name: str, precision: str) -> str | None:
    """Train, and compare with a plain loop; returns why a layout was refused, if it was."""
    if currently_in_test_context():
        note(f"{shape} {name} {precision} {model}")
    x, y = data(model, shape, "float64")
    layout = LAYOUTS[name]
    trainer = Trainer(
        model,
        loss="mean_squared_error",
        optimizer={"sgd": RATE},
        batch=BATCH,
        epochs=1,
        seed=SEED,
        layout=layout,
        precision=precision,
        accumulate=3 if name == "slices" else 1,
        client="threaded-scheduler",
        blas_threads=1,
    )
    rows, targets = (x if model.tokens else x.astype(precision)), y.astype(precision)
    try:
        found = trainer.fit(rows, targets).parameters_
    except InputError as error:
        assert "\n" not in str(error)
        if name in ("whole", "slices"):
            assert "sync" in str(error) or "parameters" in str(error)
        return str(error)
    order = trainer.spec_.order
    assert order == Sampler(ROWS, BATCH, order.streams, 8192, "random", seed=SEED)
    plain = unfused(model)
    assert isinstance(plain, Sequential)
    expected = plainly(plain, x, y, order, "float64")
    assert found.keys() == expected.keys()
    noise = {key: 1e-9 for key in expected}
    if precision == "float32":  # what rounding makes of it without any layout or fusion is forgiven
        rounded = plainly(plain, x, y, order, "float32")
        noise = {key: 5e-4 + 10 * farthest(rounded[key], value) for key, value in expected.items()}
    for key, value in expected.items():
        tolerance = noise[key] * max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance, err_msg=key)
    assert trainer.predict(rows).shape == y.shape and np.isfinite(trainer.evaluate(rows, targets)["loss"])
    return None


REPEATED: list[tuple[list[Any], tuple[int, ...]]] = [
    ([{"dense": 4}, "relu", "relu", {"dense": 3}], (3,)),
    ([{"dense": 4}, "relu", {"dense": 4}, "relu", "relu", "relu", {"dense": 3}, "relu", "relu"], (8,)),
    (["relu", {"dense": 4}, {"dense": 2}, "relu", "relu", {"dense": 3}], (1,)),
    (["flatten", {"dense": 16}, "relu", "relu", {"dense": 10}], (8, 8, 1)),
    ([{"sequential": [{"dense": 3}, "relu", "relu", {"dense": 3}]}, "relu"], (3,)),
    ([{"residual": [{"dense": 3}, "relu", "relu", {"dense": 3}]}], (3,)),
    (
        [
            {"repeat": {"times": 3, "layers": [{"dense": 3}, {"repeat": {"times": 2, "layers": ["relu"]}}]}},
            {"dense": 1},
        ],
        (3,),
    ),
    (
        [{"embedding": {"words": 7, "features": 2, "padding": 0}}, {"group_norm": 1}, "global_avg_pool"],
        (3, 2),
    ),
]


@pytest.mark.parametrize("name", ["whole", "lanes", "layers", "stages", "window"])
@pytest.mark.parametrize("entries, shape", REPEATED, ids=[str(entries)[:60] for entries, _ in REPEATED])
def test_layers_repeated_train(entries: Any, shape: tuple[int, ...], name: str) -> None:
    check(build(entries), shape, name, "float32")


CHOICES = (
    st.randoms(use_true_random=False),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(("float32", "float64")),
)
unhurried = partial(
    settings, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@unhurried(max_examples=150)
@given(*CHOICES)
def test_models_train(rng: Random, name: str, precision: str) -> None:
    check(*drawn_model(rng), name, precision)


@pytest.mark.slow
@pytest.mark.timeout(0)
@unhurried(max_examples=5000)
@given(*CHOICES)
def test_many_models_train(rng: Random, name: str, precision: str) -> None:
    check(*drawn_model(rng), name, precision)
