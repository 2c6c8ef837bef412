"""Trial of users' own losses and metrics on two rows before a run begins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from daskpar.errors import InputError, one_line, shown
from daskpar.nn.functions import FunctionLoss, FunctionMetric
from daskpar.nn.layer import Shape
from daskpar.nn.loss import Loss
from daskpar.nn.metrics import Metric
from daskpar.nn.own_layers import is_own

_ROWS = 2


def check_own_measures(
    loss: Loss, metrics: Sequence[Metric], out_shape: Shape, target: np.ndarray, dtype: DTypeLike
) -> None:
    """Refuse a user's loss or metric that breaks its contract.

    `target` (1, ...) is that of one example. The InputError names the loss or the metric.
    """
    outputs = np.random.default_rng(0).standard_normal((_ROWS, *out_shape)).astype(dtype)
    targets = np.repeat(target, _ROWS, axis=0)
    if targets.dtype.kind == "f":
        targets = targets.astype(dtype)
    if is_own(loss) or isinstance(loss, FunctionLoss):
        _try(f"loss {loss.kind}", lambda: _fault_of_loss(loss(outputs, targets), outputs))
    for metric in metrics:
        if is_own(metric) or isinstance(metric, FunctionMetric):
            width = metric.width(out_shape[-1] if out_shape else 1)
            _try(
                f"metric {metric.name}",
                lambda metric=metric, width=width: _fault_of_metric(  # type: ignore[misc]
                    metric.sums(outputs, targets, loss), width
                ),
            )


def _try(name: str, fault_of: Callable[[], str | None]) -> None:
    try:
        with np.errstate(all="ignore"):
            fault = fault_of()
    except InputError:
        raise
    except Exception as error:
        if "cupy" in sys.modules:  # it may work with CuPy's arrays only
            return
        fault = f"raised {one_line(f'{type(error).__name__}: {error}', 200)}"
    if fault is not None:
        raise InputError(f"{name}: {fault}")


def _fault_of_loss(result: object, outputs: np.ndarray) -> str | None:
    if not isinstance(result, tuple) or len(result) != 3 or not all(map(_is_number, result[:2])):
        return (
            f"returned {shown(result, 80)}; expected (sum of the losses, sum of the weights, gradient with "
            "respect to the outputs)"
        )
    shape = getattr(result[2], "shape", None)
    if shape == outputs.shape:  # another dtype is accepted and computed with
        return None
    got = shown(result[2], 60) if shape is None else shape
    return f"returned a gradient of shape {got}; expected {outputs.shape}, that of the outputs"


def _fault_of_metric(sums: object, width: int) -> str | None:
    if isinstance(sums, tuple) and len(sums) == width and all(map(_is_number, sums)):
        return None
    return f"sums returned {shown(sums, 80)}; expected a tuple of {width} numbers, as width says"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) or getattr(value, "shape", None) == ()
