"""A training step as a task graph: the layout that cuts it, the tasks, the tree, the builder."""

from daskpar.graph.layout import Layout
from daskpar.graph.spec import Gradient, Lane, Spec, State

__all__ = ["Gradient", "Lane", "Layout", "Spec", "State"]
