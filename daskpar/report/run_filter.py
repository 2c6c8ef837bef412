"""Selection of runs: filters such as `accuracy>0.9`, and an order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import ge, gt, le, lt
from typing import NamedTuple

from daskpar.errors import InputError, unknown
from daskpar.report.runs import KEYS, FoundRun, Value

_ORDERS: dict[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_PATTERN = re.compile(r"\s*([^\s=!<>~]+)\s*(>=|<=|!=|!~|==|[=<>~])\s*(.*?)\s*")


class Filter(NamedTuple):
    """Condition on a value of a run. A value that is not known meets no condition."""

    key: str
    operator: str
    text: str

    @classmethod
    def parse(cls, expression: str) -> Filter:
        """Return the condition that a text describes: a key, an operator and a value.

        The operators are `=` and `!=`, `~` and `!~` (contains), and `>`, `>=`, `<`, `<=` for numbers and
        dates. Raises InputError for any other text.

        >>> Filter.parse("accuracy > 0.9")
        Filter(key='accuracy', operator='>', text='0.9')
        """
        match = _PATTERN.fullmatch(expression)
        if match is None:
            raise InputError(
                f"--filter {expression!r}: expected KEY, one of = != ~ !~ > >= < <=, and a value, e.g. "
                "'accuracy>0.9', 'layout=data' or 'name~cnn'"
            )
        key, operator, text = match.groups()
        if operator in _ORDERS and math.isnan(_as_number(key, text)):
            wanted = "a date such as 2026-01-31" if key == "when" else "a number"
            raise InputError(f"--filter {expression!r}: expected {wanted} after {operator}")
        return cls(key, "=" if operator == "==" else operator, text)

    def accepts(self, run: FoundRun) -> bool:
        """Return whether a run meets the condition."""
        value = run.get(self.key)
        if value is None:
            return False
        if self.operator in _ORDERS:
            number = _as_number(self.key, self.text)
            return not isinstance(value, str) and _ORDERS[self.operator](value, number)
        text, shown = self.text.casefold(), str(value).casefold()
        if self.operator in ("~", "!~"):
            return (text in shown) == (self.operator == "~")
        return self._equals(value, text, shown) == (self.operator == "=")

    def _equals(self, value: Value, text: str, shown: str) -> bool:
        if not isinstance(value, str):
            return value == _as_number(self.key, self.text)
        if self.key == "layout":  # a field that is not at its default, with or without its value
            fields = [field.replace(" ", "") for field in shown.split(", ")]
            return text == shown or any(text.replace(" ", "") in (f, f.partition(":")[0]) for f in fields)
        return text == shown


def _as_number(key: str, text: str) -> float:
    """Return a text as a number: a share in per cent, a date, or NaN if it is none."""
    try:
        if key == "when":
            return datetime.fromisoformat(text).timestamp()
        return float(text.rstrip("% ")) / 100 if text.endswith("%") else float(text)
    except (ValueError, OverflowError, OSError):
        return math.nan


def select(runs: Sequence[FoundRun], filters: Iterable[Filter]) -> list[FoundRun]:
    """Return the runs that meet all conditions. Raises InputError for a key that no run has."""
    filters = list(filters)
    for condition in filters:
        check_key("--filter", condition.key, runs)
    return [run for run in runs if all(condition.accepts(run) for condition in filters)]


def ordered(runs: Sequence[FoundRun], key: str, reverse: bool = False) -> list[FoundRun]:
    """Return the runs sorted by a key, or in descending order by "-KEY"; unknown values come last.

    Raises InputError for a key that no run has.
    """
    descending = key.startswith("-") != reverse
    key = key.removeprefix("-")
    check_key("--sort", key, runs)
    known = [run for run in runs if run.get(key) is not None]
    known.sort(key=lambda run: _rank(run.get(key)), reverse=descending)
    return known + [run for run in runs if run.get(key) is None]


def _rank(value: Value) -> tuple[bool, float, str]:
    """Return a sort key: numbers in their order, then texts with their numbers in order."""
    if isinstance(value, str):
        return True, 0.0, re.sub(r"\d+", lambda digits: digits[0].zfill(12), value.casefold())
    return False, math.inf if value is None else value, ""


def check_key(option: str, key: str, runs: Sequence[FoundRun]) -> None:
    """Refuse a key that has no meaning for any of the runs."""
    if runs and key not in KEYS and not any(key in run.keys for run in runs):
        known = set(KEYS).union(*(run.keys for run in runs))
        known = set(KEYS).union(*(run.keys for run in runs))
        fields = key.startswith("layout.")
        raise unknown(option, key, (name for name in known if fields or not name.startswith("layout.")))
