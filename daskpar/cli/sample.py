"""`daskpar sample`: text from a trained model of characters, as it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

import numpy as np

from daskpar.errors import InputError
from daskpar.train import Trainer
from daskpar.train.sample import check_sampling, continuation, encode


def as_typed(argument: str) -> str:
    """Return an argument as it was typed in UTF-8, also where the locale's encoding is another."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument


def written(
    trainer: Trainer, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> Iterator[str]:
    """The prompt, and then one character after the other; without a prompt, from a new line on."""
    check_sampling(length, temperature, top_k)
    spec, characters = trainer.spec_, trainer.names_
    shape = spec.out_shape
    if not spec.model.tokens or not characters or len(shape) != 2 or shape[1] < len(characters):
        raise InputError(
            "this model does not write text; sample takes one that was trained on data.source=text and "
            "returns an output for each character at each place"
        )
    known = encode(as_typed(prompt), characters)
    begin = known or [characters.index("\n") if "\n" in characters else 0]

    def outputs(window: np.ndarray) -> np.ndarray:
        return trainer.predict(window)[..., : len(characters)]

    tokens = continuation(outputs, begin, spec.in_shape[0], length, temperature, top_k, seed)
    return (characters[token] for token in chain(known, tokens))
