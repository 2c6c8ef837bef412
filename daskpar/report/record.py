"""The records of a run's history, which curves are drawn from."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
"""An evaluation: `step`, `epoch`, `lr`, the scores of `train` and `validation` by name, `seconds`,
`examples_per_second`, and the loss and learning rate of `each_step` since the record before."""
