"""Results of a training as attributes: parameters, classes, columns; and the start of the next training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from daskpar.errors import InputError, shown
from daskpar.tasks.state_file import digest, named_parameters
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import SavedState
from daskpar.train.going_on import Earlier, Fitted
from daskpar.train.history_list import History
from daskpar.train.parameters import Parameters, changed_parameters
from daskpar.train.pipeline_step import PipelineStep
from daskpar.train.trace import Trace


class Learnt(PipelineStep):
    """Base of the Trainer: the attributes of a fitted one."""

    spec_: Spec
    state_: State
    history_: History
    steps_: int
    steps_run_: int
    steps_planned_: int
    names_: tuple[str, ...]
    seconds_: float
    blas_: dict[str, Any]
    resumed_at_: int
    trace_: Trace
    saved_: SavedState | None = None
    _epoch: float = 0.0
    _partial: bool = False  # some parameters were loaded from another model
    _unfinished: dict[str, Any] | None = None
    _assigned: Mapping[str, np.ndarray] | None = None  # parameters that were assigned before the first `fit`
    _without_value: frozenset[str] = frozenset()  # scores that `fit` has reported

    @property
    def classes_(self) -> np.ndarray:
        """The labels of the classes (classes,), in the order of the model's outputs."""
        self._check_fitted()
        return self.spec_.classes

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the columns of the training examples (columns,), dtype object.

        Raises AttributeError where they had no names, as scikit-learn's estimators do.
        """
        if "spec_" not in self.__dict__ or not self.spec_.schema.features:
            raise AttributeError("feature_names_in_")
        return np.array([column.name for column in self.spec_.schema.features], dtype=object)

    @property
    def parameters_(self) -> Parameters:
        """The parameters by name; predictions and the next `fit` use those that are assigned."""
        self._check_fitted()
        return Parameters(named_parameters(self.spec_, self.state_.params), self._replace_parameters)

    @parameters_.setter
    def parameters_(self, named: Mapping[str, object]) -> None:
        if not isinstance(named, Mapping):
            raise InputError(f"parameters_={shown(named, 80)}: expected arrays by name")
        if self._is_fitted:
            self._replace_parameters(changed_parameters(self.parameters_, named))
        else:
            self._assigned = {name: np.array(value) for name, value in named.items()}

    def _replace_parameters(self, named: Mapping[str, np.ndarray]) -> None:
        params = self.spec_.xp.asarray(self.spec_.table.pack(dict(named), self.spec_.precision))
        self.state_ = self.state_._replace(params=params)

    @property
    def parameters_sha256_(self) -> str:
        """The SHA-256 of the bytes of all parameters, in the order of their names."""
        return digest(self.spec_, self.state_)

    @property
    def _is_fitted(self) -> bool:
        return "state_" in self.__dict__

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted

    def _check_fitted(self) -> None:
        if not self._is_fitted:
            raise InputError("this Trainer is not fitted yet; call fit or restore first")

    def _earlier(self, fresh_optimizer: bool) -> Earlier | None:
        """Return the start of the next training: an earlier state, or None."""
        if not self._is_fitted:
            return None if self._assigned is None else Earlier.parameters(self._assigned)
        fitted = Fitted(
            self.spec_, self.state_, self.names_, self.history_, self.seconds_, self._epoch, self._unfinished
        )
        if fresh_optimizer or self._partial:
            return fitted.parameters_only(new_targets=self._partial)
        return fitted.whole(None if self.saved_ is None else self.saved_[1])
