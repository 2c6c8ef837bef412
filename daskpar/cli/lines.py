"""Errors in one line with an exit code, and output files that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from daskpar.cli.terminal import err, warnings_in_lines
from daskpar.errors import ClusterLostError, ClusterStartError, InputError, NotFiniteError, one_line
from daskpar.interrupts import exit_code, sigterm_interrupts

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # caused by the machine, not by a bug: no traceback


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print an error as one line and exit.

    The code is 2 for bad input, 1 for a run that failed, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with warnings_in_lines(), sigterm_interrupts():
            yield
    except (InputError, NotFiniteError, ClusterLostError) as error:
        bad_input = isinstance(error, InputError) and not isinstance(error, ClusterStartError)
        _end(str(error), 2 if bad_input else 1)
    except MemoryError as error:
        _end(f"out of memory ({error}); use a smaller model, train.batch or data.chunk_rows", 1)
    except OSError as error:
        if error.errno not in _FULL and error.filename is None:
            raise
        _end(str(error) if error.filename is None else f"{error.filename}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        _end("stopped", exit_code())


def _end(line: str, code: int) -> None:
    err.print(f"daskpar: {one_line(line)}", style="red")
    sys.exit(code)


@contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """Open a file for writing that appears complete or not at all; a device or a pipe is written directly.

    Raises InputError where it cannot be written.
    """
    target = partial = Path(path)
    with name_if_unwritable(path):
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
def name_if_unwritable(output: str) -> Iterator[None]:
    """Raise an InputError that names the output file, where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from None
