"""A run that a report shows: its files, and what could be restored of its network, its data and its step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from daskpar.graph.graph import Graph
from daskpar.layout.layout import Layout
from daskpar.report.run.folder import Recorded, mapping
from daskpar.report.run.measured import Measured, Network


@dataclass(frozen=True, eq=False)
class Subject:
    """A run of a report.

    Args:
        recorded: The files of the run.
        network: The trained network; None where it could not be restored.
        measured: Rows of the data with the network's outputs; None where the data could not be opened.
        graph: Graph of a training step; None where it could not be built.
        reasons: Why one of these is missing, by its name.
        defaults: Default value of each setting, by its full key.
        larger: Names of the scores of which larger values are better.
    """

    recorded: Recorded
    network: Network | None = None
    measured: Measured | None = None
    graph: Graph | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    larger: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.recorded.name

    @property
    def layout(self) -> Layout | None:
        """The layout of the run, as its summary has it; None without a summary."""
        values = mapping(self.recorded.summary.get("layout"))
        try:
            return Layout(**values) if values else None  # type: ignore[arg-type]
        except TypeError:  # of another version
            return None

    def reason(self, name: str) -> str:
        """Return why `network`, `measured` or `graph` is missing."""
        return self.reasons.get(name, "")
