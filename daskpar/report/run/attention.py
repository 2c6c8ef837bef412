"""Attention maps: the positions that each position of an example reads, by head."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from daskpar.backend.array import to_numpy
from daskpar.nn.flow import Flow
from daskpar.nn.layer import Context
from daskpar.nn.layers.attention import MultiHeadAttention
from daskpar.nn.operations import at, forward, operations
from daskpar.report.run.html import Html, note
from daskpar.report.run.images import heat, picture
from daskpar.report.run.measured import Measured
from daskpar.tasks.gradient import ignore_float_errors

_LAYERS, _HEADS, _POSITIONS = 2, 8, 256


@ignore_float_errors
def attention(measured: Measured) -> Html | None:
    """Return the maps of the first attention layers for the first example; None for a network without."""
    network, x = measured.network, measured.x[:1]
    program = operations(network.spec.model, apart=True, sync=False)
    views = network.spec.table.views(network.params)
    flow, begun = Flow(x), 0
    parts: list[str] = []
    for i, operation in enumerate(program):
        if len(parts) == _LAYERS:
            break
        if not isinstance(operation.layer, MultiHeadAttention) or operation.role != "run":
            continue
        ctx = Context()
        flow, begun = forward(program, (begun, i), views, flow, ctx)[0], i
        params = at(views, operation.path)
        _, (_, _, weights, *_) = operation.layer.forward(params, flow.x, ctx.masked(flow.mask))
        parts.append(_maps(to_numpy(weights)[0], ".".join(map(str, operation.path))))
    if not parts:
        return None
    return Html(_head(measured) + "".join(parts))


def _head(measured: Measured) -> Html:
    text = "Rows are positions that read, columns those that are read; lightest is the largest of a row."
    names = measured.network.names
    if measured.spec.model.tokens and names:
        tokens = measured.x[0].tolist()
        characters = _characters(tokens, names)
        return Html(note(f"{text} The example:") + f"<pre class='example'>{escape(characters)}</pre>")
    return note(f"{text} The example is row {measured.rows[0]:,} of the data.")


def _characters(tokens: Sequence[int], names: Sequence[str]) -> str:
    return "".join(names[token] if token < len(names) else "?" for token in tokens)


def _maps(weights: np.ndarray, number: str) -> str:
    """Return an image for each head of weights (heads, positions, positions).

    Each row is scaled by its largest weight: late positions of causal maps share theirs among many.
    """
    shown = weights[:_HEADS, :_POSITIONS, :_POSITIONS]
    scaled = shown / np.maximum(shown.max(axis=-1, keepdims=True), 1e-12)
    figures = "".join(
        f'<figure class="example">{picture(heat(head, 1.0), f"layer {number}, head {i}", 180)}'
        f"<figcaption>head {i}</figcaption></figure>"
        for i, head in enumerate(scaled)
    )
    return f'<h4>layer {escape(number)}</h4><div class="gallery">{figures}</div>'
