"""Indexing with integer and bool arrays, by NumPy's rules; ints, slices and None are views."""

from __future__ import annotations

import operator
from typing import Any

from . import _native
from .dtype import i64
from .errors import ArgumentError, IndexRangeError, expect
from .tensor import Tensor, tensor, unwrap, wrap


def get(x: Tensor, key: Any) -> Tensor:
    """`x[key]` as a new tensor (a view when numpy integers were all that was special)."""
    parts = _parts(key)
    view = x._array.basic_index(tuple(parts))
    if view is not None:
        return wrap(view)
    plan = _Plan(x, parts)
    rest = plan.moved.shape[plan.count :]
    out = _native.Array.empty((plan.size, *rest), x._array.dtype)
    _run("index", x, out, plan.moved, plan.indices)
    return wrap(out.reshape((*plan.shape, *rest)).permute(plan.order))


def put(x: Tensor, key: Any, value: Any) -> None:
    """`x[key] = value` in place; of equal indices the last one wins."""
    parts = _parts(key)
    if x._array.basic_index(tuple(parts)) is not None:
        x._array.basic_index(tuple(parts)).assign(source_of(value, x))
        return
    plan = _Plan(x, parts)
    rest = plan.moved.shape[plan.count :]
    source = wrap(source_of(value, x))
    if source._array.storage_id == x._array.storage_id:
        source = source.clone()  # it would be read after it was overwritten
    back = sorted(range(len(plan.order)), key=plan.order.__getitem__)
    full = (*plan.shape, *rest)
    shown = tuple(full[axis] for axis in plan.order)
    while source.ndim > len(shown) and source.shape[0] == 1:
        source = source[0]
    spread = source.to(x.dtype)._array.expand(shown).permute(back)
    target = plan.moved
    _run("index_put", x, target, spread.reshape((plan.size, *rest)), plan.indices)


def _run(kernel: str, x: Tensor, *arrays: Any) -> None:
    """Call the kernel, which checks the positions before it moves anything."""
    try:
        _native.call(kernel, *arrays)
    except ArgumentError as error:
        if "index out of range" not in str(error):
            raise
        said = f"index: expected positions inside shape {x.shape}, got one outside"
        raise IndexRangeError(said) from None


def source_of(value: Any, x: Tensor) -> Any:
    """The native array of what is assigned into `x`."""
    if isinstance(value, (bool, int, float)):
        return _native.Array.full((), value, x._array.dtype)
    return tensor(value)._array if isinstance(value, (list, tuple)) else unwrap(value)


class _Plan:
    """The indexed axes in front, a (k, n) array of positions, the order of the result's axes."""

    def __init__(self, x: Tensor, parts: list[Any]) -> None:
        used = sum(_axes_used(part) for part in parts)
        expect(used <= x.ndim, "index", f"at most {x.ndim} indices", used, IndexRangeError)
        ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
        expect(len(ellipses) <= 1, "index", "at most one ellipsis", len(ellipses), IndexRangeError)
        fill = [slice(None)] * (x.ndim - used)
        at = ellipses[0] if ellipses else len(parts)
        arrays_before = any(isinstance(part, (int, Tensor)) for part in parts[:at])
        arrays_behind = any(isinstance(part, (int, Tensor)) for part in parts[at:])
        parts[at : at + len(ellipses)] = fill

        # First the views (ints beside arrays count as arrays, as in NumPy), then the arrays by
        # axis.
        view_key: list[Any] = []
        arrays: list[tuple[int, Tensor]] = []
        axis = source = 0  # an axis of the result's base (with new axes), and of `x`
        for part in parts:
            if isinstance(part, Tensor) and part.dtype.kind == "b":
                arrays += self._mask(x, part, axis, source)
                view_key += [slice(None)] * part.ndim
                axis += part.ndim
                source += part.ndim
            elif isinstance(part, Tensor):
                arrays.append((axis, part))
                view_key.append(slice(None))
                axis += 1
                source += 1
            elif isinstance(part, int):
                n = x.shape[source]
                inside = -n <= part < n
                expect(inside, "index", f"a position inside an axis of {n}", part, IndexRangeError)
                arrays.append((axis, tensor(part)))
                view_key.append(slice(None))
                axis += 1
                source += 1
            else:
                view_key.append(part)
                axis += 1
                source += part is not None
        base = x._array.basic_index(tuple(view_key))
        axes = [a for a, _ in arrays]
        shape: tuple[int, ...] = ()
        for _, array in arrays:
            shape = _broadcast(shape, array.shape)
        self.shape = shape
        self.count = len(axes)
        others = [a for a in range(base.ndim) if a not in axes]
        self.moved = base.permute(axes + others)
        self.size = 1
        for n in shape:
            self.size *= n
        self.indices = _native.Array.empty((self.count, self.size), i64.code)
        for row, (_, array) in enumerate(arrays):
            spread = array.to(i64)._array.expand(shape)
            self.indices.basic_index(row).reshape((self.size,)).copy_(spread.reshape((self.size,)))
        # Arrays side by side: their axes stay where the first one was; else they go to the front.
        # An ellipsis that covers no axis parts them all the same.
        parted = arrays_before and arrays_behind
        together = not parted and axes == list(range(axes[0], axes[0] + len(axes)))
        ahead = sum(a < axes[0] for a in others) if together else 0
        n = len(shape)
        self.order = [*range(n, n + ahead), *range(n), *range(n + ahead, n + len(others))]

    @staticmethod
    def _mask(x: Tensor, mask: Tensor, axis: int, source: int) -> list[tuple[int, Tensor]]:
        covered = x.shape[source : source + mask.ndim]
        expect(
            mask.shape == covered,
            "index",
            f"a mask of shape {covered}",
            mask.shape,
            IndexRangeError,
        )
        positions = nonzero(mask)
        return [(axis + i, wrap(positions.basic_index(i))) for i in range(mask.ndim)]


def nonzero(mask: Tensor) -> Any:
    """Native (ndim, count) array of the positions where a bool tensor is true."""
    count = int(mask.sum().item())
    out = _native.Array.empty((mask.ndim, count), i64.code)
    if count:
        _native.call("nonzero", out, mask._array.contiguous())
    return out


def _parts(key: Any) -> list[Any]:
    return [_as_index(part) for part in (key if isinstance(key, tuple) else (key,))]


def _as_index(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (slice, Tensor)):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    expect(
        not isinstance(part, bool),
        "index",
        "a bool array rather than a bare bool",
        part,
        IndexRangeError,
    )
    if isinstance(part, (list, tuple)):
        made = tensor(list(part))
        return made.to(i64) if not made.numel() else made
    if hasattr(part, "__index__") and getattr(part, "ndim", 0) == 0:
        return operator.index(part)
    known = hasattr(part, "__array_interface__") or hasattr(part, "__dlpack__")
    wanted = "ints, slices, None, Ellipsis or arrays"
    expect(known, "index", wanted, type(part).__name__, IndexRangeError)
    return wrap(unwrap(part))


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if isinstance(part, Tensor):
        expect(
            part.dtype.kind in "biu",
            "index",
            "integer or bool arrays",
            part.dtype.name,
            IndexRangeError,
        )
        flat = part.dtype.kind == "b" and not part.ndim
        expect(not flat, "index", "a mask of at least one axis", "a 0-d mask", IndexRangeError)
        return part.ndim if part.dtype.kind == "b" else 1
    expect(
        isinstance(part, (int, slice)),
        "index",
        "ints, slices, None, Ellipsis or arrays",
        type(part).__name__,
        IndexRangeError,
    )
    return 1


def _broadcast(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    size = max(len(p), len(q))
    p, q = (1,) * (size - len(p)) + p, (1,) * (size - len(q)) + q
    fits = all(i == j or 1 in (i, j) for i, j in zip(p, q, strict=True))
    expect(fits, "index", "index arrays that broadcast", (p, q), IndexRangeError)
    return tuple(j if i == 1 else i for i, j in zip(p, q, strict=True))
