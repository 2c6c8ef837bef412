"""Normalisation over the last axis."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def layer_norm(x: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """(y, normalised x, 1 / deviation with a last axis of 1) (Ba, Kiros and Hinton 2016, eq. 4)."""
    xp = array_module(x)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    inverse = 1 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + epsilon)
    centred *= inverse
    return centred * scale + shift, centred, inverse


def layer_norm_backward(dy: Array, normal: Array, inverse: Array, scale: Array) -> tuple[Array, Array, Array]:
    """(dx, gradient of scale, gradient of shift)."""
    xp = array_module(dy)
    axes = tuple(range(dy.ndim - 1))
    d_normal = dy * scale
    mean = xp.mean(d_normal, axis=-1, keepdims=True)
    along = xp.mean(d_normal * normal, axis=-1, keepdims=True)
    dx = (d_normal - mean - normal * along) * inverse
    return dx, xp.sum(dy * normal, axis=axes), xp.sum(dy, axis=axes)
