"""Values in ONNX's quantised element types, and back: on the host where no Tensor holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.dtype import DType, as_dtype, f32, i32
from tallow.errors import ArgumentError, expect
from tallow.formats.onnx.types import OF_DTYPE, OF_NUMPY, TYPES, ElementType
from tallow.onnx.values import as_value
from tallow.tensor import Tensor


def type_of(value: Any) -> ElementType:
    """The element type of a tensor or host array."""
    if isinstance(value, Tensor):
        return TYPES[OF_DTYPE[value.dtype.name]]
    return TYPES[OF_NUMPY[value.dtype.name]]


def limits(kind: ElementType) -> tuple[int, int] | None:
    """The range of an integer type; None for floats."""
    for prefix, signed in (("uint", False), ("int", True)):
        if kind.name.startswith(prefix):
            top = 1 << (kind.bits - signed)
            return (-top if signed else 0), top - 1
    return None


def floats(value: Any, dtype: DType = f32) -> Tensor:
    """A tensor or host array in a float dtype."""
    made = value if isinstance(value, Tensor) else as_value(value.astype("float32"))
    assert isinstance(made, Tensor)
    return made.to(dtype)


def whole(value: Any) -> Tensor:
    """Integers, on the host or not, as i32."""
    made = value if isinstance(value, Tensor) else as_value(value.astype("int32"))
    assert isinstance(made, Tensor)
    return made.to(i32)


def rounded(x: Tensor, zero: Any, kind: ElementType, saturate: bool = True) -> Any:
    """`x`, already divided by the scale, in an element type.

    Integers are rounded, halves to even, moved by the zero point and kept in range. Floats are
    rounded to the next one; with `saturate` what is too large becomes the largest, else NaN or
    infinity.
    """
    span = limits(kind)
    if span is None:
        return _rounded_float(x.to(f32), kind, saturate)
    x = x.round().to(f32)
    if zero is not None:
        x = x + floats(zero)
    x = x.clamp(*span)
    if kind.dtype is not None:
        return x.to(as_dtype(kind.dtype))
    return _on_host(x, kind)


def _rounded_float(x: Tensor, kind: ElementType, saturate: bool) -> Any:
    if kind.dtype is None:
        if saturate:
            top = _largest(kind)
            x = x.clamp(-top, top)
        return _on_host(x, kind)
    dtype = as_dtype(kind.dtype)
    if dtype.itemsize > 1:
        return x.to(dtype)
    top = {"f8e4m3": 448.0, "f8e5m2": 57344.0}[dtype.name]
    if saturate:
        return x.clamp(-top, top).to(dtype)
    if dtype.name == "f8e4m3":  # from 464 on the next value would be NaN's
        x = ops.where(x.abs() > 464, float("nan"), x)
    return x.to(dtype)


def _largest(kind: ElementType) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(getattr(ml_dtypes, kind.numpy)).max)  # type: ignore[no-untyped-call]


def _on_host(x: Tensor, kind: ElementType) -> Any:
    import ml_dtypes
    import numpy as np

    found = x.numpy()
    with np.errstate(all="ignore"):
        return found.astype(getattr(ml_dtypes, kind.numpy, kind.numpy))


def spread(scale: Tensor, x: Any, axis: int, block: int, where: str) -> Tensor:
    """A scale or zero point as it broadcasts with x: one for all, an index, or a block."""
    if scale.numel() == 1 and scale.ndim <= 1:
        return scale.reshape(())
    rank, shape = len(x.shape), tuple(x.shape)
    fits = -rank <= axis < rank
    expect(fits, where, f"an axis of {rank} axes", axis, ArgumentError)
    axis %= rank
    if scale.ndim == 1 and not block:
        expect(scale.shape[0] == shape[axis], where, f"{shape[axis]} scales", scale.shape)
        return scale.reshape(_at(axis, rank, scale.shape[0]))
    wanted = (*shape[:axis], -(-shape[axis] // block) if block else 0, *shape[axis + 1 :])
    text = f"scales of shape {wanted} for blocks of {block} along axis {axis}"
    expect(block > 0 and tuple(scale.shape) == wanted, where, text, tuple(scale.shape))
    each = scale.unsqueeze(axis + 1)
    sizes = [*each.shape]
    sizes[axis + 1] = block
    return each.expand(*sizes).flatten(axis, axis + 1).narrow(axis, 0, shape[axis])


def _at(axis: int, rank: int, length: int) -> Sequence[int]:
    return [length if i == axis else 1 for i in range(rank)]
