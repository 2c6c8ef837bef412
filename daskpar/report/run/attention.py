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

_LIGHTEST = 0.99  # share of the weights below the lightest colour; the first rows of causal maps are all 1
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
    text = "A row is a position that reads, a column one that is read; light is a large weight."
    names = measured.network.names
    if measured.spec.model.tokens and names:
        tokens = measured.x[0].tolist()
        characters = _characters(tokens, names)
        return Html(note(f"{text} The example:") + f"<pre class='example'>{escape(characters)}</pre>")
    return note(f"{text} The example is row {measured.rows[0]:,} of the data.")


def _characters(tokens: Sequence[int], names: Sequence[str]) -> str:
    return "".join(names[token] if token < len(names) else "?" for token in tokens)


def _maps(weights: np.ndarray, number: str) -> str:
    """Return an image for each head of weights (heads, positions, positions)."""
    images = [
        picture(
            heat(head[:_POSITIONS, :_POSITIONS], float(np.quantile(head, _LIGHTEST))),
            f"layer {number}, head {i}",
            180,
        )
        for i, head in enumerate(weights[:_HEADS])
    ]
    figures = "".join(
        f'<figure class="example">{image}<figcaption>head {i}<small>largest weight '
        f"{weights[i].max():.2f}</small></figcaption></figure>"
        for i, image in enumerate(images)
    )
    return f'<h4>layer {escape(number)}</h4><div class="gallery">{figures}</div>'
