"""The dtypes of `csrc/core/dtype.def`, as constants under llama.cpp's and PyTorch's names."""

from __future__ import annotations

from typing import Any

from . import _native
from .errors import DTypeError


class DType:
    """One row of the dtype table; compare with `is` or `==`.

    `itemsize` is in bytes per block, `block` the elements per block (1 for plain dtypes), `kind`
    one of b (bool), u, i, f, c and q (block-quantised, as in llama.cpp).
    """

    __slots__ = ("block", "code", "itemsize", "kind", "name")

    def __init__(self, code: int, name: str, itemsize: int, block: int, kind: str) -> None:
        self.code, self.name, self.itemsize, self.block, self.kind = (
            code,
            name,
            itemsize,
            block,
            kind,
        )

    @property
    def is_floating_point(self) -> bool:
        """Whether values are plain floats (block-quantised dtypes are not)."""
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        """Whether values are complex."""
        return self.kind == "c"

    @property
    def is_signed(self) -> bool:
        """Whether there are negative values."""
        return self.kind in "ifc"

    @property
    def is_quantized(self) -> bool:
        """Whether values are stored in blocks with shared scales."""
        return self.kind == "q"

    def __repr__(self) -> str:
        return f"tl.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (by_name, (self.name,))


DTypeLike = DType | str | None  # a dtype, its name, or the default


DTYPES = tuple(
    DType(code, name.rstrip("_"), itemsize, block, kind)
    for code, (name, itemsize, block, kind) in enumerate(_native.DTYPES)
)
_BY_NAME = {dtype.name: dtype for dtype in DTYPES}


def by_name(name: str) -> DType:
    """The dtype called `name` ("f32", "q4_k", "float32", …); DTypeError for any other text."""
    found = _BY_NAME.get(name) if type(name) is str else getattr(name, "dtype", None)
    if not isinstance(found, DType):
        raise DTypeError(f"dtype: expected one of {', '.join(_BY_NAME)}, got {name!r}")
    return found


def as_dtype(dtype: DType | str) -> DType:
    """`dtype` itself, or the one that the text names."""
    return dtype if isinstance(dtype, DType) else by_name(dtype)


bool_ = _BY_NAME["bool"]
u8, i8, i16, u16 = _BY_NAME["u8"], _BY_NAME["i8"], _BY_NAME["i16"], _BY_NAME["u16"]
i32, u32, i64, u64 = _BY_NAME["i32"], _BY_NAME["u32"], _BY_NAME["i64"], _BY_NAME["u64"]
f16, bf16, f32, f64 = _BY_NAME["f16"], _BY_NAME["bf16"], _BY_NAME["f32"], _BY_NAME["f64"]
f8e4m3, f8e5m2, complex64 = _BY_NAME["f8e4m3"], _BY_NAME["f8e5m2"], _BY_NAME["complex64"]
q4_0, q4_1, q5_0, q5_1 = _BY_NAME["q4_0"], _BY_NAME["q4_1"], _BY_NAME["q5_0"], _BY_NAME["q5_1"]
q8_0, q8_1, q1_0, q2_0 = _BY_NAME["q8_0"], _BY_NAME["q8_1"], _BY_NAME["q1_0"], _BY_NAME["q2_0"]
q2_k, q3_k, q4_k = _BY_NAME["q2_k"], _BY_NAME["q3_k"], _BY_NAME["q4_k"]
q5_k, q6_k, q8_k = _BY_NAME["q5_k"], _BY_NAME["q6_k"], _BY_NAME["q8_k"]
iq1_s, iq1_m, iq2_xxs, iq2_xs = (_BY_NAME[n] for n in ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs"))
iq2_s, iq3_xxs, iq3_s = _BY_NAME["iq2_s"], _BY_NAME["iq3_xxs"], _BY_NAME["iq3_s"]
iq4_nl, iq4_xs, mxfp4, nvfp4 = (_BY_NAME[n] for n in ("iq4_nl", "iq4_xs", "mxfp4", "nvfp4"))
tq1_0, tq2_0, f8e4m3_128 = _BY_NAME["tq1_0"], _BY_NAME["tq2_0"], _BY_NAME["f8e4m3_128"]

# What kernels take: the dtypes for arithmetic.
FLOATS = (f16, bf16, f32, f64)
INTEGERS = (u8, i8, i16, u16, i32, u32, i64, u64)
REALS = (bool_, *INTEGERS, *FLOATS)
UNQUANTIZED = tuple(dtype for dtype in DTYPES if dtype.kind != "q")

# PyTorch's names.
uint8, int8, int16, int32, int64 = u8, i8, i16, i32, i64
uint16, uint32, uint64 = u16, u32, u64
float16, bfloat16, float32, float64 = f16, bf16, f32, f64
half, float_, double, long, short, int_, cfloat = f16, f32, f64, i64, i16, i32, complex64
float8_e4m3fn, float8_e5m2 = f8e4m3, f8e5m2

TORCH_NAMES = {
    "bool": bool_, "uint8": u8, "int8": i8, "int16": i16, "int32": i32, "int64": i64, "uint16":
    u16, "uint32": u32, "uint64": u64, "float16": f16, "bfloat16": bf16, "float32": f32,
    "float64": f64, "half": f16, "float": f32, "double": f64, "long": i64, "int": i32,
    "float8_e4m3fn": f8e4m3, "float8_e5m2": f8e5m2, "complex64": complex64,
}  # fmt: skip
_BY_NAME |= {name: dtype for name, dtype in TORCH_NAMES.items() if name not in _BY_NAME}


class Default:
    """The dtype of floats made without one: f32, until `set_default_dtype` says otherwise."""

    float = f32


def set_default_dtype(dtype: DType | str) -> None:
    """Let floats made without a dtype be of `dtype`: f32, f64, f16 or bf16.

    It holds for new tensors of Python's floats, for what is drawn, for parameters of layers made
    from now on, and for quotients of integers.
    """
    wanted = as_dtype(dtype)
    if wanted not in (f32, f64, f16, bf16):
        raise DTypeError(f"set_default_dtype: expected f32, f64, f16 or bf16, got {wanted.name}")
    _native.set_default_float(wanted.code)
    Default.float = wanted


def register_names(names: dict[str, DType]) -> None:
    """Let texts name dtypes, such as PyTorch's typed tensors (`"torch.FloatTensor"`)."""
    _BY_NAME.update(names)
