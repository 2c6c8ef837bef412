"""The learning-rate finder: a short training whose rate grows, and a picture of what the loss does meanwhile.

Smith 2017, "Cyclical learning rates for training neural networks", sec. 3.3.
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
_CLEAR = 1.5  # times the noise of a loss: a smaller fall of their mean may be chance
_WORSE = 4.0  # times the best loss so far: it will not come back


@dataclass(frozen=True, eq=False)
class LearningRates:
    """The result of `find_learning_rate`; a notebook shows its picture.

    `rates`, `losses`, `smoothed`: float64 (steps,), as far as the training went before it diverged.
    `suggestion`: the rate at which the loss falls fastest; None where it does not fall at all.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None

    def plot(self, path: str | Path) -> Path:
        """Write the picture to an `.svg` file, or as a page to an `.html` file; returns its path."""
        path = Path(path)
        if path.suffix not in (".svg", ".html"):
            raise InputError(f"plot: {shown(str(path))}: expected a file that ends in .svg or .html")
        page = '<!doctype html><meta charset="utf-8"><title>learning rate</title>'
        atomic_write(path, (page if path.suffix == ".html" else "") + self._repr_html_())
        return path

    def _repr_html_(self) -> str:
        return draw_rates(self.rates, self.losses, self.smoothed, self.suggestion)

    def __repr__(self) -> str:
        told = "none, the loss does not fall" if self.suggestion is None else f"{self.suggestion:.2g}"
        return f"LearningRates({len(self.rates)} steps, {self.rates[0]:.1e} to {self.rates[-1]:.1e}: {told})"


@checked_arguments("find_learning_rate: ")
def find_learning_rate(
    trainer: Trainer,
    X: object,
    y: object = None,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
) -> LearningRates:
    """Train a copy of a Trainer while the learning rate grows from `low` to `high` by equal factors.

    `X`, `y`: as for `Trainer.fit`. The Trainer stays as it is, fitted or not; its copy has its layout, client
    and optimizer, but no schedule, callbacks or folder. It ends early when the loss has become four times
    its least, or is not finite.
    Raises InputError for bounds that are none, and where the loss is not finite from the first steps on.

    >>> from daskpar import Trainer
    >>> from daskpar.data import Digits
    >>> trainer = Trainer(["flatten", {"dense": 10}], optimizer="sgd", client="threaded-scheduler")
    >>> found = find_learning_rate(trainer, Digits(), low=1e-4, high=10.0, steps=60)
    >>> 0.01 < found.suggestion < 1
    True
    >>> trainer.optimizer = {"sgd": {"lr": found.suggestion}}
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
    """A copy of the Trainer that sweeps the rates, with files where the Trainer has them."""
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
        learning_rate=None,  # the schedule holds the rates
        verbose=0,
    )
    return probe


@dataclass(frozen=True)
class Sweep(Schedule):
    """Grows from `first` to `last` by equal factors."""

    first: float = 1e-3
    last: float = 1.0

    def _after(self, step: int, total: int) -> float:
        return float(self.first * (self.last / self.first) ** (step / max(1, total - 1)))


class _Watch(Callback):
    """Keeps rates and losses, and ends the training when the loss has run away."""

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
        """An exponential mean of the losses, which does not begin at zero."""
        mean, found = 0.0, []
        for n, loss in enumerate(self.losses, 1):
            mean = self.kept * mean + (1 - self.kept) * loss
            found.append(mean / (1 - self.kept**n))
        return np.array(found)


def _suggestion(watch: _Watch, smoothed: np.ndarray) -> float | None:
    """The rate at the steepest fall, per factor of the rate, before the least loss is reached.

    The first tenth does not count: there the mean is of a few noisy losses. It lags behind the losses, so
    that the fall has been some steps before. A fall that noise alone can make is none.
    """
    first, least = len(smoothed) // 10, int(smoothed.argmin())
    if least - first < 2:
        return None
    noise = float(np.diff(watch.losses[: least + 1]).std()) / math.sqrt(2)
    if smoothed[first:least].max() - smoothed[least] <= _CLEAR * noise:
        return None
    slope = np.gradient(smoothed, np.log(watch.rates))[first:least]
    return watch.rates[max(0, first + int(slope.argmin()) - watch.lag)]
