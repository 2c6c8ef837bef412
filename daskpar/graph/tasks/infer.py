"""Tasks that use a state as it is: evaluation and prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskpar.backend.array import to_numpy
from daskpar.data.chunk import Chunk, transformed
from daskpar.errors import InputError
from daskpar.graph.spec import Lane, Spec, Sums
from daskpar.graph.tasks.gradient import add_sums, measure, quietly
from daskpar.nn.layer import Context

PREDICTIONS = ("outputs", "probabilities", "classes")
_ROWS = 256  # rows that are evaluated at once: bounds memory, and is the same everywhere


@quietly
def evaluate(spec: Spec, owner: Lane, chunk: Chunk) -> Sums:
    """Sums of loss, weights and metrics over a chunk, with dropout and the like switched off."""
    sums: Sums = ()
    views = spec.table.views(owner.state.params)
    for start in range(0, len(chunk.x), _ROWS):
        x, y = chunk.x[start : start + _ROWS], chunk.y[start : start + _ROWS]
        outputs, *_ = spec.model.run(views, x, Context(backward=False))
        sums = add_sums(sums, measure(spec, outputs, y)[0])
    return sums


@quietly
def predict(spec: Spec, owner: Lane, x: Any, kind: str = "outputs") -> np.ndarray:
    """Predictions, one of `PREDICTIONS`, for examples (rows, ...) as they are stored; on the host."""
    xp = spec.xp
    x = transformed(xp.asarray(x), spec.transforms, spec.x_dtype)
    if x.shape[1:] != spec.in_shape:
        raise InputError(f"predict: examples of shape {x.shape[1:]}, the model expects {spec.in_shape}")
    views = spec.table.views(owner.state.params)
    turn = {"probabilities": spec.loss.activate, "classes": spec.loss.decide}.get(kind, lambda y: y)
    starts = range(0, max(1, len(x)), _ROWS)
    out = [turn(spec.model.run(views, x[i : i + _ROWS], Context(backward=False))[0]) for i in starts]
    return to_numpy(xp.concatenate(out) if len(out) > 1 else out[0])
