"""The file types of llama.cpp: what a model is called after the types that most of it has."""

from __future__ import annotations

from typing import NamedTuple

from tallow.errors import ArgumentError


class FileType(NamedTuple):
    """A row of the table: `code` stands in `general.file_type`.

    `base` is the dtype of a matrix that no rule of the mix singles out.
    """

    name: str
    code: int
    base: str

    @property
    def is_quantized(self) -> bool:
        """Whether matrices are stored in blocks."""
        return self.base not in ("f32", "f16", "bf16")


# Names and codes of `enum llama_ftype` (llama.h), bases of `llama_ftype_get_default_type`. Some are
# not what the name says: iq2_s is a mix around iq2_xs, iq3_xs one around iq3_s. `mxfp4` and `nvfp4`
# are ours: llama.cpp's own MXFP4_MOE leaves everything but experts at q8_0.
FILE_TYPES = {
    row.name: row
    for row in (
        FileType("f32", 0, "f32"),
        FileType("f16", 1, "f16"),
        FileType("bf16", 32, "bf16"),
        FileType("q8_0", 7, "q8_0"),
        FileType("q6_k", 18, "q6_k"),
        FileType("q5_k_m", 17, "q5_k"),
        FileType("q5_k_s", 16, "q5_k"),
        FileType("q5_1", 9, "q5_1"),
        FileType("q5_0", 8, "q5_0"),
        FileType("q4_k_m", 15, "q4_k"),
        FileType("q4_k_s", 14, "q4_k"),
        FileType("q4_1", 3, "q4_1"),
        FileType("q4_0", 2, "q4_0"),
        FileType("iq4_nl", 25, "iq4_nl"),
        FileType("iq4_xs", 30, "iq4_xs"),
        FileType("mxfp4_moe", 38, "mxfp4"),
        FileType("mxfp4", 38, "mxfp4"),
        FileType("nvfp4", 39, "nvfp4"),
        FileType("q3_k_l", 13, "q3_k"),
        FileType("q3_k_m", 12, "q3_k"),
        FileType("q3_k_s", 11, "q3_k"),
        FileType("iq3_m", 27, "iq3_s"),
        FileType("iq3_s", 26, "iq3_s"),
        FileType("iq3_xs", 22, "iq3_s"),
        FileType("iq3_xxs", 23, "iq3_xxs"),
        FileType("q2_k", 10, "q2_k"),
        FileType("q2_k_s", 21, "q2_k"),
        FileType("iq2_m", 29, "iq2_s"),
        FileType("iq2_s", 28, "iq2_xs"),
        FileType("iq2_xs", 20, "iq2_xs"),
        FileType("iq2_xxs", 19, "iq2_xxs"),
        FileType("q2_0", 41, "q2_0"),
        FileType("tq2_0", 37, "tq2_0"),
        FileType("tq1_0", 36, "tq1_0"),
        FileType("iq1_m", 31, "iq1_m"),
        FileType("iq1_s", 24, "iq1_s"),
        FileType("q1_0", 40, "q1_0"),
    )
}
ALIASES = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}


def file_type(name: str) -> FileType:
    """The row called `name`, in either case.

    Raises:
        ArgumentError: no such file type.
    """
    lower = name.lower()
    found = FILE_TYPES.get(ALIASES.get(lower, lower))
    if found is None:
        raise ArgumentError(f"type: expected one of {', '.join(FILE_TYPES)}, got {name!r}")
    return found


def code_of(dtype: str) -> int | None:
    """The `general.file_type` of a file whose matrices are all of `dtype`; None where none says it.

    Of several mixes around a dtype it is the one that adds least.
    """
    for name in (dtype, f"{dtype}_s"):
        if name in FILE_TYPES and FILE_TYPES[name].base == dtype:
            return FILE_TYPES[name].code
    return None
