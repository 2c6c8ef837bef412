"""The filters of a network's first convolution as images."""

from __future__ import annotations

import numpy as np

from daskpar.backend.array import to_numpy
from daskpar.nn.layers.conv1d import Conv1d
from daskpar.nn.layers.convolution import Conv2d
from daskpar.nn.operations import at, operations
from daskpar.report.run.html import Html, note
from daskpar.report.run.images import as_pixels, picture, signed
from daskpar.report.run.measured import Network

_MOST = 64


def filters(network: Network) -> Html | None:
    """Return the filters of the first convolution; None for a network without one."""
    program = operations(network.spec.model, apart=True, sync=False)
    first = next((op for op in program if isinstance(op.layer, Conv2d | Conv1d) and op.role == "run"), None)
    if first is None:
        return None
    params = at(network.spec.table.views(network.params), first.path)
    weight = to_numpy(params["weight"]).astype(float)
    if isinstance(first.layer, Conv1d):  # (kernel, features, channels): an image of positions and features
        weight = weight[:, :, None]
    height, width, inside, count = weight.shape
    if inside == 3:
        most = float(np.abs(weight).max())
        images = [as_pixels(weight[..., i], -most, most) for i in range(min(count, _MOST))]
        about = f"Colours are those of the weights, from {-most:.3g} (dark) to {most:.3g} (light)."
    else:
        weight = weight.mean(axis=2)
        most = float(np.abs(weight).max())
        images = [signed(weight[..., i], most) for i in range(min(count, _MOST))]
        about = f"Blue is {-most:.3g}, white is 0, red is {most:.3g}."
        if inside > 1:
            about += f" Each is the mean over {inside:,} input channels."
    kind = first.layer.kind
    number = ".".join(map(str, first.path))
    left_out = f" {count - _MOST:,} more are left out." if count > _MOST else ""
    shown = "".join(picture(image, f"filter {i} of {height} × {width}", 48) for i, image in enumerate(images))
    head = f"{count:,} filters of {height} × {width}, layer {number} ({kind}). {about}{left_out}"
    return Html(note(head) + f'<div class="gallery tight">{shown}</div>')
