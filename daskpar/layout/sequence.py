"""Sequence parallelism: the positions of a text are cut into shares, and attention becomes a ring.

Each share is a track of its lane. A track attends to its own keys first, then to those of the other tracks,
which travel from neighbour to neighbour (`send-keys`). `sequence: 3`, causal attention, so a track needs only
the keys of the tracks before it:

                                      hop 0             hop 1             hop 2
    track 0   project-attention ─┬─> keys of track 0                                      ─> forward-...
                                 └──────────────────┐
    track 1   project-attention ─┬─> keys of track 1 ─> keys of track 0                   ─> forward-...
                                 └──────────────────┐                 └──┐
    track 2   project-attention ───> keys of track 2 ─> keys of track 1 ─> keys of track 0 ─> forward-...

A hop is a `ring-attention` task, and `forward-multi-head-attention` finishes the softmax. Backward, the keys
travel once more together with their gradients, which are sent to their owner at the end. Each track runs all
other operations on its share alone. One tree adds the gradients of parameters over lanes and shares.

Reference: Liu et al. 2023, "Ring attention with blockwise transformers for near-infinite context".
https://arxiv.org/abs/2310.01889
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace

from daskpar.errors import InputError
from daskpar.layout.arguments import Output, PassId, Source, reading
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.described import Described
from daskpar.layout.pipeline_schedule import BACKWARD, FORWARD
from daskpar.layout.plan import Index, Kind, Op, Plan, Section
from daskpar.settings import setting

_AXES = ("lane", "part", "micro", "branch")
_PROJECT = {
    FORWARD: Kind("project-attention", "forward", _AXES),
    BACKWARD: Kind("project-attention-again", "backward", _AXES),
}
_RING = {
    FORWARD: Kind("ring-attention", "forward", (*_AXES, "hop")),
    BACKWARD: Kind("ring-attention-backward", "backward", (*_AXES, "hop")),
}
_BEGIN = Kind("begin-ring-backward", "backward", _AXES)
_KEYS = Kind("send-keys", "send", (*_AXES, "hop", "pass"), urgent=True)
_KEY_GRADIENTS = Kind("send-key-gradients", "send", (*_AXES, "hop"), urgent=True)
_Visits = dict[tuple[int, int], Output]
"""A value for each share and hop."""


@dataclass(frozen=True)
class Sequence(Cut):
    """Sequence parallelism: shares of the positions of every example."""

    sequence: int = setting(
        1,
        "shares that the positions of a sequence are cut into (sequence or context parallelism, ring "
        "attention)",
        at_least=1,
    )

    @property
    def tracks_per_lane(self) -> int:
        return self.sequence

    def check(self, demands: Demands) -> None:
        if self.sequence == 1:
            return
        whole = next((measure.kind for measure in demands.measures if not measure.over_positions), None)
        if whole is not None:
            raise InputError(
                f"layout.sequence={self.sequence}: {whole} of a sequence does not follow from its positions; "
                "use another loss or metric, or cut in data or stages"
            )
        if demands.in_units:
            raise InputError(
                f"layout.sequence={self.sequence}: metrics in the units of targets that were transformed "
                "need whole sequences; leave out the metrics, or the transforms of targets"
            )

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        """Return the plan with each track on its share of the positions, and rings of attention."""
        return plan if self.sequence == 1 else replace(plan, step=_Rings(plan.step, run).written())


class _Rings:
    """The rewriting of a step: each attention part becomes a ring.

    `old` is the step in which every track runs such a part as if it were alone.
    """

    def __init__(self, old: Section, run: Described):
        self.old, self.run, self.new = old, run, Section()
        self.shares = run.layout.tracks_per_lane
        self.moved: dict[int, Output] = {}  # the outputs of the new step, by the operation of the old one
        self.rings: dict[tuple[object, ...], list[int]] = {}  # operations of all shares, one ring each
        for number, op in enumerate(old.ops):
            ring = self._ring_of(op)
            if ring is not None:
                self.rings.setdefault(ring, []).append(number)

    def written(self) -> Section:
        """Return the new step."""
        for number in range(len(self.old.ops)):
            self.read(Output(number))
        results = {name: tuple(map(self._source, sources)) for name, sources in self.old.results.items()}
        return Section(self.new.ops, results)

    def read(self, old: Output) -> Output:
        """Return the output of the new step for one of the old step. Operations that it reads come first."""
        if old.number not in self.moved:
            op = self.old.ops[old.number]
            ring = self._ring_of(op)
            if ring is None:
                self.moved[old.number] = self._alone(op)
            else:
                ops = [self.old.ops[number] for number in self.rings[ring]]
                outputs = self._forward(ops) if op.kind.verb == FORWARD else self._backward(ops)
                self.moved |= dict(zip(self.rings[ring], outputs, strict=True))
        return self.moved[old.number]

    def _ring_of(self, op: Op) -> tuple[object, ...] | None:
        """Return the common key of the operations of one ring; None for all other operations."""
        pass_id = _pass_id(op)
        if (
            op.function not in ("forward_part", "backward_part")
            or self.run.partition.ring(pass_id.part) is None
        ):
            return None
        return op.kind.verb, pass_id.track // self.shares, pass_id._replace(track=0)

    def _alone(self, op: Op) -> Output:
        function, arguments = op.function, self._read_all(op.arguments)
        if function == "load_batch":
            model, step, *rows = arguments
            function, arguments = "load_share", (model, step, _number(op) % self.shares, *rows)
        elif function == "forward_loss":
            function = "share_loss"
        instead = None if op.instead is None else self._source(op.instead)
        return self.new.add(
            op.kind, function, op.coordinates, op.slot, *arguments, needs=op.needs, instead=instead
        )

    def _forward(self, ops: Several[Op]) -> list[Output]:
        projected = [self._projected(FORWARD, op, self._read_all(op.arguments)[5]) for op in ops]
        keys, seen = _Visits(), _Visits()
        for share, hop in self._visits(ops):
            self._pass_keys(FORWARD, ops, projected, keys, seen, share, hop)
            before = seen.get((share, hop - 1))
            arguments = (*ops[share].arguments[:3], projected[share], keys[share, hop], before)
            seen[share, hop] = self._add(_RING[FORWARD], "ring_attention", ops[share], arguments, hop)
        outputs = []
        for share, op in enumerate(ops):
            last = seen[share, self._hops(ops, share) - 1]
            arguments = (*op.arguments[:3], projected[share], last, *self._read_all(op.arguments[6:]))
            outputs.append(self._instead(op, "finish_attention", arguments))
        return outputs

    def _backward(self, ops: Several[Op]) -> list[Output]:
        inputs = [self._read_all(op.arguments) for op in ops]  # model, step, where, forward, above, ...
        slopes = [
            self._add(_BEGIN, "begin_ring_backward", op, (*known[:5], known[8], *known[9:]))
            for op, known in zip(ops, inputs, strict=True)
        ]
        projected = self._kept(ops, slopes)
        keys, back, gradients = _Visits(), _Visits(), _Visits()
        for share, hop in self._visits(ops):
            self._pass_keys(BACKWARD, ops, projected, keys, back, share, hop)
            arrived = gradients.get(((share - 1) % self.shares, hop - 1))
            arguments = (
                *(*inputs[share][:3], projected[share], inputs[share][3], slopes[share]),
                *(keys[share, hop], back.get((share, hop - 1)), arrived),
            )
            back[share, hop] = self._add(
                _RING[BACKWARD], "ring_attention_backward", ops[share], arguments, hop
            )
            gradients[share, hop] = self._add(
                _KEY_GRADIENTS, "send_key_gradients", ops[share], (back[share, hop],), hop
            )
        outputs = []
        for share, (op, known) in enumerate(zip(ops, inputs, strict=True)):
            own = back[share, self._hops(ops, share) - 1]
            last = max(hop for hop in range(self.shares) if ((share + hop) % self.shares, hop) in gradients)
            home = gradients[(share + last) % self.shares, last]
            arguments = (*known[:3], projected[share], *known[3:5], own, home, known[7], *known[9:])
            outputs.append(self._instead(op, "finish_ring_backward", arguments))
        return outputs

    def _projected(self, verb: str, op: Op, after: object) -> Output:
        """Add the queries and keys of a track, from the forward operation of its part."""
        known = self._read_all(op.arguments)
        arguments = (*known[:4], after, *known[6:])
        return self._add(_PROJECT[verb], "project_attention", op, arguments)

    def _kept(self, ops: Several[Op], slopes: Several[Output]) -> list[Output]:
        """Return the queries and keys of the forward pass; with `recompute` they are computed again."""
        kept = []
        for op, slope in zip(ops, slopes, strict=True):
            forward = op.arguments[3]
            assert isinstance(forward, Output)
            if self.run.layout.recompute:
                kept.append(self._projected(BACKWARD, self.old.ops[forward.number], slope))
            else:
                finish = self.new.ops[self.read(forward).number]
                projected = finish.arguments[3]
                assert isinstance(projected, Output)
                kept.append(projected)
        return kept

    def _visits(self, ops: Several[Op]) -> list[tuple[int, int]]:
        """Return (share, hop) of all hops, each behind those that it reads."""
        shares = range(self.shares)
        return [(share, hop) for hop in shares for share in shares if hop < self._hops(ops, share)]

    def _hops(self, ops: Several[Op], share: int) -> int:
        """Return the number of blocks that a share attends to: if causal, its own and those before."""
        ring = self.run.partition.ring(_pass_id(ops[0]).part)
        assert ring is not None
        return share + 1 if ring.causal else self.shares

    def _pass_keys(
        self,
        verb: str,
        ops: Several[Op],
        projected: Several[Output],
        keys: _Visits,
        done: _Visits,
        share: int,
        hop: int,
    ) -> None:
        """Add the block of keys of a hop: the share's own, or that of its neighbour in the hop before.

        The block is sent while the hop before runs, and not earlier, so that blocks do not pile up.
        """
        source = keys[(share - 1) % self.shares, hop - 1] if hop else projected[share]
        arguments = (source, done.get((share, hop - 2)))
        keys[share, hop] = self._add(_KEYS, "send_keys", ops[share], arguments, hop, verb)

    def _add(
        self, kind: Kind, function: str, op: Op, arguments: tuple[object, ...], *more: int | str
    ) -> Output:
        """Add an operation at the slot of another, with its coordinates and more."""
        pass_id = _pass_id(op)
        index: Index = (_number(op), pass_id.part, pass_id.micro, pass_id.branch, *more)
        return self.new.add(kind, function, index, op.slot, *arguments)

    def _instead(self, op: Op, function: str, arguments: tuple[object, ...]) -> Output:
        """Add the operation that replaces another, with the same kind and coordinates."""
        return self.new.add(op.kind, function, op.coordinates, op.slot, *arguments)

    def _read_all(self, arguments: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(reading(argument, self.read) for argument in arguments)

    def _source(self, source: Source) -> Source:
        return self.read(source) if isinstance(source, Output) else source


def _pass_id(op: Op) -> PassId:
    """Return the part and the rows of an operation of a pass; numbers of -1 for any other."""
    return next(
        (argument for argument in op.arguments if isinstance(argument, PassId)), PassId(-1, -1, -1, -1)
    )


def _number(op: Op) -> int:
    """Return the track of an operation, the first of its coordinates."""
    track = op.coordinates[0]
    assert isinstance(track, int)
    return track
