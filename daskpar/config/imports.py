"""Modules that register a user's own blocks: named on the command line, or in a config.

A config may name installed modules. A file runs only where the user names it on the command line, so that a
config from somebody else cannot run a file of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from daskpar.cluster.user_modules import load_file
from daskpar.errors import InputError, one_line


def bring_in(named: Sequence[str], in_config: object, config: str) -> object:
    """Import modules and files, and return the new value of the config's key `import`.

    `named`: modules and files of the command line, e.g. my_blocks.py or my_package.blocks. `in_config`: the
    value of the key `import` in the file `config`. Raises InputError where one cannot be imported.
    """
    kept = [_import_named(name) for name in named]
    if not isinstance(in_config, list) or not all(isinstance(name, str) for name in in_config):
        return in_config if in_config is not None else kept  # refused later, with the other keys
    files = {Path(name).stem for name in kept if _is_file(name)}
    for name in in_config:
        if _is_file(name):
            if Path(name).stem not in files:
                raise InputError(
                    f"{config}: import: {name} is a file, and runs only if you name it; pass --import {name}"
                )
        elif name not in kept:
            _import(name, f"{config}: import")
            kept.append(name)
    return kept


def _import_named(name: str) -> str:
    """Import a module or a file that --import names; return its name, or the file's absolute path."""
    if not _is_file(name):
        _import(name, "--import")
        return name
    try:
        return load_file(name)
    except (Exception, SystemExit) as error:
        raise _cannot("--import", name, error) from None


def _import(name: str, where: str) -> None:
    try:
        import_module(name)
    except (Exception, SystemExit) as error:
        raise _cannot(where, name, error) from None


def _cannot(where: str, name: str, error: BaseException) -> InputError:
    if isinstance(error, InputError):
        return InputError(f"{where}: {error}")
    return InputError(f"{where} {one_line(name, 100)}: cannot be imported ({type(error).__name__}: {error})")


def _is_file(name: str) -> bool:
    """Return whether a name means a file, not a module."""
    return name.endswith(".py") or os.sep in name or "/" in name
