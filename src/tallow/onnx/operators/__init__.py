"""ONNX operators, a file a group; a row maps one operator and a range of opsets to our ops."""

from __future__ import annotations

from importlib import import_module

from tallow.onnx.operators import table
from tallow.onnx.operators.table import Row, operator

__all__ = ["GROUPS", "Row", "find", "load_all", "operator"]

# Modules of rows by domain, in the order in which they are imported.
GROUPS = (
    "elementwise",
    "fused",
    "shape",
    "indexing",
    "scatter",
    "quantization",
    "contrib",
    "contrib_products",
    "contrib_attention",
    "contrib_quantized",
    "activation",
    "casting",
    "creation",
    "cumulative",
    "logic",
    "reduction",
    "control",
    "sequences",
    "matrix",
    "random",
    "resizing",
    "padding",
    "image",
    "selection",
    "conv",
    "pool",
    "normalization",
    "matmul",
    "softmax",
    "recurrent",
    "attention",
    "losses",
    "signal",
    "conv_more",
    "sampling",
    "detection",
    "older",
    "ml_features",
    "ml_labels",
    "ml_linear",
    "ml_svm",
    "ml_trees",
)

_loaded = False


def load_all() -> None:
    """Import all modules of rows."""
    global _loaded
    for name in GROUPS:
        import_module(f"tallow.onnx.operators.{name}")
    _loaded = True


def find(domain: str, op_type: str, opset: int) -> Row | None:
    """The row for an operator at an opset of its domain, or None."""
    if not _loaded:
        load_all()
    return table.find(domain, op_type, opset)
