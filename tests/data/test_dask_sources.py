"""Data that already are dask arrays, dataframes or series."""

import dask
import dask.array as da
import numpy as np
import pytest

from daskpar.data import hold
from daskpar.data.check import as_array
from daskpar.data.dask_arrays import DaskArrays, checked_blocks, from_dask, is_dask
from daskpar.data.records import MISSING
from daskpar.data.splits import Split
from daskpar.errors import InputError

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 4


def blocks(source, rows):
    graph, x, y = source.blocks(rows)
    return dask.get(graph, [x, y])


@pytest.mark.parametrize("rows", [slice(0, 20), slice(3, 11), np.array([4, 19, 0, 4])], ids=str)
@pytest.mark.parametrize("chunks", [(20, 3), (7, 2), (1, 1)])
@pytest.mark.parametrize("mixed", ["", "x", "y"])
def test_blocks(rows, chunks, mixed):
    x = X if mixed == "x" else da.from_array(X, chunks=chunks)
    y = Y.tolist() if mixed == "y" else da.from_array(Y, chunks=chunks[0])
    source = from_dask(x, y, hold)
    assert (source.rows, source.x_shape, source.y_shape, source.y_dtype) == (20, (3,), (), Y.dtype)
    found_x, found_y = blocks(source, rows)
    assert type(found_x) is type(found_y) is np.ndarray
    np.testing.assert_array_equal(found_x, X[rows])
    np.testing.assert_array_equal(found_y, Y[rows])


def test_only_the_blocks_that_are_needed():
    loaded = []

    def load(block, block_info=None):
        loaded.append(block_info[0]["chunk-location"][0])
        return block

    x = da.from_array(X, chunks=(5, 3)).map_blocks(load, dtype=X.dtype, meta=X[:0])
    source = from_dask(x, da.from_array(Y, chunks=5), hold)
    blocks(source, slice(6, 9))
    assert loaded == [1]
    graph = source.blocks(slice(6, 9))[0]
    assert [key for key in graph if key[0] == x.name] == [(x.name, 1, 0)]


def test_sources_are_told_apart():
    x, y = da.from_array(X), da.from_array(Y)
    one, two = from_dask(x, y, hold), from_dask(x, y, hold)
    assert one == one and one != two and one != "other"
    assert len({one, two, one}) == 2


def test_labels():
    x = da.from_array(X)
    np.testing.assert_array_equal(from_dask(x, da.from_array(Y, chunks=3), hold).labels(), Y)
    with pytest.raises(
        InputError, match="distribution stratified needs integer classes, one a row; the targets are flo"
    ):
        from_dask(x, da.from_array(Y * 1.0), hold).labels()


def test_unknown_lengths():
    x = da.from_array(X, chunks=(7, 3))
    with pytest.raises(InputError) as error:
        from_dask(x[x[:, 0] > 5], Y, hold, "train")
    assert str(error.value) == (
        "train: a dask array of unknown length (nan, 3); call compute_chunk_sizes() first"
    )
    known = x[x[:, 0] > 5].compute_chunk_sizes()
    assert from_dask(known, Y[: known.shape[0]], hold).rows == known.shape[0]


@pytest.mark.parametrize(
    "x, y, message",
    [
        (da.zeros((4, 2)), da.zeros(3), "fit: 4 rows of examples but 3 labels; expected one a row"),
        (da.zeros((4, 2)), [0, 1, 1], "fit: 4 rows of examples but 3 labels; expected one a row"),
        (np.zeros((4, 2)), da.zeros(3), "fit: 4 rows of examples but 3 labels; expected one a row"),
        (da.zeros((0, 2)), da.zeros(0), "fit: zero rows; expected at least one example"),
        (da.zeros((2, 2)), 3, "fit: targets must have an axis of rows, got a single value"),
        (
            da.from_array(np.array(["a"])),
            da.zeros(1),
            "fit: expected numbers, got examples of <U1: texts",
        ),
        (dask.delayed(X), Y, "fit: expected a dask array, dataframe or series, got Delayed"),
        (da.zeros((2, 2)), dask.delayed(Y), "fit: expected a dask array, dataframe or series, got Delayed"),
    ],
)
def test_refused(x, y, message):
    with pytest.raises(InputError) as error:
        from_dask(x, y, hold)
    assert str(error.value).startswith(message)


def test_what_is_dask():
    assert is_dask(da.from_array(X)) and is_dask(dask.delayed(3))
    assert not is_dask(X) and not is_dask([1, 2])
    assert as_array(X, "predict") is X


@pytest.mark.parametrize("rows", [slice(2, 9), np.array([5, 2])], ids=str)
def test_dataframes(rows):
    frames = pytest.importorskip("dask.dataframe")
    import pandas as pd

    frame = frames.from_pandas(pd.DataFrame(X, columns=list("abc")).assign(target=Y), npartitions=3)
    source = from_dask(frame[["a", "b", "c"]], frame["target"], hold)
    assert (source.rows, source.x_shape, source.y_shape) == (20, (3,), ())
    x, y = blocks(source, rows)
    np.testing.assert_array_equal(x, X[rows])
    np.testing.assert_array_equal(y, Y[rows])
    assert isinstance(checked_blocks(frame["a"], "predict"), da.Array)


def test_dataframes_with_texts_become_records():
    frames = pytest.importorskip("dask.dataframe")
    import pandas as pd

    table = pd.DataFrame({"a": ["x", "long", None, "y"], "b": [0, 1, 2, 3]})
    frame = frames.from_pandas(table, npartitions=2)
    source = from_dask(frame, frame["b"], hold)
    assert source.features == (("a", "text"), ("b", "number")) and source.x_shape == ()
    x, _ = blocks(source, slice(1, 4))
    assert x["a"].tolist() == ["long", MISSING, "y"] and x["b"].tolist() == [1, 2, 3]


def test_a_part_of_them():
    part = Split(
        DaskArrays(da.from_array(X, chunks=4), da.from_array(Y, chunks=4)), "test", 0.5, 1, shuffled=False
    )
    x, y = blocks(part.source, part.where(slice(0, part.rows)))
    np.testing.assert_array_equal(x, X[10:])
    np.testing.assert_array_equal(y, Y[10:])
