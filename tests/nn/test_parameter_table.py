"""All parameters in one buffer."""

import math

import numpy as np
import pytest
from device import DeviceArray, download, upload, xp
from hypothesis import given, settings, strategies as st

from daskpar.nn import Dense, ParameterTable, ReLU, Residual, Sequential
from daskpar.nn.parameters import collect, first_not_finite

derandomized = settings(derandomize=True, deadline=None, max_examples=60)
shapes = st.lists(st.integers(1, 6), max_size=3).map(tuple)
trees = st.dictionaries(
    st.integers(0, 30).map(str),
    st.recursive(
        st.dictionaries(st.sampled_from(["weight", "bias", "scale"]), shapes, max_size=3),
        lambda inner: st.dictionaries(st.integers(0, 4).map(str), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


def extent(table, start, stop):
    """The slice that holds the parameters of layers `start` to `stop`."""
    return table.extent(lambda name: start <= int(name.split(".")[0]) < stop)


def filled(tree, start=1):
    """Arrays of the shapes in `tree`, no two elements alike, none zero."""
    params = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            params[name], start = filled(value, start)
        else:
            params[name] = np.arange(start, start + math.prod(value), dtype=float).reshape(value)
            start += math.prod(value)
    return params, start


def without_empty(tree):
    kept = {k: without_empty(v) if isinstance(v, dict) else v for k, v in tree.items()}
    return {k: v for k, v in kept.items() if not (isinstance(v, dict) and not v)}


def backwards(tree):
    return {k: backwards(v) if isinstance(v, dict) else v for k, v in reversed(tree.items())}


@derandomized
@given(trees, st.sampled_from(["f4", "f8"]))
def test_round_trips(tree, dtype):
    params, stop = filled(tree)
    table = ParameterTable.of(params)
    buffer = table.flatten(params, dtype)
    assert buffer.shape == (table.size,) and buffer.dtype == dtype
    assert table.count == stop - 1
    np.testing.assert_equal(table.views(buffer), without_empty(params))
    np.testing.assert_array_equal(table.pack(table.named(buffer), dtype), buffer)
    np.testing.assert_array_equal(table.flatten(backwards(params), dtype), buffer)


@derandomized
@given(trees)
def test_tensors_are_aligned_in_order_and_the_gaps_are_zero(tree):
    params, _ = filled(tree)
    table = ParameterTable.of(params)
    buffer = table.flatten(params, "f4")
    assert table.size % 16 == 0
    end = 0
    for entry, (start, stop) in zip(table.entries, table.ranges, strict=True):
        assert start % 16 == 0 and end <= start < end + 16
        assert not buffer[end:start].any() and buffer[start:stop].all()
        assert stop - start == math.prod(entry.shape)
        end = stop
    assert table.size - end < 16 and not buffer[end:].any()
    decays = [e for e in table.entries if len(e.shape) >= 2 and not e.name.endswith("bias")]
    assert table.decayed == tuple((e.start, e.stop) for e in decays)


MODEL = Sequential((ReLU(), Dense(5), Residual((Dense(5), ReLU(), Dense(5, bias=False))), Dense(2)))
PARAMS, _ = MODEL.init(np.random.default_rng(0), (3,))
TABLE = ParameterTable.of(PARAMS)


def test_a_models_tensors_by_name():
    assert {e.name: e.shape for e in TABLE.entries} == {
        "1.weight": (3, 5),
        "1.bias": (5,),
        "2.0.weight": (5, 5),
        "2.0.bias": (5,),
        "2.2.weight": (5, 5),
        "3.weight": (5, 2),
        "3.bias": (2,),
    }
    assert TABLE.ranges == ((0, 15), (16, 21), (32, 57), (64, 69), (80, 105), (112, 122), (128, 130))
    assert TABLE.decayed == ((0, 15), (32, 57), (80, 105), (112, 122))
    assert (TABLE.size, TABLE.count) == (144, 15 + 5 + 25 + 5 + 25 + 10 + 2)


@pytest.mark.parametrize(
    "start, stop, span",
    [(0, 4, (0, 144)), (0, 1, (0, 0)), (0, 2, (0, 32)), (1, 2, (0, 32)), (2, 3, (32, 112)), (2, 4, (32, 144)),
     (3, 4, (112, 144)), (4, 9, (0, 0))],
)  # fmt: skip
def test_a_stage_is_a_span(start, stop, span):
    assert extent(TABLE, start, stop) == span
    buffer = TABLE.flatten(PARAMS, "f8")
    views = TABLE.views(buffer[slice(*span)], offset=span[0])
    inside = {name: part for name, part in PARAMS.items() if start <= int(name) < stop}
    np.testing.assert_equal(views, without_empty(inside))


@pytest.mark.parametrize("cut", range(0, 13))
def test_spans_of_stages_cover_the_buffer(cut):
    model = Sequential((Dense(3), ReLU()) * 6)
    table = ParameterTable.of(model.init(np.random.default_rng(0), (3,))[0])
    spans = [s for s in (extent(table, 0, cut), extent(table, cut, 12)) if s != (0, 0)]
    assert [s[0] for s in spans] + [table.size] == [0] + [s[1] for s in spans]


def test_views_share_memory_with_the_buffer():
    buffer = TABLE.flatten(PARAMS, "f4")
    TABLE.views(buffer)["2"]["0"]["bias"][:] = 7
    TABLE.named(buffer)["3.bias"][:] = 8
    assert buffer[64:69].tolist() == [7] * 5 and buffer[128:130].tolist() == [8] * 2


def test_collect_copies_what_was_not_written_in_place():
    buffer = np.zeros(TABLE.size, "f4")
    out = TABLE.views(buffer)
    grads = {name: dict(part) for name, part in PARAMS.items()}
    grads["1"]["weight"] = out["1"]["weight"]
    collect(grads, out)
    expected = TABLE.flatten(PARAMS, "f4")
    expected[0:15] = 0
    np.testing.assert_array_equal(buffer, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("convert", [np.asarray, upload], ids=["numpy", "device"])
def test_first_not_finite_names_the_tensor(bad, convert):
    buffer = TABLE.flatten(PARAMS, "f4")
    assert first_not_finite(TABLE, convert(buffer)) is None
    buffer[[100, 128]] = bad
    assert first_not_finite(TABLE, convert(buffer)) == "2.2.weight"


def test_the_same_on_a_device():
    buffer = TABLE.flatten(upload(PARAMS), "f4", xp)
    assert isinstance(buffer, DeviceArray)
    np.testing.assert_array_equal(TABLE.flatten(PARAMS, "f4", xp).get(), buffer.get())
    np.testing.assert_equal(download(TABLE.named(buffer)), TABLE.named(TABLE.flatten(PARAMS, "f4")))
    views = TABLE.views(buffer[32:112], 32)
    views["2"]["0"]["bias"] *= 0
    assert not buffer[64:69].get().any()
