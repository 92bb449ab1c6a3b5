"""Small graphs of our own nodes, and runners of them."""

import tallow as tl
from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.program import Program
from tallow.onnx.runner import Runner

OPSET = 17


def node(op_type, inputs, outputs, **attributes):
    row = find("", op_type, OPSET)
    return Node(op_type, "", "", inputs.split(), outputs.split(), attributes, row, OPSET)


def graph(nodes, inputs, outputs, constants=None):
    def infos(names):
        return [ValueInfo(name, None) for name in names.split()]

    return Graph("g", nodes, infos(inputs), infos(outputs), constants or {})


def runner(given, **options):
    weights = {n: v for n, v in given.constants.items() if isinstance(v, tl.Tensor)}
    return Runner(Program(given), weights=weights, **options)


def numbers(values):
    return [x.tolist() for x in values]
