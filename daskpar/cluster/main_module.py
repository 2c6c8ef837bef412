"""The main module of a program that starts worker processes: each of them runs it again (spawning).

A program without `if __name__ == "__main__":` would so start workers within its workers: `refuse_in_a_worker`
ends such a worker at once and leaves a mark by which the program itself learns why. A main module that is no
file, as of `python - < file`, or one that was deleted, cannot be run again, and need not be: what is defined
there travels by value. So it is hidden from the workers.
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
    """End this process if it is a worker that is just running its program's main module again.

    Raises InputError where a process may not start others, since it is a worker itself.
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
            "kind=threads or threaded-scheduler, or train on the cluster that it is of: client=get_client()"
        )


@contextmanager
def watched() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether a worker has run into `refuse_in_a_worker` meanwhile.

    Raises InputError, naming the guard, in place of any error that comes of it.
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
                'put all but imports and definitions under `if __name__ == "__main__":`'
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
    """Hide the main module from processes that start meanwhile where it is no file that they could run."""
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
