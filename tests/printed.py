"""What commands print, without what depends on the machine."""

from __future__ import annotations

_COMPILING = ("compiling kernels for this processor", "kernels compiled in ")


def without_compiling(text: str) -> str:
    """Leave out the lines that tell of kernels that this process is the first to need."""
    return "".join(line for line in text.splitlines(True) if not line.startswith(_COMPILING))
