"""`check_layer` passes what keeps the contract of a layer, and names what a broken one does wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from layer_rows import TABLE

from daskpar.errors import InputError
from daskpar.nn import Context, Layer
from daskpar.nn.check_layer import check_layer

LONG = ("dense of a sequence", "tied_embedding language model")
SMALL = [row for row in TABLE if math.prod(row.shape) < 600 and row.name not in LONG][::3]


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_our_layers_pass(row: Any) -> None:
    check_layer(row.layer, row.shape, words=row.words, independent=row.alone)


@dataclass(frozen=True)
class Good(Layer):
    """y = x · weight + bias, of a feature; `weight` and `bias` (features,)."""

    def init(self, rng: Any, in_shape: Any) -> Any:
        return {"weight": rng.standard_normal(in_shape), "bias": np.zeros(in_shape)}, in_shape

    def forward(self, params: Any, x: Any, ctx: Context) -> Any:
        return x * params["weight"] + params["bias"], x

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Context) -> Any:
        return dy * params["weight"], {"weight": (dy * saved).sum(axis=0), "bias": dy.sum(axis=0)}


def with_method(name: str, method: Any) -> Layer:
    return dataclass(frozen=True)(type("Bad", (Good,), {name: method, "__module__": __name__}))()


def stateful(self: Any, params: Any, x: Any, ctx: Any) -> Any:
    calls.append(1)
    return x * params["weight"] + params["bias"] * len(calls), x


calls: list[int] = []


def writes(self: Any, params: Any, x: Any, ctx: Any) -> Any:
    x *= params["weight"]
    return x + params["bias"], x


def gradients(**changed: Any) -> Any:
    def backward(self: Any, params: Any, saved: Any, dy: Any, ctx: Any) -> Any:
        dx, grads = Good.backward(self, params, saved, dy, ctx)
        return changed.get("dx", lambda v: v)(dx), changed.get("grads", lambda v: v)(grads)

    return backward


class Holding(Good):
    """Holds an array that is no field."""

    def __init__(self, by: float) -> None:
        object.__setattr__(self, "by", np.array([by]))

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


BROKEN: dict[str, tuple[Any, str]] = {
    "state of its own": (Holding(2.0), "check 'pickling' fails: its copy is"),
    "another stream": (
        with_method("init", lambda s, rng, shape: ({"weight": np.random.random(shape)}, shape)),
        "check 'init' fails: it draws from another stream than `rng`",
    ),
    "no shape": (
        with_method("init", lambda s, rng, shape: {"weight": np.ones(shape)}),
        "init returned {'weight': array([1., 1., 1., 1.])}; expected a pair (parameters by name, shape",
    ),
    "a shape that is none": (
        with_method("init", lambda s, rng, shape: ({}, 4)),
        "init returned 4 as the shape of an output; expected a tuple of integers",
    ),
    "a parameter that is none": (
        with_method("init", lambda s, rng, shape: ({"weight": 1.0}, shape)),
        "init returned 1.0 as parameter 'weight'; expected an array",
    ),
    "another shape": (
        with_method("forward", lambda s, p, x, ctx: (x[:, :2], x)),
        "check 'shapes' fails: forward returned an output of shape (5, 2); expected (5, 4)",
    ),
    "no pair": (with_method("forward", lambda s, p, x, ctx: x), "check 'shapes' fails: it raised ValueError"),
    "no gradients": (
        with_method("backward", lambda s, p, saved, dy, ctx: dy),
        "check 'shapes' fails: backward returned (5, 4); expected a pair (dx, gradients by name)",
    ),
    "a gradient missing": (
        with_method("backward", gradients(grads=lambda grads: {"weight": grads["weight"]})),
        "check 'shapes' fails: backward returned gradients 'weight'; expected one for each parameter",
    ),
    "a gradient not summed": (
        with_method("backward", gradients(grads=lambda grads: grads | {"bias": np.ones((5, 4))})),
        "check 'shapes' fails: backward returned the gradient 'bias' of shape (5, 4); expected (4,)",
    ),
    "float64": (
        with_method("forward", lambda s, p, x, ctx: (x * np.float64(2) * np.ones(4), x)),
        "check 'dtypes' fails: forward returned an output of float64; expected float32",
    ),
    "writing": (with_method("forward", writes), "check 'purity' fails: it writes to x; work on a copy"),
    "state": (with_method("forward", stateful), "check 'repetition' fails: y differs in the second pass"),
    "a wrong dx": (
        with_method("backward", gradients(dx=lambda dx: 2 * dx)),
        "check 'gradients' fails: dx is off by 1 of its largest element",
    ),
    "a wrong gradient": (
        with_method("backward", gradients(grads=lambda grads: grads | {"bias": -grads["bias"]})),
        "check 'gradients' fails: bias is off by 2 of its largest element",
    ),
    "rows that meet": (
        with_method("forward", lambda s, p, x, ctx: ((x - x.mean(axis=0)) * p["weight"] + p["bias"], x)),
        "check 'gradients' fails",
    ),
    "a class": (Good, "check_layer: expected an object of a class derived from Layer, got <class"),
}


@pytest.mark.parametrize("layer, message", BROKEN.values(), ids=BROKEN)
def test_a_broken_layer_is_told_what_is_wrong(layer: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_layer(layer, (4,))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_good_one_passes() -> None:
    check_layer(Good(), (4,))
    check_layer(Good(), (3, 2))


@dataclass(frozen=True)
class Centred(Layer):
    """x less its mean over the rows of a chunk."""

    def forward(self, params: Any, x: Any, ctx: Context) -> Any:
        return (x - x.mean(axis=0) if ctx.training else x), None

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Context) -> Any:
        return (dy - dy.mean(axis=0) if ctx.training else 1 * dy), {}


def test_rows_that_meet_are_told_unless_it_is_said() -> None:
    with pytest.raises(
        InputError, match=r"check 'rows' fails: y of a chunk differs from that of its pieces; pass indep"
    ):
        check_layer(Centred(), (4,))
    check_layer(Centred(), (4,), independent=False)


@dataclass(frozen=True)
class Shared(Good):
    def backward(self, params: Any, saved: Any, dy: Any, ctx: Context) -> Any:
        return dy * params["weight"], {"weight": (dy * saved).sum(axis=0), "bias": dy[0]}


def test_a_gradient_that_is_a_part_of_an_input() -> None:
    with pytest.raises(
        InputError, match="check 'ownership' fails: the gradient 'bias' shares memory with an input"
    ):
        check_layer(Shared(), (4,))
