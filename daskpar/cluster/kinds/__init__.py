"""Kinds of clusters: frozen dataclasses whose fields are keys of the section `cluster` in a config."""

from daskpar.cluster.kinds import local as local  # first, so that messages name its kinds first
