"""The state that `daskpar train` begins with."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from daskpar.cli.same_run import check_same_run
from daskpar.config import Config
from daskpar.errors import InputError
from daskpar.train import Callback
from daskpar.train.view import RunView


class Start(NamedTuple):
    """The state that a training begins with: its own last checkpoint, or the state of another run.

    `resume`: continue the run from its last checkpoint, which must be there. `or_start`: continue it if there
    is one, else begin. `path`: the folder of a run or a checkpoint, or a file of `Trainer.save`. `strict`:
    refuse parameters that do not fit the model. `fresh_optimizer`: begin with a new step count, history and
    optimizer state.
    """

    resume: bool = False
    path: str | None = None
    fresh_optimizer: bool = False
    strict: bool = True
    or_start: bool = False

    def check(self) -> None:
        """Refuse options that exclude each other. Raises InputError."""
        if (self.resume or self.or_start) and self.path is not None:
            name = "--resume" if self.resume else "--resume-or-start"
            raise InputError(f"{name} continues this run, --from begins with another; give one of them")
        if self.resume and self.or_start:
            raise InputError("--resume needs a checkpoint, --resume-or-start does not; give one of them")
        if self.path is None and (self.fresh_optimizer or not self.strict):
            name = "--not-strict" if not self.strict else "--fresh-optimizer"
            raise InputError(f"{name} goes with --from PATH, which names the state to begin with")

    def at(self, saved: Path | None) -> Start:
        """Return the start of a run whose last checkpoint is `saved`, or None."""
        return self._replace(resume=self.resume or (self.or_start and saved is not None), or_start=False)

    def again(self, saved: Path | None) -> Start:
        """Return the start of another attempt after the cluster was lost: from the last checkpoint."""
        return self if saved is None else Start(resume=True)

    def checks(self, config: Config) -> list[Callback]:
        """Return the callback that refuses to resume the run of another config, if the run is resumed."""
        return [SameRun(config)] if self.resume else []


class SameRun(Callback):
    """Callback that refuses to resume the run of another config, before the first step.

    A model that does not fit the checkpoint is refused earlier, with the names of its parameters.
    """

    def __init__(self, config: Config):
        self.config = config

    def before_training(self, run: RunView) -> None:
        check_same_run(self.config)
