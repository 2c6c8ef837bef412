"""Descriptions: the settings of a Trainer as plain JSON, with blocks by name as in a config, and back.

A checkpoint's `state.json` and a file of `Trainer.save` hold one, so `load` needs no other information. A
block whose class is not registered cannot be described; the description then holds the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, cast, get_type_hints

from daskpar import __version__
from daskpar.data.fitted import Fitted
from daskpar.data.transforms import from_json, to_json, transform
from daskpar.entries import blocks_within, entry_of, name_of
from daskpar.errors import InputError
from daskpar.nn import registry as nn
from daskpar.nn.layers.sequential import Sequential
from daskpar.optim import registry as optim
from daskpar.settings import Block
from daskpar.train.callbacks import EarlyStopping
from daskpar.train.plain_json import for_json
from daskpar.train.settings import FIELDS, Settings
from daskpar.typed import options_of

VERSION = 1
"""The version of descriptions, and of the files that hold them. Later ones are refused."""

Description = dict[str, Any]
OF_THE_PROCESS = ("client", "folder", "warm_start", "verbose", "profile")
"""Settings that are not described, because they belong to the process that trains."""
EITHER = ({"epochs", "steps"}, {"optimizer", "learning_rate"})
"""Pairs of settings: a new value of one replaces both."""


def describe(settings: Settings) -> Description:
    """Return the description of settings, as JSON holds it.

    Its entry `settings` has values and entries by name, `not_described` the reasons for those that cannot be
    described, and `modules` the module of each block that is not daskpar's own, by the block's name.

    >>> about = describe(Settings([{"dense": 2}], loss="huber"))
    >>> about["settings"]["loss"], about["settings"]["batch"]
    ({'huber': {'delta': 1.0}}, 32)
    """
    values: dict[str, object] = {}
    reasons: dict[str, str] = {}
    modules: dict[str, str] = {}
    for name in FIELDS:
        if name in OF_THE_PROCESS:
            continue
        try:
            built = _BUILDERS.get(name, _as_it_is)(getattr(settings, name))
            values[name] = _WRITERS.get(name, _written)(built)
            modules |= _modules(built)
        except InputError as error:
            reasons[name] = str(error)
    return {
        "version": VERSION,
        "daskpar": __version__,
        "settings": values,
        "not_described": reasons,
        "modules": modules,
    }


def described(description: Description, given: Iterable[str] = (), where: str = "load") -> dict[str, Any]:
    """Return the settings in a description as keywords of a Trainer, less those `given` by the caller.

    Raises InputError, with a message that begins with `where`, for a later version, and for blocks that could
    not be described or are not registered in this process.
    """
    check_version(description.get("version"), where)
    values, reasons = description["settings"], description["not_described"]
    given = set(given)
    given |= {name for pair in EITHER if pair & given for name in pair - {"optimizer"}}
    for name, reason in reasons.items():
        if name not in given:
            raise InputError(
                f"{where}: {name} is not kept there ({reason}); give it as load(..., {name}=...)"
            )
    keywords = {}
    for name, value in values.items():
        if name in given:
            continue
        if name not in FIELDS:
            raise InputError(
                f"{where}: the setting {name} is not known to daskpar {__version__}; it was written by "
                f"{description.get('daskpar')}, update daskpar"
            )
        try:
            keywords[name] = _read(name, value)
        except InputError as error:
            raise InputError(f"{where}: {_explained(name, str(error), description['modules'])}") from None
    return keywords


def check_version(version: object, where: str) -> None:
    """Refuse a description of a later version. Raises InputError."""
    if not isinstance(version, int) or version > VERSION:
        raise InputError(
            f"{where}: written in format {version} by a newer daskpar; {__version__} reads formats up to "
            f"{VERSION}, update daskpar"
        )


def _explained(name: str, error: str, modules: Mapping[str, str]) -> str:
    """Return the message of an error, with the module to import if a block is not registered."""
    lacking = next((block for block in modules if f"{block!r} is not known" in error), None)
    if lacking is None:
        return f"{name}: {error}"
    module = modules[lacking]
    first = "run the code that registers it" if module == "__main__" else f"import {module}"
    return f"{name} has {lacking!r}, which is not registered here; {first} first, or pass {name}= to load"


def _modules(built: object) -> dict[str, str]:
    """Return the modules of registered blocks outside of daskpar, by the name of the block."""
    named = {name_of(block): type(block).__module__ for block in blocks_within(built)}
    return {name: module for name, module in named.items() if name and module.partition(".")[0] != "daskpar"}


def _as_it_is(value: object) -> object:
    return value


def _prepared(entries: object) -> list[object]:
    """Return transforms, fitted or yet to be fitted, for their entries."""
    return [e if isinstance(e, Fitted) else transform(e) for e in cast("Iterable[object]", entries)]


def _metrics(entries: object) -> list[object]:
    return [nn.metric(entry) for entry in cast("Iterable[object]", entries)]


_BUILDERS: dict[str, Callable[[Any], object]] = {
    "model": nn.model,
    "loss": nn.loss,
    "optimizer": optim.optimizer,
    "schedule": optim.schedule,
    "metrics": _metrics,
    "transforms": _prepared,
    "targets": _prepared,
}


def _model(model: Sequential) -> object:
    """Return the entries of a model's layers, or the one entry of a Sequential with arguments."""
    if type(model) is not Sequential or model.remat:
        return entry_of(model)
    layers = []
    for i, layer in enumerate(model.layers):
        try:
            layers.append(entry_of(layer))
        except InputError as error:
            raise InputError(f"layer {i}: {error}") from None
    return layers


def _callbacks(callbacks: Iterable[object]) -> list[object]:
    """Return the entries of EarlyStopping; other callbacks are code of the program that trains."""
    return [{c.kind: for_json(asdict(c))} for c in callbacks if type(c) is EarlyStopping]


def _written(value: object) -> object:
    """Return any other setting as JSON: plain values, lists, dictionaries, blocks, groups of settings."""
    if isinstance(value, Fitted):
        return {"fitted": to_json(value)}
    if isinstance(value, list | tuple):
        return [_written(part) for part in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _written(part) for key, part in value.items()}
        return {_PAIRS: [[_written(key), _written(part)] for key, part in value.items()]}
    if is_dataclass(value) and not isinstance(value, type):
        if name_of(value) is None and type(value) in _GROUPS:
            return {field.name: _written(getattr(value, field.name)) for field in fields(value) if field.init}
        return entry_of(value)
    return for_json(value, "a setting")


_PAIRS = "__pairs__"  # stands for a dictionary whose keys are not strings
_WRITERS: dict[str, Callable[[Any], object]] = {"model": _model, "callbacks": _callbacks}


def _read(name: str, value: Any) -> object:
    """Return a setting from its description."""
    if name == "model":
        return nn.layer(value) if isinstance(value, Mapping) else nn.model(value)
    if name == "callbacks":
        return [EarlyStopping(**arguments) for entry in value for arguments in entry.values()]
    if name in ("transforms", "targets"):
        return [from_json(e["fitted"]) if "fitted" in e else transform(e) for e in value]
    if name in _BUILDERS:
        return _BUILDERS[name](value)
    group = next((option for option in options_of(_HINTS[name]) if option in _GROUPS), None)
    if group is not None and isinstance(value, Mapping):
        return group(**{key: _unwritten(part) for key, part in value.items()})
    return _unwritten(value)


def _unwritten(value: object) -> object:
    if isinstance(value, list):
        return [_unwritten(part) for part in value]
    if isinstance(value, Mapping):
        if set(value) == {_PAIRS}:
            return {cast(Any, _unwritten(key)): _unwritten(part) for key, part in value[_PAIRS]}
        return {key: _unwritten(part) for key, part in value.items()}
    return value


_HINTS = get_type_hints(Settings)
_GROUPS: set[type] = {
    option
    for hint in _HINTS.values()
    for option in options_of(hint)
    if isinstance(option, type) and issubclass(option, Block) and is_dataclass(option)
}
"""Groups of settings, e.g. Layout and Clip: the type hint of the setting names them."""
