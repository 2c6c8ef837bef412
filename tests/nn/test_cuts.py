"""What layers declare of how they can be cut is true: parts of a layer, put together, are the layer."""

import math
import zlib

import numpy as np
import pytest
from device import convert
from layer_rows import TABLE

from daskpar.nn import BatchNorm, Context, Conv2d, GroupNorm, MaxPool
from daskpar.nn.parameters import ParameterTable

ROWS = 3
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
IN_WIDTH = [row for row in TABLE if row.layer.width() is not None]
BY_ROWS = [row for row in TABLE if len(row.shape) == 3 and row.layer.window(row.shape) is not None]
WIDE = {"dropout", "batch_norm", "max_pool"}


def started(row):
    """Parameters, none of them zero, an input and the gradient of an output."""
    rng = np.random.default_rng(zlib.crc32(row.name.encode()))
    params, out_shape = row.layer.init(rng, row.shape)
    params = convert(params, np.ndarray, lambda p: p + rng.uniform(0.1, 0.5, p.shape))
    x, dy = rng.standard_normal((ROWS, *row.shape)), rng.standard_normal((ROWS, *out_shape))
    if row.words is not None:
        x = rng.integers(0, row.words, x.shape)
    return params, x, dy


def names(table, entry):
    return sorted(table, key=lambda row: row.name)


def shares(total, unit):
    """`total` things cut in two, unevenly where that can be, as slices; a unit is never cut."""
    count = total // unit
    first = max(1, count // 3) * unit
    return (slice(0, first), slice(first, total)) if count > 1 else (slice(0, total),)
