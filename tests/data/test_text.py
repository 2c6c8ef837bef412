"""A text as windows: what is in them, which part they come from, and that they are never copied out."""

import pickle
import tracemalloc

import numpy as np
import pytest

from daskpar.data import Sampler, Split, Text, find_text, split_text
from daskpar.data.chunk import draw, overlaps, prepare
from daskpar.data.text import read_text
from daskpar.errors import InputError

TEXT = "Übung macht den Meister.\nFrisch gewagt ist halb gewonnen!\n" * 20


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    return str(tmp_path / "a.txt")


def spelt(source, rows):
    return ["".join(source.names[t] for t in row) for row in rows]


def test_windows_and_what_follows(path):
    source = Text(path, 7)
    x, y = source.read(slice(0, source.rows))
    assert spelt(source, x) == [TEXT[i : i + 7] for i in range(len(TEXT) - 7)]
    assert spelt(source, y) == [TEXT[i + 1 : i + 8] for i in range(len(TEXT) - 7)]
    assert (source.x_shape, source.y_shape, source.y_dtype, x.dtype) == ((7,), (7,), np.uint8, np.uint8)
    assert source.names == tuple(sorted(set(TEXT)))
    assert pickle.loads(pickle.dumps(source)) == source


def test_evaluation_reads_each_character_once(path):
    source = Text(path, 7).once()
    x, _ = source.read(slice(0, source.rows))
    assert "".join(spelt(source, x)) == TEXT[: source.rows * 7]
    assert source.rows == (len(TEXT) - 1) // 7
    assert source.once() == source and source.chunk_rows == 512


def test_many_characters(tmp_path):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) + "𝒜\r\n"
    (tmp_path / "b.txt").write_bytes(text.encode())
    encoded = read_text(str(tmp_path / "b.txt"), ())
    assert encoded.tokens.dtype == np.uint16
    assert "".join(encoded.vocabulary[t] for t in encoded.tokens) == text.replace("\r\n", "\n")


@pytest.mark.parametrize("validation, test", [(0.1, 0.0), (0.25, 0.25), (0.0, 0.0)])
def test_parts_follow_each_other(path, validation, test):
    parts = split_text(Text(path, 5), validation, test)
    assert [p is None for p in parts] == [False, not validation, not test]
    cuts = [0, int((1 - validation - test) * len(TEXT)), int((1 - test) * len(TEXT)), len(TEXT)]
    for name, part, low, high in zip(
        ("train", "validation", "test"), parts, cuts[:-1], cuts[1:], strict=True
    ):
        if part is None:
            continue
        x, y = part.read(slice(0, part.rows))
        windows = spelt(part.source, x)
        seen = windows[0] + "".join(w[-1] for w in windows[1:]) if name == "train" else "".join(windows)
        last = spelt(part.source, y)[-1][-1]
        assert TEXT[low:high].startswith(seen + last)
        assert part.name == name and part.source.names == Text(path, 5).names


def test_a_share_of_a_text_is_its_end(path):
    """As `Trainer.fit(Text(...), validation=0.25)` has it: rows at random would overlap."""
    train, held_out = Split(Text(path, 5)).split(0.25)
    assert (train.source, held_out.source) == (Text(path, 5, 0.0, 0.75), Text(path, 5, 0.75, 1.0, 5))
    assert (train.name, held_out.name) == ("train", "validation")


@pytest.mark.parametrize("streams, chunk_rows", [(1, 10**6), (4, 10**6), (2, 100)])
def test_a_batch_is_gathered_from_windows_that_stay_views(path, streams, chunk_rows):
    part = Split(Text(path, 7))
    order = Sampler(part.rows, 16, streams, chunk_rows, "random", 3)
    stored, targets = part.read(slice(0, part.rows))
    drawn = []
    for step in range(order.steps):
        pieces = order.pieces(0, step, range(streams))
        chunks = [
            prepare("train", *part.read(order.positions(p.stream, p.chunk)), "float32", x_dtype="int32")
            for p in pieces
        ]
        tokens = read_text(part.source.path, ()).tokens
        for p, chunk in zip(pieces, chunks, strict=True):
            assert overlaps(chunk.x) and overlaps(chunk.y)
            assert chunk.x.dtype == tokens.dtype and chunk.x.strides == (1, 1)
            rows = order.positions(p.stream, p.chunk)
            np.testing.assert_array_equal(chunk.x, stored[rows])
        batch = draw(order, 0, pieces, chunks)
        assert batch.x.dtype == np.int32 and batch.x.flags.c_contiguous and not overlaps(batch.x)
        np.testing.assert_array_equal(batch.x[:, 1:], batch.y[:, :-1])
        drawn.append(batch)
    x, y = (np.concatenate([b[i] for b in drawn]) for i in (0, 1))
    for found, whole in ((x, stored), (y, targets)):
        np.testing.assert_array_equal(found[np.lexsort(x.T)], whole[np.lexsort(stored.T)])


def test_memory(tmp_path):
    """A batch of a text of a million characters takes the memory of a batch."""
    rng = np.random.default_rng(0)
    (tmp_path / "long.txt").write_bytes(rng.integers(97, 123, 1_000_000).astype(np.uint8).tobytes())
    part = Split(Text(str(tmp_path / "long.txt"), 256))
    order = Sampler(part.rows, 16, 16, part.source.chunk_rows)
    pieces = order.pieces(0, 0, range(16))
    part.read(slice(0, 1))  # the text itself stays in memory
    tracemalloc.start()
    try:
        chunks = [
            prepare("train", *part.read(order.positions(p.stream, p.chunk)), "float32", x_dtype="int32")
            for p in pieces
        ]
        batch = draw(order, 0, pieces, chunks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert batch.x.shape == (16, 256) and len(order.bounds(0)) == 2
    assert (
        peak < 16e6
    )  # the order of the rows is 8 MB, all windows would be 256 MB and their copy as int32 1 GB


@pytest.mark.parametrize(
    "array, shared",
    [
        (np.zeros((5, 4)), False),
        (np.zeros((5, 4), order="F"), False),
        (np.zeros((5, 4))[::2, ::-1], False),
        (np.zeros((5, 0)), False),
        (np.zeros(3), False),
        (np.broadcast_to(np.zeros(4), (5, 4)), True),
        (np.lib.stride_tricks.sliding_window_view(np.zeros(9), 4), True),
        (np.lib.stride_tricks.sliding_window_view(np.zeros(9), 4)[::4], False),
    ],
)
def test_overlaps(array, shared):
    assert overlaps(array) is shared


def test_numbers_that_overlap_are_cast():
    """Only tokens stay views: numbers must have the precision of the run."""
    x = np.broadcast_to(np.arange(4, dtype=np.uint8), (5, 4))
    assert prepare("train", x, np.zeros(5, int), "float32").x.dtype == np.float32


@pytest.mark.parametrize(
    "content, message",
    [
        (b"\xff\xff", "not a text file in UTF-8 (invalid start byte at byte 0: 0xff); save it in UTF-8"),
        (b"\xff\xfe", "holds 0 different characters; expected a text"),
        (b"", "holds 0 different characters; expected a text"),
        (b"aaaaaaaaa", "holds 1 different characters; expected a text"),
        (
            b"abcabcab",
            "7 characters from 0% to 90% of the text are too few for windows of 8; use a smaller data.block",
        ),
        (
            b"abcde" * 8,
            "4 characters from 90% to 100% of the text are too few for windows of 8; use a "
            "smaller data.block",
        ),
    ],
)
def test_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError) as error:
        split_text(Text(str(tmp_path / "a.txt"), 8), 0.1, 0.0)
    assert str(error.value) == f"{tmp_path / 'a.txt'}: {message}"


def test_shares_that_leave_nothing():
    with pytest.raises(InputError, match="leave no text for training"):
        split_text(Text("a", 8), 0.5, 0.5)


def test_where_shakespeare_is(monkeypatch, tmp_path):
    monkeypatch.setenv("DASKPAR_DATA", str(tmp_path))
    assert find_text(None) == str(tmp_path / "tinyshakespeare.txt")
    assert find_text("mine.txt") == "mine.txt"
    monkeypatch.delenv("DASKPAR_DATA")
    with pytest.raises(InputError, match=r"needs data\.path, a text in UTF-8; or set DASKPAR_DATA"):
        find_text(None)
