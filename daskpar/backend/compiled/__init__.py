"""The kernels in machine code, for float32 arrays on the host: single passes, compiled by Numba.

They let go of the interpreter's lock, so lanes that are threads run side by side, and lie on the disk once
compiled. A name that is not here is that of `backend/reference.py`. Each module is loaded when one of
its kernels is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from daskpar.backend import reference

_WHERE: dict[str, str] = {}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    module = _WHERE.get(name)
    found = getattr(import_module(f"{__name__}.{module}") if module else reference, name)
    globals()[name] = found
    return found
