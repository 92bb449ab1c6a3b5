"""Tensor: a native array under PyTorch's names; the ops of `tallow.ops` become its methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import _native
from .device import CPU, Device, as_device
from .dtype import DTYPES, DType, as_dtype, bool_, f32, i64
from .errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    MissingExtraError,
    ShapeError,
    expect,
)

if TYPE_CHECKING:
    from ._methods import Methods
else:
    Methods = object


class Tensor(Methods):
    """An n-dimensional array of one dtype; a view when it came from a view op.

    Made by `tl.tensor`, `tl.zeros`, `tl.from_numpy`, `tl.from_buffer`, … and by ops.
    """

    __slots__ = ("__weakref__", "_array")
    __array_priority__ = 1000  # numpy's operators leave mixed expressions to us

    _array: _native.Array

    # --- facts ------------------------------------------------------------------------------------
    # -----------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._array.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return DTYPES[self._array.dtype]

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def nbytes(self) -> int:
        """Bytes of the elements (not of the storage behind a view)."""
        return self._array.nbytes

    @property
    def itemsize(self) -> int:
        """Bytes per element, or per block of a block dtype."""
        return self.dtype.itemsize

    @property
    def T(self) -> Tensor:  # noqa: N802
        """A view with all axes reversed."""
        return wrap(self._array.permute(range(self._array.ndim - 1, -1, -1)))

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """A view with the last two axes swapped."""
        return wrap(self._array.transpose(-2, -1))

    def dim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of axis `dim`."""
        return self._array.shape if dim is None else self._array.shape[dim]

    def stride(self, dim: int | None = None) -> Any:
        """The strides in elements, or that of axis `dim`."""
        return self._array.strides if dim is None else self._array.strides[dim]

    def storage_offset(self) -> int:
        """Elements between the start of the storage and the first element."""
        return self._array.offset

    def data_ptr(self) -> int:
        """Address of the first element."""
        return self._array.data_ptr

    def is_contiguous(self) -> bool:
        """Whether elements lie in row-major order without gaps."""
        return self._array.is_contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a plain float."""
        return self.dtype.is_floating_point

    # --- conversion -------------------------------------------------------------------------------
    # -----------------------

    def item(self) -> Any:
        """The only element, as a Python number; ShapeError when there is not exactly one."""
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers (a number for a 0-d tensor)."""
        return self._array.tolist()

    def to(self, *targets: DType | Device | str | Tensor, copy: bool = False) -> Tensor:
        """This tensor in another dtype or on another device; itself when that changes nothing.

        Block dtypes are dequantised; a float tensor is quantised when the target is a block dtype
        that has a quantiser.
        """
        array = self._array
        for target in targets:
            if isinstance(target, Tensor):
                target = target.dtype
            if isinstance(target, Device) or (isinstance(target, str) and target == "cpu"):
                as_device(target)
                continue
            array = array.cast(as_dtype(target).code)
        if array is self._array or array.storage_id == self._array.storage_id:
            return self.clone() if copy else self
        return wrap(array)

    def float(self) -> Tensor:
        """This tensor as f32."""
        return self.to(f32)

    def long(self) -> Tensor:
        """This tensor as i64."""
        return self.to(i64)

    def bool(self) -> Tensor:
        """This tensor as bool."""
        return self.to(bool_)

    def clone(self) -> Tensor:
        """A contiguous copy with storage of its own."""
        return wrap(self._array.clone())

    def contiguous(self) -> Tensor:
        """This tensor if it is contiguous, else a contiguous copy."""
        array = self._array
        return self if array.is_contiguous else wrap(array.contiguous())

    def cpu(self) -> Tensor:
        """This tensor, which is on the CPU already."""
        return self

    def detach(self) -> Tensor:
        """A tensor that shares this one's storage."""
        return wrap(self._array.view(self._array.shape))

    def copy_(self, source: Tensor) -> Tensor:
        """Write `source` (broadcast and converted) into this tensor."""
        self._array.copy_(unwrap_tensor(source, "copy_"))
        return self

    def fill_(self, value: complex) -> Tensor:
        """Write `value` into every element."""
        self._array.copy_(_native.Array.full((), value, self._array.dtype))
        return self

    def zero_(self) -> Tensor:
        """Write 0 into every element."""
        return self.fill_(0)

    def numpy(self) -> Any:
        """A numpy array on this tensor's memory (read-only if that is); bf16, f8 by ml_dtypes."""
        numpy = _import("numpy")
        array = self._array
        if self.dtype.kind == "q":
            raise DTypeError(
                f"numpy: expected a plain dtype, got {self.dtype.name} (use .to(tl.f32) first)"
            )
        twin = _ML_DTYPES.get(self.dtype.name)
        if twin is None:
            return numpy.asarray(array)
        name, carrier = twin
        raw = _reinterpret(array, carrier)
        return numpy.asarray(raw).view(getattr(_import("ml_dtypes"), name))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        out = self.numpy()
        if dtype is not None and out.dtype != dtype:
            return out.astype(dtype)
        return out.copy() if copy else out

    def __dlpack__(self, *, stream: object = None, **_: object) -> object:
        return self._array.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (tobytes(self), self.dtype.name, self.shape))

    # --- indexing ---------------------------------------------------------------------------------
    # -----------------------

    def __getitem__(self, key: Any) -> Tensor:
        array = self._array.basic_index(key)
        if array is not None:
            return wrap(array)
        from .indexing import get

        return get(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        array = self._array.basic_index(key)
        if array is None:
            from .indexing import put

            put(self, key, value)
            return
        if isinstance(value, Tensor):
            array.assign(value._array)
        else:
            from .indexing import source_of

            array.assign(source_of(value, self))

    def __len__(self) -> int:
        if not self._array.ndim:
            raise ShapeError("len: expected at least one axis, got a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise ShapeError("iter: expected at least one axis, got a 0-d tensor")
        return (wrap(self._array.basic_index(i)) for i in range(self._array.shape[0]))

    # --- Python's protocols
    # ----------------------------------------------------------------------------------------------

    def __bool__(self) -> Any:
        return bool(self._array.item())

    def __int__(self) -> int:
        return int(self._array.item())

    def __float__(self) -> Any:
        return float(self._array.item())

    def __index__(self) -> int:
        value = self._array.item()
        expect(isinstance(value, int), "index", "an integer tensor", self.dtype.name, DTypeError)
        return int(value)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        from .printing import format_tensor

        return format_tensor(self)


_ML_DTYPES = {
    "bf16": ("bfloat16", "u16"),
    "f8e4m3": ("float8_e4m3fn", "u8"),
    "f8e5m2": ("float8_e5m2", "u8"),
}

_new = object.__new__


def wrap(array: _native.Array) -> Tensor:
    """A Tensor around a native array."""
    out = _new(Tensor)
    out._array = array
    return out


def broadcast_shapes(p: tuple[int, ...], q: tuple[int, ...], where: object) -> tuple[int, ...]:
    """The shape that `p` and `q` broadcast to; ShapeError naming `where` when they do not."""
    size = max(len(p), len(q))
    left, right = (1,) * (size - len(p)) + p, (1,) * (size - len(q)) + q
    fits = all(i == j or 1 in (i, j) for i, j in zip(left, right, strict=True))
    expect(fits, where, "shapes that broadcast", f"{p} and {q}")
    return tuple(j if i == 1 else i for i, j in zip(left, right, strict=True))


def unwrap(value: Any, where: object = "") -> Any:
    """The native array of a Tensor or of a foreign array; Python numbers stay as they are."""
    if isinstance(value, Tensor):
        return value._array
    if isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "__array_interface__") or hasattr(value, "__dlpack__"):
        return (
            from_numpy(value)._array
            if hasattr(value, "__array_interface__")
            else from_dlpack(value)._array
        )
    name = getattr(where, "__name__", where)
    said = f"expected a Tensor or a number, got {type(value).__name__}"
    raise DTypeError(f"{name}: {said}" if name else said)


def unwrap_tensor(value: Any, where: object) -> _native.Array:
    """The native array of a Tensor; DTypeError naming `where` for anything else."""
    if not isinstance(value, Tensor):
        name = getattr(where, "__name__", where)
        raise DTypeError(f"{name}: expected a Tensor, got {type(value).__name__}")
    return value._array


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise MissingExtraError(f"this needs {name}: pip install {name}") from error


def _reinterpret(array: _native.Array, carrier: str) -> _native.Array:
    """The same bytes as another dtype of the same size, keeping the strides."""
    return array.reinterpret(as_dtype(carrier).code)


def tobytes(x: Tensor) -> bytes:
    """The elements as bytes, in row-major order."""
    return bytes(x._array.contiguous().raw_bytes())


def _rebuild(data: bytes, dtype: str, shape: tuple[int, ...]) -> Tensor:
    return from_buffer(data, dtype, shape)


# --- making tensors -------------------------------------------------------------------------------
# -----------------------


def tensor(data: Any, dtype: DType | str | None = None) -> Tensor:
    """A new tensor from a number, nested lists, a numpy array or another tensor (always a copy).

    Without `dtype`: bool, i64 or f32 for Python values, as in PyTorch; the source's own for arrays.
    """
    code = -1 if dtype is None else as_dtype(dtype).code
    if isinstance(data, Tensor):
        return data.to(DTYPES[code], copy=True) if code >= 0 else data.clone()
    if isinstance(data, (bool, int, float, list, tuple)):
        if isinstance(data, (list, tuple)) and any(hasattr(row, "tolist") for row in data):
            data = [row.tolist() if hasattr(row, "tolist") else row for row in data]
        return wrap(_native.Array.from_list(data, code))
    made = wrap(unwrap(data, tensor)).clone()
    return made.to(DTYPES[code]) if code >= 0 else made


def from_buffer(buffer: Any, dtype: DType | str, shape: Sequence[int], offset: int = 0) -> Tensor:
    """Borrow `buffer` (bytes, mmap, memoryview, array, …) without a copy, from byte `offset` on.

    The buffer stays alive as long as the tensor. A read-only one is copy-on-write: the first in-
    place write copies the tensor's bytes, the buffer never changes. ShapeError when the range does
    not fit.
    """
    return wrap(_native.Array.from_buffer(buffer, as_dtype(dtype).code, shape, offset))


def from_numpy(array: Any) -> Tensor:
    """Borrow a numpy array without a copy, any strides; bf16 and f8 of ml_dtypes too."""
    numpy = _import("numpy")
    array = numpy.asarray(array)
    name = array.dtype.name
    for own, (theirs, carrier) in _ML_DTYPES.items():
        if name == theirs:
            raw = from_numpy(array.view({"u16": "uint16", "u8": "uint8"}[carrier]))
            return wrap(_reinterpret(raw._array, own))
    if not array.dtype.isnative:
        raise DTypeError(f"from_numpy: expected native byte order, got {array.dtype.str}")
    try:
        return wrap(_native.Array.from_strided(array))
    except (ValueError, BufferError) as error:  # numpy lends no buffer of dates and the like
        raise DTypeError(f"from_numpy: expected a dtype that Tallow has, got {name}") from error


def from_dlpack(source: Any) -> Tensor:
    """Borrow an array of any library that speaks DLPack (on the CPU), without a copy."""
    capsule = source.__dlpack__() if hasattr(source, "__dlpack__") else source
    return wrap(_native.Array.from_dlpack(capsule))


def empty(*shape: Any, dtype: DType | str = f32) -> Tensor:
    """A tensor whose elements are not set."""
    return wrap(_native.Array.empty(_sizes(shape), as_dtype(dtype).code))


def full(shape: Sequence[int], value: complex, dtype: DType | str | None = None) -> Tensor:
    """A tensor of `value`; without `dtype` bool, i64 or f32 by the kind of the value."""
    chosen = bool_ if isinstance(value, bool) else i64 if isinstance(value, int) else f32
    return wrap(
        _native.Array.full(shape, value, (chosen if dtype is None else as_dtype(dtype)).code)
    )


def zeros(*shape: Any, dtype: DType | str = f32) -> Tensor:
    """A tensor of zeros."""
    return full(_sizes(shape), 0, dtype)


def ones(*shape: Any, dtype: DType | str = f32) -> Tensor:
    """A tensor of ones."""
    return full(_sizes(shape), 1, dtype)


def empty_like(x: Tensor, dtype: DType | str | None = None) -> Tensor:
    """A contiguous tensor of `x`'s shape whose elements are not set."""
    return wrap(_native.Array.empty_like(x._array, -1 if dtype is None else as_dtype(dtype).code))


def zeros_like(x: Tensor, dtype: DType | str | None = None) -> Tensor:
    """Zeros of `x`'s shape and, unless given, dtype."""
    return full(x.shape, 0, dtype or x.dtype)


def ones_like(x: Tensor, dtype: DType | str | None = None) -> Tensor:
    """Ones of `x`'s shape and, unless given, dtype."""
    return full(x.shape, 1, dtype or x.dtype)


def full_like(x: Tensor, value: complex, dtype: DType | str | None = None) -> Tensor:
    """`value` in `x`'s shape and, unless given, dtype."""
    return full(x.shape, value, dtype or x.dtype)


_fill_range: Callable[..., None] = _native.kernel("arange")


def arange(
    start: float, stop: float | None = None, step: float = 1, dtype: DType | str | None = None
) -> Tensor:
    """`start, start + step, …` below `stop`; i64 when all three are integers, else f32."""
    if stop is None:
        start, stop = 0, start
    if step == 0 or (stop - start) * step < 0:
        raise ShapeError(
            f"arange: expected a step that leads from start to stop, got {start}, {stop}, {step}"
        )
    whole = all(isinstance(value, int) for value in (start, stop, step))
    if not (whole or math.isfinite((stop - start) / step)):
        raise ArgumentError(f"arange: expected finite numbers, got {start}, {stop}, {step}")
    count = -int((start - stop) // step) if whole else -int(-((stop - start) / step) // 1)
    wanted = as_dtype(dtype) if dtype is not None else i64 if whole else f32
    out = empty(
        count,
        dtype=wanted if wanted.name in ("f32", "f64", "i32", "i64") else i64 if whole else f32,
    )
    if whole and wanted.kind in "iu" and max(abs(start), abs(stop)) > 1 << 52:
        # Beyond what a double counts exactly: from 0 in steps of 1, the rest in integers.
        _fill_range(out._array, 0.0, 1.0)
        return (out.to(i64) * step + start).to(wanted)
    _fill_range(out._array, float(start), float(step))
    return out.to(wanted)


def _sizes(shape: tuple[Any, ...]) -> Any:
    return shape[0] if len(shape) == 1 and not hasattr(shape[0], "__index__") else shape


__all__ = [
    "IndexRangeError", "Tensor", "arange", "empty", "empty_like", "from_buffer", "from_dlpack",
    "from_numpy", "full", "full_like", "ones", "ones_like", "tensor", "wrap", "zeros", "zeros_like",
]  # fmt: skip
