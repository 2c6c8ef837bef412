"""Operations on predictions that are NumPy arrays or Dask arrays; results of Dask arrays are lazy."""

from __future__ import annotations

import numpy as np

from daskpar.backend.array import Array
from daskpar.data.dask_arrays import is_dask


def two_columns(positive: Array) -> Array:
    """Return the probabilities of both classes (rows, 2), from those of the second class (rows, 1)."""
    if not is_dask(positive):
        return np.concatenate([1 - positive, positive], axis=1)
    import dask.array as da

    return da.concatenate([1 - positive, positive], axis=1).rechunk({1: -1})


def logarithm(probabilities: Array) -> Array:
    """Return natural logarithms, element-wise; the logarithm of 0 is minus infinity."""
    if is_dask(probabilities):
        return probabilities.map_blocks(logarithm, dtype=probabilities.dtype)
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def computed(client: object, *values: object) -> tuple[Array, ...]:
    """Return values with Dask collections computed, on the `client` if there is one.

    They are computed one after another, because Dask warns of frames and arrays in one computation.
    """
    import dask

    scheduler = "threads" if isinstance(client, str) else client
    return tuple(dask.compute(value, scheduler=scheduler)[0] for value in values)
