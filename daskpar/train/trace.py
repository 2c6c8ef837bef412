"""The tasks of a training as they ran, by record."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.autotune.profile import Profile, TaskRun, profile
from daskpar.cluster.executor import Executor
from daskpar.cluster.record import Record
from daskpar.graph.graph import Key
from daskpar.layout.fuse import WINDOW
from daskpar.layout.layout import Layout


@dataclass(frozen=True)
class Trace:
    """The tasks of a training as they ran; `below`: what each depends on.

    `start` and `stop`: the steps of the training. `cores` there are, of which a task uses `threads`.
    """

    ran: list[TaskRun]
    below: dict[Key, tuple[Key, ...]]
    start: int
    stop: int
    cores: int
    threads: dict[str, int]

    def profile(self, skip: int = 0) -> Profile:
        """The profile from the first task that begins with a step beyond `skip` (at least the first).

        What comes before is not counted: kernels, caches and connections are cold, and windows short.
        Where no task begins so late, the last that does begin with a step is the first that counts.
        """
        steps = [(run.step, run.start) for run in self.ran]
        begun = [(step, start) for step, start in steps if step is not None and step < self.stop]
        later = [step for step, _ in begun if step > self.start + skip]
        first = min(later, default=max((step for step, _ in begun), default=self.start))
        since = min((start for step, start in begun if step == first), default=0.0)
        return profile(self.ran, self.below, self.stop - first, self.cores, self.threads, since)


def trace(record: Record, executor: Executor, layout: Layout, start: int, stop: int) -> Trace:
    """Return what was recorded of a training that has ended, from step `start` to `stop`."""
    cores, each = executor.capacity(layout.slots)
    ran = record.ran()
    threads = {r.kind: each for r in ran} | {WINDOW.name: each * layout.data}
    return Trace(ran, record.below, start, stop, cores, threads)
