"""Reading and writing by arrays of positions and by masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _native
from ..dtype import f32, i64
from ..errors import ArgumentError, DTypeError, NoKernelError, expect
from ..factories import full, zeros
from ..indexing import Plan, call, mask_counts
from ..indexing import nonzero as positions_of
from ..registry import op, primitive
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor, wrap

# --- positions over several axes ------------------------------------------------------------------


@primitive
def take_positions(input: Tensor, indices: Tensor) -> Tensor:
    """`input[indices[0], …, indices[k - 1]]`: (n, *rest) for indices (k, n) of i64.

    Negative positions count from the end; IndexRangeError for one outside. What `x[…]` does.
    """
    array, at = unwrap_tensor(input, take_positions), indices._array.contiguous()
    fits = at.ndim == 2 and at.shape[0] <= array.ndim
    expect(fits, take_positions, f"indices (k, n), k up to {array.ndim}", at.shape)
    count, size = at.shape
    out = _native.Array.empty((size, *array.shape[count:]), array.dtype)
    call("index", input, out, array, at)
    return wrap(out)


@take_positions.grad
def _(g: Tensor, _input: Tensor, indices: Tensor) -> tuple[Any, None]:
    return put_positions(zeros(_input.shape, dtype=g.dtype), indices, g, True), None


@primitive
def put_positions(
    input: Tensor, indices: Tensor, values: Tensor, accumulate: bool = False
) -> Tensor:
    """`input` with `values` (n, *rest) at the positions indices (k, n): written, or added up.

    Of equal positions the last one wins; sums are made in the order of the indices.
    """
    array, given = unwrap_tensor(input, put_positions), values._array
    at = indices._array.contiguous()
    if not accumulate:
        out = array.clone()
        call("index_put", input, out, given, at)
        return wrap(out)
    half = array.dtype != f32.code and input.dtype.kind == "f" and input.dtype.itemsize == 2
    out = array.cast(f32.code) if half else array.clone()
    call("index_put_add", input, out, given.cast(out.dtype), at)
    return wrap(out.cast(array.dtype))


@put_positions.grad
def _(
    g: Tensor, _input: Tensor, indices: Tensor, _values: Tensor, accumulate: bool
) -> tuple[Any, None, Any]:
    def rest() -> Tensor:
        if accumulate:
            return g
        nothing = zeros((1,) * len(_values.shape), dtype=g.dtype).expand(_values.shape)
        return put_positions(g, indices, nothing)

    return rest, None, lambda: take_positions(g, indices)


def _put(x: Tensor, parts: list[Any], values: Tensor, accumulate: bool, where: object) -> Tensor:
    expect(
        values.dtype is x.dtype,
        where,
        f"values of {x.dtype.name}",
        values.dtype.name,
        NoKernelError,
    )
    plan = Plan(x.shape, parts)
    moved = plan.moved(x)
    shown = plan.shown(x)
    while values.ndim > len(shown) and values.shape[0] == 1:
        values = values[0]
    spread = values.expand(shown).permute(plan.inverse)
    rows = spread.reshape((plan.size, *moved.shape[plan.count :]))
    out = put_positions(moved, wrap(plan.indices), rows, accumulate)
    return out.permute(sorted(range(x.ndim), key=plan.axes.__getitem__))


@op(inplace=True)
def index_put(
    x: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor:
    """`x` with `values` at `x[indices]`, or added there when `accumulate`.

    `indices` are integer or bool tensors (None keeps an axis whole), as in `x[…] = values`.
    """
    parts = [slice(None) if part is None else part for part in indices]
    good = all(isinstance(part, (Tensor, slice)) for part in parts)
    expect(good, index_put, "tensors as indices", [type(p).__name__ for p in indices], DTypeError)
    expect(any(isinstance(p, Tensor) for p in parts), index_put, "an index", "none", ArgumentError)
    return _put(x, parts, values, accumulate, index_put)


@op
def take(x: Tensor, index: Tensor) -> Tensor:
    """The elements of flattened `x` at `index`, in the shape of `index`."""
    _integers(index, take)
    expect(index.dtype is i64, take, "indices of i64", index.dtype.name, NoKernelError)
    return take_positions(x.reshape(-1), index.reshape(1, -1).contiguous()).reshape(index.shape)


@op(inplace=True)
def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`x` with the elements of `source` at the positions `index` of its flattened form."""
    _integers(index, put)
    expect(
        source.dtype is x.dtype,
        put,
        f"a source of {x.dtype.name}",
        source.dtype.name,
        NoKernelError,
    )
    same = index.numel() == source.numel()
    expect(same, put, f"a source of {index.numel()} elements", source.numel())
    flat = index.to(i64).reshape(1, -1).contiguous()
    return put_positions(x.reshape(-1), flat, source.reshape(-1), accumulate).reshape(x.shape)


def _integers(index: Tensor, where: object) -> None:
    unwrap_tensor(index, where)
    expect(index.dtype.kind in "iu", where, "integer indices", index.dtype.name, NoKernelError)


# --- masks ----------------------------------------------------------------------------------------


def _mask(mask: Tensor, where: object) -> None:
    unwrap_tensor(mask, where)
    dtype = mask.dtype
    expect(dtype.kind == "b", where, "a bool mask", dtype.name, NoKernelError)


@op
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """Positions of nonzero elements: (count, ndim) in i64; or, `as_tuple`, a vector per axis."""
    mask = x.detach() if x.dtype.kind == "b" else x.detach().ne(0)
    if as_tuple and not x.ndim:
        mask = mask.reshape(1)
    found = wrap(positions_of(mask))
    return found.unbind(0) if as_tuple else found.permute(1, 0)


@op
def argwhere(x: Tensor) -> Tensor:
    """The positions of the nonzero elements, (count, ndim) in i64."""
    found: Tensor = nonzero(x)
    return found


@op(inplace=True)
def masked_fill(x: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """`x` with `value` (a number or 0-d tensor) where `mask` is true."""
    _mask(mask, masked_fill)
    if isinstance(value, Tensor):
        expect(value.ndim == 0, masked_fill, "a number or a 0-d tensor", value.shape)
        real = value.dtype.kind != "c" or x.dtype.kind == "c"
        expect(
            real, masked_fill, f"a value that {x.dtype.name} holds", value.dtype.name, NoKernelError
        )
        filling = value.to(x.dtype)
    else:
        dtype = x.dtype
        if isinstance(value, complex) and dtype.kind != "c":
            expect(False, masked_fill, f"a value that {dtype.name} holds", value, DTypeError)
        filling = full((), value, dtype)
    out: Tensor = _where(mask, filling, x)
    return out


def _where(mask: Tensor, a: Tensor, b: Tensor) -> Any:
    from . import where

    return where(mask, a, b)


@primitive
def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements of `x` where `mask` is true, (count,); the two are broadcast."""
    _mask(mask, masked_select)
    shape = broadcast_shapes(x.shape, mask.shape, masked_select)
    flat = mask._array.expand(shape).contiguous()
    source = unwrap_tensor(x, masked_select).expand(shape).contiguous()
    counts, count = mask_counts(flat)
    out = _native.Array.empty((count,), source.dtype)
    _native.call("masked_select", out, source, flat, counts)
    return wrap(out)


@masked_select.grad
def _(g: Tensor, _x: Tensor, mask: Tensor) -> tuple[Any, None]:
    shape = broadcast_shapes(_x.shape, mask.shape, masked_select)
    return lambda: masked_scatter(zeros(shape, dtype=g.dtype), mask, g), None


@primitive(inplace=True)
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`x` with the elements of `source`, in order, where `mask` (broadcast) is true."""
    _mask(mask, masked_scatter)
    same = source.dtype is x.dtype
    expect(same, masked_scatter, f"a source of {x.dtype.name}", source.dtype.name, NoKernelError)
    shape = broadcast_shapes(x.shape, mask.shape, masked_scatter)
    if mask.is_meta:
        return wrap(x._array.expand(shape).clone())
    flat = mask._array.expand(shape).contiguous()
    counts, count = mask_counts(flat)
    wanted = f"a source of at least {count} elements"
    expect(source.numel() >= count, masked_scatter, wanted, source.numel())
    out = x._array.expand(shape).clone()
    _native.call("masked_scatter", out, flat, counts, source._array.contiguous())
    return wrap(out)


@masked_scatter.grad
def _(g: Tensor, _x: Tensor, mask: Tensor, _source: Tensor) -> tuple[Any, None, Any]:
    def of_source() -> Tensor:
        from . import cat

        taken = masked_select(g, mask)
        missing = _source.numel() - taken.numel()
        if missing:
            taken = cat([taken, zeros(missing, dtype=g.dtype)])
        return taken.reshape(_source.shape)

    return lambda: masked_fill(g, mask, 0), None, of_source


# --- embedding's gradient -------------------------------------------------------------------------


@op
def embedding_weight_grad(
    g: Tensor, ids: Tensor, num_rows: int, padding_idx: int | None = None
) -> Tensor:
    """The gradient (num_rows, d) of an embedding's weight from `g` (*ids.shape, d).

    Rows are added in the order of `ids`, so the result does not depend on the number of threads;
    what falls on `padding_idx` counts for nothing.
    """
    from . import index_add

    flat = ids.reshape(-1).to(i64)
    rows = g.reshape(flat.numel(), g.shape[-1])
    if padding_idx is not None:
        at = padding_idx % num_rows
        rows = masked_fill(rows, flat.eq(at).unsqueeze(1), 0)
    out: Tensor = index_add(zeros((num_rows, g.shape[-1]), dtype=g.dtype), 0, flat, rows)
    return out
