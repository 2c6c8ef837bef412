"""Weights of classes: `class_weight` in the form of the setting, and as numbers by class.

The rows to train on are weighted by their class, and by their own weights. Rows for validation and test are
not weighted by class, as in Keras and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from daskpar.cluster.executor import Executor
from daskpar.data.fitted import Fitted
from daskpar.data.splits import Split
from daskpar.data.weights import all_zero, balanced
from daskpar.errors import InputError, shown
from daskpar.graph.graph import Graph
from daskpar.graph.load import add_weighing
from daskpar.tasks import Weighed
from daskpar.tasks.types import Spec


def weigh(
    part: Split, targets: Sequence[Fitted], executor: Executor, token: str, chunk_rows: int, by_class: bool
) -> Weighed:
    """Return the sums of the weights of a split's rows by class; one sum, as class 0, without `by_class`.

    Raises InputError where all weights are zero, and for weights that cannot be used.
    """
    graph = Graph(token)
    keys = add_weighing(graph, part, chunk_rows, targets, by_class)
    executor.submit(graph, keys, 1)
    sums = [executor.result(key) for key in keys]
    executor.release(keys)
    total: Weighed = reduce(_add, sums)
    if not any(total.values()):
        raise all_zero(f"{part.name} data")
    return total


def _add(a: Weighed, b: Weighed) -> Weighed:
    return {number: a.get(number, 0.0) + b.get(number, 0.0) for number in a.keys() | b.keys()}


def class_weights(
    class_weight: object, spec: Spec, names: Sequence[str], weighed: Weighed | None
) -> tuple[float, ...] | None:
    """Return the weights of the classes in the order of their numbers, or None without `class_weight`.

    `weighed` has the sums of the weights of the training rows by class, for "balanced".
    Raises InputError for an unknown label, and for a loss without classes.
    """
    if class_weight is None:
        return None
    count = spec.loss.classes(spec.out_shape)
    if count is None:
        use = "; use binary_cross_entropy.pos_weight" if spec.loss.task == "labels" else ""
        raise InputError(
            f"train.class_weight needs one class a row, {spec.loss.kind} of {spec.out_shape or 'a number'} "
            f"learns {spec.loss.task}{use}"
        )
    if not isinstance(class_weight, Mapping):
        return balanced(weighed or {}, count)
    labels = spec.classes.tolist()
    numbers = _numbers(labels, names)
    weights = [1.0] * count
    for label, weight in class_weight.items():
        if label not in numbers:
            known = ", ".join(map(str, labels[:8])) + (", ..." if len(labels) > 8 else "")
            raise InputError(
                f"train.class_weight: {shown(label, 40)} is no label of the data; known: {known}"
            )
        weights[numbers[label]] = weight
    return tuple(weights)


def _numbers(labels: Sequence[object], names: Sequence[str]) -> dict[object, int]:
    """Return the numbers of the classes by label, by the label as a text, and by their name in the data."""
    numbers: dict[object, int] = {str(label): number for number, label in enumerate(labels)}
    if len(names) == len(labels):
        numbers |= {name: number for number, name in enumerate(names)}
    return numbers | {label: number for number, label in enumerate(labels)}
