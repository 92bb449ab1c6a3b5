"""`asarray` and `frombuffer`: tensors on what others hold, copied only where that is asked for."""

from __future__ import annotations

from typing import Any

from .dtype import DType, as_dtype
from .errors import ArgumentError, expect
from .tensor import Tensor, as_tensor, from_buffer, from_dlpack


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`obj` as a tensor, without a copy where that can be, or always with one."""
    if isinstance(obj, Tensor) and not requires_grad:
        obj = obj if copy is not True else obj.clone()
    buffer = isinstance(obj, (bytes, bytearray, memoryview))
    if buffer:
        made = frombuffer(obj, dtype=dtype or "u8")
    elif (
        hasattr(obj, "__dlpack__")
        and not isinstance(obj, Tensor)
        and not hasattr(obj, "__array_interface__")
    ):
        made = from_dlpack(obj)
        made = made if dtype is None else made.to(dtype)
    else:
        made = as_tensor(obj, dtype, device)
    if copy and (buffer or made is obj or hasattr(obj, "__array_interface__")):
        made = made.clone()
    return made.detach().requires_grad_() if requires_grad else made


def frombuffer(
    buffer: Any, *, dtype: DType | str, count: int = -1, offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`count` elements of a buffer from byte `offset` on (all there are), without a copy."""
    kind, size = as_dtype(dtype), memoryview(buffer).nbytes
    expect(0 <= offset < size, frombuffer, f"an offset below {size}", offset, ArgumentError)
    if count < 0:
        whole = (size - offset) % kind.itemsize == 0
        expect(whole, frombuffer, f"a multiple of {kind.itemsize} bytes", size - offset,
               ArgumentError)  # fmt: skip
        count = (size - offset) // kind.itemsize
    made = from_buffer(buffer, kind, (count,), offset)
    return made.requires_grad_() if requires_grad else made
