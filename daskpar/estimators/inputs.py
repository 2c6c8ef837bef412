"""Examples, targets and weights that people pass to an estimator, checked as scikit-learn checks them.

Arrays, lists, frames and sparse matrices are checked whole. Of dask arrays and frames only the names and the
number of columns are looked at here; each block is checked where it is loaded (`daskpar.data.check`).
"""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from daskpar.backend.array import Array
from daskpar.data.dask_arrays import checked_blocks, is_dask
from daskpar.data.frames import is_frame
from daskpar.data.sparse import is_sparse
from daskpar.errors import InputError
from daskpar.estimators.messages import one_line_errors


class Checked(NamedTuple):
    """Examples (rows, ...), targets (rows, ...), and weights (rows,) or None; arrays or dask arrays."""

    x: Array
    y: Array
    sample_weight: Array


class Allowed(NamedTuple):
    """Examples that are accepted besides rows of numbers.

    `axes`: more than one axis, as images have. `raw`: missing values, and in frames columns of any kind,
    which the Trainer's transforms are to prepare. `numbers`: of targets, whether they are numbers and not
    labels.
    """

    axes: bool
    raw: bool
    numbers: bool


def check_examples(estimator: BaseEstimator, x: object, allowed: Allowed, reset: bool = False) -> Array:
    """Return examples, in the columns that the estimator was fitted on.

    `reset`: whether these columns are those that it is fitted on from now on. Raises InputError.
    """
    with one_line_errors():
        if is_dask(x) or (allowed.raw and is_frame(x)):
            validate_data(estimator, _columns(x), reset=reset, skip_check_array=True)
            return x
        checked: Array = validate_data(
            estimator,
            x,
            reset=reset,
            accept_sparse="csr",
            allow_nd=allowed.axes,
            ensure_all_finite="allow-nan" if allowed.raw else True,
        )
        return checked


def check_training_data(
    estimator: BaseEstimator, x: object, y: object, sample_weight: object, allowed: Allowed, reset: bool
) -> Checked:
    """Return examples, targets and weights to train on; see `check_examples`."""
    if y is None:
        raise InputError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None; "
            "pass fit(X, y)"
        )
    examples = check_examples(estimator, x, allowed, reset)
    if is_dask(x) or is_dask(y):
        examples = checked_blocks(examples, "fit") if is_dask(x) and not allowed.raw else examples
        targets = checked_blocks(y, "fit", "targets") if is_dask(y) else np.asarray(y)
        return Checked(examples, targets, sample_weight)
    with one_line_errors():
        targets = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y")
        targets = targets.toarray() if is_sparse(targets) else targets
        if allowed.numbers and targets.dtype.kind == "O":
            targets = targets.astype(np.float64)
        check_consistent_length(examples, targets)
        weights = None if sample_weight is None else _weights(sample_weight, len(targets))
    return Checked(examples, targets, weights)


def check_validation(estimator: BaseEstimator, given: object, allowed: Allowed) -> Checked:
    """Return the data of a pair for validation (X, y), or with weights (X, y, sample_weight).

    Raises InputError.
    """
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise InputError("validation: expected a share of the rows, e.g. 0.1, or a pair of arrays (X, y)")
    x, y, sample_weight = (*given, None)[:3]
    return check_training_data(estimator, x, y, sample_weight, allowed, reset=False)


def _columns(x: Array) -> Array:
    """Return an object with the number and the names of a dask collection's columns."""
    like: Array = getattr(x, "_meta", x) if hasattr(type(x), "to_dask_array") else x
    if len(like.shape) < 2:
        raise InputError(
            f"X: Expected 2D array, got {len(like.shape)}D array instead; Reshape your data using "
            "X.reshape(-1, 1) if it has a single column"
        )
    return like


def _weights(sample_weight: object, rows: int) -> np.ndarray:
    """Return one weight a row; a single number stands for all rows. The Trainer checks the rest."""
    weights = np.full(rows, float(sample_weight)) if isinstance(sample_weight, Real) else sample_weight
    weights = np.asarray(weights)
    if not weights.any():
        raise InputError("sample_weight: all weights are zero; expected at least one above zero")
    return weights
