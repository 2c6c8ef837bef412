"""`daskpar sample`: text from a trained model of characters, character by character."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

import numpy as np

from daskpar.errors import InputError
from daskpar.train import Trainer
from daskpar.train.sample import check_sampling, continuation, encode


def as_typed(argument: str) -> str:
    """Return an argument as the user typed it in UTF-8, also where the locale has another encoding."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument


def sampled_text(
    trainer: Trainer, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> Iterator[str]:
    """Return an iterator over the prompt and then each character that is drawn.

    Without a prompt the model continues a new line, which is not part of the text.
    Raises InputError for a model that was not trained on text.
    """
    check_sampling(length, temperature, top_k)
    spec, characters = trainer.spec_, trainer.names_
    shape = spec.out_shape
    if not spec.model.tokens or not characters or len(shape) != 2 or shape[1] < len(characters):
        raise InputError(
            "this model does not write text; sample needs a model that was trained on data.source=text and "
            "has an output for each character at each position"
        )
    known = encode(as_typed(prompt), characters)
    begin = known or [characters.index("\n") if "\n" in characters else 0]

    def outputs(window: np.ndarray) -> np.ndarray:
        return trainer.predict(window)[..., : len(characters)]

    tokens = continuation(outputs, begin, spec.in_shape[0], length, temperature, top_k, seed)
    return (characters[token] for token in chain(known, tokens))
