"""The command line: `daskpar COMMAND CONFIG`.

train, evaluate, predict, sample     a run and its results
model, graph, config                 views of what a config describes
find-lr, plan, compare, simulate     measurements before a run
"""

from daskpar.cli.main import main

__all__ = ["main"]
