"""Tensors on bytes that lie at any address and in either byte order."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tallow import _native
from tallow.dtype import by_name

if TYPE_CHECKING:
    from tallow.tensor import Tensor


def borrow(buffer: Any, dtype: str, shape: Sequence[int], offset: int) -> Tensor:
    """A tensor that borrows its bytes from `buffer`, or has a copy where they lie oddly."""
    from tallow.borrowing import from_buffer

    return from_buffer(memoryview(buffer).toreadonly(), dtype, shape, offset)


def alignment_of(dtype: str) -> int:
    """Bytes that the address of an array must be a multiple of; blocks may lie anywhere."""
    return _native.alignment_of(by_name(dtype).code)


_CODES: Final = {array(code).itemsize: code for code in "BHILQ"}


def swapped(raw: bytes | bytearray | memoryview, size: int) -> bytearray:
    """A copy in which the bytes of each number of `size` bytes stand in the other order."""
    numbers = array(_CODES[size])
    numbers.frombytes(raw)
    numbers.byteswap()
    return bytearray(numbers.tobytes())
