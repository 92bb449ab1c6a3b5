"""The operators of ai.onnx.ml against onnxruntime, or by what the standard says."""

import itertools

import numpy as np
import pytest

from onnx_graphs import by_reference, by_runtime, check_ml, info, ml_node, model, ours, same
from tallow.errors import ArgumentError, DTypeError, TallowError

pytestmark = pytest.mark.needs_formats

f, d = np.float32, np.float64
RNG = np.random.default_rng(3)


def texts(*values):
    return np.array(values, object)


X = RNG.standard_normal((5, 3)).astype(f)


# --- features -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(d),
        np.arange(6).reshape(2, 3),
        np.arange(4).astype("int32"),
        texts("a", "b", "c"),
    ],
    ids=lambda x: x.dtype.name,
)
@pytest.mark.parametrize("indices", [[0], [2, 0, 1]])
def test_array_feature_extractor(x, indices):
    out = "str" if x.dtype.kind == "O" else x.dtype
    check_ml("ArrayFeatureExtractor", x, np.array(indices), outs=(out,))


def test_an_index_that_is_not_there_is_refused():
    with pytest.raises(TallowError):
        ours(*ml_node("ArrayFeatureExtractor", [X, np.array([3])]))


@pytest.mark.parametrize("threshold", [0.0, 0.5, -1.0])
def test_binarizer(threshold):
    check_ml("Binarizer", X, threshold=threshold)
    [[found]] = ours(
        *ml_node("Binarizer", [np.array([-1, 0, 1, 2])], ("int64",), threshold=threshold)
    )
    assert found.tolist() == [int(v > threshold) for v in (-1, 0, 1, 2)]


@pytest.mark.parametrize("sizes", [[3, 3], [2, 5]])
@pytest.mark.parametrize("dtype", [f, d, np.int64, np.int32])
def test_feature_vectorizer(sizes, dtype):
    check_ml(
        "FeatureVectorizer", (X * 9).astype(dtype), (X * 5).astype(dtype), inputdimensions=sizes
    )


@pytest.mark.parametrize("values", [[9.0], [7.0, 8.0, 9.0]])
@pytest.mark.parametrize("lost", [float("nan"), 1.5])
@pytest.mark.parametrize("dtype", [f, d])
def test_imputer_of_floats(values, lost, dtype):
    x = X.astype(dtype)
    x[1, 1] = x[2, 0] = lost
    check_ml(
        "Imputer",
        x,
        outs=(dtype,),
        imputed_value_floats=values,
        replaced_value_float=lost,
        by=by_runtime if dtype is f else by_reference,
    )


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_imputer_of_integers(dtype):
    x = np.array([[1, -1, 3], [-1, 5, 6]], dtype)
    [[found]] = ours(
        *ml_node("Imputer", [x], (dtype,), imputed_value_int64s=[7, 8, 9], replaced_value_int64=-1)
    )
    assert found.dtype == dtype and found.tolist() == [[1, 8, 3], [7, 5, 6]]


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
@pytest.mark.parametrize(
    "x", [X, X[0], X.astype(d), np.array([[3, -4], [0, 0], [-1, -2]])], ids=str
)
def test_normalizer(norm, x):
    check_ml("Normalizer", x, norm=norm)


@pytest.mark.parametrize("dtype", [f, d, np.int64, np.int32])
@pytest.mark.parametrize("numbers", [1, 3])
def test_scaler(dtype, numbers):
    values = {"offset": [0.5, -1.0, 2.0][:numbers], "scale": [2.0, 3.0, -0.25][:numbers]}
    check_ml("Scaler", (X * 4).astype(dtype), **values)


@pytest.mark.parametrize("dtype", ["int64", "int32", f, d])
def test_one_hot_encoder(dtype):
    x = np.array([[1, 3], [7, 2]], dtype)
    check_ml(
        "OneHotEncoder",
        x,
        cats_int64s=[3, 1, 2],
        zeros=1,
        by=by_reference if dtype == "int32" else by_runtime,
    )


def test_one_hot_encoder_of_texts():
    check_ml("OneHotEncoder", texts("b", "a", "z"), cats_strings=["a", "b"])


def test_a_category_that_is_not_there_is_refused_if_so_asked():
    with pytest.raises(ArgumentError, match="elements that are categories"):
        ours(*ml_node("OneHotEncoder", [np.array([1, 4])], cats_int64s=[1, 2], zeros=0))
    check_ml("OneHotEncoder", np.array([2, 1]), cats_int64s=[1, 2], zeros=0)


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["LabelEncoder", "CategoryMapper"])
def test_texts_and_integers(op):
    names = (
        {"classes_strings": ["a", "b", "c"]}
        if op == "LabelEncoder"
        else {"cats_strings": ["a", "b", "c"], "cats_int64s": [4, 0, 1]}
    )
    check_ml(op, texts("b", "z", "a"), outs=("int64",), default_int64=-7, **names)
    check_ml(op, np.array([[1, 4], [0, 9]]), outs=("str",), default_string="?", **names)


KEYS = {"strings": ["a", "b", "c"], "int64s": [3, 1, 2], "floats": [1.5, -2.0, 0.25]}
ASKED = {
    "strings": texts("c", "x", "a"),
    "int64s": np.array([[2, 9], [3, 1]]),
    "floats": f([0.25, 7, 1.5]),
}


@pytest.mark.parametrize("opset", [2, 4])
@pytest.mark.parametrize(("keys", "values"), [*itertools.product(KEYS, KEYS)])
def test_label_encoder(keys, values, opset):
    out = {"strings": "str", "int64s": "int64", "floats": "float32"}[values]
    given, call = ml_node(
        "LabelEncoder",
        [ASKED[keys]],
        (out,),
        opset,
        **{f"keys_{keys}": KEYS[keys], f"values_{values}": KEYS[values]},
    )
    [[found]] = ours(given, call)
    default = {"strings": "_Unused", "int64s": -1, "floats": -0.0}[values]
    pairs = dict(zip(KEYS[keys], KEYS[values], strict=True))
    want = [pairs.get(key, default) for key in ASKED[keys].reshape(-1).tolist()]
    assert found.reshape(-1).tolist() == want and found.shape == ASKED[keys].shape


@pytest.mark.parametrize("dtype", ["float64", "int16", "int32"])
def test_label_encoder_by_tensors(dtype):
    from onnx import numpy_helper

    keys = numpy_helper.from_array(np.array([5, 1, 3, 1], dtype))
    values = numpy_helper.from_array(np.array([50, 10, 30, 11], "int64"))
    default = numpy_helper.from_array(np.array([-3], "int64"))
    [[found]] = ours(
        *ml_node(
            "LabelEncoder",
            [np.array([3, 1, 4, 5], dtype)],
            ("int64",),
            4,
            keys_tensor=keys,
            values_tensor=values,
            default_tensor=default,
        )
    )
    assert found.tolist() == [30, 10, -3, 50]


def test_nan_is_a_key():
    nan = float("nan")
    check_ml(
        "LabelEncoder",
        f([1, nan, 2]),
        outs=("int64",),
        opset=4,
        keys_floats=[nan, 1.0],
        values_int64s=[7, 8],
    )


def test_keys_of_another_dtype_are_refused():
    with pytest.raises(DTypeError, match="keys of"):
        ours(
            *ml_node(
                "LabelEncoder", [np.array([1])], ("int64",), 2, keys_floats=[1.0], values_int64s=[1]
            )
        )
    with pytest.raises(DTypeError, match="keys of"):
        ours(
            *ml_node(
                "LabelEncoder",
                [np.array([1])],
                ("int64",),
                2,
                keys_strings=["a"],
                values_int64s=[1],
            )
        )


# --- maps -----------------------------------------------------------------------------------------


def of_map(op, key, value, out, **attributes):
    from onnx import TensorProto, helper

    kinds = {"str": TensorProto.STRING, "int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
    entry = helper.make_map_type_proto(
        kinds[key], helper.make_tensor_type_proto(kinds[value], None)
    )
    node = helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    return model(
        [node],
        [helper.make_value_info("x", entry)],
        [info("y", out, None)],
        domains=[("ai.onnx.ml", 1)],
    )


@pytest.mark.parametrize(("to", "dtype"), [("TO_FLOAT", "float32"), ("TO_INT64", "int64")])
@pytest.mark.parametrize("form", ["DENSE", "SPARSE"])
def test_cast_map(to, dtype, form):
    given = of_map("CastMap", "int64", "float32", dtype, cast_to=to, map_form=form, max_map=8)
    call = {"x": {5: 1.0, 0: 2.0, 2: 3.0}}
    want = ours(given, call)
    same(want, by_runtime(given, call))
    # onnxruntime takes no maps of texts from Python.
    as_texts = of_map("CastMap", "int64", "str", dtype, cast_to=to, map_form=form, max_map=8)
    same(ours(as_texts, {"x": {5: "1", 0: "2", 2: "3"}}), want)


def test_cast_map_to_texts():
    given = of_map(
        "CastMap", "int64", "str", "str", cast_to="TO_STRING", map_form="SPARSE", max_map=3
    )
    [[found]] = ours(given, {"x": {2: "c", 0: "a"}})
    assert found.tolist() == [["a", "", "c"]]


def test_a_key_of_a_map_that_has_no_place_is_refused():
    given = of_map("CastMap", "int64", "float32", "float32", map_form="SPARSE", max_map=2)
    with pytest.raises(ArgumentError, match="keys below 2"):
        ours(given, {"x": {2: 1.0}})
    given = of_map("DictVectorizer", "str", "float32", "float32", string_vocabulary=["a"])
    with pytest.raises(ArgumentError, match="keys of the vocabulary"):
        ours(given, {"x": {"b": 1.0}})


@pytest.mark.parametrize(
    ("key", "value"), [("str", "float32"), ("str", "int64"), ("int64", "float32"), ("int64", "str")]
)
def test_dict_vectorizer(key, value):
    names = (
        {"string_vocabulary": ["a", "b", "c"]} if key == "str" else {"int64_vocabulary": [3, 1, 2]}
    )
    keys = ["c", "a"] if key == "str" else [2, 3]
    values = {"float32": [1.5, 2.5], "int64": [4, 5], "str": ["x", "y"]}[value]
    given = of_map("DictVectorizer", key, value, value, **names)
    call = {"x": dict(zip(keys, values, strict=True))}
    [[found]] = ours(given, call)
    assert found.tolist() == [[values[1], "" if value == "str" else 0, values[0]]]
    if value == "float32":
        same([[found]], by_runtime(given, call))
    else:
        assert found.dtype == ("int64" if value == "int64" else object)


@pytest.mark.parametrize(
    "labels", [{"classlabels_int64s": [3, 1, 2]}, {"classlabels_strings": ["a", "b", "c"]}]
)
def test_zip_map(labels):
    from onnx import TensorProto, helper

    key = TensorProto.INT64 if "classlabels_int64s" in labels else TensorProto.STRING
    entry = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    out = helper.make_value_info("y", helper.make_sequence_type_proto(entry))
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)
    given = model([node], [info("x", f, [None, 3])], [out], domains=[("ai.onnx.ml", 1)])
    same(ours(given, {"x": X}), by_runtime(given, {"x": X}))
