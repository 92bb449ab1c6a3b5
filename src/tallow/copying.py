"""Copies of tensors by `copy` and `pickle`: strides, class, gradient, and what shares memory."""

from __future__ import annotations

from typing import Any

from . import _native
from .autograd.node import HOLDER
from .device import code_of
from .dtype import DTYPES, as_dtype, u8
from .errors import GradError
from .tensor import Tensor

_new = object.__new__


def shallow(x: Tensor) -> Tensor:
    """Another tensor on the same memory; a leaf, as torch has it."""
    return made(type(x), x._array.basic_index(...), x.requires_grad, _notes(x))


def deep(x: Tensor, memo: dict[Any, Any]) -> Tensor:
    """A leaf on memory of its own; tensors that shared a storage share its copy.

    Raises:
        GradError: the tensor is the result of a recorded operation.
    """
    from copy import deepcopy

    if id(x) in memo:
        known: Tensor = memo[id(x)]
        return known
    if not x.is_leaf:
        raise GradError(
            "deepcopy: expected a leaf, got the result of an operation (use .detach() or .clone())"
        )
    out = made(type(x), _deep_array(x._array, memo), x.requires_grad, None)
    memo[id(x)] = out
    if x.grad is not None:
        out.grad = deepcopy(x.grad, memo)
    notes = _notes(x)
    if notes:
        vars(out).update(deepcopy(notes, memo))
    return out


def reduced(x: Tensor) -> tuple[Any, ...]:
    """What pickle writes: the memory that the tensor spans, and how it lies there."""
    array = x._array
    dtype = DTYPES[array.dtype]
    if x.is_meta:
        own = (x.requires_grad, None if type(x) is Tensor else type(x), _notes(x))
        return (rebuild_meta, (dtype.name, array.shape, array.strides, *own))
    if dtype.kind == "q" or not array.size:
        data, start, strides = bytes(array.contiguous().raw_bytes()), 0, None
    else:
        strides = array.strides
        ends = [step * (n - 1) for step, n in zip(strides, array.shape, strict=True)]
        low = sum(min(end, 0) for end in ends)
        count = sum(max(end, 0) for end in ends) - low + 1
        data, start = bytes(array.strided((count,), (1,), low).raw_bytes()), -low
    kind = None if type(x) is Tensor else type(x)  # no name: in a program it may be torch.Tensor
    kept = (strides, start, x.requires_grad, kind, _notes(x))
    return (rebuild, (data, dtype.name, array.shape, *kept))


def rebuild(
    data: bytes,
    dtype: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    start: int = 0,
    requires_grad: bool = False,
    kind: type[Tensor] | None = Tensor,
    notes: dict[str, Any] | None = None,
) -> Tensor:
    """The tensor that `reduced` told of."""
    code = as_dtype(dtype).code
    if strides is None:
        array = _native.Array.from_buffer(data, code, shape, 0)
    else:
        count = len(data) // as_dtype(dtype).itemsize
        whole = _native.Array.from_buffer(data, code, (count,), 0)
        array = whole.strided(shape, strides, start)
    return made(kind or Tensor, array, requires_grad, notes)


def rebuild_meta(
    dtype: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    kind: type[Tensor] | None,
    notes: dict[str, Any] | None,
) -> Tensor:
    """The tensor without elements that `reduced` told of."""
    whole = _native.Array.empty(shape, as_dtype(dtype).code, code_of("meta"))
    if as_dtype(dtype).kind != "q" and strides != whole.strides:
        ends = [(n - 1) * abs(step) for n, step in zip(shape, strides, strict=True) if n]
        start = sum((n - 1) * -step for n, step in zip(shape, strides, strict=True) if step < 0)
        room = _native.Array.empty((sum(ends) + 1,), as_dtype(dtype).code, code_of("meta"))
        whole = room.strided(shape, strides, start)
    return made(kind or Tensor, whole, requires_grad, notes)


def made(
    kind: type[Tensor], array: _native.Array, requires_grad: bool, notes: dict[str, Any] | None
) -> Tensor:
    """A leaf of a class on an array, with the attributes that it had."""
    out: Tensor = _new(kind)
    out._array = array
    out._node = out._base = out._views = None
    if requires_grad:
        out.requires_grad_()
    if notes:
        vars(out).update(notes)
    return out


def _notes(x: Tensor) -> dict[str, Any] | None:
    """The attributes that somebody set, if the class has room for them."""
    notes = getattr(x, "__dict__", None)
    if notes and HOLDER in notes:  # where a gradient is held
        notes = {name: value for name, value in notes.items() if name != HOLDER}
    return notes or None


def _deep_array(array: _native.Array, memo: dict[Any, Any]) -> _native.Array:
    dtype = DTYPES[array.dtype]
    if dtype.kind == "q" or not array.size:
        return array.clone()
    # As bytes, so that a view in another dtype finds the copy of its storage too.
    first = array.strided((1,), (1,), 0).retype(u8.code)
    if first.offset % dtype.itemsize:  # as a file had it: no other tensor shares such memory
        return array.clone()
    key = ("storage", array.storage_id)
    if key not in memo:
        copied = first.strided((array.storage_bytes,), (1,), -first.offset).clone()
        memo[key] = (copied, array)  # which keeps the storage, and so its id, alive
    whole: _native.Array = memo[key][0]
    begin = whole.strided((dtype.itemsize,), (1,), first.offset).retype(array.dtype)
    return begin.strided(array.shape, array.strides, 0)
