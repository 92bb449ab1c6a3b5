"""Shapes, constants, ranges, windows, triangles and random numbers of ONNX."""

import ml_dtypes
import numpy as np
import pytest

import tallow as tl
from tallow.errors import TallowError
from tallow.onnx.values import as_numpy, as_value

from .single import check, model_of, run_here, same

pytestmark = pytest.mark.needs_formats

NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
           "uint32", "uint64")  # fmt: skip


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def code_of(name):
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(dtype_of(name))


@pytest.mark.parametrize("dtype", ["float32", "bool", "int4", "float8_e4m3fnuz", "object"])
def test_shapes_and_sizes_of_all_types(dtype):
    x = (
        np.ones((2, 3, 4)).astype(dtype_of(dtype))
        if dtype != "object"
        else np.full((2, 3, 4), "a", object)
    )
    same(run_here("Size", [x], 24)[0], np.array(24))
    for start, end in ((0, None), (1, None), (-2, None), (0, -1), (1, 2), (-9, 9), (2, 1)):
        given = {"start": start} if end is None else {"start": start, "end": end}
        same(run_here("Shape", [x], 24, **given)[0], np.array(x.shape[start:end], "int64"))
    same(run_here("Shape", [x], 7)[0], np.array([2, 3, 4]))


def test_shapes_are_constants_of_a_plan():
    """What follows from a shape ends no plan, although its elements decide a shape."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Size", ["x"], ["n"]),
             helper.make_node("ConstantOfShape", ["s"], ["z"]),
             helper.make_node("Add", ["x", "z"], ["a"]),
             helper.make_node("Range", ["zero", "n", "one"], ["r"]),
             helper.make_node("ReduceSum", ["r"], ["t"]),
             helper.make_node("CumSum", ["a", "axis"], ["y"])]  # fmt: skip
    constants = [helper.make_tensor(name, TensorProto.INT64, [], [value])
                 for name, value in (("zero", 0), ("one", 1), ("axis", 1))]  # fmt: skip
    x = np.ones((2, 3), "float32")
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b"])
    results = [helper.make_empty_tensor_value_info(name) for name in ("y", "t")]
    graph = helper.make_graph(nodes, "g", [info], results, constants)
    model = tl.onnx.load(helper.make_model(graph, ir_version=10).SerializeToString())
    for _ in range(3):
        y, total = model(as_value(x))
        np.testing.assert_array_equal(y.numpy(), np.cumsum(x, 1))
        assert total.item() == 15
    assert (model.stats.captured, model.stats.replayed, model.stats.stepped) == (1, 1, 1)


OTHERS = ("bool", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint2", "float8_e5m2fnuz",
          "float4_e2m1fn")  # fmt: skip


@pytest.mark.parametrize("dtype", [*NUMBERS, *OTHERS])
def test_constants_of_a_shape(dtype):
    from onnx import numpy_helper

    value = numpy_helper.from_array(np.array([1]).astype(dtype_of(dtype)))
    for shape in ([2, 3], [], [0, 2]):
        (got,) = run_here("ConstantOfShape", [np.array(shape, "int64")], 25, value=value)
        assert (got.dtype, got.shape) == (dtype_of(dtype), tuple(shape))
        same(got.astype("float32"), np.ones(shape, "float32"))
    same(run_here("ConstantOfShape", [np.array([2])], 9)[0], np.zeros(2, "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int32", "int64", "float16",
                                   "bfloat16"])  # fmt: skip
def test_ranges(dtype):
    for start, limit, delta in ((3, 9, 3), (10, 4, -2), (0, 7, 1), (5, 1, 1), (-3, 4, 2)):
        given = [np.array(v).astype(dtype_of(dtype)) for v in (start, limit, delta)]
        check("Range", given, 27 if dtype.endswith("float16") else 11)
    if dtype.startswith("f") and dtype != "float16":
        check("Range", [np.array(v, dtype) for v in (1, 4, 0.3)], 11)


def test_a_range_without_a_step_is_refused():
    with pytest.raises(TallowError, match="Range.*delta"):
        run_here("Range", [np.array(v, "int64") for v in (1, 4, 0)], 11)


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "bfloat16"])
def test_identities_like_a_matrix(dtype):
    x = np.zeros((3, 4), "float32")
    for k in (-5, -1, 0, 2, 9):
        check("EyeLike", [x], 22, dtype=code_of(dtype), k=k)
    check("EyeLike", [x.astype(dtype_of(dtype))], 22)


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "object", "complex64", "complex128"])
def test_one_hot_values_and_axes(dtype):
    values = (
        np.array([2, 5]).astype(dtype) if dtype != "object" else np.array(["off", "on"], object)
    )
    indices = np.array([[1, -1, 9], [0, 3, -7]])
    for axis in (-1, 0, 1, 2):
        (got,) = run_here("OneHot", [indices, np.array([4]), values], 11, axis=axis)
        wrapped = np.where(indices < 0, indices + 4, indices)
        hot = np.moveaxis(wrapped[..., None] == np.arange(4), -1, axis)
        same(got, np.where(hot, values[1], values[0]))


@pytest.mark.parametrize("kind", NUMBERS)
def test_one_hot_indices_of_any_dtype(kind):
    given = [np.array([0, 2, 1]).astype(kind), np.array(3).astype(kind), np.array([1.0, 3.0])]
    check("OneHot", given, 9)


@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows(name, periodic):
    for size in (2, 9, 10, *[1] * periodic):
        for dtype in ("int32", "int64"):
            check(name, [np.array(size, dtype)], 17, atol=1e-6, periodic=periodic)
    check(name, [np.array(8)], 17, output_datatype=11, periodic=periodic)


def test_mel_weights():
    for bands, length, rate, low, high in ((8, 16, 8192, 0, 4096), (20, 512, 16000, 20, 8000)):
        given = [np.array(v, "int64") for v in (bands, length, rate)]
        given += [np.array(v, "float32") for v in (low, high)]
        check("MelWeightMatrix", given, 17)
        check("MelWeightMatrix", given, 17, output_datatype=11)


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "bfloat16", "complex64", "complex128"])
def test_triangles(dtype, upper):
    x = (np.arange(24).reshape(2, 3, 4) % 2 + 1).astype(dtype_of(dtype))
    for k in (-3, 0, 1, 9):
        check("Trilu", [x, np.array(k)], 14, upper=upper)
    check("Trilu", [x], 14, upper=upper)


def test_triangles_of_texts():
    x = np.array([["a", "b"], ["c", "d"]], object)
    same(run_here("Trilu", [x], 14)[0], np.array([["a", "b"], ["", "d"]], object))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_determinants(dtype):
    x = np.random.default_rng(2).random((2, 3, 3)).astype(dtype)
    want = np.linalg.det(x.astype("float64")).astype(dtype)
    same(run_here("Det", [x], 22)[0], want, rtol=1e-4)
    with pytest.raises(TallowError, match="square"):
        run_here("Det", [x[:, :2]], 22)


def test_hardmax_of_rows_and_axes():
    x = np.random.default_rng(3).integers(0, 3, (2, 3, 4)).astype("float32")
    for axis in (0, 1, 2, -1):
        check("Hardmax", [x], 13, axis=axis)
        flat = x.reshape(int(np.prod(x.shape[: axis % 3])), -1)
        want = (np.arange(flat.shape[1]) == flat.argmax(1)[:, None]).reshape(x.shape)
        same(run_here("Hardmax", [x], 11, axis=axis)[0], want.astype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_mean_and_variance_are_taken_out(dtype):
    x = np.random.default_rng(4).random((2, 3, 4, 5)).astype(dtype)
    for axes in ((0, 2, 3), (1,), (-1, 0)):
        wide = x.astype("float64")
        want = (wide - wide.mean(axes, keepdims=True)) / wide.std(axes, keepdims=True)
        (got,) = run_here("MeanVarianceNormalization", [x], 13, axes=axes)
        same(got, want.astype(dtype), rtol=1e-4, atol=1e-5)


X = np.ones((2, 3, 4), "float32")
ON_META = (
    ("Bernoulli", [X], {}), ("Multinomial", [X[0]], {"sample_size": 5}), ("Shape", [X], {}),
    ("RandomNormalLike", [X], {}), ("RandomUniformLike", [X], {"dtype": 11}), ("Size", [X], {}),
    ("CumSum", [X, np.array(1)], {"exclusive": 1}), ("Hardmax", [X], {}), ("Trilu", [X], {}),
    ("OneHot", [np.array([[1, 2]]), np.array(3), np.ones(2, "float16")], {"axis": 0}),
    ("EyeLike", [X[0]], {"dtype": 7}), ("Dropout", [X, None, np.array(True)], {"seed": 1}),
    ("Dropout", [X, None, np.array(True)], {}), ("MeanVarianceNormalization", [X], {"axes": [0]}),
    ("Det", [X[:, :, :3]], {}), ("ReduceMax", [X], {}), ("ArgMin", [X], {"select_last_index": 1}),
    ("Where", [X > 0, X, X[0]], {}), ("Cast", [X], {"to": 17}), ("Clip", [X, X[0, 0, 0]], {}),
)  # fmt: skip


@pytest.mark.parametrize("case", ON_META, ids=lambda case: case[0])
def test_shapes_and_dtypes_are_known_without_elements(case):
    """On meta, where what decides a shape (a depth, an axis) has its value."""
    name, inputs, attributes = case
    model = tl.onnx.load(model_of(name, inputs, 22, **attributes).SerializeToString(), plans=False)
    given = [as_value(x) for x in inputs if x is not None]
    want = model(*given)
    elsewhere = [x if x.ndim == 0 else x.to("meta") for x in given]
    (got,) = model.run(dict(zip([e.name for e in model.inputs], elsewhere, strict=True))).values()
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert got.is_meta == (name not in ("Shape", "Size", "RandomNormalLike", "RandomUniformLike"))


# --- random numbers -------------------------------------------------------------------------------


def drawn(name, inputs, opset=22, **attributes):
    """What two runs of a model draw."""
    model = tl.onnx.load(model_of(name, inputs, opset, **attributes).SerializeToString())
    given = [as_value(x) for x in inputs]
    return as_numpy(model(*given)), as_numpy(model(*given))


FLOATS = (("float32", 1), ("float64", 11), ("float16", 10), ("bfloat16", 16))


@pytest.mark.parametrize(("dtype", "code"), FLOATS)
def test_random_numbers_have_their_distribution(dtype, code):
    shape = [100, 100]
    like = np.zeros(shape, "int32")
    for a, b in (drawn("RandomNormal", [], shape=shape, dtype=code, mean=2.0, scale=3.0),
                 drawn("RandomNormalLike", [like], dtype=code, mean=2.0, scale=3.0)):  # fmt: skip
        assert a.dtype == dtype_of(dtype)
        assert (a != b).any()
        wide = a.astype("float64")
        assert abs(wide.mean() - 2) < 0.2
        assert abs(wide.std() - 3) < 0.2
    for a, b in (drawn("RandomUniform", [], shape=shape, dtype=code, low=-1.0, high=3.0),
                 drawn("RandomUniformLike", [like], dtype=code, low=-1.0, high=3.0)):  # fmt: skip
        assert a.dtype == dtype_of(dtype)
        assert (a != b).any()
        wide = a.astype("float64")
        assert wide.min() >= -1
        assert wide.max() <= 3
        assert abs(wide.mean() - 1) < 0.1


def test_a_seed_draws_the_same_again():
    x = np.full((50, 4), 0.5, "float32")
    for name, inputs, attributes in (
        ("RandomNormal", [], {"shape": [50]}), ("RandomUniform", [], {"shape": [50]}),
        ("RandomNormalLike", [x], {}), ("RandomUniformLike", [x], {}), ("Bernoulli", [x], {}),
        ("Multinomial", [x], {"sample_size": 30}),
    ):  # fmt: skip
        a, b = drawn(name, inputs, seed=7.0, **attributes)
        np.testing.assert_array_equal(a, b)
        other, _ = drawn(name, inputs, seed=8.5, **attributes)
        assert (a != other).any()


def test_bernoulli_draws_with_probabilities():
    x = np.repeat(np.array([[0.0, 0.25, 1.0]], "float64"), 4000, 0)
    a, b = drawn("Bernoulli", [x], dtype=6)
    assert a.dtype == np.int32
    assert (a != b).any()
    assert (a[:, 0] == 0).all()
    assert (a[:, 2] == 1).all()
    assert abs(a[:, 1].mean() - 0.25) < 0.05


def test_multinomial_draws_with_logarithms_of_weights():
    x = np.log(np.array([[0.1, 0.6, 0.3], [0.5, 0.5, 1e-30]], "float32"))
    a, b = drawn("Multinomial", [x], sample_size=5000, dtype=7)
    assert (a.dtype, a.shape) == (np.int64, (2, 5000))
    assert (a != b).any()
    shares = np.stack([np.bincount(row, minlength=3) for row in a]) / 5000
    np.testing.assert_allclose(shares, [[0.1, 0.6, 0.3], [0.5, 0.5, 0]], atol=0.05)


def test_dropout_drops_in_training_only():
    x = np.ones((100, 100), "float32")
    for opset, kind in ((7, "float32"), (10, "bool")):
        y, mask = run_here("Dropout", [x], opset, outputs=2, ratio=0.4)
        same(y, x)
        same(mask, np.ones(x.shape, kind))
    ratio = np.float32(0.25).reshape(())
    y, mask = run_here("Dropout", [x, ratio, np.array(False)], 13, outputs=2)
    same(y, x)
    assert mask.all()
    y, mask = run_here("Dropout", [x, ratio, np.array(True)], 13, outputs=2, seed=3)
    same(y, np.where(mask, np.float32(1 / 0.75), 0).astype("float32"))
    assert abs(mask.mean() - 0.75) < 0.03
    check("Dropout", [x, ratio, np.array(True)], 13, outputs=2, seed=3)
    model = model_of("Dropout", [x, None, np.array(True)], 13).SerializeToString()
    loaded = tl.onnx.load(model)
    feeds = (as_value(x), as_value(np.array(True)))
    first, *others = [loaded(*feeds).numpy().copy() for _ in range(3)]
    assert all((first != other).any() for other in others)
