"""The contract of a loss: a sum over examples, and its gradient.

A loss returns sums, not means: `(loss_sum, weight_sum, gradient)`, with the gradient of `loss_sum`. The sums
of all chunks of a batch are added and then divided, so chunks of unequal size count correctly:

    chunk 0   (loss_sum, weight_sum) ─┐
    chunk 1   (loss_sum, weight_sum) ─┼─ add ─> loss = loss_sum / weight_sum
    chunk 2   (loss_sum, weight_sum) ─┘

Examples may have weights of their own (`sample_weight`). The reported loss is then Σ w·loss / Σ w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.nn.layer import Shape
from daskpar.nn.targets import activate, check_shapes, class_count, conform, decide, fault, outputs_of
from daskpar.nn.weights import takes_weights
from daskpar.registry import Table
from daskpar.settings import Block


@dataclass(frozen=True)
class Loss(Block):
    """Base class of losses.

    To write a loss as a class, derive from this class and define `__call__`. A function is often enough: see
    `FunctionLoss`. Decorate the class with `@dataclass(frozen=True)` if it has hyper-parameters, and with
    `@register("name")` to use it in a config. `check_loss` compares its gradient with finite differences.

    Attributes:
        task: Kind of the outputs, on which metrics, `predict` and the check of targets depend. Default:
            "numbers".

            - "numbers": The outputs are the predictions. Targets have the shape of the outputs, or (rows,)
              for outputs (rows, 1).
            - "classes": The largest output along the last axis is the predicted class. Targets are integers
              (rows, ...), or probabilities with the shape of the outputs. Labels of any other kind are
              numbered first. `predict` returns labels, or softmax probabilities if asked for "probabilities".
            - "labels": Each output is a yes if it is positive, independently of the others. Targets are
              numbers from 0 to 1.
        over_positions: Relation of the loss of a sequence to the losses of its positions: "sum" if both the
            loss and its weight are sums over positions, "mean" if the loss is their mean. Empty if it needs
            the whole sequence; such a loss is not trained with `Layout(sequence=...)`. Default: "".
        unit_power: Power of the targets' units in the loss, e.g. 2 for squared errors. None if the loss has
            no units. Used to report the loss in the units of `y` when targets are transformed. Default: None.

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...), as `task` says.

    Example:
        >>> import numpy as np
        >>> from daskpar import Loss
        >>> class SquaredHinge(Loss):
        ...     task = "classes"
        ...     def __call__(self, outputs, targets):
        ...         right = np.arange(outputs.shape[1]) == targets[:, None]
        ...         sign = np.where(right, 1, -1).astype(outputs.dtype)
        ...         gap = np.maximum(0, 1 - sign * outputs)
        ...         return float((gap * gap).sum()), float(len(outputs)), -2 * sign * gap
        >>> SquaredHinge()(np.array([[2.0, -1.0], [0.5, 1.0]]), np.array([0, 1]))[:2]
        (2.25, 2.0)

        A Trainer accepts it like any other: `Trainer(model, loss=SquaredHinge())`.
    """

    kind: ClassVar[str] = "loss"
    task: ClassVar[str] = "numbers"
    over_positions: ClassVar[str] = ""
    unit_power: ClassVar[int | None] = None

    def in_units(
        self, outputs: Array, targets: Array, units: Array, weights: Array | None = None
    ) -> tuple[float, float]:
        """Return the sum of the losses in the units of the targets, and the sum of the weights.

        Only losses with a `unit_power` define it.

        Args:
            outputs: (rows, ...) outputs of the model.
            targets: (rows, ...) targets.
            units: Factor of each output's share of the loss, with the shape of the outputs of one example.
            weights: (rows,) weights of the examples. None weighs all alike. Default: None.
        """
        raise TypeError(f"{type(self).__name__} does not define in_units")

    @property
    def splits(self) -> bool:
        """True if the loss can be computed from parts of the classes, on several workers.

        If so, it defines `gather`, `combine` and `with_total`:

            worker 0   outputs of classes 0-4   gather ─┐              ┌─> with_total
                                                        ├─ combine ────┤
            worker 1   outputs of classes 5-9   gather ─┘              └─> with_total
        """
        return False

    def gather(self, outputs: Array, targets: Array, first: int, classes: int) -> Array:
        """Return the sums over a part of the classes that the other parts need.

        Args:
            outputs: (rows, ..., part) outputs for the classes from `first` on.
            targets: (rows, ...) targets of all classes.
            first: Number of the first class of the part.
            classes: Number of all classes.
        """
        raise TypeError(f"{type(self).__name__} does not define gather")

    def combine(self, gathered: Sequence[Array]) -> Array:
        """Return the sums of several parts of the classes as those of one part."""
        raise TypeError(f"{type(self).__name__} does not define combine")

    def with_total(
        self,
        outputs: Array,
        targets: Array,
        first: int,
        classes: int,
        total: Array,
        weights: Array | None = None,
    ) -> tuple[float, float, Array]:
        """Return the loss, its weight, and the gradient of a part of the outputs.

        Args:
            outputs: (rows, ..., part) outputs for the classes from `first` on.
            targets: (rows, ...) targets of all classes.
            first: Number of the first class of the part.
            classes: Number of all classes.
            total: Sums over all classes, from `combine`.
            weights: (rows,) weights of the examples. None weighs all alike. Default: None.
        """
        raise TypeError(f"{type(self).__name__} does not define with_total")

    def check(self, out_shape: Shape, target_shape: Shape, target_dtype: DTypeLike) -> None:
        """Check that targets fit the outputs. Shapes are those of one example.

        Args:
            out_shape: Shape of the outputs.
            target_shape: Shape of the targets.
            target_dtype: Dtype of the targets.

        Raises:
            InputError: The targets do not fit.
        """
        check_shapes(self.task, self.kind, out_shape, target_shape, target_dtype)

    def conform(self, targets: Array, out_shape: Shape) -> Array:
        """Return targets (rows, ...) in the shape and dtype that the loss computes with.

        Targets that cannot be converted are returned as they are; `check` refuses them. `out_shape` is the
        shape of the outputs of one example.
        """
        return conform(self.task, targets, out_shape)

    def classes(self, out_shape: Shape) -> int | None:
        """Return the number of classes that the outputs distinguish.

        None if outputs are numbers or separate labels. `out_shape` is the shape of the outputs of one
        example.
        """
        return class_count(self.task, out_shape)

    def refuses(self, targets: Array, out_shape: Shape) -> str | None:
        """Return a description of the fault in the values of targets (rows, ...), or None if there is none.

        `out_shape` is the shape of the outputs of one example.
        """
        return fault(self.task, targets, out_shape)

    def __call__(self, outputs: Array, targets: Array) -> tuple[float, float, Array]:
        """Return the sum of the losses, the sum of the weights, and the gradient of the first.

        The inputs must not be changed.

        Args:
            outputs: (rows, ...) outputs of the model, before softmax or sigmoid, in the precision of the run.
            targets: (rows, ...) targets, as `conform` returns them.

        A loss may have one more argument, `weights=None`: the weights (rows,) of the examples. See
        `weighted`.

        Returns:
            (loss_sum, weight_sum, gradient). The sums are Python floats. The weight of a row is 1, unless
            some rows count more than others. The gradient has the shape and dtype of `outputs`.
        """
        raise TypeError(f"{type(self).__name__} does not define __call__(outputs, targets)")

    def weighted(self, outputs: Array, targets: Array, weights: Array) -> tuple[float, float, Array]:
        """Return the same sums and gradient, with the share of each example multiplied by its weight.

        A loss whose `__call__` has an argument `weights` receives them there. Any other loss is called once
        for each distinct weight, with the examples that have it.

        Args:
            outputs: (rows, ...) outputs of the model.
            targets: (rows, ...) targets.
            weights: (rows,) weights of the examples, not negative.

        Returns:
            (loss_sum, weight_sum, gradient), as `__call__` returns them.

        Example:
            >>> from daskpar import MeanSquaredError
            >>> MeanSquaredError().weighted(np.array([1.0, 3.0]), np.array([0.0, 0.0]), np.array([2.0, 1.0]))
            (11.0, 3.0, array([4., 6.]))
        """
        if takes_weights(type(self).__call__):
            return self(outputs, targets, weights)  # type: ignore[call-arg]
        xp = array_module(outputs)
        weight_of_row = to_numpy(weights)
        gradient, loss, weight_sum = xp.zeros_like(outputs), 0.0, 0.0
        for weight in np.unique(weight_of_row[weight_of_row > 0]).tolist():
            rows = xp.asarray(np.flatnonzero(weight_of_row == weight))
            part, count, slope = self(outputs[rows], targets[rows])
            loss, weight_sum = loss + weight * part, weight_sum + weight * count
            gradient[rows] = weight * slope
        return loss, weight_sum, gradient

    def activate(self, outputs: Array) -> Array:
        """Return predictions for outputs (rows, ...): probabilities for a classifier, else the outputs."""
        return activate(self.task, outputs)

    def decide(self, outputs: Array) -> Array:
        """Return decisions for outputs (rows, ...): classes for a classifier, else the outputs."""
        return decide(self.task, outputs)

    def mean(self, outputs: Sequence[Array]) -> Array:
        """Return outputs whose predictions are the mean of those of several models.

        For a classifier that is the mean of the probabilities.
        """
        return outputs_of(self.task, _mean([self.activate(each) for each in outputs]))


def _mean(arrays: Sequence[Array]) -> Array:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total * (1 / len(arrays))


LOSSES = Table("loss", Loss, "daskpar.nn")
