"""JAX: a step jitted as a whole, parameters donated, on all cores of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from pipelines import peers
from pipelines.works import Work

Named = dict[str, Any]
_HEADS = 4


def run(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """Train a work on the data in a folder."""
    images, targets, weights = peers.data(folder)
    x, y = jnp.asarray(images), jnp.asarray(targets)
    params = {name: jnp.asarray(value) for name, value in weights.items()}
    ((kind, lr),) = work.optimizer.items()
    forward = partial(gpt if work.model.tokens else layers, work)
    update: Callable[..., Any] = partial(sgd if kind == "sgd" else adamw, lr)

    @partial(jax.jit, donate_argnums=(0, 1))
    def train(params: Named, slots: Any, batch: Any, labels: Any) -> Any:
        def loss(params: Named) -> Any:
            rows = nn.log_softmax(forward(params, batch))
            return -jnp.mean(jnp.take_along_axis(rows, labels[..., None], -1))

        value, grads = jax.value_and_grad(loss)(params)
        return (*update(params, grads, slots), value)

    zeros = {name: jnp.zeros_like(value) for name, value in params.items()}
    state = [params, (zeros, {k: v.copy() for k, v in zeros.items()}, jnp.zeros(())) if kind != "sgd" else ()]

    def step(rows: slice) -> Any:
        *state[:], value = train(*state, x[rows], y[rows])
        return value.block_until_ready()

    found = peers.timed(work, len(x), step)
    a = jnp.asarray(np.random.default_rng(0).random((2048, 2048), dtype=np.float32))
    product = jax.jit(lambda a: a @ a)
    return {**found, "gflops": peers.rate(lambda: product(a).block_until_ready(), 2048)}


def layers(work: Work, params: Named, x: Any) -> Any:
    """Return the output of a chain of layers."""
    for i, layer in enumerate(work.model.layers):
        weight, bias = params.get(f"{i}.weight"), params.get(f"{i}.bias")
        if layer.kind == "dense":
            x = x @ weight + bias
        elif layer.kind == "conv2d":
            how = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=how) + bias
        elif layer.kind == "max_pool":
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        elif layer.kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            x = nn.relu(x)
    return x


def gpt(work: Work, params: Named, x: Any) -> Any:
    """Return the output of the language model, whose output weights are those of the embedding."""

    def norm(h: Any, prefix: str) -> Any:
        mean, variance = h.mean(-1, keepdims=True), h.var(-1, keepdims=True)
        return (h - mean) * lax.rsqrt(variance + 1e-5) * params[f"{prefix}.scale"] + params[f"{prefix}.shift"]

    h = params["0.weight"][x] + params["0.0.weight"]
    for i in range(1, 5):
        own = f"0.{i}"
        rows, positions, wide = h.shape
        qkv = params[f"{own}.0.1.qkv"].reshape(wide, -1)
        z = norm(h, f"{own}.0.0") @ qkv + params[f"{own}.0.1.qkv_bias"].reshape(-1)
        q, k, v = (z.reshape(rows, positions, 3, _HEADS, -1)[:, :, part] for part in range(3))
        attended = nn.dot_product_attention(q, k, v, is_causal=True).reshape(rows, positions, wide)
        h = h + attended @ params[f"{own}.0.1.out"] + params[f"{own}.0.1.out_bias"]
        inner = norm(h, f"{own}.1.0") @ params[f"{own}.1.1.up"] + params[f"{own}.1.1.up_bias"]
        h = h + nn.gelu(inner) @ params[f"{own}.1.1.down"] + params[f"{own}.1.1.down_bias"]
    return norm(h, "0.5") @ params["0.weight"].T


def sgd(lr: float, params: Named, grads: Named, slots: Any) -> Any:
    """Return parameters and state after a step of gradient descent."""
    return {name: params[name] - lr * grads[name] for name in params}, slots


def adamw(lr: float, params: Named, grads: Named, slots: Any) -> Any:
    """Return parameters and state after a step of AdamW without weight decay, as in all contestants."""
    means, squares, step = slots
    step = step + 1
    means = {n: 0.9 * means[n] + 0.1 * grads[n] for n in params}
    squares = {n: 0.999 * squares[n] + 0.001 * grads[n] ** 2 for n in params}
    rate, root = lr / (1 - 0.9**step), 1 / jnp.sqrt(1 - 0.999**step)
    new = {n: params[n] - rate * means[n] / (root * jnp.sqrt(squares[n]) + 1e-8) for n in params}
    return new, (means, squares, step)
