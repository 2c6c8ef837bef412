"""Shares of the positions: the tasks of a ring, what crosses between tracks, what a slot holds, refusals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from daskpar import InputError, Layout, Trainer
from daskpar.autotune.summary import new_bytes
from daskpar.autotune.timing import no_data
from daskpar.cluster.executor import THREADED
from daskpar.data import Chunk
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.layout.compile import compile_plan
from daskpar.layout.plan import Plan
from daskpar.nn import (
    LSTM,
    Dense,
    Embedding,
    FeedForward,
    GlobalAvgPool,
    Layer,
    LearnedPositions,
    MultiHeadAttention,
    Sequential,
    TransformerBlock,
)
from daskpar.tasks.types import Forward, Spec

LENGTH = 12


def words() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 8, (16, LENGTH)), rng.integers(0, 8, (16, LENGTH))


def text(causal: bool = True, blocks: int = 1, **options: Any) -> Sequential:
    block = TransformerBlock(2, causal=causal, **options)
    return Sequential((Embedding(8, 8), LearnedPositions(), *(block,) * blocks, Dense(8)))


def fitted(model: Layer, layout: Layout, data: Any = None, **options: Any) -> Trainer:
    options = {"batch": 8, "steps": 1, "client": THREADED, **options}
    return Trainer(model, layout=layout, **options).fit(*(data or words()))


def plan_of(model: Layer, layout: Layout, across: bool = False) -> Plan:
    return compile_plan(fitted(model, layout).spec_, across)


def names(plan: Plan) -> Counter[str]:
    return Counter(op.kind.name for op in plan.step.ops)


@pytest.mark.parametrize("shares", [1, 2, 3, 5])
def test_causal_attention_skips_blocks_that_nobody_sees(shares: int) -> None:
    causal, whole = (
        names(plan_of(text(causal, blocks=2), Layout(sequence=shares))) for causal in (True, False)
    )
    rings = shares if shares > 1 else 0
    for kind in ("ring-attention", "ring-attention-backward", "send-key-gradients"):
        assert causal[kind] == 2 * rings * (shares + 1) // 2
        assert whole[kind] == 2 * rings * shares
    assert causal["project-attention"] == whole["project-attention"] == 2 * rings
    assert causal["send-keys"] == 2 * causal["ring-attention"]  # forward and back


@pytest.mark.parametrize(
    "layout", [Layout(sequence=3), Layout(sequence=2, stages=2, microbatches=2), Layout(data=2, sequence=2)]
)
def test_nothing_but_keys_and_gradients_crosses_between_tracks(layout: Layout) -> None:
    plan = plan_of(text(False), layout, across=True)
    track_of = {layout.slot(t, s): t for t in range(layout.tracks) for s in range(layout.depth)}
    crossing = Counter(
        plan.step.ops[read].function
        for op in plan.step.ops
        for read in op.reads
        if None not in (op.slot, plan.step.ops[read].slot)
        and track_of[op.slot] != track_of[plan.step.ops[read].slot]  # type: ignore[index]
    )
    gradients = {"pick_gradient", "reduce_gradient", "sums_of"}  # of parameters, and the sums of the loss
    assert crossing.keys() <= {"send_keys", "send_key_gradients"} | gradients
    assert crossing["send_keys"] == 2 * layout.data * layout.microbatches * layout.sequence * (
        layout.sequence - 1
    )


def test_a_block_comes_from_the_neighbour_that_has_looked_at_it() -> None:
    ops = plan_of(text(False), Layout(sequence=4)).step.ops
    hops = [op.coordinates[4] for op in ops if op.function == "send_keys"]
    assert sorted(set(hops)) == [0, 1, 2, 3]  # from the track itself, and from three neighbours
    for op in ops:
        if op.function == "send_keys":
            track, hop = op.coordinates[0], op.coordinates[4]
            assert isinstance(track, int) and isinstance(hop, int)
            source = ops[op.reads[0]]
            if hop == 0:
                assert source.function == "project_attention" and source.coordinates[0] == track
            else:
                assert source.coordinates[0] == (track - 1) % 4 and source.coordinates[4] == hop - 1
            waits = [ops[read] for read in op.reads[1:]]
            assert [w.coordinates[4] for w in waits] == ([hop - 2] if hop > 1 else [])


def held(layout: Layout) -> float:
    """Bytes that a slot keeps at most from a forward pass for the backward pass, and of rings."""
    spec: Spec = fitted(text(), layout, precision="float64").spec_
    graph = Graph("0a")
    data = no_data(spec)
    model = graph.add("load-model", (), lambda: spec)
    emitter = Emitter(spec, model, data(graph, model))
    state = emitter.window(graph, emitter.start(graph, 0), [0.1])
    assert state.step == 1
    values: dict[Any, Any] = {}
    chunk = rows(spec)
    sizes: Counter[int] = Counter()
    tasks = graph.flat()
    while len(values) < len(tasks):
        for key, task in tasks.items():
            if key in values or not all(below in values for below in task.dependencies):
                continue
            values[key] = chunk if key[0].startswith("load-data") else task(values)
            kind = graph.kind(key)
            if kind is not None and kind.verb == "forward":
                value = values[key]
                kept = value.saved if isinstance(value, Forward) else value
                sizes[graph.slots[key]] += new_bytes(kept, set())
    return max(sizes.values())


def rows(spec: Spec) -> Chunk:
    x, y = words()
    return Chunk(x[:8].astype(spec.x_dtype), y[:8])


def test_what_a_slot_holds_falls_with_the_shares() -> None:
    whole, *cut = (held(Layout(sequence=n, grain="layer")) for n in (1, 2, 3, 4))
    for n, size in zip((2, 3, 4), cut, strict=True):
        assert size < 1.6 * whole / n
    assert cut == sorted(cut, reverse=True)


def test_parts_of_a_replica_go_by_rows_of_their_own() -> None:
    options: dict[str, Any] = {"batch": 8, "steps": 2, "optimizer": {"sgd": 0.1}, "precision": "float64"}
    one = fitted(text(), Layout(data=2, sequence=2), **options).parameters_
    two = fitted(text(), Layout(replicas=2, sequence=2), **options).parameters_
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    "model, fields, options, message",
    [
        ([Embedding(8, 8), LSTM(4, sequences=True), Dense(8)], {}, {}, "=2: lstm needs all positions"),
        ([Embedding(8, 8), GlobalAvgPool(), Dense(8)], {}, {}, "=2: global_avg_pool needs all positions"),
        ([*text(remat=True).layers], {}, {}, "=2: transformer_block with remat: true"),
        ([*text().layers], {"sequence": 13}, {}, "=13: there are more shares than the 12 positions"),
        ([*text().layers], {"sequence": 2, "tiles": 2}, {}, "layout.tiles=2: no layer of this model"),
        ([*text().layers], {"grain": "window"}, {}, "layout.grain=window has whole steps in one task"),
        ([*text().layers], {"update": "async"}, {}, "layout.update=async goes with data and shards"),
        ([*text().layers], {}, {"accumulate": 2}, "train.accumulate=2 is for a model that is not cut"),
        (
            [*text().layers],
            {},
            {"metrics": [{"accuracy": {"exact": True}}]},
            "=2: accuracy of a sequence does not follow from its positions",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_in_a_line(
    model: list[Layer], fields: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    x, y = words()
    y = y if not any(isinstance(layer, GlobalAvgPool) for layer in model) else y[:, 0]
    with pytest.raises(InputError) as error:
        fitted(Sequential(tuple(model)), Layout(**{"sequence": 2, **fields}), (x, y), **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_model_without_attention_needs_no_ring() -> None:
    model = Sequential((Embedding(8, 8), FeedForward(), Dense(8)))
    kinds = names(plan_of(model, Layout(sequence=3)))
    assert kinds["forward-stage"] == kinds["load-batch"] == 3 and not any("ring" in kind for kind in kinds)


def test_attention_alone_is_first_and_last() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, LENGTH, 8))
    options: dict[str, Any] = {"loss": "mean_squared_error", "precision": "float64"}
    model = Sequential((MultiHeadAttention(2),))
    one, many = (
        fitted(model, each, (x, x), **options).parameters_ for each in (Layout(), Layout(sequence=5))
    )
    for name, value in one.items():
        np.testing.assert_allclose(many[name], value, rtol=0, atol=1e-12, err_msg=name)
