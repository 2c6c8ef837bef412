"""Frames, sparse and masked arrays, tensors, units: right numbers, or refused by name."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from daskpar import InputError, Trainer
from daskpar.data.check import as_array
from daskpar.data.in_memory import hold

THREADED = "threaded-scheduler"
RNG = np.random.default_rng(0)
A, N = RNG.standard_normal(120), RNG.integers(0, 5, 120)
X = np.c_[A, N].astype("float32")
Y = (A > 0).astype("int64")


def made(units=2, **how):
    return Trainer([{"dense": units}], batch=30, client=THREADED, **how)


@pytest.fixture(scope="module")
def trained():
    return made().fit(X, Y)


class Tensor:
    """What torch's tensors do: NumPy may not have one that requires a gradient."""

    def __init__(self, values, grad=True):
        self.values, self.grad = values, grad

    def detach(self):
        return Tensor(self.values, False)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self.values, dtype)


class Quantity(np.ndarray):
    """What astropy's quantities are."""

    unit = "m"

    @property
    def value(self):
        return np.asarray(self)


class Measured:
    """What pint's quantities do."""

    units = "metre"
    magnitude = X

    def __array__(self, dtype=None, copy=None):
        return X


FRAME = pd.DataFrame({"a": A, "n": N})
TAKEN = {
    "list": X.tolist(),
    "float64": X.astype("float64"),
    "other byte order": X.astype(">f4"),
    "Fortran": np.asfortranarray(X),
    "matrix": np.matrix(X),
    "memory of others": memoryview(np.ascontiguousarray(X)),
    "tensor": Tensor(X),
    "mask of nothing": np.ma.array(X, mask=False),
    "frame": FRAME,
    "nullable": FRAME.convert_dtypes(),
    "Arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "sparse columns": FRAME.astype(pd.SparseDtype("float64", 0.0)),
    "csr": sparse.csr_matrix(X),
    "csc": sparse.csc_matrix(X),
    "coo": sparse.coo_array(X),
    "lil": sparse.lil_matrix(X),
}


@pytest.mark.parametrize("case", TAKEN)
def test_examples_taken(case, trained):
    given = TAKEN[case]
    again = made().fit(given, Y)
    np.testing.assert_allclose(again.predict(X), trained.predict(X), atol=1e-5)
    np.testing.assert_allclose(trained.predict(given), trained.predict(X), atol=1e-5)
    assert trained.evaluate(given, Y)["loss"] == pytest.approx(trained.evaluate(X, Y)["loss"], rel=1e-5)


FLAGS = {
    "bool and float": pd.DataFrame({"a": A, "n": N > 2}),
    "nullable bool": pd.DataFrame({"a": A, "n": pd.array(N > 2, dtype="boolean")}),
    "bool": pd.DataFrame({"a": A > 0, "n": N > 2}),
    "Int8 and UInt16": pd.DataFrame({"a": pd.array(N, dtype="Int8"), "n": pd.array(N, dtype="UInt16")}),
}


@pytest.mark.parametrize("case", FLAGS)
def test_bools_and_nullable_integers_are_numbers(case):
    frame = FLAGS[case]
    numbers = np.column_stack([frame[name].astype("float64") for name in frame])
    assert made().fit(frame, Y).parameters_sha256_ == made().fit(numbers, Y).parameters_sha256_


def masked(values):
    return np.ma.masked_where(values > 1, values)


REFUSED = {
    "masked": (lambda: masked(X), "masked values in the examples; fill them, e.g. with .filled(0)"),
    "rows of masked": (lambda: list(masked(X)), "masked values in the examples"),
    "None": (lambda: np.array([[1.0, None]] * 120, object), "row 0, column 1 holds 'None', a NoneType"),
    "objects": (lambda: X.astype(object), "got examples of object"),
    "ragged": (lambda: [[1.0], [1.0, 2.0]] * 60, "of type list cannot become an array"),
    "dates": (lambda: np.zeros((120, 2), "M8[s]"), "dates; give numbers"),
    "spans": (lambda: np.zeros((120, 2), "m8[s]"), "time spans; give numbers"),
    "complex": (lambda: X + 1j, "complex numbers"),
    "texts": (lambda: X.astype(str), "texts; encode them as numbers"),
    "bytes": (lambda: X.astype("S8"), "texts; encode them as numbers"),
    "records": (lambda: np.zeros(120, "f4,f4"), "records; give their fields"),
    "a path": (lambda: "data.npz", "are a text, 'data.npz'; expected an array"),
    "a quantity": (lambda: X.view(Quantity), "have a unit, m; pass their numbers, .value"),
    "a measured one": (lambda: Measured(), "have a unit, metre; pass their numbers, .magnitude"),
    "a generator": (lambda: (row for row in X), "examples"),
    "a dict": (lambda: {"a": A}, "examples"),
    "a text column": (lambda: FRAME.assign(town="x"), "columns 'town' of texts"),
    "a category": (lambda: FRAME.assign(kind=pd.Categorical(["x"] * 120)), "columns 'kind' of texts"),
    "dates in a frame": (lambda: FRAME.assign(day=pd.Timestamp("2026-01-01")), "columns 'day' (datetime64"),
    "two columns of a name": (lambda: pd.DataFrame([["x", 1.0, "y"]] * 120, columns=list("aba")), "columns"),
    "a frame without columns": (lambda: FRAME[[]], "a frame without columns"),
    "complex sparse": (lambda: sparse.csr_matrix(X + 1j), "complex numbers"),
}


@pytest.mark.parametrize("way", ["fit", "evaluate", "predict", "validation"])
@pytest.mark.parametrize("case", REFUSED)
def test_examples_refused(case, way, trained):
    make, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        if way == "fit":
            made().fit(make(), Y)
        elif way == "evaluate":
            trained.evaluate(make(), Y)
        elif way == "predict":
            trained.predict(make())
        else:
            made().fit(X, Y, validation=(make(), Y))
    assert message in str(error.value)


def test_missing_values_of_a_frame_are_nan():
    frame = FRAME.convert_dtypes()
    frame.loc[3, "n"] = pd.NA
    with pytest.raises(InputError, match="NaN or infinite values in the examples"):
        made().fit(frame, Y)


TARGETS = {
    "masked": (np.ma.array(Y, mask=Y == 1), "masked values in the targets"),
    "None": (np.array([None] * 120, object), "row 0 holds 'None', a NoneType"),
    "texts and None": (np.array(["a", None] * 60, object), "row 1 holds 'None', a NoneType"),
    "dates": (np.zeros(120, "M8[s]"), "got targets of datetime64[s]: dates"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_targets_refused(case, trained):
    y, message = TARGETS[case]
    for run in (made().fit, trained.evaluate):
        with pytest.raises(InputError) as error:
            run(X, y)
        assert message in str(error.value)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "category", "bool", "boolean"])
def test_series_of_classes(dtype, trained):
    y = pd.Series(Y).astype("bool" if dtype == "boolean" else "int64").astype(dtype)
    assert made().fit(X, y).parameters_sha256_ == trained.parameters_sha256_


@pytest.mark.parametrize("columns", [{"a": A, "flag": A > 0}, {"a": N, "n": pd.array(N, dtype="Int64")}])
def test_dask_frames(columns):
    frames = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(columns)
    lazy = frames.from_pandas(frame, npartitions=3)
    blocks = da.from_array(frame.to_numpy(dtype="float64"), chunks=(40, 2))
    y = da.from_array(Y, chunks=40)
    np.testing.assert_allclose(made().fit(lazy, y).predict(X), made().fit(blocks, y).predict(X), atol=1e-5)


def test_dask_frames_of_text_are_refused():
    frames = pytest.importorskip("dask.dataframe")
    lazy = frames.from_pandas(FRAME.assign(town="x"), npartitions=2)
    with pytest.raises(InputError, match="columns 'town'"):
        made().fit(lazy, da.from_array(Y, chunks=60))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array])
def test_blocks_that_are_sparse(kind, trained):
    lazy = da.from_array(X, chunks=(40, 2)).map_blocks(kind, dtype="f4")
    np.testing.assert_allclose(trained.predict(lazy).compute(scheduler="sync"), trained.predict(X), atol=1e-6)
    wanted = made().fit(da.from_array(X, chunks=(40, 2)), da.from_array(Y, chunks=40))
    assert made().fit(lazy, da.from_array(Y, chunks=40)).parameters_sha256_ == wanted.parameters_sha256_


def test_sparse_rows_are_made_dense_a_chunk_at_a_time(monkeypatch):
    from daskpar.data.sparse import SparseRows

    made_dense = []
    read = SparseRows.__getitem__

    def counted(rows, index):
        made_dense.append(read(rows, index))
        return made_dense[-1]

    monkeypatch.setattr(SparseRows, "__getitem__", counted)
    made(chunk_rows=30).fit(sparse.csr_matrix(X), Y)
    assert made_dense and max(map(len, made_dense)) <= 30


def test_sparse_rows_through_files(tmp_path):
    source = hold(sparse.csr_matrix(X), Y, tmp_path)
    x, y = source.read(np.array([5, 2]))
    np.testing.assert_array_equal(x, X[[5, 2]])
    np.testing.assert_array_equal(y, Y[[5, 2]])
    assert (source.rows, source.x_shape, source.x_dtype) == (120, (2,), np.float32)
    source.release()
    assert not list(tmp_path.iterdir())


def test_sparse_targets_and_labels():
    hot = np.eye(2)[Y]
    dense = made(loss="binary_cross_entropy").fit(X, hot)
    assert made(loss="binary_cross_entropy").fit(X, sparse.csr_matrix(hot)).parameters_sha256_ == (
        dense.parameters_sha256_
    )


def test_what_is_sound_is_not_copied():
    assert as_array(X, "fit") is X
    assert np.shares_memory(as_array(np.ma.array(X), "fit"), X)
