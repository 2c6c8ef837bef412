"""The hint at an absurd first loss; a batch of more rows than there are."""

from __future__ import annotations

import logging
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.errors import NotFiniteError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
FAR = X * [1, 2000, 1, 1] + [0, 5000, 0, 0]
Y = (X[:, 0] > 0).astype(int)
BINARY, SQUARED = "binary_cross_entropy", "mean_squared_error"


def lines(caplog: Any, x: Any, y: Any, units: int = 2, **how: Any) -> list[str]:
    """The lines that a training logs."""
    with caplog.at_level(logging.INFO, "daskpar"):
        Trainer([{"dense": 8}, "relu", {"dense": units}], client=THREADED, **{"batch": 20, **how}).fit(x, y)
    return [line for line in caplog.messages if not line.startswith("compil")]


@pytest.mark.parametrize(
    "x, y, how, remedies",
    [
        (FAR, Y, {}, 'transforms=["standardise"] for columns of X far'),
        (
            da.from_array(FAR, (20, 4)),
            da.from_array(Y, 20),
            {},
            'transforms=["standardise"] for columns of X far',
        ),
        (FAR, Y, {"units": 1, "loss": BINARY}, 'transforms=["standardise"] for columns of X far'),
        (FAR, X[:, 0], {"units": 1, "loss": SQUARED}, 'transforms=["standardise"] for columns of X far'),
        (X, 900 + X[:, 0], {"units": 1, "loss": SQUARED}, 'targets=["standardise"] for targets far from 0'),
        (FAR, 900 + X[:, 0], {"units": 1, "loss": SQUARED}, 'variance 1, and targets=["standardise"] for'),
    ],
)
def test_an_absurd_first_loss_recommends_what_helps(
    x: Any, y: Any, how: dict[str, Any], remedies: str, caplog: Any
) -> None:
    (line,) = lines(caplog, x, y, **how)
    assert line.startswith("step 0: the loss is ") and remedies in line and "\n" not in line


@pytest.mark.parametrize(
    "x, y, how",
    [
        (X, Y, {}),
        (FAR, Y, {"transforms": ["standardise"]}),
        (da.from_array(FAR, (20, 4)), Y, {"transforms": ["standardise"]}),
        (X, 900 + X[:, 0], {"units": 1, "loss": SQUARED, "targets": ["standardise"]}),
        (X, X[:, 0], {"units": 1, "loss": SQUARED}),
        (X, np.full(60, 900.0), {"units": 1, "loss": SQUARED}),
        (FAR, None, {"units": 4, "loss": SQUARED, "targets": ["inputs"]}),
    ],
)
def test_a_sound_first_loss_says_nothing(x: Any, y: Any, how: dict[str, Any], caplog: Any) -> None:
    assert lines(caplog, x, y, **how) == []


@pytest.mark.parametrize("layout", [Layout(), Layout(width=2), Layout(stages=2)], ids=repr)
def test_a_first_loss_that_is_not_finite_recommends_it_too(layout: Layout) -> None:
    model = [{"dense": 8}, "relu", {"dense": 2}]
    with pytest.raises(
        NotFiniteError, match=r"step 0: the loss is (nan|inf); .*scale the data, e.g. transforms="
    ):
        Trainer(model, layout=layout, batch=20, client=THREADED).fit(1e38 * X, Y)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"layout": Layout(data=4)},
        {"layout": Layout(data=2, grain="window")},
        {"layout": Layout(stages=2, microbatches=3)},
        {"layout": Layout(replicas=2, average_every=2)},
        {"drop_last": True, "distribution": "stratified"},
    ],
)
def test_a_batch_of_more_rows_than_there_are_is_all_rows(how: dict[str, Any], caplog: Any) -> None:
    (line,) = lines(caplog, X, Y, batch=1000, **how)
    assert line == "train.batch=1000 is more than the data have: a batch is all 60 rows of training data"
    sizes = [
        Trainer([{"dense": 8}, "relu", {"dense": 2}], batch=batch, epochs=2, client=THREADED, **how).fit(X, Y)
        for batch in (1000, 60)
    ]
    assert sizes[0].parameters_sha256_ == sizes[1].parameters_sha256_
    assert sizes[0].steps_ == 2 and sizes[0].spec_.order.batch == 60


def test_a_single_row_is_a_batch() -> None:
    trainer = Trainer([{"dense": 2}], client=THREADED).fit(X[:1], Y[:1])
    assert trainer.spec_.order.batch == 1
