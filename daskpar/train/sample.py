"""Writing text with a trained model of characters: one character drawn after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from unicodedata import normalize

import numpy as np

from daskpar.backend.random import init_rng
from daskpar.data.encoding import plain
from daskpar.errors import InputError


def probabilities(logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None) -> np.ndarray:
    """softmax(logits / temperature) (tokens,) in float64; with `top_k`, over the largest ones only.

    Of several that are equal at the border the first ones count (Fan et al. 2018, on top-k sampling).
    """
    scaled = logits.astype(np.float64)
    with np.errstate(over="ignore"):  # infinitely unlikely is what a tiny temperature means
        scaled = (scaled - scaled.max()) / temperature
    if top_k is not None and top_k < len(scaled):
        out = np.argsort(-scaled, kind="stable")[top_k:]
        scaled[out] = -np.inf
    weights: np.ndarray = np.exp(scaled)
    weights /= weights.sum()
    return weights


def choose(chances: np.ndarray, rng: np.random.Generator) -> int:
    """A token drawn with these probabilities."""
    sums = np.cumsum(chances)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))


def continuation(
    outputs: Callable[[np.ndarray], np.ndarray],
    prompt: Sequence[int],
    block: int,
    length: int,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[int]:
    """`length` tokens that follow `prompt`, each as soon as it is drawn.

    `outputs`: from tokens (1, block) to logits (1, block, tokens). A model that goes by the order of tokens
    looks at none that comes later, so what is not written yet may be anything: the model always sees the
    shape that it was made for. Past `block` tokens the earliest are out of its sight.
    """
    rng = init_rng(seed)
    tokens = list(prompt)
    for _ in range(length):
        seen = tokens[-block:]
        window = np.zeros((1, block), dtype=np.int32)
        window[0, : len(seen)] = seen
        tokens.append(choose(probabilities(outputs(window)[0, len(seen) - 1], temperature, top_k), rng))
        yield tokens[-1]


def encode(text: str, vocabulary: Sequence[str]) -> list[int]:
    """The numbers of the characters of a prompt; see `daskpar.data.encoding.plain`.

    Of the ways to write é, as one character or as e and an accent (Unicode's forms NFC and NFD), the one that
    the vocabulary knows is taken. Raises InputError that names the characters which are not known.
    """
    text = plain(text)
    number = {character: i for i, character in enumerate(vocabulary)}
    forms = (text, normalize("NFC", text), normalize("NFD", text))
    text = next((form for form in forms if number.keys() >= set(form)), text)
    strange = sorted(set(text) - number.keys())
    if strange:
        named = ", ".join(map(repr, strange[:10])) + (f" and {len(strange) - 10} more" * (len(strange) > 10))
        raise InputError(f"the prompt holds {named}, which the text that the model was trained on does not")
    return [number[character] for character in text]


def check_sampling(length: int, temperature: float, top_k: int | None) -> None:
    """Refuse what nothing can be drawn with."""
    if length < 0:
        raise InputError(f"length={length} must be at least 0")
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature={temperature} must be above zero; 0.1 is nearly the likeliest text")
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k={top_k} must be at least 1")
