"""The examples of a training as they were before transforms; later ones must look like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daskpar.data.records import TEXT, Column, Features, is_records, kinds, listed_names, names_of
from daskpar.data.source import Source
from daskpar.data.sparse import Stored
from daskpar.errors import InputError


@dataclass(frozen=True)
class Schema:
    """The shape of an example before transforms, and the columns that have names; None: shape not known."""

    shape: tuple[int, ...] | None = None
    features: Features = ()

    @classmethod
    def of(cls, source: Source) -> Schema:
        return cls(source.x_shape, source.features)

    @classmethod
    def from_json(
        cls, shape: Sequence[int] | None = None, features: Sequence[tuple[str, str]] = ()
    ) -> Schema:
        """The inverse of `to_json`; of a checkpoint that says nothing, nothing is known."""
        columns = tuple(Column(name, kind) for name, kind in features)
        return cls(None if shape is None else tuple(shape), columns)

    def to_json(self) -> dict[str, object]:
        return {"shape": self.shape, "features": [list(column) for column in self.features]}

    @property
    def has_texts(self) -> bool:
        return any(column.kind == TEXT for column in self.features)

    def check(self, x: Stored, where: str) -> None:
        """Refuse examples (rows, ...) of another shape: a transform might stretch a single column to many."""
        if is_records(x.dtype) and not self.has_texts:
            texts = listed_names(tuple(c for c in kinds(x.dtype) if c.kind == TEXT))
            raise InputError(f"{where}: expected numbers, got examples with columns {texts} of texts")
        if self.shape is not None and x.shape[1:] != self.shape:
            columns = f" (columns {listed_names(self.features)})" if self.features else ""
            raise InputError(
                f"{where}: examples of shape {x.shape[1:]}, the model expects {self.shape}{columns}"
            )


def refuse_texts(features: Features, where: str) -> None:
    """Refuse columns of texts that no transform has made numbers of."""
    texts = names_of(features, TEXT)
    if texts:
        raise InputError(
            f"{where}: expected numbers, got examples with columns "
            f"{listed_names(tuple(Column(name) for name in texts))} of texts; encode them: "
            'transforms=["encode"], or drop them'
        )
