"""The type of the records in the history of a run."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
"""An evaluation: `step`, `epoch`, `lr`, scores of `train` and `validation` by name, `seconds` since the
beginning, `examples_per_second`, and loss and learning rate of `each_step` since the previous record."""
