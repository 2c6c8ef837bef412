"""Limit on the processor time of this process, as containers have it: the quota of its control groups.

    /proc/self/cgroup                    0::/kubepods/pod7/runner       version 2
    /sys/fs/cgroup/kubepods/pod7/runner/cpu.max       150000 100000     1.5 processors
    /sys/fs/cgroup/kubepods/cpu.max                   max 100000        no limit

The affinity mask does not show such a limit, so a pod limited to 2 of 64 processors would start 64 threads.
In a namespace of its own, a process sees its group as `/`.

Source: Linux kernel documentation, Control Group v2, "CPU Interface Files".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath


@cache
def cpu_limit(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the number of processors whose time this process may use; infinity without a limit.

    Args:
        proc: File with the groups of this process.
        root: Folder of the control groups.
    """
    limits = [math.inf]
    with suppress(OSError):
        for line in proc.read_text().splitlines():
            number, controllers, group = line.split(":", 2)
            if number == "0" and not controllers:
                limits += _limits(root, group)
            elif "cpu" in controllers.split(","):
                limits += _limits(root / controllers, group)
                limits += _limits(root / "cpu", group)
    return min(limits)


def _limits(root: Path, group: str) -> Iterator[float]:
    """Yield the limits of a group and of all groups around it."""
    path = PurePosixPath(group)
    for part in (path, *path.parents):
        folder = root / str(part).lstrip("/")
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield float(quota) / float(period)  # "max" is no number
        with suppress(OSError, ValueError):
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
            if float(quota) > 0:
                yield float(quota) / float(period)
