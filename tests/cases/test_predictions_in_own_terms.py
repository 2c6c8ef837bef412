"""Predictions in the labels and units of `y`; rows that are not finite; ids that are no ids."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from daskpar import Ensemble, InputError, Trainer
from daskpar.data import Npz

THREADED = "threaded-scheduler"
RNG = np.random.default_rng(0)
PLACE = np.arange(300) % 3
X = (RNG.standard_normal((300, 2)) + 8 * np.array([[0, 0], [1, 0], [0, 1]])[PLACE]).astype("float32")
R = (1000 + 50 * X[:, 0]).astype("float32")


def clouds(units=3, kind=Trainer, **how):
    how = {"optimizer": {"adam": 0.1}, "batch": 50, "epochs": 20, "client": THREADED, **how}
    return kind([{"dense": units}], **how)


LABELS = {
    "from 1": np.array([1, 2, 3]),
    "tens": np.array([10, 20, 30]),
    "about 0": np.array([-1, 0, 1]),
    "wide": np.array([0, 2**53, 2**53 + 1]),
    "uint64": np.array([0, 1, 2**64 - 1], "uint64"),
    "big-endian": np.array([5, 7, 9], ">i4"),
    "texts": np.array(["cat", "dog", "eel"]),
    "bytes": np.array([b"cat", b"dog", b"eel"]),
    "objects": np.array(["cat", "dog", "eel"], object),
}


@pytest.mark.parametrize("how", [{}, {"targets": ["labels"]}, {"targets": ["one_hot"]}], ids=str)
@pytest.mark.parametrize("case", LABELS)
def test_labels_come_back(case, how):
    y = LABELS[case][PLACE]
    trained = clouds(metrics=["accuracy"], **how).fit(X, y, validation=(X, y))
    said = [label.decode() if isinstance(label, bytes) else label for label in y.tolist()]
    assert trained.predict(X, "classes").tolist() == said
    assert trained.classes_.tolist() == sorted(set(said))
    assert trained.evaluate(X, y)["accuracy"] == 1.0
    assert trained.history_[-1]["validation"]["accuracy"] == 1.0
    lazy = trained.predict(da.from_array(X, chunks=(100, 2)), "classes")
    assert lazy.compute(scheduler="sync").tolist() == said and lazy.dtype == trained.classes_.dtype


@pytest.mark.parametrize("labels", [[-1, 1], ["no", "yes"], [3, 7], [False, True]], ids=str)
def test_two_labels_of_one_output(labels):
    y = np.array(labels)[(PLACE > 0).astype(int)]
    trained = clouds(1, loss="binary_cross_entropy").fit(X, y)
    assert (trained.predict(X, "classes")[:, 0] == y).mean() > 0.95
    assert trained.classes_.tolist() == sorted(labels)


def test_plain_classes_stay_as_they_are():
    trained = clouds(5).fit(X, PLACE)
    assert trained.spec_.targets == () and trained.classes_.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["Trainer", "Ensemble", "restored", "pickled"])
def test_labels_stay_with_the_state(kind, tmp_path):
    import pickle

    y = LABELS["texts"][PLACE]
    folder = tmp_path / "run"
    trained = (
        clouds(kind=Ensemble, members=2).fit(X, y) if kind == "Ensemble" else clouds(folder=folder).fit(X, y)
    )
    if kind == "restored":
        trained = clouds().restore(folder / "checkpoints" / "final")
    if kind == "pickled":
        trained = pickle.loads(pickle.dumps(trained))
    assert (trained.predict(X, "classes") == y).all() and trained.classes_.tolist() == ["cat", "dog", "eel"]


def test_labels_of_series_blocks_and_files(tmp_path):
    y = LABELS["texts"][PLACE]
    np.savez(tmp_path / "a.npz", x=X, y=y)
    ways = [
        clouds().fit(X, pd.Series(y)),
        clouds().fit(X, pd.Series(y, dtype="category")),
        clouds().fit(X, pd.DataFrame({"kind": y})),
        clouds().fit(da.from_array(X, chunks=(60, 2)), da.from_array(y, chunks=60)),
        clouds(distribution="stratified").fit(X, y),
        clouds().fit(Npz(str(tmp_path / "a.npz"))),
    ]
    for trained in ways:
        assert (np.ravel(trained.predict(X, "classes")) == y).all()


@pytest.mark.parametrize(
    "y, message",
    [
        (np.array(["a", "b"])[PLACE % 2], "2 labels in the targets (a, b) for a model with 3 outputs"),
        (np.arange(300).astype(str), "300 labels in the targets (0, 1, 10, 100, 101, ... 99)"),
        (10 * (PLACE % 2), "classes from 0 to 10 for a model with 3 outputs; expected 0 to 2 (other labels:"),
    ],
)
def test_labels_that_are_not_as_many_as_outputs(y, message):
    with pytest.raises(InputError) as error:
        clouds().fit(X, y)
    assert message in str(error.value)


def test_labels_that_training_did_not_have():
    trained = clouds().fit(X, LABELS["texts"][PLACE])
    with pytest.raises(InputError, match="label owl is none of the 3 of training: cat, dog, eel"):
        trained.evaluate(X, np.array(["owl"] * 300))
    with pytest.raises(InputError, match="targets are int64; expected labels as in training"):
        trained.evaluate(X, PLACE)


@pytest.mark.parametrize("targets", [["standardise"], ["scale"], ["standardise", "scale"]], ids=str)
@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_numbers_in_the_units_of_y(targets, loss):
    how = {
        "loss": loss,
        "targets": targets,
        "metrics": ["rmse", "r2"],
        "optimizer": {"adam": 0.05},
        "epochs": 60,
    }
    trained = clouds(1, **how).fit(X, R, validation=(X, R))
    predicted = trained.predict(X)[:, 0]
    assert np.abs(predicted - R).mean() < 10
    scores = trained.evaluate(X, R)
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - R) ** 2)), rel=1e-3, abs=1e-3)
    assert trained.history_[-1]["validation"]["rmse"] == pytest.approx(scores["rmse"], rel=1e-5)
    np.testing.assert_allclose(trained.predict(X, "probabilities")[:, 0], predicted)
    lazy = trained.predict(da.from_array(X, chunks=(100, 2))).compute(scheduler="sync")
    np.testing.assert_allclose(lazy[:, 0], predicted, rtol=1e-5)


def test_several_numbers_each_in_its_own_unit():
    y = np.stack([R, X[:, 1] / 1000, np.full(300, 7.0)], 1).astype("float32")
    how = {
        "loss": "mean_squared_error",
        "targets": ["standardise"],
        "optimizer": {"adam": 0.05},
        "epochs": 60,
    }
    found = clouds(3, **how).fit(X, y).predict(X)
    np.testing.assert_allclose(found.mean(0), y.mean(0), rtol=0.05)
    np.testing.assert_allclose(found[:, 2], 7.0)


# --- rows that are not finite

CLASSES = (X[:, 0] > 4).astype("int64")


@pytest.fixture(scope="module")
def classifier():
    return clouds(2).fit(X, CLASSES)


def spoilt(value, dtype="float32"):
    rows = X[CLASSES == 1][:4].astype(dtype)
    rows[[1, 3], 1] = value
    return rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("lazy", [False, True], ids=["array", "dask array"])
def test_rows_that_are_not_finite(value, lazy, classifier):
    rows = spoilt(value, "float64")
    given = da.from_array(rows, chunks=(2, 2)) if lazy else rows

    def predict(kind, **how):
        found = classifier.predict(given, kind, **how)
        return found.compute(scheduler="sync") if lazy else found

    for kind in ("outputs", "probabilities"):
        found = predict(kind)
        assert np.isnan(found[[1, 3]]).all() and np.isfinite(found[[0, 2]]).all()
    with pytest.raises(InputError, match=r"no class for \d rows? with NaN or infinite values: (1, 3|1|3);"):
        predict("classes")
    assert predict("classes", fill=-1).tolist() == [1, -1, 1, -1]


def test_rows_are_named_as_they_are_numbered_in_the_whole(classifier):
    rows = np.concatenate([X[:100], spoilt(np.nan)[1:2]])
    with pytest.raises(InputError, match="infinite values: 100;"):
        classifier.predict(da.from_array(rows, chunks=(50, 2)), "classes").compute(scheduler="sync")


@pytest.mark.parametrize("transforms", [["standardise"], ["one_hot"], ["scale"]], ids=str)
def test_no_transform_hides_them(transforms):
    x = np.round(X).astype("float64")
    trained = clouds(2, transforms=transforms).fit(x, CLASSES)
    rows = x[:3].copy()
    rows[1, 0] = np.nan
    assert np.isnan(trained.predict(rows)[1]).all()
    assert trained.predict(rows, "classes", fill=9)[1] == 9


def test_a_fill_among_labels():
    trained = clouds().fit(X, LABELS["texts"][PLACE])
    rows = X[:3].copy()
    rows[2] = np.nan
    assert trained.predict(rows, "classes", fill="unknown").tolist() == ["cat", "dog", "unknown"]


def test_ensembles_and_regressions():
    rows = spoilt(np.nan)
    ensemble = clouds(2, kind=Ensemble, members=2).fit(X, CLASSES)
    assert np.isnan(ensemble.predict(rows, "probabilities")[1]).all()
    with pytest.raises(InputError, match="no class for 2 rows"):
        ensemble.predict(rows, "classes")
    regression = clouds(1, loss="mean_squared_error", targets=["scale"]).fit(X, R)
    assert np.isnan(regression.predict(rows, "classes")[[1, 3]]).all()


@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("transforms", [[], ["one_hot"], ["standardise"]], ids=str)
def test_any_number_of_rows(rows, transforms):
    x = np.round(X)
    trained = clouds(transforms=transforms).fit(x, PLACE)
    assert trained.predict(x[:rows]).shape == (rows, 3)
    lazy = da.from_array(x, chunks=(150, 2))[: max(rows, 1)]
    assert trained.predict(lazy).compute(scheduler="sync").shape == (max(rows, 1), 3)


# --- ids

IDS = RNG.integers(0, 10, (64, 3))
EMBED = [{"embedding": {"words": 10, "features": 4}}, "flatten", {"dense": 2}]


def embedding(**how):
    return Trainer(EMBED, batch=16, client=THREADED, **how)


@pytest.fixture(scope="module")
def words():
    return embedding().fit(IDS, IDS[:, 0] % 2)


NO_IDS = {
    "beyond int32": (2**32 + 3, "int64", "to 4294967299 for an embedding"),
    "below int32": (3 - 2**32, "int64", "numbers from -4294967293"),
    "uint32": (2**32 - 1, "uint32", "to 4294967295 for an embedding of 10 words"),
    "uint64": (2**64 - 7, "uint64", "to 18446744073709551609"),
    "the last but one": (-1, "int64", "numbers from -1"),
    "one too many": (10, "int8", "to 10 for an embedding of 10 words"),
    "a fraction": (0.7, "float64", "takes whole numbers"),
    "a whole float": (3.0, "float32", "takes whole numbers"),
}


@pytest.mark.parametrize("way", ["fit", "evaluate", "predict", "validation", "blocks", "lazily"])
@pytest.mark.parametrize("case", NO_IDS)
def test_what_is_no_id(case, way, words):
    value, dtype, message = NO_IDS[case]
    ids, y = IDS.astype(dtype), IDS[:, 0] % 2
    ids[5, 1] = value
    lazy = da.from_array(ids, chunks=(16, 3))
    with pytest.raises(InputError) as error:
        if way == "fit":
            embedding().fit(ids, y)
        elif way == "validation":
            embedding().fit(IDS, y, validation=(ids, y))
        elif way == "predict":
            words.predict(ids)
        elif way == "lazily":
            words.predict(lazy).compute(scheduler="sync")
        else:
            words.evaluate(*((lazy, da.from_array(y, chunks=16)) if way == "blocks" else (ids, y)))
    if way in ("fit", "validation") and "whole" in message:
        message = "whole numbers"
    assert message in str(error.value)


@pytest.mark.parametrize("dtype", ["uint8", ">i2", "uint64", "int32"])
def test_ids_of_any_whole_dtype(dtype, words):
    np.testing.assert_array_equal(words.predict(IDS.astype(dtype)), words.predict(IDS))


@pytest.mark.parametrize("base", [2**53, -(2**53), 1_700_000_000_000_000_000, -5])
@pytest.mark.parametrize("later", ["int64", "float64"])
def test_categories_are_told_apart_exactly(base, later):
    place = np.arange(400) % 8
    ids = (base + place)[:, None]
    trained = clouds(8, transforms=["one_hot"], batch=40, epochs=15).fit(ids, place)
    (fitted,) = trained.spec_.transforms
    assert set(fitted.apply(ids).sum(1)) == {1.0}
    assert (trained.predict(ids, "classes") == place).all()
    as_floats = fitted.apply(ids.astype("float64"))  # where neighbours are one float, at most one is meant
    assert set(as_floats.sum(1)) <= {0.0, 1.0}


def test_categories_beside_other_dtypes():
    trained = clouds(2, transforms=["one_hot"], batch=40).fit(
        np.tile([[5], [2**32 + 44]], (150, 1)), np.tile([0, 1], 150)
    )
    (fitted,) = trained.spec_.transforms
    for dtype in ("uint8", "uint32", "int16", "float32", "bool"):
        hot = fitted.apply(np.array([[5], [44]]).astype(dtype))
        assert hot.tolist() == ([[0.0, 0.0]] * 2 if dtype == "bool" else [[1.0, 0.0], [0.0, 0.0]])
