"""Text from a trained model of characters: one character is sampled after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from unicodedata import normalize

import numpy as np

from daskpar.backend.random import init_rng
from daskpar.data.encoding import plain
from daskpar.errors import InputError


def probabilities(logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None) -> np.ndarray:
    """Return softmax(logits / temperature) (tokens,), float64.

    With `top_k` only the k largest logits have a probability above 0; of equal ones the first count.

    >>> probabilities(np.log([1.0, 2.0, 1.0])).round(2)
    array([0.25, 0.5 , 0.25])
    >>> probabilities(np.log([1.0, 2.0, 1.0]), temperature=0.5).round(2)
    array([0.17, 0.67, 0.17])
    >>> probabilities(np.log([1.0, 3.0, 1.0]), top_k=2)
    array([0.25, 0.75, 0.  ])

    Fan et al. 2018, "Hierarchical neural story generation", on top-k sampling.
    """
    scaled = logits.astype(np.float64)
    with np.errstate(over="ignore"):  # -inf is correct for a tiny temperature
        scaled = (scaled - scaled.max()) / temperature
    if top_k is not None and top_k < len(scaled):
        out = np.argsort(-scaled, kind="stable")[top_k:]
        scaled[out] = -np.inf
    weights: np.ndarray = np.exp(scaled)
    weights /= weights.sum()
    return weights


def choose(chances: np.ndarray, rng: np.random.Generator) -> int:
    """Return a token that is drawn with these probabilities."""
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
    """Yield `length` tokens that continue `prompt`, each as soon as it is drawn.

    `outputs` maps tokens (1, block), int32, to logits (1, block, tokens). The model must not use later
    tokens, so the rest of its block may have any values. Only the last `block` tokens are used.
    `temperature` divides the logits: below 1 likely tokens become more likely, above 1 all become more equal.
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
    """Return the numbers of the characters of a prompt; see `daskpar.data.encoding.plain`.

    Unicode has two forms of é: one character, or e and an accent (NFC and NFD). The form that the vocabulary
    has is used. Raises InputError, which names the characters that are not known.
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
    """Refuse a negative length, and a temperature or `top_k` that is not positive."""
    if length < 0:
        raise InputError(f"length={length} must be at least 0")
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature={temperature} must be above zero; 0.1 is nearly the likeliest text")
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k={top_k} must be at least 1")
