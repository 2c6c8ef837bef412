"""The task functions: what a worker runs, named as the dashboard shows it. Plain functions of values."""

from daskpar.graph.tasks.gradient import (
    add_sums,
    backward_part,
    differentiate,
    explain_not_finite,
    forward_loss,
    forward_part,
    grad_model,
    gradient_of,
    measure,
    reduce_gradient,
)
from daskpar.graph.tasks.infer import PREDICTIONS, evaluate, predict
from daskpar.graph.tasks.load import (
    first_row,
    load_batch,
    load_data,
    load_initial,
    load_model,
    load_rows,
    load_state,
    measure_rows,
    pair,
    read_rows,
)
from daskpar.graph.tasks.step import advance, grad, report, train_window, update

__all__ = [
    "PREDICTIONS",
    "add_sums",
    "advance",
    "backward_part",
    "differentiate",
    "evaluate",
    "explain_not_finite",
    "first_row",
    "forward_loss",
    "forward_part",
    "grad",
    "grad_model",
    "gradient_of",
    "load_batch",
    "load_data",
    "load_initial",
    "load_model",
    "load_rows",
    "load_state",
    "measure",
    "measure_rows",
    "pair",
    "predict",
    "read_rows",
    "reduce_gradient",
    "report",
    "train_window",
    "update",
]
