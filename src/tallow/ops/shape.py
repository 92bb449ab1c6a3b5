"""Views and shapes: nothing here copies a tensor unless it says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.views import put_strided
from ..dtype import DType, as_dtype
from ..errors import DTypeError, IndexRangeError, expect
from ..registry import op
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor


def flat(sizes: tuple[Any, ...]) -> Any:
    """The sizes themselves, whether given one by one or as one sequence."""
    if len(sizes) != 1 or hasattr(sizes[0], "__index__"):
        return sizes
    return sizes[0]


def axis_of(dim: int, ndim: int, where: object) -> int:
    """`dim` counted from the front; a 0-d tensor counts as having one axis."""
    n = ndim or 1
    if not (hasattr(dim, "__index__") and -n <= dim < n):
        expect(False, where, f"an axis in [{-n}, {n - 1}]", dim, IndexRangeError)
    if type(dim) is not int:
        dim = dim.__index__()  # tensors are keys of their own
    return dim if dim >= 0 else dim + n


def axes_of(dims: Any, ndim: int, where: object) -> tuple[int, ...]:
    """One axis or several, counted from the front, each once."""
    given = (dims,) if hasattr(dims, "__index__") else tuple(dims)
    out = tuple(axis_of(dim, ndim, where) for dim in given)
    expect(len(set(out)) == len(out), where, "each axis once", given)
    return out


def contiguous_strides(shape: Sequence[int]) -> list[int]:
    """The strides of a row-major array without gaps."""
    out, step = [], 1
    for n in reversed(shape):
        out.append(step)
        step *= max(n, 1)
    return out[::-1]


# --- the same elements in another shape -----------------------------------------------------------


@op(view=True)
def reshape(x: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The elements in another shape (one size may be -1): a view if strides allow, else a copy."""
    ...


@reshape.view("reshape")
def _(x: Tensor, sizes: Any, shape: Any) -> Any:
    return x, flat(sizes) if shape is None else shape


@op(view=True)
def view(x: Tensor, *shape: Any) -> Tensor:
    """A view in another shape (one size may be -1); ShapeError when strides do not allow it.

    With a dtype in place of the sizes, the same bytes seen as that dtype: the last axis grows or
    shrinks when it is narrower or wider. Blocks are seen as the bytes (u8) they are made of.
    """
    ...


@view.view("view")
def _(x: Tensor, shape: Any) -> Any:
    if len(shape) == 1 and isinstance(shape[0], (DType, str)):
        return view_dtype(x, shape[0])
    return x, flat(shape)


@op(name="nn.view_dtype", view=True)
def view_dtype(x: Tensor, dtype: DType | str) -> Tensor:
    """The same bytes seen as another dtype."""
    ...


@view_dtype.view("retype")
def _(x: Tensor, dtype: DType | str) -> Any:
    return x, as_dtype(dtype).code


@op(view=True)
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes `start_dim` to `end_dim` merged into one; a vector is given back as it is."""
    ...


@flatten.view("reshape")
def _(x: Tensor, start_dim: int, end_dim: int) -> Any:
    ndim = x.ndim
    if start_dim == 0 and end_dim == -1:
        return x if ndim == 1 else (x, (-1,) if x.numel() else (0,))
    shape = x.shape or (1,)
    first, last = axis_of(start_dim, len(shape), flatten), axis_of(end_dim, len(shape), flatten)
    expect(first <= last, flatten, "start_dim not behind end_dim", (start_dim, end_dim))
    size = 1
    for n in shape[first : last + 1]:
        size *= n
    return x if ndim == 1 else (x, (*shape[:first], size, *shape[last + 1 :]))


@op(view=True)
def squeeze(x: Tensor, dim: Any = None) -> Tensor:
    """A view without those of the axes `dim` (one, several, or all) whose length is 1."""
    ...


@squeeze.view("squeeze")
def _(x: Tensor, dim: Any) -> Any:
    if dim is None or isinstance(dim, int):
        return x, dim
    made = x.view_as(x)
    for axis in sorted(axes_of(dim, x.ndim, squeeze), reverse=True):
        made = made.squeeze(axis.__index__()) if made.ndim else made
    return made


@op(view=True)
def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """A view with a new axis of length 1 at `dim`."""
    ...


unsqueeze.view("unsqueeze")


@reshape.grad
def _(g: Tensor, _x: Tensor, sizes: Any, shape: Any) -> Tensor:
    return g.reshape(_x.shape)


@view.grad
def _(g: Tensor, _x: Tensor, shape: Any) -> Any:
    if len(shape) == 1 and isinstance(shape[0], DType | str):
        same = as_dtype(shape[0]) is _x.dtype
        expect(same, view, "a change of dtype without gradient (use .detach())", shape[0])
        return g
    return g.reshape(_x.shape)


@flatten.grad
def _(g: Tensor, _x: Tensor, start_dim: int, end_dim: int) -> Tensor:
    return g.reshape(_x.shape)


@squeeze.grad
def _(g: Tensor, _x: Tensor, dim: Any) -> Tensor:
    return g.reshape(_x.shape)


@unsqueeze.grad
def _(g: Tensor, _x: Tensor, dim: int) -> Tensor:
    return g.reshape(_x.shape)


@op
def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    """`x` in the shape of `other`."""
    return x.reshape(other.shape)


@op
def view_as(x: Tensor, other: Tensor) -> Tensor:
    """A view of `x` in the shape of `other`."""
    return x.view(other.shape)


@op
def ravel(x: Tensor) -> Tensor:
    """The elements along one axis."""
    return x.reshape(-1)


@op
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Axis `dim` split into axes of the given sizes, one of which may be -1."""
    axis = axis_of(dim, x.ndim, unflatten)
    expect(len(sizes) > 0, unflatten, "at least one size", sizes)
    shape = x.shape or (1,)
    known = 1
    for n in sizes:
        known *= n if n != -1 else 1
    fits = known == shape[axis] if -1 not in sizes else known > 0 and shape[axis] % known == 0
    expect(fits, unflatten, f"sizes whose product is {shape[axis]}", tuple(sizes))
    made = [n if n != -1 else shape[axis] // known for n in sizes]
    return x.view(*shape[:axis], *made, *shape[axis + 1 :])


# --- the order of axes ----------------------------------------------------------------------------


@op(view=True)
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two axes swapped."""
    ...


transpose.view("transpose")


@transpose.grad
def _(g: Tensor, _x: Tensor, dim0: int, dim1: int) -> Tensor:
    return g.transpose(dim0, dim1)


@op(view=True)
def permute(x: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """A view with the axes in the given order."""
    ...


@permute.view("permute")
def _(x: Tensor, axes: Any, dims: Any) -> Any:
    return x, flat(axes) if dims is None else dims


@permute.grad
def _(g: Tensor, _x: Tensor, axes: Any, dims: Any) -> Tensor:
    order = [dim % max(_x.ndim, 1) for dim in (flat(axes) if dims is None else dims)]
    return g.permute(sorted(range(len(order)), key=order.__getitem__))


@op
def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """A view with two axes swapped: `transpose` under NumPy's name."""
    return x.transpose(axis0, axis1)


@op
def swapdims(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two axes swapped: `transpose`."""
    return x.transpose(dim0, dim1)


@op
def t(x: Tensor) -> Tensor:
    """A matrix transposed; of fewer axes a view as it is."""
    expect(x.ndim <= 2, t, "at most two axes", x.shape)
    return x.transpose(0, 1) if x.ndim == 2 else x.view_as(x)


@op
def adjoint(x: Tensor) -> Tensor:
    """The last two axes swapped, and complex values conjugated."""
    expect(x.ndim >= 2, adjoint, "at least two axes", x.shape)
    out = x.transpose(-2, -1)
    return out.conj() if x.dtype.kind == "c" else out


@op
def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with the axes `source` (one or several) at the places `destination`."""
    ndim = x.ndim
    if not ndim:
        axes_of(source, 0, movedim), axes_of(destination, 0, movedim)
        return x.view(())
    if hasattr(source, "__index__") and hasattr(destination, "__index__"):
        order = list(range(ndim))
        moving = order.pop(axis_of(source, ndim, movedim))
        order.insert(axis_of(destination, ndim, movedim), moving)
        return x.permute(order)
    moved, places = axes_of(source, ndim, movedim), axes_of(destination, ndim, movedim)
    if len(moved) != len(places):
        expect(False, movedim, f"{len(moved)} destinations", f"{len(places)}")
    taken = dict(zip(places, moved, strict=True))
    rest = iter(axis for axis in range(ndim) if axis not in moved)
    return x.permute([taken[i] if i in taken else next(rest) for i in range(ndim)])


@op
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """`movedim` under NumPy's name."""
    return x.movedim(source, destination)


# --- repeating by stride 0 ------------------------------------------------------------------------


@op(view=True)
def expand(x: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """A view with axes of length 1 repeated (stride 0); -1 keeps an axis."""
    ...


@expand.view("expand")
def _(x: Tensor, sizes: Any, size: Any) -> Any:
    return x, flat(sizes) if size is None else size


@expand.grad
def _(g: Tensor, _x: Tensor, sizes: Any, size: Any) -> Tensor:
    return g  # the core sums over the axes that were repeated


@op
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """`x` expanded to the shape of `other`."""
    return x.expand(other.shape)


@op
def broadcast_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """`x` expanded to the shape `size`."""
    return x.expand(size)


@op(cached=True)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to the shape that they have in common."""
    given = list(flat_tensors(tensors))
    shape: tuple[int, ...] = ()
    for x in given:
        unwrap_tensor(x, broadcast_tensors)
        shape = broadcast_shapes(shape, x.shape, broadcast_tensors)
    return tuple(x.expand(shape) for x in given)


def flat_tensors(tensors: Sequence[Any]) -> Sequence[Any]:
    """The tensors, whether given one by one or as one sequence."""
    single = len(tensors) == 1 and isinstance(tensors[0], list | tuple)
    found: Sequence[Any] = tensors[0] if single else tensors
    return found


# --- parts ----------------------------------------------------------------------------------------


@op(view=True)
def narrow(x: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of `length` positions of axis `dim`, from `start` (from the end if negative) on."""
    ...


@narrow.view("narrow")
def _(x: Tensor, dim: int, start: Any, length: int) -> Any:
    ndim = x.ndim
    if not ndim:
        expect(False, narrow, "at least one axis", "a 0-d tensor")
    axis = axis_of(dim, ndim, narrow)
    first = start
    if type(start) is not int:
        known = isinstance(start, Tensor) or hasattr(start, "__index__")
        expect(known, narrow, "an integer start", start, DTypeError)
        first = start.item() if isinstance(start, Tensor) else start.__index__()
        whole = isinstance(first, int) and not isinstance(first, bool)
        expect(whole, narrow, "an integer start", start, DTypeError)
    n = x.size(axis)
    if not -n <= first <= n:
        expect(False, narrow, f"a start in [{-n}, {n}]", first)
    return x, axis, first + n if first < 0 else first, length


@narrow.grad
def _(g: Tensor, _x: Tensor, dim: int, start: Any, length: int) -> Tensor:
    axis = dim % _x.ndim
    steps = contiguous_strides(_x.shape)
    first = int(start.__index__()) % max(_x.shape[axis], 1) if length else 0
    return put_strided(g, _x.shape, g.shape, steps, first * steps[axis])


_WHOLE = (slice(None),) * 32


@op(view=True)
def select(x: Tensor, dim: int, index: Any) -> Tensor:
    """A view of one position of axis `dim`, without that axis."""
    ...


@select.view("basic_index")
def _(x: Tensor, dim: int, index: Any) -> Any:
    ndim = x.ndim
    if not ndim:
        expect(False, select, "at least one axis", "a 0-d tensor")
    axis = axis_of(dim, ndim, select)
    place = index.__index__()
    return x, (*_WHOLE[:axis], place) if axis else place


@select.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Any) -> Tensor:
    axis, steps = dim % _x.ndim, contiguous_strides(_x.shape)
    rest = steps[:axis] + steps[axis + 1 :]
    shift = index.__index__() % _x.shape[axis] * steps[axis]
    return put_strided(g, _x.shape, g.shape, rest, shift)
