"""Tasks that use a state as it is: evaluation and prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskpar.backend import blas
from daskpar.backend.array import Array, to_numpy
from daskpar.data.chunk import Chunk, transformed
from daskpar.errors import InputError
from daskpar.graph.spec import Lane, Spec, Sums
from daskpar.graph.tasks.gradient import add_sums, measure, quietly
from daskpar.nn.layer import Context

PREDICTIONS = ("outputs", "probabilities", "classes")
_ROWS = 256  # rows that are evaluated at once: bounds memory, and is the same everywhere


Owner = Lane | tuple[Lane, ...]
"""A state, or those of the members of an ensemble, which speak on average."""


def gather_members(*owners: Lane) -> tuple[Lane, ...]:
    """The states of an ensemble."""
    return owners


def _outputs(spec: Spec, owner: Owner, x: Array) -> Array:
    members = [owner] if isinstance(owner, Lane) else owner
    views = [spec.table.views(member.state.params) for member in members]
    found = [spec.model.run(own, x, Context(backward=False))[0] for own in views]
    return found[0] if len(found) == 1 else spec.loss.mean(found)


@quietly
def evaluate(spec: Spec, owner: Owner, chunk: Chunk) -> Sums:
    """Sums of loss, weights and metrics over a chunk, with dropout and the like switched off."""
    sums: Sums = ()
    for start in range(0, len(chunk.x), _ROWS):
        x, y = chunk.x[start : start + _ROWS], chunk.y[start : start + _ROWS]
        sums = add_sums(sums, measure(spec, _outputs(spec, owner, x), y)[0])
    return sums


@quietly
@blas.lasting_limit()
def predict(spec: Spec, owner: Owner, x: Any, kind: str = "outputs") -> np.ndarray:
    """Predictions, one of `PREDICTIONS`, for examples (rows, ...) as they are stored; on the host."""
    xp = spec.xp
    x = transformed(xp.asarray(x), spec.transforms, spec.x_dtype)
    if x.shape[1:] != spec.in_shape:
        raise InputError(f"predict: examples of shape {x.shape[1:]}, the model expects {spec.in_shape}")
    turn = {"probabilities": spec.loss.activate, "classes": spec.loss.decide}.get(kind, lambda y: y)
    starts = range(0, max(1, len(x)), _ROWS)
    out = [turn(_outputs(spec, owner, x[i : i + _ROWS])) for i in starts]
    return to_numpy(xp.concatenate(out) if len(out) > 1 else out[0])
