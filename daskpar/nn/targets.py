"""The tasks that losses learn: what outputs and targets say, and how a person reads them.

"classes": the largest output along the last axis names the class. "labels": each output is a yes where it is
above 0, whatever the others are. "numbers": the outputs are what is predicted.
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
    """softmax over the last axis."""
    return array_module(x).exp(log_softmax(x))


def squeezed(shape: Shape) -> Shape:
    """A shape of one number as that of a number."""
    return () if shape == (1,) else shape


def check_shapes(task: str, kind: str, out_shape: Shape, target_shape: Shape, dtype: DTypeLike) -> None:
    """Refuse targets that do not fit the outputs of a loss of this kind (shapes without the example axis)."""
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
    """Of classes: bools become whole numbers, a column of classes classes, whole one-hot rows floats."""
    if task != "classes":
        return targets
    if targets.dtype.kind == "b":
        targets = targets.astype(np.uint8)
    if targets.dtype.kind in "iu" and targets.shape[1:] == (*out_shape[:-1], 1):
        targets = targets.reshape(targets.shape[:-1])
    if targets.dtype.kind in "iu" and targets.shape[1:] == out_shape:
        targets = targets.astype(np.float64)  # then in the run's precision, as probabilities are
    return targets


def class_count(task: str, out_shape: Shape) -> int | None:
    """The number of classes that outputs tell apart; None where each answers for itself, or numbers."""
    if task == "classes":
        return out_shape[-1] if out_shape else None
    return 2 if task == "labels" and math.prod(out_shape) == 1 else None


def fault(task: str, targets: Array, out_shape: Shape) -> str | None:
    """The fault in the values of some targets, or None."""
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
        return "targets are no probabilities; expected rows of numbers from 0 to 1 that sum to 1"
    return None


def activate(task: str, outputs: Array) -> Array:
    """Probabilities: softmax of classes, sigmoid of labels; numbers as they are."""
    if task == "classes":
        return softmax(outputs)
    return sigmoid(outputs) if task == "labels" else outputs


def decide(task: str, outputs: Array) -> Array:
    """The class of each example, 0 or 1 for each label; numbers as they are."""
    if task == "classes":
        return array_module(outputs).argmax(outputs, axis=-1)
    return (outputs > 0).astype(int) if task == "labels" else outputs


def outputs_of(task: str, share: Array) -> Array:
    """Outputs that `activate` makes these probabilities of."""
    xp = array_module(share)
    if task not in ("classes", "labels"):
        return share
    tiny = xp.finfo(share.dtype).tiny
    log = xp.log(xp.maximum(share, tiny))
    return log if task == "classes" else log - xp.log(xp.maximum(1 - share, tiny))
