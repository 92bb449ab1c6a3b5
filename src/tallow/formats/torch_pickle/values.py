"""What a PyTorch pickle is made of: storages, tensors over them, and records that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tallow.lazy_dataclasses import dataclass, field

if TYPE_CHECKING:
    from tallow.formats.torch_pickle.machine import Machine

# PyTorch's name of a dtype → (ours, or its own where Tallow lacks it; bytes per element).
DTYPES: Final[dict[str, tuple[str, int]]] = {
    "bool": ("bool", 1),
    "uint8": ("u8", 1),
    "int8": ("i8", 1),
    "int16": ("i16", 2),
    "uint16": ("u16", 2),
    "int32": ("i32", 4),
    "uint32": ("u32", 4),
    "int64": ("i64", 8),
    "uint64": ("u64", 8),
    "float16": ("f16", 2),
    "bfloat16": ("bf16", 2),
    "float32": ("f32", 4),
    "float64": ("f64", 8),
    "float8_e4m3fn": ("f8e4m3", 1),
    "float8_e5m2": ("f8e5m2", 1),
    "complex64": ("complex64", 8),
    "complex32": ("complex32", 4),
    "complex128": ("complex128", 16),
    "float8_e4m3fnuz": ("float8_e4m3fnuz", 1),
    "float8_e5m2fnuz": ("float8_e5m2fnuz", 1),
    "float8_e8m0fnu": ("float8_e8m0fnu", 1),
    "float4_e2m1fn_x2": ("float4_e2m1fn_x2", 1),
    "qint8": ("qint8", 1),
    "quint8": ("quint8", 1),
    "qint32": ("qint32", 4),
    "quint4x2": ("quint4x2", 1),
    "quint2x4": ("quint2x4", 1),
}

# Dtypes that Tallow has: what the table translates.
SUPPORTED: Final = frozenset(name for name, (ours, _) in DTYPES.items() if ours != name) | {
    "bool",
    "complex64",
}

# PyTorch's storage classes, by what they hold; an untyped one holds bytes.
STORAGES: Final[dict[str, str]] = {
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "uint8",
}

# Names that PyTorch gives the same dtype, as in `torch.float`.
DTYPE_ALIASES: Final = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "chalf": "complex32",
}


@dataclass(slots=True, eq=False)
class Storage:
    """A run of bytes that tensors are views of; `offset` is its place in the file, once known.

    `dtype` is the element type that the file declares, by PyTorch's name; `meta` says that there
    are no bytes. A part of another storage names that one as `root` and begins `start` bytes in it.
    """

    key: str
    dtype: str
    nbytes: int
    offset: int | None = None
    meta: bool = False
    root: Storage | None = None
    start: int = 0

    def __repr__(self) -> str:
        return f"Storage({self.key[:60]!r}, {self.dtype}, {self.nbytes} bytes)"


@dataclass(slots=True, eq=False)
class TensorRef:
    """A tensor as the file describes it: `offset` and `strides` in elements, nothing read yet.

    `problem` says why it cannot be had ("" when it can): sparse, quantised, without data.
    """

    storage: Storage | None
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool = False
    problem: str = ""

    def __repr__(self) -> str:
        return f"TensorRef({self.dtype}, {len(self.shape)} axes)"


@dataclass(slots=True, eq=False)
class Record:
    """An object of a class that Tallow does not have: its name, and what the file says of it.

    `attributes` are those of the object, `args` what it was made from, `entries` and `values` the
    items of one that is also a mapping or a list (None when there are none). A record is inert: it
    has no behaviour at all.
    """

    name: str
    args: tuple[Any, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    entries: dict[Any, Any] | None = None
    values: list[Any] | None = None

    def __repr__(self) -> str:
        return f"Record({self.name[:60]!r}, {len(self.attributes)} attributes)"


@dataclass(slots=True, eq=False)
class NumpyType:
    """A dtype of numpy by its code, such as "f8", and its byte order, "<", ">" or "|"."""

    code: str
    order: str = "|"

    @property
    def size(self) -> int:
        """Bytes per element."""
        digits = int(self.code[1:])
        return 4 * digits if self.code[0] == "U" else digits

    def __repr__(self) -> str:
        return f"NumpyType({self.order}{self.code})"


@dataclass(slots=True, eq=False)
class NumpyArray:
    """An array of numpy that stands in the pickle itself; `numpy()` makes it one."""

    dtype: str = "|u1"
    shape: tuple[int, ...] = (0,)
    fortran: bool = False
    data: bytes = b""

    def numpy(self) -> Any:
        """The array, read-only, on the bytes of the pickle."""
        import numpy as np

        flat = np.frombuffer(self.data, self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")

    def __repr__(self) -> str:
        return f"NumpyArray({self.dtype!r}, {len(self.shape)} axes, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name of the allow-list: what REDUCE (`call`) and NEWOBJ (`new`) do with it is ours.

    The name never leads to an import. One without `call` and `new` stands for itself.
    """

    name: str
    call: Callable[[Machine, tuple[Any, ...]], Any] | None = None
    new: Callable[[Machine, tuple[Any, ...]], Any] | None = None

    def __repr__(self) -> str:
        return f"Global({self.name[:60]!r})"


def described(value: object) -> str:
    """A value for an error text, in bounded time: what a container holds is not looked at."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float | complex):
        return repr(value)
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= 60 else f"{value[:60]!r}… ({len(value)} long)"
    if isinstance(value, Global):
        return f"the name {value.name[:60]!r}"
    size = f" of {len(value)}" if isinstance(value, tuple | list | dict | set | frozenset) else ""
    return f"a {type(value).__name__}{size}"
