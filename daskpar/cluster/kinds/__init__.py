"""Kinds of clusters: frozen dataclasses whose fields are keys of the section `cluster` in a config."""

# They register themselves in this order, in which messages name them:
# isort: off
from daskpar.cluster.kinds import local as local
from daskpar.cluster.kinds import address as address
from daskpar.cluster.kinds import env as env
from daskpar.cluster.kinds import cuda as cuda
from daskpar.cluster.kinds import kubernetes as kubernetes
