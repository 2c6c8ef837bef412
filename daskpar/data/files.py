"""`.npy` and `.npz` files, mapped into memory."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from daskpar.data.paths import absolute
from daskpar.data.source import Source, check_pair
from daskpar.errors import InputError


@dataclass(frozen=True)
class Npy(Source):
    """Two `.npy` files: examples and targets."""

    x: str
    y: str

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            object.__setattr__(self, name, absolute(getattr(self, name), f"Npy({name}=...)"))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _open_pair(self.x, self.y, stamp(self.x), stamp(self.y))


@dataclass(frozen=True)
class Npz(Source):
    """One `.npz` file with arrays `x` and `y`. Uncompressed ones are mapped, compressed ones read whole."""

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", absolute(self.path, "Npz(path=...)"))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _open_npz(self.path, stamp(self.path))


def stamp(path: str) -> tuple[int, ...]:
    """What changes when a file is written anew, so that an open one is not taken for it."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _open_pair(x: str, y: str, *stamps: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    pair = open_npy(x), open_npy(y)
    check_pair(*pair, where=x)
    return pair


def open_npy(path: str) -> np.ndarray:
    """A `.npy` file, mapped into memory. Raises InputError where it is missing or damaged."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected a .npy file")
    try:
        with open(path, "rb") as file:  # NumPy takes other files for pickles, and advises to load those
            np.lib.format.read_magic(file)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a readable .npy file ({error})") from None


@lru_cache(maxsize=16)
def _open_npz(path: str, stamped: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected a .npz file with arrays x and y")
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            if not {"x.npy", "y.npy"} <= set(archive.namelist()):
                raise InputError(
                    f"{path}: holds {', '.join(sorted(names)) or 'nothing'}; expected arrays x and y"
                )
            pair = _member(path, archive, "x"), _member(path, archive, "y")
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable .npz file ({error})") from None
    check_pair(*pair, where=path)
    return pair


def _member(path: str, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of the archive; where it is stored as it is, a map of that part of the file."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(member)
        header = member.tell()
    if info.compress_type != zipfile.ZIP_STORED or dtype.hasobject or 0 in shape:
        with archive.open(info) as member:
            return np.lib.format.read_array(member, allow_pickle=False)
    with open(path, "rb") as file:  # the local header's name and extra field may differ from the directory's
        file.seek(info.header_offset + 26)
        name_length, extra_length = (int.from_bytes(file.read(2), "little") for _ in range(2))
    offset = info.header_offset + 30 + name_length + extra_length + header
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran else "C")
