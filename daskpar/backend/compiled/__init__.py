"""The kernels in machine code, for float32 arrays on the host: single passes, compiled by Numba.

They let go of the interpreter's lock, so lanes that are threads run side by side, and lie on the disk once
compiled. A name that is not here is that of `backend/reference`. Each module is loaded when one of
its kernels is first asked for.
"""

# ruff: noqa: F401 (the imports for a type checker, which does not see those of `__getattr__`)

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from daskpar.backend import reference
from daskpar.backend.compiled.kernel_cache import forget_outdated
from daskpar.backend.compiling import LOADING

if TYPE_CHECKING:
    from daskpar.backend.compiled.activation import gelu, gelu_with_slope, relu_backward
    from daskpar.backend.compiled.attention import attention, attention_backward
    from daskpar.backend.compiled.chain import dense_chain, dense_chain_backward
    from daskpar.backend.compiled.convolution import conv2d, conv2d_backward
    from daskpar.backend.compiled.embedding import scatter_rows
    from daskpar.backend.compiled.half import add_half, left_by_half, to_half
    from daskpar.backend.compiled.matrix import product
    from daskpar.backend.compiled.norm import layer_norm, layer_norm_backward
    from daskpar.backend.compiled.pooling import max_pool, max_pool_backward
    from daskpar.backend.compiled.softmax import cross_entropy, softmax_backward, softmax_rows
    from daskpar.backend.compiled.update import adam_update, momentum_update, sgd_update
    from daskpar.backend.reference import conv2d_input_gradient, conv2d_weight_gradient

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
