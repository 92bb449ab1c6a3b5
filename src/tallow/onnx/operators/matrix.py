"""Operators of matrices: triangles, identities, determinants."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.onnx.operators.host import as_value, on_host
from tallow.onnx.operators.known import dtype_of
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("Trilu", since=14, reads=("k",), host=True)
def trilu(x: Any, k: Any = None, *, upper: int = 1) -> Any:
    """The upper or lower triangle of matrices; zeros (or empty strings) beside it."""
    diagonal = int(k[0] if isinstance(k, list) else k or 0)
    expect(len(x.shape) >= 2, "Trilu", "at least 2 axes", tuple(x.shape))
    if on_host(x):
        import numpy as np

        kept = (np.triu if upper else np.tril)(np.ones(x.shape, bool), diagonal)
        return as_value(np.where(kept, x, "" if x.dtype == object else np.zeros((), x.dtype)))
    return ops.triu(x, diagonal) if upper else ops.tril(x, diagonal)


@operator("EyeLike", since=9)
def eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    """Ones on a diagonal, in the shape of a matrix."""
    expect(x.ndim == 2, "EyeLike", "a matrix", x.shape)
    wanted = x.dtype if dtype is None else dtype_of(dtype, "EyeLike")
    rows, columns = x.shape
    found: Tensor = (arange(rows).unsqueeze(1) + k).eq(arange(columns)).to(wanted)
    return found.to(x.device)


@operator("Det", since=11)
def det(x: Tensor) -> Tensor:
    """The determinants of square matrices; of half types computed in f32."""
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    expect(square, "Det", "square matrices", x.shape)
    return ops.det(x.to(f32) if x.dtype.itemsize < 4 else x).to(x.dtype)


@operator("Hardmax", until=12)
def hardmax_of_rows(x: Tensor, *, axis: int = 1) -> Tensor:
    """1 at the first largest of all elements behind an axis, else 0."""
    expect(-x.ndim <= axis <= x.ndim, "Hardmax", "an axis of the input", axis, ArgumentError)
    ahead = x.shape[: axis + x.ndim if axis < 0 else axis]
    return hardmax(x.reshape([*ahead, -1])).reshape(x.shape) if x.numel() else x


@operator("Hardmax", since=13)
def hardmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """1 at the first largest element along an axis, else 0."""
    if not x.numel():
        return x
    places = arange(x.shape[axis]).reshape(
        [-1, *[1] * (-axis - 1 if axis < 0 else x.ndim - axis - 1)]
    )
    return ops.argmax(x, axis, True).eq(places.to(x.device)).to(x.dtype)


@operator("MeanVarianceNormalization", since=9)
def mean_variance_normalization(x: Tensor, *, axes: Any = (0, 2, 3)) -> Tensor:
    """Deviations from the mean over axes, in standard deviations."""
    wide = x.to(f32) if x.dtype.itemsize < 4 else x
    off = wide - ops.mean(wide, axes, True)
    return (off / (ops.mean(ops.square(off), axes, True).sqrt() + 1e-9)).to(x.dtype)
