"""Kernels for float32 arrays on the host, compiled by Numba.

They release the interpreter's lock, so that lanes in threads run in parallel. Compiled code is cached on the
disk. A kernel that is missing here is the one of `kernels.reference`. A module is imported when one of its
kernels is first used.

    attention, chain, convolution, matrix, ...     the kernels, as `kernels.reference` documents them
         └── goto, winograd, direct, softmax       algorithms
                  └── tiles, transforms            inner loops
                           └── simd, vectors       vectors of LANES float32 numbers
"""

# ruff: noqa: F401 (the imports for a type checker, which does not see those of `__getattr__`)

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from daskpar.backend.compiling import LOADING
from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.kernel_cache import forget_outdated

if TYPE_CHECKING:
    from daskpar.backend.kernels.numba.activation import gelu, gelu_with_slope, relu_backward
    from daskpar.backend.kernels.numba.attention import attention, attention_backward
    from daskpar.backend.kernels.numba.chain import dense_chain, dense_chain_backward
    from daskpar.backend.kernels.numba.convolution import conv2d, conv2d_backward
    from daskpar.backend.kernels.numba.embedding import scatter_rows
    from daskpar.backend.kernels.numba.half import add_half, left_by_half, to_half
    from daskpar.backend.kernels.numba.matrix import product
    from daskpar.backend.kernels.numba.norm import layer_norm, layer_norm_backward
    from daskpar.backend.kernels.numba.pooling import max_pool, max_pool_backward
    from daskpar.backend.kernels.numba.softmax import cross_entropy, softmax_backward, softmax_rows
    from daskpar.backend.kernels.numba.update import adam_update, momentum_update, sgd_update
    from daskpar.backend.kernels.reference import conv2d_input_gradient, conv2d_weight_gradient

_NAMES = {
    "activation": "gelu gelu_with_slope relu_backward",
    "attention": "attention attention_backward",
    "chain": "dense_chain dense_chain_backward",
    "convolution": "conv2d conv2d_backward",
    "embedding": "scatter_rows",
    "half": "add_half left_by_half to_half",
    "matrix": "product",
    "norm": "layer_norm layer_norm_backward",
    "pooling": "max_pool max_pool_backward",
    "softmax": "cross_entropy softmax_backward softmax_rows",
    "update": "adam_update momentum_update sgd_update",
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names.split()}


forget_outdated()


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    module = _WHERE.get(name)
    with LOADING:
        kernel = getattr(import_module(f"{__name__}.{module}") if module else reference, name)
    globals()[name] = kernel
    return kernel
