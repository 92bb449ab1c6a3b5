"""Weights in the dtypes that ONNX has: quantised blocks, half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tallow.dtype import DType, f32
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.types import CODES
from tallow.formats.writing import tensor_bytes
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value
from tallow.ops import cat
from tallow.tensor import Tensor

BLOCK: Final = 32  # elements that share a scale
FROM: Final = 21  # the opset whose DequantizeLinear takes blocks and 4 bits

Codes = tuple[str, Tensor]  # ONNX's element type and (…, 32) codes, of 4 bits (…, 16) pairs


def dense(g: Emitter, weight: Any, dtype: DType) -> Any:
    """A weight in a float dtype: as it is, by Cast, or by DequantizeLinear of its blocks.

    Blocks of a scale alone are exact so, from opset 21 on; others are written as floats.
    """
    if not isinstance(weight, Value) or not weight.dtype.is_quantized:
        return g.cast(weight, dtype)
    made = g.dequantized.get((weight, dtype))
    if made is None:
        blocks = _BLOCKS.get(weight.dtype.name)
        kept = blocks is not None and g.opset >= FROM and not g.dequantize
        if blocks is not None and kept:
            made = g.cast(_by_blocks(g, weight, blocks), dtype, f32)
        else:
            made = g.unique(weight.name or "weight")
            g.initializers[made] = weight.tensors[0].to(dtype)
        g.dequantized[weight, dtype] = made
    return made


def _by_blocks(g: Emitter, weight: Value, blocks: Callable[[Tensor], Codes]) -> Any:
    x = weight.tensors[0].detach().contiguous()
    shape = tuple(x.shape)
    raw = x.view("u8").reshape(*shape[:-1], shape[-1] // BLOCK, -1)
    scale = raw[..., :2].contiguous().view("f16").to(f32).squeeze(-1)
    kind, codes = blocks(raw)
    name = g.unique(weight.name or "weight")
    data = b"".join(tensor_bytes(codes.contiguous()))
    g.initializers[name] = StoredTensor(name, CODES[kind], shape, data)
    factor = g.unique(f"{name}_scale")
    g.initializers[factor] = scale
    scope, g.scope = g.scope, name.rpartition(".")[0] or g.scope
    made = g.node("DequantizeLinear", name, factor, axis=len(shape) - 1, block_size=BLOCK)
    g.scope = scope
    return made


def _eight(raw: Tensor) -> Codes:
    return "int8", raw[..., 2:].contiguous()


def _nibbles(packed: Tensor) -> Tensor:
    """The low halves of 16 bytes, then the high ones."""
    return cat([packed.remainder(16), packed.floor_divide(16)], -1)


def _four(raw: Tensor) -> Codes:
    """Codes from 8 on, of which the first of a pair stands in the low half, as two's complement."""
    signed = (_nibbles(raw[..., 2:]) + 8).remainder(16)
    return "int4", signed[..., 0::2] + signed[..., 1::2] * 16


def _five(raw: Tensor) -> Codes:
    """4 bits and, in the 4 bytes before them, a fifth one each; codes from 16 on."""
    parts = [raw[..., 2 + i : 3 + i].floor_divide(1 << k) for i in range(4) for k in range(8)]
    fifth = cat([part.remainder(2) for part in parts], -1)
    codes = _nibbles(raw[..., 6:]) + fifth * 16
    return "int8", codes.to("i8") - 16


_BLOCKS: Final[dict[str, Callable[[Tensor], Codes]]] = {
    "q8_0": _eight, "q4_0": _four, "q5_0": _five,
}  # fmt: skip
