"""`.npy` and `.npz` files, mapped into memory.

A file is refused unless its header declares exactly the number of bytes that follow. Arrays in an
uncompressed `.npz` are mapped, so their check sums (CRC-32) are compared once, by the first process that
opens the file; see `Npz`. A `.npy` file has no check sum. Pickled arrays (of objects) are refused.
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

_BLOCK = 1 << 22  # bytes that are read at a time
_LONGEST = 1 << 16  # bytes of a header; NumPy itself accepts at most 10,000
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_READERS[(3, 0)] = np.lib.format.read_array_header_2_0  # differs only in names of fields, which are refused
_checked: dict[str, Stamp] = {}  # stamps of files whose check sums this process has compared


@register("npz")
@dataclass(frozen=True)
class Npz(Source):
    """One `.npz` file of `numpy.savez` with arrays `x` and `y`, and perhaps `weights`.

    `x` (rows, ...) are numbers. `y` (rows, ...) are numbers or texts. `weights` (rows,) are numbers from 0
    on; without them all rows have weight 1.

    Arrays of `numpy.savez` are mapped into memory, and only the rows that are used are read. Arrays of
    `numpy.savez_compressed` are read whole by each process. The last 16 files stay open in each process.

    The first process that opens an uncompressed file reads it once to compare its check sums, at up to about
    1 GB/s. A worker that opens the same file as the client does not repeat that; one that has a copy does.

    Args:
        path: The file.
        max_value: Largest raw value of the examples; training uses `x / max_value`. None: as they are.
            Keyword only. Default: None.
        checked: Stamp of the file whose check sums were compared; set when a source is pickled. Keyword only.

    Raises:
        InputError: The file is missing, damaged, or lacks `x` or `y`; or the arrays have different numbers of
            rows or other dtypes.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from daskpar.data import Npz
        >>> folder = tempfile.TemporaryDirectory()
        >>> np.savez(f"{folder.name}/line.npz", x=np.arange(6.0).reshape(3, 2), y=np.array([0, 1, 0]))
        >>> source = Npz(f"{folder.name}/line.npz")
        >>> source.rows, source.x_shape, source.y_dtype
        (3, (2,), dtype('int64'))
        >>> source.read_targets(slice(0, 2)).tolist()
        [0, 1]
        >>> folder.cleanup()
    """

    path: PathText = setting(MISSING, "a .npz file with arrays x and y, and perhaps weights")
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
    """Two `.npy` files of `numpy.save`, with examples and targets; a third may have weights.

    The files are mapped into memory, and only the rows that are used are read. The last 16 pairs stay open in
    each process.

    Args:
        x: File of the examples (rows, ...), numbers.
        y: File of the targets (rows, ...), numbers or texts.
        weights: File of the weights (rows,) or (rows, 1), numbers from 0 on. None: all rows have weight 1.
            Default: None.
        max_value: Largest raw value of the examples; training uses `x / max_value`. None: as they are.
            Keyword only. Default: None.

    Raises:
        InputError: A file is missing or damaged, or the arrays have different numbers of rows or other
            dtypes.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from daskpar.data import Npy
        >>> folder = tempfile.TemporaryDirectory()
        >>> np.save(f"{folder.name}/x.npy", np.array([[0, 255], [51, 0]], dtype="uint8"))
        >>> np.save(f"{folder.name}/y.npy", np.array([1.5, 2.5]))
        >>> source = Npy(f"{folder.name}/x.npy", f"{folder.name}/y.npy", max_value=255)
        >>> source.read(slice(1, 2))
        (memmap([[51,  0]], dtype=uint8), memmap([2.5]))
        >>> folder.cleanup()
    """

    x: PathText = setting(MISSING, "a .npy file of examples (rows, ...)")
    y: PathText = setting(MISSING, "a .npy file of targets (rows, ...)")
    weights: PathText | None = setting(None, "a .npy file of weights (rows,), numbers from 0 on")
    needs: ClassVar[str] = "data.x and data.y, two .npy files"
    frames: ClassVar[bool] = False
    """True where the examples may be records, made from the rows of a frame."""

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
    """The header of an array; the values begin `start` bytes after its beginning."""

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
    """Return the weights of a file as (rows,); their values are checked when they are read."""
    check_dtype(weights.dtype, path, WHAT)
    return one_a_row(weights, rows, path)


def open_npy(path: str) -> np.ndarray:
    """Return the array of a `.npy` file, mapped. Raises InputError if the file is missing or damaged."""
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
    """Return an array of an archive; an uncompressed one is a map of its part of the file."""
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
                f"{path}: array {name} is damaged, its check sum (CRC-32) differs; copy it again"
            )
    return _map(path, header, start + header.start)


def _read_header(file: IO[bytes], size: int) -> _Header:
    """Return the header of an array of `size` bytes. Raises ValueError, or an error of NumPy's."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not known")
    raw = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(raw, "little")
    if length > _LONGEST:  # before it is read: a compressed one may be of any size
        raise ValueError(f"a header of {length} bytes")
    raw += file.read(length)
    # warnings about headers of Python 2, about names of dtypes, and about damaged numbers
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
    """Return the array after its header. Reads to the end, where zipfile compares the check sum."""
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
    """Return the CRC-32 of `size` bytes of a file, from `start` on."""
    file.seek(start)
    crc = 0
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        crc, size = zlib.crc32(block, crc), size - len(block)
    return crc
