"""The type of vectors of float32, which Numba keeps in the processor's own vector registers.

With the types and the few instructions of LLVM that all intrinsics are written with. `simd.py` has the
operations on vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import binding, ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.datamodel.manager import DataModelManager
from numba.core.typing import Signature
from numba.extending import models, register_model
from numba.types import Type

Emitted = tuple[Signature, Callable[[BaseContext, IRBuilder, Signature, Sequence[Value]], Value]]
"""An intrinsic's result: the types that it takes and gives, and the function that writes its machine code."""

AVX512 = binding.get_host_cpu_features().get("avx512f", False)
LANES = 16 if AVX512 else 8

FLOAT, INDEX = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)


class Vector(types.Type):
    """LANES numbers of float32."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: DataModelManager, kind: Type):
        super().__init__(manager, kind, VECTOR)


def address(context: BaseContext, builder: IRBuilder, kind: Type, array: Value, index: Value) -> Value:
    """Where element `index` of an array of this Numba type lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def as_vector(builder: IRBuilder, pointer: Value) -> Value:
    return builder.bitcast(pointer, VECTOR.as_pointer())


def splatted(builder: IRBuilder, number: Value) -> Value:
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)


def call_intrinsic(builder: IRBuilder, name: str, *values: Value) -> Value:
    """Call LLVM's intrinsic of this name on vectors."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * len(values))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, values)
