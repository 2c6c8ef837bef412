"""Several models trained at once, whose predictions are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from daskpar.cluster.clients import current_client
from daskpar.cluster.setup import blas_threads
from daskpar.data.paths import absolute
from daskpar.errors import InputError
from daskpar.settings import at_least_one, checked_arguments
from daskpar.tasks.state_file import read_state
from daskpar.tasks.types import Lane, Spec, State
from daskpar.train.description import describe
from daskpar.train.fit import FitArguments
from daskpar.train.inputs import Inputs
from daskpar.train.progress import progress_for
from daskpar.train.saved import save_file, saved_at
from daskpar.train.session import session
from daskpar.train.settings import Settings
from daskpar.train.state_files import fitted_with, saved_spec, state_file
from daskpar.train.trainer import Trainer


def train_all(members: Sequence[Trainer], client: object, arguments: FitArguments) -> None:
    """Train members at once, each in a thread, on a client; where one fails, the others are stopped."""
    with ThreadPoolExecutor(len(members)) as threads:
        runs = [threads.submit(member.fit_on, client, arguments) for member in members]
        try:
            for run in runs:
                run.result()
        except BaseException:
            for member in members:
                member.stop()
            raise


class Ensemble(Trainer):
    """Trains `members` models side by side on one cluster, each from a seed of its own, on the same data.

    Arguments as for `Trainer`; member k has the seed `seed` + k, and the folder `member-k` within `folder`.
    Predictions, and what `evaluate` measures, are the mean over members: of probabilities, for a classifier
    (Hansen and Salamon 1990; Lakshminarayanan et al. 2017, sec. 2.4). After `fit`, `members_` are the fitted
    Trainers.
    """

    members_: list[Trainer]

    @checked_arguments()
    def __init__(self, model: object, *, members: int = 5, **options: Any):
        at_least_one("members", members)
        super().__init__(model, **options)
        self.members = members

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings and the number of members by name."""
        return {**super().get_params(deep), "members": self.members}

    def _fit(self, arguments: FitArguments, settings: Settings) -> None:
        """Train all members at once. A share of the rows for validation is the same for all."""
        client = current_client(self.settings.client)  # threads might have another
        members = self._members(settings)
        with self._training_alone(), session(settings) as (executor, settings):
            data = Inputs(settings, executor, self._scratch).parts(
                arguments.x, arguments.y, arguments.validation, arguments.sample_weight
            )
            lanes = self.members * settings.fixed_layout.slots
            threads = blas_threads(lanes, settings.blas_threads)
            for member in members:
                member.blas_threads = threads
            shown = progress_for(self.settings, f"member 1/{self.members}")  # as the others go beside it
            members[0].callbacks = [*members[0].callbacks, *shown]
            given = replace(arguments, x=data[0], y=None, validation=data[1], sample_weight=None)
            try:
                train_all(members, client, given)
            finally:  # also what members have learnt when they were interrupted
                if all(member._is_fitted for member in members):
                    self._join(members)

    def _members(self, settings: Settings) -> list[Trainer]:
        """Return a Trainer for each member, with what the members have learnt before."""
        members = [self._member(k, settings) for k in range(self.members)]
        for member, before in zip(members, self.__dict__.get("members_", ()), strict=False):
            member.__dict__.update(before._learnt())
        return members

    def restore(self, checkpoint: str | Path, strict: bool = True) -> Ensemble:
        """Take up the members in a run's folder, as their final checkpoints have them, or in a file."""
        place = Path(absolute(checkpoint, "restore"))
        saved = saved_at(place) if place.is_file() else None
        folders = sorted(place.glob("member-*/checkpoints/final"), key=lambda path: (len(str(path)), path))
        count = len(folders) if saved is None else len(saved.meta.get("members", ()))
        if count != self.members:
            raise InputError(f"{checkpoint}: {count} finished members there, expected {self.members}")
        members = [self._member(k, self.settings) for k in range(count)]
        for k, member in enumerate(members):
            if saved is None:
                member.restore(folders[k], strict)
                continue
            spec = saved_spec(member.settings, saved.meta)
            state = read_state(spec, str(place), f"member-{k}" if k else "")
            meta = {**saved.meta, **saved.meta["members"][k]}
            member.__dict__.update(fitted_with(member.settings, spec, state, meta))
        self._join(members)
        return self

    def save(self, path: str | Path) -> Path:
        """Save all members as one file; see `Trainer.save`."""
        self._check_fitted()
        target, members = Path(absolute(path, "save")), self.members_
        slots = dict(members[0].state_.slots)
        for k, member in enumerate(members[1:], 1):
            own = {"params": member.state_.params, **member.state_.slots}
            slots |= {f"member-{k}/{name}": buffer for name, buffer in own.items()}
        state = State(members[0].steps_, members[0].state_.params, slots)
        whole = {**vars(members[0]), "state_": state, "history_": [], "_description": describe(self.settings)}
        save_file(target, whole, [{"history": m.history_, "seconds": m.seconds_} for m in members])
        return target

    def _join(self, members: list[Trainer]) -> None:
        self.members_ = members  # at once: other threads may be predicting
        self.spec_, self.names_ = members[0].spec_, members[0].names_

    def _member(self, number: int, settings: Settings) -> Trainer:
        folder = None if settings.folder is None else Path(settings.folder) / f"member-{number}"
        differing = {"seed": settings.seed + number, "folder": folder, "verbose": 0}
        return Trainer(**{**vars(settings), **differing, "callbacks": deepcopy(settings.callbacks)})

    @property
    def _is_fitted(self) -> bool:
        return "members_" in self.__dict__

    def _check_fitted(self) -> None:
        if not self._is_fitted:
            raise InputError("this Ensemble is not fitted yet; call fit or restore first")

    def _fitted(self) -> tuple[Spec, tuple[Lane, ...]]:
        self._check_fitted()
        members = self.members_
        return members[0].spec_, tuple(Lane(member.state_) for member in members)

    def _state_files(self, spec: Spec, owners: tuple[Lane, ...]) -> list[Path]:
        saved = {id(member.state_): member.saved_ for member in self.members_}
        return [state_file(spec, owner.state, saved.get(id(owner.state))) for owner in owners]
