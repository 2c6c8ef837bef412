"""Files that appear whole or not at all."""

import errno

import pytest


@pytest.mark.parametrize("old, new", [("old", "new ü"), (b"old", b"new")])
def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch, old, new):
    path = tmp_path / "summary.json"
    atomic.atomic_write(path, old)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        atomic.atomic_write(path, new)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    atomic.atomic_write(path, new)
    assert path.read_bytes() == (new if isinstance(new, bytes) else new.encode())
