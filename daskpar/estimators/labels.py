"""Encoding of class labels as the numbers that a network is trained on, and decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from daskpar.backend.array import Array
from daskpar.data.dask_arrays import is_dask
from daskpar.errors import InputError, shown
from daskpar.estimators.lazily import computed
from daskpar.estimators.messages import one_line_errors


@dataclass(frozen=True, eq=False)
class Labelling:
    """Map between labels and class numbers.

    Args:
        classes: Sorted labels (classes,).
        multilabel: True if targets are indicators: one column of 0 or 1 per class.
    """

    classes: np.ndarray
    multilabel: bool = False

    def encode(self, y: Array) -> Array:
        """Return the class number of each label (rows,) as int64, or indicators (rows, classes) unchanged.

        Lazy for a Dask array. Raises InputError for a label that is not one of the classes.
        """
        if is_dask(y):
            if self.multilabel:
                return y.astype(np.int64)
            return y.reshape(-1).map_blocks(_numbers, self.classes, dtype=np.int64)
        if self.multilabel:
            if y.ndim != 2 or y.shape[1] != len(self.classes):
                raise InputError(f"y of shape {y.shape}: expected {len(self.classes)} columns of 0 or 1")
            return np.asarray(y, np.int64)
        return _numbers(column_or_1d(y, warn=True), self.classes)

    def decode(self, numbers: Array) -> Array:
        """Return the labels of class numbers, or indicators unchanged. Lazy for a Dask array."""
        if self.multilabel:
            return numbers
        if is_dask(numbers):
            return numbers.map_blocks(_labels, self.classes, dtype=self.classes.dtype)
        return self.classes[numbers]


def labelling(y: Array, client: object) -> Labelling:
    """Return the labelling of targets (rows,), or of indicators (rows, labels) of 0 and 1.

    A Dask array is computed block by block on the `client`, which returns only the distinct labels.
    Raises InputError for continuous numbers, for several columns of classes, and for fewer than two classes.
    """
    values = _values_of_blocks(y, client) if is_dask(y) else y
    with one_line_errors():
        check_classification_targets(values)
        kind = type_of_target(values, input_name="y")
    columns = y.shape[1] if y.ndim == 2 else 1
    if columns > 1:
        if kind == "multiclass-multioutput" or not np.isin(values, (0, 1)).all():
            raise InputError(
                f"y has {columns} columns of several classes each; expected one column, or labels of 0 and 1"
            )
        return Labelling(np.arange(columns), multilabel=True)
    return of_classes(np.asarray(values).reshape(-1))


def of_classes(values: Array) -> Labelling:
    """Return the labelling of the classes that occur in `values` (n,).

    Raises InputError if there are fewer than two.
    """
    classes = np.unique(column_or_1d(values))
    if len(classes) < 2:
        raise InputError(
            f"y holds one class only, {shown(classes.tolist()[0])}; a classifier needs at least 2 classes"
        )
    return Labelling(classes)


def _values_of_blocks(y: Array, client: object) -> np.ndarray:
    """Return the distinct labels (n,) of a Dask array, or distinct rows (n, columns) of several columns."""
    import dask

    distinct = dask.delayed(_distinct)
    blocks = [distinct(block) for block in y.rechunk({1: -1} if y.ndim > 1 else {}).to_delayed().ravel()]
    return _distinct(np.concatenate(*computed(client, blocks)))


def listed(classes: np.ndarray) -> str:
    """Return the classes as text for a message, shortened if there are many."""
    return shown(classes.tolist())


def _distinct(block: np.ndarray) -> np.ndarray:
    return np.unique(block, axis=0 if block.ndim > 1 else None)


def _numbers(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the index of each label (rows,) in the sorted classes, as int64."""
    indices = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    strange = classes[indices] != y
    if np.any(strange):
        label = np.asarray(y)[strange][:1].tolist()[0]
        raise InputError(f"y holds {shown(label)}, which is none of the {len(classes)} classes_")
    return indices.astype(np.int64)


def _labels(numbers: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return classes[numbers]
