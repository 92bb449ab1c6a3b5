"""Reading and writing by masks, and the positions where one is true."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import f32, i64
from ..errors import DTypeError, NoKernelError, expect
from ..factories import full, zeros
from ..registry import op
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor

CHUNK = 16384  # elements of a mask that are counted together (csrc/cpu/mask.cpp)


def _check_mask(mask: Tensor, where: object) -> None:
    unwrap_tensor(mask, where)
    if mask.dtype.kind != "b":
        expect(False, where, "a bool mask", mask.dtype.name, NoKernelError)


@op(name="nn.mask_counts")
def mask_counts(mask: Tensor) -> Tensor:
    """How many elements of a contiguous mask are true before each chunk of it, and in all (i64)."""
    ...


@mask_counts.out
def _(mask: Tensor) -> Any:
    return ((mask.numel() + CHUNK - 1) // CHUNK + 1,), i64


mask_counts.kernel("mask_counts")


@op(name="nn.nonzero")
def positions_of(mask: Tensor, counts: Tensor) -> Tensor:
    """Where a contiguous mask is true, (ndim, count) in i64; `counts` are its `mask_counts`."""
    ...


@positions_of.out
def _(mask: Tensor, counts: Tensor) -> Any:
    return (mask.ndim, counts[-1].item()), i64


positions_of.kernel("nonzero")


@op
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """Positions of nonzero elements: (count, ndim) in i64; or, `as_tuple`, a vector per axis."""
    mask = x.detach() if x.dtype.kind == "b" else x.detach().ne(0)
    if as_tuple and not x.ndim:
        mask = mask.reshape(1)
    flat = mask.contiguous()
    found: Tensor = positions_of(flat, mask_counts(flat))
    return found.unbind(0) if as_tuple else found.permute(1, 0)


@op
def argwhere(x: Tensor) -> Tensor:
    """The positions of the nonzero elements, (count, ndim) in i64."""
    found: Tensor = nonzero(x)
    return found


@op(inplace=True, cached=True)
def masked_fill(x: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """`x` with `value` (a number or 0-d tensor) where `mask` is true."""
    _check_mask(mask, masked_fill)
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


@op
def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements of `x` where `mask` is true, (count,); the two are broadcast."""
    shape = broadcast_shapes(x.shape, mask.shape, masked_select)
    flat = (mask if mask.shape == shape else mask.expand(shape)).contiguous()
    return _selected(x, flat, mask_counts(flat))


@masked_select.check
def _(x: Tensor, mask: Tensor) -> None:
    _check_mask(mask, masked_select)
    unwrap_tensor(x, masked_select)


@op(name="nn.masked_select")
def _selected(x: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
    """`masked_select` by a contiguous mask of the broadcast shape; `counts`: its `mask_counts`."""
    ...


@_selected.out
def _(x: Tensor, mask: Tensor, counts: Tensor) -> Any:
    return (counts[-1].item(),), x.dtype


@_selected.kernel("masked_select")
def _(x: Tensor, mask: Tensor, counts: Tensor) -> tuple[Any, ...]:
    return _spread(x, mask.shape).contiguous(), mask, counts


@_selected.grad
def _(g: Tensor, _x: Tensor, mask: Tensor, _counts: Tensor) -> tuple[Any, None, None]:
    return lambda: masked_scatter(g.new_zeros(mask.shape), mask, g), None, None


def _spread(x: Tensor, shape: Any) -> Tensor:
    return x if x.shape == shape else x.expand(shape)


@op(inplace=True)
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`x` with the elements of `source`, in order, where `mask` (broadcast) is true."""
    ...


@masked_scatter.check
def _(x: Tensor, mask: Tensor, source: Tensor) -> None:
    _check_mask(mask, masked_scatter)
    same, got = source.dtype is x.dtype, source.dtype.name
    expect(same, masked_scatter, f"a source of {x.dtype.name}", got, NoKernelError)


@masked_scatter.out
def _(x: Tensor, mask: Tensor, source: Tensor) -> Any:
    return broadcast_shapes(x.shape, mask.shape, masked_scatter), x.dtype


@masked_scatter.kernel("masked_scatter")
def _(out: Tensor, x: Tensor, mask: Tensor, source: Tensor) -> tuple[Any, ...]:
    flat = _spread(mask, out.shape).contiguous()
    counts = mask_counts(flat)
    if source.numel() < flat.numel():
        count = counts[-1].item()
        wanted = f"a source of at least {count} elements"
        expect(source.numel() >= count, masked_scatter, wanted, source.numel())
    out.copy_(x)
    return out, flat, counts, source.contiguous()


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


@op(name="nn.best_boxes")
def best_boxes(
    boxes: Tensor, scores: Tensor, most: int, overlap: float, least: float | None = None
) -> Tensor:
    """The boxes of each class to keep, (images, classes, most) in i64, the best first, then -1.

    `boxes` (images, n, 4) are left, top, right, bottom; `scores` (images, classes, n). A box goes
    when it and a better one share more than `overlap` of what they cover together (greedy
    non-maximum suppression), or its score is not above `least`. Of equal scores the first is
    better.
    """
    ...


@best_boxes.check
def _(boxes: Tensor, scores: Tensor, most: int, overlap: float, least: float | None) -> None:
    fits = boxes.ndim == scores.ndim == 3 and boxes.shape == (scores.shape[0], scores.shape[2], 4)
    got = (boxes.shape, scores.shape)
    expect(fits, best_boxes, "boxes (images, n, 4) and scores (images, classes, n)", got)
    single = boxes.dtype is scores.dtype is f32
    got_dtypes = (boxes.dtype.name, scores.dtype.name)
    expect(single, best_boxes, "boxes and scores of f32", got_dtypes, NoKernelError)
    expect(most >= 0, best_boxes, "a number of boxes", most)


@best_boxes.out
def _(boxes: Tensor, scores: Tensor, most: int, overlap: float, least: float | None) -> Any:
    return (*scores.shape[:2], most), i64


@best_boxes.kernel("best_boxes")
def _(
    boxes: Tensor, scores: Tensor, most: int, overlap: float, least: float | None
) -> tuple[Any, ...]:
    bound = math.nan if least is None else float(least)
    return boxes.contiguous(), scores.contiguous(), float(overlap), bound
