"""`.npy` and `.npz` files, mapped into memory.

A header has to promise exactly the bytes that follow it. Arrays in an uncompressed `.npz` are mapped, so
their check sums (CRC-32) are computed once, by the first process that opens the file; see `Npz`. A `.npy`
file has none. Pickled arrays (of objects) are refused.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from dataclasses import MISSING, dataclass, field
from functools import lru_cache
from typing import IO, ClassVar, Literal, NamedTuple

import numpy as np

from daskpar.data.check import check_dtype, check_pair
from daskpar.data.paths import absolute
from daskpar.data.reading import Stamp, check_file, check_memory, decoding, stamp, without_warnings
from daskpar.data.source import Source
from daskpar.data.weights import WHAT, one_a_row
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import PathText, setting

_BLOCK = 1 << 22  # bytes of a check sum at a time
_LONGEST = 1 << 16  # bytes of a header; NumPy itself takes no more than 10,000
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_READERS[(3, 0)] = np.lib.format.read_array_header_2_0  # UTF-8 in names of fields, which are refused
_checked: dict[str, Stamp] = {}  # files whose check sums this process has computed


@register("npz")
@dataclass(frozen=True)
class Npz(Source):
    """One `.npz` file with arrays `x` and `y`. Uncompressed ones are mapped, compressed ones read whole.

    An array `weights` (rows,), where there is one, are the weights of the rows.

    Opening an uncompressed file reads it once, as fast as the disk and about 1 GB/s allow, to compare its
    check sums. A worker that opens the very file that the client has checked (`checked`: its stamp) does
    not do so again, and reads the rows that it needs alone; one that has another copy of it does.
    """

    path: PathText = setting(MISSING, "the file")
    needs: ClassVar[str] = "data.path, a file with arrays x and y"
    checked: Stamp = field(default=(), kw_only=True, compare=False, repr=False)

    @property
    def version(self) -> Stamp:
        return stamp(self.path)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", absolute(self.path, "Npz(path=...)"))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self._members()[:2]

    def row_weights(self) -> np.ndarray | None:
        return self._members()[2]

    def _members(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        stamped = stamp(self.path)
        return _open_npz(self.path, stamped, stamped in (self.checked, _checked.get(self.path)))

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "checked": _checked.get(self.path, self.checked)}

    def plain_targets(self) -> np.ndarray:
        return self.arrays()[1]


@register("npy")
@dataclass(frozen=True)
class Npy(Source):
    """Two `.npy` files: examples and targets; and a third, where rows have weights."""

    x: PathText = setting(MISSING, "the file of the examples")
    y: PathText = setting(MISSING, "the file of the targets")
    weights: PathText | None = setting(None, "the file of the weights of the rows")
    needs: ClassVar[str] = "data.x and data.y, two .npy files"
    frames: ClassVar[bool] = False
    """True where the examples may be records, which frames have become."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("x", "y", "weights"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, absolute(getattr(self, name), f"Npy({name}=...)"))

    @property
    def version(self) -> Stamp:
        return stamp(self.x) + stamp(self.y) + (stamp(self.weights) if self.weights else ())

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _open_pair(self.x, self.y, self.frames, stamp(self.x), stamp(self.y))

    def plain_targets(self) -> np.ndarray:
        return self.arrays()[1]

    def row_weights(self) -> np.ndarray | None:
        if self.weights is None:
            return None
        return _open_weights(self.weights, self.rows, stamp(self.weights))


class _Header(NamedTuple):
    """The header of an array, `start` bytes long."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int

    @property
    def order(self) -> Literal["F", "C"]:
        return "F" if self.fortran else "C"


@lru_cache(maxsize=16)
def _open_pair(x: str, y: str, frames: bool, *stamps: Stamp) -> tuple[np.ndarray, np.ndarray]:
    pair = open_npy(x), open_npy(y)
    check_pair(*pair, where=x, may_be_records=frames)
    return pair


@lru_cache(maxsize=16)
def _open_weights(path: str, rows: int, stamped: Stamp) -> np.ndarray:
    return _as_weights(open_npy(path), rows, path)


def _as_weights(weights: np.ndarray, rows: int, path: str) -> np.ndarray:
    """Return the weights of a file as (rows,); their values are checked as they are read."""
    check_dtype(weights.dtype, path, WHAT)
    return one_a_row(weights, rows, path)


def open_npy(path: str) -> np.ndarray:
    """A `.npy` file, mapped into memory. Raises InputError where it is missing or damaged."""
    size = check_file(path, "a .npy file")
    with decoding(path, "a .npy file"):
        with open(path, "rb") as file:
            header = _read_header(file, size)
        return _map(path, header, header.start)


@lru_cache(maxsize=16)
def _open_npz(path: str, stamped: Stamp, checked: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    check_file(path, "a .npz file with arrays x and y")
    with decoding(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        if not {"x.npy", "y.npy"} <= members:
            names = sorted(name.removesuffix(".npy") for name in members)
            listed = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            raise InputError(f"{path}: holds {listed or 'nothing'}; expected arrays x and y")
        x, y = _member(path, archive, "x", checked), _member(path, archive, "y", checked)
        weights = _member(path, archive, "weights", checked) if "weights.npy" in members else None
    check_pair(x, y, where=path)
    _checked[path] = stamped
    return x, y, None if weights is None else _as_weights(weights, len(x), path)


def _member(path: str, archive: zipfile.ZipFile, name: str, checked: bool) -> np.ndarray:
    """An array of the archive; where it is stored as it is, a map of that part of the file."""
    info = archive.getinfo(f"{name}.npy")
    if info.flag_bits & 1:
        raise InputError(f"{path}: array {name} is encrypted; save it without a password")
    with archive.open(info) as member:
        header = _read_header(member, info.file_size)
    if info.compress_type != zipfile.ZIP_STORED or 0 in header.shape:
        check_memory(path, info.file_size, f"array {name}", "save it uncompressed, to be mapped")
        with archive.open(info) as member:
            member.read(header.start)
            return _read(member, header)
    with open(path, "rb") as file:  # the local header's name and extra field may differ from the directory's
        file.seek(info.header_offset + 26)
        name_length, extra_length = (int.from_bytes(file.read(2), "little") for _ in range(2))
        start = info.header_offset + 30 + name_length + extra_length
        if not checked and _crc(file, start, info.file_size) != info.CRC:
            raise InputError(
                f"{path}: array {name} is damaged, its check sum (CRC-32) is another; copy it anew"
            )
    return _map(path, header, start + header.start)


def _read_header(file: IO[bytes], size: int) -> _Header:
    """The header that an array of `size` bytes begins with. Raises ValueError, and what NumPy raises."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not known")
    raw = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(raw, "little")
    if length > _LONGEST:  # before it is read: a compressed one may be of any size
        raise ValueError(f"a header of {length} bytes")
    raw += file.read(length)
    # of Python 2, of names of dtypes, and of what looks like a number in a damaged header
    with without_warnings(r"Reading `\.npy`|Data type alias|invalid "):
        shape, fortran, dtype = _READERS[version](io.BytesIO(raw))
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded, which are pickled Python code; save numbers")
    shape = tuple(int(length) for length in shape)
    start = np.lib.format.MAGIC_LEN + len(raw)
    promised = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or promised != size - start:
        raise ValueError(
            f"its header promises {promised} bytes for {dtype} of shape {shape}, {size - start} follow"
        )
    return _Header(shape, fortran, dtype, start)


def _map(path: str, header: _Header, start: int) -> np.ndarray:
    if 0 in header.shape or not header.dtype.itemsize:  # no bytes, which cannot be mapped
        return np.zeros(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", start, header.shape, header.order)


def _read(file: IO[bytes], header: _Header) -> np.ndarray:
    """The array that follows its header. Reads to the end, where the check sum is compared."""
    values = np.empty(header.shape, header.dtype, header.order)
    raw = values.reshape(-1, order="A").view(np.uint8) if values.nbytes else np.empty(0, np.uint8)
    filled = 0
    while filled < len(raw):
        block = np.frombuffer(file.read(min(_BLOCK, len(raw) - filled)), np.uint8)
        if not len(block):
            raise ValueError(f"{len(raw)} bytes were promised, {filled} follow")
        raw[filled : filled + len(block)] = block
        filled += len(block)
    file.read(1)
    return values


def _crc(file: IO[bytes], start: int, size: int) -> int:
    """CRC-32 of some bytes of a file."""
    file.seek(start)
    crc = 0
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        crc, size = zlib.crc32(block, crc), size - len(block)
    return crc
