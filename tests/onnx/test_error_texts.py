"""What a user reads when a node is given what it does not take: once its name, expected and got."""

import pytest

import tallow as tl
from tallow.errors import ArgumentError, DTypeError, ShapeError
from tallow.formats.onnx import ValueInfo, ValueType
from tallow.formats.onnx.types import CODES
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.program import Program
from tallow.onnx.signature import bind

NAN = float("nan")
X, BOOLS = tl.zeros(2, 3), tl.zeros(2, 3, dtype="bool")

CASES = {
    "range": ("Range", [tl.tensor(0.0), tl.tensor(NAN), tl.tensor(1.0)], {}, ArgumentError,
              "expected finite start, limit and delta, got (0.0, nan, 1.0)"),
    "range step": ("Range", [tl.tensor(0), tl.tensor(3), tl.tensor(0)], {}, ArgumentError,
                   "expected a delta other than 0, got 0"),
    "scales": ("Resize", [X, None, tl.tensor([NAN, 1.0])], {}, ArgumentError,
               "expected finite scales above 0, got [nan, 1.0]"),
    "sizes": ("Resize", [X, None, None, tl.tensor([2, -2])], {}, ArgumentError,
              "expected sizes of at least 0, got [2, -2]"),
    "matmul": ("MatMul", [X, X], {}, ShapeError,
               "expected inner sizes that agree, got (2, 3) and (2, 3)"),
    "add": ("Add", [X, tl.zeros(2, 2)], {}, ShapeError,
            "expected shapes that broadcast, got (2, 3) and (2, 2)"),
    "gemm": ("Gemm", [X, tl.zeros(3, 3), tl.zeros(4)], {}, ShapeError,
             "C beside the product: expected shapes that broadcast, got (2, 3) and (4,)"),
    "norm": ("LayerNormalization", [X, tl.zeros(4)], {}, ShapeError,
             ("scale and bias beside the input: expected shapes that broadcast, "
              "got (2, 3) and (4,)")),
    "softmax": ("Softmax", [X], {"axis": 4}, tl.errors.IndexRangeError,
                "expected an axis in [-2, 1], got 4"),
    "clip": ("Clip", [X, tl.zeros(2)], {}, ShapeError,
             "expected bounds of one element, got (2,)"),
    "not": ("Not", [X], {}, DTypeError, "expected bools, got f32"),
    "and": ("And", [BOOLS, X], {}, DTypeError, "expected bools, got ['bool', 'f32']"),
    "texts": ("StringNormalizer", [X], {}, DTypeError, "expected texts, got f32"),
    "boxes": ("NonMaxSuppression", [tl.zeros(1, 4, 3), tl.zeros(1, 1, 4)], {}, ShapeError,
              "expected boxes (n, b, 4), scores (n, c, b), got ((1, 4, 3), (1, 1, 4))"),
    "einsum": ("Einsum", [X, X], {"equation": "ij,jk->ik"}, ArgumentError,
               "expected sizes of 'j' that agree (3), got 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["", "here"])
@pytest.mark.parametrize("case", CASES)
def test_errors_of_nodes(case, name):
    op_type, inputs, attributes, error, text = CASES[case]
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    row = find("", op_type, 21)
    node = Node(op_type, "", name, names, ["y"], attributes, row, 21)
    infos = [ValueInfo(each, None) for each in names if each]
    program = Program(Graph("g", [node], infos, [ValueInfo("y", None)], {}))
    with pytest.raises(error) as found:
        program.interpret([x for x in inputs if x is not None], [])
    where = f"node 'here' ({op_type})" if name else op_type
    assert str(found.value) == f"{where}: {text}"


def test_a_ragged_list_is_told_with_its_input():
    info = [ValueInfo("x", ValueType("tensor", CODES["float"], (2, 2)))]
    with pytest.raises(ShapeError, match=r"run: expected 'x' of tensor\(float\).* rows of length"):
        bind("run", info, {"x": [[1.0, 2.0], [3.0]]})
