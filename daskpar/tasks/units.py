"""The units of targets before they were scaled: losses and metrics of numbers are reported in them.

Gradients are those of the scaled targets, as the optimizer needs them. The reported loss is converted, output
by output, by a power of the deviation by which the targets were divided:

    reported loss = loss of scaled targets * deviation ** power     power: 2 for squared, 1 for absolute error
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.data.transforms import Affine, Fitted, undo


class Units(NamedTuple):
    """The factors that convert a loss of scaled targets to the units of the targets.

    Args:
        scale: Factor of the reported loss. Default: 1.
        shares: Share of that factor for each output; None if all have the same. Default: None.
        undone: Measure the loss again on outputs and targets that are scaled back. Needed if the loss has no
            power of units, or if the scaling is no multiplication. Default: False.
    """

    scale: float = 1.0
    shares: tuple[float, ...] | None = None
    undone: bool = False


def units_of(loss: Any, targets: Sequence[Fitted]) -> Units | None:
    """Return the units of scaled targets; None if targets are not scaled, or are classes."""
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
    """Return the sums of the loss and of its weights, in the units of `spec.units`.

    `outputs` and `targets` are (rows, ...). `positions` are the positions of an example that the outputs are
    for; None for all.
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
