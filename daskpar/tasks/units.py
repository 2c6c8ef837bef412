"""The units of the targets before they were scaled, in which losses and metrics of numbers are told.

A gradient is that of the scaled targets, as the optimizer needs it. The loss is reported in the units of `y`:
that of scaled targets times a power of the scale, output by output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.data.transforms import Affine, Fitted, undo


class Units(NamedTuple):
    """A loss of scaled targets in the units of the targets.

    `scale`: what it is multiplied by where it is reported. `shares`: for each output, in the order of an
    example's, the share of that; None where they are alike. `undone`: it is measured anew, of numbers that
    are scaled back: where a loss has no power of units, or scaling is no multiplication.
    """

    scale: float = 1.0
    shares: tuple[float, ...] | None = None
    undone: bool = False


def units_of(loss: Any, targets: Sequence[Fitted]) -> Units | None:
    """Return the units of targets that were scaled; None where they were not, or are no numbers."""
    scaled = [fitted for fitted in targets if type(fitted).undo is not Fitted.undo]
    if loss.task != "numbers" or not scaled:
        return None
    if loss.unit_power is None or not all(isinstance(fitted, Affine) for fitted in scaled):
        return Units(undone=True)
    spread = np.ones(1)
    for fitted in scaled:
        assert isinstance(fitted, Affine)
        factor = np.asarray(fitted.factor)
        spread = spread * np.where(factor == 0, 0.0, 1 / np.where(factor == 0, 1.0, factor))
    with np.errstate(over="ignore", under="ignore"):
        largest = float(spread.max())
        if not largest > 0:
            return None  # nothing varies, and nothing was scaled
        shares = (spread / largest) ** loss.unit_power
        scale = float(np.float64(largest) ** loss.unit_power)
    return Units(scale, None if (shares == 1).all() else tuple(shares.tolist()))


def in_units(
    spec: Any, outputs: Array, targets: Array, weights: Array | None, positions: slice | None
) -> tuple[float, float]:
    """The sums of the loss and its weights, in the units of `spec.units`, of outputs (rows, ...).

    `positions`: which of an example's the outputs are, where they are not all.
    """
    if spec.units.undone:
        outputs, targets = (undo(spec.targets, to_numpy(values)) for values in (outputs, targets))
        if weights is None:
            return spec.loss(outputs, targets)[:2]  # type: ignore[no-any-return]
        return spec.loss.weighted(outputs, targets, to_numpy(weights))[:2]  # type: ignore[no-any-return]
    shares = np.asarray(spec.units.shares, dtype=outputs.dtype).reshape(spec.out_shape)
    if positions is not None:
        shares = shares[positions]
    return spec.loss.in_units(outputs, targets, spec.xp.asarray(shares), weights)  # type: ignore[no-any-return]
