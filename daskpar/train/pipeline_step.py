"""The part of scikit-learn's contract that a Trainer keeps: it may be the last step of a pipeline.

It is fitted, predicts outputs, is cloned unfitted, and its settings are parameters. It is neither a
classifier nor a regressor and has no `score`; `NeuralClassifier` and `NeuralRegressor` are and have.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

from daskpar.errors import unknown
from daskpar.train.configured import Configured
from daskpar.train.settings import FIELDS

if TYPE_CHECKING:
    from sklearn.utils import Tags

_OF_ESTIMATORS = ("score", "predict_proba", "predict_log_proba", "decision_function", "n_features_in_")


class PipelineStep(Configured):
    """Base of the Trainer: the methods that scikit-learn calls of a pipeline's steps."""

    def __getattr__(self, name: str) -> Any:
        if name in _OF_ESTIMATORS:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}; as scikit-learn estimators use "
                "daskpar.NeuralClassifier and daskpar.NeuralRegressor"
            )
        return super().__getattr__(name)

    @property
    def _is_fitted(self) -> bool:
        raise NotImplementedError

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings by name."""
        return {name: getattr(self.settings, name) for name in FIELDS}

    def set_params(self, **params: object) -> Self:
        """Change settings. Raises InputError for a name that is none."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise unknown(f"setting of {type(self).__name__}", name, known)
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted Trainer with the same settings and client, and copies of the callbacks."""
        return type(self)(**{**self.get_params(), "callbacks": deepcopy(self.settings.callbacks)})

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags

        inputs = InputTags(sparse=True, three_d_array=True, allow_nan=True)
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=inputs)
