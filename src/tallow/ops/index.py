"""Reading and writing by arrays of positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtype import i32, i64
from ..errors import ArgumentError, DTypeError, NoKernelError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor, unwrap_tensor

# --- positions over several axes ------------------------------------------------------------------


def _axes_at(x: Tensor, indices: Tensor, axis: int, where: object) -> tuple[int, int]:
    """How many axes are indexed, and the number of positions."""
    k = indices.shape[0] if indices.ndim == 2 else 1
    fits = 1 <= indices.ndim <= 2 and 0 <= axis <= x.ndim and k <= x.ndim - axis
    if not fits:
        wanted = f"indices (k, n) or (n,) of axes of {x.shape} from {axis} on"
        expect(False, where, wanted, indices.shape)
    if indices.dtype not in (i64, i32):
        expect(False, where, "indices of i64 or i32", indices.dtype.name, NoKernelError)
    return k, indices.shape[-1]


@op
def take_positions(input: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """`input[indices[0], …, indices[k - 1]]`, for `axis` 0: (n, *rest) for indices (k, n).

    The k axes from `axis` on are indexed, and n stands where they did; indices (n,) are those of
    one axis. Negative positions count from the end; IndexRangeError for one outside. What `x[…]`
    does.
    """
    ...


@take_positions.check
def _(input: Tensor, indices: Tensor, axis: int) -> None:
    _axes_at(input, indices, axis, take_positions)


@take_positions.out
def _(input: Tensor, indices: Tensor, axis: int) -> Any:
    shape, at = input.shape, indices.shape
    k = at[0] if len(at) == 2 else 1
    return (*shape[:axis], at[-1], *shape[axis + k :]), input.dtype


take_positions.kernel("index")


@take_positions.grad
def _(g: Tensor, _input: Tensor, indices: Tensor, axis: int) -> tuple[Any, None]:
    return lambda: put_positions(g.new_zeros(_input.shape), indices, g, True, axis), None


@op
def put_positions(
    input: Tensor, indices: Tensor, values: Tensor, accumulate: bool = False, axis: int = 0
) -> Tensor:
    """`input` with `values` at the positions that `take_positions` reads: written, or added up.

    Of equal positions the last one wins; sums are made in the order of the indices, those of
    halves in f32.
    """
    ...


@put_positions.check
def _(input: Tensor, indices: Tensor, values: Tensor, accumulate: bool, axis: int) -> None:
    k, n = _axes_at(input, indices, axis, put_positions)
    same = values.dtype is input.dtype
    if not same:
        wanted = f"values of {input.dtype.name}"
        expect(False, put_positions, wanted, values.dtype.name, NoKernelError)
    shape = (*input.shape[:axis], n, *input.shape[axis + k :])
    if values.shape != shape:
        expect(False, put_positions, f"values of shape {shape}", values.shape)


@put_positions.out
def _(input: Tensor, indices: Tensor, values: Tensor, accumulate: bool, axis: int) -> Any:
    return input.shape, input.dtype


put_positions.kernel("index_put")


@put_positions.grad
def _(
    g: Tensor, _input: Tensor, indices: Tensor, _values: Tensor, accumulate: bool, axis: int
) -> tuple[Any, None, Any]:
    def rest() -> Tensor:
        if accumulate:
            return g
        nothing = g.new_zeros((1,) * len(_values.shape)).expand(_values.shape)
        return put_positions(g, indices, nothing, False, axis)

    return rest, None, lambda: take_positions(g, indices, axis)


@op(name="nn.index_put_")
def write_positions(target: Tensor, indices: Tensor, values: Tensor, axis: int) -> None:
    """Write `values` into `target` at the positions that `take_positions` reads, in place."""
    ...


@write_positions.out
def _(target: Tensor, indices: Tensor, values: Tensor, axis: int) -> None:
    return None


write_positions.kernel("index_write")


@op(inplace=True)
def index_put(
    x: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor:
    """`x` with `values` at `x[indices]`, or added there when `accumulate`.

    `indices` are integer or bool tensors (None keeps an axis whole), as in `x[…] = values`.
    """
    from .subscript import put_into

    parts = [slice(None) if part is None else part for part in indices]
    good = all(isinstance(part, (Tensor, slice)) for part in parts)
    expect(good, index_put, "tensors as indices", [type(p).__name__ for p in indices], DTypeError)
    expect(any(isinstance(p, Tensor) for p in parts), index_put, "an index", "none", ArgumentError)
    same, got = values.dtype is x.dtype, values.dtype.name
    expect(same, index_put, f"values of {x.dtype.name}", got, NoKernelError)
    return put_into(x, parts, values, accumulate)


@op
def take(x: Tensor, index: Tensor) -> Tensor:
    """The elements of flattened `x` at `index`, in the shape of `index`."""
    out: Tensor = take_positions(x.reshape(-1), index.reshape(-1)).reshape(index.shape)
    return out


@take.check
def _(x: Tensor, index: Tensor) -> None:
    _integers(index, take)
    expect(index.dtype is i64, take, "indices of i64", index.dtype.name, NoKernelError)


@op(inplace=True)
def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`x` with the elements of `source` at the positions `index` of its flattened form."""
    flat = index.to(i64).reshape(-1)
    return put_positions(x.reshape(-1), flat, source.reshape(-1), accumulate).reshape(x.shape)


@put.check
def _(x: Tensor, index: Tensor, source: Tensor, accumulate: bool) -> None:
    _integers(index, put)
    same, got = source.dtype is x.dtype, source.dtype.name
    expect(same, put, f"a source of {x.dtype.name}", got, NoKernelError)
    fits = index.numel() == source.numel()
    expect(fits, put, f"a source of {index.numel()} elements", source.numel())


def _integers(index: Tensor, where: object) -> None:
    unwrap_tensor(index, where)
    expect(index.dtype.kind in "iu", where, "integer indices", index.dtype.name, NoKernelError)


# --- embedding's gradient -------------------------------------------------------------------------


@op
def embedding_weight_grad(
    g: Tensor, ids: Tensor, num_rows: int, padding_idx: int | None = None
) -> Tensor:
    """The gradient (num_rows, d) of an embedding's weight from `g` (*ids.shape, d).

    Rows are added in the order of `ids`, so the result does not depend on the number of threads;
    what falls on `padding_idx` counts for nothing.
    """
    from . import index_add, masked_fill

    flat = ids.reshape(-1).to(i64)
    rows = g.reshape(flat.numel(), g.shape[-1])
    if padding_idx is not None:
        at = padding_idx % num_rows
        rows = masked_fill(rows, flat.eq(at).unsqueeze(1), 0)
    out: Tensor = index_add(zeros((num_rows, g.shape[-1]), dtype=g.dtype), 0, flat, rows)
    return out
