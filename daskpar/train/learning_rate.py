"""Learning-rate finder: a short training with a growing learning rate, and a picture of the loss over it.

Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daskpar.backend.atomic import atomic_write
from daskpar.errors import InputError, NotFiniteError, shown
from daskpar.optim import registry as optim
from daskpar.optim.schedules import Schedule
from daskpar.report.rate_picture import draw_rates
from daskpar.settings import checked_arguments
from daskpar.train import Callback, Trainer
from daskpar.train.events import Entry
from daskpar.train.history import Record
from daskpar.train.scratch import Scratch
from daskpar.train.view import RunView

_LEAST_STEPS = 10
_CLEAR = 1.5  # times the noise of a loss: a smaller fall of the smoothed loss may be chance
_WORSE = 4.0  # times the best loss so far: the training has diverged


@dataclass(frozen=True, eq=False)
class LearningRates:
    """Result of `find_learning_rate`; a notebook shows its picture.

    Attributes:
        rates: Learning rates (steps,), float64, up to the step at which the training ended.
        losses: Losses (steps,), float64.
        smoothed: Exponential means of the losses (steps,), float64.
        suggestion: Learning rate at which the loss falls fastest; None where it does not fall.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None

    def plot(self, path: str | Path) -> Path:
        """Write the picture to a file.

        Args:
            path: File to write; its name ends in .svg, or in .html for a page.

        Returns:
            The path of the file.

        Raises:
            InputError: The name has another ending.
        """
        path = Path(path)
        if path.suffix not in (".svg", ".html"):
            raise InputError(f"plot: {shown(str(path))}: expected a file that ends in .svg or .html")
        page = (
            '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
            "<title>learning rate</title>"
        )
        atomic_write(path, (page if path.suffix == ".html" else "") + self._repr_html_())
        return path

    def _repr_html_(self) -> str:
        return draw_rates(self.rates, self.losses, self.smoothed, self.suggestion)

    def __repr__(self) -> str:
        text = "none, the loss does not fall" if self.suggestion is None else f"{self.suggestion:.2g}"
        return f"LearningRates({len(self.rates)} steps, {self.rates[0]:.1e} to {self.rates[-1]:.1e}: {text})"


@checked_arguments("find_learning_rate: ")
def find_learning_rate(
    trainer: Trainer,
    X: object,
    y: object = None,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
) -> LearningRates:
    """Return a suggestion for the learning rate, from a short training in which it grows.

    A copy of the Trainer is trained while the learning rate grows from `low` to `high` by equal factors. The
    Trainer itself does not change, fitted or not. The copy has its layout, client and optimizer, but no
    schedule, callbacks or folder. It stops early when the loss is not finite, or four times its minimum.

    Args:
        trainer: The Trainer to find a learning rate for.
        X: Examples (rows, ...), as for `Trainer.fit`.
        y: Targets (rows,) or (rows, outputs), as for `Trainer.fit`. Default: None.
        low: Learning rate of the first step, above 0. Default: 1e-6.
        high: Learning rate of the last step, above `low`. Default: 1.0.
        steps: Number of steps, at least 10. Default: 100.

    Returns:
        The losses by learning rate, and `suggestion`, the rate at which the loss falls fastest.

    Raises:
        InputError: An argument is out of bounds, or the loss is not finite from the first steps on.

    Example:
        >>> from daskpar import Trainer, find_learning_rate
        >>> from daskpar.data import Digits
        >>> trainer = Trainer(["flatten", {"dense": 10}], optimizer="sgd", client="threaded-scheduler")
        >>> rates = find_learning_rate(trainer, Digits(), low=1e-4, high=10.0, steps=60)
        >>> 0.01 < rates.suggestion < 1
        True
        >>> trainer.optimizer = {"sgd": {"lr": rates.suggestion}}

    Reference:
        Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
        https://arxiv.org/abs/1506.01186
    """
    if not isinstance(trainer, Trainer):
        raise InputError(f"find_learning_rate: trainer={shown(trainer, 80)}: expected a Trainer")
    if not 0 < low < high:
        raise InputError(f"find_learning_rate: low={low}, high={high}: expected 0 < low < high")
    if steps < _LEAST_STEPS:
        raise InputError(f"find_learning_rate: steps={steps} must be at least {_LEAST_STEPS}")
    watch = _Watch(steps)
    try:
        _probe(trainer, low, high, steps, watch).fit(X, y, fresh_optimizer=True)
    except NotFiniteError:
        if len(watch.losses) < 2:
            raise InputError(
                f"find_learning_rate: the loss is not finite at a rate of {low} already; use a lower `low`, "
                'or transforms=["standardise"]'
            ) from None
    smoothed = watch.smoothed()
    suggestion = _suggestion(watch, smoothed)
    return LearningRates(np.array(watch.rates), np.array(watch.losses), smoothed, suggestion)


def _probe(trainer: Trainer, low: float, high: float, steps: int, watch: Callback) -> Trainer:
    """Return a copy of the Trainer that sweeps the learning rates, with files in the same folder."""
    settings = trainer.settings
    probe = copy(trainer)
    probe.__dict__["_folder"] = Scratch(settings.folder)
    lr = optim.optimizer(settings.optimizer).lr
    probe.settings = replace(
        settings,
        schedule=Sweep(first=low / lr, last=high / lr),
        layout=trainer.layout_,
        epochs=None,
        steps=steps,
        evaluate_every=f"{max(1, steps // 20)} steps",
        callbacks=(watch,),
        folder=None,
        profile=False,
        learning_rate=None,  # the schedule has the learning rates
        verbose=0,
    )
    return probe


@dataclass(frozen=True)
class Sweep(Schedule):
    """Schedule that grows from `first` to `last` by equal factors."""

    first: float = 1e-3
    last: float = 1.0

    def _after(self, step: int, total: int) -> float:
        return float(self.first * (self.last / self.first) ** (step / max(1, total - 1)))


class _Watch(Callback):
    """Callback that keeps learning rates and losses, and ends the training when the loss diverges."""

    def __init__(self, steps: int):
        self.kept = max(0.0, 1 - 10 / steps)
        self.lag = round(self.kept / (1 - self.kept))  # steps that the smoothed loss is behind
        self.rates: list[float] = []
        self.losses: list[float] = []

    def after_steps(self, run: RunView, entries: list[Entry]) -> None:
        for _, sums, rate in entries:
            self.rates.append(rate)
            self.losses.append(sums[0] / sums[1])

    def after_evaluation(self, run: RunView, record: Record) -> bool:
        smoothed = self.smoothed()
        return len(smoothed) >= _LEAST_STEPS and bool(smoothed[-1] > _WORSE * smoothed.min() > 0)

    def smoothed(self) -> np.ndarray:
        """Return the exponential means of the losses (steps,), corrected for their start at zero."""
        mean, means = 0.0, []
        for n, loss in enumerate(self.losses, 1):
            mean = self.kept * mean + (1 - self.kept) * loss
            means.append(mean / (1 - self.kept**n))
        return np.array(means)


def _suggestion(watch: _Watch, smoothed: np.ndarray) -> float | None:
    """Return the learning rate at the steepest fall of the loss over log(rate), before the minimum.

    The first tenth does not count: its means are of few, noisy losses. The mean lags behind the losses, so
    the fall began some steps earlier. Returns None for a fall that noise alone can cause.
    """
    first, least = len(smoothed) // 10, int(smoothed.argmin())
    if least - first < 2:
        return None
    noise = float(np.diff(watch.losses[: least + 1]).std()) / math.sqrt(2)
    if smoothed[first:least].max() - smoothed[least] <= _CLEAR * noise:
        return None
    slope = np.gradient(smoothed, np.log(watch.rates))[first:least]
    return watch.rates[max(0, first + int(slope.argmin()) - watch.lag)]
