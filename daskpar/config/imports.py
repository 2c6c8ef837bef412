"""Modules of a user's own blocks: named on the command line, or in a config.

A config may name modules that are installed. A file is run only where the user names it on the command line:
a config that somebody sent must not run a file that lies about.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from daskpar.cluster.user_modules import load_file
from daskpar.errors import InputError, one_line


def bring_in(named: Sequence[str], in_config: object, config: str) -> object:
    """Import modules and files, and return what the config's key `import` is to hold.

    `named`: those of the command line, e.g. my_blocks.py or my_package.blocks. `in_config`: the value of the
    key `import` in the file `config`. Raises InputError, in one line.
    """
    kept = [_import_named(name) for name in named]
    if not isinstance(in_config, list) or not all(isinstance(name, str) for name in in_config):
        return in_config if in_config is not None else kept  # what is wrong with it is told with the rest
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
    """Import what --import names; returns a path as an absolute one."""
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
