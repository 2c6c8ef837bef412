"""Paths as people give them: relative, with a tilde, as `Path`; and folders that workers do not see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import InputError, Trainer
from daskpar.cluster import storage
from daskpar.cluster.executor import THREADED, ClusterExecutor
from daskpar.config import Config
from daskpar.data import Images, Mnist, Npy, Npz, Split, Text, find_mnist, find_text
from daskpar.data.paths import absolute

X = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
DENSE = [{"dense": 2}]
SOURCES: dict[str, Any] = {
    "npz": lambda folder: Npz(f"{folder}/data.npz"),
    "npy": lambda folder: Npy(f"{folder}/x.npy", f"{folder}/y.npy"),
    "text": lambda folder: Text(f"{folder}/a.txt", 8),
    "images": lambda folder: Images(f"{folder}/pictures", (4, 4)),
    "mnist": lambda folder: Mnist(f"{folder}/mnist", "train"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    (tmp_path / "a.txt").write_text("hello you there, " * 40)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def workers_elsewhere(processes_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    (before,) = set(processes_client.run(os.getcwd).values())
    processes_client.run(os.chdir, str(tmp_path_factory.mktemp("elsewhere")))
    yield processes_client
    processes_client.run(os.chdir, before)


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("folder", [".", "~", "../{name}"])
def test_a_source_knows_its_whole_path(here: Path, make: Any, folder: str) -> None:
    assert make(folder.format(name=here.name)) == make(str(here))


@pytest.mark.parametrize("name", ["npz", "npy", "text"])
def test_workers_in_another_folder_read_it(here: Path, workers_elsewhere: Any, name: str) -> None:
    model = [{"embedding": {"words": 20, "features": 4}}, {"dense": 20}] if name == "text" else DENSE
    hashes = [
        Trainer(model, batch=16, client=client).fit(Split(SOURCES[name]("."))).parameters_sha256_
        for client in (workers_elsewhere, THREADED)
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("folder", ["runs/mine", Path("runs/mine"), "~/runs/mine"])
def test_a_run_in_a_relative_folder(here: Path, workers_elsewhere: Any, folder: Any) -> None:
    trainer = Trainer(DENSE, batch=16, folder=folder, client=workers_elsewhere).fit(X, Y)
    wanted = trainer.evaluate(X, Y)
    assert (here / "runs/mine/checkpoints/final").is_dir()
    restored = Trainer(DENSE, batch=16, client=workers_elsewhere).restore("runs/mine/checkpoints/final")
    assert restored.evaluate(X, Y) == wanted


def test_a_process_that_changes_its_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, source = Trainer(DENSE, batch=16, folder="runs", client=THREADED), Npz("data.npz")
    (here / "other").mkdir()
    monkeypatch.chdir(here / "other")
    trainer.fit(Split(source))
    assert (here / "runs/checkpoints/final").is_dir() and not list(Path(".").iterdir())


def test_data_of_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKPAR_DATA", ".")
    assert Text(find_text(None), 8).path == str(here / "tinyshakespeare.txt")
    (here / "mnist").mkdir()
    (here / "mnist/train-images-idx3-ubyte").touch()
    assert find_mnist() == find_mnist("~") == str(here / "mnist")


def test_configs_keep_what_was_written(here: Path) -> None:
    config = Config.model_validate(
        {"run": {"dir": "~/runs"}, "data": {"path": "a.npz"}, "model": ["flatten"]}
    )
    assert config.folder == here / "runs/run"
    assert "dir: ~/runs" in config.as_yaml() and "path: a.npz" in config.as_yaml()


@pytest.mark.parametrize("folder", ["runs/late", Path("runs/late"), b"runs/late"], ids=repr)
def test_a_folder_that_is_set_later(here: Path, folder: Any) -> None:
    trainer = Trainer([{"dense": 2}])
    trainer.folder = folder
    assert trainer.folder == Path.cwd() / "runs/late"


@pytest.mark.parametrize("path", [None, 3, "", "a\0b", ["x.npz"]], ids=repr)
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(InputError, match=r"(npz.path=.*: expected a text|Npz\(path=...\): expected a path)"):
        Npz(path)


def test_a_relative_path_where_there_is_no_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    shutil.rmtree(here / "gone")
    with pytest.raises(InputError, match="relative, but the current folder no longer exists"):
        absolute("data.npz")
    assert absolute("/data.npz") == "/data.npz"


SEEN = {
    "not there": lambda place, token: ("x", "No such file or directory"),
    "read-only": lambda place, token: ("x", "Read-only file system"),
    "another disk of this name": lambda place, token: ("x", ""),
}


@pytest.mark.parametrize("answer", SEEN.values(), ids=SEEN)
@pytest.mark.parametrize("use", ["folder", "no folder"])
def test_a_worker_that_does_not_see_the_folder_is_named_and_the_run_goes_on(
    tmp_path: Path,
    processes_client: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Any,
    use: str,
) -> None:
    folder = None if use == "no folder" else tmp_path / "runs"
    monkeypatch.setattr(storage, "answer", answer)
    with caplog.at_level("INFO", "daskpar"):
        Trainer(DENSE, batch=16, folder=folder, client=processes_client).fit(X, Y)
    (line,) = [r.getMessage() for r in caplog.records if "travel through the client" in r.getMessage()]
    assert line.startswith(("worker 0 at tcp://127.0.0.1", "worker 1 at tcp://127.0.0.1"))
    assert "storage that all workers share" in line and (folder is None or str(folder) in line)
    assert not list(tmp_path.rglob(".shared-*"))


def test_what_a_worker_answers(tmp_path: Path) -> None:
    assert storage.answer(str(tmp_path / "none"), "1")[1] == "No such file or directory"
    (tmp_path / "client").write_text("2")
    assert storage.answer(str(tmp_path), "1")[1] == "another file is there"
    name, problem = storage.answer(str(tmp_path), "2")
    assert not problem and (tmp_path / name).is_file()


def test_threads_are_not_asked(threads_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "answer", None)
    Trainer(DENSE, batch=16, folder=tmp_path, client=threads_client).fit(X, Y)


def test_a_folder_that_cannot_be_made(processes_client: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*cannot be written"):
        storage.why_not_shared(ClusterExecutor(processes_client, 1), tmp_path / "file" / "runs")
