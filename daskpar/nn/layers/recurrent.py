"""The base of recurrent layers: parameters, order of positions, masks, and products for all positions.

    slot          0      1      2      3
    state       zeros ─> h0 ──> h1 ──> h2         one slot more than there are positions
    position           0      1      2

The loop over positions holds only the recurrent product and element-wise operations on contiguous blocks.
The product with the input, and those that compute the gradients of the weights, need no state of the loop:
each is one matrix product for all positions. Arrays within a layer therefore have the positions first:
(positions, rows, features).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.initialisers import glorot
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.sizes import require_room


@dataclass(frozen=True)
class Recurrent(Layer):
    """Base class of recurrent layers.

    Masked positions carry the state over unchanged. Their input has no influence and no gradient. With
    `reverse`, the states stay at their positions.

    Args:
        units: Size of the state.
        sequences: Return the states of all positions. False returns the last state. Default: False.
        bias: Add a learned bias. Default: True.
        reverse: Go from the last position to the first. Default: False.

    Shape:
        - Input: (rows, positions, features).
        - Output: (rows, units), or (rows, positions, units) with `sequences`.

    Parameters:
        - weight: (features, gates·units), the gates side by side.
        - recurrent: (units, gates·units).
        - bias: (gates·units,).
    """

    units: int
    sequences: bool = False
    bias: bool = True
    reverse: bool = False
    gates: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_positive(self.kind, units=self.units)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) != 2 or 0 in in_shape:
            raise InputError(
                f"{self.kind}: expected examples of shape (positions, features), got {in_shape}; "
                "put an embedding or a reshape before it"
            )
        positions, features = in_shape
        width = self.gates * self.units
        params = {
            "weight": glorot(rng, (features, width), features, self.units),
            "recurrent": np.concatenate([orthogonal(rng, self.units) for _ in range(self.gates)], axis=1),
        }
        if self.bias:
            params["bias"] = np.zeros(width)
        return params, ((positions, self.units) if self.sequences else (self.units,))

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        return mask if self.sequences else None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        positions, features = in_shape
        return 2 * positions * (features + self.units) * self.gates * self.units

    def steps(self, positions: int) -> list[tuple[int, int, int]]:
        """Return (position, slot of the state before it, slot of the state after it) in the order of time."""
        if self.reverse:
            return [(t, t + 1, t) for t in reversed(range(positions))]
        return [(t, t, t + 1) for t in range(positions)]

    def start(self, x: Array) -> Array:
        """Return an array for the states (positions + 1, rows, units). The first one in time is zero."""
        xp = array_module(x)
        states = xp.empty((x.shape[1] + 1, x.shape[0], self.units), dtype=x.dtype)
        states[-1 if self.reverse else 0] = 0
        return states

    def before(self, states: Array) -> Array:
        """Return the state before each position (positions, rows, units), a view."""
        return states[1:] if self.reverse else states[:-1]

    def after(self, states: Array) -> Array:
        """Return the state after each position (positions, rows, units), a view."""
        return states[:-1] if self.reverse else states[1:]

    def project(self, x: Array, mask: Array | None, weight: Array, bias: Array | None, out: Array) -> None:
        """Write the product with the input for all positions to `out` (positions, rows, gates·units)."""
        flat = _flat(out)
        array_module(x).matmul(_flat(positions_first(x, mask)), weight, out=flat)
        if bias is not None:
            flat += bias

    def output(self, states: Array) -> Array:
        """Return the output of the layer.

        All states are returned as a view, which the next recurrent layer uses without copying it.
        """
        states = self.after(states)
        # The last state is copied: a view would keep all the others in memory.
        return states.transpose(1, 0, 2) if self.sequences else states[0 if self.reverse else -1].copy()

    def gradient(self, dy: Array) -> tuple[Array, Array | None]:
        """Return the gradient of the last state, an array of its own, and those of all states or None.

        They are (rows, units), and (positions, rows, units) to add at each position.
        """
        if self.sequences:
            dy = dy.transpose(1, 0, 2)
            return array_module(dy).zeros(dy.shape[1:], dtype=dy.dtype), dy
        return dy.copy(), None

    def products(
        self, params: Params, x: Array, mask: Array | None, d: Array, ctx: Context
    ) -> tuple[Array, Params]:
        """Return dx, and the gradients of weight and bias.

        `d` (positions, rows, gates·units) is the gradient of the product with the input.
        """
        xp, flat = array_module(d), _flat(d)
        inputs = _flat(positions_first(x, mask))
        grads = {"weight": xp.matmul(inputs.T, flat, out=ctx.space("weight"))}
        if self.bias:
            grads["bias"] = xp.sum(flat, axis=0, out=ctx.space("bias"))
        if not ctx.input_gradient:
            return None, grads
        dx = (flat @ params["weight"].T).reshape(*d.shape[:2], x.shape[2])
        return dx.transpose(1, 0, 2), grads

    def recurrent_gradient(self, states: Array, d: Array, out: Array | None = None) -> Array:
        """Return the gradient of the recurrent weights, from the gradient `d` of the recurrent product."""
        return array_module(d).matmul(_flat(self.before(states)).T, _flat(d), out=out)


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a random orthogonal matrix (size, size): it keeps the length of a state (Saxe et al. 2014)."""
    require_room("parameters", (size, size))
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def positions_first(x: Array, mask: Array | None) -> Array:
    """Return `x` as contiguous (positions, rows, features), with zeros at masked positions."""
    xp = array_module(x)
    x = xp.ascontiguousarray(x.transpose(1, 0, 2))
    return x if mask is None else xp.where(mask.T[:, :, None], x, xp.zeros((), dtype=x.dtype))


def going(mask: Array | None, positions: int) -> list[Any]:
    """Return for each position the rows that are not masked (rows, 1), or None if that is all of them."""
    if mask is None:
        return [None] * positions
    columns = mask.T[:, :, None]
    return [None if whole else columns[t] for t, whole in enumerate(mask.all(axis=0).tolist())]


def carry(states: Array, before: int, after: int, goes: Array | None) -> None:
    """Restore the state of masked rows to the one before the position."""
    if goes is not None:
        states[after] = array_module(states).where(goes, states[after], states[before])


def set_apart(d: Array, goes: Array | None) -> Array | None:
    """Remove the gradient of carried states from `d`, and return it: it skips the position."""
    if goes is None:
        return None
    carried = d * ~goes
    d *= goes
    return carried


def split(block: Array, units: int) -> tuple[Array, ...]:
    """Return the gates of a block (rows, gates·units) as views."""
    return tuple(block[:, start : start + units] for start in range(0, block.shape[1], units))


def each_gate(x: Array, units: int, values: tuple[float, ...]) -> Array:
    """Return a vector (gates·units,) like `x`, with one value for each gate."""
    xp = array_module(x)
    return xp.repeat(xp.asarray(values, dtype=x.dtype), units)


def _flat(x: Array) -> Array:
    """Return an array with positions and rows in one axis."""
    return x.reshape(-1, x.shape[2])
