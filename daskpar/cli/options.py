"""The config that a command takes, with the options that go with every config."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, NamedTuple

import click

from daskpar.errors import InputError

if TYPE_CHECKING:
    from daskpar.config import Config
    from daskpar.train import Trainer


class ConfigFile(NamedTuple):
    """A config as the command line names it: its path, `A.B=C` overrides, and modules to import."""

    path: str | None
    overrides: tuple[str, ...]
    imports: tuple[str, ...]

    def read(self) -> Config:
        """Import the modules and read the config. Raises InputError, in one line."""
        from daskpar.config import load_config

        if self.path is None:
            raise InputError("config: expected a CONFIG, or --schema")
        return load_config(self.path, self.overrides, self.imports)


def config_command(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes a config, overrides and imports; the function gets them as one `ConfigFile`."""
    return click.argument("config_path", metavar="CONFIG")(config_options(function))


def config_options(function: Callable[..., None]) -> Callable[..., None]:
    """A command with the options that go with a config."""

    @click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Change a value of the config.")
    @click.option(
        "--import", "imports", multiple=True, metavar="FILE", help="A file or module with blocks of your own."
    )
    @wraps(function)
    def command(
        config_path: str | None, overrides: tuple[str, ...], imports: tuple[str, ...], **options: object
    ) -> None:
        function(ConfigFile(config_path, overrides, imports), **options)

    return command


def restored(config: Config) -> Trainer:
    """A trainer with the state that a run has left. Raises InputError for the run of another config."""
    from daskpar.build import make_trainer
    from daskpar.cli.same_run import check_same_run
    from daskpar.train.saved import checkpoint_in

    found = checkpoint_in(config.folder)
    if found is None:
        raise InputError(f"{config.folder}: no checkpoint there; run `daskpar train` with this config first")
    check_same_run(config)
    return make_trainer(config).restore(found)
