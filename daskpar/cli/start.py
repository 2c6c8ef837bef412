"""The state that `daskpar train` begins with."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.cli.same_run import check_same_run
from daskpar.config import Config
from daskpar.errors import InputError
from daskpar.train import Callback
from daskpar.train.view import RunView


class Start(NamedTuple):
    """The state that a training begins with: that of its own last checkpoint, or another's.

    `path`: a run's folder, a checkpoint's, or a file of `Trainer.save`. `strict`: whether all parameters must
    fit. `fresh_optimizer`: whether step count, history and the optimizer's state begin anew.
    """

    resume: bool = False
    path: str | None = None
    fresh_optimizer: bool = False
    strict: bool = True

    def check(self) -> None:
        """Refuse options that do not go together."""
        if self.resume and self.path is not None:
            raise InputError("--resume goes on with this run, --from begins with another; give one of them")
        if self.path is None and (self.fresh_optimizer or not self.strict):
            name = "--not-strict" if not self.strict else "--fresh-optimizer"
            raise InputError(f"{name} goes with --from, which names what to begin with")

    def checks(self, config: Config) -> list[Callback]:
        """Return what refuses to resume the run of another config."""
        return [SameRun(config)] if self.resume else []


class SameRun(Callback):
    """Refuses, before the first step, to resume the run of another config.

    What does not fit the checkpoint itself is refused before, in terms of that.
    """

    def __init__(self, config: Config):
        self.config = config

    def before_training(self, run: RunView) -> None:
        check_same_run(self.config)
