"""Check whether worker processes share a folder with the client, and whether they can read the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from daskpar.cluster.executor import ClusterExecutor, Executor
from daskpar.errors import InputError


def why_not_shared(executor: Executor, folder: Path) -> str | None:
    """Return the reason why a worker does not share `folder`, or None if all do.

    Every worker process reads a file in the folder and writes an answer beside it. Workers in this process
    are not asked. The loss of a worker during the check is noticed later.

    Raises InputError if this process cannot write there.
    """
    if executor.in_process or not isinstance(executor, ClusterExecutor):
        return None
    token = uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".shared-", dir=folder, ignore_cleanup_errors=True) as place:
            (Path(place) / "client").write_text(token)
            answers = executor.client.run(answer, place, token, on_error="ignore")
            names = {address: worker["name"] for address, worker in executor.workers().items()}
            return _unshared(answers, names, Path(place), folder)
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


def _unshared(
    answers: Mapping[str, tuple[str, str]], names: Mapping[str, object], place: Path, folder: Path
) -> str | None:
    for address, (name, problem) in sorted(answers.items()):
        if not problem and not (place / name).is_file():
            problem = "its file there does not appear here"
        if problem:
            worker = f"worker {names.get(address, address)} at {address}"
            return f"{worker} does not see the folder {folder} ({problem})"
    return None


def workers_read(executor: Executor, read: Callable[[], object]) -> bool:
    """Return whether every worker process can call `read`, e.g. to read a row of the data."""
    if executor.in_process or not isinstance(executor, ClusterExecutor):
        return True
    return all(executor.client.run(_succeeds, read, on_error="ignore").values())


def _succeeds(read: Callable[[], object]) -> bool:
    try:
        read()
    except (OSError, InputError):  # no such file, or not the one that the client sees
        return False
    return True
