"""Neural estimators beyond scikit-learn's own checks: Dask, labels, losses, going on, errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import dask.array as da
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from daskpar import (
    Callback,
    Dense,
    InputError,
    Layout,
    NeuralClassifier,
    NeuralRegressor,
    NotFiniteError,
    ReLU,
)
from daskpar.train.history import Record
from daskpar.train.view import RunView

RAW, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(RAW)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
FEATURES = ["sepal length", "sepal width", "petal length", "petal width"]


SMALL: dict[str, Any] = {
    "hidden": (16,),
    "epochs": 30,
    "learning_rate": 0.02,
    "random_state": 0,
    "client": "threaded-scheduler",
}


def classifier(**parameters: Any) -> NeuralClassifier:
    return NeuralClassifier(**SMALL | parameters)


def regressor(**parameters: Any) -> NeuralRegressor:
    return NeuralRegressor(**SMALL | parameters)


def chunked(array: np.ndarray) -> Any:
    return da.from_array(array, chunks=(50, *array.shape[1:]))


def assert_same(predicted: np.ndarray, expected: np.ndarray) -> None:
    """The same labels, or the same numbers up to how products of other sizes round."""
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(predicted, expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(predicted, expected)


def test_a_pipeline_predicts_labels():
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), classifier()).fit(RAW, NAMES)
    assert model.score(RAW, NAMES) > 0.95
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model[-1].feature_names_in_.tolist() == ["x0", "x1", "x2", "x3"]


def test_scikit_learn_searches_crosses_and_calibrates():
    model = make_pipeline(StandardScaler(), classifier(epochs=20, learning_rate=0.05))
    grid = {"neuralclassifier__hidden": [(), (16,)]}
    search = GridSearchCV(model, grid, cv=3).fit(X, NAMES)
    assert search.best_score_ > 0.9 and set(search.best_params_) == set(grid)
    assert cross_val_score(model, X, Y, cv=3).mean() > 0.9
    calibrated = CalibratedClassifierCV(model, cv=2).fit(X, Y)
    np.testing.assert_allclose(calibrated.predict_proba(X[:3]).sum(axis=1), 1)


def test_a_search_on_dask_workers_finds_the_same(threads_client):
    import joblib

    search = GridSearchCV(classifier(epochs=5), {"hidden": [(4,), (8,)]}, cv=2)
    here = search.fit(X, Y).cv_results_["mean_test_score"]
    with joblib.parallel_backend("dask", client=threads_client):
        np.testing.assert_array_equal(search.fit(X, Y).cv_results_["mean_test_score"], here)


@pytest.mark.parametrize("labels", [Y, NAMES, NAMES.astype(object), Y == 1], ids=lambda y: str(y.dtype))
def test_dask_arrays_give_the_same_lazily(labels):
    plain, lazy = classifier().fit(X, labels), classifier().fit(chunked(X), chunked(labels))
    assert lazy.classes_.tolist() == plain.classes_.tolist()
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        predicted, expected = getattr(lazy, method)(chunked(X)), getattr(plain, method)(X)
        assert isinstance(predicted, da.Array) and predicted.shape == expected.shape
        assert predicted.chunks[0] == (50, 50, 50)
        assert_same(predicted.compute(), expected)
    assert lazy.score(chunked(X), chunked(labels)) == plain.score(X, labels)


def test_frames_of_pandas_and_dask_keep_their_columns():
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame, labels = pd.DataFrame(X, columns=FEATURES), pd.Series(NAMES, name="species")
    lazy, lazy_labels = dd.from_pandas(frame, npartitions=2), dd.from_pandas(labels, npartitions=2)
    fitted = classifier().fit(lazy, lazy_labels)
    assert fitted.feature_names_in_.tolist() == FEATURES
    assert fitted.score(lazy, lazy_labels) == classifier().fit(frame, labels).score(frame, labels) > 0.9
    predicted = fitted.predict(lazy)
    assert isinstance(predicted, da.Array) and predicted.compute().tolist() == fitted.predict(frame).tolist()
    for other in (frame, lazy):
        with pytest.raises(InputError, match="feature names should match"):
            fitted.predict(other[FEATURES[::-1]])


def test_frames_with_gaps_and_texts_are_prepared():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"length": X[:, 2], "place": np.where(Y == 1, "shore", "hill")})
    frame.loc[::10, "length"] = np.nan
    model = classifier(transforms=["impute", "encode"]).fit(frame, NAMES)
    assert model.score(frame, NAMES) > 0.9 and model.feature_names_in_.tolist() == ["length", "place"]
    assert clone(model).fit(frame[["length"]], NAMES).predict(frame[["length"]]).shape == (150,)
    for others in (frame[["place", "length"]], frame[["length"]]):
        with pytest.raises(InputError, match="feature names should match"):
            model.predict(others)
    with pytest.raises(InputError, match=r"could not convert .* transforms=\['encode'\]"):
        classifier().fit(frame, NAMES)


def test_two_classes_with_one_output_have_two_columns():
    two = Y > 0
    fitted = classifier(loss="binary_cross_entropy").fit(X, two)
    probabilities = fitted.predict_proba(X)
    assert fitted.n_outputs_ == 1 and probabilities.shape == (150, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.predict(X), probabilities[:, 1] > 0.5)
    np.testing.assert_array_equal(fitted.decision_function(X) > 0, fitted.predict(X))
    assert fitted.score(X, two) == 1


def test_several_labels_of_dask_are_those_of_numpy():
    x, y = make_multilabel_classification(90, random_state=0)
    plain, lazy = classifier().fit(x, y), classifier().fit(chunked(x), chunked(y))
    assert plain.predict(x).shape == y.shape and plain.predict_proba(x).shape == y.shape
    np.testing.assert_array_equal(lazy.predict(chunked(x)).compute(), plain.predict(x))


def test_a_regressor_has_the_shape_of_its_targets():
    for y in (X[:, 0], X[:, :1], X[:, :2]):
        fitted = regressor().fit(X, y)
        assert fitted.predict(X).shape == y.shape and fitted.score(X, y) > 0.5
        lazy = regressor().fit(chunked(X), chunked(y))
        assert_same(lazy.predict(chunked(X)).compute(), fitted.predict(X))
        assert lazy.score(chunked(X), chunked(y)) == pytest.approx(fitted.score(X, y))


def test_prepared_targets_come_back_in_their_units():
    y = 1e4 * X[:, 0] + 5e4
    assert regressor(targets=["standardise"]).fit(X, y).score(X, y) > 0.9


def test_hidden_takes_layers_and_model_the_whole_network():
    images, digits = load_digits(return_X_y=True)
    images = images[:400].reshape(-1, 8, 8, 1) / 16
    whole = classifier(model=["flatten", Dense(32), ReLU(), Dense(10)], epochs=20).fit(images, digits[:400])
    mixed = classifier(hidden=("flatten", 32), epochs=20).fit(images, digits[:400])
    assert whole.score(images, digits[:400]) > 0.95 and mixed.score(images, digits[:400]) > 0.95
    assert [layer.kind for layer in mixed.trainer_.spec_.model.layers] == [
        "flatten",
        "dense",
        "relu",
        "dense",
    ]


def test_loss_and_records_of_each_epoch():
    fitted = classifier(validation=0.2, metrics=["accuracy"], epochs=7, batch=30).fit(X, Y)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == len(fitted.history_) == 7
    assert fitted.loss_ == fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    for loss, record in zip(fitted.loss_curve_, fitted.history_, strict=True):
        assert loss == pytest.approx(record["train"]["loss"])
    assert set(fitted.history_[-1]["validation"]) == {"loss", "accuracy"}


def test_early_stopping_ends_sooner():
    fitted = classifier(early_stopping=True, epochs=400, n_iter_no_change=2, tol=0.01).fit(X, Y)
    assert 2 < fitted.n_iter_ < 400
    pair = classifier(validation=(X[::3], NAMES[::3])).fit(X, NAMES)
    counted = classifier(validation=(X, NAMES, np.arange(150) % 3 == 0)).fit(X, NAMES)
    assert pair.history_[-1]["validation"] == pytest.approx(counted.history_[-1]["validation"])


def test_callbacks_are_called_themselves():
    class Notes(Callback):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def after_evaluation(self, run: RunView, record: Record) -> None:
            self.seen.append(record["step"])

    notes = Notes()
    assert classifier(callbacks=[notes], epochs=3).fit(X, Y).callbacks == [notes]
    assert notes.seen == [1, 2, 3]


def test_the_layout_and_further_settings_reach_the_trainer():
    fitted = classifier(
        layout=Layout(data=2), batch=50, settings={"accumulate": 5}, l2=0.1, client="threaded-scheduler"
    ).fit(X, Y)
    trainer = fitted.trainer_
    assert trainer.layout_.data == 2 and trainer.accumulate == 5 and trainer.penalty.l2 == 0.1
    assert np.array_equal(fitted.predict_proba(X), clone(fitted).fit(X, Y).predict_proba(X))


def test_the_precision_is_that_of_the_examples():
    for dtype, precision in ((np.float64, "float64"), (np.float32, "float32"), (np.uint8, "float32")):
        fitted = classifier(epochs=1).fit(X.astype(dtype), Y)
        assert fitted.trainer_.precision == precision == str(fitted.predict_proba(X.astype(dtype)).dtype)


def test_partial_fit_goes_on_over_batches():
    model = classifier(learning_rate=0.05)
    for _ in range(10):
        for rows in np.split(np.random.default_rng(0).permutation(150), 3):
            model.partial_fit(X[rows], NAMES[rows], classes=np.unique(NAMES))
    assert model.n_iter_ == len(model.loss_curve_) == 30 and model.score(X, NAMES) > 0.9
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    fresh = classifier().partial_fit(X[:50], NAMES[:50], classes=np.unique(NAMES))  # of one class only
    assert fresh.predict_proba(X).shape == (150, 3)
    assert regressor().partial_fit(X, X[:, 0]).partial_fit(X, X[:, 0]).n_iter_ == 2


def test_copies_in_a_search_by_partial_fit_are_apart():
    """As HyperbandSearchCV and IncrementalSearchCV of dask-ml do it."""
    first = clone(classifier()).set_params(random_state=1).partial_fit(X, Y, classes=[0, 1, 2])
    before = first.predict_proba(X)
    second = copy.deepcopy(first).partial_fit(X, Y)
    assert second.n_iter_ == 2 and first.n_iter_ == 1
    np.testing.assert_array_equal(first.predict_proba(X), before)
    assert not np.array_equal(second.predict_proba(X), before)


def test_warm_start_goes_on_and_fit_without_it_begins_anew():
    long, warm = classifier(epochs=20).fit(X, Y), classifier(epochs=10, warm_start=True)
    once = warm.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(once, classifier(epochs=10).fit(X, Y).predict_proba(X))
    twice = warm.fit(X, Y)
    assert twice.n_iter_ == 20 and len(twice.loss_curve_) == 20
    np.testing.assert_allclose(twice.predict_proba(X), long.predict_proba(X), rtol=1e-9)
    anew = warm.set_params(warm_start=False).fit(X, Y)
    np.testing.assert_array_equal(anew.predict_proba(X), once)
    assert anew.n_iter_ == 10


def test_a_training_that_fails_leaves_what_there_was():
    model = classifier(warm_start=True, epochs=3).fit(X, Y)
    before, curve = model.predict_proba(X), model.loss_curve_
    with pytest.raises(NotFiniteError):
        model.set_params(learning_rate=1e300).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert model.loss_curve_ == curve
    with pytest.raises(NotFiniteError):
        model.set_params(warm_start=False).fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_weights_stand_for_repetitions():
    weights = np.arange(150) % 3
    weighted = classifier().fit(X, Y, sample_weight=weights)
    repeated = classifier().fit(X.repeat(weights, axis=0), Y.repeat(weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-6)
    lazily = classifier().fit(chunked(X), chunked(Y), sample_weight=chunked(weights))
    np.testing.assert_allclose(lazily.predict_proba(X), weighted.predict_proba(X), rtol=1e-9)


def test_class_weights_are_given_by_label():
    few = np.r_[0:50, 50:55]  # 50 of one class, 5 of another
    counts = {"setosa": 50 / 50, "versicolor": 50 / 5}
    alike = classifier(class_weight={"setosa": 55 / 2 / 50, "versicolor": 55 / 2 / 5})
    balanced = classifier(class_weight="balanced").fit(X[few], NAMES[few]).predict_proba(X)
    np.testing.assert_allclose(alike.fit(X[few], NAMES[few]).predict_proba(X), balanced, rtol=1e-6)
    by_rows = np.array([counts[name] for name in NAMES[few]])
    np.testing.assert_allclose(
        classifier().fit(X[few], NAMES[few], by_rows).predict_proba(X), balanced, rtol=1e-6
    )


def test_copies_predict_the_same():
    fitted = classifier().fit(X, NAMES)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), copy.copy(fitted)):
        np.testing.assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))


def test_clones_keep_the_client_and_pickles_do_not(threads_client):
    model = classifier(client=threads_client, epochs=2)
    assert clone(model).client is threads_client and copy.copy(model).client is threads_client
    assert pickle.loads(pickle.dumps(model)).client is None
    fitted = clone(make_pipeline(StandardScaler(), model)).fit(X, Y)
    assert fitted[-1].client is threads_client and fitted.predict(X).shape == (150,)
    assert pickle.loads(pickle.dumps(classifier(client="threaded-scheduler"))).client == "threaded-scheduler"


REFUSED = {
    "one-class": (lambda: classifier().fit(X, 0 * Y), "y holds one class only, 0"),
    "numbers": (lambda: classifier().fit(X, X[:, 0]), "Unknown label type: continuous"),
    "numbers-of-dask": (
        lambda: classifier().fit(chunked(X), chunked(X[:, 0])),
        "Unknown label type: continuous",
    ),
    "several-classes-each": (lambda: classifier().fit(X, np.c_[Y, Y]), "2 columns of several classes each"),
    "loss-of-numbers": (lambda: classifier(loss="huber").fit(X, Y), "loss='huber' does not fit 3 classes"),
    "loss-of-two": (lambda: classifier(loss="binary_cross_entropy").fit(X, Y), "does not fit 3 classes"),
    "outputs": (lambda: classifier(model=[Dense(5)]).fit(X, Y), "the model has 5 outputs for 3 classes"),
    "images": (lambda: classifier().fit(X.reshape(-1, 2, 2), Y), "Found array with dim 3"),
    "one-axis": (lambda: classifier().fit(X[:, 0], Y), "Reshape your data"),
    "one-axis-of-dask": (lambda: classifier().fit(chunked(X)[:, 0], Y), "Reshape your data"),
    "no-targets": (lambda: classifier().fit(X, None), "requires y to be passed, but the target y is None"),
    "no-targets-of-dask": (lambda: classifier().fit(chunked(X), None), "requires y to be passed"),
    "missing": (lambda: classifier().fit(X * np.nan, Y), "Input X contains NaN; fill missing values first"),
    "columns": (lambda: classifier().fit(X, Y).predict(X[:, :3]), "X has 3 features, but NeuralClassifier"),
    "columns-of-dask": (lambda: classifier().fit(X, Y).predict(chunked(X[:, :3])), "X has 3 features"),
    "not-fitted": (lambda: classifier().predict(X), "instance is not fitted yet"),
    "layer": (lambda: classifier(activation="rleu").fit(X, Y), "did you mean 'relu'"),
    "epochs": (lambda: classifier(epochs=0).fit(X, Y), "epochs=0 must be at least 1"),
    "random-state": (lambda: classifier(random_state="a").fit(X, Y), "cannot be used to seed"),
    "batch": (lambda: classifier(batch="auto").fit(X, Y), "batch='auto': expected"),
    "callbacks": (lambda: classifier(callbacks=5).fit(X, Y), "callbacks=5: expected a list"),
    "settings": (lambda: classifier(settings=[1]).fit(X, Y), "expected keywords of Trainer by name"),
    "no-setting": (lambda: classifier(settings={"accumulat": 2}).fit(X, Y), "did you mean 'accumulate'"),
    "set-twice": (lambda: classifier(settings={"batch": 5}).fit(X, Y), "batch is set by parameters of the"),
    "validation": (lambda: classifier(validation="x").fit(X, Y), "expected a share of the rows"),
    "weights": (lambda: classifier().fit(X, Y, np.ones((150, 2))), r"sample weights of shape \(150, 2\)"),
    "weights-of-fewer": (lambda: classifier().fit(X, Y, np.ones(3)), r"sample weights of shape \(3,\)"),
    "class-weight": (lambda: classifier(class_weight={7: 1}).fit(X, Y), "7.* is none of the classes"),
    "classes-first": (lambda: classifier().partial_fit(X, Y), "classes must be passed on the first call"),
    "classes-later": (
        lambda: classifier().partial_fit(X, Y, [0, 1, 2]).partial_fit(X, Y, [0, 1]),
        "differ from those of the first call",
    ),
    "strange-label": (
        lambda: classifier().partial_fit(X, Y, [0, 1, 2]).partial_fit(X, Y + 1),
        "y holds 3, which is none of the 3 classes",
    ),
}


@pytest.mark.parametrize(("act", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_told_in_one_line(act, message):
    with pytest.raises(InputError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_an_unfitted_estimator_is_also_scikit_learns_error():
    with pytest.raises(NotFittedError):
        regressor().predict(X)
