"""Tasks that move values: what branches become, what is sent, which elements are picked."""

from __future__ import annotations

import numpy as np
import pytest

from daskpar.data.chunk import Chunk
from daskpar.tasks import moves
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, Logged, State

ONE, TWO, THREE = (np.array([[n, 2.0 * n]], np.float32) for n in (1, 2, 3))
HELD = (np.zeros(1),)


def frozen(*arrays: np.ndarray) -> None:
    for array in arrays:
        array.flags.writeable = False


frozen(ONE, TWO, THREE)


def test_outputs_are_summed_in_order_or_laid_side_by_side() -> None:
    branches = [Forward(y, "saved", None) for y in (ONE, TWO, THREE)]
    summed = moves.join_forward(True, Forward(ONE, None, None, HELD), *branches)
    assert summed.y.tolist() == [[6, 12]] and summed.held is HELD and summed.saved is None
    joined = moves.join_forward(False, Chunk(ONE, ONE), *branches)
    assert joined.y.tolist() == [[1, 2, 2, 4, 3, 6]] and joined.held == ()


def test_a_mask_is_that_of_the_first_branch() -> None:
    mask = np.array([[True, False]])
    found = moves.join_forward(True, Chunk(ONE, ONE), Forward(ONE, None, mask), Forward(TWO, None, None))
    assert found.mask is mask


def test_gradients_of_branches_are_summed_where_anybody_needs_them() -> None:
    above = Backward(ONE, (), HELD)
    found = moves.join_backward(above, Backward(ONE, ("own",)), Backward(None, ()), Backward(TWO, ()))  # type: ignore[arg-type]
    assert found.dx.tolist() == [[3, 6]] and found.gradients == () and found.held is HELD  # type: ignore[union-attr]
    assert moves.join_backward(above, Backward(None, ()), Backward(None, ())).dx is None


def test_a_node_of_a_tree_adds_outputs_or_gradients() -> None:
    assert moves.add_outputs(Forward(ONE, "saved"), Forward(TWO, None)).y.tolist() == [[3, 6]]  # type: ignore[union-attr]
    assert moves.add_outputs(Backward(ONE, ()), Backward(THREE, ())).dx.tolist() == [[4, 8]]  # type: ignore[union-attr]
    assert moves.add_outputs(Backward(None, ()), Backward(None, ())) == Backward(None, ())


def test_only_what_others_need_is_sent() -> None:
    gradient = Gradient(ONE, (1.0,))
    assert moves.send_activation(Forward(ONE, "saved", None, HELD)) == Forward(ONE, None, None, HELD)
    assert moves.send_gradient(Backward(ONE, (gradient,), HELD)) == Backward(ONE, (), HELD)
    batch = moves.send_targets(Chunk(np.ones((4, 3)), np.arange(4)))
    assert batch.x.shape == (0, 3) and batch.y.tolist() == [0, 1, 2, 3]
    state = State(3, ONE, {"mean": TWO}, (Logged(2, (1.0,)),))
    assert moves.send_parameters(Lane(state, gradient)) == Lane(State(3, ONE, {}))


@pytest.mark.parametrize(
    "start, stop, elements, begins",
    [(0, 4, [0, 1, 2], 1), (1, 3, [0, 1], 1), (2, 99, [1, 2, 3, 4], 2), (5, 6, [4], 5), (0, 1, [], 1)],
)
def test_elements_are_picked_by_their_place_in_the_whole(
    start: int, stop: int, elements: list[int], begins: int
) -> None:
    """The gradient begins at element 1 of the buffer."""
    gradient = Gradient(np.arange(5.0), (7.0,), 1)
    for value in (gradient, Lane(State(0, ONE, {}), gradient), Backward(None, (Gradient(ONE, ()), gradient))):
        found = moves.pick_gradient(value, 1, start, stop)
        assert (found.buffer.tolist(), found.start, found.sums) == (elements, begins, (7.0,))
        assert not len(elements) or np.shares_memory(found.buffer, gradient.buffer)


def test_sums_are_added_lane_by_lane() -> None:
    assert moves.sums_of(Gradient(ONE, (1.0, 2.0))) == (1.0, 2.0)
    assert moves.reduce_sums((1.0, 2.0), (3.0, 4.0), ()) == (4.0, 6.0)


def test_what_lanes_gathered_is_added_in_their_order() -> None:
    values = [Forward(ONE, None, sums=ONE), Backward(None, (), sums=TWO), THREE]
    assert moves.reduce_statistics(*values).tolist() == [[6, 12]]
    assert moves.gathered_by(Forward(ONE, None)) is None
