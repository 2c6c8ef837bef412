"""The callbacks of a run: they get its events, and keep their states over a resumption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from daskpar.data.sampler import Sampler
from daskpar.tasks.types import Spec, State
from daskpar.train.callbacks import Callback, EarlyStopping
from daskpar.train.events import Began, Ended, Entry, Evaluated, Evaluating, Event, StepsDone
from daskpar.train.progress import Progress
from daskpar.train.refusals import check_monitor
from daskpar.train.view import RunView


class CallbackList:
    """Passes the events of a run to callbacks, in their order.

    `order` maps steps to epochs. The callbacks in `first` get each event before the others, and have no state
    in checkpoints.
    """

    def __init__(self, callbacks: Sequence[Callback], order: Sampler, first: Sequence[Callback] = ()):
        self.callbacks, self.order = (*first, *callbacks), order
        self._with_state = tuple(callbacks)
        self._epoch = -1

    def reset(self, spec: Spec, validation: bool) -> None:
        """Reset all callbacks for a new run. Raises InputError for a `monitor` that is not known."""
        for callback in self.callbacks:
            callback.reset()
            if callback.monitor is not None:
                check_monitor(spec, callback.monitor, validation)

    def hear(self, run: RunView, event: Event) -> None:
        """Pass an event to all callbacks; the run is stopped if one of them returns True."""
        match event:
            case Began():
                for callback in self.callbacks:
                    callback.before_training(run)
            case StepsDone(entries, _):
                self._hear_steps(run, entries)
            case Evaluating(done, chunks):
                for callback in self.callbacks:
                    if isinstance(callback, Progress):
                        callback.evaluating(done, chunks)
            case Evaluated(record):
                for callback in self.callbacks:
                    if callback.after_evaluation(run, record):
                        run.stop()
            case Ended():
                for callback in self.callbacks:
                    callback.after_training(run)

    def _hear_steps(self, run: RunView, entries: list[Entry]) -> None:
        for step, _, _ in entries:
            epoch, _ = self.order.place(step)
            if epoch > self._epoch:
                self._epoch = epoch
                for callback in self.callbacks:
                    callback.before_epoch(run, epoch)
        for callback in self.callbacks:
            callback.after_steps(run, entries)

    def close(self) -> None:
        """Close all callbacks."""
        for callback in self.callbacks:
            callback.close()

    def states(self) -> list[list[Any]]:
        """Return pairs of kind and state, one for each callback, for a checkpoint."""
        return [[type(callback).__name__, callback.state_dict()] for callback in self._with_state]

    def take_up(self, states: Sequence[Sequence[Any]], best: Callable[[int], State | None]) -> None:
        """Restore callbacks from a checkpoint; `best(step)` reads the best state, if it is of that step."""
        left = list(states)
        for callback in self.callbacks:
            match = next((pair for pair in left if pair[0] == type(callback).__name__), None)
            if match is None:
                continue
            left.remove(match)
            callback.load_state_dict(match[1])
            if isinstance(callback, EarlyStopping) and callback.best_value is not None:
                callback.best_state = best(callback.best_step)
