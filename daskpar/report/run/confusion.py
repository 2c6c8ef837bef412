"""The confusion matrix of a classifier, with recall and precision of each class."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from daskpar.report.run.html import Html, details, note, table
from daskpar.report.run.images import heat, picture
from daskpar.report.run.measured import Measured

_MOST_CELLS = 20  # classes whose matrix is a table; more are an image
_MOST_CLASSES = 400  # classes of an image
_MOST_PAIRS = 15


def confusion(measured: Measured) -> Html:
    """Return the matrix of true and predicted classes, or a table of separate labels."""
    true, predicted = measured.decisions()
    names = measured.network.classes
    if measured.task == "labels" and true.ndim > 1:
        return _labels(true, predicted, names, measured)
    count = max(len(names), int(true.max(initial=0)) + 1, int(predicted.max(initial=0)) + 1)
    names = [*names, *map(str, range(len(names), count))]
    counts = _Counts.of(true.ravel(), predicted.ravel(), count)
    right, total = int(counts.right.sum()), int(counts.true.sum())
    unit = "rows" if true.ndim == 1 else "positions"
    share = right / total if total else 0.0
    head = note(
        f"{right:,} of {total:,} {unit} are classified correctly ({share:.2%}), of {measured.counted}. "
        "Rows are true classes, columns are predicted ones."
    )
    if count <= _MOST_CELLS:
        return Html(head + _cells(counts.matrix(), names, counts))
    image = _image(counts.matrix()) if count <= _MOST_CLASSES else ""
    order = np.argsort(-counts.true, kind="stable")[:_MOST_CLASSES].tolist()
    shown = sorted(order) if count <= _MOST_CLASSES else order
    rows = [[_shown(names[i]), *counts.scores(i), f"{counts.true[i]:,}"] for i in shown]
    title = f"all {count:,} classes" if len(shown) == count else f"the most frequent of {count:,} classes"
    classes = details(title, table(("class", "recall", "precision", unit), rows))
    return Html(f"{head}<div class='side'>{image}{_pairs(counts, names)}</div>{classes}")


class _Counts(NamedTuple):
    """Counts of true and predicted classes; of many classes, most pairs do not occur.

    Args:
        pairs: Pairs (pairs, 2) of a true and a predicted class.
        times: Number (pairs,) of each pair.
        true: Number (classes,) of each true class.
        predicted: Number (classes,) of each predicted class.
        right: Number (classes,) of correct predictions.
    """

    pairs: np.ndarray
    times: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, true: np.ndarray, predicted: np.ndarray, classes: int) -> _Counts:
        """Return the counts of true and predicted classes (rows,)."""
        places, times = np.unique(true * classes + predicted, return_counts=True)
        pairs = np.stack(np.divmod(places, classes), axis=1)
        sums = (np.bincount(some, minlength=classes) for some in (true, predicted, true[true == predicted]))
        return cls(pairs, times, *sums)

    def matrix(self) -> np.ndarray:
        """Return the matrix (classes, classes) of counts."""
        matrix = np.zeros((len(self.true), len(self.true)), int)
        matrix[self.pairs[:, 0], self.pairs[:, 1]] = self.times
        return matrix

    def scores(self, i: int) -> tuple[str, str]:
        """Return recall and precision of a class in percent."""
        return _percent(self.right[i], self.true[i]), _percent(self.right[i], self.predicted[i])


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _cells(matrix: np.ndarray, names: Sequence[str], counts: _Counts) -> Html:
    rows = []
    scores = [counts.scores(i) for i in range(len(names))]
    for i, (name, (recall, _)) in enumerate(zip(names, scores, strict=True)):
        total = int(matrix[i].sum())
        cells = "".join(_cell(int(n), total, i == j, name, names[j]) for j, n in enumerate(matrix[i]))
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th>{cells}<td class="sum">{total:,}</td>'
            f'<td class="sum">{recall}</td></tr>'
        )
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    foot = "".join(f'<td class="sum">{precision}</td>' for _, precision in scores)
    return Html(
        '<div class="scroll"><table class="confusion"><thead><tr><th>true \\ predicted</th>'
        f'{heads}<th scope="col">rows</th><th scope="col">recall</th></tr></thead><tbody>{"".join(rows)}'
        f'<tr><th scope="row">precision</th>{foot}<td></td><td></td></tr></tbody></table></div>'
    )


def _cell(count: int, total: int, right: bool, true: str, predicted: str) -> str:
    """Return a cell; its colour is stronger, the larger its share of the true class is."""
    share = count / total if total else 0.0
    title = escape(f"{true} predicted as {predicted}: {count:,} of {total:,} ({share:.1%})")
    strength = 0.0 if not count else 0.12 + 0.68 * share if right else min(0.85, 0.15 + 2 * share)
    style = f' style="--strength:{100 * strength:.0f}%"' if count else ""
    kind = "right" if right else "wrong" if count else "none"
    return f'<td class="{kind}"{style} title="{title}">{f"{count:,}" if count else "·"}</td>'


def _image(matrix: np.ndarray) -> Html:
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    text = "confusion matrix: rows are true classes, columns are predicted ones, light is a large share"
    return Html(f"<div>{picture(heat(shares, 1.0), text, 360)}</div>")


def _pairs(counts: _Counts, names: Sequence[str]) -> Html:
    """Return a table of the classes that are most often taken for another."""
    wrong = np.where(counts.pairs[:, 0] != counts.pairs[:, 1], counts.times, 0)
    rows = []
    for place in np.argsort(-wrong, kind="stable")[:_MOST_PAIRS].tolist():
        i, j = counts.pairs[place].tolist()
        if wrong[place]:
            share = _percent(wrong[place], counts.true[i])
            rows.append([_shown(names[i]), _shown(names[j]), f"{wrong[place]:,}", share])
    return table(("true", "predicted", "count", "share of the class"), rows)


def _shown(name: str) -> str:
    """Return the name of a class; a character that cannot be seen is quoted."""
    return name if name.strip() and name.isprintable() else repr(name)


def _labels(true: np.ndarray, predicted: np.ndarray, names: Sequence[str], measured: Measured) -> Html:
    """Return a table with a row for each of several separate labels."""
    true, predicted = true.reshape(len(true), -1), predicted.reshape(len(predicted), -1)
    rows = []
    for i in range(true.shape[1]):
        yes, said = true[:, i] == 1, predicted[:, i] == 1
        both = int((yes & said).sum())
        name = names[i] if i < len(names) else str(i)
        counts = (both, int((yes & ~said).sum()), int((~yes & said).sum()))
        scores = _percent(both, int(yes.sum())), _percent(both, int(said.sum()))
        rows.append([name, *(f"{count:,}" for count in counts), *scores])
    heads = ("label", "found", "missed", "false alarms", "recall", "precision")
    return Html(note(f"Of {measured.counted}.") + table(heads, rows))
