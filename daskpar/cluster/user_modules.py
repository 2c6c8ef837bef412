"""Files with a user's own blocks as modules, in this process and in those of a cluster.

Blocks are pickled by reference to their module. A file that is named on the command line is no module that a
worker could import, so its text is sent to every worker, also to one that joins or is started anew later, and
to the scheduler. Modules that are imported by a dotted name have to be installed where the workers are.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from distributed import SchedulerPlugin, WorkerPlugin

from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Scheduler, Worker


class UserModule(NamedTuple):
    """A file as a module: its name, its path, and its text."""

    name: str
    path: str
    text: bytes


_loaded: dict[str, UserModule] = {}
"""The files that this process has loaded by `load_file`, by name of the module."""


def load_file(path: str) -> str:
    """Import a file as the module of its name, and return its absolute path; a second time does nothing.

    Raises InputError for a file that cannot be read, and for one whose name another module has; whatever the
    file itself raises goes on.
    """
    path = os.path.abspath(os.path.expanduser(path))
    name = Path(path).stem
    if not name.isidentifier():
        raise InputError(f"{path}: its name cannot be that of a module; rename it, e.g. to my_blocks.py")
    before = _file_of(name)
    if before is not None and before != path:
        raise InputError(f"{path}: there is a module {name} already, {before}; rename the file")
    try:
        module = UserModule(name, path, Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    _run(module)
    _loaded[name] = module
    return path


def _file_of(name: str) -> str | None:
    """The file of the module that `import name` gives; None where there is none."""
    if name in sys.modules:
        return str(getattr(sys.modules[name], "__file__", None) or "a part of Python")
    spec = importlib.util.find_spec(name)
    return None if spec is None else str(spec.origin)


def _run(module: UserModule) -> None:
    """Make a module, unless it is there. Its folder becomes the last that modules are looked for in."""
    if module.name in sys.modules:
        return
    made = ModuleType(module.name)
    made.__file__ = module.path
    folder = os.path.dirname(module.path)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[module.name] = made
    try:
        exec(compile(module.text, module.path, "exec"), made.__dict__)
    except BaseException:
        del sys.modules[module.name]
        raise


def share(client: Client) -> None:
    """Give the files that this process has loaded to the scheduler and the workers of a client."""
    if _loaded:
        modules = tuple(_loaded.values())
        client.register_plugin(ModulesOnScheduler(modules))
        client.register_plugin(ModulesOnWorkers(modules))


class ModulesOnWorkers(WorkerPlugin):
    """Makes modules of a user's files on every worker, also on those that join or restart later."""

    name = "daskpar-user-modules"

    def __init__(self, modules: Sequence[UserModule]):
        self.modules = modules

    def setup(self, worker: Worker) -> None:
        for module in self.modules:
            _run(module)


class ModulesOnScheduler(SchedulerPlugin):
    """Makes modules of a user's files on the scheduler, which unpickles graphs."""

    name = "daskpar-user-modules-on-scheduler"
    idempotent = True

    def __init__(self, modules: Sequence[UserModule]):
        self.modules = modules

    async def start(self, scheduler: Scheduler) -> None:
        for module in self.modules:
            _run(module)
