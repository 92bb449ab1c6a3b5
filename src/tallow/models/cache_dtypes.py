"""What attention's keys and values are kept in."""

from __future__ import annotations

from collections.abc import Iterable

from tallow.dtype import DType, as_dtype, bf16, f16, f32, f64, q8_0
from tallow.errors import ArgumentError, expect
from tallow.models.layer_states import KeyValue, LayerState
from tallow.nn import Module

CACHE_DTYPES = (f32, f16, bf16, q8_0)


def cache_dtype_for(model: Module, activations: str) -> DType:
    """What a model's keys and values are kept in where nobody says: f16, or f32 where it is exact.

    That is where `activations` are floats and where matrices are of f32. Others are rounded by more
    than f16 rounds keys and values, and llama.cpp keeps these in f16, too.
    """
    if activations == "float":
        return f32
    matrices = (weight.dtype for weight in model.parameters() if weight.ndim > 1)
    return f16 if any(dtype not in (f32, f64) for dtype in matrices) else f32


def checked_dtype(dtype: DType | str, parts: Iterable[LayerState]) -> DType:
    """The dtype that a text names, if keys and values of these parts can be kept in it."""
    chosen = as_dtype(dtype)
    names = "f32, f16, bf16 or q8_0"
    expect(chosen in CACHE_DTYPES, "State", f"dtype {names}", chosen.name, ArgumentError)
    for part in parts:
        for size in (part.size, part.value_size) if isinstance(part, KeyValue) else ():
            wanted = f"heads of a multiple of {chosen.block} for {chosen.name}"
            expect(size % chosen.block == 0, "State", wanted, size, ArgumentError)
    return chosen
