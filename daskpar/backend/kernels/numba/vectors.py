"""Numba's type of vectors of float32 in the processor's vector registers, and helpers to emit LLVM code.

`simd.py` has the operations on vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import binding, ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core import cgutils, config
from numba.core.base import BaseContext
from numba.core.datamodel.manager import DataModelManager
from numba.core.typing import Signature
from numba.extending import models, register_model
from numba.types import Type

Emitted = tuple[Signature, Callable[[BaseContext, IRBuilder, Signature, Sequence[Value]], Value]]
"""Result of an intrinsic: the types of arguments and value, and the function that emits its code."""


def has_avx512() -> bool:
    """Return whether kernels are compiled for AVX-512, for this processor or that of NUMBA_CPU_NAME.

    Kernels in a container's image are compiled for the oldest processor that it runs on.
    """
    if config.CPU_NAME is None:
        return bool(binding.get_host_cpu_features().get("avx512f", False))
    return config.CPU_NAME == "x86-64-v4" or "+avx512f" in (config.CPU_FEATURES or "")


AVX512 = has_avx512()
LANES = 16 if AVX512 else 8

FLOAT, INDEX = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)


class Vector(types.Type):
    """Numba type of a vector of LANES float32 numbers."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: DataModelManager, kind: Type):
        super().__init__(manager, kind, VECTOR)


def address(context: BaseContext, builder: IRBuilder, kind: Type, array: Value, index: Value) -> Value:
    """Return a pointer to element `index` of an array of this Numba type."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def as_vector(builder: IRBuilder, pointer: Value) -> Value:
    """Return a pointer to a number as a pointer to a vector."""
    return builder.bitcast(pointer, VECTOR.as_pointer())


def splatted(builder: IRBuilder, number: Value) -> Value:
    """Return a vector with one number in all lanes."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)


def call_intrinsic(builder: IRBuilder, name: str, *values: Value) -> Value:
    """Call the LLVM intrinsic of this name on vectors, and return its vector."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * len(values))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, values)
