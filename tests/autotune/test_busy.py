"""A machine that is busy is told of before times are measured on it."""

from __future__ import annotations

import pytest

from daskpar.autotune.busy import busy_line


@pytest.mark.parametrize(
    "load, cores, busy", [(0.3, 2, False), (1.0, 2, False), (1.1, 2, True), (8.0, 64, False)]
)
def test_it_goes_by_the_load_and_the_cores(
    load: float, cores: int, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.getloadavg", lambda: (load, 99.0, 99.0))
    line = busy_line(cores)
    assert (line is not None) == busy
    if line is not None:
        assert line.startswith(f"this machine is busy (load {load} on {cores} cores)") and "\n" not in line
