"""The context of one pass through a network, as a layer receives it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from daskpar.backend.array import Array

Shape = tuple[int, ...]
Params = dict[str, Any]
"""Arrays by name; a layer made of layers nests the dicts of its layers under "0", "1", ..."""
Saved = Any
"""Values that a layer keeps for its backward pass: arrays, in tuples, lists and dicts of its choice."""


@dataclass(frozen=True)
class Context:
    """One pass over some rows of a batch: the argument `ctx` of `Layer.forward` and `Layer.backward`.

    `seed`, `step`, `path` and `row` address random draws. A layer that draws by them, and by nothing else,
    draws the same for a row of the batch under every layout. `Dropout` shows how.

    Args:
        training: True while training, False for evaluation and prediction. Default: False.
        seed: Seed of the run. Default: 0.
        step: Number of the training step. Default: 0.
        row: Number of the first row of the chunk within the whole batch. Default: 0.
        path: Place of the layer in the network, for example (2, 0). Default: ().
        out: Arrays that `backward` may write gradients into, with the names and shapes of `params`, or None.
            `backward` returns the gradients all the same. Default: None.
        input_gradient: False if nobody needs the gradient of the input. `backward` may then return None for
            it. Default: True.
        mask: Bool array (rows, positions), False at padding; None if nothing is padding. Default: None.
        backward: False if no backward pass follows. `forward` may then return None as `saved`. Default: True.
        consume: True if `backward` may release the saved values of each layer once it has used them.
            Default: False.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Dropout
        >>> layer, x = Dropout(0.5), np.ones((2, 4))
        >>> y, _ = layer.forward({}, x, Context())  # not training: nothing is dropped
        >>> bool((y == x).all())
        True
        >>> whole, _ = layer.forward({}, x, Context(training=True, row=6))  # rows 6 and 7 of the batch
        >>> second, _ = layer.forward({}, x[1:], Context(training=True, row=7))  # row 7 alone
        >>> bool((whole[1:] == second).all())
        True
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
        """Return the context of layer `index` of a container."""
        out = None if self.out is None else self.out.get(str(index))
        return Context(  # three times as fast as `replace`, and called for each layer and step
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
        """Return the context of the layer at a place within a container."""
        ctx = self
        for index in path:
            ctx = ctx.child(index, input_gradient)
        return ctx if ctx.input_gradient == input_gradient else replace(ctx, input_gradient=input_gradient)

    def masked(self, mask: Array | None) -> Context:
        """Return the context with another mask."""
        return self if mask is self.mask else replace(self, mask=mask)

    def space(self, name: str) -> Array | None:
        """Return the array that gradient `name` may be written into, or None."""
        return None if self.out is None else self.out.get(name)
