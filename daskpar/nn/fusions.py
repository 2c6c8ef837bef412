"""The table of fusions: patterns of neighbouring layers, and the operations that replace them."""

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
    """Return whether a layer is a ReLU. A user's subclass is not."""
    return type(layer) in (ReLU, DoneReLU)


def is_max_pool(layer: Layer) -> bool:
    """Return whether a layer is a max-pool. A user's subclass is not."""
    return type(layer) is MaxPool


def can_rectify(layer: Layer) -> bool:
    """Return whether a layer can apply a neighbouring ReLU itself. One that overrides `forward` cannot."""
    if isinstance(layer, Rectified):
        return True
    plain = type(layer).forward is Rectifying.forward and type(layer).backward is Rectifying.backward
    return layer.rectifies and plain


def is_dense(layer: Layer) -> bool:
    """Return whether a layer is dense, or a chain of dense layers, and not frozen."""
    kind = type(layer.layer if isinstance(layer, Rectified) else layer)
    return kind in (Dense, DenseChain) and layer.trainable


def behind(program: Program) -> Program:
    """Return a ReLU and a max-pool in the reverse order.

    Both orders compute the same bits, forward and backward. But the ReLU then has fewer elements to compute,
    and to keep for the backward pass.
    """
    return program[::-1]


def rectify_output(program: Program) -> Program:
    """Return a layer and a ReLU, where the layer applies the ReLU to its output."""
    first, relu = program
    layer = replace(_rectified(first.layer), output=True)
    return replace(first, layer=layer), replace(relu, layer=replace(_done(relu.layer), forth=True))


def rectify_gradient(program: Program) -> Program:
    """Return a ReLU and a layer, where the layer applies the ReLU's derivative to its input gradient."""
    relu, last = program
    layer = replace(_rectified(last.layer), input=True)
    return replace(relu, layer=replace(_done(relu.layer), back=True)), replace(last, layer=layer)


def chain(program: Program) -> Program:
    """Return dense layers, with the ReLUs between them that they apply, as one operation."""
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
    """Return a program with all fusions. It must be run as a whole."""
    return fuse(program, FUSIONS)


def reordered(program: Program) -> tuple[Operation, ...]:
    """Return a program with those fusions that are valid wherever it is cut afterwards."""
    return fuse(program, [fusion for fusion in FUSIONS if not fusion.local])
