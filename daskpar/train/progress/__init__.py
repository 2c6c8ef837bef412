"""Progress of a run: a bar and a table on a terminal, a live block in a notebook, lines elsewhere."""

from daskpar.train.progress.base import Progress
from daskpar.train.progress.choice import progress, progress_for
from daskpar.train.progress.counter import counting

__all__ = ["Progress", "counting", "progress", "progress_for"]
