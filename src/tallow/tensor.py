"""Tensor: a native array under PyTorch's names; the ops of `tallow.ops` become its methods."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias

from . import _native
from ._native import Size
from .autograd.methods import Gradients
from .autograd.mode import MODE as _MODE
from .device import CPU, Device, as_device, is_device_name
from .dtype import (
    DTYPES,
    Default,
    DType,
    as_dtype,
    bf16,
    bool_,
    complex64,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    u8,
)
from .errors import (
    ArgumentError,
    DTypeError,
    GradError,
    IndexRangeError,
    MissingExtraError,
    NoAxisError,
    ShapeError,
    expect,
)
from .layout import contiguous_format, order_of, preserve_format, strided
from .overrides import PLAIN, adopt, ask, overloaded
from .overrides import default as _kept_class
from .protocols import Protocols
from .tensor_methods import FurtherMethods

if TYPE_CHECKING:
    from ._methods import Methods
else:
    Methods = object


_P = ParamSpec("_P")

# The class has methods of these names.
_int: TypeAlias = int
_float: TypeAlias = float
_bool: TypeAlias = bool

# What `Tensor.type()` calls a dtype.
_TYPE_NAMES = {
    "f32": "FloatTensor", "f64": "DoubleTensor", "f16": "HalfTensor", "bf16": "BFloat16Tensor",
    "i64": "LongTensor", "i32": "IntTensor", "i16": "ShortTensor", "i8": "CharTensor",
    "u8": "ByteTensor", "bool": "BoolTensor",
}  # fmt: skip
_DTYPE_NAMES = {kind: name for name, kind in _TYPE_NAMES.items()}


class Tensor(Gradients, Protocols, FurtherMethods, Methods):
    """An n-dimensional array of one dtype; a view when it came from a view op.

    Made by `tl.tensor`, `tl.zeros`, `tl.from_numpy`, `tl.from_buffer`, … and by ops.
    """

    __slots__ = ("__dict__", "__weakref__", "_array", "_base", "_index", "_node", "_views")
    __array_priority__ = 1000  # numpy's operators leave mixed expressions to us

    _array: _native.Array
    _node: Any  # what made it, when it requires a gradient: a Node of the tape, a Leaf, else None
    _index: _int  # which output of the node it is
    _base: Tensor | None  # for a view: the tensor whose memory it shares
    _views: list[Any] | None  # weak references to the views of it

    def __new__(cls, *data: Any, device: Device | str | None = None, **_: Any) -> Tensor:
        """PyTorch's constructor: an unset f32 tensor of sizes `(2, 3)`, or of values `([2, 3])`.

        A tensor gives a tensor that shares its elements, without its history.
        """
        given = data[0] if len(data) == 1 else data
        if isinstance(given, Tensor):
            array = given._array
        elif len(data) == 1 and (
            hasattr(given, "__array_interface__") or not hasattr(given, "__index__")
        ):
            plain = isinstance(given, (list, tuple)) or hasattr(given, "__array_interface__")
            array = tensor(given if plain else list(given), f32, device)._array
        else:
            array = empty(*data if data else (0,), device=device)._array
        out = _new(cls)
        out._array, out._node, out._base, out._views = array, None, None, None
        return out

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        adopt(Tensor, cls)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """What a function gives for an instance of a subclass: its tensors in that class."""
        return _kept_class(cls, func, types, args, kwargs)

    def __format__(self, format_spec: str) -> str:
        """One number as Python formats it, anything else as `str` does."""
        if self._array.ndim == 0 and type(self) is Tensor:
            return format(self.item(), format_spec)
        return object.__format__(self, format_spec)

    # --- facts ------------------------------------------------------------------------------------

    # Kinds that programs written for PyTorch ask about; a tensor here is a strided one on the CPU.
    is_cpu = True
    is_cuda = is_mps = is_xpu = is_xla = is_meta = is_sparse = is_sparse_csr = False
    is_quantized = is_mkldnn = is_nested = is_vulkan = is_ipu = is_mtia = is_hpu = False

    @property
    def shape(self) -> Size:
        """The length of each axis."""
        return self._array.sizes

    @property
    def dtype(self) -> DType:
        """The element type."""
        return DTYPES[self._array.dtype]

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return CPU

    @property
    def ndim(self) -> _int:
        """The number of axes."""
        return self._array.ndim

    @property
    def nbytes(self) -> _int:
        """Bytes of the elements (not of the storage behind a view)."""
        return self._array.nbytes

    @property
    def itemsize(self) -> _int:
        """Bytes per element, or per block of a block dtype."""
        return self.dtype.itemsize

    @property
    def T(self) -> Tensor:  # noqa: N802
        """A view with all axes reversed."""
        if self._array.ndim == 2:
            return self.transpose(0, 1)
        return self.permute(tuple(range(self._array.ndim - 1, -1, -1)))

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """A view with the last two axes swapped."""
        return self.transpose(-2, -1)

    @property
    def H(self) -> Tensor:  # noqa: N802
        """The conjugate transpose of a matrix."""
        return self.adjoint()

    @property
    def mH(self) -> Tensor:  # noqa: N802
        """The conjugate transpose of the last two axes."""
        return self.adjoint()

    def element_size(self) -> Any:
        """Bytes per element."""
        return self.dtype.itemsize

    def is_complex(self) -> Any:
        """Whether the dtype is complex."""
        return self.dtype.kind == "c"

    def dim(self) -> _int:
        """The number of axes."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> _int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def size(self, dim: _int | None = None) -> Any:
        """The shape, or the length of axis `dim`."""
        return self._array.sizes if dim is None else self._array.shape[dim]

    def stride(self, dim: _int | None = None) -> Any:
        """The strides in elements, or that of axis `dim`."""
        return self._array.strides if dim is None else self._array.strides[dim]

    def storage_offset(self) -> _int:
        """Elements between the start of the storage and the first element."""
        return self._array.offset

    def data_ptr(self) -> _int:
        """Address of the first element."""
        return self._array.data_ptr

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether elements lie in row-major order (or that of `memory_format`) without gaps."""
        if memory_format is None or memory_format == contiguous_format:
            return self._array.is_contiguous
        if getattr(memory_format, "name", "") == "channels_last" and self._array.ndim != 4:
            return False
        order = order_of(memory_format, self._array.ndim, "is_contiguous")
        return (self if order is None else self.permute(order))._array.is_contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a plain float."""
        return self.dtype.is_floating_point

    # --- conversion -------------------------------------------------------------------------------

    def item(self) -> Any:
        """The only element, as a Python number; ShapeError when there is not exactly one."""
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers (a number for a 0-d tensor)."""
        return self._array.tolist()

    def to(
        self,
        *targets: DType | Device | str | Tensor | _bool | None,
        dtype: DType | str | None = None,
        device: Device | str | None = None,
        non_blocking: _bool = False,
        copy: _bool = False,
        memory_format: Any = None,
        other: Tensor | None = None,
    ) -> Tensor:
        """This tensor in another dtype or on another device; itself when that changes nothing.

        Block dtypes are dequantised; a float tensor is quantised when the target is a block dtype
        that has a quantiser.
        """
        wanted = self.dtype
        flags = [target for target in targets if isinstance(target, bool)]
        copy = copy or (len(flags) > 1 and flags[1])  # the first is PyTorch's non_blocking
        for target in (*targets, other, device, dtype):
            if target is None or isinstance(target, bool):
                continue
            if isinstance(target, Tensor):
                target = target.dtype
            if not isinstance(target, DType) and (
                isinstance(target, (Device, _int)) or is_device_name(target)
            ):
                as_device(target)
                continue
            wanted = as_dtype(target)
        if wanted.code == self._array.dtype:
            made = self.clone() if copy else self
        elif self._node is not None:
            made = self.cast(wanted)
        else:
            made = wrap(self._array.cast(wanted.code))
        return made if memory_format is None else made._laid_out(memory_format, "to")

    def _laid_out(self, memory_format: Any, where: str) -> Tensor:
        """This tensor if its elements lie in the order of `memory_format`, else such a copy."""
        order = order_of(memory_format, self._array.ndim, where)
        if order is None:
            return self if memory_format == preserve_format else self.contiguous()
        moved = self.permute(order)
        if moved._array.is_contiguous:
            return self
        return moved.clone().permute([order.index(axis) for axis in range(len(order))])

    def float(self, memory_format: Any = None) -> Tensor:
        """This tensor as f32."""
        return self.to(f32, memory_format=memory_format)

    def double(self, memory_format: Any = None) -> Tensor:
        """This tensor as f64."""
        return self.to(f64, memory_format=memory_format)

    def half(self, memory_format: Any = None) -> Tensor:
        """This tensor as f16."""
        return self.to(f16, memory_format=memory_format)

    def bfloat16(self, memory_format: Any = None) -> Tensor:
        """This tensor as bf16."""
        return self.to(bf16, memory_format=memory_format)

    def long(self, memory_format: Any = None) -> Tensor:
        """This tensor as i64."""
        return self.to(i64, memory_format=memory_format)

    def int(self, memory_format: Any = None) -> Tensor:
        """This tensor as i32."""
        return self.to(i32, memory_format=memory_format)

    def short(self, memory_format: Any = None) -> Tensor:
        """This tensor as i16."""
        return self.to(i16, memory_format=memory_format)

    def char(self, memory_format: Any = None) -> Tensor:
        """This tensor as i8."""
        return self.to(i8, memory_format=memory_format)

    def byte(self, memory_format: Any = None) -> Tensor:
        """This tensor as u8."""
        return self.to(u8, memory_format=memory_format)

    def bool(self, memory_format: Any = None) -> Tensor:
        """This tensor as bool."""
        return self.to(bool_, memory_format=memory_format)

    def cfloat(self, memory_format: Any = None) -> Tensor:
        """This tensor as complex64."""
        return self.to(complex64, memory_format=memory_format)

    def type(self, dtype: Any = None, non_blocking: _bool = False) -> Any:
        """This tensor as `dtype`, or as a tensor type of PyTorch; without one, that type's name."""
        if dtype is None:
            return f"torch.{_TYPE_NAMES.get(self.dtype.name, 'Tensor')}"
        if isinstance(dtype, str) and dtype.startswith("torch."):
            return self.to(_DTYPE_NAMES.get(dtype[len("torch.") :], dtype))
        return self.to(f32 if dtype is Tensor else dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """This tensor in the dtype of `other`."""
        return self.to(other.dtype)

    def contiguous(self, memory_format: Any = None) -> Tensor:
        """This tensor if it is contiguous, else a contiguous copy."""
        if memory_format is not None and memory_format != contiguous_format:
            return self._laid_out(memory_format, "contiguous")
        return self if self._array.is_contiguous else self.clone()

    def to_dense(self, dtype: DType | str | None = None) -> Tensor:
        """This tensor, which is dense already; in another dtype when one is given."""
        return self if dtype is None else self.to(dtype)

    def to_sparse(self, *_: Any, **__: Any) -> Tensor:
        """This tensor as it is: what is sparse in PyTorch is kept dense here."""
        return self

    def cpu(self, memory_format: Any = None) -> Tensor:
        """This tensor, which is on the CPU already."""
        return self if memory_format is None else self._laid_out(memory_format, "cpu")

    def copy_(self, source: Tensor | _float) -> Tensor:
        """Write `source` (broadcast and converted) into this tensor."""
        given = source if isinstance(source, Tensor) else tensor(source)
        if self._node is None and given._node is None:
            self._array.copy_(given._array)
        else:
            from .autograd.inplace import assign

            assign(self, given, lambda: self._array.copy_(given._array), None, "copy_")
        return self

    def fill_(self, value: Any) -> Tensor:
        """Write `value` (a number or a 0-d tensor) into every element."""
        if isinstance(value, Tensor):
            expect(not value._array.ndim, "fill_", "a number or a 0-d tensor", value.shape)
            return self.copy_(value)
        filling = _native.Array.full((), value, self._array.dtype)
        return self.copy_(wrap(filling))

    def zero_(self) -> Tensor:
        """Write 0 into every element."""
        return self.fill_(0)

    def numpy(self, *, force: _bool = False) -> Any:
        """A numpy array on this tensor's memory (read-only if that is); bf16, f8 by ml_dtypes.

        `force` detaches first.
        """
        if force and self._node is not None:
            return self.detach().numpy()
        if self._node is not None:
            raise GradError("numpy: expected a tensor without gradient (use .detach() first)")
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

    def __dlpack_device__(self) -> tuple[_int, _int]:
        return (1, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        from .copying import reduced

        return reduced(self)

    def __copy__(self) -> Tensor:
        from .copying import shallow

        return shallow(self)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        from .copying import deep

        return deep(self, memo)

    # --- indexing ---------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Tensor:
        array = self._array.basic_index(key)
        if array is None:
            from .indexing import get

            return get(self, key)
        out = wrap(array)
        if not _MODE.inference:
            _link(out, self)
            if self._node is not None and _MODE.enabled:
                from .ops.convert import record_slice

                record_slice(out, self, key)
        return out

    def __setitem__(self, key: Any, value: Any) -> None:
        array = self._array.basic_index(key)
        if array is None:
            from .indexing import put

            put(self, key, value)
            return
        if not isinstance(value, Tensor):
            from .indexing import source_of

            value = wrap(source_of(value, self))
        if self._node is None and value._node is None:
            array.assign(value._array)
        else:
            from .ops.convert import assign_slice

            assign_slice(self, key, array, value)

    def __len__(self) -> _int:
        if not self._array.ndim:
            raise NoAxisError("len: expected at least one axis, got a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise NoAxisError("iter: expected at least one axis, got a 0-d tensor")
        return (self[i] for i in range(self._array.shape[0]))

    # --- Python's protocols -----------------------------------------------------------------------

    def __bool__(self) -> Any:
        return bool(self._array.item())

    def __int__(self) -> _int:
        return int(self._array.item())

    def __float__(self) -> Any:
        return float(self._array.item())

    def __index__(self) -> _int:
        value = self._array.item() if self._array.size == 1 else None
        if not isinstance(value, int):
            got = f"{self.dtype.name} of shape {self.shape}"
            raise DTypeError(f"index: expected an integer tensor of one element, got {got}")
        return int(value)

    def __hash__(self) -> _int:
        return id(self)

    def __repr__(self) -> str:
        from .printing import format_tensor

        return format_tensor(self)


PLAIN.add(Tensor)

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
    out._node = out._base = out._views = None
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
    if isinstance(value, (bool, int, float, complex)):
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


# --- making tensors -------------------------------------------------------------------------------
# -----------------------


def tensor(
    data: Any,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A new tensor from a number, nested lists, a numpy array or another tensor (always a copy).

    Without `dtype`: bool, i64, f32 or complex64 for Python values, as in PyTorch; the source's own
    for arrays.
    """
    if hints:
        _refuse_hints(hints)
    code = -1 if dtype is None else as_dtype(dtype).code
    if isinstance(data, Sequence) and not isinstance(data, (list, tuple, str, bytes, memoryview)):
        data = list(data)  # a range, a deque
    if isinstance(data, Tensor):
        data = data.detach()
        made = data.to(DTYPES[code], copy=True) if code >= 0 else data.clone()
    elif isinstance(data, (bool, int, float, complex, list, tuple)):
        if isinstance(data, (list, tuple)) and any(hasattr(row, "tolist") for row in data):
            data = [row.tolist() if hasattr(row, "tolist") else row for row in data]
        try:
            made = wrap(_native.Array.from_list(data, code))
        except DTypeError:
            made = wrap(_native.Array.from_list(_numbers(data), code))
    else:
        made = wrap(wrap(unwrap(data, tensor))._array.clone())
        made = made.to(DTYPES[code]) if code >= 0 else made
    return _as_asked(made, device, requires_grad)


def _numbers(data: Any) -> Any:
    """Nested lists in which 0-d tensors and numpy's scalars have become Python numbers."""
    if isinstance(data, (list, tuple)):
        return [_numbers(row) for row in data]
    return data.tolist() if hasattr(data, "tolist") else data


def _as_asked(out: Tensor, device: Device | str | None, requires_grad: bool) -> Tensor:
    """A new tensor with what the keywords of the factories ask for."""
    if device is not None:
        as_device(device)
    return out.requires_grad_() if requires_grad else out


def as_tensor(
    data: Any, dtype: DType | str | None = None, device: Device | str | None = None
) -> Tensor:
    """`data` itself if it is a tensor of this dtype, a borrowed numpy array, else a new tensor."""
    if isinstance(data, Tensor) or hasattr(data, "__array_interface__"):
        x = data if isinstance(data, Tensor) else from_numpy(data)
        return _as_asked(x if dtype is None else x.to(dtype), device, False)
    return tensor(data, dtype, device)


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


def from_dlpack(
    ext_tensor: Any, *, device: Device | str | None = None, copy: _bool | None = None
) -> Tensor:
    """Borrow an array of any library that speaks DLPack (on the CPU), without a copy.

    `copy=True` asks for one.
    """
    if device is not None:
        as_device(device)
    capsule = ext_tensor.__dlpack__() if hasattr(ext_tensor, "__dlpack__") else ext_tensor
    made = wrap(_native.Array.from_dlpack(capsule))
    return made.clone() if copy else made


def empty(
    *shape: Any,
    size: Any = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor whose elements are not set; of f32 unless told otherwise."""
    code = (Default.float if dtype is None else as_dtype(dtype)).code
    return _as_asked(
        wrap(_native.Array.empty(_sizes(shape, size, hints), code)), device, requires_grad
    )


def full(
    size: Sequence[int],
    fill_value: Any,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of one value; without `dtype` bool, i64, f32 or complex64 by the kind of it."""
    if hints:
        _refuse_hints(hints)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    if dtype is None:
        kinds = ((bool, bool_), (int, i64), (complex, complex64))
        chosen = next((own for kind, own in kinds if isinstance(value, kind)), Default.float)
    else:
        chosen = as_dtype(dtype)
    if chosen.kind == "u" and isinstance(value, int) and -1 << 8 * chosen.itemsize < value < 0:
        value += 1 << 8 * chosen.itemsize  # wraps, as in PyTorch
    if isinstance(size, int):
        size = (size,)
    return _as_asked(wrap(_native.Array.full(size, value, chosen.code)), device, requires_grad)


def zeros(
    *shape: Any,
    size: Any = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of zeros; of f32 unless told otherwise."""
    return full(_sizes(shape, size, hints), 0, dtype or Default.float, device, requires_grad)


def ones(
    *shape: Any,
    size: Any = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of ones; of f32 unless told otherwise."""
    return full(_sizes(shape, size, hints), 1, dtype or Default.float, device, requires_grad)


def _asking(function: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """A factory that takes after a tensor, asking the class of that one first."""

    @functools.wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> Tensor:
        input: Any = args[0] if args else options.get("input")
        if type(input) not in PLAIN and (found := overloaded((input,))):
            return ask(call, found, args, options)  # type: ignore[no-any-return]  # as it likes
        return function(*args, **options)

    return call


@_asking
def empty_like(
    input: Tensor,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A contiguous tensor of `x`'s shape whose elements are not set."""
    _refuse_hints(hints)
    code = -1 if dtype is None else as_dtype(dtype).code
    return _as_asked(wrap(_native.Array.empty_like(input._array, code)), device, requires_grad)


@_asking
def zeros_like(
    input: Tensor,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """Zeros of `x`'s shape and, unless given, dtype."""
    _refuse_hints(hints)
    return full(input.shape, 0, dtype or input.dtype, device, requires_grad)


@_asking
def ones_like(
    input: Tensor,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """Ones of `x`'s shape and, unless given, dtype."""
    _refuse_hints(hints)
    return full(input.shape, 1, dtype or input.dtype, device, requires_grad)


@_asking
def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """One value in `x`'s shape and, unless given, dtype."""
    _refuse_hints(hints)
    return full(input.shape, fill_value, dtype or input.dtype, device, requires_grad)


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
    wanted = as_dtype(dtype) if dtype is not None else i64 if whole else Default.float
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


# What may be asked of a new tensor and changes nothing: there is one layout, and one memory.
_HINTS = frozenset(("layout", "pin_memory", "names", "memory_format", "out"))


def _refuse_hints(hints: dict[str, Any]) -> None:
    """Refuse keywords that PyTorch has not either, or that ask for what is not there."""
    for key, value in hints.items():
        known = key in _HINTS and (key != "out" or value is None)
        known = known and (key != "layout" or value is None or value == strided)
        expect(known, "a new tensor", "keywords that factories take", f"{key}={value}", DTypeError)


def _sizes(shape: tuple[Any, ...], size: Any = None, hints: dict[str, Any] | None = None) -> Any:
    if hints:
        _refuse_hints(hints)
    if size is not None:
        expect(not shape, "a new tensor", "sizes once", f"{shape} and {size}", DTypeError)
        shape = (size,)
    return shape[0] if len(shape) == 1 and not hasattr(shape[0], "__index__") else shape


__all__ = [
    "IndexRangeError", "Size", "Tensor", "arange", "as_tensor", "empty", "empty_like",
    "from_buffer", "from_dlpack", "from_numpy", "full", "full_like", "ones", "ones_like", "tensor",
    "wrap", "zeros", "zeros_like",
]  # fmt: skip

from .autograd.node import link as _link  # noqa: E402  (it needs Tensor)
