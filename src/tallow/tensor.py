"""Tensor: a native array under PyTorch's names; the ops of `tallow.ops` become its methods."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from . import _native
from ._native import Size
from .autograd.methods import GradientsMixin
from .autograd.mode import MODE as _MODE
from .casting import CastingMixin
from .device import BY_CODE, Device, code_of, is_device_name
from .dtype import DType, as_dtype, f32
from .errors import DTypeError, GradError, IndexRangeError, NoAxisError, expect
from .layout import contiguous_format, order_of
from .overrides import PLAIN, adopt
from .overrides import default as _kept_class
from .protocols import ProtocolsMixin
from .tensor_methods import MethodsMixin

if TYPE_CHECKING:
    from ._methods import Methods
else:
    Methods = object


class Tensor(
    GradientsMixin, CastingMixin, ProtocolsMixin, MethodsMixin, _native.TensorBase, Methods
):
    """An n-dimensional array of one dtype; a view when it came from a view op.

    Made by `tl.tensor`, `tl.zeros`, `tl.from_numpy`, `tl.from_buffer`, … and by ops.
    """

    __slots__ = ("__dict__", "__weakref__")
    __array_priority__ = 1000  # numpy's operators leave mixed expressions to us

    _array: _native.Array
    _node: Any  # what made it, when it requires a gradient: a Node of the tape, a Leaf, else None
    _index: int  # which output of the node it is
    _base: Tensor | None  # for a view: the tensor whose memory it shares
    _views: list[Any] | None  # weak references to the views of it
    # `x[key]` and `x[key] = value` with arrays in the key; tallow.ops puts them here.
    _get: Any
    _put: Any

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
            from .factories import tensor

            array = tensor(given if plain else list(given), f32, device)._array
        else:
            from .factories import empty

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

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return BY_CODE[self._array.device]

    @property
    def nbytes(self) -> int:
        """Bytes of the elements (not of the storage behind a view)."""
        return self._array.nbytes

    @property
    def itemsize(self) -> int:
        """Bytes per element, or per block of a block dtype."""
        return self.dtype.itemsize

    def dim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of axis `dim`."""
        return self._array.sizes if dim is None else _at_axis(self._array.shape, dim, "size")

    def stride(self, dim: int | None = None) -> Any:
        """The strides in elements, or that of axis `dim`."""
        return self._array.strides if dim is None else _at_axis(self._array.strides, dim, "stride")

    def storage_offset(self) -> int:
        """Elements between the start of the storage and the first element."""
        return self._array.offset

    def data_ptr(self) -> int:
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
        *targets: DType | Device | str | Tensor | bool | None,
        dtype: DType | str | None = None,
        device: Device | str | None = None,
        non_blocking: bool = False,
        copy: bool = False,
        memory_format: Any = None,
        other: Tensor | None = None,
    ) -> Tensor:
        """This tensor in another dtype or on another device; itself when that changes nothing.

        Block dtypes are dequantised; a float tensor is quantised when the target is a block dtype
        that has a quantiser.
        """
        wanted, place = self.dtype, self._array.device
        flags = [target for target in targets if isinstance(target, bool)]
        copy = copy or (len(flags) > 1 and flags[1])  # the first is PyTorch's non_blocking
        for target in (*targets, other, device, dtype):
            if target is None or isinstance(target, bool):
                continue
            if isinstance(target, Tensor):
                wanted, place = target.dtype, target._array.device
                continue
            if not isinstance(target, DType) and (
                isinstance(target, (Device, int)) or is_device_name(target)
            ):
                place = code_of(target)
                continue
            wanted = as_dtype(target)
        if place != self._array.device:
            from .autograd.views import moved

            return moved(self, place).to(wanted, memory_format=memory_format)
        if wanted.code == self._array.dtype:
            made = self.clone() if copy else self
        elif self._node is not None:
            made = self.cast(wanted)
        else:
            made = wrap(self._array.cast(wanted.code))
        return made if memory_format is None else made._laid_out(memory_format, "to")

    def copy_(self, source: Tensor | float) -> Tensor:
        """Write `source` (broadcast and converted) into this tensor."""
        if isinstance(source, Tensor):
            given = source
        else:
            from .factories import tensor

            given = tensor(source)
        recorded = self._node is not None or given._node is not None
        if not (recorded or (self._base is not None and is_hidden(self))):
            if given is not self or self.is_inference():  # an expanded one holds what it should
                self._array.copy_(given._array)
        else:
            from .autograd.inplace import assign

            assign(self, given, lambda: self._array.copy_(given._array), None, "copy_", keeps=False)
        return self

    def fill_(self, value: Any) -> Tensor:
        """Write `value` (a number or a 0-d tensor) into every element."""
        if isinstance(value, Tensor):
            expect(not value._array.ndim, "fill_", "a number or a 0-d tensor", value.shape)
            return self.copy_(value)
        filling = _native.Array.full((), value, self._array.dtype)
        if self._node is None and (self._base is None or not is_hidden(self)):
            self._array.fill_(filling)
        else:
            from .autograd.inplace import assign

            put = partial(self._array.fill_, filling)
            assign(self, wrap(filling), put, None, "fill_", keeps=False)
        return self

    def zero_(self) -> Tensor:
        """Write 0 into every element."""
        return self.fill_(0)

    def numpy(self, *, force: bool = False) -> Any:
        """A numpy array on this tensor's memory (read-only if that is); bf16, f8 by ml_dtypes.

        `force` detaches first.
        """
        if force and self._node is not None:
            return self.detach().numpy()
        if self._node is not None:
            raise GradError("numpy: expected a tensor without gradient (use .detach() first)")
        from tallow.borrowing import to_numpy  # by its whole name: half the time

        return to_numpy(self)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        out = self.numpy()
        if dtype is not None and out.dtype != dtype:
            return out.astype(dtype)
        return out.copy() if copy else out

    def __dlpack__(self, *, stream: object = None, **_: object) -> object:
        return self._array.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    # --- indexing ---------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Tensor:
        array = self._array.basic_index(key)
        if array is None:
            taken: Tensor = self._get(key)
            return taken
        out = wrap(array)
        if not _MODE.inference:
            link(out, self)
            if self._node is not None and _MODE.enabled:
                from .autograd.views import record_slice

                record_slice(out, self, key)
        return out

    def __setitem__(self, key: Any, value: Any) -> None:
        array = self._array.basic_index(key)
        if array is None:
            self._put(key, value)
            return
        if not isinstance(value, Tensor):
            from .borrowing import assigned_to

            value = assigned_to(self, value)
        recorded = self._node is not None or value._node is not None
        if not (recorded or (self._base is not None and is_hidden(self))):
            array.assign(value._array)
        else:
            from .autograd.inplace import assign_slice

            assign_slice(self, key, array, value)

    def __len__(self) -> int:
        if not self._array.ndim:
            raise NoAxisError("len: expected at least one axis, got a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise NoAxisError("iter: expected at least one axis, got a 0-d tensor")
        from .autograd.views import as_part

        return (as_part(self[i]) for i in range(self._array.shape[0]))

    # --- Python's protocols -----------------------------------------------------------------------

    def __bool__(self) -> Any:
        return bool(self._array.item())

    def __int__(self) -> int:
        return int(self._array.item())

    def __float__(self) -> Any:
        return float(self._array.item())

    def __index__(self) -> int:
        value = self._array.item() if self._array.size == 1 else None
        if not isinstance(value, int):
            got = f"{self.dtype.name} of shape {self.shape}"
            raise DTypeError(f"index: expected an integer tensor of one element, got {got}")
        return int(value)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        from .printing import format_tensor

        return format_tensor(self)


PLAIN.add(Tensor)

_new = object.__new__
FLOATING = "fc"  # the dtype kinds that can carry a gradient


def wrap(array: _native.Array) -> Tensor:
    """A Tensor around a native array."""
    out = _new(Tensor)
    out._array = array
    out._node = out._base = out._views = None
    return out


# Notes that a view shares the memory of a tensor: a change of one in place concerns the other.
link = _native.link_view
# Whether a tensor is a view without history of one with history: made in `no_grad`.
is_hidden = _native.is_hidden


def _at_axis(numbers: tuple[int, ...], dim: int, where: str) -> int:
    try:
        return numbers[dim]
    except (IndexError, TypeError):
        n = len(numbers)
        axes = f"an axis in [{-n}, {n - 1}]" if n else "no axis of a 0-d tensor"
        raise IndexRangeError(f"{where}: expected {axes}, got {dim!r}") from None


def broadcast_shapes(p: tuple[int, ...], q: tuple[int, ...], where: object) -> tuple[int, ...]:
    """The shape that `p` and `q` broadcast to; ShapeError naming `where` when they do not."""
    size = max(len(p), len(q))
    left, right = (1,) * (size - len(p)) + p, (1,) * (size - len(q)) + q
    fits = all(i == j or 1 in (i, j) for i, j in zip(left, right, strict=True))
    expect(fits, where, "shapes that broadcast", f"{p} and {q}")
    return tuple(j if i == 1 else i for i, j in zip(left, right, strict=True))


def has_values(x: Tensor) -> bool:
    """Whether `x` has elements to check: not on `meta`."""
    return x._array.size > 0 and not x.is_meta


def unwrap_tensor(value: Any, where: object) -> _native.Array:
    """The native array of a Tensor; DTypeError naming `where` for anything else."""
    if not isinstance(value, Tensor):
        name = getattr(where, "__name__", where)
        raise DTypeError(f"{name}: expected a Tensor, got {type(value).__name__}")
    return value._array


def tobytes(x: Tensor) -> bytes:
    """The elements as bytes, in row-major order."""
    return bytes(x._array.contiguous().raw_bytes())


__all__ = [
    "FLOATING", "IndexRangeError", "Size", "Tensor", "broadcast_shapes", "has_values",
    "is_hidden", "link", "tobytes", "unwrap_tensor", "wrap",
]  # fmt: skip
