"""The contract of a layer that attends to other positions, for a share of them: ring attention.

Each task has the queries of its share of the positions. Keys and values go round a ring of all shares:

    share 0   project ─> attend(keys 0) ─> attend(keys 2) ─> attend(keys 1) ─> finish
    share 1   project ─> attend(keys 1) ─> attend(keys 0) ─> attend(keys 2) ─> finish
    share 2   project ─> attend(keys 2) ─> attend(keys 1) ─> attend(keys 0) ─> finish

In the backward pass, the gradients of keys and values go round with them, back to their own share.

Reference:
    Liu et al. 2023, "Ring attention with blockwise transformers for near-infinite context".
    https://arxiv.org/abs/2310.01889
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from daskpar.backend.array import Array, Reduced, pickle_via_host
from daskpar.backend.kernels.reference.ring import Softmax
from daskpar.nn.layer import Context, Layer, Params


class Keys(NamedTuple):
    """Keys and values (rows, heads, positions, features of a head) from position `start` on.

    `mask` (rows, positions) is true up to the end of each sequence; None if no sequence is padded.
    """

    k: Array
    v: Array
    mask: Array | None
    start: int

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


class Attended(NamedTuple):
    """Values for the queries of a share, and logarithms of the sums of exponentials.

    `merged` is (rows, positions, features), `logarithm` (rows, heads, positions), as in
    `backend.reference.ring.attended`.
    """

    merged: Array
    logarithm: Array


class Slope(NamedTuple):
    """The gradient of the attended values, and its product with them.

    `dy` is (rows, heads, positions, features of a head), `delta` (rows, heads, positions).
    """

    dy: Array
    delta: Array

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


@dataclass(frozen=True)
class Ring(Layer):
    """A layer for a share of the positions that receives the keys of other shares one after the other."""

    def project(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Keys]:
        """Return the queries of the share and its keys, from x (rows, positions, features)."""
        raise TypeError(f"{type(self).__name__} does not define project")

    def attend(self, queries: Array, keys: Keys, before: Softmax | None, ctx: Context) -> Softmax:
        """Return the softmax of the queries after one more block of keys. `before` is None at first."""
        raise TypeError(f"{type(self).__name__} does not define attend")

    def finish(self, params: Params, softmax: Softmax) -> tuple[Array, Attended]:
        """Return the output of the share, and the values for its backward pass, after all blocks of keys."""
        raise TypeError(f"{type(self).__name__} does not define finish")

    def begin_backward(self, params: Params, saved: Attended, dy: Array) -> Slope:
        """Return the gradient of the attended values, from that of the output."""
        raise TypeError(f"{type(self).__name__} does not define begin_backward")

    def attend_backward(
        self, queries: Array, keys: Keys, saved: Attended, slope: Slope, ctx: Context
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of queries, keys and values that one block of keys contributes."""
        raise TypeError(f"{type(self).__name__} does not define attend_backward")

    def finish_backward(
        self,
        params: Params,
        x: Array,
        saved: Attended,
        dy: Array,
        gradients: tuple[Array, Array, Array],
        ctx: Context,
    ) -> tuple[Array | None, Params]:
        """Return dx and the gradients of the parameters.

        `gradients` are those of the share's queries, keys and values.
        """
        raise TypeError(f"{type(self).__name__} does not define finish_backward")
