"""A disk that fills up: the last good checkpoint remains, and a run goes on from there once there is room."""

import builtins
import errno
import json
import os

import pytest

from daskpar.backend import atomic
from daskpar.cli import lines
from daskpar.train import run_folder


class HalfWritten:
    """A file on a disk that is full after half of what is written to it."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.file.name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()


@pytest.fixture
def full(monkeypatch):
    """Lets a module of daskpar find the disk full when it writes a file whose path holds `part`."""

    def fill(module, part):
        def opened(path, mode="r", *args, **kwargs):
            file = builtins.open(path, mode, *args, **kwargs)
            return HalfWritten(file) if part in str(path) and mode != "r" else file

        monkeypatch.setattr(module, "open", opened, raising=False)

    return fill


def checkpoints(project):
    return sorted(path.name for path in (project.run / "checkpoints").iterdir())


SECOND = "step-00000040"


@pytest.mark.parametrize(
    "module, part",
    [(atomic, f"{SECOND}.partial/.state.safetensors"), (atomic, f"{SECOND}.partial/.state.json")],
    ids=["state", "description"],
)
def test_the_last_good_checkpoint_remains(trained, project, full, monkeypatch, module, part):
    full(module, part)
    said = project.refused("train")
    assert said == (
        f"{project.run}/checkpoints/{SECOND}: the checkpoint could not be written (No space left on device); "
        "the last good one is step-00000020"
    )
    assert checkpoints(project) == ["step-00000020"]
    assert not [p for p in project.folder.rglob("*partial*")]
    assert set(json.loads(project.done("evaluate"))["test"]) == {"loss", "accuracy"}

    monkeypatch.undo()
    project.done("train", "--resume")
    found, unbroken = (json.loads((p.run / "summary.json").read_text()) for p in (project, trained))
    assert found["parameters_sha256"] == unbroken["parameters_sha256"]
    assert checkpoints(project) == checkpoints(trained)


def test_a_checkpoint_that_cannot_reach_the_disk(project, monkeypatch):
    """The file was written, but the disk does not take it."""
    synced, fsync = [], os.fsync

    def fail(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append(path)
        if SECOND in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    assert "the last good one is step-00000020" in project.refused("train")
    assert checkpoints(project) == ["step-00000020"]
    assert any("step-00000020" in path for path in synced)


@pytest.mark.parametrize("earlier", [False, True])
def test_the_first_checkpoint(project, full, earlier):
    if earlier:
        project.done("train", train__epochs=1)
        before = project.files()
    full(atomic, "step-00000020.partial")
    assert project.refused("train").endswith("(No space left on device); the last good one is none")
    assert not list(project.folder.rglob("*partial*"))
    if earlier:  # nothing is lost: it lies aside
        aside = {p: c for p, c in project.files().items() if "tiny.1" in p.parts}
        assert len(aside) == len(before) - 1


@pytest.mark.parametrize(
    "module, part, left",
    [
        (atomic, ".config.yaml", False),
        (atomic, ".history.jsonl", False),
        (run_folder, "history.jsonl", False),
        (atomic, ".summary.json", True),
        (atomic, ".curves.html", True),
    ],
    ids=["config", "empty history", "history", "summary", "curves"],
)
def test_other_files(project, full, module, part, left):
    """One line wherever it happens; what was learnt stays, and a run that learnt nothing leaves nothing."""
    full(module, part)
    assert "No space left on device" in project.refused("train")
    assert not list(project.folder.rglob("*partial*"))
    if left:
        assert "final" in checkpoints(project)


@pytest.mark.parametrize("command, name", [("predict", "out.npy"), ("graph", "step.svg")])
def test_outputs_appear_whole_or_not_at_all(trained, tmp_path, full, command, name):
    target = tmp_path / name
    target.write_text("an earlier one")
    full(lines, name)
    assert trained.refused(command, "-o", target) == f"{target}: cannot be written (No space left on device)"
    assert target.read_text() == "an earlier one"
    assert [p.name for p in tmp_path.iterdir()] == [name]
