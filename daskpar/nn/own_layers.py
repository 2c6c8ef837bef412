"""Layers of users' own, tried on two rows before a run begins, so that a wrong shape names its layer.

Our own layers are left out: their tests do this.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from daskpar.errors import InputError, one_line, shown
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.nested import at, mapped
from daskpar.nn.parts import parts
from daskpar.nn.spans import shapes

_ROWS = 2


def is_own(block: object) -> bool:
    """Tell whether a block's class is a user's."""
    return not type(block).__module__.startswith("daskpar.")


def check_own_layers(model: Layer, params: Params, in_shape: Shape, dtype: DTypeLike) -> None:
    """Refuse a layer that returns other shapes or dtypes than its contract says.

    `params`: of the model, as `init` returns them. Raises InputError with the layer's place and kind.
    """
    if not any(map(is_own, parts(model))):
        return
    for path, layer, before, after in _leaves(model, (), in_shape):
        if not is_own(layer):
            continue
        try:
            fault = _fault(layer, at(params, path), (before, after), np.dtype(dtype))
        except InputError:
            raise
        except Exception as error:
            if "cupy" in sys.modules:  # a layer for arrays of a GPU alone
                continue
            fault = f"raised {one_line(f'{type(error).__name__}: {error}', 200)}"
        if fault is not None:
            raise InputError(f"layer {'.'.join(map(str, path))}: {layer.kind}: {fault}")


def _leaves(
    layer: Layer, path: tuple[int, ...], in_shape: Shape
) -> Iterator[tuple[tuple[int, ...], Layer, Shape, Shape]]:
    """The layers within a layer that hold no others: place, layer, shapes of an input and an output."""
    children = layer.children()
    for child, (before, after) in zip(children, shapes(children, in_shape), strict=True):
        place = (*path, *child.path)
        if child.role == "run" and child.layer.children():
            yield from _leaves(child.layer, place, before)
        elif child.role == "run":
            yield place, child.layer, before, after


def _fault(layer: Layer, params: Params, around: tuple[Shape, Shape], dtype: np.dtype) -> str | None:
    before, after = around
    params = mapped(params, lambda value: np.asarray(value, dtype))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((_ROWS, *before)).astype(dtype)
    if layer.tokens:
        x = np.zeros(x.shape, np.int32)
    ctx = Context(training=True)
    with np.errstate(all="ignore"):
        y, saved, _ = layer.run(params, x, ctx)
        fault = fault_of_output(y, (_ROWS, *after), dtype)
        if fault is not None:
            return fault
        made = layer.backward(params, saved, np.ones_like(y), ctx)
    return fault_of_gradients(made, params, None if layer.tokens else x.shape, dtype)


def fault_of_output(y: object, shape: Shape, dtype: np.dtype) -> str | None:
    """The fault in what `forward` has returned as output, which should be of this shape and dtype."""
    return fault_of_array("forward returned an output", y, shape, dtype)


def fault_of_gradients(
    made: object, params: Mapping[str, Any], shape: Shape | None, dtype: np.dtype
) -> str | None:
    """The fault in what `backward` has returned; `shape` is that of the input, None for whole numbers."""
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[1], Mapping):
        return f"backward returned {_described(made)}; expected a pair (dx, gradients by name)"
    dx, grads = made
    if grads.keys() != params.keys():
        return (
            f"backward returned gradients {_names(grads)}; expected one of each parameter, {_names(params)}"
        )
    faults = [] if shape is None else [fault_of_array("backward returned dx", dx, shape, dtype)]
    for name, value in params.items():
        if isinstance(value, Mapping):
            faults.append(fault_of_gradients((dx, grads[name]), value, None, dtype))
        else:
            told = f"backward returned the gradient {name!r}"
            faults.append(fault_of_array(told, grads[name], value.shape, None))
    return next((fault for fault in faults if fault is not None), None)


def fault_of_array(told: str, array: Any, shape: Shape, dtype: np.dtype | None) -> str | None:
    """The fault in an array that should be of this shape and dtype; `told` names it.

    `dtype` is None where any real numbers do, because they are cast.
    """
    if getattr(array, "shape", None) != shape:
        return f"{told} of shape {_described(array)}; expected {shape}"
    if dtype is None:
        return None if array.dtype.kind in "fiub" else f"{told} of {array.dtype}; expected real numbers"
    if array.dtype != dtype:
        return f"{told} of {array.dtype}; expected {dtype}, as its input"
    return None


def _described(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is None and isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return shown(value, 60) if shape is None else str(shape)


def _names(tree: Mapping[str, object]) -> str:
    return ", ".join(map(repr, tree)) or "none"


def check_init(layer: Layer, made: object) -> tuple[Params, Shape]:
    """The result of `init`. Raises InputError for anything but (parameters by name, shape)."""
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], dict):
        raise InputError(
            f"{layer.kind}: init returned {_described(made)}; expected a pair (parameters by name, shape of "
            "an output)"
        )
    params, shape = made
    if not isinstance(shape, tuple) or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise InputError(
            f"{layer.kind}: init returned {shown(shape, 60)} as the shape of an output; expected a tuple of "
            "whole numbers, without the axis of rows"
        )
    for name, value in params.items():
        if not (isinstance(value, dict) or hasattr(value, "shape")):
            raise InputError(
                f"{layer.kind}: init returned {_described(value)} as parameter {name!r}; expected an array"
            )
    return params, shape
