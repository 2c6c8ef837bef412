"""The gated recurrent unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.nn.layer import Context, Params, Shape
from daskpar.nn.layers.recurrent import Recurrent, carry, each_gate, going, set_apart, split
from daskpar.registry import register


@register("gru")
@dataclass(frozen=True)
class GRU(Recurrent):
    """Gated recurrent unit, with the reset gate applied after the recurrent product, as in PyTorch.

        r = sigmoid(x @ weight_r + h @ recurrent_r + bias_r)                reset gate
        z = sigmoid(x @ weight_z + h @ recurrent_z + bias_z)                update gate
        n = tanh(x @ weight_n + bias_n + r · (h @ recurrent_n + candidate_bias))
        h' = (1 − z) · n + z · h

    Masked positions keep the state of the position before.

    Args:
        units: Size of the state.
        sequences: Return the states of all positions. False returns the last state. Default: False.
        bias: Add learned biases. Default: True.
        reverse: Go from the last position to the first. Default: False.

    Shape:
        - Input: (rows, positions, features).
        - Output: (rows, units), or (rows, positions, units) with `sequences`.

    Parameters:
        - weight: (features, 3·units), r, z and n side by side.
        - recurrent: (units, 3·units).
        - bias: (3·units,).
        - candidate_bias: (units,).

    Raises:
        InputError: `units` is not positive, or the input is no sequence.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, GRU
        >>> layer = GRU(16, sequences=True)
        >>> params, _ = layer.init(np.random.default_rng(0), (10, 4))
        >>> y, _ = layer.forward(params, np.zeros((2, 10, 4)), Context())
        >>> y.shape
        (2, 10, 16)

    Reference:
        Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation", section 2.3. https://arxiv.org/abs/1406.1078
    """

    gates: ClassVar[int] = 3

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        params, out_shape = super().init(rng, in_shape)
        if self.bias:
            params["candidate_bias"] = np.zeros(self.units)
        return params, out_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, ...]]:
        xp, positions, two = array_module(x), x.shape[1], 2 * self.units
        # sigmoid(a) = (1 + tanh(a / 2)) / 2: the half is in the weights of r and z
        half = each_gate(x, self.units, (0.5, 0.5, 1))
        bias = params["bias"] * half if self.bias else None
        recurrent = params["recurrent"] * half
        gates = xp.empty((positions, x.shape[0], 3 * self.units), dtype=x.dtype)
        self.project(x, ctx.mask, params["weight"] * half, bias, gates)
        states = self.start(x)
        candidates = xp.empty_like(states[1:])  # h @ recurrent_n + candidate_bias
        space, reset = xp.empty_like(gates[0]), xp.empty_like(states[0])
        goes = going(ctx.mask, positions)
        for t, before, after in self.steps(positions):
            xp.matmul(states[before], recurrent, out=space)
            candidate, state, both = candidates[t], states[after], gates[t][:, :two]
            both += space[:, :two]
            xp.tanh(both, out=both)
            both += 1
            both *= 0.5
            r, z, n = split(gates[t], self.units)
            candidate[...] = space[:, two:]
            if self.bias:
                candidate += params["candidate_bias"]
            n += xp.multiply(r, candidate, out=reset)
            xp.tanh(n, out=n)
            xp.subtract(states[before], n, out=state)
            state *= z
            state += n
            carry(states, before, after, goes[t])
        return self.output(states), (x, ctx.mask, gates, candidates, states)

    def backward(
        self, params: Params, saved: tuple[Array, ...], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        x, mask, gates, candidates, states = saved
        xp, units = array_module(dy), self.units
        # Gradients are stored in the order s, r, z, n, where s is the recurrent product of n. Those of the
        # recurrent product (s, r, z) and of the product with the input (r, z, n) are then both contiguous.
        turned = xp.ascontiguousarray(xp.roll(params["recurrent"], units, axis=1).T)
        dh, at_each = self.gradient(dy)
        space = xp.empty_like(dh)
        d = xp.empty((*gates.shape[:2], 4 * units), dtype=dy.dtype)
        goes = going(mask, x.shape[1])
        for t, before, _ in reversed(self.steps(x.shape[1])):
            if at_each is not None:
                dh += at_each[t]
            carried = set_apart(dh, goes[t])
            (r, z, n), (ds, dr, dz, dn) = split(gates[t], units), split(d[t], units)
            xp.multiply(n, n, out=dn)
            xp.subtract(1, dn, out=dn)
            dn *= dh
            xp.subtract(states[before], n, out=dz)
            dz *= dh
            dz *= z
            xp.subtract(1, z, out=space)
            dn *= space
            dz *= space
            xp.multiply(dn, r, out=ds)
            xp.multiply(ds, candidates[t], out=dr)
            xp.subtract(1, r, out=space)
            dr *= space
            dh *= z
            dh += xp.matmul(d[t][:, : 3 * units], turned, out=space)
            if carried is not None:
                dh += carried
        dx, grads = self.products(params, x, mask, d[:, :, units:], ctx)
        grads["recurrent"] = xp.roll(self.recurrent_gradient(states, d[:, :, : 3 * units]), -units, axis=1)
        if self.bias:
            grads["candidate_bias"] = xp.sum(d[:, :, :units], axis=(0, 1), out=ctx.space("candidate_bias"))
        return dx, grads
