"""Weights in the dtypes that ONNX has: quantised blocks, half precision."""

from __future__ import annotations

from typing import Any

from tallow.dtype import DType
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value


def dense(g: Emitter, weight: Any, dtype: DType) -> Any:
    """A weight in a float dtype: as it is, by Cast, or with its blocks dequantised."""
    if not isinstance(weight, Value) or not weight.dtype.is_quantized:
        return g.cast(weight, dtype)
    made = g.dequantized.get((weight, dtype))
    if made is None:
        name = g.unique(weight.name or "weight")
        g.initializers[name] = weight.tensors[0].to(dtype)
        made = g.dequantized[weight, dtype] = name
    return made
