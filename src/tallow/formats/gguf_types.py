"""The numbers of GGUF: limits, types of metadata values, types of tensors and their blocks."""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

MAGIC: Final = b"GGUF"
DEFAULT_ALIGNMENT: Final = 32
MAX_DIMS: Final = 4  # GGML_MAX_DIMS
MAX_NAME: Final = 2**16 - 1  # bytes in a metadata key; llama.cpp keeps tensor names below 64 or 128
MAX_NESTING: Final = 8  # arrays in arrays; the specification sets no limit, llama.cpp takes 1


class GGMLType(NamedTuple):
    """How ggml stores a tensor: `size` bytes for each `block` elements of a row."""

    name: str
    block: int
    size: int


# The ids of ggml.h, the sizes of ggml-common.h.
GGML_TYPES: Final[dict[int, GGMLType]] = {
    0: GGMLType("f32", 1, 4),
    1: GGMLType("f16", 1, 2),
    2: GGMLType("q4_0", 32, 18),
    3: GGMLType("q4_1", 32, 20),
    6: GGMLType("q5_0", 32, 22),
    7: GGMLType("q5_1", 32, 24),
    8: GGMLType("q8_0", 32, 34),
    9: GGMLType("q8_1", 32, 36),
    10: GGMLType("q2_k", 256, 84),
    11: GGMLType("q3_k", 256, 110),
    12: GGMLType("q4_k", 256, 144),
    13: GGMLType("q5_k", 256, 176),
    14: GGMLType("q6_k", 256, 210),
    15: GGMLType("q8_k", 256, 292),
    16: GGMLType("iq2_xxs", 256, 66),
    17: GGMLType("iq2_xs", 256, 74),
    18: GGMLType("iq3_xxs", 256, 98),
    19: GGMLType("iq1_s", 256, 50),
    20: GGMLType("iq4_nl", 32, 18),
    21: GGMLType("iq3_s", 256, 110),
    22: GGMLType("iq2_s", 256, 82),
    23: GGMLType("iq4_xs", 256, 136),
    24: GGMLType("i8", 1, 1),
    25: GGMLType("i16", 1, 2),
    26: GGMLType("i32", 1, 4),
    27: GGMLType("i64", 1, 8),
    28: GGMLType("f64", 1, 8),
    29: GGMLType("iq1_m", 256, 56),
    30: GGMLType("bf16", 1, 2),
    34: GGMLType("tq1_0", 256, 54),
    35: GGMLType("tq2_0", 256, 66),
    39: GGMLType("mxfp4", 32, 17),
    40: GGMLType("nvfp4", 64, 36),
    41: GGMLType("q1_0", 128, 18),
    42: GGMLType("q2_0", 64, 18),
}
GGML_IDS: Final = {row.name: number for number, row in GGML_TYPES.items()}

# Ids that ggml has withdrawn: the numbers are never reused, the layouts are not read any more.
WITHDRAWN_TYPES: Final[dict[int, str]] = {
    4: "q4_2",
    5: "q4_3",
    31: "q4_0_4_4",
    32: "q4_0_4_8",
    33: "q4_0_8_8",
    36: "iq4_nl_4_4",
    37: "iq4_nl_4_8",
    38: "iq4_nl_8_8",
}

# Metadata values: id → name, as llama.cpp prints it.
KINDS: Final[dict[int, str]] = {
    0: "u8", 1: "i8", 2: "u16", 3: "i16", 4: "u32", 5: "i32", 6: "f32", 7: "bool", 8: "str",
    9: "arr", 10: "u64", 11: "i64", 12: "f64",
}  # fmt: skip
KIND_IDS: Final = {name: number for number, name in KINDS.items()}
# id → struct code; strings and arrays have a length in front.
SCALARS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
STRUCTS: Final = {kind: struct.Struct("<" + code) for kind, code in SCALARS.items()}
UINT32, BOOL, STRING, ARRAY = 4, 7, 8, 9


class Typed(NamedTuple):
    """A metadata value with its GGUF type, where Python's own type leaves it open.

    `kind` is one of u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bool str, or `arr[…]` around one of them
    or around another `arr[…]`. The rare array of arrays that are not all of one kind is `arr[arr]`,
    and its items are `Typed` themselves.
    """

    kind: str
    value: Any
