"""`daskpar model`: a network's layers in a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from daskpar.autotune.summary import Row, summarise
from daskpar.tasks.types import Spec


def table(spec: Spec) -> Table:
    """A row a layer, those within a block indented; counts are for one example.

    Where parameters are frozen, a column says how many.
    """
    found = Table(show_footer=True, title=f"input {_shape(spec.in_shape)}")
    rows = summarise(spec.model, spec.in_shape, spec.table)
    total = _totals(rows)
    found.add_column("", "")
    found.add_column("layer", "total", no_wrap=True)
    found.add_column("output", _shape(spec.out_shape), no_wrap=True)
    found.add_column("parameters", f"{total['parameters']:,}", justify="right", no_wrap=True)
    if total["frozen"]:
        found.add_column("frozen", f"{total['frozen']:,}", justify="right", no_wrap=True)
    found.add_column("FLOPs", f"{total['flops']:,}", justify="right", no_wrap=True)
    found.add_column("bytes kept", f"{total['kept_bytes']:,}", justify="right", no_wrap=True)
    for row in rows:
        label = "  " * row.depth + " ".join(filter(None, (row.layer, row.arguments)))
        frozen = (row.frozen,) if total["frozen"] else ()
        numbers = (f"{n:,}" for n in (row.parameters, *frozen, row.flops, row.kept_bytes))
        found.add_row(row.number, label, _shape(row.out_shape), *numbers)
    found.caption = "FLOPs: forward, an example. Bytes kept: for the backward pass, an example, in float32."
    if total["frozen"]:
        found.caption += f" Trained: {total['parameters'] - total['frozen']:,} of {total['parameters']:,}."
    return found


def as_dict(spec: Spec) -> dict[str, Any]:
    """The same for JSON."""
    rows = summarise(spec.model, spec.in_shape, spec.table)
    return {"in_shape": spec.in_shape, "layers": [asdict(row) for row in rows], "total": _totals(rows)}


def _totals(rows: tuple[Row, ...]) -> dict[str, int]:
    """Sums over the outermost layers: blocks hold the sums of what is within them."""
    names = ("parameters", "frozen", "flops", "kept_bytes")
    return {name: sum(getattr(row, name) for row in rows if row.depth == 0) for name in names}


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"
