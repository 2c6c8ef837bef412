"""Ensembles: members are what they would be alone, and what they say is averaged."""

from __future__ import annotations

import threading
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import Callback, Ensemble, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, split

MODEL = ["flatten", {"dense": 16}, "relu", {"dropout": 0.2}, {"dense": 10}]
COMMON: dict[str, Any] = dict(batch=64, epochs=2, metrics=["accuracy"], optimizer={"adam": 3e-3})


def parts() -> Any:
    return split(Digits(), 0.1, 0.2, seed=0, stratified=False)


@pytest.fixture(scope="module")
def fitted() -> Ensemble:
    train, validation, _ = parts()
    return Ensemble(MODEL, members=3, seed=5, client=THREADED, **COMMON).fit(train, validation=validation)


def test_members_are_what_they_would_be_alone(fitted: Ensemble) -> None:
    train, validation, _ = parts()
    alone = COMMON | {"client": THREADED, "blas_threads": 1}  # as members have: some BLAS round by threads
    hashes = [Trainer(MODEL, seed=5 + k, **alone).fit(train, validation=validation) for k in range(3)]
    assert [m.parameters_sha256_ for m in fitted.members_] == [t.parameters_sha256_ for t in hashes]
    assert len({m.parameters_sha256_ for m in fitted.members_}) == 3


def test_probabilities_are_averaged(fitted: Ensemble) -> None:
    x = Digits().arrays()[0]
    each = [member.predict(x, "probabilities") for member in fitted.members_]
    found = fitted.predict(x, "probabilities")
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_array_equal(fitted.predict(x, "classes"), found.argmax(axis=1))
    lazy = fitted.predict(da.from_array(x, chunks=(500, 8, 8, 1)), "probabilities")
    np.testing.assert_allclose(lazy.compute(scheduler="sync"), found, atol=1e-6)


def test_what_is_evaluated_is_the_mean_and_no_worse_than_members(fitted: Ensemble) -> None:
    test = parts()[2]
    x, y = test.read(slice(0, test.rows))
    found = fitted.evaluate(test)
    share = fitted.predict(x, "probabilities")[np.arange(len(y)), y]
    assert found["loss"] == pytest.approx(-np.log(share).mean(), rel=1e-4)
    assert found["accuracy"] == pytest.approx((fitted.predict(x, "classes") == y).mean())
    losses = [member.evaluate(test)["loss"] for member in fitted.members_]
    assert found["loss"] <= np.mean(losses)


@pytest.mark.parametrize(
    "loss, outputs",
    [("mean_squared_error", lambda each: np.mean(each, axis=0)), ("binary_cross_entropy", None)],
)
def test_other_losses(loss: str, outputs: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 4)), rng.integers(0, 2, 64).astype(float)
    model = [{"dense": 1}]
    found = Ensemble(model, members=2, loss=loss, client=THREADED, batch=16, epochs=1).fit(x, y)
    if outputs is not None:
        expected = outputs([member.predict(x) for member in found.members_])
        np.testing.assert_allclose(found.predict(x), expected, atol=1e-6)
    each = [member.predict(x, "probabilities") for member in found.members_]
    np.testing.assert_allclose(found.predict(x, "probabilities"), np.mean(each, axis=0), atol=1e-6)


def test_members_are_trained_at_once(threads_client: Any) -> None:
    """Each waits at its first step until all have come so far."""
    meet = threading.Barrier(2, timeout=30)

    class Meets(Callback):
        def before_training(self, trainer: Trainer) -> None:
            meet.wait()

        def __deepcopy__(self, memo: Any) -> Meets:
            return Meets()

    train, _, _ = parts()
    layout = Layout(data=2)
    Ensemble(MODEL, members=2, client=threads_client, layout=layout, callbacks=[Meets()], **COMMON).fit(train)
    assert not meet.broken


def test_a_share_for_validation_is_the_same_for_all() -> None:
    x, y = Digits().arrays()
    found = Ensemble(MODEL, members=2, client=THREADED, **COMMON).fit(x, y, validation=0.2)
    first, second = (member.history_[-1]["validation"] for member in found.members_)
    assert first != second and found.spec_.order.rows == round(0.8 * len(x))


def test_taken_up_from_a_folder_and_gone_on_with(tmp_path: Any) -> None:
    train, _, test = parts()
    common = COMMON | {"client": THREADED, "folder": tmp_path}
    scores = Ensemble(MODEL, members=2, **common).fit(train).evaluate(test)
    assert Ensemble(MODEL, members=2, **common).restore(tmp_path).evaluate(test) == scores
    longer = Ensemble(MODEL, members=2, **common | {"epochs": 4}).fit(train, resume=True)
    whole = Ensemble(MODEL, members=2, **COMMON | {"client": THREADED, "epochs": 4}).fit(train)
    for mine, theirs in zip(longer.members_, whole.members_, strict=True):
        assert mine.resumed_at_ > 0 and mine.parameters_sha256_ == theirs.parameters_sha256_


def test_refused(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="members=0 must be at least 1"):
        Ensemble(MODEL, members=0)
    with pytest.raises(InputError, match="not fitted yet"):
        Ensemble(MODEL, members=2).predict(np.zeros((1, 8, 8, 1)))
    with pytest.raises(InputError, match="0 finished members there, expected 2"):
        Ensemble(MODEL, members=2).restore(tmp_path)
    with pytest.raises(InputError, match="layer 1: dense"):
        Ensemble(["relu", {"dense": 10}], members=2, client=THREADED, **COMMON).fit(parts()[0])
