"""`daskpar kubernetes`: manifests of a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daskpar.cli.lines import errors_in_one_line, name_if_unwritable
from daskpar.cli.options import ConfigFile, config_command, examples
from daskpar.cli.terminal import Commands, out
from daskpar.errors import InputError

if TYPE_CHECKING:
    from daskpar.cluster.kubernetes.manifests.run import Run
    from daskpar.cluster.kubernetes.settings import Pods
    from daskpar.config import Config

WRITTEN = "Written by `daskpar kubernetes render`"
"""Beginning of the first line of each file, behind "# "."""


@click.group(
    cls=Commands, epilog=examples("daskpar kubernetes render configs/kubernetes/digits.yaml -o digits")
)
def kubernetes() -> None:
    """Write Kubernetes manifests for a run."""


@kubernetes.command(
    epilog=examples(
        "daskpar kubernetes render configs/kubernetes/digits.yaml -o digits",
        "kubectl apply -k digits/job",
    )
)
@config_command
@click.option(
    "-o", "--output", metavar="DIR", help="Folder to write. Default: kubernetes/NAME, after the run's name."
)
@click.option(
    "--no-restarts",
    is_flag=True,
    help="Let a DaskJob end as Failed at its first failure, instead of starting its container again. A Job "
    "ends so after six failures, or one of bad input.",
)
@click.option("--force", is_flag=True, help="Replace a folder that has other files, too.")
def render(file: ConfigFile, output: str | None, no_restarts: bool, force: bool) -> None:
    """Write the manifests of a run on Kubernetes.

    CONFIG must have `cluster.kind: kubernetes` and an image. Writes folders for `kubectl apply -k`: job/ (a
    Job that trains, with a cluster of its own), daskjob/ (the same as a DaskJob of the Dask operator),
    cluster/ (a cluster that stays), gpu/ (the same with GPU workers), and base/, which all of them include.
    """
    with errors_in_one_line():
        from daskpar.build import check
        from daskpar.cluster.kubernetes.manifests import render as render_files

        config = file.read()
        check(config)
        run = replace(run_of(config), restarts=not no_restarts)
        folder = Path(output or f"kubernetes/{run.name}")
        files = render_files(run, f"{WRITTEN}, from the config of the run {config.run.name}.")
        write(folder, files, force)
        out.print(f"{folder}: {len(files)} files; `kubectl apply -k {folder}/job` starts the run")


def run_of(config: Config) -> Run:
    """Return the run that a config describes, with its folder in the pods. Raises InputError."""
    from daskpar.build import make_cluster
    from daskpar.cluster.kubernetes.manifests.run import NAMESPACE, Run
    from daskpar.cluster.kubernetes.settings import Pods

    pods = make_cluster(config)
    if not isinstance(pods, Pods):
        raise InputError(
            f"cluster.kind={config.cluster.kind}: expected kubernetes, e.g. --set cluster.kind=kubernetes "
            "--set cluster.image=registry.example.com/daskpar:1"
        )
    name = config.run.name.lower().replace("_", "-")
    storage = pods.storage or {"/runs": f"{name}-runs"}
    pods = replace(pods, namespace=pods.namespace or NAMESPACE, storage=storage)
    folder = config.run.dir
    if not folder.startswith("/") and "/runs" in storage:
        folder = "/runs"
    path = config.data.path
    if path and not path.startswith(("/", "~")) and "://" not in path:
        raise InputError(f"data.path={path} is relative; pods need a path on a storage, e.g. /data/{path}")
    return Run(name, pods, _config_text(config, pods, folder), folder)


def _config_text(config: Config, pods: Pods, folder: str) -> str:
    """Return the config for the pods: as it was written, with the folder and the namespace filled in."""
    import yaml

    keys = config.model_dump(exclude_unset=True)
    run = {**keys.get("run", {}), "name": config.run.name, "dir": folder}
    cluster = {**keys["cluster"], "namespace": pods.namespace, "storage": dict(pods.storage or {})}
    cluster.pop("context", None)
    return yaml.safe_dump({**keys, "run": run, "cluster": cluster}, sort_keys=False, width=110)


def write(folder: Path, files: dict[str, str], force: bool) -> None:
    """Write files to a folder that appears complete or not at all; one that was written before is replaced.

    Raises InputError for a folder with other files, unless `force`.
    """
    others = [path for path in folder.rglob("*") if path.is_file() and not _is_ours(path)]
    if others and not force:
        raise InputError(f"{folder} has other files, e.g. {others[0]}; choose another folder, or --force")
    from daskpar.train.checkpoint import replace_folder

    partial = folder.with_name(f".{folder.name}.partial")
    with name_if_unwritable(str(folder)):
        shutil.rmtree(partial, ignore_errors=True)
        for name, text in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text)
        replace_folder(partial, folder)


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.readline().startswith(f"# {WRITTEN}".encode())
