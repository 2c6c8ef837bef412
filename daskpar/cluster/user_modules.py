"""Files with a user's own blocks, loaded as modules in this process and in the processes of a cluster.

Blocks are pickled by reference to their module, and a worker cannot import a file that was named on a command
line. So the text of the file is sent to the scheduler and to every worker, also to workers that join or
restart later. Modules with a dotted name must be installed on the workers.
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
    """Module from a user's file: its name, its path, and its text."""

    name: str
    path: str
    text: bytes


_loaded: dict[str, UserModule] = {}
"""Files that this process has loaded with `load_file`, by module name."""


def load_file(path: str) -> str:
    """Import a file as the module of its name, and return its absolute path.

    A file that is loaded already is not run again. Raises InputError for a file that cannot be read, and for
    a file with the name of another module. Errors of the file's code are passed on.
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
    """Return the file of the module that `import name` would import, or None if there is none."""
    if name in sys.modules:
        return str(getattr(sys.modules[name], "__file__", None) or "a part of Python")
    spec = importlib.util.find_spec(name)
    return None if spec is None else str(spec.origin)


def _run(module: UserModule) -> None:
    """Make a module unless it exists, and append its folder to the module search path."""
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
    """Send the files that this process has loaded to the scheduler and the workers of a client."""
    if _loaded:
        modules = tuple(_loaded.values())
        client.register_plugin(ModulesOnScheduler(modules))
        client.register_plugin(ModulesOnWorkers(modules))


class ModulesOnWorkers(WorkerPlugin):
    """Plugin that loads a user's modules on every worker, also on workers that join or restart later."""

    name = "daskpar-user-modules"

    def __init__(self, modules: Sequence[UserModule]):
        self.modules = modules

    def setup(self, worker: Worker) -> None:
        for module in self.modules:
            _run(module)


class ModulesOnScheduler(SchedulerPlugin):
    """Plugin that loads a user's modules on the scheduler, which unpickles graphs."""

    name = "daskpar-user-modules-on-scheduler"
    idempotent = True

    def __init__(self, modules: Sequence[UserModule]):
        self.modules = modules

    async def start(self, scheduler: Scheduler) -> None:
        for module in self.modules:
            _run(module)
