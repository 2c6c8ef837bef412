"""Windows of steps as the emitter stamps them: what begins a run, what is remembered, where averages fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from specs import spec_of

from daskpar import Layout, tasks
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph, Key


def emitter(layout: Layout, across: bool = False) -> tuple[Emitter, Graph]:
    spec, graph = spec_of(layout), Graph("0a")
    model = graph.add("load-model", (), tasks.load_model, spec)
    streams, chunks = range(spec.order.streams), range(8)
    keys = {(s, c): graph.add("load-data", (s, c), tasks.barrier) for s in streams for c in chunks}
    return Emitter(spec, model, keys, across), graph


def names(graph: Graph) -> dict[str, list[tuple[object, ...]]]:
    """Return the indices of the tasks of each operation of the steps."""
    return {name: [key[1:] for key in layer] for name, layer in graph.tasks.items() if "load-" not in name}


def arguments(graph: Graph, key: Key) -> Any:
    return graph.flat()[key].args  # type: ignore[union-attr]


@pytest.mark.parametrize("path", [None, Path("/runs/mine/root.safetensors")])
def test_a_run_begins_with_the_seed_or_a_file(path: Path | None) -> None:
    emit, graph = emitter(Layout(data=2))
    state = emit.start(graph, 12, path)
    assert state.step == 12 and len(state.values["state 0"]) == 2
    (load,) = graph.tasks["load-state"]
    assert load == ("load-state-0a", 12)
    assert arguments(graph, load)[1:] == (None if path is None else str(path), "")


@pytest.mark.parametrize("path, count", [(None, 0), (Path("/runs/mine/root.safetensors"), 2)])
def test_remainders_of_rounding_come_from_a_file_or_there_are_none(path: Path | None, count: int) -> None:
    emit, graph = emitter(Layout(data=2, compression="float16"))
    emit.start(graph, 0, path)
    assert len(graph.tasks.get("load-remainder", {})) == count


def test_each_step_has_its_number_its_rate_and_a_fresh_log_at_first() -> None:
    emit, graph = emitter(Layout(data=1, grain="stage"))
    state = emit.window(graph, emit.start(graph, 3), [0.1, 0.2, 0.3])
    assert state.step == 6 and state.rate == 0.3
    assert names(graph)["backward-stage"] == [(3, 0, 0), (4, 0, 0), (5, 0, 0)]
    assert names(graph)["update"] == [(4, 0), (5, 0)]  # before the first there is no gradient
    rates = [arguments(graph, ("update-0a", step, 0))[1:3] for step in (4, 5)]
    assert rates == [(0.1, False), (0.2, False)]  # gradients are applied a step later, at their own rate
    emit.window(graph, state, [0.4])
    assert arguments(graph, ("update-0a", 6, 0))[1:3] == (0.3, True)  # the log begins anew with a window


def test_a_window_in_one_task_has_all_its_rates() -> None:
    emit, graph = emitter(Layout(grain="window"))
    state = emit.window(graph, emit.start(graph, 0), [0.1, 0.2, 0.3])
    assert state.step == 3 and names(graph)["train-window"] == [(0,)]
    assert arguments(graph, ("train-window-0a", 0))[1] == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("grain, count", [("step", 2 * 5), ("window", 2 * 3)])
def test_averages_fall_between_steps(grain: str, count: int) -> None:
    """Five steps with an average after every two of them."""
    emit, graph = emitter(Layout(replicas=2, average_every=2, grain=grain))
    state = emit.window(graph, emit.start(graph, 0), [0.1] * 5)
    assert state.step == 5
    assert [index[0] for index in names(graph)["average"]] == [2, 4]
    assert len(names(graph)["grad" if grain == "step" else "train-window"]) == count


def test_pushes_are_remembered_as_far_back_as_the_bound() -> None:
    emit, graph = emitter(Layout(data=2, update="stale", staleness=2))
    state = emit.start(graph, 0)
    for _ in range(5):
        state = emit.window(graph, state, [0.1])
    assert state.step == 5
    for back in (1, 2, 3):
        assert [ref.key for ref in state.read("pushed", back)] == [
            ("grad-stale-0a", 5 - back, n) for n in (0, 1)
        ]
    assert state.read("pushed", 4) == ()
    assert set(state.logs) == {("grad-stale-0a", 4, 0), ("grad-stale-0a", 4, 1)}
    waited = graph.flat()["grad-stale-0a", 4, 1].dependencies
    pushes = {key for key in waited if key[0] == "grad-stale-0a"}
    assert pushes == {("grad-stale-0a", 3, 1), ("grad-stale-0a", 1, 0), ("grad-stale-0a", 1, 1)}


def test_a_cut_is_a_state_of_its_own_and_the_run_goes_on_from_what_waits() -> None:
    emit, graph = emitter(Layout(data=2))
    state = emit.window(graph, emit.start(graph, 0), [0.1])
    key, after = emit.snapshot(graph, state)
    assert key == ("update-0a", 1) and after == state
    settled = emit.settled(after)
    assert set(settled.values) == {"state 0"} and settled.keys <= state.keys
    assert settled.earlier == {} or settled.earlier == after.earlier
