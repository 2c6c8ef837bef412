"""Refusals of unknown arguments of a Trainer's methods, with the name that is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from daskpar.aliases import SETTINGS, Advice, argument_name, wrong_argument
from daskpar.errors import ArgumentError
from daskpar.train.settings import FIELDS

P = ParamSpec("P")
R = TypeVar("R")


def known_arguments(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method refuse unknown arguments with a message that names the right one.

    >>> @known_arguments
    ... def fit(X, y=None, validation=None): ...
    >>> fit([[1]], shape=3)
    Traceback (most recent call last):
    daskpar.errors.ArgumentError: argument of fit 'shape' is not known; known: X, validation, y
    """
    known = list(inspect.signature(method).parameters)

    @wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> R:
        for name in options:
            if name not in known:
                raise _refusal(method.__name__, name, known)
        return method(*args, **options)

    return call


def _refusal(method: str, name: str, known: list[str]) -> ArgumentError:
    here = argument_name(name, known, SETTINGS)
    setting = name if name in FIELDS else argument_name(name, FIELDS, SETTINGS)
    if (here is None or isinstance(here, Advice)) and setting in FIELDS:
        return ArgumentError(
            f"{method}: {name} belongs to the Trainer: Trainer(..., {setting}=...), or set "
            f"trainer.{setting} before"
        )
    return wrong_argument(f"argument of {method}", name, [n for n in known if n != "self"], SETTINGS)
