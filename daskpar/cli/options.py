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
    """Give a command the argument CONFIG and its options; the function gets them as one `ConfigFile`."""
    return click.argument("config_path", metavar="CONFIG")(config_options(function))


def config_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that go with a config."""

    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="A.B=C",
        help="Set the key A.B of the config to the YAML value C. May be given several times.",
    )
    @click.option(
        "--import",
        "imports",
        multiple=True,
        metavar="FILE",
        help="Import a Python file or module that registers blocks of your own, here and on the workers.",
    )
    @wraps(function)
    def command(
        config_path: str | None, overrides: tuple[str, ...], imports: tuple[str, ...], **options: object
    ) -> None:
        function(ConfigFile(config_path, overrides, imports), **options)

    return command


def examples(*lines: str) -> str:
    """Return the end of a command's help: example command lines, which click leaves as they are."""
    return "\b\n" + "\n".join(
        ["Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)]
    )


def restored(config: Config) -> Trainer:
    """Return a trainer with the state that a run left in its folder.

    Raises InputError where there is no checkpoint, and for the folder of another config's run.
    """
    from daskpar.build import make_trainer
    from daskpar.cli.same_run import check_same_run
    from daskpar.train.saved import checkpoint_in

    checkpoint = checkpoint_in(config.folder)
    if checkpoint is None:
        raise InputError(f"{config.folder}: no checkpoint there; run `daskpar train` with this config first")
    check_same_run(config)
    return make_trainer(config).restore(checkpoint)
