"""Errors in one line with an exit code, and files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from daskpar.cli.terminal import err, warnings_in_lines
from daskpar.errors import ClusterLostError, InputError, NotFiniteError, one_line

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the machine's state, not ours: no traceback


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn errors into a line and an exit code."""
    try:
        with warnings_in_lines():
            yield
    except (InputError, NotFiniteError, ClusterLostError) as error:
        _end(str(error), 2 if isinstance(error, InputError) else 1)
    except MemoryError as error:
        _end(f"out of memory ({error}); use a smaller model, train.batch or data.chunk_rows", 1)
    except OSError as error:
        if error.errno not in _FULL and error.filename is None:
            raise
        _end(str(error) if error.filename is None else f"{error.filename}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        _end("stopped", 130)


def _end(line: str, code: int) -> None:
    err.print(f"daskpar: {one_line(line)}", style="red")
    sys.exit(code)


@contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """A file that appears whole or not at all; a device or a pipe is written to as it is."""
    target = partial = Path(path)
    with told_of(path):
        if target.is_file() or not target.exists():
            partial = target.with_name(f".{target.name}.partial")
        try:
            with open(partial, "wb") as file:
                yield file
            if partial != target:
                os.replace(partial, target)
        except OSError:
            if partial != target:
                partial.unlink(missing_ok=True)
            raise


@contextmanager
def told_of(output: str) -> Iterator[None]:
    """A file that cannot be written is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from None
