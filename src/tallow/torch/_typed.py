"""Tensor types by dtype, as of PyTorch before 0.4: `torch.FloatTensor` and its kin."""

from __future__ import annotations

from typing import Any

from tallow.device import Device
from tallow.dtype import (
    DType,
    bf16,
    bool_,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    register_names,
    u8,
)
from tallow.errors import DTypeError, expect
from tallow.factories import empty, tensor
from tallow.tensor import Size, Tensor


class _TypedTensor(type):
    """A tensor type: `isinstance` asks the dtype, a call makes a tensor of it."""

    dtype: DType
    is_sparse = False
    is_cuda = False

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, device: Device | str | None = None) -> Tensor:
        """A tensor of sizes `(2, 3)` that is not set, or of the values given."""
        if len(args) == 1 and isinstance(args[0], Tensor):
            given = args[0]
            expect(given.dtype is cls.dtype, cls, f"a tensor of {cls.dtype.name}",
                   given.dtype.name, DTypeError)  # fmt: skip
            return given.view_as(given)
        array = len(args) == 1 and hasattr(args[0], "__array_interface__")  # it has an __index__
        if array and args[0].ndim:
            return tensor(args[0], cls.dtype, device)
        if len(args) == 1 and (isinstance(args[0], Size) or not hasattr(args[0], "__index__")):
            if isinstance(args[0], Size):
                return empty(args[0], dtype=cls.dtype, device=device)
            data = args[0] if isinstance(args[0], (list, tuple)) or hasattr(
                args[0], "__array_interface__"
            ) else list(args[0])  # fmt: skip
            return tensor(data, cls.dtype, device)
        return empty(*args, dtype=cls.dtype, device=device) if args else empty(0, dtype=cls.dtype)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


_TYPES = {
    "FloatTensor": f32, "DoubleTensor": f64, "HalfTensor": f16, "BFloat16Tensor": bf16,
    "LongTensor": i64, "IntTensor": i32, "ShortTensor": i16, "CharTensor": i8, "ByteTensor": u8,
    "BoolTensor": bool_,
}  # fmt: skip

for _name, _dtype in _TYPES.items():
    globals()[_name] = _TypedTensor(
        _name, (), {"dtype": _dtype, "__module__": "torch", "__doc__": f"Tensors of {_dtype}."}
    )
register_names({f"torch.{name}": dtype for name, dtype in _TYPES.items()})
