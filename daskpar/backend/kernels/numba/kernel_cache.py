"""Cache of compiled kernels on the disk, and its behaviour if the disk cannot be used.

Numba recompiles a kernel if its own source file has changed. But most of a kernel's code is inlined from
other files, and old code would still run after an upgrade. So the cache is emptied if any source has changed.

If Numba has no folder to write to (read-only installation, no home), it uses a temporary folder of this
process. Kernels in a NUMBA_CACHE_DIR that is read only, as in a container's image, are copied there. Kernels
that cannot be read or written are compiled for each process. One log line then advises to set
NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import TypeVar, cast

import numba
from numba.core.base import BaseContext
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.typing import Signature

_STAMP = "daskpar-kernels.sha256"
_ADVICE = "set NUMBA_CACHE_DIR to a folder that can be written to"

logger = logging.getLogger("daskpar")
F = TypeVar("F", bound=Callable[..., object])


class KernelCache(FunctionCache):
    """Numba's cache of a function, for which damaged files and a full disk are no errors."""

    def load_overload(self, sig: Signature, target_context: BaseContext) -> CompileResult | None:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling a damaged file raises anything
            _say(
                f"a kernel in {self.cache_path} cannot be read ({type(error).__name__}) and is compiled anew"
            )
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Signature, data: CompileResult) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # it reads the index first, which may be damaged
            _say(f"kernels cannot be kept in {self.cache_path} ({error}) and are compiled for each process")


def njit(*signatures: Signature, cache: bool = False, **options: bool | str) -> Callable[[F], F]:
    """Return a decorator like `numba.njit` that uses a `KernelCache`.

    With `signatures` the function is compiled at once, and only for these types.
    """

    def decorate(function: F) -> F:
        dispatcher = numba.njit(**options)(function)
        if cache:
            find_place()
            with suppress(RuntimeError, OSError):  # no folder at all: compiled for this process
                dispatcher._cache = KernelCache(function)
        for signature in signatures:
            dispatcher.compile(signature)
        if signatures:
            dispatcher.disable_compile()
        return cast(F, dispatcher)

    return decorate


@cache
def find_place() -> bool:
    """Set a temporary cache folder if Numba has no other; return whether the folder outlives this process."""
    folder = numba.config.CACHE_DIR
    if folder and _is_read_only(Path(folder)) and _copy(Path(folder)):
        return True
    try:
        place = FunctionCache(forget_outdated).cache_path
        if folder and not Path(place).is_relative_to(os.path.abspath(folder)):
            _say(f"NUMBA_CACHE_DIR={folder} cannot be written to; kernels are kept in {place}")
        return True
    except (RuntimeError, OSError):
        pass
    try:
        numba.config.CACHE_DIR = mkdtemp(prefix="daskpar-kernels-")
        atexit.register(_remove, numba.config.CACHE_DIR, os.getpid())
    except OSError:
        pass  # not even a temporary folder
    _say("there is no place to keep compiled kernels; they are compiled for each process")
    return False


def _is_read_only(folder: Path) -> bool:
    """Return whether a folder has kernels, such as those of a container's image, but takes no more."""
    return any(folder.glob(f"*/{_STAMP}")) and not os.access(folder, os.W_OK)


def _copy(folder: Path) -> bool:
    """Use a copy of the kernels in a folder, since Numba reads no folder that it cannot write to."""
    try:
        place = mkdtemp(prefix="daskpar-kernels-")
        copytree(folder, place, dirs_exist_ok=True)
        for path in Path(place).rglob("*"):
            path.chmod(0o700)
    except OSError:
        return False
    numba.config.CACHE_DIR = place
    atexit.register(_remove, place, os.getpid())
    return True


def is_kept() -> bool:
    """Return whether compiled kernels are on the disk for the next process."""
    return find_place() and not _said()


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:
        rmtree(folder, ignore_errors=True)


_lines: list[str] = []


def _said() -> bool:
    return bool(_lines)


def _say(problem: str) -> None:
    """Log a problem of the cache, once per process."""
    if not _lines:
        _lines.append(problem)
        logger.warning("%s; %s", problem, _ADVICE)


def forget_outdated(sources: Path = Path(__file__).parent, kept: Path | None = None) -> None:
    """Empty the cache folder `kept` if it was compiled from other modules than those in `sources`."""
    modules = sorted(sources.glob("*.py"))
    digest = sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
    with suppress(OSError, RuntimeError):  # without a cache folder nothing is outdated
        if kept is None:
            find_place()
            kept = Path(FunctionCache(forget_outdated).cache_path)
        stamp = kept / _STAMP
        if stamp.exists() and stamp.read_bytes() == digest.encode():
            return
        for module in modules:
            for part in kept.glob(f"{module.stem}.*.nb[ic]"):
                part.unlink(missing_ok=True)
        kept.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest)
