"""Long short-term memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.nn.layer import Context, Params, Shape
from daskpar.nn.layers.recurrent import Recurrent, carry, each_gate, going, set_apart, split
from daskpar.registry import register


@register("lstm")
@dataclass(frozen=True)
class LSTM(Recurrent):
    """Long short-term memory, with forget gates.

        i, f, g, o = x @ weight + h @ recurrent + bias        side by side, in this order
        c' = sigmoid(f) · c + sigmoid(i) · tanh(g)            cell
        h' = sigmoid(o) · tanh(c')                            state

    Masked positions keep the state and the cell of the position before.

    Args:
        units: Size of the state.
        sequences: Return the states of all positions. False returns the last state. Default: False.
        bias: Add a learned bias. Default: True.
        reverse: Go from the last position to the first. Default: False.
        forget_bias: Initial bias of the forget gate. Default: 1.0.

    Shape:
        - Input: (rows, positions, features).
        - Output: (rows, units), or (rows, positions, units) with `sequences`.

    Parameters:
        - weight: (features, 4·units), i, f, g and o side by side.
        - recurrent: (units, 4·units).
        - bias: (4·units,).

    Raises:
        InputError: `units` is not positive, or the input is no sequence.

    Example:
        >>> import numpy as np
        >>> from daskpar import LSTM, Context
        >>> layer = LSTM(16)
        >>> params, _ = layer.init(np.random.default_rng(0), (10, 4))
        >>> y, _ = layer.forward(params, np.zeros((2, 10, 4)), Context())
        >>> y.shape
        (2, 16)

    Reference:
        Hochreiter and Schmidhuber 1997, "Long short-term memory".
        Gers, Schmidhuber and Cummins 2000, "Learning to forget: continual prediction with LSTM".
        Jozefowicz, Zaremba and Sutskever 2015, "An empirical exploration of recurrent network architectures",
        section 2.2, for `forget_bias`.
    """

    forget_bias: float = 1.0
    gates: ClassVar[int] = 4

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        params, out_shape = super().init(rng, in_shape)
        if self.bias:
            params["bias"][self.units : 2 * self.units] = self.forget_bias
        return params, out_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, ...]]:
        xp, positions = array_module(x), x.shape[1]
        # sigmoid(a) = (1 + tanh(a / 2)) / 2: with the half in the weights, one tanh computes all four
        half = each_gate(x, self.units, (0.5, 0.5, 1, 0.5))
        shift = each_gate(x, self.units, (0.5, 0.5, 0, 0.5))
        bias = params["bias"] * half if self.bias else None
        recurrent = params["recurrent"] * half
        gates = xp.empty((positions, x.shape[0], 4 * self.units), dtype=x.dtype)
        self.project(x, ctx.mask, params["weight"] * half, bias, gates)
        states, cells = self.start(x), self.start(x)
        space, kept = xp.empty_like(gates[0]), xp.empty_like(states[0])
        goes = going(ctx.mask, positions)
        for t, before, after in self.steps(positions):
            gate, state, cell = gates[t], states[after], cells[after]
            gate += xp.matmul(states[before], recurrent, out=space)
            xp.tanh(gate, out=gate)
            gate *= half
            gate += shift
            i, f, g, o = split(gate, self.units)
            xp.multiply(i, g, out=cell)
            cell += xp.multiply(f, cells[before], out=kept)
            xp.tanh(cell, out=state)
            state *= o
            carry(cells, before, after, goes[t])
            carry(states, before, after, goes[t])
        return self.output(states), (x, ctx.mask, gates, states, cells)

    def backward(
        self, params: Params, saved: tuple[Array, ...], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        x, mask, gates, states, cells = saved
        xp, turned = array_module(dy), params["recurrent"].T
        top, bottom = (each_gate(x, self.units, values) for values in ((1, 1, 0, 1), (0, 0, 1, 0)))
        dh, at_each = self.gradient(dy)
        dc, space = xp.zeros_like(dh), xp.empty_like(dh)
        d = xp.empty_like(gates)
        goes = going(mask, x.shape[1])
        for t, before, after in reversed(self.steps(x.shape[1])):
            if at_each is not None:
                dh += at_each[t]
            carried, carried_cell = set_apart(dh, goes[t]), set_apart(dc, goes[t])
            inner = d[t]
            (i, f, g, o), (di, df, dg, do) = split(gates[t], self.units), split(inner, self.units)
            xp.subtract(top, gates[t], out=inner)  # slopes: a · (1 - a) of sigmoids, 1 - a · a of the tanh
            inner *= gates[t]
            inner += bottom
            xp.tanh(cells[after], out=space)
            do *= dh
            do *= space
            space *= space
            xp.subtract(1, space, out=space)
            space *= o
            space *= dh
            dc += space
            di *= g
            df *= cells[before]
            dg *= i
            for gradient in (di, df, dg):
                gradient *= dc
            dc *= f
            xp.matmul(inner, turned, out=dh)
            if carried is not None:
                dh += carried
                dc += carried_cell
        dx, grads = self.products(params, x, mask, d, ctx)
        grads["recurrent"] = self.recurrent_gradient(states, d, ctx.space("recurrent"))
        return dx, grads
