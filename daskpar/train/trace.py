"""The recorded tasks of a training."""

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
    """Recorded tasks of a training, from step `start` to `stop`.

    `below` has the keys on which each task depends, `cores` the number of cores, and `threads` the number
    that each kind of task uses.
    """

    ran: list[TaskRun]
    below: dict[Key, tuple[Key, ...]]
    start: int
    stop: int
    cores: int
    threads: dict[str, int]

    def profile(self, skip: int = 0) -> Profile:
        """Return the profile of all steps after the first `skip`, at least one.

        The first steps are not counted: kernels, caches and connections are cold, and windows short. A
        training without later steps has the profile of its last step.
        """
        steps = [(run.step, run.start) for run in self.ran]
        begun = [(step, start) for step, start in steps if step is not None and step < self.stop]
        later = [step for step, _ in begun if step > self.start + skip]
        first = min(later, default=max((step for step, _ in begun), default=self.start))
        since = min((start for step, start in begun if step == first), default=0.0)
        return profile(self.ran, self.below, self.stop - first, self.cores, self.threads, since)


def trace(record: Record, executor: Executor, layout: Layout, start: int, stop: int) -> Trace:
    """Return the recorded tasks of a training that ended, from step `start` to `stop`."""
    cores, each = executor.capacity(layout.slots)
    ran = record.ran()
    threads = {r.kind: each for r in ran} | {WINDOW.name: each * layout.data}
    return Trace(ran, record.below, start, stop, cores, threads)
