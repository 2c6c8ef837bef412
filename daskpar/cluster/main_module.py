"""Care for the main module of a program that starts worker processes, which each spawned process runs again.

A program without `if __name__ == "__main__":` would start workers within its workers. `refuse_in_a_worker`
ends such a worker at once and leaves a file as a mark, so that the program can report the reason.

A main module without a file, as with `python - < file` or a deleted file, cannot be run again. It need not
be, because its functions are pickled by value. So it is hidden from the workers.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from daskpar.errors import InputError

_MARK = "DASKPAR_STARTS_WORKERS"


def refuse_in_a_worker() -> None:
    """End this process if it is a worker that is running its program's main module again.

    Raises InputError in a worker process, which may not start other processes.
    """
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):
        mark = os.environ.get(_MARK)
        if mark and os.path.isdir(mark):
            Path(mark, "unguarded").touch()
        raise SystemExit(1)
    if process.daemon:
        raise InputError(
            "cluster.kind=processes: this process is a worker itself and may not start others; use "
            "kind=threads or threaded-scheduler, or train on the worker's own cluster: client=get_client()"
        )


@contextmanager
def watched() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether `refuse_in_a_worker` has ended a worker during the block.

    If it has, an error of the block is replaced by an InputError that names the missing guard.
    """
    before = os.environ.get(_MARK)
    with TemporaryDirectory(prefix="daskpar-") as folder:
        os.environ[_MARK] = folder
        mark = Path(folder, "unguarded")
        try:
            yield mark.exists
        except Exception:
            if not mark.exists():
                raise
            raise InputError(
                f"{_name()}: worker processes run this file again, and would start workers of their own; "
                'put everything but imports and definitions under `if __name__ == "__main__":`'
            ) from None
        finally:
            if before is None:
                os.environ.pop(_MARK, None)
            else:
                os.environ[_MARK] = before


def _name() -> str:
    return str(getattr(sys.modules["__main__"], "__file__", None) or "the main module")


@contextmanager
def hidden_if_no_file() -> Iterator[None]:
    """Hide the main module from processes that start in the block if it has no file to run again."""
    names = vars(sys.modules["__main__"])
    spec = names.get("__spec__")
    path = spec.origin if spec is not None else names.get("__file__")
    if not path or os.path.exists(path) or (spec is not None and spec.name == "__main__"):
        yield
        return
    before: dict[str, object] = {name: names[name] for name in ("__spec__", "__file__") if name in names}
    names.pop("__file__", None)
    names["__spec__"] = None
    try:
        yield
    finally:
        names.update(before)
