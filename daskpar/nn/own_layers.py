"""Layers of users, tried on two rows before a run begins, so that a wrong shape is reported with its layer.

The layers of daskpar are left out: the test suite covers them.
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
    """Return whether the class of a block is defined outside of daskpar."""
    return not type(block).__module__.startswith("daskpar.")


def check_own_layers(model: Layer, params: Params, in_shape: Shape, dtype: DTypeLike) -> None:
    """Run each layer of the user once, and refuse wrong shapes and dtypes.

    Args:
        model: Model to check.
        params: Parameters of the model, as `init` returns them.
        in_shape: Shape of one example.
        dtype: Dtype of the run.

    Raises:
        InputError: A layer breaks its contract. The message names its place, its kind and the fault.
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
            if "cupy" in sys.modules:  # the layer may support arrays of a GPU only
                continue
            fault = f"raised {one_line(f'{type(error).__name__}: {error}', 200)}"
        if fault is not None:
            raise InputError(f"layer {'.'.join(map(str, path))}: {layer.kind}: {fault}")


def _leaves(
    layer: Layer, path: tuple[int, ...], in_shape: Shape
) -> Iterator[tuple[tuple[int, ...], Layer, Shape, Shape]]:
    """Yield the layers that hold no others: place, layer, and the shapes of an input and an output."""
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
    """Return the fault of an output of `forward` that should have this shape and dtype, or None."""
    return fault_of_array("forward returned an output", y, shape, dtype)


def fault_of_gradients(
    made: object, params: Mapping[str, Any], shape: Shape | None, dtype: np.dtype
) -> str | None:
    """Return the fault of a result of `backward`, or None.

    Args:
        made: Result of `backward`.
        params: Parameters of the layer.
        shape: Shape of the input, or None for a layer of integers, which has no gradient by its input.
        dtype: Dtype of the input.
    """
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[1], Mapping):
        return f"backward returned {_described(made)}; expected a pair (dx, gradients by name)"
    dx, grads = made
    if grads.keys() != params.keys():
        return (
            f"backward returned gradients {_names(grads)}; expected one for each parameter, {_names(params)}"
        )
    faults = [] if shape is None else [fault_of_array("backward returned dx", dx, shape, dtype)]
    for name, value in params.items():
        if isinstance(value, Mapping):
            faults.append(fault_of_gradients((dx, grads[name]), value, None, dtype))
        else:
            subject = f"backward returned the gradient {name!r}"
            faults.append(fault_of_array(subject, grads[name], value.shape, None))
    return next((fault for fault in faults if fault is not None), None)


def fault_of_array(subject: str, array: Any, shape: Shape, dtype: np.dtype | None) -> str | None:
    """Return the fault of an array that should have this shape and dtype, or None.

    Args:
        subject: Beginning of the message, for example "forward returned an output".
        array: Array to check.
        shape: Expected shape.
        dtype: Expected dtype. None accepts all real numbers, because they are cast.
    """
    if getattr(array, "shape", None) != shape:
        return f"{subject} of shape {_described(array)}; expected {shape}"
    if dtype is None:
        return None if array.dtype.kind in "fiub" else f"{subject} of {array.dtype}; expected real numbers"
    if array.dtype != dtype:
        return f"{subject} of {array.dtype}; expected {dtype}, as its input"
    return None


def _described(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is None and isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return shown(value, 60) if shape is None else str(shape)


def _names(tree: Mapping[str, object]) -> str:
    return ", ".join(map(repr, tree)) or "none"


def check_init(layer: Layer, made: object) -> tuple[Params, Shape]:
    """Return the result of `init`, a pair of parameters by name and the shape of an output.

    Raises:
        InputError: It is anything else.
    """
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], dict):
        raise InputError(
            f"{layer.kind}: init returned {_described(made)}; expected a pair (parameters by name, shape of "
            "an output)"
        )
    params, shape = made
    if not isinstance(shape, tuple) or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise InputError(
            f"{layer.kind}: init returned {shown(shape, 60)} as the shape of an output; expected a tuple of "
            "integers, without the axis of rows"
        )
    for name, value in params.items():
        if not (isinstance(value, dict) or hasattr(value, "shape")):
            raise InputError(
                f"{layer.kind}: init returned {_described(value)} as parameter {name!r}; expected an array"
            )
    return params, shape
