"""Every chunk is checked as a whole wherever it enters: fit, evaluate, validation, blocks, files."""

import dask.array as da
import numpy as np
import pytest

from daskpar import InputError, Trainer
from daskpar.backend.kernels import kernels
from daskpar.data import Npz

THREADED = "threaded-scheduler"
X = np.random.default_rng(0).standard_normal((120, 4)).astype("float32")
Y = np.arange(120) % 3
HOT = np.eye(3)[Y]


def made(units=3, **how):
    return Trainer([{"dense": units}], batch=30, client=THREADED, **how)


@pytest.fixture(scope="module")
def classifier():
    return made().fit(X, Y)


@pytest.fixture(scope="module")
def regression():
    return made(1, loss="mean_squared_error").fit(X, X[:, 0])


@pytest.fixture(scope="module")
def labeller():
    return made(3, loss="binary_cross_entropy").fit(X, HOT)


def blocks(array, change=None, **how):
    lazy = da.from_array(array, chunks=(30, *array.shape[1:]))
    return lazy if change is None else lazy.map_blocks(change, dtype=how.pop("dtype", array.dtype), **how)


WRONG = {
    "two classes a row": ("classifier", np.stack([Y, Y], 1), "targets of shape (2,) per example do not fit"),
    "probabilities of one class": ("classifier", np.ones((120, 1)), "targets are float32 of shape (1,)"),
    "probabilities of four classes": ("classifier", np.eye(4)[Y], "targets are float32 of shape (4,)"),
    "no probabilities": ("classifier", HOT * 2, "targets are not probabilities"),
    "classes that are floats": ("classifier", Y.astype(float), "classes that are floats: .astype(int)"),
    "a class too many": ("classifier", Y + 1, "classes from 1 to 3 for a model with 3 outputs"),
    "a class below zero": ("classifier", Y - 1, "classes from -1 to 1"),
    "a class far beyond int32": ("classifier", Y + 2**32, "classes from 4294967296 to 4294967298"),
    "images of classes": ("classifier", np.zeros((120, 3, 3), int), "targets of shape (3, 3) per example"),
    "three numbers for one": ("regression", HOT, "the targets hold (3,)"),
    "one number for three": ("labeller", Y % 2, "the targets hold a number"),
    "beyond yes and no": ("labeller", HOT * 3, "targets from 0 to 3; expected 0 to 1"),
    "a row less": ("classifier", Y[1:], "120 rows of examples but 119 labels"),
    "texts": ("regression", Y.astype(str), "targets"),
}


@pytest.mark.parametrize("way", ["evaluate", "evaluate blocks", "validation", "a file"])
@pytest.mark.parametrize("case", WRONG)
def test_targets_that_do_not_fit(case, way, request, tmp_path):
    name, y, message = WRONG[case]
    trained = request.getfixturevalue(name)
    with pytest.raises(InputError) as error:
        if way == "evaluate":
            trained.evaluate(X, y)
        elif way == "evaluate blocks":
            trained.evaluate(blocks(X), blocks(y))
        elif way == "validation":
            units = trained.spec_.out_shape[0]
            loss = trained.loss
            good = {"classifier": Y, "regression": X[:, 0], "labeller": HOT}[name]
            made(units, loss=loss).fit(X, good, validation=(X, y))
        else:
            np.savez(tmp_path / "a.npz", x=X, y=y)
            trained.evaluate(Npz(str(tmp_path / "a.npz")))
    assert message in str(error.value)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float32", "int16"])
@pytest.mark.parametrize("where", ["fit", "evaluate", "blocks", "stratified"])
def test_one_hot_rows_of_any_dtype_are_taken(dtype, where, classifier):
    hot = HOT.astype(dtype)
    if where == "evaluate":
        assert classifier.evaluate(X, hot)["loss"] == pytest.approx(
            classifier.evaluate(X, Y)["loss"], rel=1e-6
        )
        return
    how = {"distribution": "stratified"} if where == "stratified" else {}
    given = (blocks(X), blocks(hot)) if where == "blocks" else (X, hot)
    wanted = made(**how).fit(*((blocks(X), blocks(Y)) if where == "blocks" else (X, Y)))
    np.testing.assert_allclose(made(**how).fit(*given).predict(X), wanted.predict(X), atol=1e-5)


@pytest.mark.parametrize("dtype", [">i8", ">i4", "<u2", "uint64", ">u8", "int8", "bool"])
@pytest.mark.parametrize("column", [False, True], ids=["(n,)", "(n, 1)"])
def test_classes_of_any_dtype_and_byte_order(dtype, column):
    y = Y % 2 if dtype == "bool" else Y
    wanted = made().fit(X, y)
    given = y.astype(dtype).reshape((-1, 1) if column else (-1,))
    assert made().fit(X, given).parameters_sha256_ == wanted.parameters_sha256_
    assert wanted.evaluate(X, given) == wanted.evaluate(X, y)


BLOCKS = {
    "a row less": (lambda b: b[1:], "29 rows where the dask array says 30"),
    "a row more": (lambda b: np.concatenate([b, b[:1]]), "31 rows where the dask array says 30"),
    "none": (lambda b: b[:0], "0 rows where the dask array says 30"),
    "a column more": (lambda b: np.concatenate([b, b[:, :1]], 1), "the shape (30, 5) where"),
    "objects": (lambda b: b.astype(object), "examples of object"),
    "complex": (lambda b: b.astype(complex), "complex numbers"),
    "masked": (lambda b: np.ma.masked_greater(b, 0.5), "masked values in the examples"),
}


@pytest.mark.parametrize("way", ["fit", "evaluate", "predict", "validation"])
@pytest.mark.parametrize("case", BLOCKS)
def test_blocks_that_are_not_as_they_say(case, way, classifier):
    change, message = BLOCKS[case]
    lies = blocks(X, change)
    with pytest.raises(InputError) as error:
        if way == "fit":
            made().fit(lies, blocks(Y))
        elif way == "evaluate":
            classifier.evaluate(lies, Y)
        elif way == "predict":
            classifier.predict(lies).compute(scheduler="sync")
        else:
            made().fit(X, Y, validation=(lies, blocks(Y)))
    assert message in str(error.value) and "block " in str(error.value)


def test_rows_that_are_filtered_are_told_to_be_counted():
    keep = blocks(X)[blocks(X)[:, 0] > 0]
    with pytest.raises(InputError, match=r"compute_chunk_sizes\(\)"):
        made().fit(keep, Y)
    counted = keep.compute_chunk_sizes()
    assert made().fit(counted, Y[X[:, 0] > 0]).steps_ > 0


@pytest.mark.parametrize("blocked", [(10, 4), (50, 2), (120, 1), (7, 3)], ids=str)
def test_blocks_of_any_shape_give_the_same(blocked, classifier):
    lazy = da.from_array(X, chunks=blocked)
    lazily = classifier.predict(lazy).compute(scheduler="sync")
    np.testing.assert_allclose(lazily, classifier.predict(X), rtol=1e-5, atol=1e-6)
    assert classifier.evaluate(lazy, Y)["loss"] == pytest.approx(classifier.evaluate(X, Y)["loss"], rel=1e-6)


@pytest.mark.parametrize("classes", [np.array([0, 1, 3]), np.array([-1, 0, 1]), np.array([0, 1, 2**40])])
def test_kernels_never_go_beyond_an_array(classes):
    outputs = np.zeros((3, 3), "float32")
    with pytest.raises(IndexError):
        kernels(outputs).cross_entropy(outputs, classes, 0.0)
    with pytest.raises(IndexError):
        kernels(outputs).scatter_rows(classes, outputs, 3)


def test_kernels_compare_sizes():
    outputs = np.zeros((3, 3), "float32")
    with pytest.raises(ValueError):
        kernels(outputs).cross_entropy(outputs, np.zeros(9, int), 0.0)
    with pytest.raises(ValueError):
        kernels(outputs).scatter_rows(np.zeros(4, int), outputs, 3)
