"""Several models trained at once, whose predictions are averaged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

from daskpar.cluster.clients import current_client
from daskpar.cluster.setup import blas_threads
from daskpar.data.paths import absolute
from daskpar.errors import InputError
from daskpar.settings import at_least_one, checked_arguments
from daskpar.tasks.types import Lane, Spec
from daskpar.train.trainer import Trainer


class Ensemble(Trainer):
    """Trains `members` models side by side on one cluster, each from a seed of its own, on the same data.

    Arguments as for `Trainer`; member k has the seed `seed` + k, and the folder `member-k` within `folder`.
    Predictions, and what `evaluate` measures, are the mean over members: of probabilities, for a classifier
    (Hansen and Salamon 1990; Lakshminarayanan et al. 2017, sec. 2.4). After `fit`, `members_` are the fitted
    Trainers.
    """

    members_: list[Trainer]

    @checked_arguments()
    def __init__(self, model: Any, *, members: int = 5, **options: Any):
        at_least_one("members", members)
        super().__init__(model, **options)
        self.members = members
        self._options = options

    def fit(self, X: Any, y: Any = None, validation: Any = None, resume: bool = False) -> Ensemble:
        """Train all members at once. A share of the rows for validation is the same for all."""
        client = current_client(self.client)  # members are threads, for which another might be current
        with self._training_alone(), self._session() as executor:
            train, held_out = self._parts(X, y, validation, executor)
            lanes = self.members * self.layout_.places
            members = [self._member(k, blas_threads(lanes, self.blas_threads)) for k in range(self.members)]
            for member in members:
                member.client = client
            with ThreadPoolExecutor(self.members) as threads:
                runs = [threads.submit(m.fit, train, validation=held_out, resume=resume) for m in members]
                try:
                    for run in runs:
                        run.result()
                except BaseException:
                    for member in members:
                        member.stop()
                    raise
                finally:
                    for member in members:
                        member.client = self.client
        self._take(members)
        return self

    def restore(self, checkpoint: str | Path) -> Ensemble:
        """Take up the members in a run's folder, as their last checkpoints have them."""
        folders = sorted(Path(absolute(checkpoint, "restore")).glob("member-*/checkpoints/final"))
        if len(folders) != self.members:
            raise InputError(f"{checkpoint}: {len(folders)} finished members there, expected {self.members}")
        self._take([self._member(k, None).restore(folder) for k, folder in enumerate(folders)])
        return self

    def _take(self, members: list[Trainer]) -> None:
        self.members_ = members  # at once: other threads may be predicting
        self.spec_, self.names_ = members[0].spec_, members[0].names_

    def _member(self, number: int, threads: int | None) -> Trainer:
        folder = None if self.folder is None else Path(self.folder) / f"member-{number}"
        own = {"seed": self.seed + number, "folder": folder, "blas_threads": threads}
        return Trainer(self.model, **{**self._options, **own, "callbacks": deepcopy(self.callbacks)})

    def _shareable(self, client: Any) -> dict[str, Any]:
        return {**super()._shareable(client), "_options": {**self._options, "client": client}}

    def _check_fitted(self) -> None:
        if not hasattr(self, "members_"):
            raise InputError("this Ensemble is not fitted yet; call fit or restore first")

    def _fitted(self) -> tuple[Spec, tuple[Lane, ...]]:
        self._check_fitted()
        members = self.members_
        return members[0].spec_, tuple(Lane(member.state_) for member in members)

    def _state_files(self, spec: Spec, owners: tuple[Lane, ...]) -> list[Path]:
        members = {id(member.state_): member for member in self.members_}
        return [members.get(id(owner.state), self)._state_file(spec, owner.state) for owner in owners]
