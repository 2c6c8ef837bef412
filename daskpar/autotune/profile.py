"""The profile of a run: its tasks as they ran, by kind, and the chain of them that took the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from daskpar.graph.graph import Key
from daskpar.layout.plan import Kind

Seconds = tuple[float, float]


class TaskRun(NamedTuple):
    """A task that ran, in a `thread` (of a worker) from `start` to `stop`; `transfers`: waiting for values to
    come from other workers. Times in seconds, all by one clock."""

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
        """The step that the task is part of, or None."""
        return self.key[1] if self.operation.steps else None


class Times(NamedTuple):
    """Of tasks of a kind: how many, and the seconds that they computed, had values sent, and waited though
    their thread, and all that they depend on, was ready."""

    tasks: int = 0
    compute: float = 0.0
    transfer: float = 0.0
    waiting: float = 0.0

    def plus(self, task: TaskRun, before: TaskRun | None, since: float = 0.0) -> Times:
        """With those of a task, as far as they lie after `since`; `before`: what held it up."""
        free = max(since, before.stop if before else since)
        start = max(task.start, free)  # a scheduler may note the start of a task before it has a thread
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
        return self.compute + self.transfer + self.waiting


@dataclass(frozen=True)
class Profile:
    """`steps` steps that took `seconds` on `cores` cores.

    `kinds`: what the tasks of each kind took, all together. `path`: the same for those on the critical path
    alone, whose seconds are those of the run. `busy`: seconds that cores computed in tasks.
    """

    steps: int
    seconds: float
    cores: int
    busy: float
    kinds: dict[str, Times]
    path: dict[str, Times]

    @property
    def scheduling_share(self) -> float:
        """The share of the cores' time in which no task computed: the scheduler's, and waiting."""
        return max(0.0, 1 - self.busy / (self.seconds * self.cores)) if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: seconds a step."""
        steps = max(1, self.steps)

        def table(found: Mapping[str, Times]) -> dict[str, Any]:
            return {kind: {n: v / steps for n, v in t._asdict().items()} for kind, t in found.items()}

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
    """The profile of the tasks that began after the time `since`.

    `below`: what each task depends on. `threads`: cores that a task computes on, by kind.
    """
    held = blocking_tasks(ran, below)
    kinds: dict[str, Times] = defaultdict(Times)
    busy, stop = 0.0, since
    for task in ran:
        if task.start >= since:
            kinds[task.kind] = kinds[task.kind].plus(task, held.get(task.key))
            busy += (task.stop - task.start) * min(threads.get(task.kind, 1), cores)
            stop = max(stop, task.stop)
    path: dict[str, Times] = defaultdict(Times)
    for task in critical_path(ran, held, since):
        path[task.kind] = path[task.kind].plus(task, held.get(task.key), since)

    def ordered(found: dict[str, Times]) -> dict[str, Times]:
        return dict(sorted(found.items(), key=lambda item: -item[1].seconds))

    return Profile(steps, stop - since, cores, busy, ordered(kinds), ordered(path))


def blocking_tasks(ran: Sequence[TaskRun], below: Mapping[Key, Iterable[Key]]) -> dict[Key, TaskRun]:
    """What ended last of what a task depends on and the task before it in its thread: until then it could
    not run."""
    by_key = {task.key: task for task in ran}
    last: dict[str, TaskRun] = {}
    found: dict[Key, TaskRun] = {}
    for task in sorted(by_key.values(), key=lambda r: r.start):
        holding = [by_key[key] for key in below.get(task.key, ()) if key in by_key]
        if task.thread in last:
            holding.append(last[task.thread])
        earlier = [r for r in holding if r.start < task.start]  # by clocks that may differ by a little
        if earlier:
            found[task.key] = max(earlier, key=lambda r: r.stop)
        last[task.thread] = task
    return found


def critical_path(ran: Sequence[TaskRun], held: Mapping[Key, TaskRun], since: float) -> list[TaskRun]:
    """The chain of tasks that took the time: the one that ended last, what held it up, and so on back."""
    found: list[TaskRun] = []
    task = max(ran, key=lambda r: r.stop, default=None)
    while task is not None and task.stop > since:
        found.append(task)
        task = held.get(task.key)
    return found
