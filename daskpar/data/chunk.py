"""A chunk: rows of examples and targets, ready for a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskpar.backend.array import Array, array_module, is_floating, module_named
from daskpar.data.order import Order, Piece
from daskpar.data.transforms import Fitted
from daskpar.errors import InputError


class Chunk(NamedTuple):
    """Examples and targets, row by row.

    `x` (rows, ...): in the precision of the run, or int32 for tokens. `y` (rows, ...): classes as they are,
    numbers in the precision of the run.
    """

    x: Array
    y: Array


def prepare(
    name: str,
    x: Any,
    y: Any,
    precision: str,
    transforms: Sequence[Fitted] = (),
    targets: Sequence[Fitted] = (),
    module: str = "numpy",
    x_dtype: str | None = None,
) -> Chunk:
    """A chunk from rows as they are stored: transforms applied, cast, NaN refused.

    `x_dtype`: another dtype for the examples, e.g. int32 for tokens.
    """
    xp, x_dtype = module_named(module), x_dtype or precision
    x, y = _finite(name, xp.asarray(x), "examples"), _finite(name, xp.asarray(y), "targets")
    with np.errstate(over="ignore"):  # told below, by name
        x = transformed(x, transforms, x_dtype)
        for fitted in targets:
            y = fitted.apply(y)
        if is_floating(y):
            y = y.astype(precision)
    return Chunk(_finite(name, x, f"examples as {x_dtype}"), _finite(name, y, f"targets as {precision}"))


def transformed(x: Array, transforms: Sequence[Fitted], precision: str) -> Array:
    """Examples with the transforms applied, in the run's precision.

    Wide integers and float64 are cast last: 1,700,000,001 and 1,700,000,002 are one number in float32.
    """
    if np.can_cast(x.dtype, precision):
        x = x.astype(precision)
    for fitted in transforms:
        x = fitted.apply(x)
    return x.astype(precision, copy=False)


def _finite(name: str, values: Array, what: str) -> Array:
    if is_floating(values) and not bool(array_module(values).isfinite(values).all()):
        raise InputError(f"{name} data: NaN or infinite values in the {what}; clean the data first")
    return values


def draw(order: Order, epoch: int, pieces: Sequence[Piece], chunks: Sequence[Chunk]) -> Chunk:
    """The rows of a batch that lie in `pieces`, each given with its chunk, in order."""
    xp = array_module(chunks[0].x)
    rows = [
        (order.row_order(epoch, p.stream, p.chunk, c.y), p.start, p.stop)
        for p, c in zip(pieces, chunks, strict=True)
    ]
    if len(rows) == 1 and rows[0][0] is None:
        (start, stop), chunk = rows[0][1:], chunks[0]
        return Chunk(chunk.x[start:stop], chunk.y[start:stop])
    total = sum(stop - start for _, start, stop in rows)
    out = Chunk(*(xp.empty((total, *part.shape[1:]), dtype=part.dtype) for part in chunks[0]))
    hint = {"mode": "clip"} if xp is np else {}  # NumPy writes straight into `out` only with this mode
    at = 0
    for (index, start, stop), chunk in zip(rows, chunks, strict=True):
        for into, part in zip(out, chunk, strict=True):
            target = into[at : at + stop - start]
            if index is None:
                target[...] = part[start:stop]
            else:
                xp.take(part, xp.asarray(index[start:stop]), axis=0, out=target, **hint)
        at += stop - start
    return out
