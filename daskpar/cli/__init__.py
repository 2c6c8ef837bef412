"""The command line: `daskpar COMMAND CONFIG`, and `daskpar runs`.

train, evaluate, predict, sample     a run and its results
model, graph, config                 views of what a config describes
find-lr, plan, compare, simulate     measurements before a run
runs                                 the list of the runs in a folder
"""

from daskpar.cli.main import main

__all__ = ["main"]
