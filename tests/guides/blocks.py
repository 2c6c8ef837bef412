"""Blocks by kind as tables, from the registry: name, class, arguments with their defaults, and a summary."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields

from daskpar.cluster.kind import CLUSTERS
from daskpar.data.fitted import TRANSFORMS
from daskpar.data.source import SOURCES
from daskpar.nn.layer import LAYERS
from daskpar.nn.loss import LOSSES
from daskpar.nn.metrics.metric import METRICS
from daskpar.optim.optimizer import OPTIMIZERS
from daskpar.optim.schedules import SCHEDULES
from daskpar.registry import Table
from guides.generated import table
from guides.keys import as_yaml

KINDS: dict[str, Table] = {
    "layers": LAYERS,
    "losses": LOSSES,
    "metrics": METRICS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "transforms": TRANSFORMS,
    "sources": SOURCES,
    "cluster kinds": CLUSTERS,
}
HEAD = ("name", "class", "arguments and defaults", "what it is")
ALL_HAVE = {"layers": {"trainable"}, "metrics": {"name"}, "schedules": {"warmup"}, "sources": {"max_value"}}
"""Arguments that the guide names once for the whole kind."""


def block_tables() -> dict[str, str]:
    """Return a table of our own blocks for each kind, by the name of its part in the guide."""
    return {kind: table(HEAD, list(_rows(kind, blocks))) for kind, blocks in KINDS.items()}


def _rows(kind: str, blocks: Table) -> Iterator[tuple[str, ...]]:
    keys_only = kind in ("sources", "cluster kinds")
    for name in sorted(blocks):
        block = blocks[name]
        if block.__module__.startswith("daskpar."):  # tests register blocks of their own
            yield f"`{name}`", f"`{block.__name__}`", _arguments(kind, block, keys_only), summary(block)


def _arguments(kind: str, block: type, keys_only: bool) -> str:
    """Return the arguments that may be written in a config, those that must be there first."""
    left_out = ALL_HAVE.get(kind, set())
    shown = [f for f in fields(block) if f.init and f.name not in left_out]  # type: ignore[arg-type]
    shown = [f for f in shown if not keys_only or "help" in f.metadata]
    return ", ".join(map(_argument, sorted(shown, key=lambda f: _default(f) is not MISSING)))


def _argument(field: Field) -> str:
    name, default = field.metadata.get("key") or field.name, _default(field)
    if default is MISSING:
        return f"**`{name}`**"
    value = list(default) if isinstance(default, tuple) else default
    return f"`{name}: {as_yaml(value)}`"


def _default(field: Field) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def summary(block: type) -> str:
    """Return the first line of a class's docstring."""
    return (inspect.getdoc(block) or "").partition("\n")[0]
