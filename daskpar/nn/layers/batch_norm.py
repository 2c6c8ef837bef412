"""Batch normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.layer import BatchStatistics, Context, Params, Shape, require_positive
from daskpar.nn.moments import count_of, moments_about, spread, summed
from daskpar.nn.partition_rules import ROW, Width, Window
from daskpar.registry import register

_FAR = 100.0  # squared distance of a mean from its pivot, in variances: beyond it squares cancel in float32


@register("batch_norm")
@dataclass(frozen=True)
class BatchNorm(BatchStatistics):
    """`(x − mean) / √(variance + epsilon) · scale + shift` for each channel, which is the last axis.

    Ioffe and Szegedy 2015, alg. 1. For (features,), images and sequences, of which masked positions do not
    count. While training, mean and variance are those of the chunk, or with `sync` of the whole batch: what
    holds the chunks combines what `gather` gives for each, adds up what `gather_backward` gives, and hands
    the total to `forward_with` and `backward_with`. Else they are the running ones: exponential means over
    the batches, of which the newest counts 1 − `momentum`, with the variance unbiased (n / (n − 1)).

    With `trainable=False` it normalises by the running ones in training, too, and they stay as they are (as
    in Keras, and as `eval()` does in PyTorch): what a network has learnt is not moved by a few new rows.

    Parameters: scale, shift, running_mean, running_variance, each (channels,), running_batches (1,).
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    scale: bool = True
    shift: bool = True
    sync: bool = False

    def __post_init__(self) -> None:
        require_positive("batch_norm", epsilon=self.epsilon)
        if not 0 <= self.momentum < 1:
            raise InputError(f"batch_norm.momentum={self.momentum} must be at least 0 and below 1")

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        channels = last_axis("batch_norm", in_shape)
        params: Params = {"scale": np.ones(channels)} if self.scale else {}
        if self.shift:
            params["shift"] = np.zeros(channels)
        params["running_mean"], params["running_variance"] = np.zeros(channels), np.ones(channels)
        return params | {"running_batches": np.zeros(1)}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, ...]]:
        if ctx.training and self.trainable:
            return self.forward_with(params, x, self.gather(params, x, ctx), ctx)
        return self._normalise(params, x, params["running_mean"], params["running_variance"], None, ctx)

    def backward(
        self, params: Params, saved: tuple[Array, ...], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        return self.backward_with(params, saved, dy, self.gather_backward(params, saved, dy, ctx), ctx)

    def gather(self, params: Params, x: Array, ctx: Context) -> Array:
        """(3, channels): the mean less the running mean, Σ(x − mean)², and the count.

        Squares are summed about the running mean, which costs no pass of its own, or where that is too far
        from the mean about the mean that the first pass found: else they would cancel in float32.
        """
        pivot = params["running_mean"]
        moments = moments_about(pivot, x, ctx.mask)
        offset, squares, count = moments
        variance = squares / array_module(x).maximum(count, 1)
        if bool((offset * offset > _FAR * (variance + self.epsilon)).any()):
            near = pivot + offset
            moments = moments_about(near, x, ctx.mask)
            moments[0] += near - pivot
        return moments

    def forward_with(
        self, params: Params, x: Array, sums: Array, ctx: Context
    ) -> tuple[Array, tuple[Array, ...]]:
        """`forward`, by the mean and variance that one or several chunks have gathered."""
        xp = array_module(x)
        variance = sums[1] / xp.maximum(sums[2], 1)
        variance = xp.where(xp.isinf(variance), xp.nan, variance)  # told with the loss; 1 / inf would be 0
        return self._normalise(params, x, params["running_mean"] + sums[0], variance, sums, ctx)

    def gather_backward(self, params: Params, saved: tuple[Array, ...], dy: Array, ctx: Context) -> Array:
        """(2, channels): Σdy and Σdy·x̂, where x̂ is what was normalised, before scale and shift."""
        x, mean, inverse, _, _ = saved
        sums = array_module(x).empty((2, x.shape[-1]), dtype=x.dtype)
        sums[0] = summed(dy)
        product = x - spread(mean, x)
        product *= dy
        sums[1] = summed(product) * inverse
        return sums

    def backward_with(
        self, params: Params, saved: tuple[Array, ...], dy: Array, sums: Array, ctx: Context
    ) -> tuple[Array, Params]:
        """`backward`, for `sums` over the chunks that `forward_with` had the sums of.

        Gradients and running sums are those of all these chunks times this chunk's share of the count, so
        that they add up: the own ones are not known any more.
        """
        x, mean, inverse, gathered, mask = saved
        xp = array_module(x)
        share: Array | float = 1.0
        if gathered is not None:
            share = count_of(x, mask) / xp.maximum(gathered[2], 1)
        grads: Params = {}
        for name, row in (("scale", 1), ("shift", 0)):
            if name in params:
                grads[name] = xp.multiply(sums[row], share, out=ctx.space(name))
        running = None if gathered is None else self._running(params, gathered)
        for row, name in enumerate(("running_mean", "running_variance", "running_batches")):
            value = params[name]
            grads[name] = xp.zeros_like(value)
            if running is not None:
                grads[name] += (running[row] * share)[: len(value)]
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
        rows = xp.maximum(count, 1)
        away = sums["running_mean"] / rows
        biased = xp.maximum(sums["running_variance"] / rows - self._squared(params, away), 0)
        unbiased = biased * (rows / xp.maximum(rows - 1, 1))
        seen = (count > 0).astype(mean.dtype)
        new = seen * (1 - self.momentum)
        return {
            "running_mean": mean + new * (away + self._ahead(params)),
            "running_variance": variance + new * (unbiased - variance),
            "running_batches": batches + seen,
        }

    def _running(self, params: Params, gathered: Array) -> tuple[Array, Array, Array]:
        """The sums over a chunk that `observe` needs: Σ(x − c), Σ(x − c)² and the count.

        c is the mean of all batches so far, near the means of all chunks, so that squares do not cancel.
        """
        offset, squares, count = gathered
        away = offset - self._ahead(params)
        return away * count, squares + count * self._squared(params, away), count

    def _ahead(self, params: Params) -> Array:
        """The mean of all batches so far less the running mean, 0 before the first batch.

        The running mean begins at 0 and takes tens of batches to reach the data's; divided by
        1 − momentum^batches it is there after the first (Kingma and Ba 2015, sec. 3).
        """
        mean, batches = params["running_mean"], params["running_batches"]
        rest = array_module(mean).where(batches > 0, self.momentum**batches, 0)  # of a mean that has begun
        return mean * (rest / (1 - rest))

    def _squared(self, params: Params, away: Array) -> Array:
        """The squared distance `away` of a chunk's mean from c.

        Before the first batch nobody knows a c. In float32, which may have no digits for squares about 0,
        each chunk then takes its own mean: the variance between the chunks of that batch is left out.
        """
        squared = away * away
        if away.dtype.itemsize > 4:
            return squared
        return array_module(away).where(params["running_batches"] > 0, squared, 0 * squared)

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 7 * math.prod(out_shape)

    def width(self) -> Width | None:
        names = ("scale",) * self.scale + ("shift",) * self.shift + ("running_mean", "running_variance")
        return Width("each", axes=tuple((name, 0) for name in names))

    def window(self, in_shape: Shape) -> Window | None:
        """Rows of pixels may be cut where statistics are shared or fixed: else a piece would have its own."""
        return ROW if self.sync or not self.trainable else None

    def _normalise(
        self, params: Params, x: Array, mean: Array, variance: Array, sums: Array | None, ctx: Context
    ) -> tuple[Array, tuple[Array, ...]]:
        inverse = 1 / array_module(x).sqrt(variance + self.epsilon)
        y = x - spread(mean, x)
        y *= spread(inverse * params["scale"] if self.scale else inverse, x)
        if self.shift:
            y += spread(params["shift"], x)
        return y, (x, mean, inverse, sums, ctx.mask)


def last_axis(layer: str, in_shape: Shape) -> int:
    """The number of channels of an example of `in_shape`."""
    if not in_shape:
        raise InputError(
            f"{layer}: expected examples of one axis or more, got shape (); put a dense before it"
        )
    return in_shape[-1]
