"""All of scikit-learn's checks of estimators, none of them expected to fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskpar import NeuralClassifier, NeuralRegressor


@parametrize_with_checks([NeuralClassifier(), NeuralRegressor()])
def test_check(estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else the check of array namespaces is skipped
    np.random.seed(0)  # what estimators without a random_state draw from
    check(estimator)
