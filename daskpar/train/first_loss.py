"""A hint when the first loss is far above the loss of a constant guess.

The outputs of an initialised network are about as good as a constant. If its loss is many times larger, its
inputs are larger than layers are made for, or its targets are far from zero.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from daskpar.data.chunk import transformed
from daskpar.data.transforms import Affine, Examples
from daskpar.train.events import Event, StepsDone
from daskpar.train.problem import Problem

logger = logging.getLogger("daskpar")

_TIMES = 10.0  # the loss of a constant; that of an initialised network is rarely twice as large
_ROWS = 1000  # that are used for the guess
_FAR = 10.0  # from 0: initialisers assume inputs of mean 0 and variance 1


class FirstLoss:
    """Gets the events of a run, and logs one line if the loss of step 0 is far too large."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self._heard = False

    def hear(self, event: Event) -> None:
        """Check the loss of the first step of a run; ignore all other events."""
        if self._heard or not isinstance(event, StepsDone):
            return
        self._heard = True
        step, sums, _ = event.entries[0]
        if step == 0 and sums[1] > 0:
            line = hint(self.problem, sums[0] / sums[1])
            if line is not None:
                logger.warning("%s", line)


def hint(problem: Problem, loss: float) -> str | None:
    """Return a line with advice on the loss of the first step, or None for a usual loss."""
    spec = problem.spec
    if any(isinstance(fitted, Examples) for fitted in spec.targets):
        return None
    guess = _guess(problem)
    if guess is None or not 0 < guess * _TIMES < loss < math.inf:
        return None
    remedies = []
    if _inputs_are_far(problem):
        remedies.append('transforms=["standardise"] for columns of X far from mean 0 and variance 1')
    if spec.loss.task == "numbers" and _targets_are_far(problem):
        remedies.append('targets=["standardise"] for targets far from 0')
    if not remedies:
        return None
    scale = 1.0 if spec.units is None else spec.units.scale
    losses = f"step 0: the loss is {loss * scale:.4g}, that of a constant guess {guess * scale:.4g}"
    return f"{losses}; try {', and '.join(remedies)}"


def _guess(problem: Problem) -> float | None:
    """Return the loss of a constant guess: equal classes, or the mean of some targets; None if unknown."""
    spec = problem.spec
    if spec.loss.task == "numbers":
        targets = _targets(problem)
        if targets is None:
            return None
        if math.prod(targets.shape[1:]) != math.prod(spec.out_shape):
            return None
        outputs = np.broadcast_to(targets.mean(axis=0), targets.shape).reshape(-1, *spec.out_shape)
    else:
        outputs = np.zeros((1, *spec.out_shape))
        hard = spec.out_shape[:-1] if spec.loss.task == "classes" else spec.out_shape
        targets = np.zeros((1, *hard), int)
    loss, weight, _ = spec.loss(outputs, targets)
    return float(loss / weight) if weight else None


def _targets(problem: Problem) -> np.ndarray | None:
    """Return some transformed targets, or None where they are not in memory."""
    y = problem.train.source.plain_targets()
    if y is None:
        return None
    y = np.asarray(y[:_ROWS])
    for fitted in problem.spec.targets:
        y = fitted.apply(y)
    return y.astype(np.float64)


def _targets_are_far(problem: Problem) -> bool:
    targets = _targets(problem)
    return targets is not None and bool(np.abs(targets).max(initial=0.0) > _FAR)


def _inputs_are_far(problem: Problem) -> bool:
    """Return whether some transformed inputs are far from 0, or may be, where none is in memory."""
    spec, source = problem.spec, problem.train.source
    if spec.model.tokens:
        return False
    if source.plain_targets() is None:
        return not any(isinstance(fitted, Affine) for fitted in spec.transforms)
    x = transformed(source.arrays()[0][:_ROWS], spec.transforms, "float64")
    return bool(np.abs(x).max(initial=0.0) > _FAR)
