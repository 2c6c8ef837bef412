"""The kernels in machine code, for float32 arrays on the host: single passes, compiled by Numba.

They let go of the interpreter's lock, so lanes that are threads run side by side, and lie on the disk once
compiled. A name that is not here is that of `backend/reference`. Each module is loaded when one of
its kernels is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from daskpar.backend import reference
from daskpar.backend.compiled.kept import forget_outdated
from daskpar.backend.compiling import LOADING

_WHERE = {
    "relu_backward": "activation",
    "gelu": "activation",
    "gelu_with_slope": "activation",
    "conv2d": "convolution",
    "conv2d_backward": "convolution",
    "max_pool": "pooling",
    "max_pool_backward": "pooling",
    "layer_norm": "norm",
    "layer_norm_backward": "norm",
    "attention": "attention",
    "attention_backward": "attention",
    "softmax_rows": "softmax",
    "softmax_backward": "softmax",
    "cross_entropy": "softmax",
    "product": "matrix",
    "dense_chain": "chain",
    "dense_chain_backward": "chain",
    "scatter_rows": "embedding",
    "to_half": "half",
    "add_half": "half",
    "left_by_half": "half",
    "sgd_update": "update",
    "momentum_update": "update",
    "adam_update": "update",
}


forget_outdated()


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    module = _WHERE.get(name)
    with LOADING:
        found = getattr(import_module(f"{__name__}.{module}") if module else reference, name)
    globals()[name] = found
    return found
