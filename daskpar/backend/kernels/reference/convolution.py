"""Two-dimensional convolutions as matrix products over gathered patches (im2col).

Images are (rows, height, width, channels). Patches are gathered for a few images at a time, so that they stay
in a core's cache:

    x (rows, height, width, in) ── gather ──> patches (pixels, taps · in) ── @ weight (taps · in, out) ──> y

Reference:
    Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document
    processing".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from daskpar.backend.array import Array, array_module

Pair = tuple[int, int]
_PATCHES = 2**18  # elements: 1 MiB of float32


class Geometry(NamedTuple):
    """Geometry of a convolution or pooling; pairs are for height and width.

    Args:
        stride: Distance in pixels between neighbouring positions of the kernel. Default: (1, 1).
        padding: Zeros (before, after) along height and along width. Default: none.
        dilation: Distance in pixels between neighbouring taps of the kernel. Default: (1, 1).
        groups: Number of groups of channels that are convolved apart. Default: 1.
    """

    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    def output(self, image: Pair, kernel: Pair) -> Pair:
        """Return height and width of the output; a number below 1 means that the kernel does not fit."""
        height, width = (
            (size + sum(pad) - step * (taps - 1) - 1) // stride + 1
            for size, pad, step, taps, stride in zip(
                image, self.padding, self.dilation, kernel, self.stride, strict=True
            )
        )
        return height, width


def conv2d(x: Array, weight: Array, bias: Array | None, how: Geometry, rectify: bool = False) -> Array:
    """Return the convolution (rows, height', width', out) of images `x` (rows, height, width, in).

    `weight` is (kernel height, kernel width, in / groups, out), and `bias` (out,) or None. `how` is the
    geometry. `rectify` applies ReLU to the output.
    """
    xp = array_module(x)
    padded = surround(x, how)
    out = how.output(x.shape[1:3], weight.shape[:2])
    y = xp.empty((x.shape[0], *out, weight.shape[3]), dtype=x.dtype)
    for part in _blocks(x, weight, out):
        patches = _gather(padded[part], weight.shape[:2], out, how)
        target = y[part]
        for group, columns in _groups(weight, how):
            product = patches[:, group].reshape(-1, math.prod(weight.shape[:3])) @ _matrix(weight, columns)
            target[..., columns] = product.reshape(*target.shape[:3], -1)
    if bias is not None:
        y += bias
    return xp.maximum(y, 0, out=y) if rectify else y


def conv2d_backward(
    x: Array,
    weight: Array,
    dy: Array,
    how: Geometry,
    input_gradient: bool = True,
    rectified: bool = False,
) -> tuple[Array | None, Array, Array]:
    """Return the gradients of a convolution: of `x`, or None, of the weight and of the bias.

    `dy` (rows, height', width', out) is the gradient of the output. With `rectified`, `x` is an output of
    ReLU, and its gradient is zero where `x` is not above zero.
    """
    bias = array_module(dy).sum(dy.reshape(-1, dy.shape[-1]), axis=0)
    dx = conv2d_input_gradient(dy, weight, x.shape[1:3], how) if input_gradient else None
    if dx is not None and rectified:
        dx *= x > 0
    return dx, conv2d_weight_gradient(x, dy, weight.shape, how), bias


def conv2d_weight_gradient(x: Array, dy: Array, shape: tuple[int, ...], how: Geometry) -> Array:
    """Return the gradient of a convolution with respect to its weight, which has shape `shape`."""
    xp = array_module(x)
    padded = surround(x, how)
    total = xp.zeros(shape, dtype=x.dtype)
    for part in _blocks(x, total, dy.shape[1:3]):
        patches = _gather(padded[part], shape[:2], dy.shape[1:3], how)
        for group, columns in _groups(total, how):
            rows = patches[:, group].reshape(-1, math.prod(shape[:3]))
            gradient = rows.T @ dy[part][..., columns].reshape(rows.shape[0], -1)
            total[..., columns] += gradient.reshape(*shape[:3], -1)
    return total


def conv2d_input_gradient(dy: Array, weight: Array, image: Pair, how: Geometry) -> Array:
    """Return the gradient (rows, *image, in) of a convolution with respect to its input.

    It is also the transposed convolution of `dy` (rows, height', width', out).
    """
    xp = array_module(dy)
    kernel, channels = weight.shape[:2], weight.shape[2]
    padded = xp.zeros((dy.shape[0], *extent(image, how), channels * how.groups), dtype=dy.dtype)
    for part in _blocks(dy, weight, dy.shape[1:3]):
        for group, columns in _groups(weight, how):
            into = padded[part][..., group * channels : (group + 1) * channels]
            rows = dy[part][..., columns].reshape(-1, columns.stop - columns.start)
            patches = (rows @ _matrix(weight, columns).T).reshape(-1, *dy.shape[1:3], *kernel, channels)
            for i, j, places in taps(kernel, dy.shape[1:3], how):
                into[places] += patches[:, :, :, i, j]
    return xp.ascontiguousarray(inside(padded, image, how))


def surround(x: Array, how: Geometry, value: float = 0.0) -> Array:
    """Return `x` with its padding, or `x` itself if there is none."""
    if not any(map(any, how.padding)):
        return x
    shape = (x.shape[0], *extent(x.shape[1:3], how), x.shape[3])
    out = array_module(x).full(shape, value, dtype=x.dtype)
    inside(out, x.shape[1:3], how)[...] = x
    return out


def extent(image: tuple[int, ...], how: Geometry) -> Pair:
    """Return height and width of an image with its padding."""
    height, width = (size + sum(pad) for size, pad in zip(image, how.padding, strict=True))
    return height, width


def inside(padded: Array, image: tuple[int, ...], how: Geometry) -> Array:
    """Return the image within its padding, as a view."""
    (top, _), (left, _) = how.padding
    return padded[:, top : top + image[0], left : left + image[1]]


def _blocks(x: Array, weight: Array, out: tuple[int, ...]) -> Iterator[slice]:
    """Yield the images whose patches are gathered at once, as slices of the rows."""
    rows = x.shape[0]
    step = max(1, rows)
    if array_module(x) is np:
        groups = max(1, x.shape[3] // weight.shape[2])
        step = max(1, _PATCHES // max(1, math.prod(out) * math.prod(weight.shape[:3]) * groups))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _gather(x: Array, kernel: tuple[int, ...], out: tuple[int, ...], how: Geometry) -> Array:
    """Return patches (pixels of the output, groups, taps down, taps across, channels of a group)."""
    rows, channels = x.shape[0], x.shape[3] // how.groups
    shape = (rows, *out, how.groups, *kernel, channels)
    if kernel == (1, 1) and how.groups == 1 and how.stride == (1, 1):
        return x.reshape(-1, *shape[3:])
    patches = array_module(x).empty(shape, dtype=x.dtype)
    for i, j, places in taps(kernel, out, how):
        patches[:, :, :, :, i, j] = x[places].reshape(*shape[:4], channels)
    return patches.reshape(-1, *shape[3:])


def taps(
    kernel: tuple[int, ...], out: tuple[int, ...], how: Geometry
) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
    """Yield each tap (row, column) of a kernel, and an index of the pixels under it for all outputs."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            places = (
                slice(tap * step, tap * step + (count - 1) * stride + 1, stride)
                for tap, step, count, stride in zip((i, j), how.dilation, out, how.stride, strict=True)
            )
            yield i, j, (slice(None), *places)


def _groups(weight: Array, how: Geometry) -> Iterator[tuple[int, slice]]:
    """Yield the number of each group of channels, and its columns of the output."""
    units = weight.shape[3] // how.groups
    for group in range(how.groups):
        yield group, slice(group * units, (group + 1) * units)


def _matrix(weight: Array, columns: slice) -> Array:
    return weight[..., columns].reshape(math.prod(weight.shape[:3]), -1)
