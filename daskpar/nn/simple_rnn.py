"""The simple recurrent layer."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.backend.array import Array, array_module
from daskpar.errors import unknown
from daskpar.nn.layer import Context, Params
from daskpar.nn.recurrent import Recurrent, carry, going, set_apart
from daskpar.registry import register


@register("simple_rnn")
@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """h' = activation(x @ weight + h @ recurrent + bias) (Elman 1990), with `tanh` or `relu`.

    (rows, positions, features) -> (rows, units), or with `sequences` (rows, positions, units). Parameters:
    weight (features, units), recurrent (units, units), bias (units,).
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
