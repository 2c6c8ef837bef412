"""The check for a busy machine, on which measured times are too long."""

from __future__ import annotations

from daskpar.backend import blas

_SHARE = 0.5  # of the cores, up to which a machine counts as quiet


def busy_line(cores: int | None = None) -> str | None:
    """Return a line about the load of this machine; None if it is quiet.

    The load is the mean number of processes that run or wait to run, over the last minute. `cores` is the
    number of cores; None counts those that this process may use.
    """
    import psutil

    cores = blas.cores() if cores is None else cores
    load = psutil.getloadavg()[0]
    if load <= _SHARE * cores:
        return None
    return (
        f"this machine is busy (load {load:.1f} on {cores} cores), so times are measured too long; "
        "`plan --fresh` measures anew"
    )
