"""A step that nobody asks the result of, so that what it needs is loaded before the first that counts."""

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
def warm_up(spec: Spec, part: Split, tell: Any = logger.info) -> None:
    """Forward, backward and update on two rows of `part`, with all parameters zero.

    Kernels are compiled where this machine has not compiled them before, and loaded where it has; `tell` gets
    a line where they are compiled.
    """
    with LOADING, announce_compiling(tell):
        try:
            chunk = load_data(spec, part, (0, min(2, part.rows)), True)
        except InputError:
            return  # told by the run, which sees all rows
        buffer = spec.xp.zeros(spec.table.size, dtype=spec.precision)
        views = spec.table.views(buffer)
        ctx = Context(True, input_gradient=False, consume=True)
        outputs, saved, _ = spec.model.run(views, chunk.x, ctx)
        _, dy = measure(spec, outputs, chunk.y, chunk.weights)
        _, grads = spec.model.backward(views, saved, dy, ctx)
        total = spec.xp.zeros_like(buffer)
        collect(grads, spec.table.views(total))
        spec.optimizer.update(buffer, total, spec.optimizer.init(buffer), 0, 1e-3, spec.tensors, donate=True)
