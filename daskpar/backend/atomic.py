"""Atomic writes: a file appears as a whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a file, or replace one, atomically; text is written as UTF-8.

    The file is on the disk when this returns. Several threads or processes may write the same file at once:
    each has its own partial file, and the last one stays.
    Raises OSError, e.g. on a full disk, and then leaves an existing file unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
