"""What layers declare of how they can be cut is true: parts of a layer, put together, are the layer."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from device import convert
from layer_rows import TABLE
from layer_rows.row import Row

from daskpar.nn import (
    BatchNorm,
    Context,
    Conv2d,
    Embedding,
    GroupNorm,
    MaxPool,
)
from daskpar.nn.moments import combine
from daskpar.nn.spatial import Rows, needed

ROWS = 3
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
IN_WIDTH = [row for row in TABLE if row.layer.width() is not None and row.shape]
BY_ROWS = [row for row in TABLE if len(row.shape) > 1 and row.layer.window(row.shape) is not None]
BY_ROWS += [
    Row(
        "conv2d of many rows", Conv2d(2, kernel=(4, 2), stride=(2, 1), padding="same", dilation=2), (10, 4, 1)
    ),
    Row("max_pool of many rows", MaxPool(3, stride=2, padding="same"), (9, 4, 2)),
]


def started(row):
    """Parameters, none of them zero, an input and the gradient of an output."""
    rng = np.random.default_rng(zlib.crc32(row.name.encode()))
    params, out_shape = row.layer.init(rng, row.shape)
    params = convert(params, np.ndarray, lambda p: p + rng.uniform(0.1, 0.5, p.shape))
    x, dy = rng.standard_normal((ROWS, *row.shape)), rng.standard_normal((ROWS, *out_shape))
    if row.words is not None:
        x = rng.integers(0, row.words, x.shape)
    return params, x, dy


def run(layer, params, x, dy, ctx):
    """(y, dx, grads)"""
    y, saved = layer.forward(params, x, ctx)
    return (y, *layer.backward(params, saved, dy, ctx))


def contexts():
    return [Context(training, seed=3, row=11) for training in (False, True)]


def in_two(count):
    """Unequal parts of `count` things as (start, stop); one part where there is but one thing."""
    first = max(1, count // 3)
    return [(0, count)] if count == 1 else [(0, first), (first, count)]


def cut(array, axis, start, stop, count):
    """The share of parts `start` to `stop` of `count` along an axis."""
    each = array.shape[axis] // count
    return np.take(array, np.arange(start * each, stop * each), axis)


@pytest.mark.parametrize("ctx", contexts(), ids=["not training", "training"])
@pytest.mark.parametrize("row", [r for r in IN_WIDTH if r.layer.width().unit == "each"], ids=lambda r: r.name)
def test_what_is_done_to_each_channel_is_done_to_some_of_them(row, ctx):
    layer, width = row.layer, row.layer.width()
    params, x, dy = started(row)
    y, dx, grads = run(layer, params, x, dy, ctx)
    count, axes = x.shape[-1], dict(width.axes)
    for start, stop in in_two(count):
        own = {n: cut(p, axes[n], start, stop, count) if n in axes else p for n, p in params.items()}
        inside = (..., slice(start, stop))
        found = run(layer, own, x[inside], dy[inside], ctx)
        np.testing.assert_allclose(found[0], y[inside], **CLOSE)
        np.testing.assert_allclose(found[1], dx[inside], **CLOSE)
        for name, gradient in grads.items():
            expected = cut(gradient, axes[name], start, stop, count) if name in axes else gradient
            np.testing.assert_allclose(found[2][name], expected, **CLOSE)


def part_of(row, params, axes, x, span, count):
    """The layer that holds a part, its parameters, and its input."""
    layer, (start, stop) = row.layer, span
    own = {n: cut(p, axes[n], *span, count) if n in axes else p for n, p in params.items()}
    if isinstance(layer, Embedding):
        own["weight"] = np.concatenate([own["weight"], np.zeros((1, layer.features))])
        x = np.where((x >= start) & (x < stop), x - start, stop - start)
        layer = replace(layer, words=stop - start + 1, padding=None)
    for name in ("units", "channels"):
        if hasattr(layer, name):
            layer = replace(layer, **{name: stop - start})
    return layer, own, x


@pytest.mark.parametrize("ctx", contexts(), ids=["not training", "training"])
@pytest.mark.parametrize("row", [r for r in IN_WIDTH if r.layer.width().unit != "each"], ids=lambda r: r.name)
def test_parts_in_width_are_the_whole(row, ctx):
    width = row.layer.width()
    params, x, dy = started(row)
    axes = {name: axis for name, axis in width.axes if name in params}
    y, dx, grads = run(row.layer, params, x, dy, ctx)
    name, axis = next(iter(axes.items()))
    count = row.layer.heads if width.unit == "heads" else params[name].shape[axis]
    outputs, inputs = [], []
    summed = {n: 0.0 for n in params if n not in axes}
    for span in in_two(count):
        layer, own, given = part_of(row, params, axes, x, span, count)
        own |= {n: np.zeros_like(own[n]) for n in width.once if n in own and span[0]}
        d_part = dy if width.sums else dy[..., slice(*span)]
        out, d_in, found = run(layer, own, given, d_part, ctx)
        outputs.append(out)
        inputs.append(d_in)
        for n, gradient in found.items():
            if n in axes:
                expected = cut(grads[n], axes[n], *span, count)
                np.testing.assert_allclose(gradient[: len(expected)], expected, **CLOSE)
            elif n in width.once:
                np.testing.assert_allclose(gradient, grads[n], **CLOSE)
            else:
                summed[n] = summed[n] + gradient
    for n in summed.keys() - set(width.once):
        np.testing.assert_allclose(summed[n], grads[n], **CLOSE)
    np.testing.assert_allclose(sum(outputs) if width.sums else np.concatenate(outputs, axis=-1), y, **CLOSE)
    if row.words is None:
        np.testing.assert_allclose(sum(inputs), dx, **CLOSE)


@pytest.mark.parametrize("ctx", contexts(), ids=["not training", "training"])
@pytest.mark.parametrize(
    "row", [r for r in BY_ROWS if r.layer.kind != "batch_norm"], ids=lambda row: row.name
)
def test_tiles_of_rows_are_the_whole(row, ctx):
    window = row.layer.window(row.shape)
    params, x, dy = started(row)
    y, dx, grads = run(row.layer, params, x, dy, ctx)
    dx_total, totals = np.zeros_like(dx), {name: 0.0 for name in grads}
    for part in in_two(y.shape[1]):
        rows, edges = needed(window, Rows(*part), x.shape[1])
        layer, own = row.layer.tile(edges, row.shape), (slice(None), slice(*part))
        found, d_tile, d_params = run(layer, params, x[:, slice(*rows)], dy[own], ctx)
        np.testing.assert_allclose(found, y[own], **CLOSE)
        dx_total[:, slice(*rows)] += d_tile
        totals = {name: totals[name] + d_params[name] for name in totals}
    np.testing.assert_allclose(dx_total, dx, **CLOSE)
    for name, gradient in grads.items():
        np.testing.assert_allclose(totals[name], gradient, **CLOSE)


@pytest.mark.parametrize(
    "row", [r for r in BY_ROWS if not isinstance(r.layer, MaxPool)], ids=lambda row: row.name
)
def test_a_window_is_no_larger_than_need_be(row):
    """Of the rows that one output row is said to need, the first and the last have an influence."""
    window = row.layer.window(row.shape)
    params, x, dy = started(row)
    for i in range(dy.shape[1]):
        only = np.zeros_like(dy)
        only[:, i] = dy[:, i]
        dx = run(row.layer, params, x, only, Context())[1]
        start = i * window.stride - window.before
        reached = {j for j in range(x.shape[1]) if dx[:, j].any()}
        assert reached <= set(range(start, start + window.size))
        ends = {start, start + window.size - 1} & set(range(x.shape[1]))
        assert ends <= reached


def test_tiles_share_the_statistics_of_a_synchronised_batch_norm():
    layer, rng = BatchNorm(sync=True), np.random.default_rng(0)
    assert layer.window((5, 3, 2)) is not None and BatchNorm().window((5, 3, 2)) is None
    params, _ = layer.init(rng, (5, 3, 2))
    x, dy = rng.standard_normal((2, ROWS, 5, 3, 2))
    ctx = Context(training=True)
    y, dx, grads = run(layer, params, x, dy, ctx)
    tiles = [slice(*span) for span in in_two(5)]
    sums = combine(*(layer.gather(params, x[:, tile], ctx) for tile in tiles))
    passed = [layer.forward_with(params, x[:, tile], sums, ctx) for tile in tiles]
    np.testing.assert_allclose(np.concatenate([out for out, _ in passed], axis=1), y, **CLOSE)
    back = list(zip(tiles, [saved for _, saved in passed], strict=True))
    sums = sum(layer.gather_backward(params, saved, dy[:, tile], ctx) for tile, saved in back)
    found = [layer.backward_with(params, saved, dy[:, tile], sums, ctx) for tile, saved in back]
    np.testing.assert_allclose(np.concatenate([d for d, _ in found], axis=1), dx, **CLOSE)
    for name, gradient in grads.items():
        np.testing.assert_allclose(sum(g[name] for _, g in found), gradient, **CLOSE)


def test_what_mixes_channels_or_rows_declares_no_cut():
    assert GroupNorm(2).width() is None and GroupNorm(2).window((4, 4, 4)) is None
    assert Conv2d(4, groups=2).width() is None
