"""The cache of measurements: one small file for each cluster and model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from daskpar.backend.atomic import atomic_write


class Cache:
    """Values by name, in a file of the user's cache folder.

    The file's name is a hash of `depends_on`, the facts on which the values depend.
    """

    def __init__(self, *depends_on: object):
        import pooch  # slow to import, and needed only by runs that plan

        name = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:24]
        self.path = Path(pooch.os_cache("daskpar")) / "plan" / f"{name}.json"
        self._values: dict[str, Any] = {}
        try:
            self._values = json.loads(self.path.read_text())
        except (OSError, ValueError):
            pass

    def get(self, name: str) -> Any:
        """Return the value of a name, or None."""
        return self._values.get(name)

    def put(self, name: str, value: object) -> None:
        """Store a value. If the file cannot be written, the value is measured again next time."""
        self._values[name] = value
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps(self._values))
        except OSError:
            pass
