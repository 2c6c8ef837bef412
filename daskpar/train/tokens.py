"""Names for the tasks of one run."""

from __future__ import annotations

from uuid import uuid4


def new_token() -> str:
    """Return a name that no other run has.

    It begins with a digit, so that no dashboard takes it for a word.
    """
    return f"0{uuid4().hex[:12]}"
