"""A test of a loss of your own against its contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskpar.errors import InputError
from daskpar.nn.own_measures import check_own_measures
from daskpar.nn.registry import loss as built

_STEP, _ERROR = 1e-5, 1e-5  # of central differences; the largest relative error of a gradient


def check_loss(loss: object, out_shape: Sequence[int], targets: Any) -> None:
    """Check that a loss of your own keeps its contract. Meant for tests.

    It computes in float64 with random outputs and makes four checks:

    - shapes: The targets fit the outputs. The sums are numbers, and the gradient has the shape of the
    outputs. - purity: The loss does not write to the outputs.
    - gradients: The gradient agrees with central differences.
    - rows: The losses and weights of single rows add up to those of all rows.

    Args:
        loss: A function, a name, or a `Loss`, as for a Trainer.
        out_shape: Shape of the outputs of one example, e.g. `(1,)`.
        targets: (rows, ...) some targets, at least two rows.

    Raises:
        InputError: A check fails. The message names it.

    Example:
        The second loss, z², has a wrong gradient: z in place of 2·z.

        >>> from daskpar import check_loss
        >>> check_loss("huber", (1,), [0.0, 1.0, 5.0])
        >>> check_loss(lambda outputs, targets: (outputs[:, 0] ** 2, outputs), (1,), [0, 1])
        Traceback (most recent call last):
        daskpar.errors.InputError: loss: check 'gradients' fails: it is off by 0.5 of its largest element
    """
    block, shape = built(loss), tuple(out_shape)
    targets = np.asarray(targets)
    block.check(shape, targets.shape[1:], targets.dtype)
    targets = block.conform(targets, shape)
    outputs: np.ndarray = np.random.default_rng(0).standard_normal((len(targets), *shape))
    check_own_measures(block, (), shape, targets[:1], outputs.dtype)
    before = outputs.copy()
    total, weight, gradient = block(outputs, targets)
    fault = None
    if not np.array_equal(outputs, before):
        fault = "'purity' fails: it writes to the outputs; work on a copy"
    elif not (error := _error(block, outputs, targets, gradient)) < _ERROR:
        fault = f"'gradients' fails: it is off by {error:.2g} of its largest element"
    else:
        rows = [block(outputs[i : i + 1], targets[i : i + 1])[:2] for i in range(len(targets))]
        if not np.allclose(np.sum(rows, axis=0), (total, weight), rtol=1e-9):
            fault = "'rows' fails: the losses and weights of rows do not add up; return sums, not means"
    if fault is not None:
        raise InputError(f"{block.kind}: check {fault}")


def _error(block: Any, outputs: np.ndarray, targets: np.ndarray, gradient: np.ndarray) -> float:
    """Return the error of a gradient, relative to its largest element."""
    slopes = np.empty(outputs.size)
    for i in range(outputs.size):
        sides = []
        for step in (_STEP, -_STEP):
            moved = outputs.copy()
            moved.reshape(-1)[i] += step
            sides.append(block(moved, targets)[0])
        slopes[i] = (sides[0] - sides[1]) / (2 * _STEP)
    return float(np.max(np.abs(np.ravel(gradient) - slopes)) / max(np.max(np.abs(slopes)), 1e-3))
