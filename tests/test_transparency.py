"""Every layout computes what a plain loop in one process computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference

from daskpar import Dense, Dropout, Layout, Residual, Sequential, Tanh, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Order

MODEL = Sequential((Dense(12), Tanh(), Dropout(0.3), Residual((Dense(12), Tanh())), Dense(4)))
LAYOUTS = [
    Layout(data=1),
    Layout(data=4),
    Layout(data=4, fan_in=2),
    Layout(data=8, fan_in=3),
    Layout(data=2, grain="stage"),
    Layout(data=1, grain="layer"),
    Layout(data=4, grain="layer", fan_in=2),
    Layout(grain="window"),
]


def blobs(rows: int, dtype: Any = float) -> tuple[np.ndarray, np.ndarray]:
    """Four overlapping clouds of points in eight dimensions."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, rows)
    return (rng.standard_normal((rows, 8)) + np.eye(4, 8)[y] * 2).astype(dtype), y


@pytest.mark.parametrize("rows", [128, 100], ids=["even", "last batch partial"])
@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("layout", LAYOUTS, ids=repr)
def test_every_layout_equals_a_plain_loop(
    layout: Layout, precision: str, tolerance: float, rows: int
) -> None:
    x, y = blobs(rows, precision)
    order = Order(rows, 32, 8, 1000, "random", seed=3)
    expected = reference.train(MODEL, x, y, order, epochs=2, lr=1e-2, seed=3)
    trainer = Trainer(
        MODEL,
        client=THREADED,
        optimizer={"adam": 1e-2},
        batch=32,
        epochs=2,
        streams=8,
        seed=3,
        layout=layout,
        precision=precision,
    )
    found = trainer.fit(x, y).parameters_
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == precision
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("distribution", ["uniform", "random", "stratified"])
def test_slices_and_chunk_sizes_do_not_change_what_is_computed(distribution: str) -> None:
    x, y = blobs(96)
    common: dict[str, Any] = dict(
        client=THREADED, batch=24, epochs=2, distribution=distribution, precision="float64", seed=1
    )
    whole = Trainer(MODEL, **common).fit(x, y).parameters_
    sliced = Trainer(MODEL, accumulate=5, layout=Layout(data=2), **common).fit(x, y).parameters_
    for name, value in whole.items():
        np.testing.assert_allclose(sliced[name], value, rtol=0, atol=1e-12, err_msg=name)


def test_usual_numbers_of_lanes_draw_the_same_batches() -> None:
    x, y = blobs(96)
    common: dict[str, Any] = dict(client=THREADED, batch=32, epochs=1, precision="float64")
    losses = [
        Trainer(MODEL, layout=Layout(data=lanes), **common).fit(x, y).history_[0]["each_step"]["loss"]
        for lanes in (1, 2, 4, 8, 16)
    ]
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-13)
