"""ONNX, the exchange format of neural networks: protobuf messages of graphs, nodes and tensors.

Source: https://github.com/onnx/onnx/blob/main/docs/IR.md
"""

from tallow.formats.onnx.graph import Function, Graph, Node, Reference, ValueInfo, ValueType
from tallow.formats.onnx.reading import OnnxFile, open_onnx
from tallow.formats.onnx.tensors import SparseTensor, StoredTensor
from tallow.formats.onnx.types import TYPES, ElementType

__all__ = [
    "TYPES",
    "ElementType",
    "Function",
    "Graph",
    "Node",
    "OnnxFile",
    "Reference",
    "SparseTensor",
    "StoredTensor",
    "ValueInfo",
    "ValueType",
    "open_onnx",
]
