"""Products with block-quantised weights: MatMul and Gemm as linear layers on the blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.tensor import Tensor


def product_weights(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, bool]:
    """The constant matrices that products alone use, and whether linear wants them transposed.

    `shapes` are those of constants by name, of sub-graphs too: no two values have one name.
    """
    uses: dict[str, set[bool | None]] = {}

    def look(graph: Graph) -> None:
        for node in graph.nodes:
            matrix = _matrix(node, shapes)
            for place, name in enumerate(node.inputs):
                uses.setdefault(name, set()).add(matrix if place == 1 else None)
            for inner in node.graphs():
                look(inner)
        for each in graph.outputs:
            uses.setdefault(each.name, set()).add(None)

    look(graph)
    found = {}
    for name in shapes:
        ways = uses.get(name, set())
        if len(ways) == 1 and (way := next(iter(ways))) is not None:
            found[name] = way
    return found


def _matrix(node: Node, shapes: Mapping[str, tuple[int, ...]]) -> bool | None:
    """Whether a node multiplies by its second input as it is, or transposed; None: neither."""
    if node.domain or len(node.inputs) < 2 or len(shapes.get(node.inputs[1], ())) != 2:
        return None
    if node.op_type == "MatMul":
        return True
    given = node.attributes
    plain = given.get("alpha", 1.0) == 1 and given.get("beta", 1.0) == 1
    if node.op_type == "Gemm" and plain and not given.get("transA", 0):
        return not given.get("transB", 0)
    return None


def with_linear(graph: Graph, constants: Mapping[str, Any], exact: bool) -> Graph:
    """The graph with `tallow.Linear` for products by those of `constants` that have blocks.

    With `exact`, activations stay floats; else they are rounded to blocks of int8.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        matrix = constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if isinstance(matrix, Tensor) and matrix.dtype.is_quantized:
            nodes += _linear(node, constants, exact)
        else:
            nodes.append(node.with_graphs(lambda _, inner: with_linear(inner, constants, exact)))
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, graph.constants)


def _linear(node: Node, constants: Mapping[str, Any], exact: bool) -> list[Node]:
    x, weight, *more = node.inputs
    row = find("tallow", "Linear", 1)
    plus = find("", "Add", 14)
    assert row is not None and plus is not None
    attributes = {"exact": int(exact)}
    bias = next(filter(None, more), None)
    if bias is None:
        return [Node("Linear", "tallow", node.name, [x, weight], node.outputs, attributes, row, 1)]
    vector, rows = constants.get(bias), constants[weight].shape[0]
    if isinstance(vector, Tensor) and vector.shape == (rows,):
        given = [x, weight, bias]
        return [Node("Linear", "tallow", node.name, given, node.outputs, attributes, row, 1)]
    inner = f"{node.outputs[0]}/product"
    return [
        Node("Linear", "tallow", node.name, [x, weight], [inner], attributes, row, 1),
        Node("Add", "", f"{node.name}/bias", [inner, bias], node.outputs, {}, plus, 14),
    ]


__all__ = ["product_weights", "with_linear"]
