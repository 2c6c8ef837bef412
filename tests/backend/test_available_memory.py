"""The memory that a process may take: what the machine has left, within the limits of its container."""

import psutil
import pytest

from daskpar.backend import memory


def test_limits_of_a_container_count_where_they_are_set(tmp_path):
    (tmp_path / "memory.max").write_text("12345678\n")
    (tmp_path / "memory.high").write_text("max\n")
    (tmp_path / "memory.low").write_text("0\n")
    limits = memory._limits(tmp_path)
    assert 12345678 in limits and 0 not in limits


@pytest.mark.parametrize(("limits", "expected"), [((), 5000), ((4000, 9000), 4000)])
def test_the_least_of_all_is_available(limits, expected, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 5000}))
    monkeypatch.setattr(memory, "_limits", lambda: limits)
    assert memory.available_memory() == expected
