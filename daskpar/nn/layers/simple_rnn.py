"""The simple recurrent layer."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.backend.array import Array, array_module
from daskpar.errors import unknown
from daskpar.nn.layer import Context, Params
from daskpar.nn.layers.recurrent import Recurrent, carry, going, set_apart
from daskpar.registry import register


@register("simple_rnn")
@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """Simple recurrent layer: `h' = activation(x @ weight + h @ recurrent + bias)`.

    Masked positions keep the state of the position before.

    Args:
        units: Size of the state.
        sequences: Return the states of all positions. False returns the last state. Default: False.
        bias: Add a learned bias. Default: True.
        reverse: Go from the last position to the first. Default: False.
        activation: "tanh" or "relu". Default: "tanh".

    Shape:
        - Input: (rows, positions, features).
        - Output: (rows, units), or (rows, positions, units) with `sequences`.

    Parameters:
        - weight: (features, units).
        - recurrent: (units, units).
        - bias: (units,).

    Raises:
        InputError: `units` is not positive, `activation` is not known, or the input is no sequence.

    Example:
        With weights of 1 it computes running sums:

        >>> import numpy as np
        >>> from daskpar import Context, SimpleRNN
        >>> layer = SimpleRNN(1, sequences=True, bias=False, activation="relu")
        >>> params = {"weight": np.ones((1, 1)), "recurrent": np.ones((1, 1))}
        >>> y, _ = layer.forward(params, np.array([[[1.0], [2.0], [3.0]]]), Context())
        >>> y.tolist()
        [[[1.0], [3.0], [6.0]]]

    Reference:
        Elman 1990, "Finding structure in time".
    """

    activation: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation not in ("tanh", "relu"):
            raise unknown("simple_rnn.activation", self.activation, ("tanh", "relu"))

    def forward(
        self, params: Params, x: Array, ctx: Context
    ) -> tuple[Array, tuple[Array, Array | None, Array]]:
        xp, recurrent = array_module(x), params["recurrent"]
        states = self.start(x)
        self.project(x, ctx.mask, params["weight"], params.get("bias"), self.after(states))
        space = xp.empty_like(states[0])
        goes = going(ctx.mask, x.shape[1])
        for t, before, after in self.steps(x.shape[1]):
            state = states[after]
            state += xp.matmul(states[before], recurrent, out=space)
            if self.activation == "tanh":
                xp.tanh(state, out=state)
            else:
                xp.maximum(state, 0, out=state)
            carry(states, before, after, goes[t])
        return self.output(states), (x, ctx.mask, states)

    def backward(
        self, params: Params, saved: tuple[Array, Array | None, Array], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        x, mask, states = saved
        xp, turned = array_module(dy), params["recurrent"].T
        dh, at_each = self.gradient(dy)
        d = xp.empty_like(states[1:])
        goes = going(mask, x.shape[1])
        for t, _, after in reversed(self.steps(x.shape[1])):
            if at_each is not None:
                dh += at_each[t]
            carried = set_apart(dh, goes[t])
            state, inner = states[after], d[t]
            if self.activation == "tanh":
                xp.multiply(state, state, out=inner)
                xp.subtract(1, inner, out=inner)
                inner *= dh
            else:
                xp.multiply(dh, state > 0, out=inner)
            xp.matmul(inner, turned, out=dh)
            if carried is not None:
                dh += carried
        dx, grads = self.products(params, x, mask, d, ctx)
        grads["recurrent"] = self.recurrent_gradient(states, d, ctx.space("recurrent"))
        return dx, grads
