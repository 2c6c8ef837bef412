"""The reference page: every public name by kind, with the first line of its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import daskpar
from daskpar import callbacks
from guides.blocks import KINDS, summary
from guides.generated import table

OTHERS = ("training", "estimators", "callbacks", "layouts and clusters", "contracts and checks", "errors")
_PLACES = {
    "estimators": ("daskpar.estimators",),
    "layouts and clusters": ("daskpar.layout", "daskpar.cluster"),
    "contracts and checks": ("daskpar.nn", "daskpar.optim", "daskpar.data", "daskpar.registry"),
    "errors": ("daskpar.errors",),
}


def reference_tables() -> dict[str, str]:
    """Return a table of the public names of each kind, by the name of its part in the page."""
    kinds = [*OTHERS, *(kind for kind in KINDS if kind != "cluster kinds")]
    names: dict[str, list[str]] = {kind: [] for kind in kinds}
    for name in sorted(daskpar.__all__, key=str.lower):
        if not inspect.ismodule(getattr(daskpar, name)):
            names[kind_of(name)].append(name)
    return {kind: table(_head(kind), list(_rows(kind, names[kind]))) for kind in kinds}


def kind_of(name: str) -> str:
    """Return the kind of a public name."""
    thing = getattr(daskpar, name)
    for kind, blocks in KINDS.items():
        if thing in blocks.values():
            return kind
    if name in callbacks.__all__:
        return "callbacks"
    for kind, places in _PLACES.items():
        if thing.__module__.startswith(places):
            return kind
    return "training"


def _head(kind: str) -> tuple[str, ...]:
    return ("name", "in YAML", "what it is") if kind in KINDS else ("name", "what it is")


def _rows(kind: str, names: list[str]) -> Iterator[tuple[str, ...]]:
    in_yaml = {block: name for name, block in KINDS[kind].items()} if kind in KINDS else {}
    for name in names:
        thing = getattr(daskpar, name)
        written = (f"`{in_yaml[thing]}`",) if thing in in_yaml else ()
        yield (f"`{name}`", *written, summary(thing))
