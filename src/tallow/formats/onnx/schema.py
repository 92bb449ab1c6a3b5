"""The messages of an ONNX file that are read, by the numbers of their fields.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from typing import Final

from tallow.formats.protobuf import Field, Message


def _list(name: str, kind: str | Message) -> Field:
    return Field(name, kind, repeated=True)


ENTRY: Final = Message(
    "StringStringEntryProto", {1: Field("key", "string"), 2: Field("value", "string")}
)

TENSOR: Final = Message(
    "TensorProto",
    {
        1: _list("dims", "int64"),
        2: Field("data_type", "int32"),
        4: _list("float_data", "float"),
        5: _list("int32_data", "int32"),
        6: _list("string_data", "bytes"),
        7: _list("int64_data", "int64"),
        8: Field("name", "string"),
        9: Field("raw_data", "bytes"),
        10: _list("double_data", "double"),
        11: _list("uint64_data", "uint64"),
        13: _list("external_data", ENTRY),
        14: Field("data_location", "enum"),
    },
)
SPARSE_TENSOR: Final = Message(
    "SparseTensorProto",
    {1: Field("values", TENSOR), 2: Field("indices", TENSOR), 3: _list("dims", "int64")},
)

_DIMENSION: Final = Message(
    "Dimension", {1: Field("dim_value", "int64"), 2: Field("dim_param", "string")}
)
_SHAPE: Final = Message("TensorShapeProto", {1: _list("dim", _DIMENSION)})
_TENSOR_TYPE: Final = Message(
    "TypeProto.Tensor", {1: Field("elem_type", "int32"), 2: Field("shape", _SHAPE)}
)
_TYPE_FIELDS: Final[dict[int, Field]] = {}
TYPE: Final = Message("TypeProto", _TYPE_FIELDS)
_ELEMENT: Final = {1: Field("elem_type", TYPE)}
_TYPE_FIELDS.update(
    {
        1: Field("tensor_type", _TENSOR_TYPE),
        4: Field("sequence_type", Message("TypeProto.Sequence", _ELEMENT)),
        5: Field(
            "map_type",
            Message("TypeProto.Map", {1: Field("key_type", "int32"), 2: Field("value_type", TYPE)}),
        ),
        8: Field("sparse_tensor_type", _TENSOR_TYPE),
        9: Field("optional_type", Message("TypeProto.Optional", _ELEMENT)),
    }
)
VALUE_INFO: Final = Message("ValueInfoProto", {1: Field("name", "string"), 2: Field("type", TYPE)})

# A graph holds nodes, a node attributes, an attribute graphs.
_GRAPH_FIELDS: Final[dict[int, Field]] = {}
GRAPH: Final = Message("GraphProto", _GRAPH_FIELDS)
ATTRIBUTE: Final = Message(
    "AttributeProto",
    {
        1: Field("name", "string"),
        2: Field("f", "float"),
        3: Field("i", "int64"),
        4: Field("s", "bytes"),
        5: Field("t", TENSOR),
        6: Field("g", GRAPH),
        7: _list("floats", "float"),
        8: _list("ints", "int64"),
        9: _list("strings", "bytes"),
        10: _list("tensors", TENSOR),
        11: _list("graphs", GRAPH),
        14: Field("tp", TYPE),
        15: _list("type_protos", TYPE),
        20: Field("type", "enum"),
        21: Field("ref_attr_name", "string"),
        22: Field("sparse_tensor", SPARSE_TENSOR),
        23: _list("sparse_tensors", SPARSE_TENSOR),
    },
)
NODE: Final = Message(
    "NodeProto",
    {
        1: _list("input", "string"),
        2: _list("output", "string"),
        3: Field("name", "string"),
        4: Field("op_type", "string"),
        5: _list("attribute", ATTRIBUTE),
        7: Field("domain", "string"),
        8: Field("overload", "string"),
    },
)
_GRAPH_FIELDS.update(
    {
        1: _list("node", NODE),
        2: Field("name", "string"),
        5: _list("initializer", TENSOR),
        10: Field("doc_string", "string"),
        11: _list("input", VALUE_INFO),
        12: _list("output", VALUE_INFO),
        13: Field("value_info", VALUE_INFO, repeated=True, lazy=True),
        15: _list("sparse_initializer", SPARSE_TENSOR),
    }
)
OPERATOR_SET: Final = Message(
    "OperatorSetIdProto", {1: Field("domain", "string"), 2: Field("version", "int64")}
)
FUNCTION: Final = Message(
    "FunctionProto",
    {
        1: Field("name", "string"),
        4: _list("input", "string"),
        5: _list("output", "string"),
        6: _list("attribute", "string"),
        7: _list("node", NODE),
        9: _list("opset_import", OPERATOR_SET),
        10: Field("domain", "string"),
        11: _list("attribute_proto", ATTRIBUTE),
        13: Field("overload", "string"),
    },
)
MODEL: Final = Message(
    "ModelProto",
    {
        1: Field("ir_version", "int64"),
        2: Field("producer_name", "string"),
        3: Field("producer_version", "string"),
        4: Field("domain", "string"),
        5: Field("model_version", "int64"),
        6: Field("doc_string", "string"),
        7: Field("graph", GRAPH),
        8: _list("opset_import", OPERATOR_SET),
        14: _list("metadata_props", ENTRY),
        25: _list("functions", FUNCTION),
    },
)
