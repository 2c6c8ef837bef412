"""Limits of containers on processor time, from trees of files like those of Linux."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from daskpar.backend import blas
from daskpar.backend.cpu_limit import cpu_limit

V1 = "4:cpu,cpuacct:/kubepods/pod7\n3:memory:/kubepods/pod7\n0::/\n"


@pytest.mark.parametrize(
    "groups, files, limit",
    [
        ("0::/\n", {}, math.inf),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/kubepods/pod7\n", {"kubepods/pod7/cpu.max": "max 100000\n", "cpu.max": "400000 100000\n"}, 4),
        ("0::/kubepods/pod7\n", {"kubepods/pod7/cpu.max": "50000 100000\n", "kubepods/cpu.max": "9 1"}, 0.5),
        ("0::/pods/a\n", {"pods/cpu.max": "200000 100000\n"}, 2),
        (V1, {"cpu,cpuacct/kubepods/pod7/cpu.cfs_quota_us": "-1"}, math.inf),
        (
            V1,
            {
                "cpu,cpuacct/kubepods/pod7/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/kubepods/pod7/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ("0::/\n", {"cpu.max": "what\n"}, math.inf),
    ],
)
def test_trees(tmp_path: Path, groups: str, files: dict[str, str], limit: float) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpu_limit(tmp_path / "cgroup", tmp_path / "fs") == limit


def test_without_control_groups(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path / "none", tmp_path) == math.inf


@pytest.mark.parametrize("limit, cores", [(math.inf, 8), (0.5, 1), (1.5, 2), (3, 3), (64, 8)])
def test_cores_are_those_of_mask_and_limit(monkeypatch: pytest.MonkeyPatch, limit: float, cores: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(blas, "cpu_limit", lambda: limit)
    assert blas.cores() == cores
