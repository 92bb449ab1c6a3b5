"""Indexing with integer and bool arrays, by NumPy's and PyTorch's rules; ints, slices and None are views and never come here."""

from __future__ import annotations

from typing import Any

from . import _native
from .dtype import i64
from .errors import IndexRangeError, expect
from .tensor import Tensor, tensor, unwrap, wrap


def get(x: Tensor, key: Any) -> Tensor:
    """`x[key]` as a new tensor."""
    plan = _Plan(x, key)
    rest = plan.moved.shape[plan.count :]
    out = _native.Array.empty((plan.size, *rest), x._array.dtype)
    _native.call("index", out, plan.moved, plan.indices)
    return wrap(out.reshape((*plan.shape, *rest)).permute(plan.order))


def put(x: Tensor, key: Any, value: Any) -> None:
    """`x[key] = value` in place; of equal indices the last one wins."""
    plan = _Plan(x, key)
    rest = plan.moved.shape[plan.count :]
    source = wrap(unwrap(value) if not isinstance(value, (bool, int, float, list, tuple)) else tensor(value)._array)
    back = sorted(range(len(plan.order)), key=plan.order.__getitem__)
    full = (*plan.shape, *rest)
    shown = tuple(full[axis] for axis in plan.order)
    spread = source.to(x.dtype)._array.expand(shown).permute(back)
    target = plan.moved
    _native.call("index_put", target, spread.reshape((plan.size, *rest)), plan.indices)


class _Plan:
    """The indexed axes moved to the front, one (k, n) array of positions, and how the result's axes are ordered."""

    def __init__(self, x: Tensor, key: Any) -> None:
        parts = list(key) if isinstance(key, tuple) else [key]
        parts = [_as_index(part) for part in parts]
        used = sum(_axes_used(part) for part in parts)
        expect(used <= x.ndim, "index", f"at most {x.ndim} indices", used, IndexRangeError)
        ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
        expect(len(ellipses) <= 1, "index", "at most one ellipsis", len(ellipses), IndexRangeError)
        fill = [slice(None)] * (x.ndim - used)
        at = ellipses[0] if ellipses else len(parts)
        parts[at : at + len(ellipses)] = fill

        # First the views (ints beside arrays count as arrays, as in NumPy), then the arrays by axis.
        view_key: list[Any] = []
        arrays: list[tuple[int, Tensor]] = []
        axis = 0
        for part in parts:
            if isinstance(part, Tensor) and part.dtype.kind == "b":
                arrays += self._mask(x, part, len(view_key) - sum(p is None for p in view_key), axis)
                view_key += [slice(None)] * part.ndim
                axis += part.ndim
            elif isinstance(part, Tensor):
                arrays.append((axis, part))
                view_key.append(slice(None))
                axis += 1
            elif isinstance(part, int):
                arrays.append((axis, tensor(part)))
                view_key.append(slice(None))
                axis += 1
            else:
                view_key.append(part)
                axis += 1
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
        together = axes == list(range(axes[0], axes[0] + len(axes)))
        ahead = sum(a < axes[0] for a in others) if together else 0
        n = len(shape)
        self.order = [*range(n, n + ahead), *range(n), *range(n + ahead, n + len(others))]

    @staticmethod
    def _mask(x: Tensor, mask: Tensor, _seen: int, axis: int) -> list[tuple[int, Tensor]]:
        covered = x.shape[axis : axis + mask.ndim] if len(x.shape) >= axis + mask.ndim else ()
        expect(mask.shape == tuple(covered), "index", f"a mask of shape {tuple(covered)}", mask.shape, IndexRangeError)
        positions = nonzero(mask)
        return [(axis + i, wrap(positions.basic_index(i))) for i in range(mask.ndim)]


def nonzero(mask: Tensor) -> Any:
    """Native (ndim, count) array of the positions where a bool tensor is true."""
    count = int(mask.sum().item())
    out = _native.Array.empty((mask.ndim, count), i64.code)
    if count:
        _native.call("nonzero", out, mask._array.contiguous())
    return out


def _as_index(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (slice, Tensor)):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    if isinstance(part, (list, tuple, bool)):
        made = tensor(list(part) if not isinstance(part, bool) else part)
        return made.to(i64) if not made.numel() else made
    made = wrap(unwrap(part))
    return made


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if isinstance(part, Tensor):
        expect(part.dtype.kind in "biu", "index", "integer or bool arrays", part.dtype.name, IndexRangeError)
        return part.ndim if part.dtype.kind == "b" else 1
    expect(isinstance(part, (int, slice)), "index", "ints, slices, None, Ellipsis or arrays", type(part).__name__, IndexRangeError)
    return 1


def _broadcast(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    size = max(len(p), len(q))
    p, q = (1,) * (size - len(p)) + p, (1,) * (size - len(q)) + q
    fits = all(i == j or 1 in (i, j) for i, j in zip(p, q, strict=True))
    expect(fits, "index", "index arrays that broadcast", (p, q), IndexRangeError)
    return tuple(j if i == 1 else i for i, j in zip(p, q, strict=True))
