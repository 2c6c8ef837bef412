"""Metrics of predicted classes: accuracy, top-k accuracy, confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError
from daskpar.nn.layer import Shape, require_positive
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.metric import Metric, Sums, classes_of, flat_weights, is_decided, share_of
from daskpar.registry import register


@register("accuracy")
@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of predictions that are right.

    For classes, the prediction is the largest output. For labels, each output counts, and is right if it is
    positive for a target above 0.5.

    Args:
        exact: Count an example as right only if all of its labels, or all positions of a sequence, are right:
            the subset accuracy of scikit-learn. Default: False.
        name: Name in results. By keyword only. Default: "accuracy", or "exact_accuracy" if `exact`.

    Shape:
        - Outputs: (rows, ..., classes), or (rows, ..., labels).
        - Targets: as the loss expects them.

    Example:
        Three of four predictions are right:

        >>> import numpy as np
        >>> from daskpar import Accuracy, SoftmaxCrossEntropy
        >>> outputs = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> sums = Accuracy().sums(outputs, np.array([1, 0, 1, 0]), SoftmaxCrossEntropy())
        >>> sums, Accuracy().value(sums)
        ((3.0, 4.0), 0.75)
    """

    exact: bool = False
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")

    @property
    def own_name(self) -> str:
        return "exact_accuracy" if self.exact else self.kind

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        xp = array_module(outputs)
        if loss.task == "labels":
            yes = targets.reshape(outputs.shape) > 0.5
            right = xp.where(yes, outputs > 0, outputs <= 0)  # a NaN is never right
        else:
            right = (xp.argmax(outputs, axis=-1) == classes_of(targets, outputs)) & is_decided(outputs)
        if self.exact:
            right = xp.all(right.reshape(right.shape[0], -1), axis=1)
        return share_of(right, weights)

    @property
    def over_positions(self) -> str:
        return "" if self.exact else "sum"


@register("top_k")
@dataclass(frozen=True)
class TopK(Metric):
    """Top-k accuracy: share of examples whose class has one of the `k` largest outputs.

    Ties count as right.

    Args:
        k: Number of outputs that count, positive. Default: 5.
        name: Name in results. By keyword only. Default: "top_5" for a `k` of 5.

    Shape:
        - Outputs: (rows, ..., classes).
        - Targets: (rows, ...) integers, or (rows, ..., classes) probabilities.

    Raises:
        InputError: `k` is not positive.

    Example:
        The true classes have the second and the third largest output:

        >>> import numpy as np
        >>> from daskpar import SoftmaxCrossEntropy, TopK
        >>> top_2 = TopK(k=2)
        >>> top_2.value(top_2.sums(np.array([[3, 2, 1], [1, 2, 3]]), np.array([1, 0]), SoftmaxCrossEntropy()))
        0.5
    """

    k: int = 5
    tasks: ClassVar[tuple[str, ...]] = ("classes",)

    def __post_init__(self) -> None:
        require_positive("top_k", k=self.k)

    @property
    def own_name(self) -> str:
        return f"top_{self.k}"

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        self.check_task(loss)
        if not out_shape or out_shape[-1] < 2:
            raise InputError(f"metric top_k: the model returns {out_shape}; expected an output a class")
        super().check(loss, out_shape, target_shape)

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        xp = array_module(outputs)
        classes = classes_of(targets, outputs)
        true_output = xp.take_along_axis(outputs, classes[..., None], axis=-1)
        right = xp.sum(~(outputs <= true_output), axis=-1) < self.k  # a NaN is never right
        return share_of(right, weights)

    @property
    def over_positions(self) -> str:
        return "sum"


@register("confusion")
@dataclass(frozen=True)
class Confusion(Metric):
    """Confusion matrix: counts of (true class, predicted class), as a list of rows.

    For a single label, the classes are no and yes. With weights of examples, the counts are sums of weights.
    Callbacks cannot monitor it.

    Args:
        name: Name in results. By keyword only. Default: "confusion".

    Shape:
        - Outputs: (rows, ..., classes), or (rows, 1) for a single label.
        - Targets: as the loss expects them.

    Example:
        One example of class 0 is taken for class 1:

        >>> import numpy as np
        >>> from daskpar import Confusion, SoftmaxCrossEntropy
        >>> outputs = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> sums = Confusion().sums(outputs, np.array([0, 0, 1]), SoftmaxCrossEntropy())
        >>> Confusion().value(sums)
        [[1, 1], [0, 1]]
    """

    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    scalar: ClassVar[bool] = False

    def width(self, outputs: int) -> int:
        return max(outputs, 2) ** 2

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        super().check(loss, out_shape, target_shape)
        if loss.task == "labels" and out_shape and out_shape[-1] > 1:
            raise InputError(
                f"metric {self.kind}: {loss.kind} learns {out_shape[-1]} labels that do not exclude each "
                "other; use accuracy, a single output, or softmax_cross_entropy"
            )

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        if loss.task == "labels":
            classes = 2
            outputs = outputs.reshape(-1, 1)
            predicted, true = outputs[:, 0] > 0, targets.reshape(-1) > 0.5
        else:
            classes = outputs.shape[-1]
            predicted, true = array_module(outputs).argmax(outputs, axis=-1), classes_of(targets, outputs)
        cell = to_numpy(true).reshape(-1).astype(int) * classes + to_numpy(predicted).reshape(-1)
        counted, each = to_numpy(is_decided(outputs)).reshape(-1), flat_weights(weights, len(cell))
        if each is not None:
            each = each[counted]
        return tuple(float(n) for n in np.bincount(cell[counted], each, minlength=classes * classes))

    def value(self, sums: Sums) -> list[list[float]]:
        side = math.isqrt(len(sums))
        counts = [int(n) if n == int(n) else n for n in sums]
        return [counts[i * side : (i + 1) * side] for i in range(side)]

    @property
    def over_positions(self) -> str:
        return "sum"
