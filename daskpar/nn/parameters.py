"""All parameters of a model in one contiguous buffer, with named views into it.

    entries   |0.weight        |0.bias|..|1.weight     |1.bias|......|
    elements  0                start  stop                           size

One array is sent, reduced, updated and written (FSDP calls it a flat parameter), and a shard is a slice of
it. Every tensor starts at a multiple of 64 bytes. The gaps are zero and stay zero.
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
    """One tensor of the flat buffer.

    Args:
        name: Full name, for example "1.weight".
        shape: Shape of the tensor.
        start: First element in the buffer.
        frozen: The tensor is not trained. Default: False.
        rate: Factor of the learning rate. Default: 1.0.
    """

    name: str
    shape: Shape
    start: int
    frozen: bool = False
    rate: float = 1.0

    @property
    def stop(self) -> int:
        """First element after the tensor."""
        return self.start + math.prod(self.shape)

    @property
    def decays(self) -> bool:
        """True if weight decay applies: for tensors of two axes or more whose name does not end in "bias"."""
        return len(self.shape) >= 2 and not self.name.endswith("bias")

    @property
    def is_statistic(self) -> bool:
        """True for running statistics, which the optimizer does not change (see `Layer.observe`)."""
        return self.name.rpartition(".")[2].startswith("running_")

    @property
    def trains(self) -> bool:
        """True if the optimizer updates the tensor."""
        return not (self.frozen or self.is_statistic)


@dataclass(frozen=True)
class ParameterTable:
    """The place of each tensor of a model in one flat buffer.

    `Optimizer.init` and `Optimizer.update` work on the buffer, and find in the table the ranges that are
    trained or decayed. `views` and `named` return the tensors as arrays that share the memory of the buffer.

    Args:
        entries: Name, shape and first element of each tensor, in the order of the layers.
        size: Elements of the buffer, gaps included.

    Example:
        >>> import numpy as np
        >>> from daskpar import Dense, ParameterTable
        >>> params, _ = Dense(2).init(np.random.default_rng(0), (3,))
        >>> table = ParameterTable.of(params)
        >>> [(entry.name, entry.shape, entry.start) for entry in table.entries]
        [('weight', (3, 2), 0), ('bias', (2,), 16)]
        >>> table.count, table.size
        (8, 32)
        >>> buffer = table.flatten(params, np.float32)
        >>> table.named(buffer)["bias"] += 1
        >>> buffer[16:18]
        array([1., 1.], dtype=float32)
    """

    entries: tuple[Entry, ...]
    size: int

    @classmethod
    def of(cls, params: Params) -> ParameterTable:
        """Return the table for nested `params`, in the order of the layers."""
        return cls.laid_out((name, tuple(value.shape)) for name, value in _walk(params, ""))

    @classmethod
    def laid_out(
        cls, tensors: Iterable[tuple[str, Shape]], like: Mapping[str, Entry] | None = None
    ) -> ParameterTable:
        """Return the table for tensors of these names and shapes, one after the other.

        Args:
            tensors: Names and shapes.
            like: Entries by name, from which `frozen` and `rate` are copied. Default: None.
        """
        entries, start = [], 0
        for name, shape in tensors:
            groups = () if like is None else (like[name].frozen, like[name].rate)
            entries.append(Entry(name, shape, start, *groups))
            start += -(-math.prod(shape) // ALIGN) * ALIGN
        return cls(tuple(entries), start)

    @property
    def count(self) -> int:
        """Number of parameters. Frozen ones count; gaps and running statistics do not."""
        return sum(math.prod(e.shape) for e in self.entries if not e.is_statistic)

    @cached_property
    def decayed(self) -> tuple[tuple[int, int], ...]:
        """Ranges (start, stop) of the buffer that weight decay applies to."""
        return tuple((e.start, e.stop) for e in self.entries if e.decays and e.trains)

    @cached_property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Range (start, stop) of every tensor that is trained, for optimizers that scale each tensor."""
        return tuple((e.start, e.stop) for e in self.entries if e.trains)

    @cached_property
    def statistics(self) -> tuple[tuple[int, int], ...]:
        """Ranges (start, stop) of running statistics that follow the data."""
        return tuple((e.start, e.stop) for e in self.entries if e.is_statistic and not e.frozen)

    @cached_property
    def frozen(self) -> tuple[tuple[int, int], ...]:
        """Ranges (start, stop) of frozen tensors; neighbours are merged."""
        return tuple((start, stop) for start, stop, frozen in self._runs(lambda e: e.frozen) if frozen)

    @cached_property
    def groups(self) -> tuple[tuple[int, int, float], ...] | None:
        """Ranges (start, stop, factor of the learning rate) of all that is trained; neighbours are merged.

        None if nothing is frozen and all factors are 1.
        """
        if not any(e.frozen or e.rate != 1 for e in self.entries):
            return None
        return tuple(run for run in self._runs(lambda e: e.rate if e.trains else 0.0) if run[2])

    def _runs(self, kind: Callable[[Entry], float]) -> Iterator[tuple[int, int, float]]:
        """Yield (start, stop, kind) of neighbouring entries of one kind, with the gaps between them."""
        for value, run in groupby(self.entries, kind):
            entries = list(run)
            yield entries[0].start, -(-entries[-1].stop // ALIGN) * ALIGN, value

    def extent(self, belongs: Callable[[str], bool]) -> tuple[int, int]:
        """Return the slice of the buffer from the first to the last tensor whose name passes `belongs`."""
        inside = [e for e in self.entries if belongs(e.name)]
        return (inside[0].start, -(-inside[-1].stop // ALIGN) * ALIGN) if inside else (0, 0)

    def flatten(self, params: Params, dtype: DTypeLike, xp: Any = np) -> Array:
        """Return a buffer (size,) of `dtype` that holds the tensors of `params`.

        Args:
            params: Parameters or gradients, nested by layer. The order of the dicts does not matter.
            dtype: Dtype of the buffer.
            xp: Array module, numpy or cupy. Default: numpy.
        """
        buffer = xp.zeros(self.size, dtype=dtype)
        named = dict(_walk(params, ""))
        for entry in self.entries:
            buffer[entry.start : entry.stop] = xp.asarray(named[entry.name], dtype=dtype).reshape(-1)
        return buffer

    def views(self, buffer: Array, offset: int = 0) -> Params:
        """Return nested dicts of views into a buffer or a slice of one.

        Args:
            buffer: The buffer, or a slice of it that holds whole tensors.
            offset: Element of the whole buffer at which `buffer` begins. Default: 0.
        """
        params: Params = {}
        for entry in self.entries:
            if offset <= entry.start and entry.stop - offset <= buffer.shape[0]:
                *path, leaf = entry.name.split(".")
                layer = params
                for part in path:
                    layer = layer.setdefault(part, {})
                layer[leaf] = buffer[entry.start - offset : entry.stop - offset].reshape(entry.shape)
        return params

    def named(self, buffer: Array) -> dict[str, Array]:
        """Return views into `buffer` by full name, for example `"1.weight"`."""
        return {e.name: buffer[e.start : e.stop].reshape(e.shape) for e in self.entries}

    def pack(self, named: dict[str, Array], dtype: DTypeLike) -> Array:
        """Return the buffer that holds arrays by full name: the inverse of `named`."""
        buffer = np.zeros(self.size, dtype=dtype)
        for entry in self.entries:
            buffer[entry.start : entry.stop] = named[entry.name].reshape(-1)
        return buffer


def collect(grads: Params, out: Params) -> None:
    """Copy gradients to their place in `out`, except those that the layer has already written there."""
    for name, value in grads.items():
        if isinstance(value, dict):
            collect(value, out.get(name, {}))
        elif value is not out[name]:
            out[name][...] = value


def first_not_finite(table: ParameterTable, buffer: Array, start: int = 0) -> str | None:
    """Return the name of the first tensor with a NaN or an infinity, or None.

    Args:
        table: Table of the buffer.
        buffer: The whole buffer, or a slice of it, which may cut tensors.
        start: Element of the whole buffer at which `buffer` begins. Default: 0.
    """
    xp = array_module(buffer)
    for entry in table.entries:
        value = buffer[max(entry.start - start, 0) : max(entry.stop - start, 0)]
        if not bool(xp.isfinite(value).all()):
            return entry.name
    return None


def check_finite(table: ParameterTable, step: int, params: Array, slots: Mapping[str, Array]) -> None:
    """Raise NotFiniteError for a state with a NaN or an infinity; the message names the tensor.

    Args:
        table: Table of the buffer.
        step: Number of the training step, for the message.
        params: Flat buffer of the parameters.
        slots: State of the optimizer by name. Arrays of another shape than `params` are not checked.
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
