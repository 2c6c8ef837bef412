"""A Trainer in a terminal and in a notebook: its settings, model, layout and curves."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from daskpar.backend.random import init_rng
from daskpar.data.paths import absolute
from daskpar.errors import InputError, one_line, printable
from daskpar.layout.picture import layout_svg
from daskpar.nn import registry as nn
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.trainable import arranged
from daskpar.reprs import code_html, differing, parts_html, row_html, rows_html
from daskpar.settings import at_least_one
from daskpar.train.labels import told
from daskpar.train.predicting import Predicting
from daskpar.typed import checked

if TYPE_CHECKING:
    from daskpar.report.curves import Curves
    from daskpar.report.model import ModelSummary

_LINE, _LONGEST_VALUE = 80, 200
_MOST_ROWS, _OPEN_ROWS = 60, 20  # of a table of layers; longer ones are folded
_MOST_PARAMETERS = 2_000_000  # of a model whose shapes are computed for a table
_LONGEST_MODEL = 68  # characters of a list of layers; longer lists are cut before their last layer


class Shown(Predicting):
    """Base of the Trainer: its `repr` in text and in notebooks, `summary` and `plot`."""

    def summary(self, in_shape: int | Sequence[int] | None = None) -> ModelSummary:
        """Return a table of the layers: shapes, parameters, operations and memory.

        A notebook shows the table in HTML; `daskpar model` prints the same one.

        Args:
            in_shape: Shape of one example, after the transforms, e.g. 8 or (28, 28, 1). Default: None, the
                shape of the data that the Trainer is fitted to.

        Returns:
            The table: `rows` has a named tuple for each layer, `total` the sums by name.

        Raises:
            InputError: There is no shape, or it does not fit the layers.

        Example:
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
        """Return the curves of the training: loss, metrics, learning rate and examples a second.

        Within a callback they are those of the run so far.

        Args:
            path: HTML file to write the curves to, too. It is smaller than 400 KB and needs no network.
                Default: None.

        Returns:
            The curves, which a notebook shows.

        Raises:
            InputError: There is no evaluation yet, or the file cannot be written.
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
        model = self._model_html()
        rows = [
            row_html(escape(key), code_html(text))
            for key, text in self._settings_shown()
            if key != "model" or not model
        ]
        title = f"<b>{escape(type(self).__name__)}</b> <small>{escape(self._state_shown())}</small>"
        return f"<div>{title}{rows_html(rows)}{model}{self._layout_html()}</div>"

    def _state_shown(self) -> str:
        """Return the number of steps so far, and the scores of the state or of the last evaluation."""
        members = self.__dict__.get("members_")
        values = vars(members[0]) if members else self.__dict__
        if "steps_" not in values:
            return "not fitted yet"
        text = f"after {_counted(values['steps_'], 'step')}"
        if members:
            return f"{_counted(len(members), 'member')} {text}"
        history = self.__dict__.get("history_") or []
        record = next((r for r in reversed(history) if r["step"] == values["steps_"]), (history or [{}])[-1])
        scores = [(part, told(record.get(part, {}))) for part in ("train", "validation")]
        return "; ".join([text, *(f"{part}: {', '.join(texts)}" for part, texts in scores if texts)])

    def _model_html(self) -> str:
        """Return the table of the layers, with shapes where they are known; "" for layers that are refused.

        The table of a small, fitted model has shapes and parameters, too: they are computed by its `init`.
        """
        from daskpar.report.model import ModelSummary

        spec = self.__dict__.get("spec_")
        if spec is None:
            try:
                model = nn.model(self.settings.model)
            except InputError:
                return ""
            return _details("model", len(model.layers), parts_html(model))
        model, count = spec.model, spec.table.count
        about = f"model of {_counted(count, 'parameter')}"
        if count > _MOST_PARAMETERS:
            return _details(about, len(model.layers), parts_html(model))
        summary = ModelSummary(model, spec.in_shape, spec.table, measured=False)
        return _details(about, len(summary.rows), summary.html(_MOST_ROWS))

    def _layout_html(self) -> str:
        """Return the picture of a layout of several slots; "" for one slot."""
        layout = self.layout_
        return "" if layout.slots == 1 else _details("layout", layout.slots, layout_svg(layout))

    def _settings_shown(self) -> list[tuple[str, str]]:
        """Return the settings that differ from their defaults, with short texts of their values."""
        listed = [(name, value) for name, value, _ in differing(self.settings)]
        if "members" in self.__dict__:
            listed.insert(1, ("members", self.__dict__["members"]))
        return [(name, _short(value, name == "model")) for name, value in listed]


def _details(title: str, rows: int, html: str) -> str:
    """Return HTML below a title that folds it; it is folded at first if it has many rows."""
    state = "" if rows > _OPEN_ROWS else " open"
    return f"<details{state}><summary>{escape(title)}</summary>{html}</details>"


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _short(value: object, layers: bool = False) -> str:
    """Return a value in one line; a long list of layers is cut before its last layer."""
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
    """Return a list with `kept` of its parts, the last one among them, and the number of those left out."""
    if kept < len(parts):
        parts = [*parts[: kept - 1], f"... {len(parts) - kept} more", parts[-1]]
    return f"[{', '.join(parts)}]"
