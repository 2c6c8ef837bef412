"""The tasks that losses learn: the meaning of outputs and targets, and their conversion to predictions.

- "classes": The largest output along the last axis is the predicted class.
- "labels": Each output is a yes if it is positive, independently of the others.
- "numbers": The outputs are the predictions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.loss import log_softmax
from daskpar.errors import InputError
from daskpar.nn.layer import Shape
from daskpar.nn.layers.activations import sigmoid


def softmax(x: Array) -> Array:
    """Return the softmax over the last axis."""
    return array_module(x).exp(log_softmax(x))


def squeezed(shape: Shape) -> Shape:
    """Return a shape, with () in place of (1,)."""
    return () if shape == (1,) else shape


def check_shapes(task: str, kind: str, out_shape: Shape, target_shape: Shape, dtype: DTypeLike) -> None:
    """Refuse targets that do not fit the outputs of a loss of this kind. Shapes are those of one example."""
    if task == "classes":
        _check_classes(kind, out_shape, target_shape, dtype)
        return
    if np.dtype(dtype).kind not in "fiub":
        raise InputError(f"{kind}: the targets are texts ({dtype}); expected numbers")
    if squeezed(out_shape) != squeezed(target_shape):
        raise InputError(
            f"{kind}: the model returns {out_shape or 'a number'} per example, "
            f"the targets hold {target_shape or 'a number'}; they must have one shape"
        )


def _check_classes(kind: str, out_shape: Shape, target_shape: Shape, dtype: DTypeLike) -> None:
    if not out_shape or out_shape[-1] < 2:
        raise InputError(
            f"{kind}: the model returns {out_shape} per example; expected one output a class, "
            "at least 2 (for one output use binary_cross_entropy)"
        )
    integer = np.dtype(dtype).kind in "iu"
    if integer and target_shape != out_shape[:-1]:
        raise InputError(
            f"{kind}: targets of shape {target_shape} per example do not fit outputs {out_shape}; "
            f"expected classes of shape {out_shape[:-1]}, or one-hot rows of shape {out_shape}"
        )
    if not integer and target_shape != out_shape:
        floats = squeezed(target_shape) == out_shape[:-1]
        whole = " (classes that are floats: .astype(int))" if floats else ""
        raise InputError(
            f"{kind}: targets are {np.dtype(dtype)} of shape {target_shape} per example; "
            f"expected integer classes, or probabilities of shape {out_shape}{whole}"
        )


def conform(task: str, targets: Array, out_shape: Shape) -> Array:
    """Return targets in the shape and dtype that a loss computes with.

    For "classes", bools become integers, a column (rows, 1) of integers becomes (rows,), and integer one-hot
    rows become floats. Other targets are returned as they are.
    """
    if task != "classes":
        return targets
    if targets.dtype.kind == "b":
        targets = targets.astype(np.uint8)
    if targets.dtype.kind in "iu" and targets.shape[1:] == (*out_shape[:-1], 1):
        targets = targets.reshape(targets.shape[:-1])
    if targets.dtype.kind in "iu" and targets.shape[1:] == out_shape:
        targets = targets.astype(np.float64)  # converted to the run's precision later, as probabilities are
    return targets


def class_count(task: str, out_shape: Shape) -> int | None:
    """Return the number of classes that outputs distinguish; None if they are numbers or separate labels."""
    if task == "classes":
        return out_shape[-1] if out_shape else None
    return 2 if task == "labels" and math.prod(out_shape) == 1 else None


def fault(task: str, targets: Array, out_shape: Shape) -> str | None:
    """Return a description of the fault in the values of targets, or None if there is none."""
    if task == "classes":
        return _fault_of_classes(targets, out_shape[-1])
    if task != "labels":
        return None
    low, high = float(targets.min()), float(targets.max())
    if 0 <= low <= high <= 1:
        return None
    labels = ' (two other labels: targets=["labels"])' if math.prod(out_shape) == 1 else ""
    return f"targets from {low:g} to {high:g}; expected 0 to 1{labels}"


def _fault_of_classes(targets: Array, classes: int) -> str | None:
    if targets.dtype.kind in "iu":
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= classes:
            return (
                f"classes from {low} to {high} for a model with {classes} outputs; "
                f'expected 0 to {classes - 1} (other labels: targets=["labels"])'
            )
    elif float(targets.min()) < 0 or float(abs(targets.sum(axis=-1) - 1).max()) > 1e-3:
        return "targets are not probabilities; expected rows of numbers from 0 to 1 that sum to 1"
    return None


def activate(task: str, outputs: Array) -> Array:
    """Return predictions: softmax for classes, sigmoid for labels, the outputs for numbers."""
    if task == "classes":
        return softmax(outputs)
    return sigmoid(outputs) if task == "labels" else outputs


def decide(task: str, outputs: Array) -> Array:
    """Return decisions: the class of each example, 0 or 1 for each label, the outputs for numbers."""
    if task == "classes":
        return array_module(outputs).argmax(outputs, axis=-1)
    return (outputs > 0).astype(int) if task == "labels" else outputs


def outputs_of(task: str, share: Array) -> Array:
    """Return the outputs for which `activate` returns these predictions: its inverse."""
    xp = array_module(share)
    if task not in ("classes", "labels"):
        return share
    tiny = xp.finfo(share.dtype).tiny
    log = xp.log(xp.maximum(share, tiny))
    return log if task == "classes" else log - xp.log(xp.maximum(1 - share, tiny))
