"""The settings of runs: what differs between them, and all of them by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import yaml

from daskpar.report.run.html import Html, details, note, table
from daskpar.report.run.scores import chip
from daskpar.report.run.subject import Subject
from daskpar.yaml_text import Dumper

_NAMES = ("run.name", "run.dir")  # differ anyway
_LONGEST = 300


def flat_settings(values: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Yield the settings of a config by full keys; the layers of a model, and other entries, one by one.

    >>> dict(flat_settings({"train": {"batch": 32}, "model": [{"dense": 2}, "relu"]}))
    {'train.batch': 32, 'model.0': {'dense': 2}, 'model.1': 'relu'}
    """
    listed: Iterator[tuple[object, object]] | None = None
    if isinstance(values, Mapping) and (not key or (values and "." not in key and not _is_entry(values))):
        listed = iter(values.items())
    elif isinstance(values, list) and any(isinstance(value, Mapping | str) for value in values):
        listed = iter(enumerate(values)) if key == "model" else None
    if listed is None:
        yield key, values
        return
    for name, value in listed:
        yield from flat_settings(value, f"{key}.{name}" if key else str(name))


def _is_entry(values: Mapping[object, object]) -> bool:
    """Return whether a mapping is a block with its arguments, as in `{adam: {lr: 0.1}}`."""
    ((_, argument), *others) = values.items()
    return not others and isinstance(argument, Mapping)


def text_of(value: object) -> str:
    """Return a setting in one line, as YAML."""
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=True, sort_keys=False, width=10**6)
    text = text.removesuffix("\n...\n").strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def differences(runs: Sequence[Subject]) -> Html:
    """Return a table of the settings that are not the same in all runs, with a column for each run."""
    each = [dict(flat_settings(run.recorded.config)) for run in runs]
    keys = [key for key in dict.fromkeys(k for values in each for k in values) if key not in _NAMES]
    sections = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    keys.sort(key=lambda key: sections.index(key.partition(".")[0]))
    rows = []
    for key in keys:
        texts = [text_of(values[key]) if key in values else "–" for values in each]
        if len(set(texts)) > 1:
            rows.append([key, *texts])
    if not rows:
        return note("All settings are the same but the name of the run.")
    return table(["setting", *(chip(i, run.name) for i, run in enumerate(runs))], rows, "settings")


def settings(run: Subject) -> Html:
    """Return a table of the settings that a run changes, and one of those that have their defaults."""
    values = dict(flat_settings(run.recorded.config))
    if not values:
        return note("The folder has no config.yaml.")
    changed = [key for key, value in values.items() if run.defaults.get(key, _NONE) != value]
    rest = [key for key in values if key not in set(changed)]
    html = table([], [[key, text_of(values[key])] for key in changed], "settings")
    if rest:
        rows = [[key, text_of(values[key])] for key in rest]
        html = Html(html + details(f"{len(rest)} settings with their defaults", table([], rows, "settings")))
    return html


_NONE = object()
