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
    """Batch normalisation: `y = (x − mean) / √(variance + epsilon) · scale + shift` for each channel.

    A channel is an index of the last axis. While training, mean and variance are those of the chunk of rows
    that one task computes, or with `sync` those of the whole batch. In evaluation and prediction they are the
    running ones: exponential means over the batches, with the unbiased variance. Masked positions do not
    count.

    With `trainable=False` the layer uses the running statistics in training, too, and does not change them.

    Args:
        momentum: Weight of the old value in the running statistics; the newest batch has 1 − momentum.
            PyTorch calls 1 − momentum the momentum. Default: 0.9.
        epsilon: Added to the variance, against division by zero. Default: 1e-5.
        scale: Multiply by a learned factor. Default: True.
        shift: Add a learned bias. Default: True.
        sync: Use the statistics of the whole batch, whatever the layout. It costs one more synchronisation
            of the tasks in each direction. Default: False.

    Shape:
        - Input: (rows, channels), (rows, positions, channels) or (rows, height, width, channels).
        - Output: the same.

    Parameters:
        - scale, shift: (channels,).
        - running_mean, running_variance: (channels,), not trained by gradients.
        - running_batches: (1,), the number of batches so far.

    Raises:
        InputError: `momentum` is not in [0, 1), or `epsilon` is not positive.

    Example:
        >>> import numpy as np
        >>> from daskpar import BatchNorm, Context
        >>> layer = BatchNorm()
        >>> params, _ = layer.init(np.random.default_rng(0), (1,))
        >>> y, _ = layer.forward(params, np.array([[10.0], [30.0]]), Context(training=True))
        >>> y.round(3).tolist()
        [[-1.0], [1.0]]

    Reference:
        Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal
        covariate shift", algorithm 1. https://arxiv.org/abs/1502.03167
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
        """Return (3, channels): the mean minus the running mean, Σ(x − mean)², and the count.

        Squares are summed about the running mean, which saves a pass over `x`. If the mean is too far from
        it, they are summed again about the mean, because they would cancel in float32.
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
        """Compute the output from the moments of one or several chunks."""
        xp = array_module(x)
        variance = sums[1] / xp.maximum(sums[2], 1)
        variance = xp.where(
            xp.isinf(variance), xp.nan, variance
        )  # reported with the loss; 1 / inf would be 0
        return self._normalise(params, x, params["running_mean"] + sums[0], variance, sums, ctx)

    def gather_backward(self, params: Params, saved: tuple[Array, ...], dy: Array, ctx: Context) -> Array:
        """Return (2, channels): Σdy and Σdy·x̂. x̂ is the normalised input, before scale and shift."""
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
        """Compute the gradients of a chunk from `sums` over all chunks.

        The gradients and running sums of a single chunk are no longer known. Each chunk returns the total
        times its share of the count, so that the sum over the chunks is right.
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
            # slope · (Σdy + x̂ · Σdy·x̂) / count: the gradient through mean and variance
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
        """Return the sums over a chunk that `observe` needs: Σ(x − c), Σ(x − c)² and the count.

        c is the mean of all batches so far. It is near the means of all chunks, so squares do not cancel.
        """
        offset, squares, count = gathered
        away = offset - self._ahead(params)
        return away * count, squares + count * self._squared(params, away), count

    def _ahead(self, params: Params) -> Array:
        """Return the mean of all batches so far minus the running mean; 0 before the first batch.

        The running mean begins at 0 and needs tens of batches to reach the mean of the data. Divided by
        1 − momentum^batches it is right after the first one (Kingma and Ba 2015, section 3).
        """
        mean, batches = params["running_mean"], params["running_batches"]
        rest = array_module(mean).where(batches > 0, self.momentum**batches, 0)  # 0 before the first batch
        return mean * (rest / (1 - rest))

    def _squared(self, params: Params, away: Array) -> Array:
        """Return the squared distance `away` of a chunk's mean from c.

        Before the first batch, c is not known. Float32 may have too few digits for squares about 0, so each
        chunk uses its own mean: the variance between the chunks of that batch is left out.
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
        """Return the split by rows of pixels.

        There is none if each chunk has statistics of its own: a tile would compute others than the image.
        """
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
    """Return the number of channels of an example of `in_shape`."""
    if not in_shape:
        raise InputError(
            f"{layer}: expected examples of one axis or more, got shape (); put a dense before it"
        )
    return in_shape[-1]
