"""Examples with the highest loss: as images, as text, or as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from daskpar.data.records import MISSING, is_records
from daskpar.report.run.html import Html, note, short, table
from daskpar.report.run.images import as_pixels, heat, is_image, picture, value_range
from daskpar.report.run.measured import Measured

_MOST_COLUMNS = 24
_TEXTS = 4  # share of the examples, as texts are long: one in four


def mistakes(measured: Measured, most: int) -> Html:
    """Return the examples of a classifier that are classified wrongly, those with the highest loss first."""
    true, predicted = measured.decisions()
    if measured.spec.model.tokens and measured.network.names and true.ndim == 2:
        return _texts(measured, true, predicted, max(2, most // _TEXTS))
    wrong = (true != predicted).reshape(len(true), -1).any(axis=1)
    chosen = [i for i in measured.worst.tolist() if wrong[i]][:most]
    count = int(wrong.sum())
    head = f"{count:,} wrong of {measured.counted}; those with the highest loss:"
    if not count:
        chosen = measured.worst.tolist()[: max(4, most // 3)]
        head = f"None is wrong of {measured.counted}. Those with the highest loss:"
    names = measured.network.classes
    captions = []
    for i in chosen:
        pair = f"{_said(true[i], names)} → {_said(predicted[i], names)}"
        captions.append((pair + _percent(measured, i, predicted[i]), short(measured.losses[i])))
    order = note("True class → predicted class and its probability.")
    return Html(note(head) + gallery(measured, chosen, captions, ("true → predicted", "loss")) + order)


def _percent(measured: Measured, row: int, predicted: np.ndarray) -> str:
    probability = measured.probability(row, predicted)
    return "" if probability is None else f" ({probability:.1%})"


def _said(classes: np.ndarray, names: Sequence[str]) -> str:
    """Return the names of a row's class, or of its classes."""
    if classes.ndim == 0:
        return names[int(classes)] if int(classes) < len(names) else str(classes)
    flags = [names[i] if i < len(names) else str(i) for i in np.flatnonzero(classes.ravel()).tolist()]
    return ", ".join(flags[:6]) or "none"


def gallery(
    measured: Measured,
    chosen: Sequence[int],
    captions: Sequence[tuple[str, str]],
    heads: tuple[str, str],
    others: np.ndarray | None = None,
) -> Html:
    """Return examples with captions: images side by side, or a table of other examples.

    `others` are images (rows, ...) to show beside those of the examples, e.g. their reconstructions.
    """
    raw, shape = measured.raw, measured.raw.shape[1:]
    if not is_image(shape):
        return _rows(measured, chosen, captions, heads)
    low, high = value_range(raw)
    figures = []
    for i, (text, small) in zip(chosen, captions, strict=True):
        about = f"row {measured.rows[i]:,}: {text}"
        images: str = picture(as_pixels(raw[i], low, high), about)
        if others is not None:
            images += picture(as_pixels(others[i], low, high), f"output for row {measured.rows[i]:,}")
        small = f"{heads[1]} {small}".strip()
        figures.append(
            f'<figure class="example">{images}<figcaption>{escape(text)}<small>{escape(small)}, '
            f"row {measured.rows[i]:,}</small></figcaption></figure>"
        )
    return Html(f'<div class="gallery">{"".join(figures)}</div>')


def _rows(
    measured: Measured, chosen: Sequence[int], captions: Sequence[tuple[str, str]], heads: tuple[str, str]
) -> Html:
    names, values = _columns(measured)
    shown = names[:_MOST_COLUMNS]
    rows = [
        [f"{measured.rows[i]:,}", *caption, *(values(i)[: len(shown)])]
        for i, caption in zip(chosen, captions, strict=True)
    ]
    more = note(f"{len(names) - len(shown):,} more columns are left out.") if len(names) > len(shown) else ""
    return Html(table(("row", *heads, *shown), rows) + more)


def _columns(measured: Measured) -> tuple[Sequence[str], Callable[[int], Sequence[object]]]:
    """Return the names of the columns of the examples, and a function for the values of an example."""
    raw = measured.raw
    if is_records(raw.dtype):
        columns = list(raw.dtype.names or ())
        return columns, lambda i: [_value(raw[i][name]) for name in columns]
    if raw.ndim == 1:
        return ["x"], lambda i: [_value(raw[i])]
    if raw.ndim == 2:
        features = [column.name for column in measured.spec.schema.features]
        names = features if len(features) == raw.shape[1] else [f"x{i}" for i in range(raw.shape[1])]
        return names, lambda i: [_value(value) for value in raw[i]]
    size = tuple(raw.shape[1:])
    if len(size) == 2 and raw.dtype.kind in "fiub" and max(size) <= 256:
        high = float(np.abs(raw).max(initial=0)) or 1.0
        return ["example"], lambda i: [picture(heat(np.abs(raw[i].astype(float)), high), "an example")]
    return ["shape"], lambda _: [" × ".join(map(str, size))]


def _value(value: object) -> str:
    if isinstance(value, str):
        return "missing" if value == MISSING else value[:80]
    if isinstance(value, np.bool_ | bool):
        return str(bool(value))
    if isinstance(value, np.integer | int):
        return f"{int(value):,}"
    if isinstance(value, np.floating | float):
        return "missing" if np.isnan(value) else short(float(value))
    return str(value)[:80]


def _texts(measured: Measured, true: np.ndarray, predicted: np.ndarray, most: int) -> Html:
    """Return windows of a text, each character in the colour of its loss."""
    blocks = []
    for i in measured.worst[:most].tolist():
        losses = _by_position(measured, i)
        pairs = enumerate(zip(true[i].tolist(), predicted[i].tolist(), strict=True))
        characters = [_character(measured, *pair, losses[t]) for t, pair in pairs]
        blocks.append(
            f'<figure class="text"><pre>{"".join(characters)}</pre><figcaption>mean loss '
            f"{short(float(measured.losses[i]))}, window {measured.rows[i]:,}</figcaption></figure>"
        )
    head = note(
        f"The windows with the highest loss, of {measured.counted}. The stronger the colour of a character "
        "is, the less the model expected it; the mouse shows what it expected instead."
    )
    return Html(head + "".join(blocks))


def _by_position(measured: Measured, i: int) -> list[float]:
    """Return the loss of each position of a row, for losses that can be taken position by position."""
    outputs, y = measured.outputs[i], measured.y[i]
    if measured.spec.loss.over_positions == "":
        return [float(measured.losses[i])] * len(y)
    return [float(measured.spec.loss(outputs[t : t + 1], y[t : t + 1])[0]) for t in range(len(y))]


def _character(measured: Measured, true: int, predicted: int, loss: float) -> str:
    names = measured.network.names
    character, instead = (names[n] if n < len(names) else "?" for n in (true, predicted))
    title = f"{character!r}, loss {short(loss)}" + (f"; expected {instead!r}" if true != predicted else "")
    strength = min(100, round(100 * loss / 8))
    shown = "↵\n" if character == "\n" else character
    return f'<span title="{escape(title)}" style="--strength:{strength}%">{escape(shown)}</span>'
