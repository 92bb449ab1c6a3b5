"""Views and shapes: nothing here copies a tensor unless it says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _native
from ..errors import DTypeError, expect
from ..registry import primitive
from ..tensor import Tensor, unwrap_tensor, wrap


def _flat(sizes: tuple[Any, ...]) -> Any:
    """The sizes themselves, whether given one by one or as one sequence."""
    return sizes[0] if len(sizes) == 1 and not hasattr(sizes[0], "__index__") else sizes


def _axis(dim: int, ndim: int, where: object) -> int:
    """`dim` counted from the front."""
    n = max(ndim, 1)
    expect(-n <= dim < n, where, f"an axis in [{-n}, {n - 1}]", dim)
    return dim % n


@primitive
def reshape(x: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape (one size may be -1): a view if strides allow, else a copy."""
    return wrap(x._array.reshape(_flat(shape)))


@primitive
def view(x: Tensor, *shape: Any) -> Tensor:
    """A view in another shape (one size may be -1); ShapeError when strides do not allow it."""
    return wrap(x._array.view(_flat(shape)))


@primitive
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes `start_dim` to `end_dim` merged into one."""
    shape = x.shape or (1,)
    first, last = _axis(start_dim, len(shape), flatten), _axis(end_dim, len(shape), flatten)
    expect(first <= last, flatten, "start_dim not behind end_dim", (start_dim, end_dim))
    size = 1
    for n in shape[first : last + 1]:
        size *= n
    return wrap(x._array.reshape((*shape[:first], size, *shape[last + 1 :])))


@primitive
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two axes swapped."""
    return wrap(x._array.transpose(dim0, dim1))


@primitive
def permute(x: Tensor, *dims: Any) -> Tensor:
    """A view with the axes in the given order."""
    return wrap(x._array.permute(_flat(dims)))


@primitive
def expand(x: Tensor, *sizes: Any) -> Tensor:
    """A view with axes of length 1 repeated (stride 0); -1 keeps an axis."""
    return wrap(x._array.expand(_flat(sizes)))


@primitive
def squeeze(x: Tensor, dim: int | None = None) -> Tensor:
    """A view without axis `dim` if its length is 1, or without all such axes."""
    return wrap(x._array.squeeze(dim))


@primitive
def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """A view with a new axis of length 1 at `dim`."""
    return wrap(x._array.unsqueeze(dim))


@primitive
def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` positions of axis `dim`, from `start` on."""
    return wrap(x._array.narrow(dim, start, length))


@primitive
def select(x: Tensor, dim: int, index: int) -> Tensor:
    """A view of one position of axis `dim`, without that axis."""
    dim = _axis(dim, x.ndim, select)
    return wrap(x._array.basic_index((slice(None),) * dim + (index,)))


@primitive
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The views along axis `dim`."""
    expect(x.ndim > 0, unbind, "at least one axis", "a 0-d tensor")
    dim = _axis(dim, x.ndim, unbind)
    return tuple(
        wrap(x._array.basic_index((slice(None),) * dim + (i,))) for i in range(x.shape[dim])
    )


@primitive
def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` positions each (the last may be shorter), or of the listed sizes."""
    expect(x.ndim > 0, split, "at least one axis", "a 0-d tensor")
    dim = _axis(dim, x.ndim, split)
    n = x.shape[dim]
    if isinstance(split_size, int):
        expect(split_size > 0, split, "a positive split_size", split_size)
        sizes = [min(split_size, n - start) for start in range(0, n, split_size)] or [0]
    else:
        sizes = list(split_size)
        good = all(size >= 0 for size in sizes) and sum(sizes) == n
        expect(good, split, f"sizes that add up to {n}", sizes)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        wrap(x._array.narrow(dim, start, size)) for start, size in zip(starts, sizes, strict=True)
    )


@primitive
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along an existing axis; dtypes are promoted."""
    expect(len(tensors) > 0, cat, "at least one tensor", "none")
    arrays = [unwrap_tensor(x, cat) for x in tensors]
    first = arrays[0]
    axis = dim + first.ndim if dim < 0 else dim
    expect(0 <= axis < first.ndim, cat, f"an axis of a {first.ndim}-d tensor", dim)
    dtype, total = first.dtype, 0
    for x, array in zip(tensors, arrays, strict=True):
        same = (
            array.ndim == first.ndim
            and array.shape[:axis] + array.shape[axis + 1 :]
            == first.shape[:axis] + first.shape[axis + 1 :]
        )
        expect(same, cat, f"shapes equal to {first.shape} but for axis {axis}", array.shape)
        plain = not x.dtype.is_quantized or array.dtype == first.dtype
        expect(plain, cat, "plain dtypes, or one block dtype", x.dtype.name, DTypeError)
        dtype = _native.promote_types(dtype, array.dtype)
        total += array.shape[axis]
    out = _native.Array.empty((*first.shape[:axis], total, *first.shape[axis + 1 :]), dtype)
    at = 0
    for array in arrays:
        out.narrow(axis, at, array.shape[axis]).copy_(array)
        at += array.shape[axis]
    return wrap(out)


@primitive
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along a new axis."""
    expect(len(tensors) > 0, stack, "at least one tensor", "none")
    shape = unwrap_tensor(tensors[0], stack).shape
    for x in tensors:
        expect(unwrap_tensor(x, stack).shape == shape, stack, f"shapes equal to {shape}", x.shape)
    return cat.meaning([x.unsqueeze(dim) for x in tensors], dim)
