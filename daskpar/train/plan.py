"""Choice of a layout: measured tasks, a prediction for each layout, and the reason."""

from __future__ import annotations

import logging
import math
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from daskpar.autotune.busy import busy_line
from daskpar.autotune.cache import Cache
from daskpar.autotune.candidates import candidates, format_layout
from daskpar.autotune.predict import Prediction, predict
from daskpar.autotune.simulate import Cost, Network
from daskpar.autotune.timing import Costs, measure_tasks
from daskpar.cluster.clients import current_client, worker_count
from daskpar.cluster.executor import ClusterExecutor, Executor
from daskpar.data.repeated import repeated
from daskpar.data.splits import Split
from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.tasks.types import Spec
from daskpar.train.fitting import FittedData, fit_data
from daskpar.train.inputs import reachable
from daskpar.train.network import measure_network
from daskpar.train.problem import pose
from daskpar.train.scratch import Scratch, Storage
from daskpar.train.session import session
from daskpar.train.settings import Settings
from daskpar.train.tokens import new_token
from daskpar.train.training import seconds_a_step

logger = logging.getLogger("daskpar")


class Choice(NamedTuple):
    """Layout with its prediction and a comment on it, or the reason why it is refused."""

    layout: Layout
    prediction: Prediction | None
    why: str


_KERNELS = "4"  # raised when kernels become so much faster that cached measurements mislead


class Planner:
    """Predicts layouts for the settings of one training, its data, and one cluster.

    `client` is that of the executor, and `storage` is for files that its workers read. With `fresh` no
    measurement is read from the cache. `tell` is called with a line for each measurement, and before the
    first one with a warning if this machine is busy.
    """

    def __init__(
        self,
        settings: Settings,
        data: FittedData,
        client: object,
        executor: Executor,
        storage: Storage,
        fresh: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ):
        self.settings, self.data = settings, data
        self.executor, self.storage = executor, storage
        self.workers, self.tell = worker_count(client), tell
        self.across_processes = not executor.in_process
        seen = executor.workers() if isinstance(executor, ClusterExecutor) else {}
        self.one_machine = executor.in_process or {w["host"] for w in seen.values()} == {"127.0.0.1"}
        self.memory = min((w["memory_limit"] or math.inf for w in seen.values()), default=math.inf)
        machine = (platform.node(), platform.processor())
        where = (type(executor).__name__, self.across_processes, self.workers, *machine)
        part = data.part
        trained = (settings.model, settings.loss, settings.optimizer, settings.batch, settings.precision)
        groups = filter(None, (settings.frozen, settings.learning_rates))
        self.cache = Cache(_KERNELS, where, (*trained, *groups, data.sizes, part.rows), part.source.x_shape)
        self.network_cache = Cache(_KERNELS, where)
        self.fresh = fresh
        self._seen: set[str] = set()  # measured by this planner
        self._announced = False
        self.network = self._network()

    def announce(self, line: str) -> None:
        """Report a measurement; before the first one warn if the machine is busy."""
        busy = busy_line() if self.one_machine and not self._announced else None
        self._announced = True
        if busy is not None:
            self.tell(busy)
        self.tell(line)

    def spec(self, layout: Layout) -> Spec:
        """Return the Spec of the run under a layout. Raises InputError for a layout that is refused."""
        return pose(replace(self.settings, layout=layout), self.data, None).spec

    def costs(self, spec: Spec) -> Costs:
        """Return the cost of each kind of task of a run, from the cache or from one measurement."""
        name = format_layout(spec.layout)
        kept = None if self.fresh and name not in self._seen else self.cache.get(name)
        if kept is not None:
            return {tuple(kind): Cost(*cost) for kind, cost in kept}
        self._seen.add(name)
        self.announce(f"measuring {name}")
        part = self.data.part
        if self.one_machine:
            measured = measure_tasks(spec, part, self.workers, self.across_processes)
        else:
            readable = repeated(part) if part.sent else part
            measured = self.executor.on_each(measure_tasks, spec, readable, 1, self.across_processes)[0]
        self.cache.put(name, [[list(kind), list(cost)] for kind, cost in measured.items()])
        return measured

    def choice(self, layout: Layout) -> Choice:
        """Return the prediction of a layout, or the reason for its refusal."""
        try:
            spec = self.spec(layout)
        except InputError as error:
            return Choice(layout, None, str(error))
        costs = self.costs(spec)
        prediction = predict(spec, costs, self.workers, self.network, self.across_processes)
        return Choice(layout, prediction, self._why(layout, prediction))

    def choices(
        self, named: Sequence[Layout] = (), track: Callable[[Sequence[Layout]], Iterable[Layout]] = iter
    ) -> list[Choice]:
        """Return all candidates and the named layouts: the fastest that fit first, refused ones last.

        `track` is called with the layouts and yields them one by one, to show progress.
        """
        layouts = list(dict.fromkeys([*named, *candidates(self.workers)]))
        return sorted(map(self.choice, track(layouts)), key=self._rank)

    def best(self) -> Layout:
        """Return the fastest layout that fits."""
        return self.choices()[0].layout

    def _rank(self, choice: Choice) -> tuple[int, float]:
        if choice.prediction is None:
            return 2, 0.0
        return int(choice.prediction.memory > self.memory), choice.prediction.seconds

    def _why(self, layout: Layout, prediction: Prediction) -> str:
        if prediction.memory > self.memory:
            return f"does not fit: workers have {self.memory / 1e6:.0f} MB"
        used = min(self.workers, layout.slots) if layout.grain != "window" else 1
        whose = "the worker's" if used == 1 else f"{used} workers'"
        share = f"{prediction.efficiency:.0%} of {whose} time is computing"
        if layout.grain == "window":
            return "many steps in one task: nothing waits for the scheduler"
        crosses = prediction.moved and self.across_processes
        crossing = f", {prediction.moved / 1e6:.1f} MB cross" if crosses else ""
        return (
            f"{share}, {prediction.tasks:.0f} {'task' if round(prediction.tasks) == 1 else 'tasks'}{crossing}"
        )

    def _network(self) -> Network:
        kept = None if self.fresh else self.network_cache.get("network")
        if kept is not None:
            values: list[Any] = [math.inf if value == "inf" else value for value in kept]
            return Network(*values)
        self.announce("measuring the cluster")
        network = measure_network(self.executor, self.storage, self.workers, self.one_machine)
        self.network_cache.put("network", ["inf" if value == math.inf else value for value in network])
        return network


class Comparison(NamedTuple):
    """Layout with its predicted and its measured seconds a step."""

    choice: Choice
    measured: float


def choose_layout(settings: Settings, data: FittedData, executor: Executor, storage: Storage) -> Settings:
    """Return the settings with the layout that is predicted to be the fastest, and set up the executor."""
    client = current_client(settings.client)
    layout = Planner(settings, data, client, executor, storage, tell=logger.info).best()
    logger.info("layout %s", format_layout(layout))
    executor.set_lanes(layout.slots)
    return replace(settings, layout=layout)


def run_for_a_while(settings: Settings, part: Split, layout: Layout, steps: int) -> float:
    """Return the seconds of a step under a layout: the median over stretches of `steps` steps.

    The first stretch is not counted.
    """
    scratch = Scratch()
    with session(replace(settings, layout=layout)) as (executor, run_settings):
        storage = Storage(executor, scratch)
        data = fit_data(run_settings, reachable(part, storage), executor, new_token())
        return seconds_a_step(run_settings, data, executor, storage, steps)[0]
