"""MNIST from its IDX files, and scikit-learn's digits."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Self, cast

import numpy as np

from daskpar.data.check import check_pair
from daskpar.data.paths import absolute
from daskpar.data.reading import Stamp, check_file, check_memory, decoding, stamp
from daskpar.data.source import MAX_VALUE, Source
from daskpar.errors import InputError, unknown
from daskpar.registry import register
from daskpar.settings import PathText, checked_arguments, setting

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MD5 = {  # of the gzip files that the mirrors carry
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
_AXES = 64  # of a NumPy array


@register("digits")
@dataclass(frozen=True)
class Digits(Source):
    """scikit-learn's 1,797 handwritten digits: images (rows, 8, 8, 1) from 0 to 16 and classes (rows,)."""

    max_value: float | None = field(default=16.0, kw_only=True, metadata=MAX_VALUE)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _digits()


@register("mnist")
@dataclass(frozen=True)
class Mnist(Source):
    """Images (rows, 28, 28, 1) of bytes and classes (rows,), part `train` or `test` (LeCun et al. 1998)."""

    folder: PathText = setting(MISSING, "a folder", key="path")
    part: str = "train"
    max_value: float | None = field(default=255.0, kw_only=True, metadata=MAX_VALUE)

    @classmethod
    def from_keys(cls, keys: Mapping[str, object]) -> Self:
        return cls(find_mnist(cast("str | None", keys.get("path"))), "train")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part not in _FILES:
            raise unknown("part of MNIST", self.part, _FILES)
        object.__setattr__(self, "folder", absolute(self.folder, "Mnist(folder=...)"))

    def test_source(self) -> Mnist:
        return replace(self, part="test")

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _open(self.folder, self.part, self.version)

    @property
    def version(self) -> Stamp:
        return tuple(n for name in _FILES[self.part] for n in _stamp(Path(self.folder), name))


@checked_arguments("data.")
def find_mnist(folder: str | None = None) -> str:
    """The folder with the IDX files: the one given, `$DASKPAR_DATA/mnist`, or a download checked by hash."""
    given = folder or os.environ.get("DASKPAR_DATA")
    if given:
        given = absolute(given, "the folder of MNIST")
        for place in (Path(given) / "mnist", Path(given)):
            if any(_existing(place, name) for names in _FILES.values() for name in names):
                return str(place)
        raise InputError(f"{given}: no MNIST files there; expected e.g. mnist/train-images-idx3-ubyte.gz")
    return _download()


def _download() -> str:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    cache = Path(pooch.os_cache("daskpar")) / "mnist"
    try:
        for name, md5 in _MD5.items():
            pooch.retrieve(f"{_MIRROR}{name}.gz", known_hash=f"md5:{md5}", fname=f"{name}.gz", path=cache)
    except Exception as error:  # requests, urllib3, sockets and hashes fail each in their own way
        raise InputError(
            f"MNIST could not be downloaded ({type(error).__name__}); set DASKPAR_DATA to a folder that "
            "holds mnist/train-images-idx3-ubyte.gz and its three companions"
        ) from None
    return str(cache)


def _existing(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / f"{name}.gz", folder / name) if os.path.isfile(p)), None)


def _stamp(folder: Path, name: str) -> Stamp:
    path = _existing(folder, name)
    return () if path is None else stamp(path)


@lru_cache(maxsize=4)
def _open(folder: str, part: str, stamped: Stamp) -> tuple[np.ndarray, np.ndarray]:
    paths = []
    for name in _FILES[part]:
        path = _existing(Path(folder), name)
        if path is None:
            raise InputError(f"{Path(folder) / name}: no such file, gzipped or not")
        paths.append(path)
    images, labels = read_idx(paths[0]), read_idx(paths[1])
    for path, array, axes in ((paths[0], images, 3), (paths[1], labels, 1)):
        if array.ndim != axes:
            raise InputError(
                f"{path}: has {array.ndim} axes, expected {axes}; is it another of the four files?"
            )
    check_pair(images, labels, where=str(paths[1]))
    return images[..., None], labels.astype(np.int32)


def read_idx(path: Path) -> np.ndarray:
    """An array from an IDX file of bytes, gzipped or not.

    The format: two zero bytes, the type (8 for bytes), the number of axes, the length of each as a
    big-endian 32-bit integer, then the values in C order (http://yann.lecun.com/exdb/mnist/).
    """
    size = check_file(path, "an IDX file")
    with decoding(path, "an IDX file", "cannot be read, truncated or damaged"), open(path, "rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        return _read_idx(path, gzip.GzipFile(fileobj=plain) if zipped else plain, None if zipped else size)


def _read_idx(path: Path, file: BinaryIO | gzip.GzipFile, size: int | None) -> np.ndarray:
    """`size`: bytes of the file, where it is not compressed. No more is read than the header promises."""
    name, begin = path, file.read(4)
    if len(begin) < 4 or begin[:3] != b"\0\0\x08":
        raise InputError(f"{name}: not an IDX file of bytes; expected it to begin with 00 00 08")
    if begin[3] > _AXES:
        raise InputError(f"{name}: its header promises {begin[3]} axes; expected {_AXES} at most")
    lengths = file.read(4 * begin[3])
    if len(lengths) < 4 * begin[3]:
        raise InputError(
            f"{name}: truncated or damaged; its header should have {4 + 4 * begin[3]} bytes, "
            f"not {4 + len(lengths)}"
        )
    shape = tuple(int(n) for n in np.frombuffer(lengths, dtype=">u4"))
    count = math.prod(shape)
    if count >= 1 << 63:
        raise InputError(f"{name}: truncated or damaged; its header promises more bytes than any file has")
    follow = None if size is None else size - 4 - len(lengths)
    if follow is None or follow == count:
        check_memory(path, count, "its content")
        data = file.read(count + 1)  # to the end of a gzip file, where its check sum is compared
        if len(data) == count:
            return np.frombuffer(data, dtype=np.uint8).reshape(shape)
        follow = len(data)
    raise InputError(
        f"{name}: truncated or damaged; its header promises {count} bytes for shape {shape}, "
        f"{'more' if size is None and follow > count else follow} follow"
    )


@lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    # Read from the file that scikit-learn ships: importing its datasets would take as long as the training.
    from importlib.util import find_spec

    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise InputError("source digits needs scikit-learn: pip install scikit-learn")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1].astype(np.int32)
