"""IDX files, MNIST wherever it lies, and scikit-learn's digits."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from daskpar.data import Digits, Mnist, find_mnist
from daskpar.data.mnist import _FILES, read_idx
from daskpar.errors import InputError


def idx(array, magic=b"\0\0\x08"):
    return magic + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def images(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, 28, 28), dtype=np.uint8)


def write_mnist(folder, rows=(30, 10), zipped=True):
    """A small MNIST; returns its arrays by part."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for (part, names), n in zip(_FILES.items(), rows, strict=True):
        made[part] = images(n, n), (np.arange(n) % 10).astype(np.uint8)
        for name, array in zip(names, made[part], strict=True):
            path = folder / (f"{name}.gz" if zipped else name)
            path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    return made


@pytest.mark.parametrize("shape", [(7,), (5, 4), (3, 28, 28), (0, 2)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_round_trip(tmp_path, shape, pack):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "file"
    path.write_bytes(pack(idx(array)))
    found = read_idx(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


WHOLE = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    "content, message",
    [
        (WHOLE[:-5], "truncated or damaged; its header promises 12 bytes for shape (3, 4), 7 follow"),
        (WHOLE + b"?", "truncated or damaged; its header promises 12 bytes for shape (3, 4), 13 follow"),
        (WHOLE[:9], "truncated or damaged; its header should have 12 bytes, not 9"),
        (WHOLE[:6], "truncated or damaged; its header should have 12 bytes, not 6"),
        (b"", "not an IDX file of bytes; expected it to begin with 00 00 08"),
        (b"\0\0", "not an IDX file of bytes"),
        (idx(np.zeros(3, np.uint8), b"\0\0\x0d"), "not an IDX file of bytes"),
        (b"PK\x03\x04 something else", "not an IDX file of bytes"),
        (idx(np.zeros(0, np.uint8))[:4] + b"\xff\xff\xff\xff", "promises 4294967295 bytes"),
        (gzip.compress(WHOLE)[:-9], "cannot be read, truncated or damaged"),
        (b"\x1f\x8b" + b"?" * 40, "cannot be read, truncated or damaged"),
        (None, "no such file; expected an IDX file"),
    ],
    ids=lambda v: "" if isinstance(v, bytes) else None,
)
def test_idx_refused(tmp_path, content, message):
    path = tmp_path / "file.idx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_idx(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("within", ["", "mnist"])
def test_mnist_in_a_folder(tmp_path, monkeypatch, zipped, within):
    made = write_mnist(tmp_path / within, zipped=zipped)
    monkeypatch.delenv("DASKPAR_DATA", raising=False)
    given = find_mnist(str(tmp_path))
    monkeypatch.setenv("DASKPAR_DATA", str(tmp_path))
    assert find_mnist() == given == str(tmp_path / within)
    for part, (pixels, labels) in made.items():
        source = Mnist(given, part)
        x, y = source.read(slice(2, 5))
        assert (source.rows, source.x_shape, source.y_shape) == (len(labels), (28, 28, 1), ())
        assert (x.dtype, y.dtype, source.y_dtype, source.max_value) == (np.uint8, np.int32, np.int32, 255)
        np.testing.assert_array_equal(x[..., 0], pixels[2:5])
        np.testing.assert_array_equal(y, labels[2:5])


def labels_lost(folder):
    (folder / "train-labels-idx1-ubyte.gz").unlink()


def labels_short(folder):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(29, np.uint8)))


def labels_are_images(folder):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(images(30)))


def images_are_labels(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx(np.zeros(30, np.uint8)))


def no_rows(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx(images(0)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(0, np.uint8)))


@pytest.mark.parametrize(
    "damage, message",
    [
        (labels_lost, "train-labels-idx1-ubyte: no such file, gzipped or not"),
        (labels_short, "train-labels-idx1-ubyte.gz: 30 rows of examples but 29 labels; expected one a row"),
        (labels_are_images, "train-labels-idx1-ubyte.gz: has 3 axes, expected 1; is it another of the four"),
        (images_are_labels, "train-images-idx3-ubyte.gz: has 1 axes, expected 3"),
        (no_rows, "zero rows; expected at least one example"),
    ],
)
def test_mnist_refused(tmp_path, damage, message):
    write_mnist(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError) as error:
        Mnist(str(tmp_path), "train").arrays()
    assert message in str(error.value)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_no_mnist_in_the_folder(tmp_path, monkeypatch, by):
    monkeypatch.setenv("DASKPAR_DATA", str(tmp_path))
    with pytest.raises(InputError) as error:
        find_mnist(str(tmp_path) if by == "argument" else None)
    assert str(error.value) == (
        f"{tmp_path}: no MNIST files there; expected e.g. mnist/train-images-idx3-ubyte.gz"
    )


def test_download(tmp_path, monkeypatch):
    import pooch

    asked = []
    monkeypatch.delenv("DASKPAR_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(pooch, "retrieve", lambda url, **options: asked.append((url, options)))
    assert find_mnist() == str(tmp_path / "daskpar" / "mnist")
    assert len(asked) == 4
    for url, options in asked:
        assert url.endswith(f"/{options['fname']}") and options["fname"].endswith("ubyte.gz")
        assert options["known_hash"].startswith("md5:") and options["path"] == tmp_path / "daskpar" / "mnist"


def test_download_without_a_network(tmp_path, monkeypatch):
    """One error, and nothing else is said."""
    import pooch

    said = []
    monkeypatch.setattr(pooch.get_logger(), "handle", said.append)
    pooch.get_logger().setLevel("INFO")  # pooch's own

    def fail(*args, **kwargs):
        raise ConnectionError("name resolution failed\nand more of it")

    monkeypatch.delenv("DASKPAR_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(pooch.core, "stream_download", fail)
    with pytest.raises(InputError) as error:
        find_mnist()
    assert str(error.value) == (
        "MNIST could not be downloaded (ConnectionError); set DASKPAR_DATA to a folder that holds "
        "mnist/train-images-idx3-ubyte.gz and its three companions"
    )
    assert said == []


@pytest.mark.skipif(
    not os.environ.get("DASKPAR_DATA"), reason="needs MNIST: set DASKPAR_DATA to a folder that holds mnist/"
)
@pytest.mark.parametrize(
    "part, pixels, classes, counts",
    [
        (
            "train",
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        ),
        (
            "test",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        ),
    ],
)
def test_mnist_itself(part, pixels, classes, counts):
    x, y = Mnist(find_mnist(), part).arrays()
    rows = sum(counts)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((rows, 28, 28, 1), np.uint8, (rows,), np.int32)
    assert np.bincount(y).tolist() == counts
    labels = y.astype(np.uint8)
    for array, digest in ((x[..., 0], pixels), (labels, classes)):  # of the IDX files, decompressed
        assert hashlib.md5(idx(array)).hexdigest() == digest


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    source = Digits()
    x, y = source.arrays()
    assert (source.rows, source.x_shape, source.y_shape, source.max_value) == (1797, (8, 8, 1), (), 16)
    assert (x.dtype, y.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(x[..., 0], theirs.images)
    np.testing.assert_array_equal(x.reshape(1797, -1), theirs.data)
    np.testing.assert_array_equal(y, theirs.target)
    np.testing.assert_array_equal(source.labels(), theirs.target)


def test_digits_without_scikit_learn(monkeypatch):
    import importlib.util

    from daskpar.data import mnist

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="source digits needs scikit-learn: pip install scikit-learn"):
        mnist._digits.__wrapped__()


def test_sources_travel_as_descriptions(tmp_path):
    import pickle

    write_mnist(tmp_path, rows=(300, 10))
    for source in (Digits(), Mnist(str(tmp_path), "train")):
        source.arrays()
        packed = pickle.dumps(source)
        assert len(packed) < 400 and pickle.loads(packed) == source
    assert Path(tmp_path).is_dir()
