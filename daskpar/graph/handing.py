"""What one part of a model hands to the next, forward and backward: the tasks between those of two parts.

    whole → branches in width    the same value for each       branches → whole    summed by a tree, or joined
    whole → tiles                its rows for each (`pick`)    tiles → whole       laid one below the other
    tile → tile                  as it is, and the rows that its neighbours lack (`halo`)

On the way back it is the other way round: what two tiles have both needed, both give a gradient of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs
from daskpar.graph.layout import Layout
from daskpar.graph.partition import Partition
from daskpar.graph.reduce import add_tree
from daskpar.graph.schedule import BACKWARD, FORWARD
from daskpar.nn.space import Rows, overlap

Where = tuple[int, int]
"""(lane, micro-batch)"""


class Given(NamedTuple):
    """What a branch is given: a value, and where tiles exchange rows, what others lend it."""

    value: Key
    edges: tuple[Key, ...] | None = None


_SEND: dict[str, Callable[..., Any]] = {
    "activation": tasks.send_activation,
    "gradient": tasks.send_gradient,
    "parameters": tasks.send_parameters,
    "targets": tasks.send_targets,
}


def sent(graph: Graph, key: Key, kind: str, home: int) -> Key:
    """The key of what other processes need of a value that is at `home`; added once."""
    operation, index = f"send-{kind}", (*key[1:], key[0].rpartition("-")[0])
    found = graph.key(operation, *index)
    if found not in graph.lanes:
        graph.add(operation, index, _SEND[kind], Ref(key), lane=home)
    return found


class Handing:
    """Adds what lies between the parts of one step to a graph; arguments as for `Flow`."""

    def __init__(
        self, graph: Graph, layout: Layout, cut: Partition, step: int, batches: list[Key], apart: bool
    ):
        self.graph, self.layout, self.cut = graph, layout, cut
        self.step, self.batches, self.apart = step, batches, apart
        self._bare = set(batches)  # what nothing need be left out of

    def place(self, lane: int, part: int, branch: int = 0) -> int:
        return self.layout.place(lane, self.cut.parts[part].stage, branch)

    def begin(self, where: Where) -> list[Given]:
        """What the branches of the first part are given: the lane's batch, or rows of its pixels."""
        lane, _ = where
        part, batch = self.cut.parts[0], self.batches[lane]
        if not part.strips:
            return [Given(batch)] * len(part.spans)
        return self._dealt(batch, (self.step, lane), [strip.needs for strip in part.strips])

    def onward(self, i: int, where: Where, given: Key, keys: list[Key]) -> list[Given]:
        """What the branches of part i + 1 are given, of what those of part i have put out.

        `given`: what flowed into part i.
        """
        part, after = self.cut.parts[i], self.cut.parts[i + 1]
        if part.strips and after.strips:
            return self._between(FORWARD, i, where, keys)
        whole = self.joined(i, where, given, keys)
        if not after.strips:
            return [Given(whole)] * len(after.spans)
        return self._dealt(whole, (self.step, i, *where), [strip.needs for strip in after.strips])

    def joined(self, i: int, where: Where, given: Key, keys: list[Key]) -> Key:
        """What the branches of a part have put out, as one value."""
        part = self.cut.parts[i]
        if part.strips:
            return self._stacked(FORWARD, i, where, keys, tasks.stack_forward)
        if part.section is None:
            return keys[0]
        return self._summed(FORWARD, i, where, given, keys, part.section.sums)

    def back(self, i: int, where: Where, above: Key, keys: list[Key]) -> list[Given]:
        """What flows back into the branches of part i - 1, of what those of part i have given.

        `above`: what flowed back into part i.
        """
        part, below = self.cut.parts[i], self.cut.parts[i - 1]
        if part.first <= self.cut.first_trained:
            return [Given(keys[k % len(keys)]) for k in range(len(below.spans))]
        if part.strips and below.strips:
            return self._between(BACKWARD, i, where, keys)
        whole = keys[0]
        if part.strips:
            height, needs = part.strips[-1].has.stop, [strip.needs for strip in part.strips]
            whole = self._stacked(BACKWARD, i, where, keys, tasks.stack_backward, height, needs)
        elif part.section is not None:
            whole = self._summed(BACKWARD, i, where, above, keys, True)
        return self.shared_out(i - 1, where, whole)

    def shared_out(self, i: int, where: Where, above: Key) -> list[Given]:
        """One value that flows back, for the branches of part i."""
        part = self.cut.parts[i]
        if not part.strips:
            return [Given(above)] * len(part.spans)
        gives = [strip.gives for strip in part.strips]
        return self._dealt(above, (self.step, i, *where, BACKWARD), gives)

    def send(self, key: Key, place: int, kind: str, home: int | None = None) -> Key:
        """The key of what a place needs of a value: where it lies with another process, not all of it.

        `home`: where the value is, if this graph does not say.
        """
        home = self.graph.lanes.get(key, home)
        bare = key in self._bare and kind != "targets"
        if not self.apart or bare or home is None or home == place:
            return key
        return sent(self.graph, key, kind, home)

    def _dealt(self, key: Key, index: tuple[Any, ...], rows: list[Rows]) -> list[Given]:
        """For each tile its rows of pixels of a value."""
        at = self.graph.lanes[key]
        keys = [
            self.graph.add("pick-rows", (*index, t), tasks.pick_rows, Ref(key), own, lane=at)
            for t, own in enumerate(rows)
        ]
        self._bare.update(keys)
        return [Given(found) for found in keys]

    def _between(self, verb: str, i: int, where: Where, keys: list[Key]) -> list[Given]:
        """For each tile what it has itself, and what others have for it."""
        lane, micro = where
        strips = self.cut.parts[i + (verb == FORWARD)].strips
        if all(strip.needs == strip.has for strip in strips):
            return [Given(key) for key in keys]
        forward = verb == FORWARD
        operation = "halo-activation" if forward else "halo-gradient"
        found = []
        for t, strip in enumerate(strips):
            edges = []
            for u, other in enumerate(strips):
                has, wanted = (other.has, strip.needs) if forward else (other.needs, strip.has)
                rows = overlap(has, wanted)
                if u != t and rows.start < rows.stop:
                    index = (self.step, lane, i, micro, u, t)
                    given = (Ref(keys[u]), has.start, rows)
                    at = self.graph.lanes[keys[u]]
                    edges.append(self.graph.add(operation, index, tasks.halo, *given, lane=at))
            found.append(Given(keys[t], tuple(edges)))
        return found

    def _stacked(
        self, verb: str, i: int, where: Where, keys: list[Key], stack: Callable[..., Any], *how: Any
    ) -> Key:
        """The tiles of an image, one below the other."""
        lane, micro = where
        place, kind = self.place(lane, i), "activation" if verb == FORWARD else "gradient"
        given = refs([self.send(key, place, kind) for key in keys])
        index = (self.step, lane, i, verb, micro)
        return self.graph.add(f"join-{kind}", index, stack, *how, *given, lane=place)

    def _summed(self, verb: str, i: int, where: Where, other: Key, keys: list[Key], sums: bool) -> Key:
        """What the parts in width put out, as one value; by a tree where it is a sum."""
        lane, micro = where
        kind = "activation" if verb == FORWARD else "gradient"
        place = self.place(lane, i)
        index: tuple[Any, ...] = (self.step, lane, i, verb, micro)
        places = [self.place(lane, i, branch) for branch in range(len(keys))]
        keys = [self.send(key, place, kind) for key in keys]
        if sums:
            tree = (self.graph, "reduce-activation", index, keys, places, self.layout.fan_in)
            keys = list(add_tree(*tree, reduce=tasks.add_outputs))
        given = refs([self.send(other, place, kind), *keys])
        operation, root = "reduce-activation" if sums else "join-activation", (*index, "root")
        if verb == FORWARD:
            return self.graph.add(operation, root, tasks.join_forward, sums, *given, lane=place)
        return self.graph.add(operation, root, tasks.join_backward, *given, lane=place)
