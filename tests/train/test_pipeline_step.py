"""A Trainer as the last step of a scikit-learn pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from daskpar import Dense, EarlyStopping, Ensemble, InputError, Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def accuracy(pipeline, x, y):
    return float((pipeline.predict(x).argmax(axis=1) == y).mean())


def test_a_pipeline_with_a_trainer_predicts_outputs():
    trainer = Trainer([Dense(2)], optimizer={"adam": 0.05}, epochs=40)
    pipeline = make_pipeline(StandardScaler(), trainer).fit(X, Y)
    assert pipeline.predict(X).shape == (64, 2) and accuracy(pipeline, X, Y) > 0.7
    assert cross_val_predict(pipeline, X, Y).shape == (64, 2)


def test_a_search_sets_settings():
    pipeline = make_pipeline(Trainer([Dense(2)], optimizer={"adam": 0.05}))
    search = GridSearchCV(pipeline, {"trainer__epochs": [1, 40]}, scoring=accuracy, cv=2).fit(X, Y)
    assert search.best_params_ == {"trainer__epochs": 40}
    with pytest.raises(InputError, match="setting of Trainer 'epoch' is not known; did you mean 'epochs'"):
        Trainer([Dense(2)]).set_params(epoch=3)


def test_clones_are_not_fitted():
    stopping = EarlyStopping("train.loss")
    for trainer in (Trainer([Dense(2)], callbacks=[stopping]), Ensemble([Dense(2)], members=2)):
        fitted = trainer.fit(X, Y)
        other = clone(fitted)
        assert fitted.__sklearn_is_fitted__() and not other.__sklearn_is_fitted__()
        assert type(other) is type(fitted) and other.model == fitted.model
    assert other.members == 2 and all(callback is not stopping for callback in other.callbacks)


def test_what_only_estimators_have_names_them():
    for name in ("score", "predict_proba"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; .* daskpar.NeuralClassifier"):
            getattr(Trainer([Dense(2)]), name)
    with pytest.raises(AttributeError, match=r"no attribute 'epoch'$"):
        Trainer([Dense(2)]).epoch  # noqa: B018
