"""Constants that depend on a size: numbers that rise evenly along axes, written by Range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.dtype import i64
from tallow.errors import ModelError
from tallow.onnx.exporter.merging import Size, Value, integer
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx.exporter.emitting import Emitter


def affine(g: Emitter, value: Value) -> str:
    """Write `first + sum(step[axis] * index[axis])`: ranges, and tensors of one number.

    Raises:
        ModelError: the elements are none such at some size.
    """
    found = [_coefficients(x) for x in value.tensors]
    if value.ndim == 2 and all(_is_eye(x) for x in value.tensors):
        zeros = g.node("Expand", g.constant([0], value.dtype), g.sizes(value.shape))
        return str(g.node("EyeLike", zeros))
    if any(each is None for each in found):
        raise ModelError(
            "onnx.export: expected constants that depend on a size to be of one number or ranges, "
            f"got {value.dtype.name} of shapes {[tuple(x.shape) for x in value.tensors]} in "
            f"{g.scope or 'the module'}: compute them from tensors or by arange"
        )
    rows = [each for each in found if each is not None]
    if value.dtype.kind not in "iu":
        return _floats(g, value, rows)
    first, *steps = [integer(tuple(int(n) for n in seen)) for seen in zip(*rows, strict=True)]
    total: Any = None
    for axis, step in enumerate(steps):
        if step == 0:
            continue
        made = g.node("Range", g.constant(0), g.scalar_size(value.shape[axis]), g.constant(1))
        if step != 1:
            made = g.node("Mul", made, g.size(step))
        behind = list(range(1, value.ndim - axis))
        made = g.node("Unsqueeze", made, behind) if behind else made
        total = made if total is None else g.node("Add", total, made)
    if total is None:
        return _filled(g, value, first)
    if first != 0:
        total = g.node("Add", total, g.size(first))
    if sum(step != 0 for step in steps) < value.ndim:
        total = g.node("Expand", total, g.sizes(value.shape))
    return g.cast(total, value.dtype, i64)


def _floats(g: Emitter, value: Value, rows: list[tuple[Any, ...]]) -> str:
    """One number, or whole numbers from 0 on, in a dtype that is not of integers."""
    first = rows[0][0]
    if all(row[0] == first and not any(row[1:]) for row in rows):
        return _filled(g, value, first)
    if value.ndim == 1 and all(row == (0, 1) for row in rows):
        stop = g.scalar_size(value.shape[0])
        return g.cast(g.node("Range", g.constant(0), stop, g.constant(1)), value.dtype, i64)
    raise ModelError(
        "onnx.export: expected constants of floats that depend on a size to be of one number, got "
        f"ranges of {rows[0]} in {g.scope or 'the module'}: compute them by arange"
    )


def _filled(g: Emitter, value: Value, number: Any) -> str:
    if isinstance(number, Size):
        one = g.cast(g.size(number), value.dtype, i64)
    else:
        one = g.constant([number], value.dtype)
    return str(g.node("Expand", one, g.sizes(value.shape)))


def _is_eye(x: Tensor) -> bool:
    from tallow.ops import eye

    plain = x.dtype.kind in "iuf" and x.numel() > 1
    return plain and bool((x == eye(*x.shape, dtype=x.dtype)).all())


def _coefficients(x: Tensor) -> tuple[Any, ...] | None:
    """The first element and the step along each axis, None where steps differ."""
    if not x.numel():
        return (0,) * (x.ndim + 1)
    if x.dtype.kind not in "iufb":
        return None
    first = x[(0,) * x.ndim].item()
    if x.dtype.kind == "b":
        same = bool(x.all() if first else x.logical_not().all())
        return (first, *[0] * x.ndim) if same else None
    steps = []
    wide = x.to("f64") if x.dtype.kind == "f" else x.to(i64)
    total = wide - wide
    for axis, n in enumerate(x.shape):
        place = tuple(int(axis == i) for i in range(x.ndim))
        step = wide[place].item() - first if n > 1 else 0
        shape = [n if i == axis else 1 for i in range(x.ndim)]
        from tallow.factories import arange

        total = total + (arange(n, dtype=wide.dtype) * step).reshape(shape)
        steps.append(step)
    if x.dtype.kind == "f" and not any(steps):
        return (first, *steps) if bool((x == first).all()) else None  # infinities, too
    return (first, *steps) if bool((wide == total + first).all()) else None
