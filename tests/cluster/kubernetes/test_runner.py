"""The commands of the rendered DaskJob, as processes of this machine with the environment of the operator.

This shows that the commands start, find each other and train, without a folder in common with the client; it
shows nothing of Kubernetes itself. Mounts of the runner are folders here, paths are replaced.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from daskpar.cli import main

CONFIG: dict[str, Any] = {
    "run": {"name": "digits", "dir": "/runs"},
    "data": {"source": "digits", "validation": 0.1, "test": 0.2},
    "model": ["flatten", {"dense": 32}, "relu", {"dense": 10}],
    "optimizer": {"adam": {"lr": 0.003}},
    "train": {"epochs": 12, "batch": 64, "seed": 7},
    "layout": {"data": 2},
    "cluster": {"kind": "kubernetes", "image": "registry/image:1", "workers": 2},
    "checkpoint": {"every": "2 epochs"},
}
BIN = Path(sys.executable).parent


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Pods:
    """The containers of a DaskJob as processes: `tmp_path/pods` takes the place of their volumes."""

    def __init__(self, folder: Path, job: dict[str, Any], config: str):
        self.folder, self.job = folder, job
        self.ports = free_ports(2)
        for name in ("tmp", "runs", "config"):
            (folder / name).mkdir(parents=True)
        (folder / "config/config.yaml").write_text(config.replace("/runs", str(folder / "runs")))
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, spec: dict[str, Any], **names: str) -> subprocess.Popen[bytes]:
        """Start the container of a pod's specification, in a process group of its own."""
        (container,) = spec["containers"]
        env = {
            one["name"]: one["value"].replace("/tmp", str(self.folder / "tmp")) for one in container["env"]
        }
        address = f"tcp://127.0.0.1:{self.ports[0]}"
        env = {**self.inherited(), **env, "DASK_SCHEDULER_ADDRESS": address, **names}
        command = [self.here(part, env) for part in container["command"]]
        log = open(self.folder / f"{len(self.processes)}-{container['name']}.log", "wb")
        hidden = hide(command, self.folder.parent / "client")
        process = subprocess.Popen(
            hidden, env=env, cwd=self.folder / "tmp", stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self.processes.append(process)
        return process

    def inherited(self) -> dict[str, str]:
        """What an image sets; nothing else of this process's environment."""
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
        cache = os.environ.get("NUMBA_CACHE_DIR")
        return {"PATH": f"{BIN}:/usr/bin:/bin", **kept, **({"NUMBA_CACHE_DIR": cache} if cache else {})}

    def here(self, part: str, env: dict[str, str]) -> str:
        """A part of a command, with ports and paths of this machine."""
        part = part.replace("$(DASK_WORKER_NAME)", env.get("DASK_WORKER_NAME", ""))
        fixed = {"8786": str(self.ports[0]), ":8787": f":{self.ports[1]}", "0.0.0.0": "127.0.0.1"}
        fixed |= {"8788": "0", "8789": "0", ":8790": ":0"}
        return fixed.get(part, part).replace("/config/", f"{self.folder}/config/")

    def log(self, process: subprocess.Popen[bytes]) -> str:
        number = self.processes.index(process)
        (path,) = self.folder.glob(f"{number}-*.log")
        return path.read_text()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def hide(command: list[str], folder: Path) -> list[str]:
    """A command that does not see the client's folder, where this user may make a mount namespace."""
    script = f'mount -t tmpfs tmpfs "{folder}" && exec "$@"'
    hidden = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    works = shutil.which("unshare") and subprocess.run([*hidden, "true"], capture_output=True).returncode == 0
    return [*hidden, *command] if works else command


@contextmanager
def job_in(tmp_path: Path) -> Iterator[Pods]:
    """The DaskJob that `daskpar kubernetes render` writes in the client's folder."""
    client = tmp_path / "client"
    client.mkdir()
    (client / "digits.yaml").write_text(yaml.safe_dump(CONFIG))
    arguments = ["kubernetes", "render", str(client / "digits.yaml"), "-o", str(client / "manifests")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    job = yaml.safe_load((client / "manifests/daskjob/daskjob.yaml").read_text())
    config = yaml.safe_load((client / "manifests/base/config.yaml").read_text())["data"]["config.yaml"]
    pods = Pods(tmp_path / "pods", job, config)
    try:
        yield pods
    finally:
        pods.stop()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the parameters of the run on this machine alone."""
    folder = tmp_path_factory.mktemp("alone")
    config = {**CONFIG, "run": {"name": "digits", "dir": str(folder)}}
    (folder / "digits.yaml").write_text(yaml.safe_dump({**config, "cluster": {"kind": "threaded-scheduler"}}))
    assert CliRunner().invoke(main, ["train", str(folder / "digits.yaml")]).exit_code == 0
    return str(json.loads((folder / "digits/summary.json").read_text())["parameters_sha256"])


def until_epoch(pods: Pods, runner: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if "epoch 1/" in pods.log(runner) or runner.poll() is not None:
            return
        time.sleep(0.1)
    raise AssertionError(pods.log(runner))


@pytest.mark.timeout(180)
def test_the_commands_of_a_daskjob_train_as_one_machine_does(tmp_path: Path, expected: str) -> None:
    with job_in(tmp_path) as pods:
        cluster, job = pods.job["spec"]["cluster"]["spec"], pods.job["spec"]["job"]["spec"]
        runner = pods.start(job)  # first: it waits for the others
        pods.start(cluster["scheduler"]["spec"])
        workers = [
            pods.start(cluster["worker"]["spec"], DASK_WORKER_NAME=f"train-{i}")
            for i in range(cluster["worker"]["replicas"])
        ]
        until_epoch(pods, runner)
        os.killpg(workers[0].pid, signal.SIGKILL)
        workers[0].wait()
        pods.start(cluster["worker"]["spec"], DASK_WORKER_NAME="train-0")  # as its Deployment would
        assert runner.wait(120) == 0, pods.log(runner)
        summary = json.loads((pods.folder / "runs/digits/summary.json").read_text())
        assert summary["parameters_sha256"] == expected
        again = pods.start(job)
        assert again.wait(60) == 0 and "is a finished run; nothing to do" in pods.log(again)


@pytest.mark.timeout(180)
@pytest.mark.slow
def test_a_scheduler_that_is_started_again_costs_no_bit(tmp_path: Path, expected: str) -> None:
    with job_in(tmp_path) as pods:
        cluster, job = pods.job["spec"]["cluster"]["spec"], pods.job["spec"]["job"]["spec"]
        scheduler = pods.start(cluster["scheduler"]["spec"])
        workers = [pods.start(cluster["worker"]["spec"], DASK_WORKER_NAME=f"train-{i}") for i in range(2)]
        runner = pods.start(job)
        until_epoch(pods, runner)
        for process in (scheduler, *workers):  # workers end with their scheduler, and are started again
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        pods.start(cluster["scheduler"]["spec"])
        for i in range(2):
            pods.start(cluster["worker"]["spec"], DASK_WORKER_NAME=f"train-{i}")
        assert runner.wait(150) == 0, pods.log(runner)
        assert "trying again (1 of 3" in pods.log(runner)
        summary = json.loads((pods.folder / "runs/digits/summary.json").read_text())
        assert summary["parameters_sha256"] == expected
