"""Frozen parameters and learning rates by group, with every optimizer and in every layout.

Held against a loop that knows no groups: each tensor is updated on its own, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import reference

from daskpar import Layout, Trainer, tasks
from daskpar.backend.random import init_rng
from daskpar.cluster.executor import THREADED
from daskpar.data import Sampler
from daskpar.errors import InputError
from daskpar.nn import (
    BatchNorm,
    Context,
    Conv2d,
    Dense,
    Flatten,
    LayerNorm,
    LearnedPositions,
    ParameterTable,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    TiedEmbedding,
    TransformerBlock,
)
from daskpar.nn.layer import Layer, Params
from daskpar.nn.parameters import collect
from daskpar.nn.trainable import arranged
from daskpar.optim import Clip, Penalty, Tensors, registry as optim
from daskpar.tasks.types import Gradient

OPTIMIZERS: list[dict[str, Any]] = [
    {"sgd": {"lr": 0.05, "weight_decay": 0.01}},
    {"sgd": {"lr": 0.05, "momentum": 0.9, "nesterov": True}},
    {"adagrad": {"lr": 0.05, "weight_decay": 0.01}},
    {"rmsprop": {"lr": 0.01, "momentum": 0.5}},
    {"adam": {"lr": 0.01, "weight_decay": 0.01}},
    {"adamw": {"lr": 0.01}},
    {"lars": {"lr": 1.0}},
    {"lamb": {"lr": 0.01}},
]
ADAMW = OPTIMIZERS[5]
DENSE = Sequential((Dense(12), Tanh(), LayerNorm(), Residual((Dense(12), Tanh())), Dense(4)))
BLOCKS = (LearnedPositions(), TransformerBlock(2), LayerNorm())
MODELS = {
    "below": DENSE,
    "between": DENSE,
    "layer": Sequential((Dense(12, trainable=False), Tanh(), Residual((Dense(12), Tanh())), Dense(4))),
    "images": Sequential(
        (
            *(Conv2d(4, padding=1, bias=False), BatchNorm(sync=True), Tanh()),
            *(Residual((BatchNorm(), Conv2d(4, padding=1))), Flatten(), Dense(4)),
        )
    ),
    "synchronised": Sequential((Conv2d(4, padding=1), BatchNorm(sync=True), Flatten(), Tanh(), Dense(4))),
    "text": Sequential((TiedEmbedding(8, 8, layers=BLOCKS),)),
}
GROUPS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "below": (("0.*", "3.0.bias"), {"*": 3.0, "3.*": 0.5}),
    "between": (("3.*",), {"4.weight": 10.0}),
    "layer": ((), {}),
    "images": (("0.*", "1.*", "3.0.*"), {"5.*": 2.0}),
    "synchronised": (("0.*", "1.scale"), {"1.shift": 5.0}),
    "text": (("0.weight", "0.1.0.*", "*.2.scale"), {"0.1.*": 0.3}),
}
CUTS = [
    Layout(),
    Layout(data=4, grain="window"),
    Layout(stages=3, microbatches=4, recompute=True),
    Layout(data=2, update="stale"),
]
LAYOUTS = [
    *CUTS,
    Layout(data=4, fan_in=2),
    Layout(data=2, grain="layer"),
    Layout(width=2, grain="layer"),
    Layout(data=2, shards=3),
    Layout(data=2, tiles=2),
    Layout(sequence=2, grain="layer"),
    Layout(data=2, stages=2, width=2, microbatches=2, shards=2),
    Layout(update="async"),
]


def told(value: object) -> str:
    if isinstance(value, Layout):
        default = vars(Layout())
        return ",".join(f"{k}={v}" for k, v in vars(value).items() if v != default[k]) or "whole"
    return ",".join(value) if isinstance(value, dict) else str(value)


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    if name == "text":
        return rng.integers(0, 8, (36, 6)).astype(np.int32), rng.integers(0, 8, (36, 6))
    shape = (36, 4, 4, 1) if name in ("images", "synchronised") else (36, 8)
    return rng.standard_normal(shape), rng.integers(0, 4, 36)


def initial(name: str) -> dict[str, np.ndarray]:
    params, _ = MODELS[name].init(init_rng(3), data(name)[0].shape[1:])
    table = ParameterTable.of(params)
    return table.named(table.flatten(params, "float64"))


def trainer(name: str, layout: Layout, optimizer: object, **options: Any) -> Trainer:
    frozen, rates = GROUPS[name]
    settings: dict[str, Any] = {
        "client": THREADED,
        **{"optimizer": optimizer, "layout": layout, "frozen": frozen, "learning_rates": rates},
        **{"batch": 12, "epochs": 1, "streams": 12, "seed": 3, "precision": "float64"},
    }
    return Trainer(MODELS[name], **{**settings, **options})


def by_tensor(name: str, entry: object, norm: float | None, l2: float) -> dict[str, np.ndarray]:
    """Parameters by name, each tensor updated on its own."""
    x, y = data(name)
    frozen, rates = GROUPS[name]
    params, _ = MODELS[name].init(init_rng(3), x.shape[1:])
    table = ParameterTable.of(params)
    model, marked = arranged(MODELS[name], table, frozen, rates)
    moved = {entry.name: entry for entry in marked.entries if entry.trains}
    buffer, optimizer = table.flatten(params, "float64"), optim.optimizer(entry)
    named = table.named(buffer)
    slots = {key: optimizer.init(named[key].ravel()) for key in moved}
    order = Sampler(len(x), 12, 12, 8192, "random", seed=3)
    for step, (rows, targets) in enumerate(reference.batches(order, x, y, 0)):
        ctx, views = Context(training=True, seed=3, step=step), table.views(buffer)
        outputs, saved = model.forward(views, rows, ctx)
        _, weight, dy = SoftmaxCrossEntropy()(outputs, targets)
        total = np.zeros(table.size)
        collect(model.backward(views, saved, dy, ctx)[1], table.views(total))
        observed, slopes = model.observe(views, table.views(total)), table.named(total)
        grads = {k: slopes[k].ravel() / weight + e.decays * l2 * named[k].ravel() for k, e in moved.items()}
        size = np.sqrt(sum(float(g @ g) for g in grads.values()))
        for key, tensor in moved.items():
            g = grads[key] * (norm / size if norm and size > norm else 1)
            everywhere = ((0, g.size),)
            tensors = Tensors(everywhere, everywhere if tensor.decays else ())
            after, slots[key] = optimizer.update(
                named[key].ravel(), g, slots[key], step, optimizer.lr * tensor.rate, tensors
            )
            named[key][...] = after.reshape(tensor.shape)
        collect(observed, table.views(buffer))
    return named


def held(name: str, found: dict[str, np.ndarray]) -> set[str]:
    """The names of parameters that have kept their bits."""
    return {key for key, value in initial(name).items() if found[key].tobytes() == value.tobytes()}


def frozen_in(fitted: Trainer) -> set[str]:
    return {entry.name for entry in fitted.spec_.table.entries if entry.frozen}


def check(name: str, layout: Layout, optimizer: object) -> None:
    alone = layout.update == "async"  # does not clip: there is no whole gradient
    norm = None if alone else 0.5
    fitted = trainer(name, layout, optimizer, clip=Clip(norm=norm), penalty=Penalty(l2=0.01))
    x, y = data(name)
    found = fitted.fit(x, y).parameters_
    assert held(name, found) == frozen_in(fitted) != set()
    for key, value in by_tensor(name, optimizer, norm, 0.01).items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-13, err_msg=key)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=told)
@pytest.mark.parametrize("layout", CUTS, ids=told)
def test_every_optimizer_leaves_frozen_parameters_alone(layout: Layout, optimizer: dict[str, Any]) -> None:
    check("below", layout, optimizer)


def can(layout: Layout, name: str) -> bool:
    """Leave out what is refused: tiles of no images, shares of no sequences, statistics that cannot meet."""
    meets = layout.microbatches == layout.width == 1 and layout.grain != "window" and layout.update == "sync"
    return (
        (layout.tiles == 1 or name in ("images", "synchronised"))
        and (layout.sequence == 1 or name == "text")
        and (meets or name != "synchronised")
    )


@pytest.mark.parametrize(
    "layout, name", [(layout, name) for layout in LAYOUTS for name in MODELS if can(layout, name)], ids=told
)
def test_every_layout_leaves_frozen_parameters_alone(layout: Layout, name: str) -> None:
    check(name, layout, ADAMW)


def test_replicas_leave_frozen_parameters_alone() -> None:
    x, y = data("below")
    sgd = OPTIMIZERS[0]
    for options in ({}, {"average_every": 2, "outer": {"sgd": {"lr": 0.7, "momentum": 0.9}}}):
        for count in (2, 3):  # the mean of three equal numbers may be another
            fitted = trainer("below", Layout(replicas=count, **options), sgd).fit(x, y)
            assert held("below", fitted.parameters_) == frozen_in(fitted)
    lanes = trainer("below", Layout(data=2), sgd).fit(x, y).parameters_
    replicas = trainer("below", Layout(replicas=2), sgd).fit(x, y).parameters_
    for key, value in lanes.items():
        np.testing.assert_allclose(replicas[key], value, rtol=0, atol=1e-13, err_msg=key)


def test_a_frozen_gradient_has_no_say_in_the_rounding_of_others() -> None:
    x, y = data("below")
    fitted = trainer("below", Layout(data=2, compression="float16"), ADAMW).fit(x, y)
    assert held("below", fitted.parameters_) == frozen_in(fitted)
    spec, table = fitted.spec_, fitted.spec_.table
    alone = np.random.default_rng(0).standard_normal(table.size)
    for start, stop in table.frozen:
        alone[start:stop] = 0
    beside = alone.copy()
    for start, stop in table.frozen:
        beside[start:stop] = 1e6
    for function in (tasks.compress_gradient, tasks.error_feedback):
        one, other = (function(spec, None, Gradient(b, ()), 0, 0, table.size, None) for b in (alone, beside))
        np.testing.assert_array_equal(one.buffer, other.buffer)
        assert getattr(one, "scale", 0) == getattr(other, "scale", 0)


def test_a_momentum_from_before_moves_nothing_that_is_frozen(tmp_path: Any) -> None:
    x, y = data("below")
    options = {"folder": tmp_path, "checkpoint_every": "3 steps"}
    first = trainer("below", Layout(), OPTIMIZERS[1], frozen=(), epochs=1, **options).fit(x, y)
    assert np.abs(first.state_.slots["momentum"]).min() == 0 < np.abs(first.state_.slots["momentum"]).max()
    second = trainer("below", Layout(), OPTIMIZERS[1], epochs=2, **options).fit(x, y, resume=True)
    still = frozen_in(second)
    assert second.steps_ > first.steps_ and still
    for key, value in second.parameters_.items():
        assert (value.tobytes() == first.parameters_[key].tobytes()) == (key in still), key
    table = second.spec_.table
    for slot in first.state_.slots:
        before, after = (table.named(t.state_.slots[slot]) for t in (first, second))
        assert {key for key in before if before[key].tobytes() == after[key].tobytes()} == still


def test_a_frozen_batch_norm_normalises_by_its_running_statistics() -> None:
    x, y = data("images")
    x = x * 3 + 5
    norm = BatchNorm(scale=False, shift=False, trainable=False)
    flat, options = (
        x.reshape(len(x), -1),
        {"client": THREADED, "precision": "float64", "seed": 3, "batch": 12},
    )
    frozen = Trainer([norm, {"dense": 4}], **options).fit(flat, y)
    plain = Trainer(["flatten", {"dense": 4}], **options).fit(flat / np.sqrt(1 + norm.epsilon), y)
    assert (frozen.parameters_["0.running_mean"] == 0).all() and frozen.parameters_["0.running_batches"] == 0
    np.testing.assert_allclose(frozen.parameters_["1.weight"], plain.parameters_["1.weight"], atol=1e-12)


@dataclass(frozen=True)
class Counts(Layer):
    """A user's layer that counts batches, also empty ones."""

    def init(self, rng: Any, in_shape: Any) -> Any:
        return {"scale": np.ones(1), "running_batches": np.zeros(1)}, in_shape

    def forward(self, params: Params, x: Any, ctx: Context) -> Any:
        return x * params["scale"], x

    def backward(self, params: Params, saved: Any, dy: Any, ctx: Context) -> Any:
        return dy * params["scale"], {"scale": np.array([(saved * dy).sum()]), "running_batches": np.ones(1)}

    def observe(self, params: Params, sums: Params) -> Params:
        return {"running_batches": params["running_batches"] + 1}


def test_a_users_layer_keeps_its_running_statistics() -> None:
    layers = [Counts(), Counts(trainable=False), {"dense": 4}]
    fitted = Trainer(layers, client=THREADED, batch=12, seed=3).fit(*data("below"))
    counted = [fitted.parameters_[f"{place}.running_batches"] for place in (0, 1)]
    assert counted == [3, 0]


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"frozen": ["head.*"]},
            "train.frozen: 'head.*' matches no parameter; the nearest: 0.weight, 0.bias",
        ),
        ({"frozen": "1"}, "train.frozen: '1' matches no parameter; did you mean '1.*'?"),
        ({"learning_rates": {"1.wieght": 2}}, "train.learning_rates: '1.wieght' matches no parameter"),
        ({"learning_rates": {"1.*": 0}}, "expected factors above zero by pattern"),
        ({"learning_rates": {"1.*": float("nan")}}, "expected factors above zero by pattern"),
        ({"learning_rates": 10}, "train.learning_rates=10: expected factors above zero by pattern"),
        ({"frozen": ["*.weight", "*.bias", "1.*"]}, "all parameters of the model are frozen"),
        ({"frozen": ["1.running_mean"]}, "1.running_mean is a running statistic, frozen only with the whole"),
        ({"frozen": [3]}, "frozen=[3]: expected a list, each a text"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as told:
        Trainer([{"dense": 4}, "batch_norm", {"dense": 4}], client=THREADED, **options).fit(*data("below"))
    assert message in str(told.value)


def test_unused_groups_change_no_bit() -> None:
    x, y = data("below")
    plain = trainer("below", Layout(), ADAMW, frozen=(), learning_rates=None).fit(x, y)
    ones = trainer("below", Layout(), ADAMW, frozen=(), learning_rates={"*": 1.0}).fit(x, y)
    assert plain.spec_.table.groups is ones.spec_.table.groups is None
    assert plain.parameters_sha256_ == ones.parameters_sha256_
