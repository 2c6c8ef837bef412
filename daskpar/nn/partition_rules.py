"""The ways in which a layer says that it can be cut: in width, and by rows of pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """A split of a layer in width among n parts (tensor parallelism, Shoeybi et al. 2019, sec. 3).

    `unit`: what is shared out (`columns`, `heads`, `channels`, `words`, or `each` for element-wise layers,
    which any split passes through). `axes`: the axis along which each parameter is cut; of one that is not
    named every part has a copy. `sums`: whether the parts' outputs are summed (else they are laid side by
    side along the last axis); then the parameters in `once` count for the first part only. `count`: how many
    things there are to share out, where that is not the length of the first of the `axes`.
    """

    unit: str
    axes: tuple[tuple[str, int], ...] = ()
    sums: bool = False
    once: tuple[str, ...] = ()
    count: int | None = None


@dataclass(frozen=True)
class Window:
    """The rows of pixels (axis 0 of an example) that an output row is made from: the halo that a tile needs.

    Row i of the output needs rows i·stride − before to i·stride − before + size − 1 of the input; those
    outside of the image count as padding.
    """

    size: int = 1
    stride: int = 1
    before: int = 0


@dataclass(frozen=True)
class Positions:
    """How a layer works on a share of the positions (axis 0 of an example) of a sequence.

    Each position for itself or, where there is a `ring`, with those of all shares, whose keys pass by; where
    it is `causal`, with those of its own share and the ones before. The `share` of such a layer is a `Ring`.
    """

    ring: bool = False
    causal: bool = False


EACH = Width("each")
ROW = Window()
ALONE = Positions()
