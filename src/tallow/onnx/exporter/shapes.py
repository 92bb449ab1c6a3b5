"""Rows of ops that change shapes: reshape, axes, slices, joining and repeating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.onnx.exporter.elementwise import operand
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Length, Size, Value
from tallow.onnx.exporter.table import row

END = (1 << 63) - 1  # of a slice that goes to the end


def reshaped(g: Emitter, x: Any, old: Sequence[Length] | None, new: Sequence[Length]) -> Any:
    """`x`, of the shape `old`, in another: lengths that stay are 0, one that varies is -1."""
    target: list[Any] = []
    for i, length in enumerate(new):
        same = isinstance(length, Size) and old is not None and i < len(old) and old[i] == length
        target.append(0 if same else length)
    unknown = [i for i, length in enumerate(target) if isinstance(length, Size)]
    if 0 in new or (old is not None and 0 in old):
        return g.node("Reshape", x, g.sizes(new), allowzero=1)
    if len(unknown) > 1:
        known = [i for i in unknown if g.is_known(target[i])]
        rest = [i for i in unknown if i not in known] or known[-1:]
        unknown = rest[:1]
    if unknown:
        target[unknown[0]] = -1
    elif not any(isinstance(length, Size) for length in new):
        target = list(new)
    return g.node("Reshape", x, g.sizes(target))


@row("reshape", "view", "flatten", "squeeze")
def reshape(g: Emitter, out: Value, x: Any, **how: Any) -> Any:
    """Another shape of the same elements."""
    if x.shape == out.shape:
        return g.name(x)
    if x.ndim > out.ndim and "dim" in how:
        return g.node("Squeeze", x, _squeezed(x, how["dim"]))
    return reshaped(g, x, x.shape, out.shape)


def _squeezed(x: Value, dim: int | Sequence[int] | None) -> list[int]:
    """The axes that go: those of `dim`, or all, if they are 1 long."""
    asked = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    return sorted(i % x.ndim for i in asked if x.shape[i] == 1)


@row("unsqueeze")
def unsqueeze(g: Emitter, out: Value, x: Any, dim: int) -> Any:
    """A new axis of length 1."""
    return g.node("Unsqueeze", x, [dim if dim >= 0 else dim + out.ndim])


@row("transpose")
def transpose(g: Emitter, out: Value, x: Any, dim0: int, dim1: int) -> Any:
    """Two axes swapped."""
    order = list(range(x.ndim))
    if not order:
        return g.name(x)
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return g.node("Transpose", x, perm=order)


@row("permute")
def permute(g: Emitter, out: Value, x: Any, axes: Any, dims: Any) -> Any:
    """The axes in another order."""
    order = _flat(axes) if dims is None else dims
    return g.node("Transpose", x, perm=[axis % x.ndim for axis in order])


def _flat(sizes: Any) -> Any:
    return sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes


@row("expand")
def expand(g: Emitter, out: Value, x: Any, sizes: Any, size: Any) -> Any:
    """Axes of length 1 repeated."""
    if x.shape == out.shape:
        return g.name(x)
    old = (1,) * (out.ndim - x.ndim) + x.shape
    target = [1 if a == b else b for a, b in zip(old, out.shape, strict=True)]
    return g.node("Expand", x, g.sizes(target))


# --- parts ----------------------------------------------------------------------------------------


def sliced(g: Emitter, x: Any, parts: Sequence[tuple[int, Any, Any, int]]) -> Any:
    """`x` within (axis, start, stop, step), numbers or sizes."""
    if not parts:
        return g.name(x)
    axes = [axis for axis, *_ in parts]
    steps = [step for *_, step in parts]
    borders = []
    for k in (1, 2):
        places = [part[k] for part in parts]
        fixed = [p for p in places if not isinstance(p, Size)]
        borders.append(
            fixed if len(fixed) == len(places)
            else g.sizes(places) if all(isinstance(p, Size) or p < END for p in places)
            else g.node("Concat", *[g.size(p) for p in places], axis=0)
        )  # fmt: skip
    return g.node("Slice", x, *borders, axes, steps if any(s != 1 for s in steps) else None)


def between(start: Any, stop: Any, length: Length, axis: int) -> tuple[int, Any, Any, int] | None:
    """The part from `start` to `stop` of an axis, None where it is all."""
    if start == 0 and stop == length:
        return None
    return axis, start, END if stop == length else stop, 1


@row("narrow")
def narrow(g: Emitter, out: Value, x: Any, dim: int, start: Any, length: Any) -> Any:
    """A part of an axis."""
    axis = dim % x.ndim
    return sliced(g, x, [p] if (p := _from(start, length, x.shape[axis], axis)) else [])


def _from(start: Any, count: Length, length: Length, axis: int) -> Any:
    if isinstance(start, int) and start < 0:
        stop = start + count if isinstance(count, int) else None
        if stop is not None:
            return axis, start, stop if stop < 0 else END, 1
    return between(start, plus(start, count), length, axis)


def plus(a: Length, b: Length, sign: int = 1) -> Length:
    """The sum of two lengths, or their difference."""
    if isinstance(a, int) and isinstance(b, int):
        return a + sign * b
    count = len(a.seen if isinstance(a, Size) else b.seen)  # type: ignore[union-attr]
    p, q = (x.seen if isinstance(x, Size) else (x,) * count for x in (a, b))
    seen = tuple(i + sign * k for i, k in zip(p, q, strict=True))
    return seen[0] if len(set(seen)) == 1 else Size(seen)


@row("select")
def select(g: Emitter, out: Value, x: Any, dim: int, index: Any) -> Any:
    """One position of an axis."""
    where = g.scalar_size(index) if isinstance(index, Size) else g.constant(index)
    return g.node("Gather", x, where, axis=dim % x.ndim)


@row("getitem")
def getitem(g: Emitter, out: Value, x: Any, key: Any) -> Any:
    """Slices, integers, None and `...`."""
    keys = list(key) if isinstance(key, tuple) else [key]
    whole = x.ndim - sum(k is not None and k is not Ellipsis for k in keys)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * whole
    else:
        keys += [slice(None)] * whole
    parts, single, added, axis, place = [], [], [], 0, 0
    for k in keys:
        if k is None:
            added.append(place)
            place += 1
            continue
        if isinstance(k, slice):
            part = _slice(k, x.shape[axis], axis)
            place += 1
            if part is not None:
                parts.append(part)
        else:
            single.append((axis, k))
        axis += 1
    made: Any = sliced(g, x, parts) if parts else x
    for axis, k in reversed(single):
        where = g.scalar_size(k) if isinstance(k, Size) else g.constant(int(k))
        made = g.node("Gather", made, where, axis=axis)
    return g.node("Unsqueeze", made, added) if added else g.name(made)


def _slice(key: slice, length: Length, axis: int) -> Any:
    start, stop, step = key.start, key.stop, 1 if key.step is None else key.step
    start = 0 if start is None else start
    stop = END if stop is None or stop == length else stop
    if (start, stop, step) == (0, END, 1):
        return None
    return axis, start, stop, step


@row("setitem")
def setitem(g: Emitter, out: Value, x: Any, key: Any, value: Any) -> Any:
    """All elements, those of a slice of one axis replaced: what is before, the value, the rest."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (x.ndim - len(keys) + 1)
    keys += [slice(None)] * (x.ndim - len(keys))
    inside = operand(g, value, x.dtype)
    borders: list[tuple[Length, Length]] = []
    for axis, k in enumerate(keys):
        n = x.shape[axis]
        if isinstance(k, slice):
            if k.step not in (None, 1):
                return refuse_key(g)
            first = _counted(0 if k.start is None else k.start, n)
            borders.append((first, _counted(n if k.stop is None else k.stop, n)))
        elif k is None:
            return refuse_key(g)
        else:
            first = _counted(k, n)
            borders.append((first, plus(first, 1)))
    shape = [plus(stop, start, -1) for start, stop in borders]
    single = [axis for axis, k in enumerate(keys) if not isinstance(k, slice)]
    if single and isinstance(value, Value) and value.ndim > x.ndim - len(single) - 1:
        kept = [n for axis, n in enumerate(shape) if axis not in single]
        inside = g.node("Unsqueeze", g.node("Expand", inside, g.sizes(kept)), single)
    made = g.node("Expand", inside, g.sizes(shape))
    for axis in range(x.ndim - 1, -1, -1):
        (start, stop), n = borders[axis], x.shape[axis]
        outer = [(i, *borders[i], 1) for i in range(axis) if borders[i] != (0, x.shape[i])]
        around = sliced(g, x, outer)
        pieces = []
        if start != 0:
            pieces.append(sliced(g, around, [(axis, 0, start, 1)]))
        pieces.append(made)
        if stop != n:
            pieces.append(sliced(g, around, [(axis, stop, END, 1)]))
        made = g.node("Concat", *pieces, axis=axis) if len(pieces) > 1 else made
    return made


def refuse_key(g: Emitter) -> Any:
    """Say which keys can be written to."""
    from tallow.errors import ModelError

    raise ModelError(
        "onnx.export: expected x[key] = value with slices of step 1 and integers, got another key "
        f"in {g.scope or 'the module'}"
    )


def _counted(place: Length, length: Length) -> Length:
    return plus(length, place) if isinstance(place, int) and place < 0 else place


# --- joining and parting --------------------------------------------------------------------------


@row("cat")
def cat(g: Emitter, out: Value, tensors: Any, dim: int) -> Any:
    """Tensors behind one another along an axis."""
    parts = [t for t in tensors if t.ndim == out.ndim]  # torch leaves empty vectors out
    if len(parts) == 1:
        return g.cast(parts[0], out.dtype)
    return g.node("Concat", *[g.cast(t, out.dtype) for t in parts], axis=dim % out.ndim)


@row("stack")
def stack(g: Emitter, out: Value, tensors: Any, dim: int) -> Any:
    """Tensors behind one another along a new axis."""
    axis = dim % out.ndim
    parts = [g.node("Unsqueeze", g.cast(t, out.dtype), [axis]) for t in tensors]
    return g.node("Concat", *parts, axis=axis)


@row("split", "chunk", "split_with_sizes")
def split(g: Emitter, out: Any, x: Any, dim: int, **how: Any) -> Any:
    """Parts of an axis, one behind the other."""
    axis = dim % x.ndim
    lengths = [part.shape[axis] for part in out]
    if len(out) == 1:
        return [g.name(x)]
    return g.node("Split", x, g.sizes(lengths), outputs=len(out), axis=axis)


@row("unbind")
def unbind(g: Emitter, out: Any, x: Any, dim: int) -> Any:
    """The positions of an axis, each without it."""
    return [g.node("Gather", x, g.constant(i), axis=dim % x.ndim) for i in range(len(out))]


@row("repeat", "tile")
def repeat(g: Emitter, out: Value, x: Any, **how: Any) -> Any:
    """The whole tensor several times along axes."""
    counts = next(
        c for c in (how.get("repeats"), how.get("dims"), how.get("counts_")) if c is not None
    )
    counts = _flat(counts)
    lacking = out.ndim - x.ndim
    if lacking > 0:
        x = reshaped(g, x, x.shape, (1,) * lacking + x.shape)
    return g.node("Tile", x, g.sizes((1,) * (out.ndim - len(counts)) + tuple(counts)))


@row("flip")
def flip(g: Emitter, out: Value, x: Any, axes: Any, dims: Any) -> Any:
    """The positions of axes from the last to the first."""
    chosen = _flat(axes) if dims is None else dims
    chosen = (chosen,) if isinstance(chosen, int) else chosen
    return sliced(g, x, [(axis % x.ndim, -1, -END, -1) for axis in chosen])


@row("roll", when=lambda x, shifts, dims: dims is not None)
def roll(g: Emitter, out: Value, x: Any, shifts: Any, dims: Any) -> Any:
    """Axes turned: what leaves at the end comes in front."""
    pairs = [(shifts, dims)] if isinstance(dims, int) else zip(shifts, dims, strict=True)
    made: Any = x
    for shift, dim in pairs:
        axis = dim % x.ndim
        n = x.shape[axis]
        if isinstance(n, int) and isinstance(shift, int):
            shift = shift % n if n else 0
        if shift == 0:
            continue
        first = plus(0, shift, -1)
        made = g.node(
            "Concat", sliced(g, made, [(axis, first, END, 1)]),
            sliced(g, made, [(axis, 0, first, 1)]), axis=axis,
        )  # fmt: skip
    return g.name(made)


@row("unfold")
def unfold(g: Emitter, out: Value, x: Any, dimension: int, size: Any, step: Any) -> Any:
    """Windows of an axis, their positions along a new last one."""
    axis = dimension % x.ndim
    first = g.node("Range", g.constant(0), g.scalar_size(out.shape[axis]), g.constant(1))
    if step != 1:
        first = g.node("Mul", first, g.scalar_size(step))
    inner = g.node("Range", g.constant(0), g.scalar_size(size), g.constant(1))
    places = g.node("Add", g.node("Unsqueeze", first, [1]), g.node("Unsqueeze", inner, [0]))
    made = g.node("Gather", x, places, axis=axis)
    order = [*range(axis + 1), *range(axis + 2, x.ndim + 1), axis + 1]
    return made if order == sorted(order) else g.node("Transpose", made, perm=order)


@row("diagonal", when=lambda x, offset, dim1, dim2: offset == 0)
def diagonal(g: Emitter, out: Value, x: Any, offset: int, dim1: int, dim2: int) -> Any:
    """The elements whose places along two axes are equal."""
    a, b = dim1 % x.ndim, dim2 % x.ndim
    order = [i for i in range(x.ndim) if i not in (a, b)]
    turned = g.node("Transpose", x, perm=[a, b, *order])
    places = g.node("Range", g.constant(0), g.scalar_size(out.shape[-1]), g.constant(1))
    pairs = g.node("Concat", *[g.node("Unsqueeze", places, [1])] * 2, axis=1)
    made = g.node("GatherND", turned, pairs)
    return g.node("Transpose", made, perm=[*range(1, out.ndim), 0]) if order else made


__all__ = ["between", "plus", "reshaped", "sliced"]
