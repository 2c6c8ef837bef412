"""Evaluation and prediction with a trained state: the tasks, and the values from their results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from daskpar import tasks
from daskpar.aliases import value_name
from daskpar.cluster.executor import Executor
from daskpar.data.check import as_examples
from daskpar.data.dask_arrays import is_dask, lazy_examples
from daskpar.data.sparse import SparseRows
from daskpar.data.splits import Split
from daskpar.errors import InputError
from daskpar.graph.graph import Graph, Key, Ref, refs
from daskpar.graph.load import add_part
from daskpar.tasks import add_sums
from daskpar.tasks.infer import ROWS
from daskpar.tasks.state_file import StateFile
from daskpar.tasks.types import Lane, Spec, Sums
from daskpar.train.events import Evaluating
from daskpar.train.history import scores, without_value
from daskpar.train.progress import Count, counting
from daskpar.train.tokens import new_token

logger = logging.getLogger("daskpar")

_ROWS = 8192  # of a sparse matrix that are converted to dense rows at once


def evaluate_part(
    spec: Spec,
    states: Sequence[StateFile],
    part: Split,
    executor: Executor,
    token: str,
    chunk_rows: int,
    said: Collection[str] = (),
    verbose: bool | int | None = 0,
) -> dict[str, Any]:
    """Return loss and metrics over a split, with the state in a file that the workers see, or in its content.

    With several `states` the scores are those of their mean. A warning names each score without a value,
    except those in `said`. `verbose` sets the progress bar of a long evaluation; see
    `daskpar.train.progress`.
    """
    graph = Graph(token)
    model = graph.add("load-model", (), tasks.load_model, replace(spec, module=executor.module))
    owner = _loaded(graph, model, states, (part.name,))
    keys = add_evaluation(graph, part.name, model, owner, add_part(graph, model, part, chunk_rows))
    with counting(f"evaluate {part.name}", keys, verbose) as count:
        executor.submit(graph, keys, 1, count)
        results = []
        for key in keys:
            results.append(executor.result(key))
            if count is not None:
                count(key)
        values = evaluated(spec, results, part.name)
    executor.release(keys)
    for name, line in without_value(spec, part.name, values).items():
        if name not in said:
            logger.warning("%s", line)
    return values


def add_evaluation(
    graph: Graph, index: object, model: Key, state: Key, chunks: Iterable[Key]
) -> tuple[Key, ...]:
    """Add a task for each chunk that evaluates a state on it, and return the keys."""
    return tuple(
        graph.add("evaluate", (index, i), tasks.evaluate, Ref(model), Ref(state), Ref(chunk))
        for i, chunk in enumerate(chunks)
    )


def collected(executor: Executor, keys: Sequence[Key]) -> Generator[Evaluating, None, list[Sums]]:
    """Yield an event when each chunk of an evaluation is done, and return the sums of all."""
    results: list[Sums] = []
    for key in keys:
        results.append(executor.result(key))
        yield Evaluating(len(results), len(keys))
    return results


def evaluated(spec: Spec, results: Sequence[Sums], name: str) -> dict[str, Any]:
    """Return loss and metrics of the split `name` from the sums of its chunks, in order.

    Raises InputError where the weights of all rows are zero, so that there is no loss.
    """
    none: Sums = ()
    sums = reduce(add_sums, results, none)
    if sums and sums[1] == 0:
        raise InputError(
            f"{name} data: the weights of all rows sum to zero, so {spec.loss.kind} has no value; "
            "give rows that weigh something, or change sample_weight or class_weights"
        )
    return scores(spec, sums)


def kind_of_prediction(kind: str) -> str:
    """Return the name of a kind of prediction. Raises InputError for one that is not known."""
    return value_name("kind of prediction", kind, tasks.PREDICTIONS)


def predict(
    spec: Spec,
    owners: tuple[Lane, ...],
    files: Callable[[], Sequence[StateFile]],
    x: Any,
    kind: str,
    fill: object = None,
    verbose: bool | int | None = 0,
) -> Any:
    """Return predictions with one state, or the mean of several: an array, or a dask array for one.

    `files()` returns the files of the states, for a prediction that is computed later. `verbose` as in
    `evaluate_part`.
    """
    if is_dask(x):
        x = lazy_examples(x, "predict", spec.schema.features)[0]
        return predict_lazily(spec, files(), x, kind, new_token(), fill)
    x = as_examples(x, "predict", spec.schema.features)[0]
    if not x.shape:
        raise InputError("predict: examples must have an axis of rows, got a single value")
    owner = owners[0] if len(owners) == 1 else owners
    with counting("predict", range(0, len(x), ROWS), verbose) as count:
        return predict_in_chunks(spec, owner, x, kind, fill, count)


def predict_in_chunks(
    spec: Spec, owner: tasks.Owner, x: Any, kind: str, fill: object = None, count: Count | None = None
) -> np.ndarray:
    """Return predictions for an array (rows, ...), in this process; sparse rows are converted by chunks."""
    rows = _ROWS if isinstance(x, SparseRows) else max(1, len(x))
    starts = range(0, max(1, len(x)), rows)
    parts = [tasks.predict(spec, owner, x[i : i + rows], kind, fill, i, count) for i in starts]
    return np.concatenate(parts)


def predict_lazily(
    spec: Spec, states: Sequence[StateFile], x: Any, kind: str, token: str, fill: object = None
) -> Any:
    """Return predictions for a dask array (rows, ...) as a dask array with the same blocks of rows."""
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    x = x.rechunk({axis: -1 for axis in range(1, x.ndim)})
    graph = Graph(token)
    model = graph.add("load-model", (), tasks.load_model, spec)
    owner = _loaded(graph, model, states, ())
    like = tasks.predict(spec, tasks.load_initial(spec), np.zeros((1, *x.shape[1:]), x.dtype), kind, fill)
    inner = (0,) * (like.ndim - 1)
    starts = np.cumsum((0, *x.chunks[0])).tolist()
    for i, key in enumerate(x.__dask_keys__()):
        while isinstance(key, list):
            (key,) = key
        arguments = Ref(model), Ref(owner), Ref(key), kind, fill, starts[i]
        graph.add("predict", (i, *inner), tasks.predict, *arguments)
    name = f"predict-{token}"
    layers = HighLevelGraph.from_collections(name, graph.flat(), dependencies=[x])
    chunks = (x.chunks[0], *((n,) for n in like.shape[1:]))
    return da.Array(layers, name, chunks, dtype=like.dtype, meta=like[:0])


def _loaded(graph: Graph, model: Key, states: Sequence[StateFile], index: Key) -> Key:
    """Return the key of the state in a file, or of the states of an ensemble."""
    files = [
        Ref(graph.add("send-state", (*index, number), tasks.send_state, state))
        if isinstance(state, bytes)
        else state
        for number, state in enumerate(states)
    ]
    keys = [
        graph.add("load-state", (*index, number), tasks.load_state, Ref(model), file)
        for number, file in enumerate(files)
    ]
    return (
        keys[0] if len(keys) == 1 else graph.add("gather-members", index, tasks.gather_members, *refs(keys))
    )
