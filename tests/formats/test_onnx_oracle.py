"""ONNX files read as the package onnx reads them: its tests, what its helpers write, real ones."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from tallow.formats.onnx import Graph, Reference, StoredTensor, ValueType, open_onnx
from tallow.formats.onnx.types import CODES, TYPES
from tallow.onnx.values import as_numpy

pytestmark = pytest.mark.needs_formats
# Of the user's own cache: that of the tests is empty.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tallow"
REAL = sorted(CACHE.rglob("*.onnx"))


@pytest.fixture(autouse=True)
def _needs_onnx():
    pytest.importorskip("onnx")


def array_of(proto, folder=""):
    from onnx import numpy_helper

    return numpy_helper.to_array(proto, str(folder))


def dense(proto):
    """A SparseTensorProto as an array."""
    values, indices = array_of(proto.values), array_of(proto.indices)
    found = np.zeros([*proto.dims], values.dtype)
    if indices.ndim == 1:
        found.reshape(-1)[indices] = values
    else:
        found[tuple(indices.T)] = values
    return found


def same_array(ours, wanted):
    got = np.asarray(as_numpy(ours))
    assert got.shape == wanted.shape
    if wanted.dtype.kind in "OUS":
        assert [*got.reshape(-1)] == [*wanted.reshape(-1)]
        return
    assert got.dtype == wanted.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(wanted).tobytes()


def same_tensor(ours, proto, folder=""):
    assert isinstance(ours, StoredTensor)
    assert (ours.name, ours.elem_type, list(ours.shape)) == (
        proto.name, proto.data_type, list(proto.dims),
    )  # fmt: skip
    same_array(ours.value(), array_of(proto, folder))


def type_of(proto):
    """A TypeProto as ours."""
    kind = proto.WhichOneof("value")
    if kind is None:
        return None
    held = getattr(proto, kind)
    if kind in ("tensor_type", "sparse_tensor_type"):
        shape = None
        if held.HasField("shape"):
            shape = tuple(
                d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else d.dim_param or None
                for d in held.shape.dim
            )
        return ValueType(kind.removesuffix("_type"), held.elem_type, shape)
    if kind == "map_type":
        return ValueType("map", held.key_type, element=type_of(held.value_type))
    return ValueType(kind.removesuffix("_type"), element=type_of(held.elem_type))


def infos_of(protos):
    return [(each.name, type_of(each.type)) for each in protos]


def same_infos(ours, protos):
    assert [(each.name, each.type) for each in ours] == infos_of(protos)


def same_attribute(ours, proto):
    import onnx

    if proto.ref_attr_name:
        assert ours == Reference(proto.ref_attr_name)
        return
    kind = onnx.AttributeProto.AttributeType.Name(proto.type)
    if kind in ("TENSOR", "GRAPH", "SPARSE_TENSOR", "TYPE_PROTO"):
        same_of_kind(ours, kind, {"TENSOR": proto.t, "GRAPH": proto.g, "TYPE_PROTO": proto.tp,
                                  "SPARSE_TENSOR": proto.sparse_tensor}[kind])  # fmt: skip
    elif kind in ("TENSORS", "GRAPHS", "TYPE_PROTOS"):
        wanted = getattr(proto, kind.lower())
        assert len(ours) == len(wanted)
        for one, other in zip(ours, wanted, strict=True):
            same_of_kind(one, kind[:-1], other)
    else:
        wanted = onnx.helper.get_attribute_value(proto)
        if kind in ("STRING", "STRINGS"):
            several = wanted if kind == "STRINGS" else [wanted]
            texts = [each.decode("utf-8", "surrogateescape") for each in several]
            wanted = texts if kind == "STRINGS" else texts[0]
        assert repr(ours) == repr(list(wanted) if kind.endswith("S") else wanted)


def same_of_kind(ours, kind, proto):
    if kind == "TENSOR":
        same_tensor(ours, proto)
    elif kind == "GRAPH":
        same_graph(ours, proto)
    elif kind == "SPARSE_TENSOR":
        same_array(ours.value(), dense(proto))
    else:
        assert ours == type_of(proto)


def same_nodes(ours, protos):
    assert len(ours) == len(protos)
    for node, proto in zip(ours, protos, strict=True):
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        assert (node.op_type, node.domain, node.name, node.overload) == (
            proto.op_type, domain, proto.name, proto.overload,
        )  # fmt: skip
        assert (node.inputs, node.outputs) == ([*proto.input], [*proto.output])
        assert [*node.attributes] == [each.name for each in proto.attribute]
        for each in proto.attribute:
            same_attribute(node.attributes[each.name], each)


def same_graph(ours, proto, folder=""):
    assert isinstance(ours, Graph) and ours.name == proto.name
    same_nodes(ours.nodes, proto.node)
    same_infos(ours.inputs, proto.input)
    same_infos(ours.outputs, proto.output)
    assert {n: each.type for n, each in ours.value_infos.items()} == dict(
        infos_of(proto.value_info)
    )
    sparse = [each.values.name for each in proto.sparse_initializer]
    assert [*ours.initializers] == [each.name for each in proto.initializer] + sparse
    for each in proto.initializer:
        same_tensor(ours.initializers[each.name], each, folder)
    for each in proto.sparse_initializer:
        same_array(ours.initializers[each.values.name].value(), dense(each))


def opsets_of(proto):
    found = {each.domain: each.version for each in proto.opset_import}
    return {"" if d == "ai.onnx" else d: version for d, version in found.items()}


def same_model(source, folder=""):
    """Compare all that we keep of a file (a path or bytes) with what onnx reads."""
    import onnx

    if isinstance(source, bytes):
        proto = onnx.ModelProto.FromString(source)
    else:
        proto = onnx.load(source, load_external_data=False)
    with open_onnx(source) as file:
        assert (file.ir_version, file.opsets) == (proto.ir_version, opsets_of(proto))
        assert file.metadata == {each.key: each.value for each in proto.metadata_props}
        assert (file.info.producer_name, file.info.domain) == (proto.producer_name, proto.domain)
        same_graph(file.graph, proto.graph, folder)
        assert len(file.functions) == len(proto.functions)
        for ours, wanted in zip(file.functions, proto.functions, strict=True):
            assert (ours.name, ours.domain, ours.overload) == (
                wanted.name, wanted.domain, wanted.overload,
            )  # fmt: skip
            assert (ours.inputs, ours.outputs) == ([*wanted.input], [*wanted.output])
            assert dict(ours.opsets) == opsets_of(wanted)
            names = [*wanted.attribute, *(each.name for each in wanted.attribute_proto)]
            assert [*ours.attributes] == names
            for each in wanted.attribute_proto:
                same_attribute(ours.attributes[each.name], each)
            same_nodes(ours.nodes, wanted.node)


@pytest.mark.parametrize("path", REAL or [None], ids=lambda path: path and path.name)
def test_real_files(path):
    if path is None:
        pytest.skip("no ONNX file in the cache of the hub")
    same_model(str(path))


@pytest.mark.parametrize("kind", ["node", "simple", "pytorch-converted", "pytorch-operator"])
def test_files_of_the_packages_own_tests(kind):
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind=kind)
    assert len(cases) > 10
    for case in cases:
        path = os.path.join(case.model_dir, "model.onnx") if case.model is None else None
        raw = Path(path).read_bytes() if path else case.model.SerializeToString()
        try:
            same_model(raw)
        except Exception as error:
            error.add_note(case.name)
            raise


def drawn(name, shape):
    """Elements of a type, any bits that are numbers."""
    import ml_dtypes

    rng = np.random.default_rng(CODES[name])
    kind = np.dtype(getattr(ml_dtypes, TYPES[CODES[name]].numpy, TYPES[CODES[name]].numpy))
    if kind.kind == "O":
        return rng.choice(np.array(["a", "é", ""], object), shape)
    if kind.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    low = 0 if TYPES[CODES[name]].numpy.startswith(("uint", "float8_e8")) else -2
    return np.asarray(rng.integers(low + 1, 2, shape), "float32").astype(kind)


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0, 4)], ids=str)
@pytest.mark.parametrize("name", CODES)
def test_tensors_that_the_helpers_write(name, shape):
    from onnx import helper

    given = drawn(name, shape)
    code = CODES[name]
    tensors = [helper.make_tensor("typed", code, shape, given.reshape(-1))]
    if name != "string":
        from onnx import numpy_helper

        tensors.append(numpy_helper.from_array(given, "raw"))
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors), ir_version=13)
    raw = model.SerializeToString()
    same_model(raw)
    with open_onnx(raw) as file:
        for each in file.graph.initializers.values():
            same_array(each.value(), given)


@pytest.mark.parametrize("one_file", [True, False])
def test_external_data_that_the_package_writes(tmp_path, one_file):
    import onnx
    from onnx import helper, numpy_helper

    names = [n for n in CODES if n != "string"]
    tensors = [numpy_helper.from_array(drawn(n, (7, 5)), n) for n in names]
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors), ir_version=13)
    path = tmp_path / "m.onnx"
    onnx.save(
        model, path, save_as_external_data=True, all_tensors_to_one_file=one_file,
        location="m.data" if one_file else None, size_threshold=0,
    )  # fmt: skip
    assert len([*tmp_path.iterdir()]) == (2 if one_file else 1 + len(names))
    same_model(str(path), tmp_path)


def test_functions_sparse_tensors_and_types_that_the_helpers_write():
    from onnx import AttributeProto, TensorProto, helper

    values = helper.make_tensor("s", TensorProto.FLOAT, [2], [1.5, -2])
    pairs = helper.make_tensor("i", TensorProto.INT64, [2, 2], [0, 1, 1, 2])
    flat = helper.make_tensor("i", TensorProto.INT64, [2], [1, 5])
    sparse = [helper.make_sparse_tensor(values, each, [2, 3]) for each in (pairs, flat)]
    body = helper.make_graph([], "b", [], [helper.make_tensor_value_info("x", 1, None)])
    kinds = [
        helper.make_tensor_type_proto(1, ["n", None, 3]),
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(8, [])),
        helper.make_optional_type_proto(helper.make_tensor_type_proto(7, None)),
        helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, [])),
        helper.make_sparse_tensor_type_proto(1, [2]),
    ]
    node = helper.make_node(
        "Op", ["a", ""], ["", "b"], "n", domain="d", overload="o",
        sparse=sparse[0], graph=body, graphs=[body, body], floats=[1.5, 2], none=1, text="é",
        texts=["a", "b"], tensor=values, type=kinds[1], types=kinds,
    )  # fmt: skip
    inner = helper.make_node("Inner", ["p"], ["q"])
    inner.attribute.add(name="x", ref_attr_name="by", type=AttributeProto.INT)
    function = helper.make_function(
        "d", "F", ["p"], ["q"], [inner], [helper.make_opsetid("", 13)], ["by"],
        [helper.make_attribute("with", 2.5)], overload="o",
    )  # fmt: skip
    infos = [helper.make_value_info(f"v{n}", kind) for n, kind in enumerate(kinds)]
    graph = helper.make_graph(
        [node], "g", infos, infos[:1], value_info=infos[1:], sparse_initializer=sparse[1:]
    )
    model = helper.make_model(
        graph, functions=[function], ir_version=10, domain="com.example",
        opset_imports=[helper.make_opsetid("ai.onnx", 21), helper.make_opsetid("d", 1)],
    )  # fmt: skip
    helper.set_model_props(model, {"k": "v"})
    same_model(model.SerializeToString())
