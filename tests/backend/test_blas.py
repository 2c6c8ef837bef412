"""How many threads a matrix product uses."""

import os

import numpy as np

from daskpar.backend import blas


def threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    return {library["threads"] for library in blas.describe()}


def test_cores_are_those_this_process_may_use(monkeypatch):
    assert 1 <= blas.cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 4}, raising=False)
    assert blas.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert blas.cores() == os.cpu_count()


def test_threads_are_limited_until_undone():
    before = threads()
    with blas.limit_threads(1):
        assert threads() == {1} and blas.on_one_core()
        with blas.limit_threads(2):
            assert not blas.on_one_core()
        assert blas.on_one_core()
    assert threads() == before
    assert blas.on_one_core() == (blas.cores() == 1)


def test_libraries_are_described():
    assert blas.describe()
    for library in blas.describe():
        assert library.keys() == {"library", "version", "architecture", "threads"}
