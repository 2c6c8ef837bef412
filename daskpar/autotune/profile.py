"""The profile of a run: the time of its tasks by kind, and the critical path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from daskpar.graph.graph import Key
from daskpar.layout.plan import Kind

Seconds = tuple[float, float]


class TaskRun(NamedTuple):
    """The record of a task that ran in a `thread` of a worker, from `start` to `stop`.

    `transfers` are the times in which it received values from other workers. Times are seconds of one clock.
    """

    key: Key
    operation: Kind
    thread: str
    start: float
    stop: float
    transfers: tuple[Seconds, ...] = ()

    @property
    def kind(self) -> str:
        """The name of the operation."""
        return self.operation.name

    @property
    def step(self) -> int | None:
        """The step that the task belongs to, or None."""
        return self.key[1] if self.operation.steps else None


class Times(NamedTuple):
    """The number of tasks of a kind, and the seconds that they spent.

    `compute` is the time in the task, `transfer` the time in which values were sent to it, `waiting` the time
    from the moment when its inputs and its thread were ready.
    """

    tasks: int = 0
    compute: float = 0.0
    transfer: float = 0.0
    waiting: float = 0.0

    def plus(self, task: TaskRun, before: TaskRun | None, since: float = 0.0) -> Times:
        """Return the times with those of a task added, as far as they are after `since`.

        `before` is the task that ended last among those that it had to wait for.
        """
        free = max(since, before.stop if before else since)
        start = max(task.start, free)  # the recorded start may be earlier than that of the thread
        ready = free if before else start
        moved = sum(max(0.0, min(b, start) - max(a, ready)) for a, b in task.transfers)
        return Times(
            self.tasks + 1,
            self.compute + task.stop - start,
            self.transfer + moved,
            self.waiting + max(0.0, start - ready - moved),
        )

    @property
    def seconds(self) -> float:
        """The seconds in all."""
        return self.compute + self.transfer + self.waiting


@dataclass(frozen=True)
class Profile:
    """The profile of a run of `steps` steps in `seconds` on `cores` cores.

    `kinds` are the times of all tasks of each kind, `path` those of the tasks on the critical path, whose sum
    is the time of the run. `busy` is the time in which cores computed in tasks.
    """

    steps: int
    seconds: float
    cores: int
    busy: float
    kinds: dict[str, Times]
    path: dict[str, Times]

    @property
    def scheduling_share(self) -> float:
        """The share of the cores' time in which no task computed (0 to 1): scheduling and waiting."""
        return max(0.0, 1 - self.busy / (self.seconds * self.cores)) if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the profile for JSON, in seconds per step."""
        steps = max(1, self.steps)

        def table(kinds: Mapping[str, Times]) -> dict[str, Any]:
            return {kind: {n: v / steps for n, v in t._asdict().items()} for kind, t in kinds.items()}

        return {
            "steps": self.steps,
            "seconds_per_step": self.seconds / steps,
            "cores": self.cores,
            "scheduling_share": self.scheduling_share,
            "a_step": table(self.kinds),
            "critical_path": table(self.path),
        }


def profile(
    ran: Sequence[TaskRun],
    below: Mapping[Key, Iterable[Key]],
    steps: int,
    cores: int,
    threads: Mapping[str, int],
    since: float,
) -> Profile:
    """Return the profile of the tasks that began after the time `since`.

    Args:
        ran: The tasks.
        below: Keys that each task depends on.
        steps: Number of steps.
        cores: Number of cores.
        threads: Number of cores that a task of a kind uses. Kinds that are missing use one.
        since: Time in seconds, by the clock of the tasks.
    """
    blocking = blocking_tasks(ran, below)
    kinds: dict[str, Times] = defaultdict(Times)
    busy, stop = 0.0, since
    for task in ran:
        if task.start >= since:
            kinds[task.kind] = kinds[task.kind].plus(task, blocking.get(task.key))
            busy += (task.stop - task.start) * min(threads.get(task.kind, 1), cores)
            stop = max(stop, task.stop)
    path: dict[str, Times] = defaultdict(Times)
    for task in critical_path(ran, blocking, since):
        path[task.kind] = path[task.kind].plus(task, blocking.get(task.key), since)

    def ordered(times: dict[str, Times]) -> dict[str, Times]:
        return dict(sorted(times.items(), key=lambda item: -item[1].seconds))

    return Profile(steps, stop - since, cores, busy, ordered(kinds), ordered(path))


def blocking_tasks(ran: Sequence[TaskRun], below: Mapping[Key, Iterable[Key]]) -> dict[Key, TaskRun]:
    """Return the task that each task had to wait for longest.

    It is the one that ended last among its inputs and the task before it in its thread. `below` are the keys
    that each task depends on.
    """
    by_key = {task.key: task for task in ran}
    last: dict[str, TaskRun] = {}
    blocking: dict[Key, TaskRun] = {}
    for task in sorted(by_key.values(), key=lambda r: r.start):
        needed = [by_key[key] for key in below.get(task.key, ()) if key in by_key]
        if task.thread in last:
            needed.append(last[task.thread])
        earlier = [r for r in needed if r.start < task.start]  # the clocks of workers differ a little
        if earlier:
            blocking[task.key] = max(earlier, key=lambda r: r.stop)
        last[task.thread] = task
    return blocking


def critical_path(ran: Sequence[TaskRun], blocking: Mapping[Key, TaskRun], since: float) -> list[TaskRun]:
    """Return the critical path: the task that ended last, the task that it waited for, and so on back.

    `blocking` is the result of `blocking_tasks`. The path ends at the time `since`.
    """
    path: list[TaskRun] = []
    task = max(ran, key=lambda r: r.stop, default=None)
    while task is not None and task.stop > since:
        path.append(task)
        task = blocking.get(task.key)
    return path
