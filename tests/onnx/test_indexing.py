"""Operators that read, write and pick by indices, by onnx's evaluator."""

import numpy as np
import pytest

from tallow.errors import IndexRangeError, TallowError

pytestmark = pytest.mark.needs_formats

DTYPES = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "bool",
    "complex64",
    "complex128",
    "str",
]


def ints(*values, dtype="int64"):
    return np.array(values, dtype)


def sample(shape, dtype="float32", seed=0):
    """Small integers in every dtype, and texts."""
    import ml_dtypes

    rng = np.random.default_rng(seed)
    if dtype == "str":
        return rng.choice(np.array(["a", "", "bc", "ü"], object), shape).astype(object)
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    return np.asarray(rng.integers(0, 2 if dtype == "bool" else 9, shape)).astype(kind)


X = sample((2, 3, 4))
B1, B2 = {"batch_dims": 1}, {"batch_dims": 2}
ELEMENTS = np.random.default_rng(1).integers(-3, 3, (2, 2, 4))
TUPLES = ints([0, -1], [1, 0], [-2, 2])
CASES = {
    "gather": ("Gather", [X, ints([0, -1], [1, 2])], {"axis": 1}, (7, 11, 13)),
    "gather i32": ("Gather", [X, ints(3, -4, dtype="int32")], {"axis": -1}, (11, 13)),
    "gather one": ("Gather", [X, np.array(-1)], {"axis": 1}, (7, 13)),
    "gather none": ("Gather", [X, ints()], {}, (13,)),
    "gather of none": ("Gather", [X[:, :, :0], ints(1)], {}, (13,)),
    "elements": ("GatherElements", [X, ELEMENTS], {"axis": 1}, (11, 13)),
    "elements i32": ("GatherElements", [X, ELEMENTS.astype("int32")], {"axis": -2}, (13,)),
    "nd": ("GatherND", [X, TUPLES], {}, (11, 12, 13)),
    "nd whole": ("GatherND", [X, ints([[[0, -1, 3]], [[1, 2, -4]]])], {}, (11, 13)),
    "nd batch": ("GatherND", [X, ints([[1, 2], [0, 0]], [[-1, -1], [2, 3]])], B1, (12, 13)),
    "nd batch 2": ("GatherND", [X, ints([[1], [2], [0]], [[-1], [3], [2]])], B2, (13,)),
    "compress": ("Compress", [X, np.array([True, False, True])], {"axis": 1}, (9, 11, 28)),
    "compress short": ("Compress", [X, np.array([False, True])], {"axis": -1}, (11,)),
    "compress flat": ("Compress", [X, np.array([True, False, True])], {}, (9, 11)),
    "nonzero": ("NonZero", [X % 2], {}, (9, 13)),
    "nonzero bool": ("NonZero", [X > 4], {}, (9, 13)),
    "reverse 0": ("ReverseSequence", [X, ints(3, 2)], {"batch_axis": 0, "time_axis": 1}, (10, 28)),
    "reverse 1": ("ReverseSequence", [X, ints(1, 2, 2)], {}, (10, 28)),
}  # fmt: skip
WRITES = {
    "elements": ("ScatterElements", [X, ELEMENTS, X[:, :2]], {"axis": 1}, (11, 13, 16, 18)),
    "elements none": ("ScatterElements", [X, ELEMENTS[:0], X[:0, :2]], {"axis": 1}, (18,)),
    "nd": ("ScatterND", [X, TUPLES, sample((3, 4), seed=2)], {}, (11, 13, 16, 18)),
    "nd rows": ("ScatterND", [X, ints([-1]), sample((1, 3, 4), seed=2)], {}, (13, 18)),
    "nd whole": ("ScatterND", [X, ints([[0, 1, 2]], [[1, -1, -1]]), sample((2, 1))], {}, (13, 18)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES | WRITES)
def test_equals_the_reference(name):
    from one_node import check

    op_type, inputs, attributes, opsets = (CASES | WRITES)[name]
    for opset in opsets:
        check(op_type, inputs, attributes, opset)
        if len(inputs) > 1:
            check(op_type, inputs, attributes, opset, fixed=(1,))


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
def test_reductions_count_all_of_equal_indices(reduction):
    from one_node import check

    for dtype in ("float32", "float64", "float16", "int32", "int64", "uint8", "int8"):
        x, u = sample((2, 3, 4), dtype) % 3, sample((2, 5, 4), dtype, 3) % 3
        at = np.random.default_rng(4).integers(-3, 3, (2, 5, 4))
        given = {"axis": 1, "reduction": reduction}
        for opset in (16, 18) if reduction in ("add", "mul") else (18,):
            check("ScatterElements", [x, at, u], given, opset)
            rows = ints([0, 1], [-2, 1], [1, 2], [0, -2], [1, -1])
            given_nd = {"reduction": reduction}
            check("ScatterND", [x, rows, u[0]], given_nd, opset)
            check("ScatterND", [x, ints([1], [1]), u[:, :3]], given_nd, opset)


@pytest.mark.parametrize("dtype", DTYPES)
def test_moves_every_dtype(dtype):
    from one_node import check

    x, u = sample((2, 3, 4), dtype), sample((2, 2, 4), dtype, 3)
    check("Gather", [x, ints(2, -1)], {"axis": 2})
    check("GatherElements", [x, ELEMENTS], {"axis": 1})
    check("GatherND", [x, TUPLES])
    check("Compress", [x, np.array([True, False, True])], {"axis": 1})
    check("ReverseSequence", [x, ints(1, 2, 2)])
    check("NonZero", [x])
    check("ScatterElements", [x, np.argsort(ELEMENTS, 1), u], {"axis": 1})
    check("ScatterND", [x, TUPLES, sample((3, 4), dtype, 3)])


@pytest.mark.parametrize("dtype", DTYPES[:12])
def test_top_k(dtype):
    from one_node import check

    x = sample((3, 7, 2), dtype)
    for given in ({}, {"largest": 0}, {"axis": 1}, {"axis": 0, "largest": 0}):
        n = x.shape[given.get("axis", -1)]
        check("TopK", [x, ints(n)], given, 24, 2)
        check("TopK", [x, ints(2)], given, 24, 2, fixed=(1,))
    if dtype in ("float32", "float64", "float16"):
        check("TopK", [x], {"k": 3, "axis": 1}, 7, 2)
        check("TopK", [x, ints(3)], {"axis": 1}, 10, 2)


def test_scatter_is_scatter_elements():
    from one_node import equal, expected, run

    inputs = [X, ELEMENTS[:, :1], sample((2, 1, 4), seed=2)]
    want = expected("ScatterElements", inputs, {"axis": 1}, 11)
    for opset in (9, 10):
        equal(run("Scatter", inputs, {"axis": 1}, opset)[0], want[0], 0)


def test_nonzero_of_a_scalar_has_no_rows():
    from one_node import run

    assert run("NonZero", [np.array(3.0, "float32")])[0].shape == (0, 1)
    assert run("NonZero", [np.array(0.0, "float32")])[0].shape == (0, 0)


FAR = {
    "gather": ("Gather", [X, ints(3)], {"axis": 1}),
    "gather low": ("Gather", [X, ints(-4)], {"axis": 1}),
    "gather huge": ("Gather", [X, ints(2**62)], {"axis": 1}),
    "elements": ("GatherElements", [X, ints([[3]])], {"axis": 1}),
    "elements low": ("GatherElements", [X, ints([[-4]])], {"axis": 1}),
    "elements lowest": ("GatherElements", [X, ints([[-(2**63)]])], {"axis": 1}),
    "nd": ("GatherND", [X, ints([0, 3])], {}),
    "nd low": ("GatherND", [X, ints([-3, 0])], {}),
    "scatter": ("ScatterElements", [X, ints([[3]]), X[:1, :1, :1]], {"axis": 1}),
    "scatter low": ("ScatterElements", [X, ints([[-4]]), X[:1, :1, :1]], {"axis": 1}),
    "scatter nd": ("ScatterND", [X, ints([0, 3]), X[0, :1]], {}),
    "scatter nd low": ("ScatterND", [X, ints([0, -4]), X[0, :1]], {}),
    "scatter nd mul": ("ScatterND", [X, ints([0, 4]), X[0, :1]], {"reduction": "mul"}),
}  # fmt: skip
BAD = {
    "nd texts": ("GatherND", [X, np.array([["0"]], object)], {}),
    "updates texts": ("ScatterND", [X, TUPLES, np.array([["a"] * 4] * 3, object)], {}),
    "top_k float": ("TopK", [X, np.array([1.0])], {}),
    "gather axis": ("Gather", [X, ints(0)], {"axis": 3}),
    "elements rank": ("GatherElements", [X, ints(0)], {}),
    "elements long": ("GatherElements", [X, np.zeros((1, 4, 1), "int64")], {}),
    "nd long": ("GatherND", [X, ints([0, 0, 0, 0])], {}),
    "nd batch": ("GatherND", [X, ints([0], [0], [0])], {"batch_dims": 1}),
    "nd batches": ("GatherND", [X, ints([0], [0])], {"batch_dims": 2}),
    "compress": ("Compress", [X, np.array([[True]])], {}),
    "top_k": ("TopK", [X, ints(5)], {}),
    "top_k low": ("TopK", [X, ints(-1)], {}),
    "top_k two": ("TopK", [X, ints(1, 2)], {}),
    "top_k bool": ("TopK", [X > 2, ints(1)], {}),
    "reverse": ("ReverseSequence", [X, ints(1, 2)], {}),
    "reverse far": ("ReverseSequence", [X, ints(1, 3, 2)], {}),
    "reverse low": ("ReverseSequence", [X, ints(1, -1, 2)], {}),
    "reverse axes": ("ReverseSequence", [X, ints(1, 2, 2)], {"batch_axis": 1, "time_axis": 2}),
    "updates": ("ScatterElements", [X, ELEMENTS, X], {"axis": 1}),
    "updates nd": ("ScatterND", [X, TUPLES, X], {}),
    "updates dtype": ("ScatterND", [X, TUPLES, X[0].astype("int32")], {}),
    "reduction": ("ScatterND", [X, TUPLES, X[0]], {"reduction": "mean"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("fixed", [(), (1,)])
def test_indices_outside_are_refused(name, fixed):
    from one_node import run

    op_type, inputs, attributes = FAR[name]
    inputs = [
        inputs[0],
        inputs[1] if "nd" in name or inputs[1].ndim != 2 else inputs[1][None],
        *inputs[2:],
    ]
    for _ in range(2):
        with pytest.raises(IndexRangeError):
            run(op_type, inputs, attributes, fixed=fixed)


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    from one_node import run

    op_type, inputs, attributes = BAD[name]
    with pytest.raises(TallowError, match=op_type):
        run(op_type, inputs, attributes)
