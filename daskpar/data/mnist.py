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
_AXES = 64  # axes that a NumPy array can have


@register("digits")
@dataclass(frozen=True)
class Digits(Source):
    """The 1,797 handwritten digits of scikit-learn: small, and there without a download.

    Examples (1797, 8, 8, 1) are uint8 from 0 to 16, targets (1797,) are classes 0 to 9 in int32. They are
    read from scikit-learn's installation and kept in memory in each process.

    Args:
        max_value: Largest raw value of the examples; training uses `x / max_value`. Keyword only.
            Default: 16.

    Raises:
        InputError: scikit-learn is not installed.

    Example:
        >>> from daskpar.data import Digits
        >>> source = Digits()
        >>> source.rows, source.x_shape, source.x_dtype
        (1797, (8, 8, 1), dtype('uint8'))
        >>> source.read_targets(slice(0, 4)).tolist()
        [0, 1, 2, 3]

    Reference:
        Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits", UCI Machine Learning
        Repository.
    """

    max_value: float | None = field(default=16.0, kw_only=True, metadata=MAX_VALUE)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return _digits()


@register("mnist")
@dataclass(frozen=True)
class Mnist(Source):
    r"""MNIST, handwritten digits of 28 x 28 pixels, from its IDX files, gzipped or not.

    Examples (rows, 28, 28, 1) are uint8 from 0 to 255, targets (rows,) are classes 0 to 9 in int32. There are
    60,000 rows in the part "train" and 10,000 in the part "test". A file is read whole, and kept in memory in
    each process.

    Args:
        folder: A folder with the IDX files, e.g. `train-images-idx3-ubyte.gz`. `find_mnist()` returns one,
            and downloads the files if need be. The key in a config is `data.path`.
        part: "train" or "test". Default: "train".
        max_value: Largest raw value of the examples; training uses `x / max_value`. Keyword only.
            Default: 255.

    Raises:
        InputError: A file is missing or damaged, or the part has another name.

    Example:
        Two rows in the format of MNIST, the second an image of ones:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from daskpar.data import Mnist
        >>> folder = tempfile.TemporaryDirectory()
        >>> images = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(784) + b"\x01" * 784
        >>> labels = bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3])
        >>> _ = Path(folder.name, "train-images-idx3-ubyte").write_bytes(images)
        >>> _ = Path(folder.name, "train-labels-idx1-ubyte").write_bytes(labels)
        >>> x, y = Mnist(folder.name).arrays()
        >>> x.shape, int(x[1].sum()), y.tolist()
        ((2, 28, 28, 1), 784, [7, 3])
        >>> folder.cleanup()

    Reference:
        LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition".
    """

    folder: PathText = setting(
        MISSING, "a folder with the IDX files of MNIST (default: $DASKPAR_DATA, or a download)", key="path"
    )
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
    """Return a folder with the IDX files of MNIST; download them if there is none.

    The files are looked for in `mnist` within the folder, then in the folder itself. A download is checked by
    its hash and kept in this user's cache folder, `~/.cache/daskpar/mnist` on Linux.

    Args:
        folder: The folder. None: the environment variable `DASKPAR_DATA`, or else a download.
            Default: None.

    Raises:
        InputError: The folder has none of the files, or the download fails.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from daskpar.data import find_mnist
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = Path(folder.name, "train-images-idx3-ubyte").write_bytes(b"")
        >>> find_mnist(folder.name) == folder.name
        True
        >>> folder.cleanup()
    """
    top = folder or os.environ.get("DASKPAR_DATA")
    if top:
        top = absolute(top, "the folder of MNIST")
        for place in (Path(top) / "mnist", Path(top)):
            if any(_existing(place, name) for names in _FILES.values() for name in names):
                return str(place)
        raise InputError(f"{top}: no MNIST files there; expected e.g. mnist/train-images-idx3-ubyte.gz")
    return _download()


def _download() -> str:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    cache = Path(pooch.os_cache("daskpar")) / "mnist"
    try:
        for name, md5 in _MD5.items():
            pooch.retrieve(f"{_MIRROR}{name}.gz", known_hash=f"md5:{md5}", fname=f"{name}.gz", path=cache)
    except Exception as error:  # requests, urllib3, sockets and hashes have errors of their own
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
    """Return the array (uint8) of an IDX file of bytes, gzipped or not.

    The format: two zero bytes, the type (8 for bytes), the number of axes, the length of each axis as a
    big-endian 32-bit integer, then the values in C order (http://yann.lecun.com/exdb/mnist/).

    Raises InputError for a file that is missing, damaged or of another format.
    """
    size = check_file(path, "an IDX file")
    with decoding(path, "an IDX file", "cannot be read, truncated or damaged"), open(path, "rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        return _read_idx(path, gzip.GzipFile(fileobj=plain) if zipped else plain, None if zipped else size)


def _read_idx(path: Path, file: BinaryIO | gzip.GzipFile, size: int | None) -> np.ndarray:
    """Return the array of an open IDX file; no more is read than the header declares.

    `size`: bytes of the file; None if it is compressed.
    """
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
    # Importing scikit-learn's datasets takes as long as the training, so its file is read directly.
    from importlib.util import find_spec

    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise InputError("source digits needs scikit-learn: pip install scikit-learn")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1].astype(np.int32)
