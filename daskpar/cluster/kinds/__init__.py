"""Kinds of clusters, one module each: a dataclass whose fields are its keys in a config's `cluster`."""

from daskpar.cluster.kinds import local as local  # first in the order that messages name kinds in
