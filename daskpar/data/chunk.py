"""Chunks: rows of examples and targets, transformed and in the precision of the run; batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import (
    Array,
    ArrayModule,
    Reduced,
    aligned,
    array_module,
    is_floating,
    module_named,
    native,
    pickle_via_host,
    to_numpy,
)
from daskpar.data.records import NUMBER, is_records, kinds
from daskpar.data.sampler import Piece, Sampler
from daskpar.data.transforms import Examples, Fitted
from daskpar.data.weights import one_a_row, refused
from daskpar.errors import InputError


class Chunk(NamedTuple):
    """Examples, targets and weights of some rows, on the host or on a device.

    `x` (rows, ...) is in the precision of the run, or int32 for tokens. Tokens whose rows overlap in memory
    keep their dtype, and become int32 when a batch is drawn. `y` (rows, ...): classes keep their dtype,
    numbers are in the precision of the run. `weights` (rows,) are in that precision; None: all rows have
    weight 1.

    >>> import numpy as np
    >>> from daskpar.data import Chunk
    >>> Chunk(np.zeros((5, 3), "float32"), np.arange(5))
    Chunk(x=(5, 3) float32, y=(5,) int64)
    """

    x: Array
    y: Array
    weights: Array | None = None

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)

    def __repr__(self) -> str:
        parts = zip(self._fields, self, strict=True)
        arrays = ", ".join(f"{name}={a.shape} {a.dtype}" for name, a in parts if a is not None)
        return f"{type(self).__name__}({arrays})"


def prepare(
    name: str,
    x: Array,
    y: Array,
    precision: str,
    transforms: Sequence[Fitted] = (),
    targets: Sequence[Fitted] = (),
    module: str = "numpy",
    x_dtype: str | None = None,
    weights: Array | None = None,
) -> Chunk:
    """Return a chunk of rows as they are stored: transformed, checked, cast, and moved to the device.

    `name`: the part of the data, for messages. `precision`: the dtype of the run, e.g. "float32".
    `transforms`, `targets`: fitted transforms of `x` and of `y`. `module`: "numpy" or "cupy". `x_dtype`:
    dtype of the examples where it differs from `precision`, e.g. int32 for tokens. `weights`: (rows,), or
    None.

    Raises InputError for NaN and infinite values, before and after the transforms, for different numbers of
    rows, and for weights below 0.
    """
    xp, x_dtype = module_named(module), x_dtype or precision
    if len(x) != len(y):
        raise InputError(f"{name} data: {len(x)} rows of examples but {len(y)} labels; expected one a row")
    stays = np.dtype(x_dtype).kind == "i" and overlaps(x)
    texts = np.dtype(y.dtype).kind == "U"  # no device stores texts; they become numbers below
    x = on_device(x, xp)
    x = x if fills(transforms) else _finite(name, x, "examples")
    y = _finite(name, y if texts else xp.asarray(y), "targets")
    with np.errstate(over="ignore"):  # refused below, by name
        x = x if stays else aligned(xp.asarray(transformed(x, transforms, x_dtype)))
        if targets and isinstance(targets[0], Examples):
            y = x
        for fitted in targets:
            y = fitted.apply(y)
        y = aligned(y.astype(precision, copy=False) if is_floating(y) else native(y))
    x, y = _finite(name, x, f"examples as {x_dtype}"), _finite(name, y, f"targets as {precision}")
    if weights is not None:
        weights = xp.asarray(_weights(name, weights, len(x), precision))
    return Chunk(x, y if xp is np else xp.asarray(y), weights)


def _weights(name: str, weights: Array, rows: int, precision: str) -> np.ndarray:
    """Return weights (rows,) in the precision of the run. Raises InputError if they are no weights."""
    weights = one_a_row(to_numpy(weights), rows, f"{name} data")
    with np.errstate(over="ignore"):
        cast = aligned(weights.astype(precision))
    fault = refused(weights) or refused(cast)
    if fault is not None:
        raise InputError(f"{name} data: {fault}")
    return cast


def transformed(x: Array, transforms: Sequence[Fitted], precision: str) -> Array:
    """Return examples (rows, ...) with the transforms applied, in the precision of the run.

    Wide integers and float64 are cast last: 1,700,000,001 and 1,700,000,002 are one number in float32.
    """
    if np.can_cast(x.dtype, precision):
        x = x.astype(precision)
    for fitted in transforms:
        x = fitted.apply(x)
    return x.astype(precision, copy=False)


def on_device(x: Array, xp: ArrayModule) -> Array:
    """Return examples as arrays of the module `xp`; records stay on the host until they are transformed."""
    return x if is_records(x.dtype) else xp.asarray(x)


def fills(transforms: Sequence[Fitted]) -> bool:
    """Return whether any of the transforms replaces missing values."""
    return any(fitted.fills for fitted in transforms)


def overlaps(values: Array) -> bool:
    """Return whether rows of an array share memory, as windows of a text do; copies would be far larger."""
    if not getattr(values, "size", 0) or not hasattr(values, "strides"):
        return False
    reach = sum((n - 1) * abs(step) for n, step in zip(values.shape, values.strides, strict=True))
    return reach + values.itemsize < values.nbytes


def not_finite(values: Array) -> Array:
    """Return booleans (rows,), True for rows with NaN or infinite values."""
    xp = array_module(values)
    if not is_floating(values):
        return xp.zeros(len(values), dtype=bool)
    return ~xp.isfinite(values).all(axis=tuple(range(1, values.ndim)))


def _finite(name: str, values: Array, what: str) -> Array:
    advice = "clean the data first"
    if what != "targets":
        advice += ", or replace missing values: transforms: [impute]"
    if is_records(values.dtype):
        numbers = [column.name for column in kinds(values.dtype) if column.kind == NUMBER]
        strange = [repr(n) for n in numbers if not_finite(values[n][:, None]).any()]
        if strange:
            named = ", ".join(strange[:8])
            raise InputError(f"{name} data: NaN or infinite values in the columns {named}; {advice}")
    elif is_floating(values) and not bool(array_module(values).isfinite(values).all()):
        raise InputError(f"{name} data: NaN or infinite values in the {what}; {advice}")
    return values


def draw(order: Sampler, epoch: int, pieces: Sequence[Piece], chunks: Sequence[Chunk]) -> Chunk:
    """Return the rows of a batch: those of `pieces` in order, each from the chunk at the same index.

    `order`: the sampler, which knows the order of the rows within a chunk in this epoch.
    """
    xp = array_module(chunks[0].x)
    rows = [
        (order.row_order(epoch, p.stream, p.chunk, c.y), p.start, p.stop)
        for p, c in zip(pieces, chunks, strict=True)
    ]
    if len(rows) == 1 and rows[0][0] is None:
        (start, stop), (x, y, weights) = rows[0][1:], chunks[0]
        drawn = x[start:stop].astype(_drawn(x), copy=False)
        return Chunk(drawn, y[start:stop], None if weights is None else weights[start:stop])
    total = sum(stop - start for _, start, stop in rows)
    x, y, weights = chunks[0]
    out = Chunk(
        xp.empty((total, *x.shape[1:]), dtype=_drawn(x)),
        xp.empty((total, *y.shape[1:]), dtype=y.dtype),
        None if weights is None else xp.empty(total, dtype=weights.dtype),
    )
    hint = {"mode": "clip"} if xp is np else {}  # NumPy needs this mode to write to `out` without a copy
    first = 0
    for (index, start, stop), chunk in zip(rows, chunks, strict=True):
        for into, part in zip(out, chunk, strict=True):
            if into is None or part is None:
                continue
            target = into[first : first + stop - start]
            if index is None:
                target[...] = part[start:stop]
            elif overlaps(part) or part.dtype != target.dtype:  # `take` would copy the whole part first
                target[...] = part[xp.asarray(index[start:stop])]
            else:
                xp.take(part, xp.asarray(index[start:stop]), axis=0, out=target, **hint)
        first += stop - start
    return out


def _drawn(x: Array) -> DTypeLike:
    """Return the dtype of these examples in a batch."""
    return "int32" if x.dtype.kind in "iu" else x.dtype
