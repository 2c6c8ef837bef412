"""Batch normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.cuts import ROW, Width, Window
from daskpar.nn.layer import Context, Params, Shape, Sharing, positive


@dataclass(frozen=True)
class BatchNorm(Sharing):
    """`(x − mean) / √(variance + epsilon) · scale + shift` for each channel, which is the last axis.

    Ioffe and Szegedy 2015, alg. 1. For (features,), images and sequences, of which masked positions do not
    count. While training, mean and variance are those of the chunk, or with `sync` of the whole batch: what
    holds the chunks adds up what `gather` and `gather_backward` give for each, and hands the sum to
    `forward_with` and `backward_with`. Else they are the running ones: exponential means over the batches,
    of which the newest counts 1 − `momentum`, with the variance unbiased (n / (n − 1)).

    Parameters: scale, shift, running_mean, running_variance, each (channels,), running_batches (1,).
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    scale: bool = True
    shift: bool = True
    sync: bool = False
    kind: ClassVar[str] = "batch_norm"

    def __post_init__(self) -> None:
        positive("batch_norm", epsilon=self.epsilon)
        if not 0 <= self.momentum < 1:
            raise InputError(f"batch_norm.momentum={self.momentum} must be at least 0 and below 1")

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        channels = last_axis("batch_norm", in_shape)
        params: Params = {"scale": np.ones(channels)} if self.scale else {}
        if self.shift:
            params["shift"] = np.zeros(channels)
        params["running_mean"], params["running_variance"] = np.zeros(channels), np.ones(channels)
        return params | {"running_batches": np.zeros(1)}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        if ctx.training:
            return self.forward_with(params, x, self.gather(params, x, ctx), ctx)
        return self._normalise(params, x, params["running_mean"], params["running_variance"], None, ctx)

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return self.backward_with(params, saved, dy, self.gather_backward(params, saved, dy, ctx), ctx)

    def gather(self, params: Params, x: Array, ctx: Context) -> Array:
        """(3, channels): Σ(x − m), Σ(x − m)² and the count, where m is the running mean.

        Sums of x itself would cancel in float32 where the mean is far from zero.
        """
        away = x - spread(params["running_mean"], x)
        if ctx.mask is not None:
            away *= ctx.mask[..., None]
        sums = array_module(x).empty((3, x.shape[-1]), dtype=x.dtype)
        sums[0] = summed(away)
        away *= away
        sums[1] = summed(away)
        sums[2] = _count(x, ctx.mask)
        return sums

    def forward_with(self, params: Params, x: Array, sums: Array, ctx: Context) -> tuple[Array, Any]:
        """`forward`, by the mean and variance that `sums` of one or several chunks tell."""
        offset, variance, _ = _moments(sums)
        return self._normalise(params, x, params["running_mean"] + offset, variance, sums, ctx)

    def gather_backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> Array:
        """(2, channels): Σdy and Σdy·x̂, where x̂ is what was normalised, before scale and shift."""
        x, mean, inverse, _, _ = saved
        sums = array_module(x).empty((2, x.shape[-1]), dtype=x.dtype)
        sums[0] = summed(dy)
        product = x - spread(mean, x)
        product *= dy
        sums[1] = summed(product) * inverse
        return sums

    def backward_with(
        self, params: Params, saved: Any, dy: Array, sums: Array, ctx: Context
    ) -> tuple[Array, Params]:
        """`backward`, for `sums` over the chunks that `forward_with` had the sums of.

        Gradients and running sums are those of all these chunks times this chunk's share of the count, so
        that they add up: the own ones are not known any more.
        """
        x, mean, inverse, gathered, mask = saved
        xp = array_module(x)
        share: Any = 1.0
        if gathered is not None:
            share = _count(x, mask) / xp.maximum(gathered[2], 1)
        grads: Params = {}
        for name, row in (("scale", 1), ("shift", 0)):
            if name in params:
                grads[name] = xp.multiply(sums[row], share, out=ctx.space(name))
        for name, row in (("running_mean", 0), ("running_variance", 1), ("running_batches", 2)):
            count = params[name].shape[0]
            grads[name] = xp.zeros_like(params[name]) if gathered is None else (gathered[row] * share)[:count]
        if not ctx.input_gradient:
            return None, grads
        slope = inverse * params["scale"] if self.scale else inverse
        dx = dy * spread(slope, x)
        if gathered is not None:
            # slope · (Σdy + x̂ · Σdy·x̂) / count, what reaches x by way of the mean and the variance
            slope = slope / xp.maximum(gathered[2], 1)
            through = x - spread(mean, x)
            through *= spread(slope * inverse * sums[1], x)
            through += spread(slope * sums[0], x)
            if mask is not None:
                through *= mask[..., None]
            dx -= through
        return dx, grads

    def observe(self, params: Params, sums: Params) -> Params:
        mean, variance, batches = (params[f"running_{n}"] for n in ("mean", "variance", "batches"))
        xp = array_module(mean)
        count = sums["running_batches"]
        stacked = (sums["running_mean"], sums["running_variance"], xp.broadcast_to(count, mean.shape))
        offset, biased, count_or_one = _moments(stacked)
        unbiased = biased * (count_or_one / xp.maximum(count_or_one - 1, 1))
        seen = (count > 0).astype(mean.dtype)
        new = seen * (1 - self.momentum)
        return {
            "running_mean": mean + new * offset,
            "running_variance": variance + new * (unbiased - variance),
            "running_batches": batches + seen,
        }

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 7 * math.prod(out_shape)

    def width(self) -> Width | None:
        names = ("scale",) * self.scale + ("shift",) * self.shift + ("running_mean", "running_variance")
        return Width("each", axes=tuple((name, 0) for name in names))

    def window(self, in_shape: Shape) -> Window | None:
        """Rows of pixels may be cut only where statistics are shared: else a piece would have its own."""
        return ROW if self.sync else None

    def _normalise(
        self, params: Params, x: Array, mean: Array, variance: Array, sums: Any, ctx: Context
    ) -> tuple[Array, Any]:
        inverse = 1 / array_module(x).sqrt(variance + self.epsilon)
        y = x - spread(mean, x)
        y *= spread(inverse * params["scale"] if self.scale else inverse, x)
        if self.shift:
            y += spread(params["shift"], x)
        return y, (x, mean, inverse, sums, ctx.mask)


def _count(x: Array, mask: Array | None) -> Any:
    """How many values of each channel count."""
    return float(math.prod(x.shape[:-1])) if mask is None else mask.sum(dtype=x.dtype)


def _moments(sums: Any) -> tuple[Array, Array, Array]:
    """Mean less running mean, biased variance, and count (at least 1), from what `gather` gave."""
    xp = array_module(sums[0])
    count = xp.maximum(sums[2], 1)
    offset = sums[0] / count
    return offset, xp.maximum(sums[1] / count - offset * offset, 0), count


def last_axis(layer: str, in_shape: Shape) -> int:
    """The number of channels of an example of `in_shape`."""
    if not in_shape:
        raise InputError(
            f"{layer}: expected examples of one axis or more, got shape (); put a dense before it"
        )
    return in_shape[-1]


def spread(vector: Array, x: Array) -> Array:
    """A (channels,) vector in the shape of an example of `x`: loops over whole examples, not channels, are
    three times as fast."""
    return array_module(vector).tile(vector, (*x.shape[1:-1], 1))


def summed(x: Array, axis: int = 0) -> Array:
    """The sum over all axes from `axis` to the last but one.

    One axis after the other: ten times as fast as all of them at once where channels are few, and less is
    lost to rounding.
    """
    while x.ndim > axis + 1:
        x = x.sum(axis=axis)
    return x
