"""Two-dimensional convolutions as matrix products over gathered patches (Chellapilla et al. 2006).

Images are (rows, height, width, channels). Patches are gathered for some images at a time, as many as stay in
a core's cache, so they take neither memory nor its bandwidth.
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
    """How a kernel moves over an image; two numbers each, for height and width.

    `padding`: zeros before and after. `dilation`: how far apart the taps are. `groups`: parts of the channels
    that see only each other.
    """

    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    def output(self, image: Pair, kernel: Pair) -> Pair:
        """Height and width of the output, below 1 where the kernel does not fit."""
        height, width = (
            (size + sum(pad) - step * (taps - 1) - 1) // stride + 1
            for size, pad, step, taps, stride in zip(
                image, self.padding, self.dilation, kernel, self.stride, strict=True
            )
        )
        return height, width


def conv2d(x: Array, weight: Array, bias: Array | None, how: Geometry, rectify: bool = False) -> Array:
    """y (rows, height', width', out); `weight` (height, width, in / groups, out), `bias` (out,) or None.

    With `rectify` what is below zero becomes zero.
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
    """(dx, or None where nobody needs it, gradient of the weight, gradient of the bias).

    With `rectified` what stands in dx where x is not above zero becomes zero.
    """
    bias = array_module(dy).sum(dy.reshape(-1, dy.shape[-1]), axis=0)
    dx = conv2d_input_gradient(dy, weight, x.shape[1:3], how) if input_gradient else None
    if dx is not None and rectified:
        dx *= x > 0
    return dx, conv2d_weight_gradient(x, dy, weight.shape, how), bias


def conv2d_weight_gradient(x: Array, dy: Array, shape: tuple[int, ...], how: Geometry) -> Array:
    """The gradient with respect to a weight of `shape`."""
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
    """dx (rows, *image, in): also the transposed convolution of `dy`."""
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
    """`x` with its padding around it; itself where there is none."""
    if not any(map(any, how.padding)):
        return x
    shape = (x.shape[0], *extent(x.shape[1:3], how), x.shape[3])
    out = array_module(x).full(shape, value, dtype=x.dtype)
    inside(out, x.shape[1:3], how)[...] = x
    return out


def extent(image: tuple[int, ...], how: Geometry) -> Pair:
    """Height and width of an image with its padding."""
    height, width = (size + sum(pad) for size, pad in zip(image, how.padding, strict=True))
    return height, width


def inside(padded: Array, image: tuple[int, ...], how: Geometry) -> Array:
    """The image within its padding, as a view."""
    (top, _), (left, _) = how.padding
    return padded[:, top : top + image[0], left : left + image[1]]


def _blocks(x: Array, weight: Array, out: tuple[int, ...]) -> Iterator[slice]:
    """Images that are worked on at once."""
    rows = x.shape[0]
    step = max(1, rows)
    if array_module(x) is np:
        groups = max(1, x.shape[3] // weight.shape[2])
        step = max(1, _PATCHES // max(1, math.prod(out) * math.prod(weight.shape[:3]) * groups))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _gather(x: Array, kernel: tuple[int, ...], out: tuple[int, ...], how: Geometry) -> Array:
    """Patches (pixels of the output, groups, taps down, taps across, channels of a group)."""
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
    """Each tap of a kernel, and the pixels that it meets while the kernel moves."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            places = (
                slice(tap * step, tap * step + (count - 1) * stride + 1, stride)
                for tap, step, count, stride in zip((i, j), how.dilation, out, how.stride, strict=True)
            )
            yield i, j, (slice(None), *places)


def _groups(weight: Array, how: Geometry) -> Iterator[tuple[int, slice]]:
    """Each group of channels, with the columns of the output that belong to it."""
    units = weight.shape[3] // how.groups
    for group in range(how.groups):
        yield group, slice(group * units, (group + 1) * units)


def _matrix(weight: Array, columns: slice) -> Array:
    return weight[..., columns].reshape(math.prod(weight.shape[:3]), -1)
