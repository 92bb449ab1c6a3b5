"""Weights in memory of huge pages instead of the mapped file, rows interleaved where that helps."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from tallow import _native
from tallow.autograd.mode import no_grad
from tallow.borrowing import from_buffer
from tallow.dtype import q4_0, q4_1, q8_0, u8
from tallow.nn import Embedding, EmbeddingBag, Module, Param
from tallow.nn.parameter import DeferredParameter
from tallow.nn.state import targets
from tallow.tensor import wrap

_LINE: Final = 64  # bytes, at which every tensor begins
_PAGE: Final = 1 << 21
_INTERLEAVED: Final = (q4_0, q4_1, q8_0)  # what the kernel of that name takes


class _Kept(NamedTuple):
    """A parameter, and the bytes of each of its forms in the block; 0: it is not there."""

    param: Param
    rows: int
    interleaved: int


def keep_resident(model: Module, *, interleaved: bool = True) -> None:
    """Copy all parameters and persistent buffers into one block of memory, in the order of modules.

    Where the system has huge pages for it, fewer addresses are looked up and the processor's
    streams run on across pages. Of matrices in q4_0, q4_1 and q8_0 the copy has eight rows
    interleaved, which products with int8 activations read 1.3 to 1.8 times as fast; all else reads
    the rows where they were, in the file or, of tables of embeddings and of what is in no file, in
    a second copy. `interleaved=False` copies rows alone. Tensors stay the same objects.
    """
    chosen = list(_forms(model, interleaved))
    size = sum(_lines(kept.rows) + _lines(kept.interleaved) for kept in chosen)
    if not size:
        return
    memory = _memory(-(-size // _PAGE) * _PAGE)
    frozen = memoryview(memory).toreadonly()  # a tensor copies itself when it is written to
    offset = 0
    for param, rows, eights in chosen:
        value = param.parameter
        if rows:
            with no_grad():
                from_buffer(memory, value.dtype, value.shape, offset).copy_(value)
            value = from_buffer(frozen, value.dtype, value.shape, offset)
            offset += _lines(rows)
        if eights:
            made = from_buffer(memory, u8, (eights,), offset)
            _native.call("interleave", made._array, value._array)
            form = from_buffer(frozen, u8, (eights,), offset)
            value = wrap(_native.with_interleaved(value._array, form._array))
            offset += _lines(eights)
        param.fill(value)


def _movable(model: Module) -> Iterator[Param]:
    seen: set[int] = set()
    for _, param in targets(model):
        value = param.parameter
        ready = not isinstance(value, DeferredParameter) and value.device.type == "cpu"
        if ready and value.nbytes and value.is_contiguous() and id(value) not in seen:
            seen.add(id(value))
            yield param


def _forms(model: Module, interleaved: bool) -> Iterator[_Kept]:
    tables: set[int] = set()  # whose rows are looked up
    factors: set[int] = set()  # of products
    for part in model.modules():
        kind = tables if isinstance(part, (Embedding, EmbeddingBag)) else factors
        kind |= {id(parameter) for parameter in part.parameters(recurse=False)}
    for param in _movable(model):
        value = param.parameter
        eights = 0
        if interleaved and value.dtype in _INTERLEAVED and id(value) in factors:
            eights = _native.interleaved_bytes(value._array)
        # What stays where it is must not change there.
        stays = eights and id(value) not in tables and not value._array.writable
        yield _Kept(param, 0 if stays else value.nbytes, eights)


def _lines(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _memory(size: int) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, size)
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            made.madvise(mmap.MADV_HUGEPAGE)
    return made
