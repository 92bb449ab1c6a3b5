"""What programs ask of a tensor besides numbers: its storage, its layout, Python's protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from . import layout as layouts
from ._native import expect_values
from .device import Device, as_device
from .errors import ArgumentError, DTypeError, GradError, NoAxisError, ShapeError, expect

if TYPE_CHECKING:
    from .tensor import Tensor


def _take(x: Any, array: Any) -> None:
    """Let `x` be another array from now on, and a view of nothing."""
    if x._base is not None:
        x._base = x._views = None
    x._array = array


class UntypedStorage:
    """The memory behind a tensor, as bytes: `data_ptr()`, `nbytes()`, `size()`, `tolist()`."""

    def __init__(self, tensor: Tensor) -> None:
        given = type(tensor).__name__
        said = "a tensor, whose storage it is (see tensor.untyped_storage())"
        expect(hasattr(tensor, "_array"), "UntypedStorage", said, given, DTypeError)
        self._tensor = tensor

    def _bytes(self) -> Any:
        array = self._tensor._array
        reach = sum((n - 1) * step for n, step in zip(array.shape, array.strides, strict=True))
        size = self._tensor.itemsize
        # What lies before the tensor, and what it reaches: the rest of a storage nobody sees.
        base = self._tensor._base
        whole = self._tensor if base is None else base
        start = whole._array.data_ptr
        end = max(array.data_ptr + (reach + 1) * size, start + whole.nbytes)
        return start, (end - start if array.size else 0)

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._bytes()[0])

    def nbytes(self) -> int:
        """The number of bytes."""
        return int(self._bytes()[1])

    size = __len__ = nbytes

    def element_size(self) -> int:
        """Bytes are of one byte."""
        return 1

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> Any:
        """The first bytes of a file, mapped; what is written to them stays in memory."""
        import mmap

        from .borrowing import from_buffer
        from .dtype import u8

        said = "shared=False (see tl.save)"
        expect(not shared, f"{cls.__name__}.from_file", said, "shared=True", ArgumentError)
        with open(filename, "rb") as file:
            mapped = mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_READ)
        return cls(from_buffer(mapped, u8, (len(mapped),)))

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def _view(self) -> memoryview:
        from .dtype import u8

        base = self._tensor._base
        whole = (self._tensor if base is None else base).detach().contiguous()
        expect_values(whole._array, "untyped_storage")
        return memoryview(whole._array.retype(u8.code))

    def __getitem__(self, index: Any) -> Any:
        """A byte, or bytes as a view of the memory."""
        return self._view()[index]

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return list(self._view())

    def is_shared(self) -> Any:
        """Whether processes that get a tensor of it see the same memory."""
        return self._tensor.is_shared()

    def share_memory_(self) -> Any:
        """Move the memory where processes that get a tensor of it see it."""
        self._tensor.share_memory_()
        return self

    @property
    def device(self) -> Device:
        """Where the bytes are."""
        return self._tensor.device


class TypedStorage(UntypedStorage):
    """The memory behind a tensor, as elements of its dtype."""

    def size(self) -> int:
        """The number of elements."""
        return self.nbytes() // self._tensor.itemsize

    __len__ = size

    def element_size(self) -> int:
        """Bytes per element."""
        return self._tensor.itemsize

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._tensor)

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        base = self._tensor._base
        whole = (self._tensor if base is None else base).detach()
        return cast("list[Any]", whole.flatten().tolist())


class ProtocolsMixin:
    """The part of Tensor that answers for a tensor's place in Python and PyTorch."""

    __slots__ = ()

    layout = layouts.strided

    @property
    def is_cpu(self: Any) -> Any:
        """Whether it is on the CPU."""
        return self._array.device == 0

    @property
    def is_meta(self: Any) -> Any:
        """Whether it has a shape and a dtype, but no elements."""
        return self._array.device == 1

    # Kinds that programs written for PyTorch ask about, and that there are not here.
    is_cuda = is_mps = is_xpu = is_xla = is_sparse = is_sparse_csr = False
    is_quantized = is_mkldnn = is_nested = is_vulkan = is_ipu = is_mtia = is_hpu = False

    @property
    def names(self: Any) -> tuple[None, ...]:
        """A name per axis: there are none."""
        return (None,) * cast("int", self._array.ndim)

    def has_names(self) -> Any:
        """Whether axes have names: never."""
        return False

    def get_device(self) -> Any:
        """The number of the accelerator: -1, as for every tensor on the CPU."""
        return -1

    def cuda(self: Any, device: Any = None, *_: Any, **__: Any) -> Tensor:
        """DeviceError: there is no CUDA device."""
        as_device("cuda" if device is None else Device(device))
        return cast("Tensor", self)

    def element_size(self: Any) -> Any:
        """Bytes per element."""
        return self.dtype.itemsize

    def is_complex(self: Any) -> Any:
        """Whether the dtype is complex."""
        return self.dtype.kind == "c"

    def is_signed(self: Any) -> Any:
        """Whether the dtype has negative numbers."""
        return self.dtype.kind in "ifc"

    def is_inference(self: Any) -> Any:
        """Whether its memory was made in `inference_mode`, and may be changed only there."""
        return self._array.inference

    def is_shared(self: Any) -> Any:
        """Whether processes that get the tensor see the same memory: after `share_memory_()`."""
        from .sharing import is_shared

        return is_shared(self)

    def share_memory_(self: Any) -> Tensor:
        """Move the memory, for every view of it, where processes that get the tensor see it.

        SharedMemoryError where the system cannot hand memory to other processes.
        """
        from .sharing import share

        return share(self)

    def is_pinned(self, device: Any = None) -> Any:
        """Whether the memory is page-locked for an accelerator: there is none."""
        return False

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """This tensor: without an accelerator there is nothing to lock memory for."""
        return cast("Tensor", self)

    def is_same_size(self: Any, other: Tensor) -> Any:
        """Whether the shapes are equal."""
        return self.shape == other.shape

    def dim_order(self: Any, *, ambiguity_check: Any = False) -> tuple[int, ...]:
        """The axes in the order in which they lie in memory, the widest step first.

        With `ambiguity_check`, ShapeError where axes of one step (of one element each) could
        stand in another order.
        """
        strides = self._array.strides
        unclear = ambiguity_check and len(set(strides)) < len(strides)
        expect(not unclear, "dim_order", "axes of different steps", strides, ShapeError)
        return tuple(sorted(range(len(strides)), key=lambda axis: (-strides[axis], axis)))

    def untyped_storage(self: Any) -> UntypedStorage:
        """The memory behind the tensor, as bytes."""
        return UntypedStorage(self)

    def storage(self: Any) -> TypedStorage:
        """The memory behind the tensor, as elements."""
        return TypedStorage(self)

    _typed_storage = storage

    def new(self: Any, *size: Any, device: Any = None) -> Tensor:
        """`Tensor(…)` of this dtype: unset elements of these sizes, or a tensor of these values."""
        from .tensor import Tensor

        made: Tensor = Tensor(*size, device=device)
        return made.to(self.dtype)

    # --- in place ---------------------------------------------------------------------------------

    def resize_(self: Any, *sizes: Any, memory_format: Any = None) -> Tensor:
        """Another shape: the elements that fit are kept in row-major order, others are unset."""
        from .factories import empty

        expect(self._node is None, "resize_", "a tensor without gradient", "one with it", GradError)
        shape = tuple(sizes[0]) if len(sizes) == 1 and not hasattr(sizes[0], "__index__") else sizes
        before = self.detach().contiguous().flatten()
        made = empty(shape, dtype=self.dtype)
        kept = min(made.numel(), before.numel())
        made.flatten()[:kept].copy_(before[:kept])
        _take(self, made._array)
        return cast("Tensor", self)

    def resize_as_(self: Any, the_template: Tensor, memory_format: Any = None) -> Tensor:
        """`resize_` to the shape of another tensor."""
        return cast("Tensor", self.resize_(the_template.shape))

    def set_(self: Any, source: Any = None) -> Tensor:
        """Take the memory, shape and strides of another tensor of the same dtype (or none)."""
        from .factories import empty

        made = empty(0, dtype=self.dtype) if source is None else source
        wanted = f"a tensor of {self.dtype.name}"
        expect(getattr(made, "dtype", None) == self.dtype, "set_", wanted, source, DTypeError)
        from .autograd.inplace import refuse
        from .autograd.mode import MODE
        from .tensor import is_hidden

        if MODE.enabled and (self._node is not None or is_hidden(self)):
            refuse(self, "set_")
        _take(self, made._array)
        return cast("Tensor", self)

    def apply_(self: Any, callable: Callable[[Any], Any]) -> Tensor:
        """Replace every element by `callable(element)`, one by one in Python."""
        from .factories import tensor

        values = [callable(value) for value in self.detach().flatten().tolist()]
        made = tensor(values, dtype=self.dtype).reshape(self.shape)
        return cast("Tensor", self.copy_(made))

    def map_(self: Any, other: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
        """Replace every element by `callable(element, element of other)`, one by one in Python."""
        from .factories import tensor

        pairs = zip(
            self.detach().flatten().tolist(),
            other.detach().expand(self.shape).flatten().tolist(),
            strict=True,
        )
        made = tensor([callable(a, b) for a, b in pairs], dtype=self.dtype)
        return cast("Tensor", self.copy_(made.reshape(self.shape)))

    def fill_diagonal_(self: Any, fill_value: Any, wrap: Any = False) -> Tensor:
        """Write a number along the main diagonal; with `wrap`, of tall matrices again and again."""
        many = self._array.ndim
        expect(many >= 2, "fill_diagonal_", "at least 2 axes", f"shape {self.shape}", ShapeError)
        equal = many == 2 or len(set(self.shape)) == 1
        expect(equal, "fill_diagonal_", "axes of one length", f"shape {self.shape}", ShapeError)
        short = min(self.shape)
        starts = range(0, self.shape[0], self.shape[1] + 1) if wrap and many == 2 else (0,)
        for start in starts:
            count = min(short, self.shape[0] - start)
            for i in range(count):
                self[(start + i, *(i,) * (many - 1))] = fill_value
        return cast("Tensor", self)

    # --- Python -----------------------------------------------------------------------------------

    def __reduce__(self: Any) -> tuple[Any, ...]:
        from .copying import reduced

        return reduced(self)

    def __copy__(self: Any) -> Tensor:
        from .copying import shallow

        return shallow(self)

    def __deepcopy__(self: Any, memo: dict[Any, Any]) -> Tensor:
        from .copying import deep

        return deep(self, memo)

    def __delitem__(self: Any, key: Any) -> None:
        raise DTypeError("del: expected a list or a dict, got a tensor, whose elements stay")

    def __contains__(self: Any, element: Any) -> bool:
        from .tensor import Tensor

        known = isinstance(element, (Tensor, int, float, complex))
        expect(known, "in", "a Tensor or a number", type(element).__name__, DTypeError)
        return bool((self == element).any())

    def __complex__(self: Any) -> complex:
        return complex(self._array.item())

    def __reversed__(self: Any) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise NoAxisError("reversed: expected at least one axis, got a 0-d tensor")
        rows: list[Tensor] = [*self]
        return reversed(rows)

    def __divmod__(self: Any, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self: Any, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The module of the array API's functions."""
        from . import array_api

        return array_api

    # --- subclasses -------------------------------------------------------------------------------

    def as_subclass(self: Any, cls: type[Any]) -> Any:
        """This tensor as an instance of a subclass of Tensor, on the same memory and history."""
        from .tensor import Tensor

        if not issubclass(cls, Tensor):
            raise DTypeError(f"as_subclass: expected a subclass of Tensor, got {cls!r}")
        made: Any = object.__new__(cls)
        made._array, made._node, made._base, made._views = self._array, self._node, None, None
        if self._node is not None:
            made._index = self._index
        return made

    @staticmethod
    def _make_subclass(cls: type[Any], data: Tensor, require_grad: Any = False) -> Any:
        """An instance of a subclass of Tensor on the memory of `data`, without its history."""
        made = data.detach().as_subclass(cls)
        return made.requires_grad_() if require_grad else made
