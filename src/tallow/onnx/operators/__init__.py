"""ONNX operators, a file a group; a row maps one operator and a range of opsets to our ops."""

from __future__ import annotations

from importlib import import_module
from threading import RLock

from tallow.onnx.operators import table
from tallow.onnx.operators.table import Row
from tallow.onnx.operators.table import own_operator as operator

__all__ = ["GROUPS", "Row", "find", "load_all", "operator"]

# Modules of rows in the order in which they are searched, which is how common their operators are.
GROUPS = (
    "elementwise",
    "conv",
    "matmul",
    "shape",
    "activation",
    "indexing",
    "normalization",
    "softmax",
    "pool",
    "reduction",
    "casting",
    "creation",
    "logic",
    "matrix",
    "padding",
    "resizing",
    "fused",
    "control",
    "selection",
    "scatter",
    "recurrent",
    "quantization",
    "sequences",
    "attention",
    "cumulative",
    "random",
    "image",
    "conv_more",
    "sampling",
    "detection",
    "signal",
    "losses",
    "contrib",
    "contrib_products",
    "contrib_attention",
    "contrib_quantized",
    "contrib_recurrent",
    "ml_features",
    "ml_labels",
    "ml_linear",
    "ml_svm",
    "ml_trees",
    "older",
    "strings",
    "text",
)

_left = list(GROUPS)
_lock = RLock()


def load_all() -> None:
    """Import all modules of rows."""
    while _load_next():
        pass


def _load_next() -> bool:
    """Import the next module of rows; False where there is none."""
    with _lock:
        if not _left:
            return False
        import_module(f"tallow.onnx.operators.{_left[0]}")
        del _left[0]
        return True


def find(domain: str, op_type: str, opset: int) -> Row | None:
    """The row for an operator at an opset of its domain, or None.

    Modules are imported until one has it: a model needs a few of them.
    """
    while (row := table.find(domain, op_type, opset)) is None and _load_next():
        pass
    return row or table.find(domain, op_type, opset)  # another thread may have loaded the last
