"""Versions here and in the image."""

from __future__ import annotations

from typing import Any, cast

import pytest
from distributed import Client

from daskpar import InputError
from daskpar.cluster.kubernetes.versions import check_versions

HERE = {
    "python": "3.12.4.final.0",
    "dask": "2026.8.0",
    "numpy": "2.4.6",
    "numba": "0.68.1",
    "daskpar": "0.1.0",
}


class Asked:
    """A client whose scheduler and workers have these packages."""

    def __init__(self, scheduler: dict[str, str | None], *workers: dict[str, str | None]):
        self._answer = {
            "client": {"packages": HERE},
            "scheduler": {"packages": scheduler},
            "workers": {f"tcp://10.0.0.{i}:8788": {"packages": worker} for i, worker in enumerate(workers)},
        }

    def get_versions(self, packages: list[str]) -> dict[str, Any]:
        assert packages == ["numba", "daskpar"]
        return self._answer


def check(*packages: dict[str, str | None]) -> None:
    check_versions(cast(Client, Asked(*packages)), "registry/image:1")


def test_equal_versions_pass_whatever_else_is_installed() -> None:
    check({**HERE, "python": "3.12.9.final.0"}, {**HERE, "pandas": "3.0.0"})


@pytest.mark.parametrize(
    "packages, message",
    [
        (
            [{**HERE, "daskpar": None}, HERE],
            r"image=registry/image:1: its scheduler have other .*: daskpar missing \(here 0\.1\.0\); pip "
            r"install 'daskpar==0\.1\.0' in the image$",
        ),
        (
            [HERE, HERE, {**HERE, "numpy": "2.3.0", "dask": "2026.7.0"}],
            r"its workers have .*: dask 2026\.7\.0 \(here 2026\.8\.0\), numpy 2\.3\.0 \(here 2\.4\.6\); "
            r"pip install 'dask==2026\.8\.0' 'numpy==2\.4\.6' in the image$",
        ),
        (
            [{**HERE, "python": "3.11.7.final.0"}, HERE],
            r"python 3\.11 \(here 3\.12\); build the image on Python 3\.12$",
        ),
    ],
)
def test_other_versions_are_named_with_the_fix(packages: list[dict[str, str | None]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(*packages)
