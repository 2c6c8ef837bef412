"""A regressor with scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags

from daskpar.backend.array import Array
from daskpar.data.dask_arrays import is_dask
from daskpar.estimators.base import NeuralEstimator, Task
from daskpar.estimators.lazily import computed


@dataclass(eq=False, repr=False)
class NeuralRegressor(RegressorMixin, NeuralEstimator):
    """A neural network that predicts numbers, as a scikit-learn estimator.

    Parameters and attributes are those of `NeuralClassifier`, without classes and their weights, and:

    Parameters
    ----------
    loss : None for the mean squared error; or "mean_absolute_error", "huber", ...
    targets : prepared targets, e.g. `["standardise"]`; predictions come back in the units of `y`.

    `y` may be (rows,) or (rows, outputs), and predictions have its shape.

    Raises InputError, which is a ValueError, for what cannot be trained on.

    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> regressor = NeuralRegressor(targets=["standardise"], random_state=0).fit(X, y)
    >>> round(regressor.score(X, y), 1)
    1.0
    """

    _: KW_ONLY
    targets: Sequence[object] = ()

    _numbers: ClassVar[bool] = True

    def fit(self, X: object, y: object, sample_weight: object = None) -> NeuralRegressor:
        """Train a new network, or with `warm_start` the one there is.

        `sample_weight` (rows,): the weight of each row in the loss; a row of weight 2 counts as two rows.
        """
        return self._fit(X, y, sample_weight, self.warm_start and self.__sklearn_is_fitted__())

    def partial_fit(self, X: object, y: object, sample_weight: object = None) -> NeuralRegressor:
        """Train for one epoch, going on with the network there is."""
        return self._fit(X, y, sample_weight, self.__sklearn_is_fitted__(), one_epoch=True)

    def predict(self, X: object) -> Array:
        """Return the prediction for each example, (rows,) or (rows, outputs) as `y` was."""
        numbers = self._predicted(X, "outputs")
        return numbers.reshape(-1) if self._flat else numbers

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return R², the coefficient of determination, of predictions; Dask's are computed."""
        if is_dask(X) or is_dask(y):
            y, predicted, sample_weight = computed(self.client, y, self.predict(X), sample_weight)
            return float(r2_score(y, predicted, sample_weight=sample_weight))
        return super().score(X, y, sample_weight)

    def _learn_targets(self, y: Array, classes: object) -> None:
        self._flat, self._columns = y.ndim == 1, 1 if y.ndim == 1 else y.shape[1]

    def _targets(self, y: Array) -> Array:
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _task(self) -> Task:
        loss = "mean_squared_error" if self.loss is None else self.loss
        return Task(loss, self._columns, {"targets": self.targets} if self.targets else {})

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
