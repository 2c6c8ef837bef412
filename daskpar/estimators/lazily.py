"""Operations on predictions that are arrays, or dask arrays and then stay lazy."""

from __future__ import annotations

import numpy as np

from daskpar.backend.array import Array
from daskpar.data.dask_arrays import is_dask


def two_columns(positive: Array) -> Array:
    """Return the probabilities (rows, 2) of no and yes, from those of yes (rows, 1)."""
    if not is_dask(positive):
        return np.concatenate([1 - positive, positive], axis=1)
    import dask.array as da

    return da.concatenate([1 - positive, positive], axis=1).rechunk({1: -1})


def logarithm(probabilities: Array) -> Array:
    """Return natural logarithms; that of 0 is minus infinity."""
    if is_dask(probabilities):
        return probabilities.map_blocks(logarithm, dtype=probabilities.dtype)
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def computed(client: object, *values: object) -> tuple[Array, ...]:
    """Return values with collections of Dask computed, on the `client` if there is one.

    One after the other: Dask warns of frames and arrays that are computed together.
    """
    import dask

    scheduler = "threads" if isinstance(client, str) else client
    return tuple(dask.compute(value, scheduler=scheduler)[0] for value in values)
