"""`x[…]` with integer and bool arrays, by PyTorch's rules; ints, slices and None are views.

Ints select first, also beside arrays (NumPy counts them as arrays). The axes of the arrays' common
shape stand where the arrays do if these are neighbours, else in front.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from ..autograd.inplace import assign
from ..autograd.node import bare
from ..borrowing import assigned_to, borrowed, share_memory
from ..device import SEEN, elsewhere
from ..dtype import i32, i64, u8
from ..errors import IndexKindError, IndexRangeError, expect
from ..factories import tensor
from ..tensor import Tensor
from .index import put_positions, take_positions, write_positions
from .join import cat
from .mask import mask_counts, masked_select, positions_of

_WHOLE = slice(None)
_take = take_positions.caller()
_write = write_positions.caller()
_select = masked_select.caller()
_cat = cat.caller()


def get(x: Tensor, key: Any) -> Tensor:
    """`x[key]` as a new tensor (a view when numpy integers were all that was special)."""
    place = elsewhere(None, (x,)) if SEEN.several else None
    if place is not None:
        with place:
            return get(x, key)
    key = _beside(x, key)
    axis, single = _single(key) if x.ndim else (0, None)
    if single is not None and axis < x.ndim:
        return _take_one(x, axis, single)
    parts = _parts(key)
    if not any(isinstance(part, (Tensor, bool)) for part in parts):
        return x[tuple(parts)]
    mask = parts[0]
    alone = len(parts) == 1 and isinstance(mask, Tensor) and mask.dtype.kind == "b"
    if alone and mask.ndim and mask.shape == x.shape:
        out: Tensor = _select(x, mask)
        return out
    spec = IndexSpec(x.shape, parts)
    moved = spec.moved(x)
    out = _take(moved, spec.indices, spec.axis)
    return out if len(spec.shape) == 1 else out.reshape(spec.around(moved.shape, spec.shape))


def _take_one(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """`x` with an integer tensor for the axis and slices of all for the others."""
    dtype = index.dtype
    if dtype is not i64 and dtype is not i32:
        index = index.to(i64)
    if index.ndim == 1:
        out: Tensor = _take(x, index, axis)
        return out
    shape = x.shape
    out = _take(x, index.reshape(-1), axis)
    return out.reshape((*shape[:axis], *index.shape, *shape[axis + 1 :]))


def _beside(x: Tensor, key: Any) -> Any:
    """The key with its tensors on the device of `x`: indices on the CPU serve every device."""
    if not SEEN.several or x.device.type == "cpu":
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
                if found is not None or part.ndim != 1 or part.dtype.kind not in "iu":
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
    spec = IndexSpec(x.shape, parts)
    source = value if isinstance(value, Tensor) else assigned_to(x, value)
    target = spec.moved(bare(x))
    shown = spec.around(target.shape, spec.shape)
    while source.ndim > len(shown) and source.shape[0] == 1:
        source = source[0]

    def write() -> None:
        given = bare(source)
        if share_memory(given, x):
            given = given.clone()  # it would be read after it was overwritten
        rows = given.to(x.dtype).expand(shown)
        if len(spec.shape) != 1:
            rows = rows.reshape(spec.around(target.shape, (spec.size,)))
        _write(target, spec.indices, rows, spec.axis)

    def part(g: Tensor, fill: Any) -> Any:
        if fill is None:
            return get(g, key)
        put(g, key, fill)
        return g

    assign(x, source, write, part, "setitem")


def put_into(x: Tensor, parts: list[Any], values: Tensor, accumulate: bool) -> Tensor:
    """`x` with `values` written or added at `x[parts]`, as a new tensor."""
    spec = IndexSpec(x.shape, parts)
    moved = spec.moved(x)
    shown = spec.around(moved.shape, spec.shape)
    while values.ndim > len(shown) and values.shape[0] == 1:
        values = values[0]
    rows = values.expand(shown).reshape(spec.around(moved.shape, (spec.size,)))
    out = put_positions(moved, spec.indices, rows, accumulate, spec.axis)
    return out.permute(sorted(range(x.ndim), key=spec.axes.__getitem__))


class IndexSpec:
    """What a key with arrays asks of a tensor of `shape`.

    `moved(x)`: the indexed axes side by side, from `axis` on. `indices`: their positions, (k, n),
    or (n,) of one axis. `shape`: the arrays' common shape, which stands in the axes' place.
    """

    def __init__(self, shape: tuple[int, ...], parts: list[Any]) -> None:
        _fill_up(shape, parts)
        self.view_key: list[Any] = []
        arrays: list[tuple[int, Tensor]] = []
        whole = None  # the positions of a mask
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
                whole = _mask(shape, part, source)
                arrays += [(axis + i, whole[i]) for i in range(part.ndim)]
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
        self.count = len(arrays)
        self.shape: tuple[int, ...] = ()
        for _, array in arrays:
            self.shape = _broadcast(self.shape, array.shape)
        self.size = math.prod(self.shape)
        if whole is not None and len(arrays) == len(whole):
            self.indices = whole
        else:
            self.indices = _positions([array for _, array in arrays], self.shape, self.size)
        self.axis, self.axes = _index_axes(arrays, axis)

    def moved(self, x: Tensor) -> Tensor:
        """A view of `x` with the indexed axes side by side."""
        base = x if self.plain else x[tuple(self.view_key)]
        return base if self.axes == sorted(self.axes) else base.permute(self.axes)

    def around(self, moved: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a moved tensor with `shape` in the place of the indexed axes."""
        return (*moved[: self.axis], *shape, *moved[self.axis + self.count :])


def _fill_up(shape: tuple[int, ...], parts: list[Any]) -> None:
    """Put slices of all in the place of the ellipsis, or of what is left out behind."""
    used, ndim = sum([_axes_used(part) for part in parts]), len(shape)
    if used > ndim:
        expect(False, "index", f"at most {ndim} indices", used, IndexRangeError)
    ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
    expect(len(ellipses) <= 1, "index", "at most one ellipsis", len(ellipses), IndexRangeError)
    at = ellipses[0] if ellipses else len(parts)
    parts[at : at + len(ellipses)] = [_WHOLE] * (ndim - used)


def _index_axes(arrays: list[tuple[int, Tensor]], ndim: int) -> tuple[int, list[int]]:
    """Where the arrays' axes go, which is where they are if they are neighbours, and all axes so.

    0-d arrays are ints: they do not part the others.
    """
    axes = [a for a, _ in arrays]
    first, last = axes[0], axes[-1]
    if last - first + 1 == len(axes) and all(array.ndim for _, array in arrays):
        return first, list(range(ndim))
    others = [a for a in range(ndim) if a not in axes]
    proper = [a for a, array in arrays if array.ndim] or axes
    vanished = [a for a in axes if a not in proper]
    seen = [a for a in range(ndim) if a not in vanished]
    first = seen.index(proper[0])
    together = [seen.index(a) for a in proper] == list(range(first, first + len(proper)))
    ahead = sum(a < proper[0] for a in others) if together else 0
    return ahead, [*others[:ahead], *axes, *others[ahead:]]


def _positions(arrays: list[Tensor], shape: tuple[int, ...], size: int) -> Tensor:
    """The positions of each of the arrays, broadcast: (k, size), of one array (size,)."""
    rows = []
    for row in arrays:
        if row.dtype is not i64 and (row.dtype is not i32 or len(arrays) > 1):
            row = row.to(i64)
        row = row if row.shape == shape else row.expand(shape)
        rows.append(row if row.ndim == 1 else row.reshape(size))
    return rows[0] if len(rows) == 1 else _cat(rows).reshape(len(rows), size)


def _mask(shape: tuple[int, ...], mask: Tensor, source: int) -> Tensor:
    """Where a mask of the axes from `source` on is true, (k, n)."""
    covered = shape[source : source + mask.ndim]
    wanted = f"a mask of shape {covered}"
    expect(mask.shape == covered, "index", wanted, mask.shape, IndexRangeError)
    flat = mask.contiguous()
    found: Tensor = positions_of(flat, mask_counts(flat))
    return found


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
    return borrowed(part)


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
