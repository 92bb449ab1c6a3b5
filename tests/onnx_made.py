"""Small ONNX models, written by Tallow's own encoder."""

import io

from tallow.formats.onnx import Graph, Node, ValueInfo, ValueType
from tallow.formats.onnx.types import CODES
from tallow.formats.onnx.writing import OnnxModel, stored, write_onnx


def value(name, shape, kind="float"):
    return ValueInfo(name, ValueType("tensor", CODES[kind], None if shape is None else (*shape,)))


def node(op_type, inputs, outputs, domain="", **attributes):
    split = [each.split() if isinstance(each, str) else list(each) for each in (inputs, outputs)]
    return Node(op_type, domain, f"{op_type}_{split[1][0]}", *split, attributes)


def graph(inputs, outputs, nodes, weights=None, name="main"):
    tensors = {n: stored(n, w) for n, w in (weights or {}).items()}
    return Graph(name, nodes, inputs, outputs, tensors)


def raw(inputs, outputs, nodes, weights=None, opsets=None, **more):
    """The bytes of a file."""
    made = graph(inputs, outputs, nodes, weights)
    file = io.BytesIO()
    write_onnx(file, OnnxModel(made, opsets or {"": 17}, **more))
    return file.getvalue()
