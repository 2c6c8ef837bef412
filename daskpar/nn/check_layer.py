"""A check of a layer against its contract, as scikit-learn's `check_estimator` is for estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError, one_line
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.nested import flat, mapped
from daskpar.nn.own_layers import check_init, fault_of_gradients, fault_of_output

_ROWS, _CUT = 5, 2
_ELEMENTS = 40  # of each array that are checked by central differences
_STEP, _ERROR = 1e-5, 1e-5  # step of central differences; largest relative error of a gradient


def check_layer(
    layer: Layer, shape: Sequence[int], *, words: int | None = None, independent: bool = True
) -> None:
    """Check that a layer keeps its contract.

    The checks run in this order, first for prediction and then for training:

    - `pickling`: A pickled copy equals the layer.
    - `init`: The same random stream draws the same parameters.
    - `shapes`: Outputs and gradients have the shapes of the contract.
    - `dtypes`: A float32 input returns float32 outputs and gradients.
    - `purity`: Inputs and parameters are not written to.
    - `repetition`: A second pass returns the same bits.
    - `ownership`: Gradients are arrays of their own, not views of an input.
    - `gradients`: Gradients in float64 agree with central differences.
    - `rows`: A chunk computed in two pieces equals the whole.

    Args:
        layer: Layer to check, for example `Double()`.
        shape: Shape of one example, without the axis of rows.
        words: For layers of integers, such as embeddings: inputs are drawn below this number. None draws
            real numbers. Default: None.
        independent: Set it to False for layers whose rows influence each other while training, such as a
            batch norm. The check `rows` is then skipped for training. Default: True.

    Raises:
        InputError: A check fails. The message names the first one, and the fault.

    Example:
        >>> from daskpar import Dense, Layer, check_layer
        >>> check_layer(Dense(3), (4,))
        >>> class Double(Layer):
        ...     def forward(self, params, x, ctx):
        ...         return 2 * x, None
        ...     def backward(self, params, saved, dy, ctx):
        ...         return dy, {}  # should be 2 * dy
        >>> check_layer(Double(), (4,))
        Traceback (most recent call last):
        daskpar.errors.InputError: layer: check 'gradients' fails: dx is off by 0.5 of its largest element
    """
    if not isinstance(layer, Layer):
        raise InputError(f"check_layer: expected an object of a class derived from Layer, got {layer!r}")
    for training in (False, True):
        case = _Case(layer, tuple(shape), words, independent or not training, training)
        for name, check in _CHECKS.items():
            try:
                fault = check(case)
            except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
                fault = f"it raised {one_line(f'{type(error).__name__}: {error}', 200)}"
            if fault is not None:
                raise InputError(f"{layer.kind}: check {name!r} fails: {fault}")


@dataclass(frozen=True)
class _Case:
    """A layer, and the conditions under which it is run."""

    layer: Layer
    shape: Shape
    words: int | None
    independent: bool
    training: bool

    @property
    def ctx(self) -> Context:
        return Context(self.training, seed=3, step=5, row=11, path=(2,))

    def arrays(self, dtype: type) -> tuple[Params, Array, Array]:
        """Return parameters away from zero, an input, and the gradient of an output."""
        rng = np.random.default_rng(0)
        params, out_shape = check_init(self.layer, self.layer.init(rng, self.shape))
        params = mapped(params, lambda p: (p + 0.1 * rng.standard_normal(p.shape)).astype(dtype))
        x: Array = rng.standard_normal((_ROWS, *self.shape)).astype(dtype)
        dy: Array = rng.standard_normal((_ROWS, *out_shape)).astype(dtype)
        if self.words is not None:
            x = rng.integers(0, self.words, x.shape).astype(np.int32)
        return params, x, dy

    def run(self, params: Params, x: Array, dy: Array, row: int = 0) -> tuple[Array, Array, Params]:
        """Return (y, dx, gradients) of one pass."""
        ctx = replace(self.ctx, row=self.ctx.row + row)
        y, saved = self.layer.forward(params, x, ctx)
        dx, grads = self.layer.backward(params, saved, dy, ctx)
        return y, dx, grads


def _pickling(case: _Case) -> str | None:
    import cloudpickle  # type: ignore[import-untyped]

    copy = cloudpickle.loads(cloudpickle.dumps(case.layer))
    return None if copy == case.layer else f"its copy is {copy!r}; declare its values as fields"


def _init(case: _Case) -> str | None:
    (one, shape), (other, same) = (
        check_init(case.layer, case.layer.init(np.random.default_rng(0), case.shape)) for _ in range(2)
    )
    alike = all(np.array_equal(a, b) for a, b in zip(flat(one).values(), flat(other).values(), strict=True))
    return None if alike and shape == same else "it draws from another stream than `rng`"


def _shapes(case: _Case, dtype: type = np.float64) -> str | None:
    params, x, dy = case.arrays(dtype)
    y, saved = case.layer.forward(params, x, case.ctx)
    fault = fault_of_output(y, dy.shape, np.dtype(dtype))
    if fault is not None:
        return fault
    made = case.layer.backward(params, saved, dy, case.ctx)
    return fault_of_gradients(made, params, None if case.words is not None else x.shape, np.dtype(dtype))


def _dtypes(case: _Case) -> str | None:
    return _shapes(case, np.float32)


def _purity(case: _Case) -> str | None:
    params, x, dy = case.arrays(np.float32)
    inputs = {**{f"parameter {name!r}": p for name, p in flat(params).items()}, "x": x, "dy": dy}
    before = {name: array.copy() for name, array in inputs.items()}
    case.run(params, x, dy)
    written = [name for name, array in inputs.items() if not np.array_equal(array, before[name])]
    return f"it writes to {', '.join(written)}; work on a copy" if written else None


def _repetition(case: _Case) -> str | None:
    params, x, dy = case.arrays(np.float32)
    (y, dx, grads), (y2, dx2, grads2) = (case.run(params, x, dy) for _ in range(2))
    pairs = {"y": (y, y2), "dx": (dx, dx2)}
    pairs |= {name: (g, flat(grads2)[name]) for name, g in flat(grads).items()}
    differ = [name for name, (one, other) in pairs.items() if not np.array_equal(one, other)]
    return f"{differ[0]} differs in the second pass; draw random numbers by `ctx` alone" if differ else None


def _ownership(case: _Case) -> str | None:
    params, x, dy = case.arrays(np.float32)
    _, _, grads = case.run(params, x, dy)
    for name, gradient in flat(grads).items():
        if any(np.shares_memory(gradient, array) for array in (x, dy, *flat(params).values())):
            return f"the gradient {name!r} shares memory with an input; return a copy"
    return None


def _gradients(case: _Case) -> str | None:
    params, x, dy = case.arrays(np.float64)
    _, dx, grads = case.run(params, x, dy)
    arrays = {name: (p, flat(grads)[name]) for name, p in flat(params).items()}
    arrays = {name: pair for name, pair in arrays.items() if ".running_" not in f".{name}"}
    if case.words is None:
        arrays["dx"] = x, dx
    for name, (array, gradient) in arrays.items():
        chosen = np.random.default_rng(0).permutation(array.size)[:_ELEMENTS]
        expected = np.array(list(_slopes(case, params, x, dy, array.reshape(-1), chosen)))
        error = np.max(np.abs(gradient.reshape(-1)[chosen] - expected), initial=0)
        error /= max(np.max(np.abs(expected), initial=0), 1e-3)
        if not error < _ERROR:
            return f"{name} is off by {error:.2g} of its largest element"
    return None


def _slopes(
    case: _Case, params: Params, x: Array, dy: Array, elements: Array, chosen: np.ndarray
) -> Iterator[float]:
    """Yield central differences of Σ y·dy by the chosen elements of `params` or `x`, which are restored."""
    for i in chosen:
        value, sides = elements[i], []
        for moved in (value + _STEP, value - _STEP):
            elements[i] = moved
            sides.append(float(np.sum(case.layer.forward(params, x, case.ctx)[0] * dy)))
        elements[i] = value
        yield (sides[0] - sides[1]) / (2 * _STEP)


def _rows(case: _Case) -> str | None:
    if not case.independent:
        return None
    params, x, dy = case.arrays(np.float64)
    y, dx, grads = case.run(params, x, dy)
    ends = ((0, _CUT), (_CUT, _ROWS))
    pieces = [case.run(params, x[start:stop], dy[start:stop], start) for start, stop in ends]
    pairs = {"y": (y, np.concatenate([piece[0] for piece in pieces]))}
    if case.words is None:
        pairs["dx"] = dx, np.concatenate([piece[1] for piece in pieces])
    for name, gradient in flat(grads).items():
        pairs[f"the gradient {name!r}"] = gradient, sum(flat(piece[2])[name] for piece in pieces)
    for name, (whole, parts) in pairs.items():
        if not np.allclose(whole, parts, rtol=1e-10, atol=1e-12):
            return (
                f"{name} of a chunk differs from that of its pieces; pass independent=False if rows influence"
                " each other"
            )
    return None


_CHECKS: dict[str, Callable[[_Case], str | None]] = {
    "pickling": _pickling,
    "init": _init,
    "shapes": _shapes,
    "dtypes": _dtypes,
    "purity": _purity,
    "repetition": _repetition,
    "ownership": _ownership,
    "gradients": _gradients,
    "rows": _rows,
}
