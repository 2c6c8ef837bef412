"""Kernels where Numba's cache is out of order, or Numba switched off: training goes on, a line says so."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.caching import FunctionCache

from daskpar.backend import kernels
from daskpar.backend.kernels.numba import kernel_cache

PROGRAM = """
import sys
import numpy as np
from daskpar import Trainer
x, y = np.random.default_rng(0).random((8, 4), np.float32), np.arange(8) % 2
trainer = Trainer([{"dense": 2}, "relu"], optimizer="sgd", batch=4, client="threaded-scheduler")
np.save(sys.argv[1], trainer.fit(x, y).state_.params)
"""


def twice(x: Any) -> Any:
    return x + x


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "_lines", [])
    kernel_cache.find_place.cache_clear()
    yield tmp_path / "cache"
    kernel_cache.find_place.cache_clear()


def compiled() -> Any:
    return kernel_cache.njit(cache=True)(twice)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the library logs: a local cluster elsewhere in these tests may have silenced pytest's handler."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    listener = Listener()
    logging.getLogger("daskpar").addHandler(listener)
    yield lines
    logging.getLogger("daskpar").removeHandler(listener)


def files(folder: Path, ending: str) -> list[Path]:
    return list(folder.rglob(f"*.{ending}"))


def test_a_kernel_is_kept(cache_folder: Path, said: list[str]) -> None:
    assert compiled()(3) == 6
    again = compiled()
    assert again(4) == 8 and sum(again.stats.cache_hits.values()) == 1
    assert not said and kernel_cache.is_kept()


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"no pickle", None], ids=["empty", "other bytes", "truncated"])
def test_damaged_files_are_compiled_anew(
    cache_folder: Path, said: list[str], ending: str, damage: bytes | None
) -> None:
    assert compiled()(3) == 6
    (file,) = files(cache_folder, ending)
    file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
    assert compiled()(3) == 6
    assert len(said) == 1 and "NUMBA_CACHE_DIR" in said[0]
    again = compiled()
    assert again(4) == 8 and sum(again.stats.cache_hits.values()) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS], ids=errno.errorcode.get)
def test_what_cannot_be_written_is_compiled_for_the_process(
    cache_folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(FunctionCache, "save_overload", fail)
    assert compiled()(3) == 6 and compiled()(4) == 8
    assert len(said) == 1
    assert "NUMBA_CACHE_DIR" in said[0] and os.strerror(code) in said[0]
    assert not kernel_cache.is_kept()


@pytest.mark.parametrize("temporary", [True, False], ids=["a temporary folder", "none at all"])
def test_without_a_place(
    cache_folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, temporary: bool
) -> None:
    def nowhere(*args: Any) -> None:
        return None

    kinds = numba.core.caching.CacheImpl._locator_classes
    for kind in kinds[1:]:
        monkeypatch.setattr(kind, "from_function", nowhere)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    if not temporary:
        monkeypatch.setattr(kernel_cache, "mkdtemp", lambda **how: (_ for _ in ()).throw(OSError("full")))
    assert compiled()(3) == 6 and compiled()(4) == 8
    kernel_cache.forget_outdated()
    assert len(said) == 1 and "NUMBA_CACHE_DIR" in said[0]
    assert bool(numba.config.CACHE_DIR) == temporary
    assert not kernel_cache.is_kept()


def test_a_given_folder_that_cannot_be_used_is_named(cache_folder: Path, said: list[str]) -> None:
    cache_folder.write_text("a file")
    assert kernel_cache.find_place()
    assert said[0].startswith(f"NUMBA_CACHE_DIR={cache_folder} cannot be written to")


def test_numba_switched_off(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    kernels._compiled.cache_clear()
    try:
        assert not kernels.are_compiled() and not kernels.are_compiled()
        assert len(said) == 1 and "NUMBA_DISABLE_JIT" in said[0]
    finally:
        kernels._compiled.cache_clear()


def test_numba_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    kernels._compiled.cache_clear()
    try:
        assert not kernels.are_compiled()
    finally:
        kernels._compiled.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_CACHE_DIR": "/dev/null"}],
    ids=["switched off", "no folder"],
)
def test_a_whole_program(tmp_path: Path, environment: dict[str, str]) -> None:
    results = []
    for number, more in enumerate(({}, environment)):
        file = tmp_path / f"{number}.npy"
        command = [sys.executable, "-c", PROGRAM, str(file)]
        done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append(np.load(file))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_kernels_in_an_image_are_copied_and_read(
    cache_folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba itself would not look into a folder that it cannot write to."""
    assert compiled()(3) == 6
    kernel_cache.forget_outdated()
    before = {path.name: path.read_bytes() for path in cache_folder.rglob("*.nb*")}
    writable = os.access

    def access(path: Any, mode: int) -> bool:
        return writable(path, mode) and not (mode == os.W_OK and Path(path) == cache_folder)

    monkeypatch.setattr(kernel_cache.os, "access", access)
    kernel_cache.find_place.cache_clear()
    again = compiled()
    assert again(3) == 6 and sum(again.stats.cache_hits.values()) == 1 and not said
    assert Path(numba.config.CACHE_DIR) != cache_folder and kernel_cache.is_kept()
    assert {path.name: path.read_bytes() for path in cache_folder.rglob("*.nb*")} == before
