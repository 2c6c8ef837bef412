"""The rules by which a layer can be split: by width, by rows of pixels and by positions of a sequence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """A split of a layer into n parts of equal width: tensor parallelism.

    Args:
        unit: Name of the axis that is split: "columns", "rows", "heads", "channels" or "words". "each" marks
            element-wise layers, which any split passes through.
        axes: Axis along which each parameter is split, by name. Every part has a copy of the other
            parameters.
        sums: Sum the outputs of the parts. False concatenates them along the last axis. Default: False.
        once: Parameters that only the first part adds, for example a bias before a sum.
        count: Number of units to split, if it is not the length of the first of `axes`. Default: None.

    Reference:
        Shoeybi et al. 2019, "Megatron-LM: training multi-billion parameter language models using model
        parallelism", section 3. https://arxiv.org/abs/1909.08053
    """

    unit: str
    axes: tuple[tuple[str, int], ...] = ()
    sums: bool = False
    once: tuple[str, ...] = ()
    count: int | None = None


@dataclass(frozen=True)
class Window:
    """The rows of pixels (axis 0 of an example) that an output row needs. They give the halo of a tile.

    Output row i needs the input rows from i·stride − before to i·stride − before + size − 1. Rows outside of
    the image are padding.

    Args:
        size: Number of input rows for one output row. Default: 1.
        stride: Input rows between neighbouring output rows. Default: 1.
        before: Rows of padding above the image. Negative: rows that are cut off. Default: 0.
    """

    size: int = 1
    stride: int = 1
    before: int = 0


@dataclass(frozen=True)
class Positions:
    """The way a layer computes a share of the positions (axis 0 of an example) of a sequence.

    By default each position is computed alone.

    Args:
        ring: A position needs the keys and values of all positions, which the shares pass around in a ring.
            `Layer.share` then returns a `nn.ring.Ring`. Default: False.
        causal: With `ring`, a position needs no positions after it. Default: False.
    """

    ring: bool = False
    causal: bool = False


EACH = Width("each")
"""The split of an element-wise layer: it works on any part of its input."""
ROW = Window()
"""The split of a layer that computes each row of pixels alone."""
ALONE = Positions()
"""The split of a layer that computes each position alone."""
