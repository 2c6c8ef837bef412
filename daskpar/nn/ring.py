"""The contract of a layer whose positions look at each other's, on a share of them: keys go round a ring.

    share 0   project ─> attend(keys 0) ─> attend(keys 2) ─> attend(keys 1) ─> finish
    share 1   project ─> attend(keys 1) ─> attend(keys 0) ─> attend(keys 2) ─> finish
    share 2   project ─> attend(keys 2) ─> attend(keys 1) ─> attend(keys 0) ─> finish

A share passes the keys on that it has looked at to the next. On the way back, the gradients of keys go round
with them, and come home (Liu et al. 2023, "Ring attention with blockwise transformers").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from daskpar.backend.array import Array, Reduced, pickle_via_host
from daskpar.backend.kernels.reference.ring import Softmax
from daskpar.nn.layer import Context, Layer, Params


class Keys(NamedTuple):
    """Keys and values (rows, heads, positions, features of a head) from position `start` on.

    `mask` (rows, positions) is true where a sequence goes on, None where all do.
    """

    k: Array
    v: Array
    mask: Array | None
    start: int

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


class Attended(NamedTuple):
    """Sums of values for the queries of a share (rows, positions, features), and their logarithms (rows,
    heads, positions), as `backend.reference.ring.attended` has them."""

    merged: Array
    logarithm: Array


class Slope(NamedTuple):
    """The gradient of the sums of values (rows, heads, positions, features of a head), and its product with
    them (rows, heads, positions)."""

    dy: Array
    delta: Array

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


@dataclass(frozen=True)
class Ring(Layer):
    """A layer on a share of the positions, which sees those of other shares as keys that pass by."""

    def project(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Keys]:
        """(the queries of the share, its keys), from x (rows, positions, features)."""
        raise TypeError(f"{type(self).__name__} has no project")

    def attend(self, queries: Array, keys: Keys, before: Softmax | None, ctx: Context) -> Softmax:
        """Let the queries see one more block of keys."""
        raise TypeError(f"{type(self).__name__} has no attend")

    def finish(self, params: Params, softmax: Softmax) -> tuple[Array, Attended]:
        """(the output of the share, what its backward pass needs), when all blocks have been seen."""
        raise TypeError(f"{type(self).__name__} has no finish")

    def begin_backward(self, params: Params, saved: Attended, dy: Array) -> Slope:
        """The gradient of the sums of values, from that of the output."""
        raise TypeError(f"{type(self).__name__} has no begin_backward")

    def attend_backward(
        self, queries: Array, keys: Keys, saved: Attended, slope: Slope, ctx: Context
    ) -> tuple[Array, Array, Array]:
        """The gradients (of queries, keys and values) by one block of keys."""
        raise TypeError(f"{type(self).__name__} has no attend_backward")

    def finish_backward(
        self,
        params: Params,
        x: Array,
        saved: Attended,
        dy: Array,
        gradients: tuple[Array, Array, Array],
        ctx: Context,
    ) -> tuple[Array | None, Params]:
        """(dx, gradients of the parameters), from `gradients` of the share's queries, keys and values."""
        raise TypeError(f"{type(self).__name__} has no finish_backward")
