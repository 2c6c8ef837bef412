"""The state of a run as a safetensors file, which any worker that sees the file can load again.

params/0.weight            parameters, unsharded, by full name
slots/mean/0.weight        optimizer state, one array for each parameter and slot
slots/replica-0/...        states of replicas
metadata: step             number of steps so far
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from daskpar.backend.array import to_numpy
from daskpar.backend.atomic import atomic_write
from daskpar.errors import InputError
from daskpar.layout.compression import REMAINDER
from daskpar.tasks.types import Spec, State

StateFile = str | bytes
"""A state's file: its path or, for workers that do not see the path, its content."""


def write_state(spec: Spec, state: State, path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write parameters and slots by full name, unsharded, so that a run resumes under any layout.

    The file is replaced atomically. `texts` are metadata besides the step.

    Raises:
        OSError: The file cannot be written, e.g. on a full disk.
    """
    write_tensors(path, state.step, tensors_of(spec, state), texts)


def tensors_of(spec: Spec, state: State) -> dict[str, np.ndarray]:
    """Return parameters and slots by their names in a file: `params/<name>`, `slots/<slot>/<name>`."""
    tensors = {f"params/{k}": v for k, v in named_parameters(spec, state.params).items()}
    for slot, buffer in state.slots.items():
        tensors |= {f"slots/{slot}/{k}": v for k, v in named_parameters(spec, buffer).items()}
    return tensors


def state_content(spec: Spec, state: State) -> bytes:
    """Return the content of the file that `write_state` would write."""
    return safetensors.numpy.save(tensors_of(spec, state), metadata={"step": str(state.step)})


def write_tensors(
    path: Path, step: int, tensors: dict[str, np.ndarray], texts: Mapping[str, str] | None = None
) -> None:
    """Write the tensors of a state after `step` steps, and `texts`. The file is replaced atomically."""
    atomic_write(path, safetensors.numpy.save(tensors, metadata={**(texts or {}), "step": str(step)}))


def read_state(spec: Spec, path: StateFile, prefix: str = "") -> State:
    """Read a state that `write_state` has written.

    Args:
        spec: The run.
        path: Path of the file, or its content.
        prefix: Name of a state among the slots, such as `replica-0`. A file without it returns the whole
            state. Default: "", the whole state.

    Raises:
        InputError: The file does not fit the model or the optimizer.
    """
    step, tensors = read_tensors(path)
    within = f"slots/{prefix}/"
    if prefix and any(name.startswith(f"{within}params/") for name in tensors):
        params = _packed(spec, tensors, f"{within}params/", path)
        names = {name[len(within) :].split("/")[0] for name in tensors if name.startswith(within)}
        names = {name for name in names if name != "params" and not name.startswith(REMAINDER)}
        slots = {name: _packed(spec, tensors, f"{within}{name}/", path) for name in sorted(names)}
        return State(step, params, slots)
    params = _packed(spec, tensors, "params/", path)
    slots = {name: _packed(spec, tensors, f"slots/{name}/", path) for name in spec.optimizer.init(params)}
    return State(step, params, slots)


def read_whole(spec: Spec, path: StateFile) -> State:
    """Read a state with all its slots, such as the states of replicas.

    Raises:
        InputError: The file does not fit the model or the optimizer.
    """
    state = read_state(spec, path)
    return state._replace(slots={**read_slots(spec, path, ""), **state.slots})


def read_slots(spec: Spec, path: StateFile, beginning: str, prefix: str = "") -> dict[str, np.ndarray]:
    """Read the slots whose names begin with `beginning`; `prefix` is as for `read_state`."""
    within = f"slots/{prefix}/" if prefix else "slots/"
    _, tensors = read_tensors(path, within + beginning)
    names = sorted({name[len(within) :].rpartition("/")[0] for name in tensors})
    return {name: _packed(spec, tensors, f"{within}{name}/", path) for name in names}


def read_tensors(path: StateFile, beginning: str = "") -> tuple[int, dict[str, np.ndarray]]:
    """Read the step of a file, given by path or content, and its tensors whose names begin with `beginning`.

    Raises:
        InputError: The file is no readable state.
    """
    if isinstance(path, bytes):
        return _step_in(path), {
            k: v for k, v in safetensors.numpy.load(path).items() if k.startswith(beginning)
        }
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            step = int((file.metadata() or {})["step"])
            return step, {name: file.get_tensor(name) for name in file.keys() if name.startswith(beginning)}
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a readable state of a run ({error})") from None


def _step_in(content: bytes) -> int:
    """Return the step in the header of a file's content: 8 bytes with the header's length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    return int(json.loads(content[8 : 8 + length])["__metadata__"]["step"])


def _packed(spec: Spec, tensors: dict[str, np.ndarray], prefix: str, path: StateFile) -> np.ndarray:
    for entry in spec.table.entries:
        tensor = tensors.get(prefix + entry.name)
        if tensor is None or tensor.shape != entry.shape:
            has = "nothing" if tensor is None else f"shape {tensor.shape}"
            raise InputError(
                f"{_name(path)}: {prefix}{entry.name} has {has}, the model expects {entry.shape}; "
                "was it written by another model or optimizer?"
            )
    named = {entry.name: tensors[prefix + entry.name] for entry in spec.table.entries}
    packed: np.ndarray = spec.xp.asarray(spec.table.pack(named, spec.precision))
    return packed


def _name(path: StateFile) -> str:
    return path if isinstance(path, str) else "the state that was sent"


def named_parameters(spec: Spec, buffer: np.ndarray) -> dict[str, np.ndarray]:
    """Return the parameters in a flat buffer as arrays of the host, by full name."""
    return {k: np.ascontiguousarray(to_numpy(v)) for k, v in spec.table.named(buffer).items()}


def digest(spec: Spec, state: State) -> str:
    """Return the SHA-256 over the bytes of all parameters, in the order of their names."""
    sha = hashlib.sha256()
    for _, value in sorted(named_parameters(spec, state.params).items()):
        sha.update(value.tobytes())
    return sha.hexdigest()
