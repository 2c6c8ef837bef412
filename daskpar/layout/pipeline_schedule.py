"""The schedules of a pipeline: data, the same for every model.

Each stage works through its list from left to right, as soon as what an entry needs is there. Three stages,
four micro-batches; F is a forward pass (one unit of time here), B a backward pass (two):

    gpipe   F0 F1 F2 F3 .  .  .  .  .  .  B0 B0 B1 B1 B2 B2 B3 B3
            .  F0 F1 F2 F3 .  .  .  B0 B0 B1 B1 B2 B2 B3 B3 .  .
            .  .  F0 F1 F2 F3 B0 B0 B1 B1 B2 B2 B3 B3 .  .  .  .

    1f1b    F0 F1 F2 .  .  .  .  B0 B0 F3 B1 B1 .  B2 B2 .  B3 B3
            .  F0 F1 .  .  B0 B0 F2 B1 B1 F3 B2 B2 .  B3 B3 .  .
            .  .  F0 B0 B0 F1 B1 B1 F2 B2 B2 F3 B3 B3 .  .  .  .

Both are idle for the same share of the time, (n - 1) / (m + n - 1) with m micro-batches on n stages. GPipe
(Huang et al. 2019, sec. 2.3) keeps the activations of all m alive, 1F1B (Narayanan et al. 2019, "PipeDream",
sec. 3.2, flushed at each step) those of n - i at stage i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

FORWARD, BACKWARD = "forward", "backward"


class Action(NamedTuple):
    """The forward or the backward pass of one micro-batch through one stage."""

    verb: str
    micro: int


def gpipe(stages: int, micros: int, stage: int) -> list[Action]:
    """All forward passes, then all backward passes."""
    return [Action(verb, m) for verb in (FORWARD, BACKWARD) for m in range(micros)]


def one_forward_one_backward(stages: int, micros: int, stage: int) -> list[Action]:
    """As many forward passes as it takes to reach the last stage and come back, then each in turn."""
    ahead = min(stages - 1 - stage, micros)
    found = [Action(FORWARD, m) for m in range(ahead)]
    for m in range(micros):
        if ahead + m < micros:
            found.append(Action(FORWARD, ahead + m))
        found.append(Action(BACKWARD, m))
    return found


SCHEDULES: dict[str, Callable[[int, int, int], list[Action]]] = {
    "gpipe": gpipe,
    "1f1b": one_forward_one_backward,
}


def schedule(kind: str, stages: int, micros: int) -> list[list[Action]]:
    """The actions of each stage, in order. In both kinds micro-batches go back in the order they came."""
    return [SCHEDULES[kind](stages, micros, stage) for stage in range(stages)]


def alive(actions: Sequence[Action]) -> int:
    """The largest number of micro-batches of which a stage holds activations at one time."""
    held, most = 0, 0
    for verb, _ in actions:
        held += 1 if verb == FORWARD else -1
        most = max(most, held)
    return most


class Slot(NamedTuple):
    """An action of a stage, from `start` to `stop` in the time that one forward pass takes."""

    stage: int
    action: Action
    start: float
    stop: float


def timeline(lists: Sequence[Sequence[Action]], forward: float = 1.0, backward: float = 2.0) -> list[Slot]:
    """When each stage does what, where hand-overs take no time. Raises ValueError for a list that waits for
    itself."""
    done: dict[tuple[int, Action], float] = {}
    free, at = [0.0] * len(lists), [0] * len(lists)
    slots: list[Slot] = []
    while any(at[s] < len(actions) for s, actions in enumerate(lists)):
        before = len(slots)
        for stage, actions in enumerate(lists):
            if at[stage] == len(actions):
                continue
            action = actions[at[stage]]
            needs = _needs(stage, action, len(lists))
            if any(need not in done for need in needs):
                continue
            start = max([free[stage], *(done[need] for need in needs)])
            stop = start + (forward if action.verb == FORWARD else backward)
            slots.append(Slot(stage, action, start, stop))
            done[stage, action] = free[stage] = stop
            at[stage] += 1
        if len(slots) == before:
            raise ValueError("the schedule waits for itself")
    return slots


@cache
def in_order(kind: str, stages: int, micros: int) -> tuple[Slot, ...]:
    """The timeline of a schedule, by when actions begin."""
    return tuple(sorted(timeline(schedule(kind, stages, micros)), key=lambda slot: slot.start))


def _needs(stage: int, action: Action, stages: int) -> list[tuple[int, Action]]:
    """The actions of other stages, or of the same before, that an action needs."""
    if action.verb == FORWARD:
        return [(stage - 1, action)] if stage else []
    own = (stage, Action(FORWARD, action.micro))
    return [own, (stage + 1, action)] if stage + 1 < stages else [own]


def bubble(slots: Sequence[Slot]) -> float:
    """The share of the time, from first to last, in which stages are idle."""
    stages = 1 + max(slot.stage for slot in slots)
    busy = sum(slot.stop - slot.start for slot in slots)
    return 1 - busy / (stages * max(slot.stop for slot in slots))
