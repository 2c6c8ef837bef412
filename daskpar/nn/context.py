"""One pass through a network, as a layer sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from daskpar.backend.array import Array

Shape = tuple[int, ...]
Params = dict[str, Any]
"""Arrays by name; a layer made of layers nests the dicts of its parts under "0", "1", ..."""
Saved = Any
"""Values that a layer keeps for its backward pass: arrays, nested as it likes; each layer says its own."""


@dataclass(frozen=True)
class Context:
    """One pass over some rows of one batch.

    `row` is the place of the first of these rows in the global batch and `path` the layer's place in the
    network: with `seed` and `step` they name every random draw. `out`, where given, holds an array for each
    gradient, shaped like `params`, that `backward` may write its result into; it returns it all the same.
    Where `input_gradient` is false nobody needs dx, and `backward` may return None for it. `mask` (rows,
    positions) is true where a sequence goes on, None where all do. Where `backward` is false nobody will ask
    for gradients, and nothing need be saved; where `consume` is true what was saved is given away to
    `backward`, which lets go of it piece by piece.
    """

    training: bool = False
    seed: int = 0
    step: int = 0
    row: int = 0
    path: tuple[int, ...] = ()
    out: Params | None = None
    input_gradient: bool = True
    mask: Array | None = None
    backward: bool = True
    consume: bool = False

    def child(self, index: int, input_gradient: bool = True) -> Context:
        """The same pass, seen by part `index` of a layer made of layers."""
        out = None if self.out is None else self.out.get(str(index))
        return Context(  # thrice as fast as `replace`, and there are some for each layer and step
            self.training,
            self.seed,
            self.step,
            self.row,
            (*self.path, index),
            out,
            input_gradient,
            self.mask,
            self.backward,
            self.consume,
        )

    def within(self, path: tuple[int, ...], input_gradient: bool = True) -> Context:
        """The same pass, seen by the part at a place of a layer made of layers."""
        ctx = self
        for index in path:
            ctx = ctx.child(index, input_gradient)
        return ctx if ctx.input_gradient == input_gradient else replace(ctx, input_gradient=input_gradient)

    def masked(self, mask: Array | None) -> Context:
        """The same pass, with another mask."""
        return self if mask is self.mask else replace(self, mask=mask)

    def space(self, name: str) -> Array | None:
        """The array that gradient `name` may be written into, or None."""
        return None if self.out is None else self.out.get(name)
