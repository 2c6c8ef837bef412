"""Manifests of a run: YAML files that `kubectl apply -k` takes, from the settings of a cluster of pods.

base/       namespace, access, storage, config, network, certificates, disruptions
job/        Job whose pod trains, with a cluster of pods that it creates and deletes
daskjob/    DaskJob: the operator starts the cluster beside the pod that trains
cluster/    DaskCluster that stays, for clients by address or name
gpu/        that cluster with a group of workers that have a GPU each
"""

from daskpar.cluster.kubernetes.manifests.files import render

__all__ = ["render"]
