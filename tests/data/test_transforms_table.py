"""Standardise, scale and one-hot: chunk by chunk as over the whole, and as scikit-learn has them."""

import json
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from daskpar.cluster.executor import ThreadedExecutor
from daskpar.data import OneHot, Scale, Standardise, hold, split, transform
from daskpar.data.categories import Categories
from daskpar.data.fitted import Fitted, Transform
from daskpar.data.mnist import Digits
from daskpar.data.transforms import Affine, Pixels, from_json, to_json
from daskpar.errors import InputError
from daskpar.train.fitting import fit_transforms
from daskpar.train.measuring import Measuring
from daskpar.train.tokens import new_token

rng = np.random.default_rng(0)
NUMBERS = rng.standard_normal((53, 4)) * [1, 50, 1e-3, 7] + [0, 1e4, 3, -2]
CATEGORIES = rng.integers(0, 5, (53, 3)) * [1, 3, 100]
WITH_CONSTANTS = np.column_stack([NUMBERS, np.full(53, 12345.6789), np.zeros(53), np.full(53, -1e-9)])

TABLE = [
    (Standardise(), StandardScaler(), NUMBERS),
    (Standardise(), StandardScaler(), WITH_CONSTANTS),
    (Standardise(), StandardScaler(), CATEGORIES),
    (Scale(), MinMaxScaler(), NUMBERS),
    (Scale(), MinMaxScaler(), WITH_CONSTANTS),
    (Scale(), MinMaxScaler(), CATEGORIES),
    (OneHot(), OneHotEncoder(sparse_output=False), CATEGORIES),
    (OneHot(), OneHotEncoder(sparse_output=False), CATEGORIES.astype(np.uint16)),
    (OneHot(), OneHotEncoder(sparse_output=False), CATEGORIES / 4),
]


def fit(step, x, chunks):
    return step.fit(reduce(step.combine, map(step.measure, np.array_split(x, chunks))))


@pytest.mark.parametrize("chunks", [1, 2, 7, 53])
@pytest.mark.parametrize("ours, theirs, x", TABLE, ids=lambda v: getattr(v, "kind", ""))
def test_as_scikit_learn(ours, theirs, x, chunks):
    fitted = fit(ours, x, chunks)
    expected = theirs.fit(x).transform(x)
    np.testing.assert_allclose(fitted.apply(x), expected, rtol=1e-9, atol=1e-9)
    single = fitted.apply(x.astype(np.float32))
    assert single.dtype == np.float32 and len(single) == len(x)
    if ours.kind == "one_hot":
        np.testing.assert_array_equal(single, expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 40),
    st.integers(1, 8),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e3),
    st.sampled_from([Standardise(), Scale()]),
)
def test_chunked_is_whole(rows, chunks, centre, width, step):
    x = np.random.default_rng(rows).standard_normal((rows, 3)) * width + centre
    x[:, 1] = centre  # never varies
    whole, parts = fit(step, x, 1).apply(x), fit(step, x, min(chunks, rows)).apply(x)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)
    assert np.abs(parts[:, 1]).max() == 0
    if step.kind == "scale":
        assert parts.min() >= 0 and parts.max() <= 1 + 1e-9


@pytest.mark.parametrize("step", [Standardise(), Scale()])
@pytest.mark.parametrize("value", [0.1, 12345.6789, -1e9, 1e-12, 0.0])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_constant_features_become_zero(step, value, precision):
    x = np.full((1000, 2), value)
    fitted = fit(step, x, 7)
    np.testing.assert_array_equal(fitted.apply(x.astype(precision)), 0)
    assert np.isfinite(fitted.apply(x.astype(precision) + 1)).all()


@pytest.mark.parametrize("step", [Standardise(), Scale()])
def test_images_keep_their_shape(step):
    x = rng.integers(0, 256, (10, 4, 4, 1), dtype=np.uint8)
    out = fit(step, x, 3).apply(x.astype(np.float32))
    assert out.shape == x.shape
    flat = fit(step, x.reshape(10, -1), 1).apply(x.reshape(10, -1).astype(np.float32))
    np.testing.assert_allclose(out.reshape(10, -1), flat, rtol=1e-6)


@pytest.mark.parametrize("step", [Standardise(), Scale()])
def test_one_number_an_example(step):
    """Targets of a regression are often of this shape."""
    x = np.arange(5)
    out = fit(step, x, 2).apply(x)
    assert out.shape == (5,)
    np.testing.assert_allclose(out, fit(step, x[:, None], 1).apply(x[:, None])[:, 0])


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float32"])
@pytest.mark.parametrize("step", [Standardise(), Scale()])
def test_whole_numbers_are_not_cut_off(step, dtype):
    x = np.array([[0], [1], [1], [0]]).astype(dtype)
    expected = [[0], [1], [1], [0]] if step.kind == "scale" else [[-1], [1], [1], [-1]]
    out = fit(step, x, 1).apply(x)
    assert out.dtype == (np.float32 if dtype == "float32" else np.float64)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_one_hot_of_what_training_has_not_seen():
    fitted = fit(OneHot(), np.array([[0, 5], [2, 5], [0, 7]]), 2)
    assert fitted.values == ((0.0, 2.0), (5.0, 7.0))
    unseen = np.array([[1, 5], [2, 9], [0, 7]])
    expected = OneHotEncoder(sparse_output=False, handle_unknown="ignore").fit([[0, 5], [2, 7]])
    np.testing.assert_array_equal(fitted.apply(unseen), expected.transform(unseen))
    np.testing.assert_array_equal(fitted.apply(unseen)[:2], [[0, 0, 1, 0], [0, 1, 0, 0]])


def test_one_hot_of_classes():
    y = np.array([3, 1, 3, 0])
    out = fit(OneHot(), y, 1).apply(y)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [[0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]])


def test_one_hot_of_what_is_no_category():
    with pytest.raises(InputError) as error:
        fit(OneHot(), np.arange(10_001), 3)
    assert str(error.value) == "transform one_hot: a column has over 10,000 values; is it a category?"


@pytest.mark.parametrize(
    "fitted",
    [
        Pixels(255.0),
        fit(Standardise(), NUMBERS, 2),
        fit(Scale(), rng.random((5, 2, 3)), 2),
        fit(Standardise(), np.arange(4), 2),
        fit(OneHot(), CATEGORIES, 2),
    ],
    ids=lambda f: type(f).__name__,
)
def test_json_round_trip(fitted):
    text = json.dumps(to_json(fitted), allow_nan=False)
    again = from_json(json.loads(text))
    assert again == fitted and hash(again) == hash(fitted)


@pytest.mark.parametrize(
    "entry, expected",
    [("standardise", Standardise()), ({"scale": {}}, Scale()), (OneHot(), OneHot()), ("one_hot", OneHot())],
)
def test_by_name(entry, expected):
    assert transform(entry) == expected


@pytest.mark.parametrize(
    "entry, message",
    [
        ("standardis", "transform 'standardis' is not known; did you mean 'standardise'?"),
        ({"scale": 3}, "transform 'scale' takes no arguments, got 3"),
    ],
)
def test_names_refused(entry, message):
    with pytest.raises(InputError) as error:
        transform(entry)
    assert str(error.value) == message


@pytest.mark.parametrize("call", [lambda: Fitted().apply(NUMBERS), lambda: Transform().measure(NUMBERS)])
def test_the_contracts_themselves(call):
    with pytest.raises(TypeError):
        call()


def fitted_on(part, entries, chunk_rows, which="x"):
    executor = ThreadedExecutor(1)
    try:
        return fit_transforms(entries, Measuring(part, executor, new_token(), chunk_rows), which)
    finally:
        executor.close()


@pytest.mark.parametrize("chunk_rows", [1000, 9])
@pytest.mark.parametrize(
    "entry, theirs",
    [("standardise", StandardScaler()), ("scale", MinMaxScaler())],
)
def test_fitted_on_the_training_part_only(entry, theirs, chunk_rows):
    x = NUMBERS.copy()
    source = hold(x, np.arange(53))
    train, validation, test = split(source, 0.2, 0.2, seed=0, stratified=False)
    for part in (validation, test):
        x[part.where(slice(0, part.rows))] += 1e6  # `x` is held as it is
    (fitted,) = fitted_on(train, [entry], chunk_rows)
    rows = train.read(slice(0, train.rows))[0]
    np.testing.assert_allclose(fitted.apply(rows), theirs.fit(rows).transform(rows), rtol=1e-9, atol=1e-9)


def test_one_after_the_other_on_whole_numbers():
    """Each is fitted on what those before it make of the rows."""
    source = hold(CATEGORIES, np.arange(53))
    first, second = fitted_on(split(source, 0, 0, 0, False)[0], ["scale", "standardise"], 10)
    out = second.apply(first.apply(CATEGORIES.astype(np.float64)))
    np.testing.assert_allclose(out, StandardScaler().fit_transform(CATEGORIES), rtol=1e-9, atol=1e-9)


def test_pixels_come_first():
    part = split(Digits(), 0, 0, 0, False)[0]
    pixels, affine = fitted_on(part, ["scale"], 500)
    assert pixels == Pixels(16.0) and isinstance(affine, Affine)
    assert max(affine.shift) == 0 and max(1 / f for f in affine.factor if f) == 1


def test_targets():
    source = hold(NUMBERS, np.arange(53) % 4)
    (fitted,) = fitted_on(split(source, 0, 0, 0, False)[0], ["one_hot"], 10, "y")
    assert fitted == Categories(((0.0, 1.0, 2.0, 3.0),))
