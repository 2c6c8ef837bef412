"""Checks of the examples, targets and weights that people pass to an estimator, as scikit-learn makes them.

Arrays, lists, frames and sparse matrices are checked whole. For Dask arrays and frames, only the names and
the number of columns are checked here. A worker checks each block when it loads it (`daskpar.data.check`).
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
    """Examples (rows, ...), targets (rows, ...), and weights (rows,) or None, as NumPy or Dask arrays."""

    x: Array
    y: Array
    sample_weight: Array


class Allowed(NamedTuple):
    """Kinds of examples and targets that an estimator accepts, besides rows of numbers.

    Args:
        axes: Accept examples with more than one axis, e.g. images.
        raw: Accept missing values, and frames with columns of any kind, which the transforms then prepare.
        numbers: Expect targets that are numbers, not labels.
    """

    axes: bool
    raw: bool
    numbers: bool


def check_examples(estimator: BaseEstimator, x: object, allowed: Allowed, reset: bool = False) -> Array:
    """Return examples after a check that their columns are those that the estimator was fitted on.

    `reset` stores their columns instead, for a new fit. Raises InputError.
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
    """Return examples, targets and weights to train on, checked together; see `check_examples`."""
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


def check_validation(estimator: BaseEstimator, validation: object, allowed: Allowed) -> Checked:
    """Return checked validation data, from a pair (X, y) or from (X, y, sample_weight).

    Raises InputError.
    """
    if not isinstance(validation, list | tuple) or len(validation) not in (2, 3):
        raise InputError("validation: expected a share of the rows, e.g. 0.1, or a pair of arrays (X, y)")
    x, y, sample_weight = (*validation, None)[:3]
    return check_training_data(estimator, x, y, sample_weight, allowed, reset=False)


def _columns(x: Array) -> Array:
    """Return an object with the number and the names of a Dask collection's columns."""
    like: Array = getattr(x, "_meta", x) if hasattr(type(x), "to_dask_array") else x
    if len(like.shape) < 2:
        raise InputError(
            f"X: Expected 2D array, got {len(like.shape)}D array instead; Reshape your data using "
            "X.reshape(-1, 1) if it has a single column"
        )
    return like


def _weights(sample_weight: object, rows: int) -> np.ndarray:
    """Return one weight per row; a single number is repeated for all rows. The Trainer checks the rest."""
    weights = np.full(rows, float(sample_weight)) if isinstance(sample_weight, Real) else sample_weight
    weights = np.asarray(weights)
    if not weights.any():
        raise InputError("sample_weight: all weights are zero; expected at least one above zero")
    return weights
