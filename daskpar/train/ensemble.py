"""Several models trained at once, whose predictions are averaged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

from daskpar.cluster.clients import current_client
from daskpar.cluster.setup import blas_threads
from daskpar.errors import InputError
from daskpar.graph.spec import Lane
from daskpar.train.trainer import Trainer


class Ensemble(Trainer):
    """Trains `members` models side by side on one cluster, each from a seed of its own, on the same data.

    Arguments as for `Trainer`; member k has the seed `seed` + k, and the folder `member-k` within `folder`.
    Predictions, and what `evaluate` measures, are the mean over members: of probabilities, for a classifier
    (Hansen and Salamon 1990; Lakshminarayanan et al. 2017, sec. 2.4). After `fit`, `members_` are the fitted
    Trainers.
    """

    members_: list[Trainer]

    def __init__(self, model: Any, *, members: int = 5, **options: Any):
        if members < 1:
            raise InputError(f"members={members} must be at least 1")
        super().__init__(model, **options)
        self.members = members
        self._options = options

    def fit(self, X: Any, y: Any = None, validation: Any = None, resume: bool = False) -> Ensemble:
        """Train all members at once. A share of the rows for validation is the same for all."""
        client = current_client(self.client)  # members are threads, for which another might be current
        with self._session() as executor:
            train, held_out = self._parts(X, y, validation, executor)
            lanes = self.members * self.layout_.places
            self.members_ = [
                self._member(k, blas_threads(lanes, self.blas_threads)) for k in range(self.members)
            ]
            for member in self.members_:
                member.client = client
            with ThreadPoolExecutor(self.members) as threads:
                runs = [
                    threads.submit(m.fit, train, validation=held_out, resume=resume) for m in self.members_
                ]
                try:
                    for run in runs:
                        run.result()
                except BaseException:
                    for member in self.members_:
                        member.stop()
                    raise
                finally:
                    for member in self.members_:
                        member.client = self.client
        self.spec_, self.names_ = self.members_[0].spec_, self.members_[0].names_
        return self

    def restore(self, checkpoint: str | Path) -> Ensemble:
        """Take up the members in a run's folder, as their last checkpoints have them."""
        folders = sorted(Path(checkpoint).glob("member-*/checkpoints/final"))
        if len(folders) != self.members:
            raise InputError(f"{checkpoint}: {len(folders)} finished members there, expected {self.members}")
        self.members_ = [self._member(k, None).restore(folder) for k, folder in enumerate(folders)]
        self.spec_, self.names_ = self.members_[0].spec_, self.members_[0].names_
        return self

    def _member(self, number: int, threads: int | None) -> Trainer:
        folder = None if self.folder is None else Path(self.folder) / f"member-{number}"
        own = {"seed": self.seed + number, "folder": folder, "blas_threads": threads}
        return Trainer(self.model, **{**self._options, **own, "callbacks": deepcopy(self.callbacks)})

    def _check_fitted(self) -> None:
        if not hasattr(self, "members_"):
            raise InputError("this Ensemble is not fitted yet; call fit or restore first")

    def _owner(self) -> Any:
        return tuple(Lane(member.state_) for member in self.members_)

    def _state_files(self) -> list[Path]:
        self._check_fitted()
        return [member._state_file() for member in self.members_]
