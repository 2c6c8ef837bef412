"""Regressor with the interface of a scikit-learn estimator."""

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
    """A neural network that predicts numbers, with scikit-learn's interface.

    It works in pipelines, grid searches and cross-validation of scikit-learn. `X` is an array
    (rows, columns), a list, a data frame, a SciPy sparse matrix or a Dask collection; predictions for a
    Dask collection are lazy Dask arrays. Images and other examples with more axes need a `model`, or layers
    in `hidden`, that accept them. `y` has shape (rows,) or (rows, outputs), and predictions have the same.

    Args:
        hidden: Hidden layers, in order. An int is the width of a dense layer, followed by `activation`. Any
            other entry is a layer in the form that `Trainer` accepts: `(64, {"dropout": 0.2}, 32)`. An
            output layer is added. `()` makes a linear model. Default: (64,).
        model: Whole network in place of `hidden`, `activation` and the output layer, in the form that
            `Trainer` accepts. Its output has one unit per column of `y`. Default: None.
        activation: Activation after each width in `hidden`: "relu", "tanh", "gelu" and others. None or
            "identity" for none. Default: "relu".
        loss: Loss by name, `{name: arguments}` or built, e.g. "mean_absolute_error" or "huber". None is
            the mean squared error. Default: None.
        optimizer: Optimizer by name, `{name: arguments}` or built. None is Adam with a learning rate of 0.01.
            Default: None.
        learning_rate: Learning rate in place of the optimizer's own. Default: None.
        schedule: Schedule of the learning rate, by name, `{name: arguments}` or built. Default: "constant".
        epochs: Passes over the data in each `fit`. Default: 50.
        batch: Rows of a batch. With fewer rows of data than this, all rows are one batch. Default: 200.
        l2: Factor of the penalty `l2 / 2 * sum(weight ** 2)` on the weights; biases are left out. Default: 0.
        clip: Limits on gradients: a `Clip`, or a mapping such as `{"norm": 1.0}`. Default: None.
        early_stopping: Stop when the loss on `validation` has not improved by `tol` for `n_iter_no_change`
            epochs, and keep the best network. Default: False.
        validation: Data to measure after each epoch: a fraction of the rows, `(X, y)`, or
            `(X, y, sample_weight)`. Default: None, which is 0.1 with `early_stopping`.
        n_iter_no_change: Epochs without improvement before an early stop. Default: 10.
        tol: Smallest decrease of the validation loss that counts as an improvement. Default: 1e-4.
        random_state: Seed: an int, a `numpy.random.RandomState`, or None for NumPy's global random state.
            Default: None.
        warm_start: Let `fit` continue from the fitted network. Default: False.
        transforms: Transforms of `X`, fitted on the training rows, e.g. `["standardise"]`. Default: ().
        metrics: Metrics to record beside the loss, by name, `{name: arguments}` or built. Default: ().
        layout: Partition of a training step, see `Layout`. None trains on one worker, with many steps in
            one task. Default: None.
        precision: "float32" or "float64", or a name that `Trainer` accepts. None follows the dtype of `X`, as
            scikit-learn does; float32 is faster. Default: None.
        callbacks: List of `Callback`s. Default: ().
        folder: Folder for checkpoints. Default: None, for no checkpoints.
        client: Distributed `Client`, or "threaded-scheduler". None uses the current client. `clone`
            keeps the client, pickled copies drop it. Default: None.
        verbose: Progress display: 0 is silent, 1 shows progress, 2 prints plain lines. Default: 0.
        settings: Further keywords of `Trainer`, e.g. `{"accumulate": 4}`. Default: None.
        targets: Transforms of `y`, fitted on the training rows, e.g. `["standardise"]`. Predictions are
            in the units of `y`. Default: ().

    Attributes:
        n_features_in_, feature_names_in_: Number and names of the columns of `X`.
        n_outputs_: Number of outputs of the network.
        n_iter_: Number of epochs trained.
        loss_curve_, loss_: Mean training loss of each epoch, and of the last.
        history_: Records with the loss and the metrics of training and validation.
        trainer_: Fitted `Trainer`, with the parameters, the layout and the optimizer state.

    Raises:
        InputError: From `fit`, if a parameter or the data are not valid. It is a ValueError.

    Example:
        >>> import numpy as np
        >>> from daskpar import NeuralRegressor
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> regressor = NeuralRegressor((), learning_rate=0.1, epochs=300, random_state=0)
        >>> regressor.fit(X, 2 * X[:, 0] + 1).predict([[4.0]]).round(1)
        array([9.])
    """

    _: KW_ONLY
    targets: Sequence[object] = ()

    _numbers: ClassVar[bool] = True

    def fit(self, X: object, y: object, sample_weight: object = None) -> NeuralRegressor:
        """Train a new network, or continue from the fitted one with `warm_start`.

        Args:
            X: Training examples (rows, columns).
            y: Target numbers (rows,) or (rows, outputs).
            sample_weight: Weight of each row in the loss (rows,). A row of weight 2 counts as two rows.
                Default: None, which is 1 for each row.

        Returns:
            The estimator itself.

        Raises:
            InputError: The data or a parameter is not valid for training.
            NotFiniteError: The loss became NaN or infinite.
        """
        return self._fit(X, y, sample_weight, self.warm_start and self.__sklearn_is_fitted__())

    def partial_fit(self, X: object, y: object, sample_weight: object = None) -> NeuralRegressor:
        """Train for one epoch on some rows, and continue from the fitted network.

        Args:
            X: Training examples (rows, columns).
            y: Target numbers (rows,) or (rows, outputs).
            sample_weight: Weight of each row in the loss (rows,). Default: None, which is 1 for each row.

        Returns:
            The estimator itself.

        Raises:
            InputError: The data or a parameter is not valid for training.
        """
        return self._fit(X, y, sample_weight, self.__sklearn_is_fitted__(), one_epoch=True)

    def predict(self, X: object) -> Array:
        """Return the predicted numbers of each example.

        Args:
            X: Examples (rows, columns).

        Returns:
            Predictions (rows,) or (rows, outputs), as `y` had in `fit`. A lazy Dask array if `X` is a Dask
            collection.
        """
        numbers = self._predicted(X, "outputs")
        return numbers.reshape(-1) if self._flat else numbers

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the coefficient of determination R² of the predictions.

        Args:
            X: Examples (rows, columns).
            y: True numbers (rows,) or (rows, outputs).
            sample_weight: Weight of each row (rows,). Default: None, which is 1 for each row.

        Returns:
            A number of at most 1, which perfect predictions reach. Dask collections are computed for it.
        """
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
