"""Kernels on the disk that were compiled from other sources than those of today.

Numba compares the file that a kernel is written in with what it was; most of a kernel's code comes from
others, which it takes in. After an upgrade the old code would run on.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from numba import njit

_STAMP = "daskpar-kernels.sha256"


@njit(cache=True, nogil=True)
def _here():
    """Never called: it knows where Numba keeps what is compiled from this folder."""


def forget_outdated(sources: Path = Path(__file__).parent, kept: Path | None = None) -> None:
    """Remove what lies in the folder `kept` and was not compiled from the modules that lie in `sources`."""
    modules = sorted(sources.glob("*.py"))
    digest = sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
    with suppress(OSError):  # where nothing can be kept nothing is outdated
        kept = Path(_here.stats.cache_path) if kept is None else kept
        stamp = kept / _STAMP
        if stamp.exists() and stamp.read_text() == digest:
            return
        for module in modules:
            for part in kept.glob(f"{module.stem}.*.nb[ic]"):
                part.unlink(missing_ok=True)
        kept.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest)
