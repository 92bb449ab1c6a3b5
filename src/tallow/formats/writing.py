"""Write files as a whole, and give the bytes of tensors for them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from tallow._native import expect_values
from tallow.errors import ArgumentError
from tallow.formats.mapping import path_text, unusable
from tallow.formats.replacing import replacing

if TYPE_CHECKING:
    from tallow.tensor import Tensor

    # What every writer of one file takes: a path, or an open binary file.
    Target: TypeAlias = str | os.PathLike[str] | BinaryIO


PIECE: Final = 4 << 20  # bytes of a tensor that writers copy at a time
GLANCE: Final = 1 << 17  # bytes that are compared at a time


def write_to(target: Target, chunks: Iterable[bytes | memoryview]) -> list[str]:
    """Write a file: at a path as `replace_file` does, or into an open binary file; gives the path.

    Raises:
        ArgumentError: neither a path nor a file that takes bytes.
        FormatError: the path cannot be written.
    """
    if isinstance(target, str | os.PathLike):
        replace_file(target, chunks)
        return [os.fsdecode(target)]
    text = issubclass(type(target), io.TextIOBase)
    if text or not hasattr(target, "write"):
        got = f"a {type(target).__name__}"
        raise ArgumentError(f"save: expected a path or a file opened in binary mode, got {got}")
    for chunk in chunks:
        target.write(chunk)
    return []


def path_of(target: Target) -> str:
    """The path, of which shards make several; ArgumentError for an open file."""
    if not isinstance(target, str | os.PathLike):
        got = f"a {type(target).__name__}"
        raise ArgumentError(f"save: expected a path, beside which shards find a place, got {got}")
    return os.fsdecode(target)


def replace_file(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file as a whole or not at all: beside its place, flushed to disk, then renamed.

    A reader sees the old file or the new one; maps of the old one keep its bytes. Links are
    followed, mode and owner kept, pipes and devices written through.

    Raises:
        FormatError: the folder is missing or read-only, or the disk is full.
    """
    path = path_text(path)
    try:
        with replacing(path) as made:
            for chunk in chunks:
                made.write(chunk)
    except OSError as error:
        raise unusable(path, "a file that can be written", error) from error


def tensor_bytes(tensor: Tensor, most: int | None = None) -> Iterator[memoryview]:
    """The elements as bytes in row-major order, for writers, in pieces of about `most` bytes.

    The memory of a contiguous tensor is lent; of another one only a piece at a time is copied.
    """
    most = most or PIECE
    tensor = tensor.detach()
    if tensor.is_contiguous() or tensor.nbytes <= most:
        whole = tensor.contiguous()
        if tensor.dtype.kind == "b" and whole.nbytes and int(whole.view("u8").max()) > 1:
            whole = tensor.to("u8")  # other readers know no truth but 1; as numbers bools are 0, 1
        view = _memory(whole)
        for start in range(0, len(view), most):
            yield view[start : start + most]
    elif tensor.shape[0] == 1:
        yield from tensor_bytes(tensor[0], most)
    else:
        rows = max(1, most * tensor.shape[0] // tensor.nbytes)
        for start in range(0, tensor.shape[0], rows):
            yield from tensor_bytes(tensor[start : start + rows], most)


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one dtype and shape have the same bytes, read until they differ."""
    if a.dtype is not b.dtype or tuple(a.shape) != tuple(b.shape):
        return False
    left, right = _memory(a.detach().contiguous()), _memory(b.detach().contiguous())
    # Copies that stay in the cache: bytes compare by memcmp, views one element at a time.
    return all(
        bytes(left[at : at + GLANCE]) == bytes(right[at : at + GLANCE])
        for at in range(0, len(left), GLANCE)
    )


def _memory(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor, which lives as long as the view or a slice of it does."""
    import ctypes

    expect_values(tensor._array, "save")
    if not tensor.nbytes:
        return memoryview(b"")
    # By address, as block dtypes and the small floats have no format in the buffer protocol.
    lent = (ctypes.c_ubyte * tensor.nbytes).from_address(tensor.data_ptr())
    lent.owner = tensor  # type: ignore[attr-defined]  # keeps it alive
    return memoryview(lent).cast("B").toreadonly()
