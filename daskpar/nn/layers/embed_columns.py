"""Vectors for the categories in columns of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.registry import register

_WIDEST = 50


@register("embed_columns")
@dataclass(frozen=True)
class EmbedColumns(Layer):
    """Embeddings of the categorical columns of a table; the numeric columns pass unchanged.

    The transform `encode: embed` puts the codes of categories into the last columns, one column each. Code 0
    stands for every category that the training data did not have, and so does a code that is out of range.

    Args:
        features: Length of the vectors. None: half the number of categories, rounded up, at most 50.
            Default: None.
        categories: Number of categories of each column. Left out, they come from the transform `encode`.
            Default: ().
        init_weight: Initialiser of the vectors: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".

    Shape:
        - Input: (rows, numbers + columns).
        - Output: (rows, numbers + the sum of the lengths of the vectors).

    Parameters:
        - weight0, weight1, ...: (categories, features), one for each column.

    Raises:
        InputError: There are no categorical columns, or the input has fewer columns than `categories`.

    Example:
        A number, then a column of three categories:

        >>> import numpy as np
        >>> from daskpar import Context, EmbedColumns
        >>> layer = EmbedColumns(features=2, categories=(3,))
        >>> params = {"weight0": np.array([[0.0, 0.0], [0.1, 0.2], [0.3, 0.4]])}
        >>> y, _ = layer.forward(params, np.array([[7.5, 2], [8.5, 1]]), Context())
        >>> y
        array([[7.5, 0.3, 0.4],
               [8.5, 0.1, 0.2]])

    Reference:
        Guo and Berkhahn 2016, "Entity embeddings of categorical variables". https://arxiv.org/abs/1604.06737
    """

    features: int | None = None
    categories: tuple[int, ...] = ()
    init_weight: str = "normal"

    def __post_init__(self) -> None:
        initialiser(self.init_weight)
        if self.features is not None:
            require_positive(self.kind, features=self.features)
        for count in self.categories:
            require_positive(self.kind, categories=count)

    def open_sizes(self) -> dict[str, str]:
        return {} if self.categories else {"columns": "categories"}

    def _widths(self) -> list[int]:
        return [self.features or min(_WIDEST, (count + 1) // 2) for count in self.categories]

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if not self.categories:
            raise InputError(
                f"{self.kind}: no column holds codes of categories; use the transform `encode: embed`, or "
                "`encode: {embed: [names of columns]}`"
            )
        if len(in_shape) != 1 or in_shape[0] < len(self.categories):
            raise InputError(
                f"{self.kind}: expected examples of {len(self.categories)} columns or more, got shape "
                f"{in_shape}"
            )
        draw = initialiser(self.init_weight)
        sizes = list(zip(self.categories, self._widths(), strict=True))
        params: Params = {f"weight{i}": draw(rng, size, *size) for i, size in enumerate(sizes)}
        return params, (in_shape[0] - len(sizes) + sum(width for _, width in sizes),)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, list[Array]]:
        xp, first = array_module(x), x.shape[1] - len(self.categories)
        columns, codes = [x[:, :first]], []
        for i, count in enumerate(self.categories):
            code = xp.rint(x[:, first + i]).astype(int)
            code = xp.where((code >= 0) & (code < count), code, 0)
            codes.append(code)
            columns.append(params[f"weight{i}"][code].astype(x.dtype, copy=False))
        return xp.concatenate(columns, axis=1), codes

    def backward(self, params: Params, saved: list[Array], dy: Array, ctx: Context) -> tuple[Array, Params]:
        xp, widths = array_module(dy), self._widths()
        start = first = dy.shape[1] - sum(widths)
        grads = {}
        for i, (code, count, width) in enumerate(zip(saved, self.categories, widths, strict=True)):
            part = xp.ascontiguousarray(dy[:, start : start + width])
            grads[f"weight{i}"] = kernels(dy).scatter_rows(code, part, count)
            start += width
        if not ctx.input_gradient:
            return None, grads
        still = xp.zeros((len(dy), len(widths)), dtype=dy.dtype)
        return xp.concatenate([dy[:, :first], still], axis=1), grads

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0
