"""Jobs that are started again: they continue, begin, or have nothing to do. A lost cluster is waited for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from daskpar import ClusterLostError, InputError
from daskpar.cli import train
from daskpar.cli.start import Start
from daskpar.config import load_config
from daskpar.train.checkpoint import META, Checkpoints


@pytest.mark.parametrize(
    "start, message",
    [
        (Start(resume=True, or_start=True), "--resume needs a checkpoint, --resume-or-start does not"),
        (Start(or_start=True, path="x"), "--resume-or-start continues this run, --from begins with another"),
    ],
)
def test_options_that_exclude_each_other(start: Start, message: str) -> None:
    with pytest.raises(InputError, match=message):
        start.check()


@pytest.mark.parametrize(
    "start, saved, then",
    [
        (Start(or_start=True), None, Start()),
        (Start(or_start=True), Path("step-1"), Start(resume=True)),
        (Start(resume=True), Path("step-1"), Start(resume=True)),
        (Start(path="x"), Path("step-1"), Start(path="x")),
    ],
)
def test_a_checkpoint_decides(start: Start, saved: Path | None, then: Start) -> None:
    assert start.at(saved) == then


def test_another_attempt_is_from_the_last_checkpoint() -> None:
    assert Start(path="x").again(None) == Start(path="x")
    assert Start(path="x", fresh_optimizer=True).again(Path("step-1")) == Start(resume=True)


def test_it_begins_continues_and_ends(project: Any) -> None:
    assert "resumed" not in project.done("train", "--resume-or-start")
    first = json.loads((project.run / "summary.json").read_text())
    assert "is a finished run; nothing to do" in project.done("train", "--resume-or-start")
    for lost in ("summary.json", "checkpoints/final"):  # as if it had been killed at its end
        path = project.run / lost
        path.unlink() if path.is_file() else shutil.rmtree(path)
    assert "resumed at step" in project.done("train", "--resume-or-start")
    again = json.loads((project.run / "summary.json").read_text())
    assert again["parameters_sha256"] == first["parameters_sha256"]
    assert not Path(f"{project.run}.1").exists()


def test_a_finished_run_of_another_config_is_refused(project: Any) -> None:
    project.done("train", "--resume-or-start")
    assert "is the run of another config" in project.refused("train", "--resume-or-start", train__seed=9)


def test_a_run_that_died_before_its_first_checkpoint_is_replaced(project: Any) -> None:
    project.run.mkdir(parents=True)
    (project.run / "config.yaml").write_text("run: {}\n")
    (project.run / "history.jsonl").write_text("")
    project.done("train", "--resume-or-start")
    assert not Path(f"{project.run}.1").exists()


def test_a_folder_with_files_of_someone_else_is_moved(project: Any) -> None:
    project.run.mkdir(parents=True)
    (project.run / "notes.txt").write_text("mine")
    project.done("train", "--resume-or-start")
    assert (Path(f"{project.run}.1") / "notes.txt").read_text() == "mine"


def checkpoint(folder: Path, step: int) -> None:
    path = folder / f"step-{step:08d}"
    path.mkdir(parents=True)
    (path / META).write_text("{}")


def test_attempts_are_counted_since_the_last_checkpoint(tmp_path: Path) -> None:
    attempts = train.Attempts(Checkpoints(tmp_path))
    assert attempts.again() and attempts.again() and attempts.count == 2
    checkpoint(tmp_path, 1)
    assert attempts.again() and attempts.count == 1
    assert [attempts.again() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("kind, times", [("threads", 1), ("env", 4), ("address", 4), ("kubernetes", 4)])
def test_a_lost_cluster_is_opened_again_where_it_can_return(
    project: Any, monkeypatch: pytest.MonkeyPatch, kind: str, times: int
) -> None:
    starts: list[Start] = []

    def lose(config: Any, start: Start, *_: object) -> None:
        starts.append(start)
        raise ClusterLostError("the scheduler is gone; start a cluster")

    monkeypatch.setattr(train, "_run_once", lose)
    config = load_config(str(project.config), [f"cluster.kind={kind}"])
    lines: list[str] = []

    class Console:
        def print(self, line: str) -> None:
            lines.append(line)

    with pytest.raises(ClusterLostError):
        train.run(config, Start(), Console())  # type: ignore[arg-type]
    assert len(starts) == times
    if times > 1:
        assert lines[0] == "the scheduler is gone; trying again (1 of 3 without a new checkpoint)"


def test_a_cluster_is_kept_only_where_there_are_pods(project: Any) -> None:
    assert project.refused("train", "--keep-cluster") == (
        "--keep-cluster is for cluster.kind=kubernetes, not threaded-scheduler"
    )
