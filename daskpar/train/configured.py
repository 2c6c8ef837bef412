"""The settings of a Trainer as attributes, and copies and pickles without what belongs to this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from daskpar.errors import InputError
from daskpar.train.blocks import check_blocks, check_together, warn_of_sigmoids
from daskpar.train.scratch import Scratch
from daskpar.train.settings import FIELDS, Settings, keywords

_OF_THIS_PROCESS = ("_training", "_run", "_folder")


class Configured:
    """Base of the Trainer: each of its `settings` is an attribute that can be read and set."""

    settings: Settings

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.settings = Settings(*args, **settings)
        check_blocks(self.settings)
        check_together(self.settings)
        warn_of_sigmoids(self.settings)

    __init__.__signature__ = keywords()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS and "settings" in self.__dict__:
            return getattr(self.settings, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a setting is checked and converted first (`daskpar.settings`)."""
        if name in FIELDS:
            changed: dict[str, Any] = {name: value}
            settings = replace(self.settings, **changed)
            check_blocks(settings, [name])
            name, value = "settings", settings
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FIELDS})

    @contextmanager
    def _training_alone(self) -> Iterator[None]:
        """Refuse a second `fit` within the context; predictions use the state from before it."""
        token = os.getpid(), object()  # a forked child is not training
        running = self.__dict__.setdefault("_training", token)
        if running is not token and running[0] == token[0]:
            raise InputError(
                "this Trainer is training already, e.g. in another thread; wait for it, or train a copy "
                "(copy.deepcopy)"
            )
        self._training = token
        try:
            yield
        finally:
            self.__dict__.pop("_run", None)
            self.__dict__.pop("_training", None)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, less those of this process: client, folders, files, a run in progress."""
        state = self._shareable(self.client if isinstance(self.client, str) else None)
        state.pop("saved_", None)  # in another place the path may be the file of another run
        return state

    def __copy__(self) -> Self:
        """Return a copy for this process, with the same client."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self._shareable(self.client))
        return other

    def _shareable(self, client: object) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.copy().items() if name not in _OF_THIS_PROCESS}
        return {**state, "settings": replace(self.settings, client=client)}

    def _learnt(self) -> dict[str, Any]:
        """Return the attributes that a training has set."""
        return {name: value for name, value in self._shareable(None).items() if name != "settings"}

    def _scratch(self) -> Path:
        """Return this Trainer's folder for temporary files; workers that see the run's folder see it."""
        folder: Scratch = self.__dict__.setdefault("_folder", Scratch(self.settings.folder))
        return folder()
