"""MNIST from its IDX files, and scikit-learn's digits."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from daskpar.data.paths import absolute
from daskpar.data.source import Source, check_pair
from daskpar.errors import InputError

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


@dataclass(frozen=True)
class Mnist(Source):
    """Images (rows, 28, 28, 1) of bytes and classes (rows,), part `train` or `test` (LeCun et al. 1998)."""

    folder: str
    part: str
    peak: float | None = field(default=255.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", absolute(self.folder, "Mnist(folder=...)"))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _open(self.folder, self.part)


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
    return next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)


@lru_cache(maxsize=4)
def _open(folder: str, part: str) -> tuple[np.ndarray, np.ndarray]:
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
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read, truncated or damaged ({error})") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != 8:
        raise InputError(f"{path}: not an IDX file of bytes; expected it to begin with 00 00 08")
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise InputError(
            f"{path}: truncated or damaged; its header should have {header} bytes, not {len(data)}"
        )
    shape = tuple(int(n) for n in np.frombuffer(data[4:header], dtype=">u4"))
    count = math.prod(shape)
    if len(data) - header != count:
        raise InputError(
            f"{path}: truncated or damaged; its header promises {count} bytes for shape {shape}, "
            f"{len(data) - header} follow"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)


@dataclass(frozen=True)
class Digits(Source):
    """scikit-learn's 1,797 handwritten digits: images (rows, 8, 8, 1) from 0 to 16 and classes (rows,)."""

    peak: float | None = field(default=16.0, kw_only=True)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _digits()


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
