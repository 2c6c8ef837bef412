"""Clusters by kind, the settings of their workers, and executors, which run graphs on them."""

from daskpar.cluster.executor import Executor, choose_executor
from daskpar.cluster.kind import CLUSTERS, ClusterKind
from daskpar.cluster.open import open_client, open_cluster

__all__ = ["CLUSTERS", "ClusterKind", "Executor", "choose_executor", "open_client", "open_cluster"]
