"""Checks of the examples and targets that people pass: they become arrays, or are refused.

Accepted:

* NumPy arrays, lists, tensors of torch, JAX, CuPy and others: they become an array on the host, in the host's
  byte order.
* Frames and series of pandas, polars and Arrow, and arrays of xarray: they become numbers. Bools and nullable
  integers are numbers, missing values are NaN. Frames with columns of texts or categories become records
  (`daskpar.data.records`), which transforms encode.
* Sparse matrices of SciPy: their rows are made dense one chunk at a time (`daskpar.data.sparse`).
* dask arrays, frames and series: each block is compared with its declared shape and dtype when it is loaded.
* Labels (texts, categories, whole numbers, bools): they are kept. `daskpar.data.categories` numbers them.

Refused, with a message that names the reason: masked values, units, dates, complex numbers, Python objects,
and texts as examples.

Checked here, before anything runs: the container, the dtype, and one target for each row. Checked for every
chunk when a worker loads it (`daskpar.tasks.load`), before any cast: lengths, shapes against model and loss,
NaN and infinite values, and ids and classes against the model. Compiled kernels check the indices with which
they access memory.
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

    `what`: "examples" or "targets", for messages. Raises InputError, which begins with `where`, for values
    that cannot be trained on.
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

    `known`: the columns that a model was trained on. The columns of a frame must equal them; rows without
    names are used in their order. Raises InputError, which begins with `where`, for values that cannot be
    trained on, and for other columns.
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
    rows, features = from_frame(values, where, what, known)
    array = _converted(rows, where, what)
    return (array if is_records(array.dtype) else check_values(array, where, what)), features


def check_values(array: np.ndarray, where: str, what: str = "examples") -> np.ndarray:
    """Return a NumPy array of numbers or of labels in native byte order.

    Raises InputError for masked values, Python objects and other dtypes.
    """
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
    """Refuse a dtype other than numbers; for targets, labels are accepted too. Raises InputError."""
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
    """Refuse arrays that cannot be examples and their targets. Raises InputError.

    `may_be_records`: the examples may be records, made from a frame.
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
    lazy_labels = y.dtype.kind == "O" and not isinstance(y, np.ndarray)  # the blocks show what objects are
    if y is not x and not lazy_labels:
        check_dtype(y.dtype, where, "targets")


def check_block(
    block: object, where: str, what: str, place: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Return a block of a dask array, dense and in the declared dtype.

    `place`: the number of the block along each axis. `shape`, `dtype`: those that the dask array declares for
    this block. Raises InputError for a block of another shape or kind.
    """
    name = f"{where}: block {place[0] if len(place) == 1 or not any(place[1:]) else place} of the {what}"
    values = as_array(block, name, what)
    array = values[:] if isinstance(values, SparseRows) else values
    if array.shape != shape:
        if array.shape[1:] == shape[1:]:
            fault = f"{array.shape[0]} rows where the dask array says {shape[0]}"
        else:
            fault = f"the shape {array.shape} where the dask array says {shape}"
        raise InputError(f"{name} has {fault}; call compute_chunk_sizes() on what filters rows, before fit")
    if np.dtype(dtype).kind == "O" or array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InputError(f"{name} is {array.dtype} where the dask array says {dtype}; use .astype({dtype})")
    return array if array.dtype.kind == "U" else array.astype(dtype)


def _refuse_units(values: object, where: str, what: str) -> None:
    """Refuse quantities of pint, astropy and unyt, since an array of their numbers loses the unit."""
    unit = getattr(values, "units", None) or getattr(values, "unit", None)
    for name in ("magnitude", "value", "v"):
        if unit is not None and isinstance(getattr(values, name, None), np.ndarray | float | int):
            raise InputError(
                f"{where}: {what} have a unit, {unit}; pass their numbers, .{name}, in the unit that you mean"
            )


def _converted(values: object, where: str, what: str) -> np.ndarray:
    """Return `values` as a NumPy array; masks are kept. Raises InputError if that fails."""
    if isinstance(values, np.ma.MaskedArray):
        return values
    if isinstance(values, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in values):
        return np.ma.stack(values)
    try:
        if hasattr(values, "detach"):  # a tensor that may require a gradient, or be on a device
            values = values.detach().cpu()
        if hasattr(values, "__cuda_array_interface__") and hasattr(values, "get"):
            values = values.get()
        return np.asarray(values)
    except Exception as error:  # each library has exceptions of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{where}: {what} of type {type(values).__name__} cannot become an array ({reason}); "
            "pass a NumPy array of numbers"
        ) from None


def _from_objects(array: np.ndarray, where: str, what: str) -> np.ndarray:
    """Return an array of objects as labels if all are texts; refuse other objects by their place."""
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
