"""Who computes and who holds what, for a model that is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar import Layout, Trainer, tasks
from daskpar.data import Digits
from daskpar.errors import InputError
from daskpar.layout.owners import shard_spans
from daskpar.tasks.types import Spec
from daskpar.train.problem import make_order, make_spec

CNN = [
    *({"conv2d": {"channels": 8, "padding": "same"}}, "relu", {"batch_norm": {}}),
    *({"conv2d": 4}, "relu", {"max_pool": 2}, "flatten", {"dense": 12}, "relu", {"dense": 10}),
]
BLOCK = [{"reshape": [8, 8]}, {"transformer_block": 4}, {"transformer_block": {"heads": 2}}, "flatten"]


def spec_of(model: Any, layout: Layout, **options: Any) -> Spec:
    trainer = Trainer(model, layout=layout, batch=64, **options)
    return make_spec(trainer.settings, Digits(), make_order(trainer.settings, 1797), [], [])


def kinds(spec: Spec) -> list[tuple[int, list[str], bool]]:
    """For each part its stage, what it runs, and whether it is cut in width."""
    program = spec.partition.program
    return [
        (
            part.stage,
            [o.layer.kind if o.role == "run" else o.role for o in program[part.first : part.stop]],
            part.section is not None,
        )
        for part in spec.partition.parts
    ]


def test_pairs_are_cut_in_width_as_megatron_does() -> None:
    assert kinds(spec_of(CNN, Layout(width=2))) == [
        (0, ["conv2d", "relu", "batch_norm", "conv2d"], True),
        (0, ["max_pool", "relu", "flatten"], False),
        (0, ["dense", "relu", "dense"], True),
    ]


def test_the_softmax_is_done_across_the_split_where_no_metric_sees_outputs() -> None:
    model = ["flatten", {"dense": 12}]
    for options, split in (({}, True), ({"metrics": ["accuracy"]}, False)):
        spec = spec_of([*model, "relu", {"layer_norm": {}}, {"dense": 10}], Layout(width=2), **options)
        assert spec.partition.parts[-1].section is not None
        assert spec.partition.splits_loss is split
    weighted = {"softmax_cross_entropy": {"class_weights": [1.0] * 10}}
    assert not spec_of([*model, {"dense": 10}], Layout(width=2), loss=weighted).partition.splits_loss


def test_blocks_are_taken_apart_and_heads_that_do_not_divide_stay_whole() -> None:
    found = kinds(spec_of([*BLOCK, {"dense": 10}], Layout(width=4)))
    attention = ["fork", "layer_norm", "multi_head_attention", "join"]
    assert found == [
        (0, ["reshape", "fork", "layer_norm"], False),
        (0, ["multi_head_attention"], True),
        (0, ["join", "fork", "layer_norm"], False),
        (0, ["feed_forward"], True),
        (0, ["join", *attention, "fork", "layer_norm"], False),
        (0, ["feed_forward"], True),
        (0, ["join", "flatten", "dense"], False),
    ]


def test_stages_by_hand_and_by_what_they_cost() -> None:
    by_hand = spec_of(CNN, Layout(stages=(3, 4, 3)))
    assert [(stage, len(names)) for stage, names, _ in kinds(by_hand)] == [(0, 3), (1, 4), (2, 3)]
    for balance, first in (("flops", 3), ("parameters", 4), ("bytes", 2)):
        found = kinds(spec_of(CNN, Layout(stages=2, balance=balance)))
        assert len(found[0][1]) == first, (balance, found)


@pytest.mark.parametrize("stages, width", [(3, 1), (1, 2), (2, 4), (3, 2)])
@pytest.mark.parametrize("model", [CNN, [*BLOCK, {"dense": 10}]], ids=["cnn", "blocks"])
def test_places_hold_all_parameters_between_them(model: Any, stages: int, width: int) -> None:
    spec = spec_of(model, Layout(stages=stages, width=width))
    whole = np.arange(spec.table.size, dtype=np.float32)
    back = np.full_like(whole, -1)
    held = 0
    for place in spec.partition.places:
        own = place.take(spec.table, whole, np.zeros(place.table.size, np.float32))
        place.put(spec.table, own, back)
        held += sum(e.stop - e.start for e in place.table.entries if not e.name.endswith("batches"))
    for name, value in spec.table.named(back).items():
        np.testing.assert_array_equal(value, spec.table.named(whole)[name], err_msg=name)
    assert held == sum(e.stop - e.start for e in spec.table.entries if not e.name.endswith("batches"))


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 100])
def test_shards_are_slices_and_statistics_stay_together(shards: int) -> None:
    spec = spec_of(CNN, Layout(data=2, shards=2))
    (place,) = spec.partition.places
    spans = shard_spans(place, 0, shards)
    assert len(spans) == shards
    assert [span.start for span in spans] + [place.table.size] == [0, *(span.stop for span in spans)]
    for entry in place.table.entries:
        if not entry.trains:
            assert any(span.start <= entry.start and entry.stop <= span.stop for span in spans), entry


@pytest.mark.parametrize("shards", [2, 4, 8])
def test_optimizer_memory_falls_with_the_shards(shards: int) -> None:
    """What one worker of as many holds: state of 1/shards, to the alignment of a tensor."""
    model = ["flatten", {"dense": 512}, "relu", {"dense": 10}]
    spec = spec_of(model, Layout(data=8, shards=shards), optimizer="adam", streams=8)
    whole = tasks.load_initial(spec).state
    (place,) = spec.partition.places
    for span in shard_spans(place, 0, shards):
        state = tasks.load_place(spec, span, None).state
        own = sum(slot.nbytes for slot in state.slots.values())
        assert own <= sum(slot.nbytes for slot in whole.slots.values()) / shards + 2 * 64


@pytest.mark.parametrize(
    "model, layout, message",
    [
        (CNN, {"stages": 30}, r"layout\.stages=30: this model can be cut into 10 at most"),
        (CNN, {"stages": (3, 4)}, r"layout\.stages=\[3, 4\] are 7 layers in all, the model has 10"),
        (["flatten", {"dense": 10}], {"width": 7}, r"layout\.width=7: no layer of this model can be cut"),
        (CNN, {"width": 2, "grain": "window"}, r"layout\.grain=window has whole steps in one task"),
        (CNN, {"pipeline": "zigzag"}, r"layout\.pipeline='zigzag' is not known; use one of gpipe, 1f1b"),
        (CNN, {"microbatches": 0}, r"layout\.microbatches=0 must be at least 1"),
        (CNN, {"stages": (2, 0)}, r"layout\.stages=0 must be at least 1"),
    ],
)
def test_refused(model: Any, layout: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of(model, Layout(**layout))


@pytest.mark.parametrize("cut", ["width", "shards"])
def test_optimizers_of_whole_tensors_are_not_cut(cut: str) -> None:
    with pytest.raises(InputError, match=rf"layout\.{cut}=2 cuts tensors, but lamb needs the norms"):
        spec_of(CNN, Layout(**{cut: 2}), optimizer="lamb")
    spec_of(CNN, Layout(stages=2), optimizer="lamb")
