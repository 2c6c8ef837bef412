"""Which of the three builders a layout needs: lanes that meet at each step, at averages, or at a server."""

from __future__ import annotations

from typing import Any

from daskpar.graph.average import AverageBuilder, Fronts
from daskpar.graph.build import Key
from daskpar.graph.layout import Layout
from daskpar.graph.server import ServedFront, ServerBuilder
from daskpar.graph.spec import Spec
from daskpar.graph.step import Front, StepBuilder

Builder = StepBuilder | AverageBuilder | ServerBuilder
AnyFront = Front | Fronts | ServedFront


def builder_for(
    spec: Spec, layout: Layout, model: Key, chunks: dict[Any, Key], apart: bool = False
) -> Builder:
    """The builder of a layout; arguments as for `BaseBuilder`."""
    kind: Any = AverageBuilder if layout.replicas > 1 else StepBuilder
    if layout.update != "sync":
        kind = ServerBuilder
    return kind(spec, layout, model, chunks, apart)
