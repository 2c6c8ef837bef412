"""The problem of a run, and what callbacks and results read of it."""

from __future__ import annotations

from functools import cached_property

from daskpar.layout.layout import Layout
from daskpar.tasks.types import Spec
from daskpar.train.description import Description, describe
from daskpar.train.problem import Problem


class Posed:
    """Base of a run: its problem, with names for the parts of it."""

    def __init__(self, problem: Problem):
        self.problem = problem

    @property
    def spec(self) -> Spec:
        """The Spec of the run: model, loss, optimizer and data."""
        return self.problem.spec

    @property
    def layout(self) -> Layout:
        """The layout of the run."""
        return self.problem.layout

    @property
    def names(self) -> tuple[str, ...]:
        """The names of classes or characters, where the data have them."""
        return self.problem.names

    @cached_property
    def description(self) -> Description:
        """The description of the settings, from which `load` makes a Trainer."""
        return describe(self.problem.settings)
