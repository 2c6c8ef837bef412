"""Layer normalisation over the last axis, with care for squares that overflow.

Reference:
    Ba, Kiros and Hinton 2016, "Layer normalization", equation 4. https://arxiv.org/abs/1607.06450
"""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def layer_norm(x: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """Return the output, the normalised `x` (both shaped like `x`), and 1 / deviation (..., 1).

    `x` is (..., features), `scale` and `shift` are (features,). `epsilon` is added to the variance.
    """
    normal, inverse = _normal(x, epsilon)
    if overflows(inverse):
        size, epsilon = sizes(inverse, array_module(x).abs(x).max(axis=-1, keepdims=True), epsilon)
        normal, inverse = _normal(x / size, epsilon)
        inverse /= size
    return normal * scale + shift, normal, inverse


def layer_norm_backward(dy: Array, normal: Array, inverse: Array, scale: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of `x` (..., features), of the scale and of the shift (features,).

    `normal` and `inverse` are those that `layer_norm` returned.
    """
    xp = array_module(dy)
    axes = tuple(range(dy.ndim - 1))
    d_normal = dy * scale
    mean = xp.mean(d_normal, axis=-1, keepdims=True)
    along = xp.mean(d_normal * normal, axis=-1, keepdims=True)
    dx = (d_normal - mean - normal * along) * inverse
    return dx, xp.sum(dy * normal, axis=axes), xp.sum(dy, axis=axes)


def overflows(inverse: Array) -> bool:
    """Return whether squares have overflowed, so that 1 / deviation is 0 or NaN."""
    return not bool((inverse > 0).all())


def sizes(inverse: Array, largest: Array, epsilon: float) -> tuple[Array, Array]:
    """Return powers of two to divide values by before they are squared, and `epsilon` / powers².

    `largest` are the largest absolute values, shaped like `inverse`. The power is 1 where squares do not
    overflow.
    """
    xp = array_module(inverse)
    one = xp.ones_like(largest)
    size = xp.where(inverse > 0, one, xp.ldexp(one, xp.frexp(largest)[1] - 1))
    return size, xp.maximum(epsilon / size / size, xp.finfo(largest.dtype).tiny)


def _normal(x: Array, epsilon: float | Array) -> tuple[Array, Array]:
    xp = array_module(x)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    inverse = 1 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + epsilon)
    centred *= inverse
    return centred, inverse
