"""Warming up: a step without a result, which loads the kernels before the first step of training."""

from __future__ import annotations

import logging
from typing import Any

from daskpar.backend.announce import announce_compiling
from daskpar.backend.compiling import LOADING
from daskpar.data.splits import Split
from daskpar.errors import InputError
from daskpar.nn.layer import Context
from daskpar.nn.parameters import collect
from daskpar.tasks.gradient import ignore_float_errors, measure
from daskpar.tasks.load import load_data
from daskpar.tasks.types import Spec

logger = logging.getLogger("daskpar")


@ignore_float_errors
def warm_up(spec: Spec, split: Split, tell: Any = logger.info) -> None:
    """Run forward, backward and update on two rows of a split, with all parameters zero.

    Kernels are loaded or, the first time on this machine, compiled; then `tell` is called with a line.
    """
    with LOADING, announce_compiling(tell):
        try:
            chunk = load_data(spec, split, (0, min(2, split.rows)), True)
        except InputError:
            return  # the run reports it, after it has seen all rows
        buffer = spec.xp.zeros(spec.table.size, dtype=spec.precision)
        views = spec.table.views(buffer)
        ctx = Context(True, input_gradient=False, consume=True)
        outputs, saved, _ = spec.model.run(views, chunk.x, ctx)
        _, dy = measure(spec, outputs, chunk.y, chunk.weights)
        _, grads = spec.model.backward(views, saved, dy, ctx)
        total = spec.xp.zeros_like(buffer)
        collect(grads, spec.table.views(total))
        spec.optimizer.update(buffer, total, spec.optimizer.init(buffer), 0, 1e-3, spec.tensors, donate=True)
