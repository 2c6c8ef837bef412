"""The door for data: examples and targets that people bring become arrays here, or are refused.

Taken:

* NumPy arrays, lists, tensors of torch, JAX, CuPy and others: an array on the host, in its byte order.
* Frames and series of pandas, polars, Arrow, arrays of xarray: numbers. Bools and nullable integers count,
  missing values are NaN. Frames with columns of texts or categories become records (`daskpar.data.records`),
  which transforms make numbers of.
* Sparse matrices of SciPy: rows that are made dense a chunk at a time (`daskpar.data.sparse`).
* dask arrays, frames and series: blocks, each compared with what the array says of it when it is loaded.
* Labels (texts, categories, whole numbers, bools): as they are. `daskpar.data.categories` numbers them.

Refused, by that word: masked values, units, dates, complex numbers, Python objects, texts as examples.

Checked at the door, before anything runs: the container, the dtype, one target a row. Checked of every chunk
where it is loaded, on a worker (`daskpar.tasks.load`): the lengths, the shapes against model and loss,
NaN and infinite values, ids and classes against the model, before any cast. Compiled kernels check the
numbers that they go to memory by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import native
from daskpar.data.frames import Frame, from_frame, is_frame
from daskpar.data.records import TEXT, Features, check_features, from_rows, is_records, kinds, names_of
from daskpar.data.sparse import SparseRows, Stored, is_sparse
from daskpar.errors import InputError

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

_NUMBERS = "fiub"
_LABELS = "fiubU"


@overload
def as_array(values: object, where: str, what: Literal["targets"]) -> np.ndarray: ...
@overload
def as_array(values: object, where: str, what: str = "examples") -> Stored: ...
def as_array(values: object, where: str, what: str = "examples") -> Stored:
    """Return an array (rows, ...) of numbers, or of labels for targets; `SparseRows` for a sparse matrix.

    `what`: examples or targets. Raises InputError, which begins with `where`, for what cannot be trained on.
    """
    if isinstance(values, SparseRows):
        return values
    if isinstance(values, str | bytes):
        raise InputError(
            f"{where}: {what} are a text, {values[:40]!r}; expected an array, or a source such as "
            "daskpar.data.Npz(path)"
        )
    _refuse_units(values, where, what)
    if is_sparse(values):
        if what == "examples" and values.ndim == 2:
            check_dtype(values.dtype, where)
            return SparseRows(values)
        values = values.toarray()
    if is_frame(values):
        return as_examples(values, where)[0] if what == "examples" else _of_frame(values, where, what)[0]
    return check_values(_converted(values, where, what), where, what)


def as_examples(values: object, where: str, known: Features = ()) -> tuple[Stored, Features]:
    """Return examples as an array or as records (rows,), and the columns of a frame, which have names.

    `known`: the columns that a model was trained on, which those of a frame are compared with; rows without
    names are taken in their order. Raises InputError for what cannot be trained on, and for other columns.
    """
    if is_frame(values):
        return _of_frame(values, where, "examples", known)
    if names_of(known, TEXT):
        if not isinstance(values, np.ndarray) or not is_records(values.dtype):
            return from_rows(values, known, where), known
        check_features(known, kinds(values.dtype), where)
        return values, known
    return as_array(values, where), ()


def _of_frame(values: Frame, where: str, what: str, known: Features = ()) -> tuple[np.ndarray, Features]:
    found, features = from_frame(values, where, what, known)
    array = _converted(found, where, what)
    return (array if is_records(array.dtype) else check_values(array, where, what)), features


def check_values(array: np.ndarray, where: str, what: str = "examples") -> np.ndarray:
    """Return a NumPy array of numbers, or of labels; masked values and Python objects are refused."""
    if isinstance(array, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(array))
        if masked:
            raise InputError(
                f"{where}: {masked} masked values in the {what}; fill them, e.g. with .filled(0), or drop "
                "their rows"
            )
        array = array.data
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind in "OT":
        array = _from_objects(array, where, what)
    check_dtype(array.dtype, where, what)
    return native(array)


def check_dtype(dtype: DTypeLike, where: str, what: str = "examples") -> None:
    """Refuse a dtype that is none of numbers, nor of labels where `what` is targets."""
    dtype = np.dtype(dtype)
    if dtype.kind in (_LABELS if what == "targets" else _NUMBERS):
        return
    hint = {
        "M": "dates; give numbers, e.g. days since the first",
        "m": "time spans; give numbers, e.g. seconds",
        "c": "complex numbers; give .real and .imag as columns",
        "U": "texts; encode them as numbers",
        "V": "records; give their fields as columns of numbers",
    }.get(dtype.kind, "Python objects; give numbers, e.g. .astype(float)")
    raise InputError(f"{where}: expected numbers, got {what} of {dtype}: {hint}")


def check_pair(
    x: Stored | DaskArray, y: Stored | DaskArray, where: str, may_be_records: bool = False
) -> None:
    """Refuse arrays that cannot be examples and their targets.

    `may_be_records`: examples are of a frame, which may have become records.
    """
    for what, part in (("examples", x), ("targets", y)):
        if not getattr(part, "shape", ()):
            raise InputError(f"{where}: {what} must have an axis of rows, got a single value")
    if x.shape[0] != y.shape[0]:
        raise InputError(
            f"{where}: {x.shape[0]} rows of examples but {y.shape[0]} labels; expected one a row"
        )
    if x.shape[0] == 0:
        raise InputError(f"{where}: zero rows; expected at least one example")
    if not (may_be_records and is_records(x.dtype)):
        check_dtype(x.dtype, where)
    lazy_labels = y.dtype.kind == "O" and not isinstance(y, np.ndarray)  # what they are, blocks will tell
    if y is not x and not lazy_labels:
        check_dtype(y.dtype, where, "targets")


def check_block(
    block: object, where: str, what: str, place: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Return a block of a dask array, dense and of the dtype that the array says; refuse another shape.

    `place`: the block's number along each axis. `shape`, `dtype`: what the array says of this block.
    """
    name = f"{where}: block {place[0] if len(place) == 1 or not any(place[1:]) else place} of the {what}"
    values = as_array(block, name, what)
    array = values[:] if isinstance(values, SparseRows) else values
    if array.shape != shape:
        if array.shape[1:] == shape[1:]:
            told = f"{array.shape[0]} rows where the dask array says {shape[0]}"
        else:
            told = f"the shape {array.shape} where the dask array says {shape}"
        raise InputError(f"{name} has {told}; call compute_chunk_sizes() on what filters rows, before fit")
    if np.dtype(dtype).kind == "O" or array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InputError(f"{name} is {array.dtype} where the dask array says {dtype}; use .astype({dtype})")
    return array if array.dtype.kind == "U" else array.astype(dtype)


def _refuse_units(values: object, where: str, what: str) -> None:
    """Refuse quantities of pint, astropy and unyt: an array of their numbers has lost the unit."""
    unit = getattr(values, "units", None) or getattr(values, "unit", None)
    for name in ("magnitude", "value", "v"):
        if unit is not None and isinstance(getattr(values, name, None), np.ndarray | float | int):
            raise InputError(
                f"{where}: {what} have a unit, {unit}; pass their numbers, .{name}, in the unit that you mean"
            )


def _converted(values: object, where: str, what: str) -> np.ndarray:
    """Return `values` as NumPy has it, masks kept."""
    if isinstance(values, np.ma.MaskedArray):
        return values
    if isinstance(values, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in values):
        return np.ma.stack(values)
    try:
        if hasattr(values, "detach"):  # a tensor that may require a gradient, or lie on a device
            values = values.detach().cpu()
        if hasattr(values, "__cuda_array_interface__") and hasattr(values, "get"):
            values = values.get()
        return np.asarray(values)
    except Exception as error:  # each library has its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{where}: {what} of type {type(values).__name__} cannot become an array ({reason}); "
            "pass a NumPy array of numbers"
        ) from None


def _from_objects(array: np.ndarray, where: str, what: str) -> np.ndarray:
    """Return the texts that an array of objects holds, as labels; anything else is refused by its place."""
    if array.dtype.kind == "T":
        return np.asarray(array, dtype=str)
    wanted = "labels" if what == "targets" else "numbers"
    for place, value in np.ndenumerate(array):
        if what == "targets" and isinstance(value, str):
            continue
        if not isinstance(value, str) and np.isscalar(value):
            continue
        spot = ", ".join(f"{name} {i}" for name, i in zip(("row", "column"), place, strict=False)) or "it"
        raise InputError(
            f"{where}: expected {wanted}, got {what} of object: {spot} holds {str(value)[:40]!r}, "
            f"a {type(value).__name__}; give {wanted}, e.g. .astype(float)"
        )
    if what == "targets" and array.size and all(isinstance(value, str) for value in array.flat):
        return array.astype(str)
    raise InputError(
        f"{where}: expected {wanted}, got {what} of object; give numbers of one dtype, e.g. .astype(float)"
    )
