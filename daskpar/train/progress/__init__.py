"""Progress of a run: a bar and a table on a terminal or in a notebook, lines in a log."""

from daskpar.train.progress.base import Progress
from daskpar.train.progress.choice import progress, progress_for, progress_on
from daskpar.train.progress.counter import Count, counting

__all__ = ["Count", "Progress", "counting", "progress", "progress_for", "progress_on"]
