"""Labels of classes as the numbers that a network is trained on, and back."""

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
    """The classes (classes,) in sorted order; `multilabel` where each is a column of 0 or 1 of its own."""

    classes: np.ndarray
    multilabel: bool = False

    def encode(self, y: Array) -> Array:
        """Return the number of each label (rows,); indicators (rows, classes) stay as they are.

        Lazy for a dask array. Raises InputError for a label that is none of the classes.
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
        """Return the labels of classes by number; indicators stay as they are. Lazy for a dask array."""
        if self.multilabel:
            return numbers
        if is_dask(numbers):
            return numbers.map_blocks(_labels, self.classes, dtype=self.classes.dtype)
        return self.classes[numbers]


def labelling(y: Array, client: object) -> Labelling:
    """Return the labelling of targets (rows,), or of indicators (rows, labels) of 0 and 1.

    A dask array is computed block by block on the `client`; only the labels that occur come here.
    Raises InputError for numbers that are measured rather than told apart, for labels of several outputs,
    and for fewer than two classes.
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

    Raises InputError where there are fewer than two.
    """
    classes = np.unique(column_or_1d(values))
    if len(classes) < 2:
        raise InputError(
            f"y holds one class only, {shown(classes.tolist()[0])}; a classifier needs at least 2 classes"
        )
    return Labelling(classes)


def _values_of_blocks(y: Array, client: object) -> np.ndarray:
    """Return the labels (n,) that occur in a dask array, each once; of several columns (n, columns)."""
    import dask

    distinct = dask.delayed(_distinct)
    blocks = [distinct(block) for block in y.rechunk({1: -1} if y.ndim > 1 else {}).to_delayed().ravel()]
    return _distinct(np.concatenate(*computed(client, blocks)))


def listed(classes: np.ndarray) -> str:
    """Return the classes, or the first of many, for a message."""
    return shown(classes.tolist())


def _distinct(block: np.ndarray) -> np.ndarray:
    return np.unique(block, axis=0 if block.ndim > 1 else None)


def _numbers(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the place of each label (rows,) among sorted classes."""
    places = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    strange = classes[places] != y
    if np.any(strange):
        label = np.asarray(y)[strange][:1].tolist()[0]
        raise InputError(f"y holds {shown(label)}, which is none of the {len(classes)} classes_")
    return places.astype(np.int64)


def _labels(numbers: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return classes[numbers]
