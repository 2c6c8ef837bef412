"""A machine that is busy with other things, on which times are not what they would be."""

from __future__ import annotations

from daskpar.backend import blas

_SHARE = 0.5  # of the cores that may be in use


def busy_line(cores: int | None = None) -> str | None:
    """Return a line that says how busy this machine is; None where it is quiet.

    It goes by the load of the last minute, in processes that run or wait to. `cores`: those that there are;
    None: those that this process may use.
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
