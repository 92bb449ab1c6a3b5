"""Indexing with integer and bool arrays, by PyTorch's rules; ints, slices and None are views.

Ints select first, also beside arrays (NumPy counts them as arrays). The axes of the arrays' common
shape stand where the arrays do if these are neighbours, else in front.
"""

from __future__ import annotations

import operator
from typing import Any

from . import _native
from .borrowing import unwrap
from .device import SEEN, elsewhere
from .dtype import i64, u8
from .errors import ArgumentError, IndexKindError, IndexRangeError, expect
from .factories import tensor
from .tensor import Tensor, wrap

CHUNK = 16384  # elements of a mask that are counted together (csrc/cpu/index.cpp)


def get(x: Tensor, key: Any) -> Tensor:
    """`x[key]` as a new tensor (a view when numpy integers were all that was special)."""
    from .ops import masked_select, take_positions

    place = elsewhere(None, (x,)) if SEEN.several else None
    if place is not None:
        with place:
            return get(x, key)
    key = _beside(x, key)
    axis, single = _single(key) if x._array.ndim else (0, None)
    if single is not None and axis < x._array.ndim:
        at = single._array
        shape = at.shape
        rows = at.cast(i64.code).reshape((1, at.size)).contiguous()
        if axis:
            n = x._array.ndim
            out: Tensor = take_positions(
                x.permute((axis, *range(axis), *range(axis + 1, n))), wrap(rows)
            )
            return out.permute((*range(1, axis + 1), 0, *range(axis + 1, n)))
        out = take_positions(x, wrap(rows))
        return out if len(shape) == 1 else out.reshape((*shape, *x._array.shape[1:]))
    parts = _parts(key)
    if not any(isinstance(part, (Tensor, bool)) for part in parts):
        return x[tuple(parts)]
    mask = parts[0]
    alone = len(parts) == 1 and isinstance(mask, Tensor) and mask.dtype.kind == "b"
    if alone and mask.ndim and mask.shape == x.shape:
        return masked_select(x, mask)
    plan = Plan(x.shape, parts)
    moved = plan.moved(x)
    rest = moved.shape[plan.count :]
    out = take_positions(moved, wrap(plan.indices))
    if len(plan.shape) != 1:
        out = out.reshape((*plan.shape, *rest))
    return out if plan.order == sorted(plan.order) else out.permute(plan.order)


def _beside(x: Tensor, key: Any) -> Any:
    """The key with its tensors on the device of `x`: indices on the CPU serve every device."""
    if not SEEN.several or not x._array.device:
        return key
    parts = key if isinstance(key, tuple) else (key,)
    return tuple(part.to(x.device) if isinstance(part, Tensor) else part for part in parts)


def _single(key: Any) -> tuple[int, Tensor | None]:
    """The axis that one integer tensor indexes and the tensor, where no other part does anything.

    In a tuple only vectors, with nothing behind them, are found.
    """
    if isinstance(key, Tensor):
        return 0, key if key.dtype.kind in "iu" and key.dtype is not u8 else None
    found = None
    axis = 0
    if type(key) is tuple:
        for i, part in enumerate(key):
            if isinstance(part, Tensor):
                if found is not None or part._array.ndim != 1 or part.dtype.kind not in "iu":
                    return 0, None
                if part.dtype is u8:
                    return 0, None
                axis, found = i, part
            elif not isinstance(part, slice) or part != _WHOLE:
                return 0, None
        if found is not None and len(key) > axis + 1:
            return 0, None
    return axis, found


def put(x: Tensor, key: Any, value: Any) -> None:
    """`x[key] = value` in place; of equal indices the last one wins."""
    place = elsewhere(None, (x,)) if SEEN.several else None
    if place is not None:
        with place:
            put(x, key, value)
        return
    parts = _parts(_beside(x, key))
    if not any(isinstance(part, (Tensor, bool)) for part in parts):
        x[tuple(parts)] = value
        return
    plan = Plan(x.shape, parts)
    source = value if isinstance(value, Tensor) else wrap(source_of(value, x))
    shown = plan.shown(x)
    while source.ndim > len(shown) and source.shape[0] == 1:
        source = source[0]

    def write() -> None:
        array = source._array
        if array.storage_id == x._array.storage_id:
            array = array.clone()  # it would be read after it was overwritten
        target = plan.moved(wrap(x._array))._array
        values = array.cast(x._array.dtype).expand(shown).permute(plan.inverse)
        rest = target.shape[plan.count :]
        call("index_put", x, target, values.reshape((plan.size, *rest)), plan.indices)

    from .autograd.inplace import assign

    def part(g: Tensor, fill: Any) -> Any:
        if fill is None:
            return get(g, key)
        put(g, key, fill)
        return g

    assign(x, source, write, part, "setitem")


def call(kernel: str, x: Tensor, *arrays: Any) -> None:
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
    if isinstance(value, (bool, int, float, complex)):
        return _native.Array.full((), value, x._array.dtype)
    return tensor(value)._array if isinstance(value, (list, tuple)) else unwrap(value)


_WHOLE = slice(None)


class Plan:
    """How a key with arrays is carried out on a tensor of `shape`.

    `moved(x)`: the indexed axes in front. `indices`: (k, n) positions of them. `shape`: the arrays'
    common shape. `order`: brings the axes (*shape, *rest) into the result's order.
    """

    def __init__(self, shape: tuple[int, ...], parts: list[Any]) -> None:
        used = sum([_axes_used(part) for part in parts])
        ndim = len(shape)
        if used > ndim:
            expect(False, "index", f"at most {ndim} indices", used, IndexRangeError)
        ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
        expect(len(ellipses) <= 1, "index", "at most one ellipsis", len(ellipses), IndexRangeError)
        at = ellipses[0] if ellipses else len(parts)
        parts[at : at + len(ellipses)] = [_WHOLE] * (ndim - used)
        self.view_key: list[Any] = []
        arrays: list[tuple[int, Tensor]] = []
        axis = source = 0  # an axis of the view (with new axes), and of the tensor
        for part in parts:
            is_mask = isinstance(part, Tensor) and part.dtype.kind == "b"
            if isinstance(part, bool) or (
                is_mask and not part.ndim
            ):  # a mask of no axes: a new axis of length 1, kept or not
                arrays.append((axis, tensor([0] if part else [], dtype=i64)))
                self.view_key.append(None)
                axis += 1
            elif is_mask:
                arrays += _mask(shape, part, axis, source)
                self.view_key += [_WHOLE] * part.ndim
                axis += part.ndim
                source += part.ndim
            elif isinstance(part, Tensor):
                arrays.append((axis, part))
                self.view_key.append(_WHOLE)
                axis += 1
                source += 1
            else:
                self.view_key.append(part)
                axis += not isinstance(part, int)
                source += part is not None
        self.plain = all(isinstance(p, slice) and p == _WHOLE for p in self.view_key)
        axes = [a for a, _ in arrays]
        common: tuple[int, ...] = ()
        for _, array in arrays:
            common = _broadcast(common, array._array.shape)
        self.shape = common
        self.count = len(axes)
        others = [a for a in range(axis) if a not in axes]
        self.axes = axes + others
        self.size = 1
        for n in common:
            self.size *= n
        if len(arrays) == 1:
            self.indices = arrays[0][1]._array.cast(i64.code).contiguous().reshape((1, self.size))
        else:
            self.indices = _native.Array.empty((self.count, self.size), i64.code)
            for row, (_, array) in enumerate(arrays):
                spread = array._array.cast(i64.code).expand(common).reshape((self.size,))
                self.indices.basic_index(row).copy_(spread)
        n = len(common)
        if n and axes == list(range(len(axes))):  # in front: the result's axes are in order
            self.order = self.inverse = list(range(n + len(others)))
            return
        # 0-d arrays are ints: they do not part the others.
        proper = [a for a, array in arrays if array.ndim] or axes
        vanished = [a for a, array in arrays if not array.ndim and a not in proper]
        seen = [a for a in range(axis) if a not in vanished]
        first = seen.index(proper[0])
        together = [seen.index(a) for a in proper] == list(range(first, first + len(proper)))
        ahead = sum(a < proper[0] for a in others) if together else 0
        self.order = [*range(n, n + ahead), *range(n), *range(n + ahead, n + len(others))]
        self.inverse = sorted(range(len(self.order)), key=self.order.__getitem__)

    def moved(self, x: Tensor) -> Tensor:
        """A view of `x` with the indexed axes in front."""
        base = x if self.plain else x[tuple(self.view_key)]
        return base if self.axes == sorted(self.axes) else base.permute(self.axes)

    def shown(self, x: Tensor) -> tuple[int, ...]:
        """The shape of `x[key]`."""
        rest = self.moved(wrap(x._array)).shape[self.count :]
        full = (*self.shape, *rest)
        return tuple(full[axis] for axis in self.order)


def _mask(shape: tuple[int, ...], mask: Tensor, axis: int, source: int) -> list[tuple[int, Tensor]]:
    covered = shape[source : source + mask.ndim]
    wanted = f"a mask of shape {covered}"
    expect(mask.shape == covered, "index", wanted, mask.shape, IndexRangeError)
    positions = nonzero(mask)
    return [(axis + i, wrap(positions.basic_index(i))) for i in range(mask.ndim)]


def mask_counts(mask: _native.Array) -> tuple[_native.Array, int]:
    """For a contiguous bool array: what the mask kernels need, and how many elements are true."""
    counts = _native.Array.empty(((mask.size + CHUNK - 1) // CHUNK + 1,), i64.code)
    _native.call("mask_counts", counts, mask)
    return counts, counts.basic_index(counts.size - 1).item()


def nonzero(mask: Tensor) -> Any:
    """Native (ndim, count) array of the positions where a bool tensor is true."""
    flat = mask._array.contiguous()
    counts, count = mask_counts(flat)
    out = _native.Array.empty((mask.ndim, count), i64.code)
    if count:
        _native.call("nonzero", out, flat, counts)
    return out


def _parts(key: Any) -> list[Any]:
    return [_as_index(part) for part in (key if isinstance(key, tuple) else (key,))]


def _as_index(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (slice, int)):
        return part
    if isinstance(part, Tensor):  # in torch, bytes have been masks since before there were bools
        return part.bool() if part.dtype is u8 else part
    if isinstance(part, (list, tuple, range)):
        made = tensor([int(p) if _is_scalar(p) else p for p in part])
        return made.to(i64) if not made.numel() else made
    if hasattr(part, "__index__") and getattr(part, "ndim", 0) == 0:
        return operator.index(part)
    known = hasattr(part, "__array_interface__") or hasattr(part, "__dlpack__")
    wanted = "ints, slices, None, Ellipsis or arrays"
    expect(known, "index", wanted, type(part).__name__, IndexKindError)
    return wrap(unwrap(part))


def _is_scalar(p: Any) -> bool:
    """Whether `p` is an integer that is neither int nor bool: of numpy, or a 0-d tensor."""
    if isinstance(p, (bool, int, float)) or getattr(p, "ndim", None) != 0:
        return False
    kind = p.dtype.kind
    return kind in "iu"


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, Tensor):
        kind = part.dtype.kind
        if kind not in "biu":
            wanted = "integer or bool arrays"
            expect(False, "index", wanted, part.dtype.name, IndexRangeError)
        return part.ndim if kind == "b" else 1
    wanted = "ints, slices, None, Ellipsis or arrays"
    expect(isinstance(part, (int, slice)), "index", wanted, type(part).__name__, IndexKindError)
    return 1


def _broadcast(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    if not p or p == q:
        return q
    size = max(len(p), len(q))
    p, q = (1,) * (size - len(p)) + p, (1,) * (size - len(q)) + q
    fits = all(i == j or 1 in (i, j) for i, j in zip(p, q, strict=True))
    expect(fits, "index", "index arrays that broadcast", (p, q), IndexRangeError)
    return tuple(j if i == 1 else i for i, j in zip(p, q, strict=True))
