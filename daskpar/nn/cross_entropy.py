"""Cross-entropy of classes, and of labels that are each a yes or a no."""

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
from daskpar.nn.loss import Loss, mean_over_outputs
from daskpar.registry import register


@register("softmax_cross_entropy")
@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of softmax(outputs) (rows, ..., classes) with classes or probabilities.

    `targets`: integer classes (rows, ...) or probabilities shaped like `outputs`. `label_smoothing` moves
    that share of each target to all classes evenly (Szegedy et al. 2016, sec. 7). `class_weights` weigh the
    terms of each class; with integer targets the mean is then over weights, as PyTorch has it.
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

    def __call__(self, outputs: Array, targets: Array) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        classes = outputs.shape[-1]
        hard = targets.dtype.kind in "iu"
        if hard and self.class_weights is None:
            total, d_outputs = kernels(outputs).cross_entropy(outputs, targets, self.label_smoothing)
            return total, float(math.prod(targets.shape)), d_outputs
        logp = log_softmax(outputs)
        goal = targets[..., None] == xp.arange(classes) if hard else targets
        goal = goal.astype(outputs.dtype, copy=False)
        rows = math.prod(outputs.shape[:-1])
        if self.label_smoothing:
            goal = goal * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.class_weights is None:
            weight_sum = float(rows)
            mass = 1 if hard else xp.sum(goal, axis=-1, keepdims=True)
        else:
            weights = xp.asarray(self.class_weights, dtype=outputs.dtype)
            weight_sum = float(xp.sum(weights[targets])) if hard else float(rows)
            goal = goal * weights
            mass = xp.sum(goal, axis=-1, keepdims=True)
        d_outputs = xp.exp(logp) * mass - goal
        logp *= goal
        return -float(xp.sum(logp)), weight_sum, d_outputs

    @property
    def splits(self) -> bool:
        return self.class_weights is None

    def gather(self, outputs: Array, targets: Array, first: int, classes: int) -> Array:
        """(4, rows, ...): the largest output, the sum of exponentials less it, Σ goal·output, Σ goal."""
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
        self, outputs: Array, targets: Array, first: int, classes: int, total: Array
    ) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        top, size, along, mass = total
        loss = xp.sum(mass * (top + xp.log(size)) - along)
        share = xp.exp(outputs - top[..., None]) * (mass / size)[..., None]
        return float(loss), float(top.size), share - self._goal(outputs, targets, first, classes)

    def _goal(self, outputs: Array, targets: Array, first: int, classes: int) -> Array:
        """The targets of the classes from `first` on."""
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
    """Cross-entropy of sigmoid(outputs) with targets in [0, 1]; the mean over an example's outputs.

    Written as max(z, 0) - z·t + log(1 + exp(-|z|)), which overflows nowhere.
    """

    over_positions: ClassVar[str] = "mean"
    task: ClassVar[str] = "labels"

    def __call__(self, outputs: Array, targets: Array) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        t = targets.reshape(outputs.shape).astype(outputs.dtype)
        each = xp.maximum(outputs, 0) - outputs * t + xp.log1p(xp.exp(-xp.abs(outputs)))
        return mean_over_outputs(each, sigmoid(outputs) - t)
