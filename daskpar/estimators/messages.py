"""Translation of scikit-learn's errors into daskpar's: one line, in scikit-learn's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sklearn.exceptions import NotFittedError

from daskpar.errors import InputError

_ADVERTISED = re.compile(r"\s+\w+ does not accept missing values encoded as NaN natively.*", re.DOTALL)
_IMPUTE = "; fill missing values first, e.g. with transforms=['impute'] or sklearn.impute.SimpleImputer"
_ENCODE = "; encode texts first, e.g. with transforms=['encode'] or sklearn.preprocessing.OneHotEncoder"


class NotYetFittedError(InputError, NotFittedError):
    """Error of an estimator that is used before `fit`."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a ValueError of scikit-learn's checks into an InputError with the same words in one line.

    A TypeError, e.g. for objects that are not numbers, stays a TypeError.
    """
    try:
        yield
    except InputError:
        raise
    except NotFittedError as error:
        raise NotYetFittedError(error) from None
    except ValueError as error:
        raise InputError(_advised(str(error))) from None


def _advised(message: str) -> str:
    """Return a message with daskpar's advice in place of the advice to use other estimators."""
    if message.startswith("could not convert string to float"):
        return message + _ENCODE
    return _ADVERTISED.sub(_IMPUTE, message).replace(".;", ";")
