"""Sampling: the mathematics against plain definitions, and which characters a model is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar.backend.random import init_rng
from daskpar.errors import InputError
from daskpar.train.sample import check_sampling, choose, continuation, encode, probabilities

LOGITS = np.array([0.5, -1.0, 3.0, 2.0, 3.0], np.float32)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_temperature(temperature: float) -> None:
    weights = np.exp(LOGITS.astype(float) / temperature)
    np.testing.assert_allclose(probabilities(LOGITS, temperature), weights / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize("top_k, kept", [(1, [2]), (2, [2, 4]), (3, [2, 3, 4]), (5, range(5)), (9, range(5))])
def test_top_k(top_k: int, kept: Any) -> None:
    found = probabilities(LOGITS, 1.0, top_k)
    assert list(np.flatnonzero(found)) == list(kept)
    weights = np.exp(LOGITS[list(kept)].astype(float))
    np.testing.assert_allclose(found[list(kept)], weights / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize("scale, temperature", [(1e30, 1.0), (1.0, 1e-300), (1.0, 5e-324)])
def test_nothing_overflows(scale: float, temperature: float) -> None:
    np.testing.assert_array_equal(probabilities(LOGITS * scale, temperature), [0, 0, 0.5, 0, 0.5])


def test_choices_come_as_often_as_they_should() -> None:
    chances = np.array([0.0, 0.2, 0.0, 0.7, 0.1, 0.0])
    rng = init_rng(0)
    counts = np.bincount([choose(chances, rng) for _ in range(20_000)], minlength=6) / 20_000
    np.testing.assert_allclose(counts, chances, atol=0.01)
    assert not counts[chances == 0].any()


class Watched:
    """A model that is sure that 3 follows 2 follows 1 follows 0 follows 3, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def __call__(self, window: np.ndarray) -> np.ndarray:
        assert window.dtype == np.int32
        self.seen.append(window[0].tolist())
        return 1000.0 * (np.arange(4) == (window[..., None] + 1) % 4)


def test_the_context_is_cropped_to_the_block() -> None:
    model = Watched()
    assert list(continuation(model, [1, 2], 4, 5)) == [3, 0, 1, 2, 3]
    assert model.seen == [[1, 2, 0, 0], [1, 2, 3, 0], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]
    model = Watched()
    assert list(continuation(model, [0, 1, 2, 3, 0, 1], 4, 1)) == [2]
    assert model.seen == [[2, 3, 0, 1]]


def test_the_seed_decides() -> None:
    def drawn(seed: int) -> list[int]:
        return list(continuation(lambda w: np.zeros((1, 8, 4)), [0], 8, 40, seed=seed))

    assert drawn(1) == drawn(1) != drawn(2)
    assert list(continuation(Watched(), [0], 4, 0)) == []


def test_encode() -> None:
    assert encode("abba", "abc") == [0, 1, 1, 0] and encode("", "abc") == []
    one, two = "Caf\u00e9", "Cafe\u0301"  # é as one character, and as e with an accent
    assert encode(two, sorted(one)) == encode(one, sorted(one))
    assert encode(one, sorted(two)) == encode(two, sorted(two))
    with pytest.raises(InputError) as error:
        encode("a ü\n", "abc")
    assert str(error.value) == (
        "the prompt holds '\\n', ' ', 'ü', which the text that the model was trained on does not"
    )


@pytest.mark.parametrize(
    "given, message",
    [
        ((-1, 1.0, None), "length=-1 must be at least 0"),
        ((1, 0.0, None), "temperature=0.0 must be above zero"),
        ((1, -0.5, None), "temperature=-0.5 must be above zero"),
        ((1, float("nan"), None), "temperature=nan must be above zero"),
        ((1, float("inf"), None), "temperature=inf must be above zero"),
        ((1, 1.0, 0), "top_k=0 must be at least 1"),
    ],
)
def test_refused(given: Any, message: str) -> None:
    check_sampling(0, 1e-9, 1)
    with pytest.raises(InputError, match=message):
        check_sampling(*given)
