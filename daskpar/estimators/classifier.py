"""A classifier with scikit-learn's contract."""

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
    """A neural network that tells classes apart, as a scikit-learn estimator.

    Parameters
    ----------
    hidden : widths of dense layers, and layers as `Trainer` takes them, before a dense layer with an output a
        class: `(64, {"dropout": 0.2}, 32)`. `()` is a linear model.
    model : the whole network instead, with an output a class; as `Trainer` takes it.
    activation : after each width in `hidden`: "relu", "tanh", "gelu", ...; None or "identity" for none.
    loss : None for the cross-entropy: of softmax, or of each label where `y` has several columns.
    optimizer : by name, `{name: arguments}`, or built; None for Adam with a learning rate of 0.01.
    learning_rate : of the optimizer; None for its own.
    schedule : of the learning rate. epochs : passes over the data of each `fit`.
    batch : rows of a batch; those of the data where they are fewer. Then the order of rows does not matter.
    l2 : half the factor of the squared weights that is added to the loss. clip : limits on gradients.
    early_stopping : end once the loss on `validation` has not improved by `tol` for `n_iter_no_change`
        epochs; the best network is kept.
    validation : a share of the rows, 0.1 with `early_stopping`, or a pair (X, y), or with weights
        (X, y, sample_weight); measured after each epoch.
    random_state : an int, a RandomState, or None for another network each time.
    warm_start : `fit` goes on with the network there is.
    precision : "float32" or "float64"; None for that of `X`, as scikit-learn does. float32 is faster.
    layout : how a step is cut, see `Layout`; None trains on one worker, many steps to a task.
    transforms, metrics, callbacks, folder, client : as of `Trainer`. `clone` keeps the client, pickled copies
        do not.
    verbose : 0 is silent. settings : further keywords of `Trainer`, e.g. `{"accumulate": 4}`.
    class_weight : the weight of each class by label, or "balanced".

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, n_outputs_ : as scikit-learn has them.
    n_iter_ : epochs that the network was trained for. loss_curve_, loss_ : the training loss of each, and of
        the last. history_ : records with the loss and metrics of training and validation.
    trainer_ : the fitted `Trainer`, with parameters, layout and state.

    `X` may be an array (rows, columns), a list, a frame, a sparse matrix of SciPy, or a collection of Dask:
    then predictions are lazy dask arrays. `y` (rows,) holds labels of any kind, or (rows, labels) 0 and 1.

    Raises InputError, which is a ValueError, for what cannot be trained on.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NeuralClassifier(random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]), round(classifier.score(X, y), 1)
    (array([0, 0]), 1.0)
    """

    _: KW_ONLY
    class_weight: Mapping[object, float] | str | None = None

    _numbers: ClassVar[bool] = False

    def fit(self, X: object, y: object, sample_weight: object = None) -> NeuralClassifier:
        """Train a new network, or with `warm_start` the one there is.

        `sample_weight` (rows,): the weight of each row in the loss; a row of weight 2 counts as two rows.
        """
        return self._fit(X, y, sample_weight, self.warm_start and self.__sklearn_is_fitted__())

    def partial_fit(
        self, X: object, y: object, classes: object = None, sample_weight: object = None
    ) -> NeuralClassifier:
        """Train for one epoch, going on with the network there is.

        `classes` (classes,): all labels that will come; needed at the first call, where `y` lacks some.
        """
        goes_on = self.__sklearn_is_fitted__()
        known = None if classes is None else np.unique(np.asarray(classes))
        if known is None and not goes_on:
            raise InputError("classes must be passed on the first call to partial_fit")
        if goes_on and known is not None and not np.array_equal(self.classes_, known):
            raise InputError(
                f"classes={shown(classes)} differ from those of the first call: {listed(self.classes_)}"
            )
        if self.class_weight == "balanced":
            raise InputError(
                "class_weight='balanced' needs all the data, and partial_fit sees some; give the weight of "
                "each class, e.g. by sklearn.utils.class_weight.compute_class_weight"
            )
        return self._fit(X, y, sample_weight, goes_on, one_epoch=True, classes=known)

    def predict(self, X: object) -> Array:
        """Return the class of each example: labels (rows,), or indicators (rows, labels)."""
        numbers = self._predicted(X, "classes")
        return self._labelling.decode(numbers if self._multilabel else numbers.reshape(-1))

    def predict_proba(self, X: object) -> Array:
        """Return probabilities (rows, classes) in the order of `classes_`; of each label apart if several."""
        probabilities = self._predicted(X, "probabilities")
        return two_columns(probabilities) if probabilities.shape[1] == 1 else probabilities

    def predict_log_proba(self, X: object) -> Array:
        """Return the natural logarithms of `predict_proba`."""
        return logarithm(self.predict_proba(X))

    def decision_function(self, X: object) -> Array:
        """Return outputs before softmax (rows, classes); of two classes their difference (rows,)."""
        outputs = self._predicted(X, "outputs")
        if self._multilabel or outputs.shape[1] > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the share of examples whose class is predicted, of `y` (rows,); Dask's are computed."""
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
        """Return the setting of class weights, by number of the class."""
        if self.class_weight is None:
            return {}
        if self._multilabel:
            raise InputError("class_weight is for one class an example; y has labels of 0 and 1 each")
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
