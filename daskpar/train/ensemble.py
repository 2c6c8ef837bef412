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
from daskpar.train.scratch import Storage
from daskpar.train.session import session
from daskpar.train.settings import Settings
from daskpar.train.state_files import fitted_with, saved_spec, state_file
from daskpar.train.trainer import Trainer


def train_all(members: Sequence[Trainer], client: object, arguments: FitArguments) -> None:
    """Train all members at once on a client, each in a thread; when one fails, the others are stopped."""
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
    """Several networks that are trained at once on the same data, and whose predictions are averaged.

    Each member begins from a seed of its own: member k has the seed `seed` + k, and the folder `member-k`
    within `folder`. Predictions and the scores of `evaluate` come from the mean over the members: of their
    probabilities for a classifier, of their outputs otherwise.

    Args:
        model: The layers of each member, as for `Trainer`.
        members: Number of networks. Default: 5.
        **options: All other arguments of `Trainer`.

    Attributes:
        members_: The fitted members, each a `Trainer`.

    Raises:
        InputError: `members` is below 1, or an argument of `Trainer` is wrong.

    Example:
        >>> import numpy as np
        >>> from daskpar import Dense, Ensemble
        >>> X = np.linspace(-1, 1, 32).reshape(32, 1)
        >>> ensemble = Ensemble([Dense(1)], members=3, loss="mse").fit(X, 2 * X)
        >>> each = [member.predict(X) for member in ensemble.members_]
        >>> bool(np.allclose(ensemble.predict(X), np.mean(each, axis=0), atol=1e-6))
        True

    Reference:
        Hansen and Salamon 1990, "Neural network ensembles".
        Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep
        ensembles", section 2.4. https://arxiv.org/abs/1612.01474
    """

    members_: list[Trainer]

    @checked_arguments()
    def __init__(self, model: object, *, members: int = 5, **options: Any):
        at_least_one("members", members)
        super().__init__(model, **options)
        self.members = members

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings and the number of members by name.

        Args:
            deep: Has no effect; scikit-learn passes it. Default: True.

        Returns:
            Values by name: those of `Trainer.get_params`, and `members`.
        """
        return {**super().get_params(deep), "members": self.members}

    def _fit(self, arguments: FitArguments, settings: Settings) -> None:
        """Train all members at once; a share of the rows for validation is the same for all."""
        client = current_client(self.settings.client)  # threads might have another current client
        members = self._members(settings)
        with self._training_alone(), session(settings) as (executor, settings):
            data = Inputs(settings, Storage(executor, self._scratch)).parts(
                arguments.x, arguments.y, arguments.validation, arguments.sample_weight
            )
            lanes = self.members * settings.fixed_layout.slots
            threads = blas_threads(lanes, settings.blas_threads)
            for member in members:
                member.blas_threads = threads
            shown = progress_for(self.settings, f"member 1/{self.members}")  # the others run at the same pace
            members[0].callbacks = [*members[0].callbacks, *shown]
            shared = replace(arguments, x=data[0], y=None, validation=data[1], sample_weight=None)
            try:
                train_all(members, client, shared)
            finally:  # an interrupted training keeps what its members have learnt
                if all(member._is_fitted for member in members):
                    self._join(members)

    def _members(self, settings: Settings) -> list[Trainer]:
        """Return a Trainer for each member, with the parameters of an earlier training."""
        members = [self._member(k, settings) for k in range(self.members)]
        for member, before in zip(members, self.__dict__.get("members_", ()), strict=False):
            member.__dict__.update(before._learnt())
        return members

    def restore(self, checkpoint: str | Path, strict: bool = True) -> Ensemble:
        """Load the members of a saved ensemble, for `predict`, `evaluate`, and `fit`, which continues.

        Args:
            checkpoint: Folder of the ensemble's run, with the final checkpoint of each member, or a file that
                `save` wrote.
            strict: Refuse states whose parameters have other names or shapes; see `Trainer.restore`. Default:
                True.

        Returns:
            The Ensemble itself.

        Raises:
            InputError: There is another number of finished members at that path, or their states do not fit
                the model.
        """
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
        """Save all members as one file, which `daskpar.load` reads; see `Trainer.save`.

        Args:
            path: File to write; an existing one is replaced.

        Returns:
            The path of the file.

        Raises:
            InputError: The Ensemble is not fitted, or the file cannot be written.
        """
        self._check_fitted()
        target, members = Path(absolute(path, "save")), self.members_
        slots = dict(members[0].state_.slots)
        for k, member in enumerate(members[1:], 1):
            buffers = {"params": member.state_.params, **member.state_.slots}
            slots |= {f"member-{k}/{name}": buffer for name, buffer in buffers.items()}
        state = State(members[0].steps_, members[0].state_.params, slots)
        whole = {**vars(members[0]), "state_": state, "history_": [], "_description": describe(self.settings)}
        save_file(target, whole, [{"history": m.history_, "seconds": m.seconds_} for m in members])
        return target

    def _join(self, members: list[Trainer]) -> None:
        self.members_ = members  # in one step: another thread may be predicting
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
