"""The schedules of a pipeline as data, the same for every model.

Each stage works through its list from left to right, and starts an entry as soon as its inputs are there.
Three stages, four micro-batches; F is a forward pass (one unit of time here), B a backward pass (two units):

    gpipe   F0 F1 F2 F3 .  .  .  .  .  .  B0 B0 B1 B1 B2 B2 B3 B3
            .  F0 F1 F2 F3 .  .  .  B0 B0 B1 B1 B2 B2 B3 B3 .  .
            .  .  F0 F1 F2 F3 B0 B0 B1 B1 B2 B2 B3 B3 .  .  .  .

    1f1b    F0 F1 F2 .  .  .  .  B0 B0 F3 B1 B1 .  B2 B2 .  B3 B3
            .  F0 F1 .  .  B0 B0 F2 B1 B1 F3 B2 B2 .  B3 B3 .  .
            .  .  F0 B0 B0 F1 B1 B1 F2 B2 B2 F3 B3 B3 .  .  .  .

Both are idle for the same share of the time, (n - 1) / (m + n - 1) with m micro-batches on n stages (the
bubble). GPipe (Huang et al. 2019, section 2.3) keeps the activations of all m micro-batches in memory. 1F1B
(Narayanan et al. 2019, "PipeDream", section 3.2, flushed at each step) keeps those of n - i at stage i.
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
    """Return all forward passes, then all backward passes."""
    return [Action(verb, m) for verb in (FORWARD, BACKWARD) for m in range(micros)]


def one_forward_one_backward(stages: int, micros: int, stage: int) -> list[Action]:
    """Return a forward pass for each later stage, then forward and backward passes in turn."""
    ahead = min(stages - 1 - stage, micros)
    actions = [Action(FORWARD, m) for m in range(ahead)]
    for m in range(micros):
        if ahead + m < micros:
            actions.append(Action(FORWARD, ahead + m))
        actions.append(Action(BACKWARD, m))
    return actions


SCHEDULES: dict[str, Callable[[int, int, int], list[Action]]] = {
    "gpipe": gpipe,
    "1f1b": one_forward_one_backward,
}


def actions_of_stages(kind: str, stages: int, micros: int) -> list[list[Action]]:
    """Return the actions of each stage, in order, for the schedule `kind`.

    In both kinds the backward passes have the order of the forward passes.

    Example:
        >>> for actions in actions_of_stages("1f1b", 2, 2):
        ...     print([f"{action.verb} {action.micro}" for action in actions])
        ['forward 0', 'forward 1', 'backward 0', 'backward 1']
        ['forward 0', 'backward 0', 'forward 1', 'backward 1']
    """
    return [SCHEDULES[kind](stages, micros, stage) for stage in range(stages)]


def alive(actions: Sequence[Action]) -> int:
    """Return the largest number of micro-batches whose activations a stage stores at one time."""
    stored, most = 0, 0
    for verb, _ in actions:
        stored += 1 if verb == FORWARD else -1
        most = max(most, stored)
    return most


class TimedAction(NamedTuple):
    """An action of a stage, from `start` to `stop`. The unit is the time of one forward pass."""

    stage: int
    action: Action
    start: float
    stop: float


def timeline(
    lists: Sequence[Sequence[Action]], forward: float = 1.0, backward: float = 2.0
) -> list[TimedAction]:
    """Return the time of each action, if moving values between stages takes no time.

    Args:
        lists: Actions of each stage, in order.
        forward: Time of a forward pass. Default: 1.
        backward: Time of a backward pass. Default: 2.

    Raises:
        ValueError: An action waits for itself.
    """
    done: dict[tuple[int, Action], float] = {}
    free, position = [0.0] * len(lists), [0] * len(lists)
    timed: list[TimedAction] = []
    while any(position[s] < len(actions) for s, actions in enumerate(lists)):
        before = len(timed)
        for stage, actions in enumerate(lists):
            if position[stage] == len(actions):
                continue
            action = actions[position[stage]]
            needs = _needs(stage, action, len(lists))
            if any(need not in done for need in needs):
                continue
            start = max([free[stage], *(done[need] for need in needs)])
            stop = start + (forward if action.verb == FORWARD else backward)
            timed.append(TimedAction(stage, action, start, stop))
            done[stage, action] = free[stage] = stop
            position[stage] += 1
        if len(timed) == before:
            raise ValueError("the schedule waits for itself")
    return timed


@cache
def in_order(kind: str, stages: int, micros: int) -> tuple[TimedAction, ...]:
    """Return the timeline of a schedule, sorted by the start of the actions."""
    return tuple(sorted(timeline(actions_of_stages(kind, stages, micros)), key=lambda timed: timed.start))


def _needs(stage: int, action: Action, stages: int) -> list[tuple[int, Action]]:
    """Return the actions, each with its stage, whose values an action needs."""
    if action.verb == FORWARD:
        return [(stage - 1, action)] if stage else []
    own = (stage, Action(FORWARD, action.micro))
    return [own, (stage + 1, action)] if stage + 1 < stages else [own]


def bubble(actions: Sequence[TimedAction]) -> float:
    """Return the share of the time, from 0 to 1, in which stages are idle."""
    stages = 1 + max(timed.stage for timed in actions)
    busy = sum(timed.stop - timed.start for timed in actions)
    return 1 - busy / (stages * max(timed.stop for timed in actions))
