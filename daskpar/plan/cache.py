"""What was measured, kept for the next time: in one small file for each cluster and model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from daskpar.backend.atomic import atomic_write


class Cache:
    """Values by name, in a file of this user's cache folder that is named by what they depend on."""

    def __init__(self, *depends_on: object):
        import pooch  # which a run that plans nothing need not wait for

        name = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:24]
        self.path = Path(pooch.os_cache("daskpar")) / "plan" / f"{name}.json"
        self._values: dict[str, Any] = {}
        try:
            self._values = json.loads(self.path.read_text())
        except (OSError, ValueError):
            pass

    def get(self, name: str) -> Any:
        """The value of this name, or None."""
        return self._values.get(name)

    def put(self, name: str, value: object) -> None:
        """Keep a value; where there is no room or no right to, it is measured again next time."""
        self._values[name] = value
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps(self._values))
        except OSError:
            pass
