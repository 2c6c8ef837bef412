"""Classifier with the interface of a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags

from daskpar.backend.array import Array
from daskpar.data.dask_arrays import is_dask
from daskpar.errors import InputError, shown
from daskpar.estimators.base import NeuralEstimator, Task
from daskpar.estimators.labels import Labelling, labelling, listed, of_classes
from daskpar.estimators.lazily import computed, logarithm, two_columns
from daskpar.estimators.network import task_of


@dataclass(eq=False, repr=False)
class NeuralClassifier(ClassifierMixin, NeuralEstimator):
    """A neural network that classifies examples, with scikit-learn's interface.

    It works in pipelines, grid searches and cross-validation of scikit-learn. `X` is an array
    (rows, columns), a list, a data frame, a SciPy sparse matrix or a Dask collection; predictions for a
    Dask collection are lazy Dask arrays. Images and other examples with more axes need a `model`, or layers
    in `hidden`, that accept them. `y` holds one label of any kind per row (rows,), or several labels of 0
    and 1 per row (rows, labels).

    Args:
        hidden: Hidden layers, in order. An int is the width of a dense layer, followed by `activation`. Any
            other entry is a layer in the form that `Trainer` accepts: `(64, {"dropout": 0.2}, 32)`. An
            output layer is added. `()` makes a linear model. Default: (64,).
        model: Whole network in place of `hidden`, `activation` and the output layer, in the form that
            `Trainer` accepts. Its output has one unit per class. Default: None.
        activation: Activation after each width in `hidden`: "relu", "tanh", "gelu" and others. None or
            "identity" for none. Default: "relu".
        loss: Loss by name, `{name: arguments}` or built. None is the softmax cross-entropy for one label per
            row, and the binary cross-entropy for several. Default: None.
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
        class_weight: Weight of each class in the loss: a mapping from label to weight, "balanced" for weights
            inversely proportional to the frequency of the class, or None for 1 each. Default: None.

    Attributes:
        classes_: Sorted labels (classes,).
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
        >>> from daskpar import NeuralClassifier
        >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> y = ["negative", "negative", "positive", "positive"]
        >>> classifier = NeuralClassifier((8,), epochs=30, random_state=0).fit(X, y)
        >>> print(classifier.predict([[-3.0], [3.0]]))
        ['negative' 'positive']
        >>> classifier.score(X, y)
        1.0
    """

    _: KW_ONLY
    class_weight: Mapping[object, float] | str | None = None

    _numbers: ClassVar[bool] = False

    def fit(self, X: object, y: object, sample_weight: object = None) -> NeuralClassifier:
        """Train a new network, or continue from the fitted one with `warm_start`.

        Args:
            X: Training examples (rows, columns).
            y: Labels (rows,), or indicators of 0 and 1 (rows, labels).
            sample_weight: Weight of each row in the loss (rows,). A row of weight 2 counts as two rows.
                Default: None, which is 1 for each row.

        Returns:
            The estimator itself.

        Raises:
            InputError: The data or a parameter is not valid for training.
            NotFiniteError: The loss became NaN or infinite.
        """
        return self._fit(X, y, sample_weight, self.warm_start and self.__sklearn_is_fitted__())

    def partial_fit(
        self, X: object, y: object, classes: object = None, sample_weight: object = None
    ) -> NeuralClassifier:
        """Train for one epoch on some rows, and continue from the fitted network.

        Args:
            X: Training examples (rows, columns).
            y: Labels (rows,), or indicators of 0 and 1 (rows, labels).
            classes: All labels of all calls (classes,). The first call needs them; later ones may leave them
                out. Default: None.
            sample_weight: Weight of each row in the loss (rows,). Default: None, which is 1 for each row.

        Returns:
            The estimator itself.

        Raises:
            InputError: The first call has no `classes`, or a later one has others, or the data are not valid.
        """
        continues = self.__sklearn_is_fitted__()
        known = None if classes is None else np.unique(np.asarray(classes))
        if known is None and not continues:
            raise InputError("classes must be passed on the first call to partial_fit")
        if continues and known is not None and not np.array_equal(self.classes_, known):
            raise InputError(
                f"classes={shown(classes)} differ from those of the first call: {listed(self.classes_)}"
            )
        if self.class_weight == "balanced":
            raise InputError(
                "class_weight='balanced' needs all the data, and partial_fit sees some; give the weight of "
                "each class, e.g. by sklearn.utils.class_weight.compute_class_weight"
            )
        return self._fit(X, y, sample_weight, continues, one_epoch=True, classes=known)

    def predict(self, X: object) -> Array:
        """Return the most probable class of each example.

        Args:
            X: Examples (rows, columns).

        Returns:
            Labels (rows,), or indicators (rows, labels). A lazy Dask array if `X` is a Dask collection.
        """
        numbers = self._predicted(X, "classes")
        return self._labelling.decode(numbers if self._multilabel else numbers.reshape(-1))

    def predict_proba(self, X: object) -> Array:
        """Return the probability of each class.

        Args:
            X: Examples (rows, columns).

        Returns:
            Probabilities (rows, classes) in the order of `classes_`. Each row sums to 1 for one label per
            row; the probabilities of several labels are independent.

        Example:
            >>> import numpy as np
            >>> X, y = np.array([[-1.0], [1.0]]), [0, 1]
            >>> NeuralClassifier((), random_state=0).fit(X, y).predict_proba([[0.0]]).round(1)
            array([[0.5, 0.5]])
        """
        probabilities = self._predicted(X, "probabilities")
        return two_columns(probabilities) if probabilities.shape[1] == 1 else probabilities

    def predict_log_proba(self, X: object) -> Array:
        """Return the natural logarithms of the probabilities of `predict_proba`.

        Args:
            X: Examples (rows, columns).

        Returns:
            Logarithms (rows, classes). That of a probability of 0 is minus infinity.
        """
        return logarithm(self.predict_proba(X))

    def decision_function(self, X: object) -> Array:
        """Return the scores of the classes: the network's outputs before the softmax or the sigmoid.

        Args:
            X: Examples (rows, columns).

        Returns:
            Scores (rows, classes). For two classes, the score of the second less that of the first (rows,).
        """
        outputs = self._predicted(X, "outputs")
        if self._multilabel or outputs.shape[1] > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the accuracy: the fraction of examples whose class is predicted correctly.

        Args:
            X: Examples (rows, columns).
            y: True labels (rows,), or indicators (rows, labels); a row counts if all its labels are right.
            sample_weight: Weight of each row (rows,). Default: None, which is 1 for each row.

        Returns:
            A number from 0 to 1. Dask collections are computed for it.
        """
        if is_dask(X) or is_dask(y):
            y, predicted, sample_weight = computed(self.client, y, self.predict(X), sample_weight)
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))
        return super().score(X, y, sample_weight)

    @property
    def _labelling(self) -> Labelling:
        return Labelling(self.classes_, self._multilabel)

    def _learn_targets(self, y: Array, classes: object) -> None:
        several = getattr(y, "ndim", 1) > 1 and y.shape[1] > 1
        labels = of_classes(classes) if classes is not None and not several else labelling(y, self.client)
        self.classes_, self._multilabel = labels.classes, labels.multilabel

    def _targets(self, y: Array) -> Array:
        return self._labelling.encode(y)

    def _task(self) -> Task:
        loss = self.loss or ("binary_cross_entropy" if self._multilabel else "softmax_cross_entropy")
        task, classes = task_of(loss), len(self.classes_)
        binary = task == "labels" and classes == 2
        if not (task == "labels" if self._multilabel else task == "classes" or binary):
            fit = "labels of 0 and 1" if self._multilabel else f"{classes} classes"
            raise InputError(
                f"loss={shown(loss)} does not fit {fit}; use "
                f"{'binary' if self._multilabel else 'softmax'}_cross_entropy, or leave it out"
            )
        outputs = 1 if binary and not self._multilabel else classes
        return Task(loss, outputs, self._class_weights(), outputs)

    def _class_weights(self) -> dict[str, object]:
        """Return the Trainer's setting of class weights, with classes by number."""
        if self.class_weight is None:
            return {}
        if self._multilabel:
            raise InputError("class_weight needs one label per row; y has several labels of 0 and 1 per row")
        if isinstance(self.class_weight, str):
            return {"class_weight": self.class_weight}
        if not isinstance(self.class_weight, Mapping):
            raise InputError(
                f"class_weight={shown(self.class_weight)}: expected the weight of each class by label, "
                "'balanced' or None"
            )
        labels = self.classes_.tolist()
        strange = [label for label in self.class_weight if label not in labels]
        if strange:
            raise InputError(
                f"class_weight: {shown(strange)} is none of the classes: {listed(self.classes_)}"
            )
        weights = [float(self.class_weight.get(label, 1.0)) for label in labels]
        return {"class_weight": dict(enumerate(weights))}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
