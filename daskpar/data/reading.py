"""Checks of a file before it is read, shared by all readers of files.

A reader calls `check_file` (a regular file, and not a pipe that would block) and `check_memory` (before it
allocates memory of a size that a header declares). It decodes within `decoding`, which turns any error of a
decoder into one line that names the file. `stamp` is the key of every cache of file contents.
"""

from __future__ import annotations

import os
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from daskpar.backend.memory import available_memory
from daskpar.errors import InputError

Stamp = tuple[int, ...]

_TICK = 20_000_000  # nanoseconds; clocks of file systems advance in steps of up to 10 ms
_SHOWN = 200  # most characters of another library's message
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_filters = threading.Lock()


def stamp(path: str | os.PathLike[str]) -> Stamp:
    """Return numbers that change when a file is rewritten, or an entry of a folder is added or removed.

    They are () if the file is not there. If the file was written less than 20 ms ago, the function sleeps 20
    ms first: two versions within one step of the file system's clock would have the same stamp.
    """
    try:
        status = os.stat(path)
        now = time.time_ns()
        ages = [now - changed for changed in (status.st_mtime_ns, status.st_ctime_ns)]
        if any(0 <= age < _TICK for age in ages):
            time.sleep(_TICK / 1e9)
            status = os.stat(path)
    except (OSError, ValueError):
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def cause(error: BaseException) -> str:
    """Return the message of another library's error in one short line."""
    line = next(iter(str(error).splitlines()), "").strip() or type(error).__name__
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def check_file(path: str | os.PathLike[str], expected: str) -> int:
    """Return the size of a regular file in bytes. Raises InputError for anything else.

    `expected`: a noun phrase that ends the message. Folders, sockets, devices and named pipes are refused;
    opening a named pipe would block until another process writes to it.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        what = "a link to a file that is not there" if _is_link(path) else "no such file"
        raise InputError(f"{path}: {what}; expected {expected}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; expected {expected}") from None
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise InputError(f"{path}: is {name}, not a file; expected {expected}")
    return status.st_size


def _is_link(path: str | os.PathLike[str]) -> bool:
    try:
        return os.path.islink(path)
    except ValueError:  # a null character in the path
        return False


def check_memory(
    path: str | os.PathLike[str], size: int, what: str, instead: str = "use a smaller file"
) -> None:
    """Refuse data that need more bytes than there is memory, before any is allocated.

    `size`: bytes. `what`: the data, e.g. "array x". `instead`: advice. Raises InputError.
    """
    if size > 1 << 24 and size > available_memory():
        raise InputError(
            f"{path}: {what} takes {size / 1e9:,.1f} GB of memory, more than there is; {instead}"
        )


def read_bytes(path: str | os.PathLike[str], expected: str, copies: int = 1) -> bytes:
    """Return all bytes of a regular file, if there is memory for `copies` times as many to decode them.

    Raises InputError, which ends with what was `expected`.
    """
    check_memory(path, check_file(path, expected) * copies, "its content")
    with decoding(path, expected), open(path, "rb") as file:
        return file.read()


@contextmanager
def decoding(path: str | os.PathLike[str], expected: str, problem: str = "") -> Iterator[None]:
    """Turn any exception about the content of a file into one InputError that names the file.

    `expected`: a noun phrase with its article. `problem`: the message; "not a readable ..." if empty.
    Decoders document few of the exceptions that damaged files cause, so all are caught.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: there is not enough memory to read it as {expected}") from None
    except Exception as error:
        problem = problem or f"not a readable {expected.split(' ', 1)[-1]}"
        raise InputError(f"{path}: {problem} ({cause(error)})") from None


@contextmanager
def without_warnings(message: str = "", module: str = "") -> Iterator[None]:
    """Ignore warnings that match these patterns.

    All threads share the filters, so a lock lets one thread at a time change them. Keep the patterns narrow,
    because other code may restore the filters in between.
    """
    with _filters, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message, module=module)
        yield
