"""Memory that processes share: a tensor's storage in a file without a name, mapped by each of them.

The file lives as long as a process has it open, so nothing is left behind whichever process ends
first. What travels to another process, as an argument of it or through a queue, is the open file,
which the sender holds out until it is received.
"""

from __future__ import annotations

import mmap
import os
import weakref
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Any

from . import _native
from .copying import made
from .dtype import DTYPES, as_dtype, u8
from .errors import SharedMemoryError
from .tensor import Tensor

_ALIGNED = 64  # where each storage begins; vector loads may reach as far past its last element
_FILE = 16 << 20  # bytes of a file that small storages share; what is not touched costs nothing


class _Segment(mmap.mmap):
    """A mapping of a file that stays open with it."""

    file: int
    start: int  # the address
    used: int  # bytes given to storages


# By storage, and by file (device, number): one mapping serves all that comes of a file.
_of_storage: weakref.WeakValueDictionary[int, _Segment] = weakref.WeakValueDictionary()
_of_file: weakref.WeakValueDictionary[tuple[int, int], _Segment] = weakref.WeakValueDictionary()
_last: weakref.WeakValueDictionary[int, _Segment] = weakref.WeakValueDictionary()  # by process


def is_shared(x: Tensor) -> bool:
    """Whether processes that get the tensor see its memory."""
    return _segment(x._array) is not None


def share(x: Tensor) -> Tensor:
    """Move the tensor's storage into shared memory, once.

    Raises:
        SharedMemoryError: the system cannot hand an open file to another process.
    """
    array = x._array
    if _segment(array) is None:
        if not reduction.HAVE_SEND_HANDLE or os.name != "posix":
            raise SharedMemoryError(
                "share_memory_: expected a system whose processes can hand over files, got "
                f"{os.name} (other processes get copies: send results back through a queue)"
            )
        size = (-(-array.storage_bytes // _ALIGNED) + 1) * _ALIGNED
        segment = _last.get(os.getpid())
        if segment is None or segment.used + size > len(segment):
            segment = _last[os.getpid()] = _mapped(_new_file(max(size, _FILE)))
        array.move_to(memoryview(segment)[segment.used : segment.used + size])
        segment.used += size
        _of_storage[array.storage_id] = segment
    _by_handle(type(x))
    return x


def _segment(array: _native.Array) -> _Segment | None:
    """Where the array's bytes are shared."""
    segment = _of_storage.get(array.storage_id)
    # The storage may have died, and another have got its place, while others keep the segment.
    if segment is None or not 0 <= array.data_ptr - segment.start < len(segment):
        return None
    return segment


def _new_file(size: int) -> int:
    try:
        if hasattr(os, "memfd_create"):
            file = os.memfd_create("tallow", os.MFD_CLOEXEC)
        else:
            import tempfile

            with tempfile.TemporaryFile() as opened:
                file = os.dup(opened.fileno())
        os.ftruncate(file, size)
    except OSError as error:
        raise SharedMemoryError(f"share_memory_: {size} bytes: {error.strerror}") from error
    return file


def _mapped(file: int) -> _Segment:
    """The mapping of an open file, which it closes in the end."""
    about = os.fstat(file)
    key = (about.st_dev, about.st_ino)
    segment = _of_file.get(key)
    if segment is None:
        segment = _of_file[key] = _Segment(file, about.st_size)
        segment.file, segment.used = file, 0
        segment.start = _native.Array.from_buffer(segment, u8.code, (1,), 0).data_ptr
        weakref.finalize(segment, os.close, file)
    elif file != segment.file:
        os.close(file)
    return segment


def _by_handle(kind: type[Tensor]) -> None:
    """Let multiprocessing send shared tensors of a class as files; it asks for the exact class."""
    reduction.ForkingPickler.register(kind, _reduced)


# By the process that is being begun, which takes a file once: what names the file there.
_passed: weakref.WeakKeyDictionary[Any, dict[int, Any]] = weakref.WeakKeyDictionary()


def _handle(file: int) -> Any:
    """What gives the open file in the process to which it is sent."""
    beginning = get_spawning_popen()
    if beginning is None:
        return reduction.DupFd(file)
    handles = _passed.setdefault(beginning, {})
    if file not in handles:
        handles[file] = reduction.DupFd(file)
    return handles[file]


def _reduced(x: Tensor) -> Any:
    """What multiprocessing sends: the open file of a shared tensor, the values of another."""
    array = x._array
    segment = _segment(array)
    dtype = DTYPES[array.dtype]
    if segment is None or dtype.kind == "q":
        return x.__reduce_ex__(2)
    begin = array.data_ptr - array.offset * dtype.itemsize - segment.start
    place = (begin, array.storage_bytes, dtype.name, array.shape, array.strides, array.offset)
    kept = (x.requires_grad, type(x), getattr(x, "__dict__", None) or None)
    return (_rebuild, (_handle(segment.file), *place, *kept))


def _rebuild(
    handle: Any, begin: int, size: int, dtype: str, shape: tuple[int, ...],
    strides: tuple[int, ...], start: int, requires_grad: bool, kind: type[Tensor],
    notes: dict[str, Any] | None,
) -> Tensor:  # fmt: skip
    """The tensor that `_reduced` told of, on the memory of the process that sent it."""
    try:
        segment = _mapped(handle.detach())
    except (ConnectionError, EOFError, FileNotFoundError) as error:
        raise SharedMemoryError(
            "share_memory_: expected the process that sent a shared tensor to live until it is "
            "received, got no answer from it"
        ) from error
    _by_handle(kind)
    row = as_dtype(dtype)
    whole = _native.Array.from_buffer(segment, row.code, (size // row.itemsize,), begin)
    _of_storage[whole.storage_id] = segment
    return made(kind, whole.strided(shape, strides, start), requires_grad, notes)
