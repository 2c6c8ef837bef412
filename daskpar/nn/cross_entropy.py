"""Cross-entropy of classes, and of labels that do not exclude each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.backend.kernels.reference.loss import log_softmax
from daskpar.errors import InputError
from daskpar.nn.layer import Shape
from daskpar.nn.layers.activations import sigmoid
from daskpar.nn.loss import Loss
from daskpar.nn.weights import by_rows, mean_over_outputs, total_weight
from daskpar.registry import register


def _times(values: Array, weights: Array | None) -> Array:
    """Return values (rows, ...), each multiplied by the weight of its row; unchanged without weights."""
    return values if weights is None else values * by_rows(weights, values)


def _weight_sum(terms: Shape, weights: Array | None) -> float:
    """Return the sum of the weights of all terms, whose shape is (rows, ...)."""
    return float(math.prod(terms)) if weights is None else total_weight(weights) * math.prod(terms[1:])


@register("softmax_cross_entropy")
@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of softmax(outputs), for classes that exclude each other.

    With targets t, one-hot for integer classes, and p = softmax(outputs):

        -Σ class_weight·t·log(p)    over the classes

    The reported loss is the mean over examples, or positions of sequences. The model returns outputs before
    the softmax (logits).

    Args:
        label_smoothing: Share of each target that is spread evenly over all classes, in [0, 1). Default: 0.
        class_weights: Weight of each class, not negative. With integer targets the loss is then the weighted
            mean Σ w·loss / Σ w, as in PyTorch. None weighs all classes alike. Default: None.

    Shape:
        - Outputs: (rows, ..., classes).
        - Targets: (rows, ...) integers from 0 to classes - 1, or (rows, ..., classes) probabilities.

    Raises:
        InputError: A number is out of its range, or all class weights are zero.

    Example:
        An example of class 0, for which the model predicts 50 %. The loss is log(2):

        >>> import numpy as np
        >>> from daskpar import SoftmaxCrossEntropy
        >>> loss, weight, gradient = SoftmaxCrossEntropy()(np.log([[0.5, 0.25, 0.25]]), np.array([0]))
        >>> round(loss, 4), weight, gradient.round(4)
        (0.6931, 1.0, array([[-0.5 ,  0.25,  0.25]]))

    Reference:
        Szegedy et al. 2016, "Rethinking the inception architecture for computer vision", section 7 (label
        smoothing). https://arxiv.org/abs/1512.00567
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    over_positions: ClassVar[str] = "sum"
    task: ClassVar[str] = "classes"

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing={self.label_smoothing} must be at least 0 and below 1")
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", tuple(float(w) for w in self.class_weights))
            if min(self.class_weights, default=0.0) < 0:
                raise InputError(f"class_weights={list(self.class_weights)} must not be negative")
            if not any(self.class_weights):
                raise InputError(f"class_weights={list(self.class_weights)} must not all be zero")

    def check(self, out_shape: Shape, target_shape: Shape, target_dtype: DTypeLike) -> None:
        super().check(out_shape, target_shape, target_dtype)
        if self.class_weights is not None and len(self.class_weights) != out_shape[-1]:
            raise InputError(
                f"class_weights has {len(self.class_weights)} values for {out_shape[-1]} classes"
            )

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        classes = outputs.shape[-1]
        hard = targets.dtype.kind in "iu"
        if hard and self.class_weights is None:
            total, d_outputs = kernels(outputs).cross_entropy(outputs, targets, self.label_smoothing, weights)
            return total, _weight_sum(targets.shape, weights), d_outputs
        logp = log_softmax(outputs)
        goal = targets[..., None] == xp.arange(classes) if hard else targets
        goal = goal.astype(outputs.dtype, copy=False)
        if self.label_smoothing:
            goal = goal * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.class_weights is None:
            weight_sum = _weight_sum(outputs.shape[:-1], weights)
            mass = 1 if hard else xp.sum(goal, axis=-1, keepdims=True)
        else:
            of_classes = xp.asarray(self.class_weights, dtype=outputs.dtype)
            if hard:
                of_terms = of_classes[targets]
                weight_sum = float(xp.sum(_times(of_terms, weights)))
            else:
                weight_sum = _weight_sum(outputs.shape[:-1], weights)
            goal = goal * of_classes
            mass = xp.sum(goal, axis=-1, keepdims=True)
        d_outputs = _times(xp.exp(logp) * mass - goal, weights)
        logp *= goal
        return -float(xp.sum(_times(logp, weights))), weight_sum, d_outputs

    @property
    def splits(self) -> bool:
        return self.class_weights is None

    def gather(self, outputs: Array, targets: Array, first: int, classes: int) -> Array:
        """Return (4, rows, ...) sums over a part of the classes.

        They are the largest output m, Σ exp(output - m), Σ target·output and Σ target.
        """
        xp = array_module(outputs)
        top = xp.max(outputs, axis=-1)
        goal = self._goal(outputs, targets, first, classes)
        size = xp.sum(xp.exp(outputs - top[..., None]), axis=-1)
        return xp.stack([top, size, xp.sum(goal * outputs, axis=-1), xp.sum(goal, axis=-1)])

    def combine(self, gathered: Sequence[Array]) -> Array:
        xp = array_module(gathered[0])
        parts = xp.stack(list(gathered))
        top = xp.max(parts[:, 0], axis=0)
        size = xp.sum(parts[:, 1] * xp.exp(parts[:, 0] - top), axis=0)
        return xp.stack([top, size, xp.sum(parts[:, 2], axis=0), xp.sum(parts[:, 3], axis=0)])

    def with_total(
        self,
        outputs: Array,
        targets: Array,
        first: int,
        classes: int,
        total: Array,
        weights: Array | None = None,
    ) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        top, size, along, mass = total
        loss = xp.sum(_times(mass * (top + xp.log(size)) - along, weights))
        share = xp.exp(outputs - top[..., None]) * (mass / size)[..., None]
        d_outputs = _times(share - self._goal(outputs, targets, first, classes), weights)
        return float(loss), _weight_sum(top.shape, weights), d_outputs

    def _goal(self, outputs: Array, targets: Array, first: int, classes: int) -> Array:
        """Return the targets of a part of the classes, from `first` on, as smoothed probabilities."""
        stop = first + outputs.shape[-1]
        if targets.dtype.kind in "iu":
            goal = targets[..., None] == array_module(outputs).arange(first, stop)
        else:
            goal = targets[..., first:stop]
        goal = goal.astype(outputs.dtype)
        return goal * (1 - self.label_smoothing) + self.label_smoothing / classes


@register("binary_cross_entropy")
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of sigmoid(outputs), for two classes or for labels that do not exclude each other.

    With targets t and p = sigmoid(outputs), averaged over the outputs of an example and over examples:

        -pos_weight·t·log(p) - (1 - t)·log(1 - p)

    It is computed as max(z, 0) - z·t + log(1 + exp(-|z|)), which does not overflow. The model returns outputs
    z before the sigmoid (logits): one for two classes, or one for each label.

    Args:
        pos_weight: Weight of the positive label, positive: a number, or one for each output. Above 1 it
            favours recall, below 1 precision. The mean is not divided by it, as in PyTorch. Default: None,
            which is 1.

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...) numbers from 0 to 1 of the same shape, or (rows,) for outputs (rows, 1).

    Raises:
        InputError: A weight is not positive, or `pos_weight` is empty.

    Example:
        The model predicts 50 % for both examples. The loss is log(2) times 3 + 1:

        >>> import numpy as np
        >>> from daskpar import BinaryCrossEntropy
        >>> BinaryCrossEntropy(pos_weight=3)(np.zeros((2, 1)), np.array([[1], [0]]))
        (2.772588722239781, 2.0, array([[-1.5],
               [ 0.5]]))
    """

    pos_weight: float | tuple[float, ...] | None = None
    over_positions: ClassVar[str] = "mean"
    task: ClassVar[str] = "labels"

    def __post_init__(self) -> None:
        for weight in self._positive:
            if weight <= 0:
                raise InputError(f"pos_weight={self.pos_weight} must be above zero")
        if self.pos_weight == ():
            raise InputError("pos_weight=() is empty; expected a number, or one for each output")

    @property
    def _positive(self) -> tuple[float, ...]:
        """The weights of the positive label: none, one for all outputs, or one for each output."""
        if self.pos_weight is None:
            return ()
        return self.pos_weight if isinstance(self.pos_weight, tuple) else (self.pos_weight,)

    def check(self, out_shape: Shape, target_shape: Shape, target_dtype: DTypeLike) -> None:
        super().check(out_shape, target_shape, target_dtype)
        count, outputs = len(self._positive), out_shape[-1] if out_shape else 1
        if count > 1 and count != outputs:
            raise InputError(f"pos_weight has {count} values for {outputs} outputs")

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        t = targets.reshape(outputs.shape).astype(outputs.dtype)
        if self.pos_weight is None:
            each = xp.maximum(outputs, 0) - outputs * t + xp.log1p(xp.exp(-xp.abs(outputs)))
            return mean_over_outputs(each, sigmoid(outputs) - t, weights)
        positive = xp.asarray(self._positive, dtype=outputs.dtype)
        if positive.size == 1:
            positive = positive.reshape(())
        factor = 1 + (positive - 1) * t
        softplus = xp.maximum(-outputs, 0) + xp.log1p(xp.exp(-xp.abs(outputs)))
        slope = 1 - t - factor * sigmoid(-outputs)
        return mean_over_outputs((1 - t) * outputs + factor * softplus, slope, weights)
