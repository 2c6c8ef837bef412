"""Chunks: rows prepared for a network, and the rows of a batch drawn from them."""

import device
import numpy as np
import pytest

from daskpar.data.categories import OneHot
from daskpar.data.chunk import Chunk, draw, prepare
from daskpar.data.sampler import Sampler
from daskpar.data.transforms import Pixels, Scale
from daskpar.errors import InputError

X = np.arange(12, dtype=np.uint8).reshape(4, 3)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "y, dtype",
    [
        (np.array([0, 1, 1, 0], np.int32), "int32"),
        (np.array([0, 1, 1, 0], np.uint8), "uint8"),
        (np.array([0.5, 1, 1, 0], np.float64), None),
        (np.array([0.5, 1, 1, 0], np.float16), None),
    ],
)
def test_precision(precision, y, dtype):
    chunk = prepare("train", X, y, precision)
    assert (chunk.x.dtype, chunk.y.dtype) == (precision, dtype or precision)
    np.testing.assert_array_equal(chunk.x, X)
    np.testing.assert_array_equal(chunk.y, y)


def test_transforms_in_turn():
    scale = Scale().fit(Scale().measure(np.array([[0.0] * 3, [2.0] * 3])))
    hot = OneHot().fit(OneHot().measure(np.arange(2)))
    before = X.copy()
    chunk = prepare("train", X, np.array([0, 1, 1, 0]), "float32", (Pixels(2.0), scale), (hot,))
    np.testing.assert_array_equal(chunk.x, X.astype(np.float32) / 4)
    np.testing.assert_array_equal(chunk.y, [[1, 0], [0, 1], [0, 1], [1, 0]])
    assert (chunk.x.dtype, chunk.y.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(X, before)


def test_whole_targets_that_a_transform_scales():
    scale = Scale().fit(Scale().measure(np.array([0, 4])))
    chunk = prepare("train", X, np.array([0, 1, 2, 4]), "float32", targets=(scale,))
    assert chunk.y.dtype == np.float32
    np.testing.assert_array_equal(chunk.y, [0, 0.25, 0.5, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("transforms", [(), (OneHot().fit(OneHot().measure(X)),)], ids=["plain", "one_hot"])
@pytest.mark.parametrize("which", ["examples", "targets"])
def test_what_is_not_finite_is_refused(value, transforms, which):
    x, y = X.astype(np.float64), np.zeros(4)
    (x[2] if which == "examples" else y)[1] = value
    with pytest.raises(InputError) as error:
        prepare("validation", x, y, "float32", transforms)
    advice = ", or replace missing values: transforms: [impute]" * (which == "examples")
    assert str(error.value) == (
        f"validation data: NaN or infinite values in the {which}; clean the data first{advice}"
    )


@pytest.mark.parametrize("which", ["examples", "targets"])
def test_what_float32_cannot_hold_is_refused(which):
    x, y = np.ones((2, 2)), np.ones(2)
    (x[0] if which == "examples" else y)[1] = 1e300
    with pytest.raises(InputError, match=f"train data: NaN or infinite values in the {which} as float32"):
        prepare("train", x, y, "float32")
    assert prepare("train", x, y, "float64").x.dtype == np.float64


def chunks_of(order, places):
    rows = np.arange(order.rows, dtype=np.int32)
    return [Chunk(rows[order.positions(*p)] * 10, rows[order.positions(*p)] % 2) for p in places]


@pytest.mark.parametrize("kind", ["uniform", "random", "stratified"])
@pytest.mark.parametrize("streams, chunk_rows", [(1, 100), (1, 5), (4, 3)])
def test_draw_is_a_gather(kind, streams, chunk_rows):
    order = Sampler(30, 8, streams, chunk_rows, kind)
    for step in range(order.steps):
        pieces = order.pieces(2, step, range(streams))
        chunks = chunks_of(order, [(p.stream, p.chunk) for p in pieces])
        expected = []
        for p, c in zip(pieces, chunks, strict=True):
            index = order.row_order(2, p.stream, p.chunk, c.y)
            index = np.arange(len(c.x)) if index is None else index
            expected.append(c.x[index[p.start : p.stop]])
        drawn = draw(order, 2, pieces, chunks)
        np.testing.assert_array_equal(drawn.x, np.concatenate(expected))
        np.testing.assert_array_equal(drawn.y, drawn.x // 10 % 2)
        assert (drawn.x.dtype, drawn.y.dtype) == (chunks[0].x.dtype, chunks[0].y.dtype)


def test_rows_in_order_are_not_copied():
    order = Sampler(30, 8, 1, 100, "uniform")
    (chunk,) = chunks_of(order, [(0, 0)])
    drawn = draw(order, 0, order.pieces(0, 1, range(1)), [chunk])
    assert drawn.x.base is not None and np.shares_memory(drawn.x, chunk.x)


@pytest.mark.parametrize("kind", ["uniform", "random"])
def test_tokens_on_a_device_are_drawn_as_int32(kind):
    """As on the host, where windows of a text stay views; on a device they are stored narrow."""
    order = Sampler(30, 8, 2, 100, kind)
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(34, dtype=np.uint8), 5)
    pieces = order.pieces(0, 1, range(2))
    rows = [windows[order.positions(p.stream, p.chunk)] for p in pieces]
    host = draw(order, 0, pieces, [Chunk(r[:, :-1], r[:, 1:]) for r in rows])
    there = draw(order, 0, pieces, [Chunk(device.upload(r[:, :-1]), device.upload(r[:, 1:])) for r in rows])
    for found, expected in zip(map(device.download, there[:2]), host[:2], strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert host.x.dtype == np.int32
