"""Check before a training that worker processes share a folder with the client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from daskpar.cluster.executor import ClusterExecutor, Executor
from daskpar.errors import InputError


def check_shared(executor: Executor, folder: Path, advice: str) -> None:
    """Let every worker process read a file in `folder` and write an answer beside it.

    Workers in this process are not asked. The loss of a worker during the check is noticed later.
    Raises InputError with the worker, the folder and `advice` if a worker does not see the file.
    """
    if executor.in_process or not isinstance(executor, ClusterExecutor):
        return
    token = uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".shared-", dir=folder, ignore_cleanup_errors=True) as place:
            (Path(place) / "client").write_text(token)
            answers = executor.client.run(answer, place, token, on_error="ignore")
            names = {address: worker["name"] for address, worker in executor.workers().items()}
            _refuse_unshared(answers, names, Path(place), folder, advice)
    except OSError as error:
        where = error.filename or folder
        raise InputError(f"{where}: the run's folder cannot be written ({error.strerror or error})") from None


def answer(place: str, token: str) -> tuple[str, str]:
    """Write the answer of a worker, and return the answer's file name and the problem, or ""."""
    mine = Path(place) / uuid4().hex
    try:
        if (Path(place) / "client").read_text() != token:
            return mine.name, "another file is there"
        mine.write_text(token)
        return mine.name, ""
    except OSError as error:
        return mine.name, error.strerror or str(error)


def _refuse_unshared(
    answers: Mapping[str, tuple[str, str]],
    names: Mapping[str, object],
    place: Path,
    folder: Path,
    advice: str,
) -> None:
    for address, (name, problem) in sorted(answers.items()):
        if not problem and not (place / name).is_file():
            problem = "its file there does not appear here"
        if problem:
            worker = f"worker {names.get(address, address)} at {address}"
            raise InputError(f"{worker} does not see the folder {folder} ({problem}); {advice}")
