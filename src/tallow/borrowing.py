"""Tensors on what others hold (buffers, numpy, DLPack) and numpy arrays on ours, without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _native
from .device import Device, as_device
from .dtype import DType, as_dtype
from .errors import ArgumentError, DTypeError, MissingExtraError, expect
from .tensor import Tensor, wrap

# Of ml_dtypes: its name, and the dtype of the same size that numpy has.
_ML_DTYPES = {
    "bf16": ("bfloat16", "u16"),
    "f8e4m3": ("float8_e4m3fn", "u8"),
    "f8e5m2": ("float8_e5m2", "u8"),
}

PLAIN = frozenset("?bBhHiIlLqQefdF")  # numpy's letters of dtypes that tensors have


def from_buffer(buffer: Any, dtype: DType | str, shape: Sequence[int], offset: int = 0) -> Tensor:
    """Borrow `buffer` (bytes, mmap, memoryview, array, …) without a copy, from byte `offset` on.

    The buffer stays alive as long as the tensor. A read-only one is copy-on-write: the first in-
    place write copies the tensor's bytes, the buffer never changes; it is copied at once where its
    address is no multiple of the elements' size. ShapeError when the range does not fit,
    ArgumentError for a writable buffer at such an address.
    """
    return wrap(_native.Array.from_buffer(buffer, as_dtype(dtype).code, shape, offset))


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


def from_numpy(array: Any) -> Tensor:
    """Borrow a numpy array without a copy, any strides; bf16 and f8 of ml_dtypes too."""
    numpy = _import("numpy")
    array = numpy.asarray(array)
    dtype = array.dtype
    if dtype.char in PLAIN and dtype.isnative:  # asking for a name takes five times as long
        return wrap(_native.Array.from_strided(array))
    name = dtype.name
    for own, (theirs, carrier) in _ML_DTYPES.items():
        if name == theirs:
            raw = from_numpy(array.view({"u16": "uint16", "u8": "uint8"}[carrier]))
            return wrap(raw._array.reinterpret(as_dtype(own).code))
    if not dtype.isnative:
        raise DTypeError(f"from_numpy: expected native byte order, got {dtype.str}")
    try:
        return wrap(_native.Array.from_strided(array))
    except ArgumentError:
        raise
    except (ValueError, BufferError) as error:  # numpy lends no buffer of dates and the like
        raise DTypeError(f"from_numpy: expected a dtype that Tallow has, got {name}") from error


def of_numpy(array: Any) -> Tensor:
    """The tensor that `from_numpy` makes, or one on a copy where elements lie at odd addresses."""
    array = _import("numpy").asarray(array)
    return from_numpy(array if array.flags.aligned else array.copy())


def to_numpy(x: Tensor, where: str = "numpy") -> Any:
    """A numpy array on the tensor's memory, any strides; bf16 and f8 by ml_dtypes.

    Refused, by the name `where`, while a plan is captured of what depends on an input.
    """
    numpy = _import("numpy")
    dtype = x.dtype
    if dtype.kind == "q":
        raise DTypeError(f"numpy: expected a plain dtype, got {dtype.name} (use .to(tl.f32) first)")
    _native.expect_values(x._array, where)  # numpy would make an array of one object of it
    counterpart = _ML_DTYPES.get(dtype.name)
    if counterpart is None:
        return numpy.asarray(x._array)
    name, carrier = counterpart
    raw = x._array.reinterpret(as_dtype(carrier).code)
    return numpy.asarray(raw).view(getattr(_import("ml_dtypes"), name))


def from_dlpack(
    ext_tensor: Any, *, device: Device | str | None = None, copy: bool | None = None
) -> Tensor:
    """Borrow an array of any library that speaks DLPack (on the CPU), without a copy.

    `copy=True` asks for one.
    """
    if device is not None:
        as_device(device)
    capsule = ext_tensor.__dlpack__() if hasattr(ext_tensor, "__dlpack__") else ext_tensor
    made = wrap(_native.Array.from_dlpack(capsule))
    return made.clone() if copy else made


def unwrap(value: Any, where: object = "") -> Any:
    """The native array of a Tensor or of a foreign array; Python numbers stay as they are."""
    if isinstance(value, Tensor):
        return value._array
    if isinstance(value, (bool, int, float, complex)):
        return value
    if hasattr(value, "__array_interface__") or hasattr(value, "__dlpack__"):
        foreign = of_numpy if hasattr(value, "__array_interface__") else from_dlpack
        return foreign(value)._array
    name = getattr(where, "__name__", where)
    said = f"expected a Tensor or a number, got {type(value).__name__}"
    raise DTypeError(f"{name}: {said}" if name else said)


def borrowed(value: Any, where: object = "") -> Tensor:
    """A Tensor on what a foreign array holds."""
    return wrap(unwrap(value, where))


def assigned_to(x: Tensor, value: Any) -> Tensor:
    """What is no tensor and is assigned into `x`, as one."""
    if isinstance(value, (bool, int, float, complex)):
        return wrap(_native.Array.full((), value, x._array.dtype))
    if not isinstance(value, (list, tuple)):
        return borrowed(value)
    from .factories import tensor

    return tensor(value)


def share_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors lie in one storage, wherever in it."""
    return a._array.storage_id == b._array.storage_id


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise MissingExtraError(f"this needs {name}: pip install {name}") from error
