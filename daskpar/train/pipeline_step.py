"""The part of scikit-learn's contract that a Trainer keeps: it can be the last step of a pipeline.

A Trainer can be fitted, predicts outputs, is cloned unfitted, and its settings are its parameters. It is
neither a classifier nor a regressor, and has no `score`: `NeuralClassifier` and `NeuralRegressor` have.
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
    """Base of the Trainer: the methods that scikit-learn calls on the steps of a pipeline."""

    def __getattr__(self, name: str) -> Any:
        if name in _OF_ESTIMATORS:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}; as scikit-learn estimators use "
                "daskpar.NeuralClassifier and daskpar.NeuralRegressor"
            )
        return super().__getattr__(name)

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the settings by name.

        Args:
            deep: Has no effect; scikit-learn passes it. Default: True.

        Returns:
            The value of each setting, by name.

        Example:
            >>> from daskpar import Dense, Trainer
            >>> Trainer([Dense(2)], batch=64).get_params()["batch"]
            64
        """
        return {name: getattr(self.settings, name) for name in FIELDS}

    def set_params(self, **params: object) -> Self:
        """Change settings by name, for the next `fit`.

        Args:
            **params: New values of settings, by name.

        Returns:
            The Trainer itself.

        Raises:
            InputError: A name is no setting, or a value is wrong.

        Example:
            >>> from daskpar import Dense, Trainer
            >>> Trainer([Dense(2)]).set_params(batch=64, epochs=3).epochs
            3
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise unknown(f"setting of {type(self).__name__}", name, known)
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted Trainer with the same settings and client, and copies of the callbacks."""
        return type(self)(**{**self.get_params(), "callbacks": deepcopy(self.settings.callbacks)})

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags

        inputs = InputTags(sparse=True, three_d_array=True, allow_nan=True)
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=inputs)
