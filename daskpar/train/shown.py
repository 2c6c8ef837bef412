"""A Trainer as people look at it: its settings, its layers, its curves."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from daskpar.backend.random import init_rng
from daskpar.data.paths import absolute
from daskpar.errors import InputError, one_line, printable
from daskpar.nn import registry as nn
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.trainable import arranged
from daskpar.reprs import differing
from daskpar.settings import at_least_one
from daskpar.tasks.types import Spec
from daskpar.train.history_list import History
from daskpar.train.settings import Settings
from daskpar.typed import checked

if TYPE_CHECKING:
    from daskpar.report.curves import Curves
    from daskpar.report.model import ModelSummary

_LINE, _LONGEST_VALUE = 100, 200
_LONGEST_MODEL = 90  # characters of its layers; of more, the first ones and the last are shown


class Shown:
    """The `repr` of a Trainer, in text and for notebooks, `summary` and `plot`."""

    settings: Settings
    spec_: Spec
    history_: History

    def summary(self, in_shape: int | Sequence[int] | None = None) -> ModelSummary:
        """The layers in a table: shapes, parameters, operations, memory, as `daskpar model` prints it.

        `in_shape`: the shape of an example, after transforms; None takes that of the data fitted to.
        Raises InputError where there is none, and for a shape that does not fit the layers.

        >>> from daskpar import Trainer
        >>> Trainer([{"dense": 4}, "relu", {"dense": 2}]).summary(8).total["parameters"]
        46
        """
        from daskpar.report.model import ModelSummary

        if in_shape is None:
            if "spec_" not in self.__dict__:
                raise InputError("summary: give the shape of an example, e.g. (8, 8, 1), or fit first")
            return ModelSummary(self.spec_.model, self.spec_.in_shape, self.spec_.table)
        sizes = [in_shape] if isinstance(in_shape, int) else in_shape
        shape = checked("summary.in_shape", sizes, tuple[int, ...])
        for size in shape:
            at_least_one("summary.in_shape", size)
        model = nn.model(self.settings.model)
        params, _ = model.init(init_rng(self.settings.seed), shape)  # refuses what does not fit
        model, table = arranged(model, ParameterTable.of(params), self.settings.frozen, {})
        return ModelSummary(model, shape, table)

    def plot(self, path: str | Path | None = None) -> Curves:
        """The curves of the training: loss, metrics, learning rate, examples a second.

        A notebook shows what this returns. `path`: an HTML file to write, too, of less than 400 KB, which
        opens without a network. Raises InputError before the first evaluation, and where the file cannot be
        written.
        """
        from daskpar.report.curves import Curves

        run = self.__dict__.get("_run")
        history = run.history if run is not None else self.__dict__.get("history_")
        if not history:
            raise InputError("plot: there is no evaluation yet; call fit first")
        spec = run.spec if run is not None else self.spec_
        larger = tuple(metric.name for metric in spec.metrics if metric.larger_is_better)
        folder = self.settings.folder
        curves = Curves(history, "training" if folder is None else Path(folder).name, {}, larger)
        if path is not None:
            try:
                curves.write(absolute(path, "plot"))
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
        return curves

    def __repr__(self) -> str:
        name = type(self).__name__
        arguments = [text if key == "model" else f"{key}={text}" for key, text in self._settings_shown()]
        lines = [f"{name}("]
        for i, argument in enumerate(arguments):
            text = argument + (")" if i + 1 == len(arguments) else ", ")
            if i and len(lines[-1]) + len(text.rstrip()) > _LINE:
                lines[-1] = lines[-1].rstrip()
                lines.append(" " * len(f"{name}("))
            lines[-1] += text
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="text-align:left;padding:1px 8px">{escape(key)}</td>'
            f'<td style="text-align:left;padding:1px 8px"><code>{escape(text)}</code></td></tr>'
            for key, text in self._settings_shown()
        )
        state = self.__dict__.get("steps_")
        fitted = "not fitted yet" if state is None else f"after {state:,} steps"
        title = (
            f"<b>{escape(type(self).__name__)}</b> <small>{fitted}; settings that are not as usual:</small>"
        )
        return f'<div>{title}<table style="border-collapse:collapse;margin:0">{rows}</table></div>'

    def _settings_shown(self) -> list[tuple[str, str]]:
        """The settings that are not as usual, with short texts of their values."""
        listed = [(name, value) for name, value, _ in differing(self.settings)]
        if "members" in self.__dict__:
            listed.insert(1, ("members", self.__dict__["members"]))
        return [(name, _short(value, name == "model")) for name, value in listed]


def _short(value: object, layers: bool = False) -> str:
    """A value in a line; of a long list of layers, the first ones and the last."""
    if layers and isinstance(value, Sequential):
        value = value.layers
    if isinstance(value, list | tuple):
        parts = [_short(part) for part in value]
        kept = len(parts)
        while layers and kept > 2 and len(_list(parts, kept)) > _LONGEST_MODEL:
            kept -= 1
        return printable(_list(parts, kept))
    if isinstance(value, Path):
        return repr(str(value))
    if "__repr__" not in {name for kind in type(value).__mro__[:-1] for name in vars(kind)}:
        return f"{type(value).__name__}(...)"
    return one_line(repr(value), _LONGEST_VALUE)


def _list(parts: list[str], kept: int) -> str:
    """So many parts of a list, the last one among them, and the number of those left out."""
    if kept < len(parts):
        parts = [*parts[: kept - 1], f"... {len(parts) - kept} more", parts[-1]]
    return f"[{', '.join(parts)}]"
