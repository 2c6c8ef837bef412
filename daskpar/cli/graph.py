"""`daskpar graph`: the task graph of a step, built by the emitter that training uses."""

from __future__ import annotations

from daskpar import tasks
from daskpar.cli.prepare import prepare
from daskpar.config import Config
from daskpar.data import Split
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph, Ref
from daskpar.graph.load import add_training_data
from daskpar.tasks.types import Spec
from daskpar.train.tokens import new_token


def step_graph(config: Config, steps: int = 1) -> Graph:
    """Return the graph of the first `steps` training steps, with the report that ends them.

    Transforms are fitted in this process; no cluster is started.
    """
    _, part, spec = prepare(config)
    return graph_of(spec, part, config, steps)


def graph_of(spec: Spec, part: Split, config: Config, steps: int = 1) -> Graph:
    """Return the graph of the first `steps` training steps of a problem that is prepared already."""
    graph = Graph(new_token())
    model = graph.add("load-model", (), tasks.load_model, spec)
    chunks = add_training_data(graph, model, part, spec)
    across = config.cluster.kind not in ("threads", "threaded-scheduler")
    emitter = Emitter(spec, model, chunks, across)
    state = emitter.window(graph, emitter.start(graph, 0), [spec.optimizer.lr] * steps)
    graph.add("report", (state.step,), tasks.report, Ref(emitter.snapshot(graph, state)[0]))
    return _needed(graph, model)


def _needed(graph: Graph, model: object) -> Graph:
    """Leave out the chunks that no step draws from, and the model, which every task depends on."""
    used = {d for task in graph.flat().values() for d in task.dependencies}
    for operation, layer in graph.tasks.items():
        graph.tasks[operation] = {
            key: task
            for key, task in layer.items()
            if key != model and (operation != "load-data" or key in used)
        }
    return graph
