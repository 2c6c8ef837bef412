"""Where graphs run: clusters by kind, what is set on their workers, and how graphs reach them."""

from daskpar.cluster.executor import Executor, choose_executor
from daskpar.cluster.kind import CLUSTERS, ClusterKind
from daskpar.cluster.open import open_client, open_cluster

__all__ = ["CLUSTERS", "ClusterKind", "Executor", "choose_executor", "open_client", "open_cluster"]
