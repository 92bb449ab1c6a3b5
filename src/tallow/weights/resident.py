"""Weights in memory of huge pages instead of the mapped file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from tallow.autograd.mode import no_grad
from tallow.borrowing import from_buffer
from tallow.nn import Module, Param
from tallow.nn.parameter import DeferredParameter
from tallow.nn.state import targets

_LINE: Final = 64  # bytes, at which every tensor begins
_PAGE: Final = 1 << 21


def keep_resident(model: Module) -> None:
    """Copy all parameters and persistent buffers into one block of memory, in the order of modules.

    Where the system has huge pages for it, fewer addresses are looked up and the processor's
    streams run on across pages: one row of activations reads weights 1.2 to 1.3 times as fast.
    Tensors stay the same objects; what they borrowed of a file they let go.
    """
    chosen = list(_movable(model))
    sizes = [-(-param.parameter.nbytes // _LINE) * _LINE for param in chosen]
    if not sizes:
        return
    memory = _memory(-(-sum(sizes) // _PAGE) * _PAGE)
    frozen = memoryview(memory).toreadonly()  # a tensor copies itself when it is written to
    offset = 0
    for param, size in zip(chosen, sizes, strict=True):
        value = param.parameter
        with no_grad():
            from_buffer(memory, value.dtype, value.shape, offset).copy_(value)
        param.fill(from_buffer(frozen, value.dtype, value.shape, offset))
        offset += size


def _movable(model: Module) -> Iterator[Param]:
    seen: set[int] = set()
    for _, param in targets(model):
        value = param.parameter
        ready = not isinstance(value, DeferredParameter) and value.device.type == "cpu"
        if ready and value.nbytes and value.is_contiguous() and id(value) not in seen:
            seen.add(id(value))
            yield param


def _memory(size: int) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, size)
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            made.madvise(mmap.MADV_HUGEPAGE)
    return made
