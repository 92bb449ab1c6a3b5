"""Conversion to and from element types that live on the host: strings, few bits."""

from __future__ import annotations

from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.formats.onnx.types import TYPES
from tallow.onnx.operators.host import as_numpy, as_value, numpy_dtype

_FLOAT8 = (17, 18, 19, 20)


def converted(value: Any, to: int, saturate: bool, round_mode: str) -> Any:
    """A value as the element type `to`."""
    x = as_numpy(value)
    if x.dtype == object:
        x = _of_strings(x, to)
    if TYPES[to].name == "string":
        return as_value(_strings(x))
    if TYPES[to].name == "float8e8m0":
        return as_value(_powers_of_two(x, saturate, round_mode))
    dtype = numpy_dtype(to)
    if saturate and to in _FLOAT8 and x.dtype != dtype:
        import ml_dtypes

        top = float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
        x = x.astype("float64" if x.dtype == "float64" else "float32").clip(-top, top)
    elif TYPES[to].bits < 8 and not TYPES[to].name.startswith("float"):
        x = _few_bits(x, TYPES[to].bits)
    return as_value(x.astype(dtype))


def _few_bits(x: Any, bits: int) -> Any:
    """Integers without the bits that are too many: those of wider integers are dropped."""
    if x.dtype.kind not in "biu":
        x = x.astype("float64").astype("int64")
    return x.astype("int64") & ((1 << bits) - 1)


def _of_strings(x: Any, to: int) -> Any:
    """Numbers that texts stand for; texts themselves for strings."""
    import numpy as np

    if TYPES[to].name == "string":
        return x
    if TYPES[to].numpy.startswith(("int", "uint")):
        whole = [_integer(each) % (1 << 64) for each in x.reshape(-1)]
        return np.array(whole, "uint64").reshape(x.shape)
    return np.array([_number(each) for each in x.reshape(-1)], "float64").reshape(x.shape)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"Cast: expected the text of a number, got {text!r}") from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(_number(text))


def _strings(x: Any) -> Any:
    """Texts of numbers, as short as they name them exactly."""
    import numpy as np

    if x.dtype == object:
        return x
    if x.dtype.kind not in "biufc":  # those of ml_dtypes
        x = x.astype("float32")
    made = np.empty(x.size, object)
    made[:] = [str(each) for each in x.reshape(-1)]
    return made.reshape(x.shape)


def _powers_of_two(x: Any, saturate: bool, round_mode: str) -> Any:
    """float8e8m0: the exponents of f32, rounded as `round_mode` says."""
    import ml_dtypes
    import numpy as np

    modes = round_mode in ("up", "down", "nearest")
    expect(modes, "Cast", 'round_mode "up", "down" or "nearest"', round_mode, ArgumentError)
    bits = np.ascontiguousarray(x.astype("float32")).view("uint32").reshape(x.shape)
    exponent = ((bits >> 23) & 0xFF).astype("int64")
    rest = bits & 0x7FFFFF
    unknown = (exponent == 0xFF) & ((rest != 0) | (not saturate))
    if round_mode == "up":
        exponent += (rest > 0) & (exponent < 0xFF)
    elif round_mode == "nearest":
        exponent += (rest >= 0x400000) & (exponent < 0xFF)
    if saturate:
        exponent = exponent.clip(0, 0xFE)
    exponent[unknown] = 0xFF
    return exponent.astype("uint8").view(ml_dtypes.float8_e8m0fnu)


def recoded(value: Any, to: int) -> Any:
    """The bits of a value as the element type `to` of the same width.

    Types of fewer than 8 bits have a byte for each element here; its upper bits repeat the sign of
    int4 and int2, and are 0 in the others.
    """
    x, bits = as_numpy(value), TYPES[to].bits
    if bits < 8:
        raw = x.view("uint8") & ((1 << bits) - 1)
        if TYPES[to].name.startswith("int"):
            half = 1 << (bits - 1)
            raw = ((raw.astype("int8") ^ half) - half).view("uint8")
        return as_value(raw.view(numpy_dtype(to)))
    return as_value(x.view(numpy_dtype(to)))
