"""Names for the tasks of one run."""

from __future__ import annotations

from daskpar.graph.tokens import new_token

__all__ = ["new_token"]
