"""Operators of shapes and orders of axes, at all opsets and dtypes, by onnx's evaluator."""

import numpy as np
import pytest

from tallow.errors import TallowError

pytestmark = pytest.mark.needs_formats

DTYPES = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e8m0fnu",
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
    "int4",
    "uint4",
    "float4_e2m1fn",
    "int2",
    "uint2",
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
    high = {"int2": 2, "bool": 2}.get(dtype, 4)
    return np.asarray(rng.integers(0, high, shape)).astype(kind)


X = sample((2, 3, 4))
CASES = {
    "reshape zero": ("Reshape", [X, ints(0, -1)], {}, (7, 13, 14, 25)),
    "reshape scalar": ("Reshape", [X[:1, :1, :1], ints()], {}, (7, 25)),
    "reshape allowzero": ("Reshape", [sample((0, 3)), ints(3, 0)], {"allowzero": 1}, (14, 25)),
    "reshape empty": ("Reshape", [sample((0, 3, 2)), ints(0, 6)], {}, (7, 25)),
    "flatten": ("Flatten", [X], {"axis": 2}, (7, 9, 25)),
    "flatten 0": ("Flatten", [X], {"axis": 0}, (7, 25)),
    "flatten end": ("Flatten", [X], {"axis": 3}, (9, 25)),
    "flatten back": ("Flatten", [X], {"axis": -1}, (11, 25)),
    "squeeze all 1": ("Squeeze", [X[:1, :, :1]], {}, (7, 11, 13, 25)),
    "squeeze 1": ("Squeeze", [X[:1, :, :1]], {"axes": [-1]}, (11, 12)),
    "squeeze 13": ("Squeeze", [X[:1, :, :1], ints(-1, 0)], {}, (13, 21, 25)),
    "unsqueeze 1": ("Unsqueeze", [X], {"axes": [0, 3]}, (7, 12)),
    "unsqueeze 13": ("Unsqueeze", [X, ints(-1, 1)], {}, (13, 21, 25)),
    "transpose": ("Transpose", [X], {}, (7, 13, 25)),
    "transpose perm": ("Transpose", [X], {"perm": [1, 2, 0]}, (7, 13, 25)),
    "expand": ("Expand", [X[:, :1], ints(3, 1)], {}, (8, 13)),
    "expand more": ("Expand", [X[0, 0], ints(5, 2, 1)], {}, (8, 13)),
    "tile": ("Tile", [X, ints(2, 1, 3)], {}, (7, 13)),
    "tile none": ("Tile", [X, ints(0, 1, 1)], {}, (13,)),
    "concat": ("Concat", [X, X[:, :1], X[:, :0]], {"axis": -2}, (11, 13)),
    "concat one": ("Concat", [X], {"axis": 0}, (7, 13)),
    "slice 1": ("Slice", [X], {"starts": [0, -3], "ends": [1, 99], "axes": [0, 2]}, (7, 9)),
    "slice 1 axes": ("Slice", [X], {"starts": [1], "ends": [-1]}, (7, 9)),
    "slice 10": ("Slice", [X, ints(1), ints(2**63 - 1), ints(2)], {}, (10, 13)),
    "slice back": ("Slice", [X, ints(-1), ints(-(2**63)), ints(1), ints(-2)], {}, (10, 13)),
    "slice i32": ("Slice", [X, *(ints(v, dtype="int32") for v in (2, -9, -1, -1))], {}, (10, 13)),
    "slice none": ("Slice", [X, ints(3), ints(1), ints(2)], {}, (13,)),
    "slice far": ("Slice", [X, ints(9, 0), ints(99, 2)], {}, (13,)),
    "slice steps alone": ("Slice", [X, ints(3), ints(0), None, ints(-1)], {}, (13,)),
}  # fmt: skip
SPLITS = {
    "2 even": ([X], {"axis": 2}, 2, (7, 11)),
    "2 sizes": ([X], {"axis": -1, "split": [1, 0, 3]}, 3, (11, 12)),
    "13 sizes": ([X, ints(1, 3)], {"axis": 2}, 2, (13, 17, 18)),
    "13 even": ([X], {"axis": 2}, 2, (13, 17)),
    "18 uneven": ([X], {"axis": 2, "num_outputs": 3}, 3, (18,)),
    "18 even": ([X], {"axis": 1, "num_outputs": 3}, 3, (18, 28)),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(name):
    from one_node import check

    op_type, inputs, attributes, opsets = CASES[name]
    for opset in opsets:
        check(op_type, inputs, attributes, opset)
        if len(inputs) > 1 and op_type != "Concat":
            check(
                op_type,
                inputs,
                attributes,
                opset,
                fixed=[i for i, x in enumerate(inputs) if i and x is not None],
            )


@pytest.mark.parametrize("name", SPLITS)
def test_split_equals_the_reference(name):
    from one_node import check

    inputs, attributes, outputs, opsets = SPLITS[name]
    for opset in opsets:
        check("Split", inputs, attributes, opset, outputs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_of_every_dtype(dtype):
    from one_node import check

    x = sample((2, 3, 4), dtype)
    check("Reshape", [x, ints(4, 6)], opset=25)
    check("Flatten", [x], opset=25)
    check("Unsqueeze", [x, ints(0)], opset=25)
    check("Squeeze", [x[:1]], opset=25)
    check("Transpose", [x], opset=25)
    if "8_" in dtype or "4" in dtype.removesuffix("64") or "int2" in dtype:
        return
    check("Expand", [x, ints(2, 2, 3, 4)])
    check("Tile", [x, ints(1, 2, 1)])
    check("Concat", [x, sample((2, 3, 4), dtype, 1)], {"axis": 1})
    check("Split", [x], {"axis": 1, "num_outputs": 3}, outputs=3)
    check("Slice", [x, ints(-1), ints(-9), ints(2), ints(-1)])


BAD = {
    "reshape floats": ("Reshape", [X, np.array([2.0, 12.0])], {}),
    "reshape matrix": ("Reshape", [X, ints([2], [12])], {}),
    "reshape texts": ("Reshape", [X, np.array(["24"], object)], {}),
    "concat kinds": ("Concat", [X, np.array([[["a"]]], object)], {"axis": 0}),
    "squeeze matrix": ("Squeeze", [X, ints([0])], {}),
    "slice floats": ("Slice", [X, np.array([1.5]), ints(2)], {}),
    "reshape count": ("Reshape", [X, ints(5, 5)], {}),
    "reshape two": ("Reshape", [X, ints(-1, -1)], {}),
    "reshape low": ("Reshape", [X, ints(-2, 12)], {}),
    "reshape zero": ("Reshape", [X, ints(2, 3, 4, 0)], {}),
    "reshape allowzero": ("Reshape", [X, ints(0, -1)], {"allowzero": 1}),
    "reshape huge": ("Reshape", [X, ints(2**62, 2**62)], {}),
    "flatten": ("Flatten", [X], {"axis": 4}),
    "squeeze": ("Squeeze", [X, ints(1)], {}),
    "squeeze far": ("Squeeze", [X, ints(3)], {}),
    "unsqueeze twice": ("Unsqueeze", [X, ints(1, 1)], {}),
    "transpose": ("Transpose", [X], {"perm": [0, 1]}),
    "transpose twice": ("Transpose", [X], {"perm": [0, 1, 1]}),
    "transpose far": ("Transpose", [X], {"perm": [0, 1, 3]}),
    "expand": ("Expand", [X, ints(2, 5, 4)], {}),
    "expand low": ("Expand", [X[:1], ints(-1, 3, 4)], {}),
    "expand huge": ("Expand", [X[:1], ints(2**62, 2**62, 2**62, 2, 3, 4)], {}),
    "tile": ("Tile", [X, ints(2)], {}),
    "tile low": ("Tile", [X, ints(1, -1, 1)], {}),
    "tile huge": ("Tile", [X, ints(2**62, 2**62, 2**61)], {}),
    "concat": ("Concat", [X, X[:, :, :2]], {"axis": 0}),
    "concat dtype": ("Concat", [X, X.astype("int32")], {"axis": 0}),
    "concat rank": ("Concat", [X, X[0]], {"axis": 0}),
    "concat far": ("Concat", [X, X], {"axis": 3}),
    "split": ("Split", [X, ints(1, 2)], {}),
    "split low": ("Split", [X, ints(3)], {}),
    "split number": ("Split", [X], {"num_outputs": 2}),
    "slice step": ("Slice", [X, ints(0), ints(1), ints(0), ints(0)], {}),
    "slice axes": ("Slice", [X, ints(0), ints(1), ints(5)], {}),
    "slice count": ("Slice", [X, ints(0), ints(1, 2)], {}),
    "slice twice": ("Slice", [X, ints(0, 0), ints(1, 2), ints(1, -2)], {}),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    from one_node import run

    op_type, inputs, attributes = BAD[name]
    with pytest.raises(TallowError, match=op_type):
        run(op_type, inputs, attributes)


def test_views_share_memory():
    import tallow as tl
    from one_node import model

    x = tl.tensor(X)
    for op_type, inputs, attributes in (
        ("Slice", [X, ints(1), ints(3), ints(1)], {}),
        ("Transpose", [X], {}),
        ("Unsqueeze", [X, ints(0)], {}),
        ("Reshape", [X, ints(6, -1)], {}),
        ("Expand", [X, ints(5, 2, 3, 4)], {}),
    ):
        proto, feeds = model(op_type, inputs, attributes)
        found = tl.onnx.load(proto.SerializeToString(), plans=False)
        given = {n: x if n == "x0" else tl.tensor(v) for n, v in feeds.items()}
        assert found.run(given)["y0"].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
