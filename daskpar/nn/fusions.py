"""The table of fusions: neighbouring layers, and what they are computed as."""

from __future__ import annotations

from dataclasses import replace

from daskpar.nn.fusion import FusedLayer, Fusion, fuse
from daskpar.nn.layer import Layer, Operation, Program
from daskpar.nn.layers.activations import ReLU
from daskpar.nn.layers.chain import DenseChain
from daskpar.nn.layers.dense import Dense
from daskpar.nn.layers.pooling import MaxPool
from daskpar.nn.layers.rectified import DoneReLU, Rectified
from daskpar.nn.rectifying import Rectifying


def is_relu(layer: Layer) -> bool:
    """Tell whether a layer is a ReLU, and no user's own that inherits from it."""
    return type(layer) in (ReLU, DoneReLU)


def is_max_pool(layer: Layer) -> bool:
    return type(layer) is MaxPool


def can_rectify(layer: Layer) -> bool:
    """Tell whether a layer can do the work of a ReLU beside it, and is not one that overrides `forward`."""
    if isinstance(layer, Rectified):
        return True
    plain = type(layer).forward is Rectifying.forward and type(layer).backward is Rectifying.backward
    return layer.rectifies and plain


def is_dense(layer: Layer) -> bool:
    """Tell whether a layer is dense, or a chain of such layers; a frozen one stays on its own."""
    kind = type(layer.layer if isinstance(layer, Rectified) else layer)
    return kind in (Dense, DenseChain) and layer.trainable


def behind(program: Program) -> Program:
    """A ReLU moves behind the max-pool that follows it.

    Both orders give the same bits, forward and backward, but the ReLU then treats (and keeps for the backward
    pass) only what the pool has left.
    """
    return program[::-1]


def rectify_output(program: Program) -> Program:
    """A layer does the work of the ReLU after it."""
    first, relu = program
    layer = replace(_rectified(first.layer), output=True)
    return replace(first, layer=layer), replace(relu, layer=replace(_done(relu.layer), forth=True))


def rectify_gradient(program: Program) -> Program:
    """A layer does, on the way back, the work of the ReLU before it."""
    relu, last = program
    layer = replace(_rectified(last.layer), input=True)
    return replace(relu, layer=replace(_done(relu.layer), back=True)), replace(last, layer=layer)


def chain(program: Program) -> Program:
    """Dense layers, with ReLUs that they do between them, become one operation."""
    links: list[Operation] = []
    for operation in program:
        layer = operation.layer
        links += layer.operations if isinstance(layer, FusedLayer) else (operation,)
    return (Operation("run", (), DenseChain(tuple(links))),)


def _rectified(layer: Layer) -> Rectified:
    if isinstance(layer, Rectified):
        return layer
    assert isinstance(layer, Rectifying)
    return Rectified(layer, trainable=layer.trainable)


def _done(layer: Layer) -> DoneReLU:
    return layer if isinstance(layer, DoneReLU) else DoneReLU()


FUSIONS = (
    Fusion("a ReLU moves behind a max-pool", (is_relu, is_max_pool), behind, local=False),
    Fusion("a layer rectifies its output", (can_rectify, is_relu), rectify_output),
    Fusion("a layer rectifies the gradient of its input", (is_relu, can_rectify), rectify_gradient),
    Fusion("dense layers around a ReLU are one", (is_dense, is_relu, is_dense), chain),
    Fusion("dense layers in a row are one", (is_dense, is_dense), chain),
)


def fused(program: Program) -> tuple[Operation, ...]:
    """A program that is run as a whole, with all fusions."""
    return fuse(program, FUSIONS)


def reordered(program: Program) -> tuple[Operation, ...]:
    """A program that may be cut afterwards, with those fusions that hold wherever it is cut."""
    return fuse(program, [fusion for fusion in FUSIONS if not fusion.local])
