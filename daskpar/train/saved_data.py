"""The facts about its data that are saved with a model: columns, transforms, sizes, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daskpar.data.schema import Schema
from daskpar.data.transforms import Fitted, from_json, to_json
from daskpar.nn.open_sizes import Sizes
from daskpar.tasks.types import Spec


class SavedData(NamedTuple):
    """Facts about the data in a checkpoint; None for those that are not known yet."""

    schema: Schema | None = None
    transforms: tuple[Fitted, ...] | None = None
    targets: tuple[Fitted, ...] | None = None
    sizes: Sizes | None = None

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> SavedData:
        """Return the facts in a description, as in `state.json`."""
        schema, transforms, targets, sizes = (
            meta.get(name) for name in ("schema", "transforms", "targets", "sizes")
        )
        return cls(
            None if schema is None else Schema.from_json(**schema),
            None if transforms is None else tuple(map(from_json, transforms)),
            None if targets is None else tuple(map(from_json, targets)),
            None if sizes is None else Sizes.from_json(**sizes),
        )


def described_data(spec: Spec, names: Sequence[str]) -> dict[str, Any]:
    """Return the facts about the data of a run, for JSON. `names` are those of classes or characters."""
    return {
        "names": list(names),  # the order of outputs; the data may no longer exist
        "in_shape": spec.in_shape,
        "schema": spec.schema.to_json(),
        "sizes": spec.sizes.to_json(),
        "transforms": [to_json(fitted) for fitted in spec.transforms],
        "targets": [to_json(fitted) for fitted in spec.targets],
    }
