"""The files of a run's manifests, with their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from daskpar.cluster.kubernetes.manifests import base, jobs
from daskpar.cluster.kubernetes.manifests.access import access
from daskpar.cluster.kubernetes.manifests.certificates import certificates
from daskpar.cluster.kubernetes.manifests.network import network
from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.pods import Json
from daskpar.cluster.kubernetes.resources import autoscaler, dask_cluster, gpu_group

_KUSTOMIZATION = "kustomization.yaml"


def render(run: Run, header: str) -> dict[str, str]:
    """Return the text of each file of a run's manifests, by its path; `header` becomes a comment in each.

    Example:
        >>> from daskpar.cluster.kubernetes.manifests.run import Run
        >>> from daskpar.cluster.kubernetes.settings import Pods
        >>> pods = Pods(image="registry.example.com/daskpar:1", storage={"/runs": "runs"})
        >>> files = render(Run("digits", pods, "model: []", "/runs"), "example")
        >>> sorted(path for path in files if path.startswith("job/"))
        ['job/job.yaml', 'job/kustomization.yaml']
    """
    files: dict[str, str] = {}

    def add(folder: str, below: Sequence[str], manifests: Mapping[str, Sequence[Json]]) -> None:
        present = {name: found for name, found in manifests.items() if found}
        for name, resources in present.items():
            files[f"{folder}/{name}"] = _text(header, resources)
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [*below, *present],
        }
        files[f"{folder}/{_KUSTOMIZATION}"] = _text(header, [kustomization])

    pods, name, namespace = run.pods, run.name, run.namespace
    add(
        "base",
        [],
        {
            "namespace.yaml": base.namespace(run),
            "access.yaml": access(run),
            "storage.yaml": base.storage(run),
            "config.yaml": base.config(run),
            "network.yaml": network(run),
            "disruption.yaml": base.disruption(run),
            "certificates.yaml": certificates(run),
        },
    )
    add("job", ["../base"], {"job.yaml": jobs.job(run)})
    group = [gpu_group(pods, name, namespace)] if pods.gpu_workers else []
    add("daskjob", ["../base"], {"daskjob.yaml": jobs.dask_job(run), "workers.yaml": group})
    scaled = [] if pods.maximum is None else [autoscaler(pods, name, namespace)]
    cluster = {"daskcluster.yaml": [dask_cluster(pods, name, namespace)], "autoscaler.yaml": scaled}
    add("cluster", ["../base"], cluster)
    if group:
        add("gpu", ["../cluster"], {"workers.yaml": group})
    return files


class _Dumper(yaml.SafeDumper):
    """Writes equal parts in full, instead of references, and texts of several lines as such."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_node)


def _text(header: str, resources: Sequence[Json]) -> str:
    made = yaml.dump_all(list(resources), Dumper=_Dumper, sort_keys=False, width=110)
    return f"# {header}\n{made}"
