"""Cast, CastLike and BitCast between all element types, against onnx's reference evaluator."""

import io
import itertools

import ml_dtypes
import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError
from tallow.onnx.values import as_value

from .single import check, model_of, run_here, run_reference, same

pytestmark = pytest.mark.needs_formats

PLAIN = ("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
         "uint16", "uint32", "uint64", "bool")  # fmt: skip
FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
FLOAT6 = ("float6_e2m3fn", "float6_e3m2fn")
FEW_BITS = ("int4", "uint4", "int2", "uint2", "float4_e2m1fn")
TYPES = (*PLAIN, *FLOAT8, *FEW_BITS)


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def code_of(name):
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(dtype_of(name)) if name != "string" else 8


def small(name):
    """Numbers that every element type holds without loss, or (bools) nearly."""
    return np.array([[0, 1, 1], [1, 0, 1]], "float32").astype(dtype_of(name))


def varied(name):
    """Numbers over the range of an element type, with halves where there are floats."""
    dtype = dtype_of(name)
    if dtype.kind in "iu" or name in ("int4", "uint4", "int2", "uint2"):
        info = ml_dtypes.iinfo(dtype)
        found = [int(info.min), int(info.max), 1, int(info.max) // 2, int(info.min) // 2]
        return np.array(found).astype(dtype) if name != "uint64" else np.array(found, dtype)
    found = [0.0, 1.5, -2.5, 3.0, 0.6, 100.0, -7.3]
    with np.errstate(all="ignore"):
        return np.array(found, "float32").astype(dtype)


@pytest.mark.parametrize("target", TYPES)
@pytest.mark.parametrize("source", TYPES)
def test_each_type_becomes_each_other(source, target):
    against_reference(small(source), source, target)


def against_reference(x, source, target):
    """A cast as the reference's, whose numpy has no way from few bits to few: by int8."""
    (got,) = run_here("Cast", [x], 25, to=code_of(target))
    by = "int8" if {source, target} <= {*FEW_BITS[:4]} else source
    (want,) = run_reference("Cast", [x.astype(dtype_of(by))], 25, to=code_of(target))
    same(got, want)


@pytest.mark.parametrize("target", [*PLAIN, *FLOAT8, "float4_e2m1fn", *FLOAT6])
@pytest.mark.parametrize("source", ["float16", "float32", "float64", "bfloat16", *FLOAT8, *FLOAT6])
def test_floats_round_to_the_nearest(source, target):
    if np.dtype(dtype_of(target)).kind in "u":
        return  # of negative numbers undefined
    check("Cast", [varied(source)], 28 if "6_" in source + target else 24, to=code_of(target))


@pytest.mark.parametrize("target", [n for n in TYPES if "int" in n])
@pytest.mark.parametrize("source", [n for n in TYPES if "int" in n])
def test_integers_lose_their_upper_bits(source, target):
    against_reference(varied(source), source, target)


BEYOND = [0, -0.0, np.nan, np.inf, -np.inf, 1e5, -1e5, 448, 449, 464, 465, 57344, 61440, 240, 248]


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("target", FLOAT8)
@pytest.mark.parametrize("source", ["float16", "float32", "float64", "bfloat16"])
def test_what_8_bits_cannot_hold_saturates_or_not(source, target, saturate):
    with np.errstate(all="ignore"):
        x = np.array(BEYOND).astype(dtype_of(source))
    (got,) = run_here("Cast", [x], 19, to=code_of(target), saturate=saturate)
    (back,) = run_here("Cast", [got], 19, to=1)
    top = float(ml_dtypes.finfo(dtype_of(target)).max)
    with np.errstate(all="ignore"):
        wide = x.astype("float32")
        want = (np.clip(wide, -top, top) if saturate else wide).astype(dtype_of(target))
    same(back, want.astype("float32"))
    assert np.isnan(back[2])
    assert (back[3] == top) == bool(saturate)


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
@pytest.mark.parametrize("source", ["float16", "float32", "bfloat16"])
def test_powers_of_two_round_by_mode(source, mode, saturate):
    values = [0.0, 1.0, 1.2, 1.5, 1.7, 2.0, 3.0, 1e-3, 6e4, np.nan, 2.0**-14]
    x = np.array(values, "float32").astype(dtype_of(source))
    check("Cast", [x], 24, to=24, round_mode=mode, saturate=saturate)
    # By the standard's table; its reference has NaN in both cases.
    (got,) = run_here("Cast", [np.array([np.inf], "float32")], 24, to=24, saturate=saturate)
    same(got.astype("float32"), np.array([2.0**127 if saturate else np.nan], "float32"))


def test_texts_become_numbers_and_numbers_texts():
    texts = np.array([["1", "-2.5", "1e3"], ["INF", "-inf", "NaN"]], object)
    for target in ("float16", "float32", "float64", "bfloat16"):
        (got,) = run_here("Cast", [texts], 13, to=code_of(target))
        want = np.array([[1, -2.5, 1000], [np.inf, -np.inf, np.nan]]).astype(dtype_of(target))
        same(got, want)
    whole = np.array(["0", "7", "100"], object)
    for target in ("int8", "int32", "int64", "uint8", "uint64", "bool"):
        (got,) = run_here("Cast", [whole], 13, to=code_of(target))
        same(got, np.array([0, 7, 100]).astype(target))
    big = np.array([str(2**64 - 1), str(2**53 + 1)], object)
    (got,) = run_here("Cast", [big], 13, to=code_of("uint64"))
    same(got, np.array([2**64 - 1, 2**53 + 1], "uint64"))
    for source in PLAIN[:3]:
        check("Cast", [varied(source)], 13, to=8)
    check("Cast", [np.array([1, -5], "int64")], 13, to=8)
    with pytest.raises(ArgumentError, match="text of a number"):
        run_here("Cast", [np.array(["abc"], object)], 13, to=1)


def test_a_cast_to_the_same_dtype_is_no_copy():
    x = np.ones(3, "float32")
    model = tl.onnx.load(model_of("Cast", [x], 13, to=1).SerializeToString(), plans=False)
    given = as_value(x)
    assert model(given).data_ptr() == given.data_ptr()


LIKE = ("float32", "float16", "int8", "string", "int4", "float8_e5m2fnuz")


@pytest.mark.parametrize(("source", "target"), [*itertools.permutations(LIKE, 2)])
def test_cast_like_takes_the_type_of_another(source, target):
    def of(name):
        return np.array(["1", "0"], object) if name == "string" else small(name)[0, :2]

    (got,) = run_here("CastLike", [of(source), of(target)], 24)
    assert got.dtype == of(target).dtype
    if target != "string":
        (wide,) = run_here("Cast", [got], 24, to=1)
        (want,) = run_here("Cast", [of(source)], 24, to=1)
        same(wide, want)


@pytest.mark.parametrize(("source", "target"), [
    ("float32", "int32"), ("uint32", "float32"), ("float64", "uint64"), ("float16", "bfloat16"),
    ("int8", "uint8"), ("uint8", "float8_e4m3fn"), ("float8_e5m2fnuz", "int8"), ("int4", "uint4"),
    ("uint4", "int4"), ("complex64", "float64"), ("int16", "float16"), ("uint2", "int2"),
    ("float8_e4m3fn", "float8_e8m0fnu"), ("bool", "uint8"),
])  # fmt: skip
def test_bits_are_kept(source, target):
    x = small("float32").astype(dtype_of(source))
    check("BitCast", [x], 26, to=code_of(target))


def test_bits_of_another_width_and_unknown_types_are_refused():
    x = np.ones(2, "float32")
    with pytest.raises(ArgumentError, match="32 bits"):
        run_here("BitCast", [x], 26, to=11)
    for name in ("Cast", "BitCast"):
        with pytest.raises(ArgumentError, match="element type of ONNX"):
            run_here(name, [x], 26, to=99)
    with pytest.raises(ArgumentError, match="round_mode"):
        run_here("Cast", [x], 24, to=24, round_mode="sideways")


@pytest.mark.parametrize("name", FLOAT6)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_elements_of_6_bits_are_read_and_saved(name, count):
    import onnx
    from onnx import helper, numpy_helper

    x = (np.arange(count) * 7 % 64).astype("u1").view(dtype_of(name))
    nodes = [helper.make_node("Cast", ["w"], ["y"], to=1), helper.make_node("Add", "xy", ["z"])]
    infos = [helper.make_tensor_value_info(each, 1, [count]) for each in "xz"]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], [numpy_helper.from_array(x, "w")])
    opset = [helper.make_opsetid("", 28)]
    model = tl.onnx.load(helper.make_model(graph, opset_imports=opset).SerializeToString())
    [got] = model.run({"x": tl.zeros(count)}).values()
    np.testing.assert_array_equal(got.numpy(), x.astype("f4"))
    saved = io.BytesIO()
    tl.onnx.save(model, saved)
    [again] = onnx.load_from_string(saved.getvalue()).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(again).view("u1"), x.view("u1"))
