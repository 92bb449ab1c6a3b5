"""The element types of ONNX tensors: what holds them here, and how they lie in a file."""

from __future__ import annotations

from typing import Final, NamedTuple


class ElementType(NamedTuple):
    """A row: ONNX's name, our dtype or None, numpy's or ml_dtypes' name, bits of an element.

    Where there is none of our dtypes, values live on the host as numpy arrays. `field` is where a
    TensorProto has elements that are not raw.
    """

    name: str
    dtype: str | None
    numpy: str
    bits: int
    field: str


TYPES: Final[dict[int, ElementType]] = {
    1: ElementType("float", "f32", "float32", 32, "float_data"),
    2: ElementType("uint8", "u8", "uint8", 8, "int32_data"),
    3: ElementType("int8", "i8", "int8", 8, "int32_data"),
    4: ElementType("uint16", "u16", "uint16", 16, "int32_data"),
    5: ElementType("int16", "i16", "int16", 16, "int32_data"),
    6: ElementType("int32", "i32", "int32", 32, "int32_data"),
    7: ElementType("int64", "i64", "int64", 64, "int64_data"),
    8: ElementType("string", None, "object", 0, "string_data"),
    9: ElementType("bool", "bool", "bool", 8, "int32_data"),
    10: ElementType("float16", "f16", "float16", 16, "int32_data"),
    11: ElementType("double", "f64", "float64", 64, "double_data"),
    12: ElementType("uint32", "u32", "uint32", 32, "uint64_data"),
    13: ElementType("uint64", "u64", "uint64", 64, "uint64_data"),
    14: ElementType("complex64", "complex64", "complex64", 64, "float_data"),
    15: ElementType("complex128", None, "complex128", 128, "double_data"),
    16: ElementType("bfloat16", "bf16", "bfloat16", 16, "int32_data"),
    17: ElementType("float8e4m3fn", "f8e4m3", "float8_e4m3fn", 8, "int32_data"),
    18: ElementType("float8e4m3fnuz", None, "float8_e4m3fnuz", 8, "int32_data"),
    19: ElementType("float8e5m2", "f8e5m2", "float8_e5m2", 8, "int32_data"),
    20: ElementType("float8e5m2fnuz", None, "float8_e5m2fnuz", 8, "int32_data"),
    21: ElementType("uint4", None, "uint4", 4, "int32_data"),
    22: ElementType("int4", None, "int4", 4, "int32_data"),
    23: ElementType("float4e2m1", None, "float4_e2m1fn", 4, "int32_data"),
    24: ElementType("float8e8m0", None, "float8_e8m0fnu", 8, "int32_data"),
    25: ElementType("uint2", None, "uint2", 2, "int32_data"),
    26: ElementType("int2", None, "int2", 2, "int32_data"),
    27: ElementType("float6e2m3", None, "float6_e2m3fn", 6, "int32_data"),
    28: ElementType("float6e3m2", None, "float6_e3m2fn", 6, "int32_data"),
}
CODES: Final = {row.name: code for code, row in TYPES.items()}
OF_DTYPE: Final = {row.dtype: code for code, row in TYPES.items() if row.dtype}
OF_NUMPY: Final = {row.numpy: code for code, row in TYPES.items()} | {"str": 8}
