"""Comparison of the packages of this process with those of the scheduler and the workers.

A function that is pickled here must be read there: another minor version of Python, another Dask or another
daskpar fails in the middle of a run, with an error that names none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

_PACKAGES = ("python", "dask", "distributed", "numpy", "numba", "daskpar", "cloudpickle", "msgpack")


def check_versions(client: Client, image: str) -> None:
    """Refuse an image with other versions of the packages that tasks need than this process.

    Raises InputError that names each package, both versions, and the fix.
    """
    seen = client.get_versions(packages=["numba", "daskpar"])
    here = _short(seen["client"]["packages"])
    for name, versions in {"scheduler": seen["scheduler"], **seen["workers"]}.items():
        there = _short(versions["packages"])
        other = [p for p in _PACKAGES if here.get(p) != there.get(p)]
        if other:
            raise InputError(
                _message(image, "scheduler" if name == "scheduler" else "workers", other, here, there)
            )


def _message(
    image: str, role: str, other: list[str], here: Mapping[str, str | None], there: Mapping[str, str | None]
) -> str:
    differences = ", ".join(
        f"{p} {there.get(p) or 'missing'} (here {here.get(p) or 'missing'})" for p in other
    )
    wanted = " ".join(f"'{p}=={here[p]}'" for p in other if p != "python" and here.get(p))
    fix = f"pip install {wanted} in the image" if wanted else ""
    if "python" in other:
        fix = f"build the image on Python {here['python']}{', with ' + fix if fix else ''}"
    return f"cluster.image={image}: its {role} have other versions than this process: {differences}; {fix}"


def _short(packages: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return versions by package, of Python only the major and the minor one."""
    short = dict(packages)
    python = short.get("python")
    if python:
        short["python"] = ".".join(python.split(".")[:2])
    return short
