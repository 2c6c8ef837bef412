"""Descriptions of runs on the digits, from which plans follow."""

from __future__ import annotations

from typing import Any

from daskpar import Layout, Trainer
from daskpar.data import Digits
from daskpar.tasks.types import Spec
from daskpar.train.problem import make_order, make_spec

MLP = ["flatten", {"dense": 8}, "relu", {"dense": 10}]


def spec_of(layout: Layout, model: Any = MLP, **options: Any) -> Spec:
    """Return the description of a run with batches of 60, that is 30 steps an epoch."""
    settings = Trainer(model, layout=layout, **{"batch": 60, **options}).settings
    return make_spec(settings, Digits(), make_order(settings, 1797), [], [])
