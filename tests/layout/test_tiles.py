"""Images cut by rows of pixels: who has which rows, what travels, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from daskpar import Layout, Trainer, tasks
from daskpar.autotune.count import count
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits
from daskpar.errors import InputError
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.nn import registry
from daskpar.nn.operations import operations, shapes
from daskpar.nn.spatial import region
from daskpar.optim.gradient import Clip
from daskpar.tasks import halo
from daskpar.tasks.types import Spec
from daskpar.train.problem import make_order, make_spec

SAME = {"conv2d": {"channels": 4, "padding": "same"}}
STACK = [SAME, "relu", SAME, {"max_pool": 2}, "flatten", {"dense": 10}]
SYNC = {"batch_norm": {"sync": True}}


def spec_of(model: Any, layout: Layout, **options: Any) -> Spec:
    trainer = Trainer(model, layout=layout, batch=64, **options)
    return make_spec(trainer.settings, Digits(), make_order(trainer.settings, 1797), [], [])


def graph_of(model: Any, layout: Layout, apart: bool = False) -> Graph:
    """One step as a graph."""
    spec, graph = spec_of(model, layout), Graph("0")
    model_key = graph.add("load-model", (), lambda: spec)
    streams = range(spec.order.streams)
    chunks = {(s, c): graph.add("load-data", (s, c), lambda: None) for s in streams for c in range(8)}
    builder = Emitter(spec, model_key, chunks, apart)
    builder.snapshot(graph, builder.window(graph, builder.start(graph, 0), [0.1]))
    return graph


def test_tiles_have_their_share_and_need_a_row_of_each_neighbour() -> None:
    parts = spec_of(STACK, Layout(tiles=4)).partition.parts
    assert [(p.first, p.stop, len(p.strips)) for p in parts] == [(0, 2, 4), (2, 4, 4), (4, 6, 0)]
    assert [tuple(strip.owned) for strip in parts[1].strips] == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert [tuple(strip.input) for strip in parts[1].strips] == [(0, 3), (1, 5), (3, 7), (5, 8)]
    assert [tuple(strip.output) for strip in parts[1].strips] == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("apart", [False, True], ids=["threads", "processes"])
def test_halos_pass_between_neighbours_forward_and_back(apart: bool) -> None:
    found = count(graph_of(STACK, Layout(data=2, tiles=4), apart)).tasks
    neighbours = 2 * 2 * 3  # lanes, directions, borders
    assert found["halo-activation"] == found["halo-gradient"] == neighbours
    assert found["forward-stage"] == 2 * (4 + 4 + 1) and found["join-activation"] == 2


def test_a_halo_is_a_row_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def recorded(*given: Any) -> Any:
        edge = halo(*given)
        seen.append(edge.x.shape)
        return edge

    monkeypatch.setattr(tasks, "halo", recorded)
    x, y = np.zeros((64, 8, 8, 1), np.float32), np.zeros(64, int)
    Trainer(STACK, client=THREADED, batch=64, steps=1, layout=Layout(tiles=2)).fit(x, y)
    assert seen == [(64, 1, 8, 4)] * 4


@st.composite
def stacks(draw: Any) -> tuple[list[Any], int, int]:
    """Some convolutions and pooling, a height that they fit into, and a number of tiles."""
    layers: list[Any] = []
    for _ in range(draw(st.integers(1, 3))):
        size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        padding = draw(st.sampled_from(["valid", "same"]))
        kind = draw(st.sampled_from(["conv2d", "max_pool", "avg_pool"]))
        how: dict[str, Any] = {"stride": stride, "padding": padding}
        if kind == "conv2d":
            dilation = draw(st.integers(1, 2))
            how |= {"channels": 2, "kernel": (size, 2), "dilation": (dilation, 1), "stride": (stride, 1)}
        else:
            how |= {"size": size}
        layers.append({kind: how})
        if draw(st.booleans()):
            layers.append(draw(st.sampled_from(["tanh", SYNC])))
    return layers, draw(st.integers(20, 30)), draw(st.integers(2, 4))


@settings(max_examples=40, deadline=None)
@given(stacks())
def test_any_stack_in_tiles_is_the_stack(drawn: tuple[list[Any], int, int]) -> None:
    layers, height, tiles = drawn
    model = [{"conv2d": 2}, *layers, "flatten", {"dense": 3}]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, height, 24, 1)), rng.integers(0, 3, 8)
    found = []
    for layout in (Layout(grain="stage"), Layout(tiles=tiles)):
        trainer = Trainer(model, client=THREADED, optimizer={"sgd": 0.1}, batch=8, steps=2, layout=layout)
        trainer.precision = "float64"
        try:
            found.append(trainer.fit(x, y).parameters_)
        except InputError as error:
            assert "do not fit" in str(error) or "does not fit" in str(error)
            return
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=0, atol=1e-10, err_msg=name)


@pytest.mark.parametrize(
    "model, expected",
    [
        (STACK, (0, 4)),
        ([{"conv2d": {"channels": 2, "kernel": 1}}, {"batch_norm": {}}, *STACK], (2, 6)),
        ([SYNC, *STACK], (1, 5)),
        ([{"residual": [SAME, SYNC, "relu"]}, "flatten", {"dense": 10}], (0, 5)),
        ([SAME, {"residual": [SAME, {"batch_norm": {}}]}, "flatten", {"dense": 10}], (0, 1)),
        ([SAME, {"max_pool": 5}, "flatten", {"dense": 10}], (0, 1)),
        ([SAME, SYNC, "global_avg_pool", {"dense": 10}], (0, 2)),
        (["flatten", {"dense": 10}], None),
        (["relu", "flatten", {"dense": 10}], None),
    ],
    ids=str,
)
def test_what_tiles_can_do(model: Any, expected: Any) -> None:
    program = operations(registry.model(model), True)
    found = region(program, shapes(program, (8, 8, 1)), 2)
    assert expected == (None if found is None else tuple(found))


@pytest.mark.parametrize(
    "model, layout, message",
    [
        (["flatten", {"dense": 10}], {}, r"layout\.tiles=2: no layer of this model can be cut by rows of"),
        (STACK, {"tiles": 9}, r"layout\.tiles=9: .* on images of at least 9 rows"),
        (STACK, {"grain": "window"}, r"layout\.grain=window has whole steps in one task"),
        ([SAME, SYNC, *STACK], {"microbatches": 2}, r"layout\.microbatches=2 cannot be had with batch_norm"),
    ],
)
def test_refused(model: Any, layout: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of(model, Layout(**{"tiles": 2, **layout}))


def test_copies_count_once_where_the_norm_is_clipped() -> None:
    x, y = np.random.default_rng(0).standard_normal((64, 8, 8, 1)), np.arange(64) % 10
    common: dict[str, Any] = dict(client=THREADED, batch=64, steps=3, precision="float64")
    found = [
        Trainer(STACK, layout=layout, clip=Clip(norm=0.01), **common).fit(x, y).parameters_
        for layout in (Layout(), Layout(data=2, tiles=3, width=2, shards=2))
    ]
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=0, atol=1e-12, err_msg=name)
