"""All parameters of a model in one contiguous buffer, with named views into it.

One array to send, to reduce, to update and to write (FSDP calls it a flat parameter); a shard is a slice.
Every tensor starts at a multiple of 64 bytes; the gaps are zero and stay zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module
from daskpar.errors import NotFiniteError
from daskpar.nn.layer import Params, Shape

ALIGN = 16  # elements: 64 bytes of float32


@dataclass(frozen=True)
class Entry:
    """One tensor: elements `start` to `stop` of the buffer. `decays`: whether weight decay applies.

    A `frozen` one keeps its bits. `rate`: the factor of its learning rate.
    """

    name: str
    shape: Shape
    start: int
    frozen: bool = False
    rate: float = 1.0

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)

    @property
    def decays(self) -> bool:
        """Matrices and kernels decay; scales of norms, which have one axis, and what is named bias do not."""
        return len(self.shape) >= 2 and not self.name.endswith("bias")

    @property
    def is_statistic(self) -> bool:
        """True for running statistics, which the optimizer leaves alone (see `Layer.observe`)."""
        return self.name.rpartition(".")[2].startswith("running_")

    @property
    def trains(self) -> bool:
        """True where the optimizer moves it."""
        return not (self.frozen or self.is_statistic)


@dataclass(frozen=True)
class ParameterTable:
    """The place of each tensor of a model in its flat buffer."""

    entries: tuple[Entry, ...]
    size: int

    @classmethod
    def of(cls, params: Params) -> ParameterTable:
        """The table for nested `params`, in the order of the layers."""
        return cls.laid_out((name, tuple(value.shape)) for name, value in _walk(params, ""))

    @classmethod
    def laid_out(
        cls, tensors: Iterable[tuple[str, Shape]], like: Mapping[str, Entry] | None = None
    ) -> ParameterTable:
        """The table for tensors of these names and shapes, one after the other.

        `like`: entries by name, whose `frozen` and `rate` they have, too.
        """
        entries, start = [], 0
        for name, shape in tensors:
            groups = () if like is None else (like[name].frozen, like[name].rate)
            entries.append(Entry(name, shape, start, *groups))
            start += -(-math.prod(shape) // ALIGN) * ALIGN
        return cls(tuple(entries), start)

    @property
    def count(self) -> int:
        """Number of parameters, frozen ones included, gaps and running statistics left out."""
        return sum(math.prod(e.shape) for e in self.entries if not e.is_statistic)

    @cached_property
    def decayed(self) -> tuple[tuple[int, int], ...]:
        """The (start, stop) ranges that weight decay applies to."""
        return tuple((e.start, e.stop) for e in self.entries if e.decays and e.trains)

    @cached_property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The (start, stop) range of every tensor that is trained, for optimizers that scale by tensors."""
        return tuple((e.start, e.stop) for e in self.entries if e.trains)

    @cached_property
    def statistics(self) -> tuple[tuple[int, int], ...]:
        """The (start, stop) ranges of running statistics that follow the data."""
        return tuple((e.start, e.stop) for e in self.entries if e.is_statistic and not e.frozen)

    @cached_property
    def frozen(self) -> tuple[tuple[int, int], ...]:
        """The (start, stop) ranges of frozen tensors, neighbours as one."""
        return tuple((start, stop) for start, stop, frozen in self._runs(lambda e: e.frozen) if frozen)

    @cached_property
    def groups(self) -> tuple[tuple[int, int, float], ...] | None:
        """(start, stop, factor of the learning rate) of all that is trained, neighbours as one.

        None where nothing is frozen and all learn at one rate.
        """
        if not any(e.frozen or e.rate != 1 for e in self.entries):
            return None
        return tuple(run for run in self._runs(lambda e: e.rate if e.trains else 0.0) if run[2])

    def _runs(self, kind: Callable[[Entry], float]) -> Iterator[tuple[int, int, float]]:
        """(start, stop, kind) of neighbouring entries of one kind, with the gaps between them."""
        for value, run in groupby(self.entries, kind):
            entries = list(run)
            yield entries[0].start, -(-entries[-1].stop // ALIGN) * ALIGN, value

    def extent(self, belongs: Callable[[str], bool]) -> tuple[int, int]:
        """The slice of the buffer from the first to the last tensor whose name `belongs`."""
        inside = [e for e in self.entries if belongs(e.name)]
        return (inside[0].start, -(-inside[-1].stop // ALIGN) * ALIGN) if inside else (0, 0)

    def flatten(self, params: Params, dtype: DTypeLike, xp: Any = np) -> Array:
        """A buffer of `dtype` that holds `params` (or gradients, whose dicts may be in another order)."""
        buffer = xp.zeros(self.size, dtype=dtype)
        named = dict(_walk(params, ""))
        for entry in self.entries:
            buffer[entry.start : entry.stop] = xp.asarray(named[entry.name], dtype=dtype).reshape(-1)
        return buffer

    def views(self, buffer: Array, offset: int = 0) -> Params:
        """Nested dicts of views into `buffer`, which begins at element `offset` of the whole buffer."""
        params: Params = {}
        for entry in self.entries:
            if offset <= entry.start and entry.stop - offset <= buffer.shape[0]:
                *path, leaf = entry.name.split(".")
                at = params
                for part in path:
                    at = at.setdefault(part, {})
                at[leaf] = buffer[entry.start - offset : entry.stop - offset].reshape(entry.shape)
        return params

    def named(self, buffer: Array) -> dict[str, Array]:
        """Views into `buffer` by full name, e.g. `"1.weight"`."""
        return {e.name: buffer[e.start : e.stop].reshape(e.shape) for e in self.entries}

    def pack(self, named: dict[str, Array], dtype: DTypeLike) -> Array:
        """The buffer whose `named` views are these; the inverse of `named`."""
        buffer = np.zeros(self.size, dtype=dtype)
        for entry in self.entries:
            buffer[entry.start : entry.stop] = named[entry.name].reshape(-1)
        return buffer


def collect(grads: Params, out: Params) -> None:
    """Copy the gradients that a layer did not already write into `out` to their place there."""
    for name, value in grads.items():
        if isinstance(value, dict):
            collect(value, out.get(name, {}))
        elif value is not out[name]:
            out[name][...] = value


def first_not_finite(table: ParameterTable, buffer: Array, start: int = 0) -> str | None:
    """The name of the first tensor in `buffer` with a NaN or an infinity, or None.

    `buffer` may be a slice of the whole one from element `start` on, which cuts tensors.
    """
    xp = array_module(buffer)
    for entry in table.entries:
        value = buffer[max(entry.start - start, 0) : max(entry.stop - start, 0)]
        if not bool(xp.isfinite(value).all()):
            return entry.name
    return None


def check_finite(table: ParameterTable, step: int, params: Array, slots: Mapping[str, Array]) -> None:
    """Refuse a state with a NaN or an infinity, by the name of the tensor.

    `slots`: of the optimizer; those not as long as `params` are passed over.
    """
    bad = first_not_finite(table, params)
    if bad is not None:
        raise NotFiniteError(f"step {step}: parameter {bad} is not finite after the last update")
    for name, slot in slots.items():
        bad = first_not_finite(table, slot) if slot.shape == params.shape else None
        if bad is not None:
            raise NotFiniteError(
                f"step {step}: the optimizer's {name} of {bad} is not finite: gradients too large to be "
                "squared; scale the data, or set train.clip.norm"
            )


def _walk(params: Params, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
