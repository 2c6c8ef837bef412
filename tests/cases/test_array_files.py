"""Files of arrays, damaged in all ways: the arrays that were saved, or one line that names the file."""

from __future__ import annotations

import copy
import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from daskpar import Trainer
from daskpar.data import Images, Mnist, Npy, Npz, Split, find_mnist, split
from daskpar.data.files import open_npy
from daskpar.data.mnist import read_idx
from daskpar.errors import InputError

X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
Y = np.arange(20) % 4


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


def header(text: str, version: int = 1, data: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1") + data


def of(shape: str, descr: str = "'<f4'", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def archive(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Npz:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in {"x": npy(X), "y": npy(Y), **members}.items():
            file.writestr(f"{name}.npy", content)
    return Npz(str(path))


def refusal(path: Path, read: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as error:
        read()
    line = str(error.value)
    assert line.startswith(f"{path}: ") and line.isprintable() and len(line) < len(str(path)) + 400
    return line


DAMAGED = {
    "ends within the header": (header("{'descr': '<f4', 'shape': (3"), ""),
    "an open bracket": (header("{'descr': ((((, 'fortran_order': False}"), ""),
    "an open text": (header("{'descr': '<f4, 'fortran_order': '''"), ""),
    "a number with letters": (header(of("(3or, 4)")), ""),
    "an escape": (header(of("(3,)", "'\\d'")), ""),
    "a null": (header("\0" * 40), ""),
    "deep": (header("(" * 5000), ""),
    "minus after minus": (header(of(f"({'-' * 9000}3,)")), ""),
    "rows 2**63": (header(of(f"({2**63},)")), "promises"),
    "rows -1": (header(of("(-1, 3)")), "promises"),
    "an integer of 5,000 digits": (header(of(f"({'9' * 5000},)")), ""),
    "10**12 rows": (header(of("(1000000000000,)")), "promises 4000000000000 bytes"),
    "fewer rows": (
        header(of("(10, 3)"), data=bytes(240)),
        "promises 120 bytes for float32 of shape (10, 3), 240",
    ),
    "another dtype": (header(of("(20, 3)", "'<f8'"), data=bytes(240)), "promises 480 bytes for float64"),
    "no such dtype": (header(of("(3,)", "'<f5'"), data=bytes(15)), ""),
    "pickled": (npy(np.array([{}, []], object), allow_pickle=True), "Object arrays cannot be loaded"),
    "pickled in a field": (
        header(of("(3,)", "[('a', '|O')]"), data=bytes(24)),
        "Object arrays cannot be loaded",
    ),
    "65 axes": (header(of(f"({'1, ' * 65})"), data=bytes(4)), ""),
    "of a version that is not known": (b"\x93NUMPY\x09\x09" + npy(X)[8:], "version 9.9"),
    "a header of 4 GB": (b"\x93NUMPY\x02\0\xff\xff\xff\xff{", "a header of 4294967295 bytes"),
    "longer than NumPy reads": (header(" " * 20_000), ""),
    "of another file": (b"PK\3\4" + bytes(40), ""),
    "empty": (b"", ""),
    "of Fortran's unformatted kind": (struct.pack("<i", 8) + bytes(8) + struct.pack("<i", 8), ""),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("inside", ["npy", "npz", "deflated"])
def test_headers_damaged(tmp_path: Path, damage: str, inside: str) -> None:
    raw, words = DAMAGED[damage]
    if inside == "npy":
        (tmp_path / "x.npy").write_bytes(raw)
        line = refusal(tmp_path / "x.npy", lambda: open_npy(str(tmp_path / "x.npy")))
    else:
        source = archive(tmp_path / "a.npz", 8 if inside == "deflated" else 0, x=raw)
        line = refusal(tmp_path / "a.npz", source.arrays)
    assert words in line


@pytest.mark.parametrize(
    "dtype, order, version",
    [
        (">f4", "C", (1, 0)),
        ("<f2", "F", (2, 0)),
        (">i8", "F", (3, 0)),
        ("?", "C", (3, 0)),
        ("|u1", "F", (1, 0)),
        ("<f8", "C", (2, 0)),
    ],
)
@pytest.mark.parametrize("method", [0, 8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_sound_ones(tmp_path: Path, dtype: str, order: Any, version: Any, method: int) -> None:
    x = np.asarray(np.arange(60).reshape(5, 4, 3) % 7, dtype=dtype, order=order)
    members = {"x": npy(x, version=version), "y": npy(np.arange(5), version=version)}
    source = archive(tmp_path / "a.npz", method, **members)
    (tmp_path / "x.npy").write_bytes(members["x"])
    for array in (source.arrays()[0], open_npy(str(tmp_path / "x.npy"))):
        assert array.dtype == x.dtype
        np.testing.assert_array_equal(array, x)


def test_a_header_of_python_2(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }", 1, bytes(8))
    )
    np.testing.assert_array_equal(open_npy(str(tmp_path / "x.npy")), [0, 0])


def test_an_archive_of_the_large_kind(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name, array in (("x", X), ("y", Y)):
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(npy(array))
    np.testing.assert_array_equal(Npz(str(tmp_path / "a.npz")).arrays()[0], X)
    raw = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(b"#!/bin/sh\n" + raw)  # bytes before the archive, as NumPy takes them
    np.testing.assert_array_equal(Npz(str(tmp_path / "b.npz")).arrays()[0], X)


@pytest.mark.parametrize(
    "x, words",
    [
        (np.float64(3), "examples must have an axis of rows"),
        (np.zeros(20, [("a", "f4"), ("b", "i4")]), "expected numbers"),
        (np.zeros(20, "M8[s]"), "expected numbers"),
        (np.array(["a"] * 20), "expected numbers"),
        (np.zeros(20, "V3"), "expected numbers"),
        (X[:0], "0 rows of examples but 20 labels"),
    ],
    ids=["one value", "structured", "dates", "texts", "bytes", "no rows"],
)
@pytest.mark.parametrize("method", [0, 8], ids=["stored", "deflated"])
def test_arrays_of_no_numbers(tmp_path: Path, x: Any, words: str, method: int) -> None:
    assert words in refusal(tmp_path / "a.npz", archive(tmp_path / "a.npz", method, x=npy(x)).arrays)


def damaged(path: Path, member: bytes, change: Callable[[bytearray, int], None]) -> Npz:
    """An archive with a change of its bytes, told where some bytes of it lie."""
    raw = bytearray(path.read_bytes())
    change(raw, raw.index(member))
    path.write_bytes(raw)
    return Npz(str(path))


LARGE = np.random.default_rng(1).standard_normal((20, 3000)).astype(np.float32)


@pytest.mark.parametrize("x", [X, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("place", [0, 100, 239, -1])
def test_a_flipped_byte_in_a_mapped_archive(tmp_path: Path, x: np.ndarray, place: int) -> None:
    def flip(raw: bytearray, start: int) -> None:
        raw[start + place % x.nbytes] ^= 1

    archive(tmp_path / "a.npz", x=npy(x))
    source = damaged(tmp_path / "a.npz", x.tobytes(), flip)
    assert "CRC-32" in refusal(tmp_path / "a.npz", source.arrays)
    with pytest.raises(InputError, match="CRC-32"):
        Trainer([{"dense": 4}], batch=10, client="threaded-scheduler").fit(Split(source))
    assert "CRC-32" in refusal(tmp_path / "a.npz", copy.deepcopy(source).arrays)


def test_a_flipped_byte_after_the_file_was_checked(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.npz", x=npy(LARGE))
    np.testing.assert_array_equal(source.arrays()[0], LARGE)
    sent = pickle.dumps(source)
    assert pickle.loads(sent) == source and pickle.loads(sent).checked == source.version
    assert np.array_equal(pickle.loads(sent).arrays()[1], Y)
    damaged(tmp_path / "a.npz", LARGE.tobytes(), lambda raw, start: raw.__setitem__(start, raw[start] ^ 1))
    for one in (source, pickle.loads(sent)):
        assert "CRC-32" in refusal(tmp_path / "a.npz", one.arrays)


@pytest.mark.parametrize("method", [8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["deflate", "bzip2", "lzma"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_byte_in_a_compressed_archive(tmp_path: Path, method: int, place: float) -> None:
    source = archive(tmp_path / "a.npz", method)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        info = file.getinfo("x.npy")
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[info.header_offset + 35 + int(place * info.compress_size)] ^= 0x55
    (tmp_path / "a.npz").write_bytes(raw)
    assert "not a readable .npz file" in refusal(tmp_path / "a.npz", source.arrays)


def test_encrypted(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz")
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    for sign, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(sign) + place] |= 1
    (tmp_path / "a.npz").write_bytes(raw)
    assert "array x is encrypted" in refusal(tmp_path / "a.npz", Npz(str(tmp_path / "a.npz")).arrays)


def test_a_compression_that_is_not_known(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz")
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    for sign, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        raw[raw.index(sign) + place] = 97
    (tmp_path / "a.npz").write_bytes(raw)
    assert "not a readable .npz" in refusal(tmp_path / "a.npz", Npz(str(tmp_path / "a.npz")).arrays)


def declared(path: Path, size: int) -> None:
    """The directory of an archive says that array x takes so many bytes."""
    raw = bytearray(path.read_bytes())
    start = raw.index(b"PK\1\2")
    raw[start + 24 : start + 28] = struct.pack("<I", size)
    path.write_bytes(raw)


@pytest.mark.parametrize("method", [8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rows_that_are_declared_and_not_there(tmp_path: Path, method: int) -> None:
    text = of("(1000000000,)", "'|u1'")
    archive(tmp_path / "a.npz", method, x=header(text, 1, bytes(999)))
    assert "promises 1000000000 bytes" in refusal(tmp_path / "a.npz", Npz(str(tmp_path / "a.npz")).arrays)
    declared(tmp_path / "a.npz", 10 + len(text) + 10**9)
    refusal(tmp_path / "a.npz", Npz(str(tmp_path / "a.npz")).arrays)


def test_a_bomb_is_not_begun(tmp_path: Path, monkeypatch: Any) -> None:
    """32 MB of zeros in 32 kB, where there are 30 MB; uncompressed they are mapped, and fit."""
    from daskpar.data import reading

    monkeypatch.setattr(reading, "available_memory", lambda: 30_000_000)
    x = npy(np.zeros((20, 400_000), np.float32))
    source = archive(tmp_path / "a.npz", 8, x=x)
    line = refusal(tmp_path / "a.npz", source.arrays)
    assert line.endswith(
        "array x takes 0.0 GB of memory, more than there is; save it uncompressed, to be mapped"
    )
    assert archive(tmp_path / "b.npz", 0, x=x).arrays()[0].shape == (20, 400_000)


@pytest.mark.parametrize(
    "what, words", [("pipe", "is a named pipe"), ("folder", "is a folder"), ("link", "a link to")]
)
def test_what_is_no_file(tmp_path: Path, what: str, words: str) -> None:
    path = tmp_path / "a"
    {"pipe": os.mkfifo, "folder": os.mkdir, "link": lambda p: os.symlink("gone", p)}[what](path)
    for read in (lambda: open_npy(str(path)), Npz(str(path)).arrays, lambda: read_idx(path)):
        assert words in refusal(path, read)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    for name in ("a\0b", "n" * 300, "\x1b]0;title\7"):
        for read in (
            lambda path: Npy(path, path).arrays(),
            lambda path: Npz(path).arrays(),
            lambda path: Images(path, (4, 4)).arrays(),
            lambda path: Mnist(path, "train").arrays(),
            find_mnist,
        ):
            with pytest.raises(InputError) as error:
                read(name)
            assert str(error.value).isprintable()


# --- IDX


def idx(array: np.ndarray) -> bytes:
    return (
        struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


SMALL = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "raw, words",
    [
        (b"\0\0\x08\xff" + struct.pack(">255I", *[1] * 255) + b"\0", "promises 255 axes"),
        (b"\0\0\x08\x41" + struct.pack(">65I", *[1] * 65) + b"\0", "promises 65 axes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "promises more bytes than any file"),
        (b"\0\0\x08\x40" + b"\xff" * 256, "promises more bytes than any file"),
        (b"\0\0\x08\x02\0\xff\xff\xff\0\xff\xff\xff", "281474943156225"),
        (idx(SMALL)[:-1], "promises 12 bytes for shape (3, 4), 11 follow"),
        (idx(SMALL) + b"?", "promises 12 bytes for shape (3, 4), "),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file of bytes"),
    ],
    ids=["255 axes", "65 axes", "2**96 bytes", "2**2048 bytes", "2**48 bytes", "less", "more", "floats"],
)
def test_idx(tmp_path: Path, pack: Any, raw: bytes, words: str) -> None:
    (tmp_path / "a").write_bytes(pack(raw))
    line = refusal(tmp_path / "a", lambda: read_idx(tmp_path / "a"))
    assert words in line or ("takes 281,474.9 GB of memory" in line and pack is not bytes)


@pytest.mark.parametrize("cut", [1, 5, 8, 9, 20])
def test_gzip_cut_short(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(SMALL))[:-cut])
    refusal(tmp_path / "a.gz", lambda: read_idx(tmp_path / "a.gz"))


def test_gzip_with_another_check_sum(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(idx(SMALL)))
    raw[-6] ^= 1
    (tmp_path / "a.gz").write_bytes(raw)
    assert "CRC" in refusal(tmp_path / "a.gz", lambda: read_idx(tmp_path / "a.gz"))


def test_a_gzip_bomb_is_not_begun(tmp_path: Path) -> None:
    """It says 12 bytes and holds 64 MB: no more than the 12 are asked for."""
    import tracemalloc

    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(SMALL) + bytes(1 << 26), 1))
    tracemalloc.start()
    try:
        assert "more follow" in refusal(tmp_path / "a.gz", lambda: read_idx(tmp_path / "a.gz"))
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


# --- written anew


def save_npy(folder: Path, x: np.ndarray, y: np.ndarray) -> Npy:
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return Npy(str(folder / "x.npy"), str(folder / "y.npy"))


def save_npz(folder: Path, x: np.ndarray, y: np.ndarray) -> Npz:
    np.savez(folder / "a.npz", x=x, y=y)
    return Npz(str(folder / "a.npz"))


def save_deflated(folder: Path, x: np.ndarray, y: np.ndarray) -> Npz:
    np.savez_compressed(folder / "a.npz", x=x, y=y)
    return Npz(str(folder / "a.npz"))


def save_mnist(folder: Path, x: np.ndarray, y: np.ndarray) -> Mnist:
    (folder / "train-images-idx3-ubyte").write_bytes(idx(x.astype(np.uint8)))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(y.astype(np.uint8)))
    return Mnist(str(folder), "train")


@pytest.mark.parametrize("save", [save_npy, save_npz, save_deflated, save_mnist])
def test_files_written_anew(tmp_path: Path, save: Any) -> None:
    """At once, with as many bytes, in the same file, and once with the time of the old one."""
    x, y = np.ones((6, 2, 2), np.uint8), np.arange(6) % 2
    source = save(tmp_path, x, y)
    assert source.read(slice(0, 6))[0].max() == 1
    times = {path: os.stat(path).st_mtime_ns for path in tmp_path.iterdir()}
    save(tmp_path, x * 2, 1 - y)
    assert source.read(slice(0, 6))[0].max() == 2 and source.labels().tolist() == [1, 0] * 3
    save(tmp_path, x * 3, y)
    for path, time in times.items():
        os.utime(path, ns=(time, time))
    assert source.read(slice(0, 6))[0].max() == 3 and source.labels().tolist() == [0, 1] * 3


@pytest.mark.parametrize("save", [save_npy, save_npz, save_mnist])
def test_parts_of_files_written_anew(tmp_path: Path, save: Any) -> None:
    """Their rows are drawn anew: of as many rows as there are now, and by the classes of now."""
    x = np.zeros((40, 2, 2), np.uint8)
    train, held_out, _ = split(save(tmp_path, x, np.arange(40) // 20), 0.5, 0.0, seed=0, stratified=True)
    assert held_out is not None
    for rows, y in ((40, np.arange(40) // 20), (40, np.arange(40) % 2), (20, np.arange(20) % 2)):
        save(tmp_path, x[:rows], y)
        for part in (train, held_out):
            labels = part.read(slice(0, part.rows))[1]
            assert np.bincount(labels).tolist() == [rows // 4, rows // 4]


# --- bytes that were changed on the way

FILES = {
    "npy": npy(X),
    "stored": b"",
    "deflated": b"",
    "idx": idx(SMALL),
    "idx.gz": gzip.compress(idx(SMALL), mtime=0),
}


def whole(name: str, folder: Path) -> bytes:
    if name in ("stored", "deflated"):
        archive(folder / "whole.npz", 8 if name == "deflated" else 0)
        return (folder / "whole.npz").read_bytes()
    return FILES[name]


@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=3),
    share=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_flipped_and_cut(tmp_path: Path, name: str, changes: list[tuple[float, int]], share: float) -> None:
    raw = bytearray(whole(name, tmp_path))
    for place, value in changes:
        raw[int(place * len(raw))] = value
    path = tmp_path / "a"
    path.write_bytes(raw[: int(share * len(raw))])
    try:
        if name == "npy":
            assert isinstance(open_npy(str(path)), np.ndarray)
        elif name.startswith("idx"):
            assert read_idx(path).dtype == np.uint8
        else:
            x, y = Npz(str(path)).arrays()
            np.testing.assert_array_equal(x, X)  # whatever is taken is what was saved
            np.testing.assert_array_equal(y, Y)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and str(error).isprintable()
