"""The schema of the examples of a training, before transforms; examples for prediction must have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daskpar.data.records import TEXT, Column, Features, is_records, kinds, listed_names, names_of
from daskpar.data.source import Source
from daskpar.data.sparse import Stored
from daskpar.errors import InputError


@dataclass(frozen=True)
class Schema:
    """The shape of an example before transforms (None if unknown), and its columns (() without names)."""

    shape: tuple[int, ...] | None = None
    features: Features = ()

    @classmethod
    def of(cls, source: Source) -> Schema:
        """Return the schema of a source."""
        return cls(source.x_shape, source.features)

    @classmethod
    def from_json(
        cls, shape: Sequence[int] | None = None, features: Sequence[tuple[str, str]] = ()
    ) -> Schema:
        """Return the schema of `to_json`; checkpoints of earlier versions have none of the arguments."""
        columns = tuple(Column(name, kind) for name, kind in features)
        return cls(None if shape is None else tuple(shape), columns)

    def to_json(self) -> dict[str, object]:
        """Return the schema as JSON, for checkpoints."""
        return {"shape": self.shape, "features": [list(column) for column in self.features]}

    @property
    def has_texts(self) -> bool:
        """True if there is a column of texts."""
        return any(column.kind == TEXT for column in self.features)

    def check(self, x: Stored, where: str) -> None:
        """Refuse examples (rows, ...) of another shape; a transform might broadcast a single column.

        Raises InputError, which begins with `where`.
        """
        if is_records(x.dtype) and not self.has_texts:
            texts = listed_names(tuple(c for c in kinds(x.dtype) if c.kind == TEXT))
            raise InputError(f"{where}: expected numbers, got examples with columns {texts} of texts")
        if self.shape is not None and x.shape[1:] != self.shape:
            columns = f" (columns {listed_names(self.features)})" if self.features else ""
            raise InputError(
                f"{where}: examples of shape {x.shape[1:]}, the model expects {self.shape}{columns}"
            )


def refuse_texts(features: Features, where: str) -> None:
    """Refuse columns of texts that no transform has encoded. Raises InputError, which begins with `where`."""
    texts = names_of(features, TEXT)
    if texts:
        raise InputError(
            f"{where}: expected numbers, got examples with columns "
            f"{listed_names(tuple(Column(name) for name in texts))} of texts; encode them: "
            'transforms=["encode"], or drop them'
        )
