"""The command line: `daskpar train|evaluate|predict|graph|config CONFIG`."""

from daskpar.cli.main import main

__all__ = ["main"]
