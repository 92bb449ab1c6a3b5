"""Parameters and buffers whose shape is not known yet: those of lazily made layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, cast

from tallow.dtype import Default, DType, as_dtype
from tallow.errors import ArgumentError, GradError
from tallow.factories import empty
from tallow.nn.parameter import Buffer, Parameter
from tallow.tensor import Tensor


class UninitializedTensorMixin:
    """What such a parameter and such a buffer share."""

    __slots__ = ()

    becomes: type[Tensor]

    def materialize(
        self: Any, shape: Sequence[int], device: object = None, dtype: DType | str | None = None
    ) -> None:
        """Become an ordinary one of this shape; the values are not set."""
        wanted = self.dtype if dtype is None else as_dtype(dtype)
        self.__dict__.pop("_wanted", None)
        self._array = empty(tuple(shape), dtype=wanted)._array
        self.__class__ = self.becomes

    def convert(self: Any, dtype: DType) -> None:
        """Ask for another dtype."""
        self.__dict__["_wanted"] = dtype

    @property
    def shape(self) -> NoReturn:
        """GradError: there is none yet."""
        raise GradError(
            "shape: expected a tensor with one, got that of a lazy layer (call it once first)"
        )

    @property
    def dtype(self: Any) -> DType:
        """The dtype that it will have."""
        return cast(DType, self.__dict__.get("_wanted") or Default.float)

    def is_inference(self) -> bool:
        """No: there is no memory that was made anywhere."""
        return False

    @property
    def data(self: Any) -> Tensor:
        """Nothing: programs fill it before the first call, and PyTorch too gives no elements."""
        return empty(0, dtype=self.dtype)

    @data.setter
    def data(self: Any, value: Tensor) -> None:
        self.materialize(value.shape, dtype=value.dtype)
        self._array = value._array

    def __getattr__(self: Any, name: str) -> Any:
        if name != "_array":
            return cast(Any, Tensor).__getattr__(self, name)
        raise ArgumentError(
            f"{type(self).__name__}: expected a tensor with values, got that of a lazy layer "
            "(call it once first)"
        )

    def __deepcopy__(self: Any, memo: dict[Any, Any]) -> Any:
        made = memo[id(self)] = type(self)(self.requires_grad, None, self.dtype)
        return made

    def __reduce__(self: Any) -> tuple[Any, ...]:
        return (type(self), (self.requires_grad, None, self.dtype))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter of a lazy layer before its first call."""

    __slots__ = ()

    becomes = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: object = None, dtype: DType | str | None = None
    ) -> UninitializedParameter:
        """Note the dtype."""
        return cast(UninitializedParameter, _made(cls, requires_grad, dtype))


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer of a lazy layer before its first call."""

    __slots__ = ()

    becomes = Buffer

    def __new__(
        cls,
        requires_grad: bool = False,
        device: object = None,
        dtype: DType | str | None = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        """Note the dtype."""
        made = cast(UninitializedBuffer, _made(cls, requires_grad, dtype))
        made.persistent = persistent
        return made


def _made(kind: type[Any], requires_grad: bool, dtype: DType | str | None) -> Any:
    made = object.__new__(kind)
    made._node = made._base = made._views = None
    if dtype is not None:
        made.__dict__["_wanted"] = as_dtype(dtype)
    made.requires_grad_(requires_grad)
    return made
