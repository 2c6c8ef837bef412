"""The units of scaled targets: factors of the loss, output by output."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from daskpar.data.transforms import Affine
from daskpar.nn import Huber, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy
from daskpar.tasks.units import Units, in_units, units_of


def scaled(*spread: float) -> Affine:
    """Return targets that were divided by these numbers."""
    return Affine((0.0,) * len(spread), tuple(1 / s for s in spread), (len(spread),))


@pytest.mark.parametrize(
    "loss, spread, expected",
    [
        (MeanSquaredError(), (3.0,), Units(9.0, None)),
        (Huber(), (3.0,), Units(9.0, None)),
        (MeanAbsoluteError(), (3.0,), Units(3.0, None)),
        (MeanSquaredError(), (4.0, 1.0), Units(16.0, (1.0, 1 / 16))),
        (MeanAbsoluteError(), (1.0, 4.0), Units(4.0, (0.25, 1.0))),
        (SoftmaxCrossEntropy(), (3.0,), None),  # classes have no units
    ],
)
def test_the_loss_is_scaled_by_a_power_of_the_spread(loss: Any, spread: Any, expected: Units | None) -> None:
    assert units_of(loss, [scaled(*spread)]) == expected


def test_scalings_one_after_the_other_multiply() -> None:
    assert units_of(MeanSquaredError(), [scaled(2.0), scaled(5.0)]) == Units(100.0, None)


def test_targets_as_they_are_have_no_units() -> None:
    assert units_of(MeanSquaredError(), []) is None


def test_a_loss_without_a_power_is_measured_anew() -> None:
    class Own(MeanSquaredError):
        unit_power = None

    assert units_of(Own(), [scaled(2.0)]) == Units(undone=True)


def test_sums_are_those_of_the_largest_unit() -> None:
    """Errors of 1 and 2 in scaled outputs whose spreads are 4 and 1: 4 and 2 in the units of y."""
    loss = MeanSquaredError()
    spec = SimpleNamespace(loss=loss, units=units_of(loss, [scaled(4.0, 1.0)]), out_shape=(2,), xp=np)
    outputs, targets = np.array([[1.0, 2.0]]), np.zeros((1, 2))
    total, weight = in_units(spec, outputs, targets, None, None)
    assert total * spec.units.scale / weight == pytest.approx((4.0**2 + 2.0**2) / 2)
