"""The short forms of `Tensor.to`, and its order in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from .dtype import DType, bf16, bool_, complex64, f16, f32, f64, i8, i16, i32, i64, u8
from .layout import contiguous_format, order_of, preserve_format

if TYPE_CHECKING:
    from .tensor import Tensor

# What `Tensor.type()` calls a dtype.
_TYPE_NAMES = {
    "f32": "FloatTensor", "f64": "DoubleTensor", "f16": "HalfTensor", "bf16": "BFloat16Tensor",
    "i64": "LongTensor", "i32": "IntTensor", "i16": "ShortTensor", "i8": "CharTensor",
    "u8": "ByteTensor", "bool": "BoolTensor",
}  # fmt: skip
_DTYPE_NAMES = {kind: name for name, kind in _TYPE_NAMES.items()}


def _short(name: str, kind: DType) -> Callable[..., Tensor]:
    """The method `name`, which is `to(kind)`."""

    def short(self: Any, memory_format: Any = None) -> Tensor:
        made: Tensor = self.to(kind, memory_format=memory_format)
        return made

    short.__name__, short.__qualname__ = name, f"CastingMixin.{name}"
    short.__doc__ = f"This tensor as {kind.name}."
    return short


class CastingMixin:
    """The part of Tensor that gives it in another dtype, on another device, in another order."""

    __slots__ = ()

    float = _short("float", f32)
    double = _short("double", f64)
    half = _short("half", f16)
    bfloat16 = _short("bfloat16", bf16)
    long = _short("long", i64)
    int = _short("int", i32)
    short = _short("short", i16)
    char = _short("char", i8)
    byte = _short("byte", u8)
    bool = _short("bool", bool_)
    cfloat = _short("cfloat", complex64)

    def type(self: Any, dtype: Any = None, non_blocking: Any = False) -> Any:
        """This tensor as `dtype`, or as a tensor type of PyTorch; without one, that type's name."""
        from .tensor import Tensor

        if dtype is None:
            return f"torch.{_TYPE_NAMES.get(self.dtype.name, 'Tensor')}"
        if isinstance(dtype, str) and dtype.startswith("torch."):
            return self.to(_DTYPE_NAMES.get(dtype[len("torch.") :], dtype))
        return self.to(f32 if dtype is Tensor else dtype)

    def type_as(self: Any, other: Tensor) -> Tensor:
        """This tensor in the dtype of `other`."""
        made: Tensor = self.to(other.dtype)
        return made

    def contiguous(self: Any, memory_format: Any = None) -> Tensor:
        """This tensor if it is contiguous, else a contiguous copy."""
        made: Tensor
        if memory_format is not None and memory_format != contiguous_format:
            made = self._laid_out(memory_format, "contiguous")
        else:
            made = self if self._array.is_contiguous else self.clone(contiguous_format)
        return made

    def _laid_out(self: Any, memory_format: Any, where: str) -> Tensor:
        """This tensor if its elements lie in the order of `memory_format`, else such a copy."""
        order = order_of(memory_format, self._array.ndim, where)
        if order is None:
            return cast("Tensor", self if memory_format == preserve_format else self.contiguous())
        moved = self.permute(order)
        if moved._array.is_contiguous:
            return cast("Tensor", self)
        return cast("Tensor", self.clone(memory_format))

    def to_dense(self: Any, dtype: DType | str | None = None) -> Tensor:
        """This tensor, which is dense already; in another dtype when one is given."""
        return cast("Tensor", self if dtype is None else self.to(dtype))

    def to_sparse(self: Any, *_: Any, **__: Any) -> Tensor:
        """This tensor as it is: what is sparse in PyTorch is kept dense here."""
        return cast("Tensor", self)

    def cpu(self: Any, memory_format: Any = None) -> Tensor:
        """This tensor on the CPU; itself when it is there already."""
        return cast("Tensor", self.to("cpu", memory_format=memory_format))
