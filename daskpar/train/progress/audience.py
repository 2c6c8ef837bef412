"""The place for progress in this process: a terminal, a notebook, a log, or none."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from typing import Literal, TextIO

from daskpar.cluster.clients import within_task

Audience = Literal["nobody", "terminal", "notebook", "log"]


def audience(verbose: bool | int | None) -> Audience:
    """Return the place where progress is shown.

    With `verbose` None it is a terminal or a notebook, but "nobody" in a Dask task, a child process (e.g. of
    joblib) or a thread. With 0 it is "nobody"; with 1 a log where there is no terminal or notebook; with 2
    always a log.
    """
    if verbose is not None and not verbose:
        return "nobody"
    if verbose is None and _in_background():
        return "nobody"
    if verbose is not None and verbose > 1:
        return "log"
    if notebook_shell() is not None:
        return "notebook"
    if is_terminal(sys.stdout) or is_terminal(sys.stderr):
        return "terminal"
    return "log" if verbose else "nobody"


def _in_background() -> bool:
    if within_task() or multiprocessing.parent_process() is not None:
        return True
    return threading.current_thread() is not threading.main_thread()


def notebook_shell() -> object:
    """Return the IPython shell of a Jupyter kernel, or None. IPython is not imported for it."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return shell if getattr(shell, "kernel", None) is not None else None


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal. A closed or missing stream is none."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False


class Screen:
    """Lock on the one live display of this process; a second display is not shown.

    >>> first, second = object(), object()
    >>> screen = Screen()
    >>> screen.claim(first), screen.claim(second)
    (True, False)
    >>> screen.release(first)
    >>> screen.claim(second)
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: object = None

    def claim(self, owner: object) -> bool:
        """Claim the screen for an owner, and return whether it has it."""
        with self._lock:
            if self._owner is None:
                self._owner = owner
            return self._owner is owner

    def release(self, owner: object) -> None:
        """Release the screen, if the owner has it."""
        with self._lock:
            if self._owner is owner:
                self._owner = None


SCREEN = Screen()
