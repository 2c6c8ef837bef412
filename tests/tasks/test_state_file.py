"""States as files."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from test_tasks import gradient_for, make

from daskpar import InputError, tasks
from daskpar.backend import atomic
from daskpar.tasks import state_file


def test_round_trip_keeps_every_bit_and_names_every_tensor(tmp_path: Path) -> None:
    spec, owner = make(optimizer="adam")
    state = tasks.update(spec, 0.1, False, owner, gradient_for(spec, owner)).state
    path = tmp_path / "state.safetensors"
    state_file.write_state(spec, state, path)
    back = state_file.read_state(spec, str(path))
    assert back.step == 1
    np.testing.assert_array_equal(back.params, state.params)
    for name, slot in state.slots.items():
        np.testing.assert_array_equal(back.slots[name], slot)
    assert state_file.digest(spec, back) == state_file.digest(spec, state)
    names = set(safetensors.numpy.load_file(path))
    assert {"params/1.weight", "params/3.bias", "slots/mean/1.weight", "slots/square_mean/3.bias"} <= names


@pytest.mark.parametrize("name", ["1.weight", "1.bias", "3.weight", "3.bias"])
def test_the_digest_is_of_every_bit_of_the_parameters(name: str) -> None:
    """The tests of same bits, and of killed workers, go by it."""
    spec, owner = make()
    params = owner.state.params.copy()
    parameter = spec.table.named(params)[name].reshape(-1)
    parameter[-1] = np.nextafter(parameter[-1], np.float32(1))
    changed = owner.state._replace(params=params)
    assert state_file.digest(spec, changed) != state_file.digest(spec, owner.state)
    assert state_file.digest(spec, owner.state._replace(step=7)) == state_file.digest(spec, owner.state)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, owner = make()
    path = tmp_path / "state.safetensors"
    state_file.write_state(spec, owner.state, path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        state_file.write_state(spec, owner.state._replace(step=9), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_refuses_what_is_no_state(tmp_path: Path, content: bytes | None) -> None:
    spec, _ = make()
    path = tmp_path / "state.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable state of a run"):
        state_file.read_state(spec, str(path))


def test_refuses_the_state_of_another_model(tmp_path: Path) -> None:
    spec, owner = make()
    other, _ = make(["flatten", {"dense": 9}, "relu", {"dense": 10}])
    path = tmp_path / "state.safetensors"
    state_file.write_state(spec, owner.state, path)
    with pytest.raises(InputError, match=r"params/1.weight has shape \(64, 8\), the model expects \(64, 9\)"):
        state_file.read_state(other, str(path))
