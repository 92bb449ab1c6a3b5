"""Searching and counting: unique values, binary search, histograms, membership."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..dtype import i32 as _i32
from ..dtype import i64
from ..errors import ArgumentError, DTypeError, NoKernelError, expect
from ..factories import arange, full, ones, tensor, zeros
from ..numeric import promote_types, result_type
from ..registry import op
from ..tensor import Tensor, has_values, unwrap_tensor
from .shape import axis_of
from .sort import sort


class Histogram(NamedTuple):
    """Counts per bin, and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor


# --- unique ---------------------------------------------------------------------------------------


def _starts(rows: Tensor) -> Tensor:
    """Bools (n): whether a row of (n, m) differs from the one before; the first one does."""
    n = rows.shape[0]
    out = ones(n, dtype="bool")
    if n > 1:
        out[1:] = rows.narrow(0, 1, n - 1).ne(rows.narrow(0, 0, n - 1)).any(1)
    return out


def _runs(starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(first places, run of each place, lengths) of the runs that begin where `starts` is true."""
    first = starts.nonzero().reshape(-1)
    run = starts.cumsum(0) - 1
    end = tensor([starts.shape[0]], dtype=i64)
    from . import cat

    return first, run, cat([first, end]).diff() if first.numel() else first


def _given(parts: Sequence[Tensor], wanted: Sequence[bool]) -> Any:
    out = tuple(part for part, want in zip(parts, (True, *wanted), strict=True) if want)
    return out if len(out) > 1 else out[0]


def _rows_of(x: Tensor, dim: int, where: object) -> tuple[Tensor, int]:
    """Contiguous rows (n, m) of what lies along `dim`."""
    axis = axis_of(dim, x.ndim, where)
    first = x if x.ndim else x.reshape(1)
    first = first.permute(axis, *(i for i in range(first.ndim) if i != axis))
    n = first.shape[0]
    m = first.numel() // n if n else 1
    zero = n == 0 and any(size == 0 for i, size in enumerate(x.shape) if i != axis)
    expect(not zero, where, "axes that are not empty beside the one", x.shape)
    return first.reshape(n, m).contiguous(), axis


@op(name="nn.row_order")
def row_order(rows: Tensor) -> Tensor:
    """The order (n,) of contiguous rows (n, m): the first column decides first, then their own."""
    ...


@row_order.out
def _(rows: Tensor) -> Any:
    return rows.shape[:1], i64


row_order.kernel("row_order")


@op
def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements of `x`, or slices along `dim`, in order.

    With `return_inverse` the place of each element in them too, with `return_counts` how often
    each comes. NaN differ from each other.
    """
    x = x.detach()
    if dim is None:
        values, order = sort(x.reshape(-1), 0)
        rows = values.unsqueeze(1)
        picked: Any = values
    else:
        rows, axis = _rows_of(x, dim, unique)
        order = row_order(rows)
        rows = rows.index_select(0, order)
        picked = x.index_select(axis, order) if x.ndim else x.reshape(1)
    first, run, counts = _runs(_starts(rows))
    place = 0 if dim is None else axis
    inverse = zeros(order.shape, dtype=i64).scatter(0, order, run)
    inverse = inverse.reshape(x.shape) if dim is None else inverse
    return _given(
        (picked.index_select(place, first), inverse, counts), (return_inverse, return_counts)
    )


@op
def unique_consecutive(
    x: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements of `x`, or slices along `dim`, without those that equal the one before."""
    x = x.detach()
    if dim is None:
        flat, place = x.reshape(-1), 0
        rows = flat.unsqueeze(1)
    else:
        rows, place = _rows_of(x, dim, unique_consecutive)
        flat = x if x.ndim else x.reshape(1)
    first, run, counts = _runs(_starts(rows))
    inverse = run.reshape(x.shape) if dim is None else run
    return _given(
        (flat.index_select(place, first), inverse, counts), (return_inverse, return_counts)
    )


# --- binary search --------------------------------------------------------------------------------


def _right(right: bool, side: str | None, where: object) -> bool:
    if side is None:
        return right
    expect(side in ("left", "right"), where, "side left or right", side, ArgumentError)
    expect(side == "right" or not right, where, "one side", "right and left", ArgumentError)
    return side == "right"


@op(name="nn.searchsorted")
def _positions(edges: Tensor, values: Tensor, sorter: Tensor | None, right: bool) -> Tensor:
    """`searchsorted` (i64) of plain dtypes, compared in their common one."""
    ...


@_positions.check
def _(edges: Tensor, values: Tensor, sorter: Tensor | None, right: bool) -> None:
    where, shape, given = searchsorted, edges.shape, values.shape
    if not shape:
        expect(False, where, "a sorted sequence of at least one axis", "a 0-d tensor")
    if not (edges.dtype.kind in "buif" and values.dtype.kind in "buif"):
        names = (edges.dtype.name, values.dtype.name)
        expect(False, where, "plain dtypes", names, DTypeError)
    if len(shape) > 1 and shape[:-1] != given[:-1]:
        expect(False, where, f"values of leading shape {shape[:-1]}", given)
    if sorter is not None and not (sorter.dtype is i64 and sorter.shape == shape):
        expect(False, where, f"a sorter of shape {shape} in i64", sorter.shape, ArgumentError)


@_positions.out
def _(edges: Tensor, values: Tensor, sorter: Tensor | None, right: bool) -> Any:
    return values.shape, i64


@_positions.kernel("searchsorted")
def _(edges: Tensor, values: Tensor, sorter: Tensor | None, right: bool) -> tuple[Any, ...]:
    if edges.dtype is not values.dtype:
        dtype = promote_types(edges.dtype, values.dtype)
        edges, values = edges.to(dtype), values.to(dtype)
    return edges, values, sorter, int(right)


_find = _positions.caller()


def _search(
    edges: Tensor, values: Any, right: bool, sorter: Tensor | None, out_int32: bool
) -> Tensor:
    if not isinstance(values, Tensor):
        wide = isinstance(values, float) and edges.dtype.kind != "f"
        values = tensor(values) if wide else tensor(values, dtype=edges.dtype)
    out: Tensor = _find(edges, values, sorter, right)
    return out.to(_i32) if out_int32 else out


@op
def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each of `input` would be inserted into the sorted last axis, before equal elements.

    `right` (or side="right"): behind them. `sorter`: the order that sorts the sequence.
    """
    after = _right(right, side, searchsorted)
    return _search(sorted_sequence, input, after, sorter, out_int32)


@op
def bucketize(
    input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The number of sorted `boundaries` (a vector) below each of `input` (`right`: or equal)."""
    expect(boundaries.ndim == 1, bucketize, "boundaries as a vector", boundaries.shape)
    return _search(boundaries, input, right, None, out_int32)


@op
def isin(
    elements: Tensor | float,
    test_elements: Tensor | float,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """Whether each of `elements` is among `test_elements`; `invert`: whether it is not."""
    x = elements.detach() if isinstance(elements, Tensor) else tensor(elements)
    tested = test_elements.detach() if isinstance(test_elements, Tensor) else tensor(test_elements)
    dtype = result_type(x, tested)
    x, tested = x.to(dtype), tested.to(dtype).reshape(-1)
    if not tested.numel():
        return full(x.shape, invert, "bool")
    ordered = sort(tested, 0).values
    at = _search(ordered, x, False, None, False).clamp(0, tested.numel() - 1)
    found = ordered.take(at).eq(x)
    return found.logical_not() if invert else found


# --- counting -------------------------------------------------------------------------------------


@op
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on comes in the vector `x` (i64), or the sums of `weights`."""
    whole = x.to(i64)
    low, high = (int(whole.amin()), int(whole.amax())) if x.numel() else (0, -1)
    expect(low >= 0, bincount, "numbers of at least 0", low, ArgumentError)
    size = max(high + 1, minlength)
    if weights is None:
        return zeros(size, dtype=i64).index_add(0, whole, ones(1, dtype=i64).expand(x.shape))
    kept = weights.detach()
    kept = kept if kept.dtype.name in ("f32", "f64") else kept.to("f64")
    return zeros(size, dtype=kept.dtype).index_add(0, whole, kept)


@bincount.check
def _(x: Tensor, weights: Tensor | None, minlength: int) -> None:
    unwrap_tensor(x, bincount)
    expect(x.ndim == 1 and x.dtype.kind in "iu", bincount, "a vector of integers", x.shape)
    expect(minlength >= 0, bincount, "minlength of at least 0", minlength, ArgumentError)
    if weights is not None:
        expect(weights.shape == x.shape, bincount, f"weights of shape {x.shape}", weights.shape)


def _range(
    x: Tensor, low: float, high: float, where: object, margin: float = 1
) -> tuple[float, float]:
    if low == high == 0:
        low, high = (float(x.amin()), float(x.amax())) if has_values(x) else (0.0, 1.0)
    if low == high:
        low, high = low - margin, high + margin
    good = low < high and high - low < float("inf")
    expect(good, where, "finite bounds min < max", (low, high), ArgumentError)
    return low, high


def _counted(x: Tensor, edges: Tensor, weight: Tensor | None) -> Tensor:
    """Counts of `x` between the edges, the last of which belongs to its bin."""
    bins = edges.shape[0] - 1
    at = _search(edges, x, True, None, False) - 1
    at = at.masked_fill(x.eq(edges[-1]), bins - 1)
    inside = at.ge(0).logical_and(at.lt(bins))
    one = ones((1,), dtype=x.dtype).expand(x.shape) if weight is None else weight.to(x.dtype)
    kept = one.masked_fill(inside.logical_not(), 0)
    return zeros(bins, dtype=x.dtype).index_add(0, at.clamp(0, bins - 1), kept)


def _edges(low: float, high: float, bins: int, x: Tensor) -> Tensor:
    wide = arange(bins + 1).to("f64") * ((high - low) / bins) + low
    wide[-1] = high
    return wide.to(x.dtype)


@op
def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal bins from `min` to `max`, in `x`'s dtype.

    Both 0: from the smallest to the largest element. What lies outside, and NaN, does not count.
    """
    ...


@histc.check
def _(x: Tensor, bins: int, min: float, max: float) -> None:
    unwrap_tensor(x, histc)
    expect(x.dtype.kind == "f", histc, "a float dtype", x.dtype.name, NoKernelError)
    expect(bins > 0, histc, "at least one bin", bins, ArgumentError)


@histc.out
def _(x: Tensor, bins: int, min: float, max: float) -> Any:
    return (bins,), x.dtype


@histc.kernel
def _(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    flat = x.reshape(-1)
    low, high = _range(flat, float(min), float(max), histc)
    scaled = (flat.to("f64") - low) * (bins / (high - low))
    at = scaled.floor().clamp(0, bins - 1)
    inside = flat.ge(low).logical_and(flat.le(high))
    picked = at.masked_select(inside).to(i64)
    counts = zeros(bins, dtype=i64).index_add(0, picked, ones(1, dtype=i64).expand(picked.shape))
    return counts.to(x.dtype)


@op
def histogram(
    x: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """Counts of the elements in `bins` equal bins over `range`, or between the edges `bins`."""
    flat = x.detach().reshape(-1)
    if isinstance(bins, Tensor):
        edges = bins.detach()
        expect(edges.ndim == 1 and edges.shape[0] > 1, histogram, "edges of bins", edges.shape)
    else:
        low, high = (0.0, 0.0) if range is None else (float(range[0]), float(range[1]))
        edges = _edges(*_range(flat, low, high, histogram, 0.5), bins, x)
    counts = _counted(flat, edges, None if weight is None else weight.detach().reshape(-1))
    if density:
        counts = counts / counts.sum() / edges.diff()
    return Histogram(counts, edges)
