"""Reference kernels in plain array functions, for any device and precision.

The compiled kernels must return the same, within rounding.
"""

from daskpar.backend.kernels.reference.activation import gelu, gelu_with_slope, relu_backward
from daskpar.backend.kernels.reference.attention import (
    attention,
    attention_backward,
    softmax_backward,
    softmax_rows,
)
from daskpar.backend.kernels.reference.chain import dense_chain, dense_chain_backward
from daskpar.backend.kernels.reference.convolution import (
    Geometry,
    conv2d,
    conv2d_backward,
    conv2d_input_gradient,
    conv2d_weight_gradient,
)
from daskpar.backend.kernels.reference.embedding import scatter_rows
from daskpar.backend.kernels.reference.half import add_half, left_by_half, to_half
from daskpar.backend.kernels.reference.loss import cross_entropy
from daskpar.backend.kernels.reference.matrix import product
from daskpar.backend.kernels.reference.norm import layer_norm, layer_norm_backward
from daskpar.backend.kernels.reference.pooling import max_pool, max_pool_backward
from daskpar.backend.kernels.reference.update import adam_update, momentum_update, sgd_update

__all__ = [
    "Geometry",
    "adam_update",
    "add_half",
    "attention",
    "attention_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "dense_chain",
    "dense_chain_backward",
    "gelu",
    "gelu_with_slope",
    "layer_norm",
    "layer_norm_backward",
    "left_by_half",
    "max_pool",
    "max_pool_backward",
    "momentum_update",
    "product",
    "relu_backward",
    "scatter_rows",
    "sgd_update",
    "softmax_backward",
    "softmax_rows",
    "to_half",
]
