"""The command line: `daskpar train|evaluate|predict|sample|model|graph|config CONFIG`."""

from daskpar.cli.main import main

__all__ = ["main"]
