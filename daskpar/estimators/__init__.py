"""Neural networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor`."""

from daskpar.estimators.classifier import NeuralClassifier
from daskpar.estimators.regressor import NeuralRegressor

__all__ = ["NeuralClassifier", "NeuralRegressor"]
