"""ONNX files written by hand: models, graphs, nodes and tensors with any field, right or wrong."""

from __future__ import annotations

import struct

from formats.protobuf_bytes import number, single, sized, varint


def tensor(name="t", code=1, dims=(), raw=None, **fields):
    """A TensorProto; `fields` are float_data, int32_data, … as lists (packed) or bytes."""
    made = (
        b"".join(number(1, d) for d in dims) + number(2, code) + (sized(8, name) if name else b"")
    )
    if raw is not None:
        made += sized(9, raw)
    for field, values in fields.items():
        place = {"float_data": 4, "int32_data": 5, "string_data": 6, "int64_data": 7,
                 "double_data": 10, "uint64_data": 11}[field]  # fmt: skip
        if field == "string_data":
            made += b"".join(sized(6, each) for each in values)
        elif field in ("float_data", "double_data"):
            form = "f" if field == "float_data" else "d"
            made += sized(place, struct.pack(f"<{len(values)}{form}", *values))
        else:
            made += sized(place, b"".join(map(varint, values)))
    return made


def external(name="t", code=1, dims=(), **entries):
    """A TensorProto of external data."""
    made = tensor(name, code, dims) + number(14, 1)
    for key, value in entries.items():
        made += sized(13, sized(1, key) + sized(2, str(value)))
    return made


def sparse(values, indices, dims):
    """A SparseTensorProto."""
    return sized(1, values) + sized(2, indices) + b"".join(number(3, d) for d in dims)


def ints(*values):
    """Indices of a sparse tensor: int64."""
    return tensor("", 7, (len(values),), struct.pack(f"<{len(values)}q", *values))


def info(name, code=1, shape=(1,)):
    """A ValueInfoProto of a tensor."""
    dims = b"".join(sized(1, sized(2, d) if isinstance(d, str) else number(1, d)) for d in shape)
    return sized(1, name) + sized(2, sized(1, number(1, code) + sized(2, dims)))


def attribute(name, value, kind=None):
    """An AttributeProto; bytes are a tensor, pairs (field, raw) are written as they are."""
    made = sized(1, name)
    if isinstance(value, float):
        return made + single(2, value) + number(20, kind or 1)
    if isinstance(value, int):
        return made + number(3, value) + number(20, kind or 2)
    if isinstance(value, str):
        return made + sized(4, value) + number(20, kind or 3)
    if isinstance(value, bytes):
        return made + sized(5, value) + number(20, kind or 4)
    if isinstance(value, list):
        return made + b"".join(number(8, each) for each in value) + number(20, kind or 7)
    field, raw = value
    kinds = {6: 5, 21: 0, 22: 11}
    return made + sized(field, raw) + number(20, kinds.get(field, 0) if kind is None else kind)


def node(op_type, inputs=(), outputs=("y",), *, name="", domain="", overload="", attributes=()):
    """A NodeProto; names are lists or texts of one letter each."""
    made = b"".join(sized(1, each) for each in inputs)
    made += b"".join(sized(2, each) for each in outputs)
    made += sized(3, name) + sized(4, op_type)
    made += b"".join(sized(5, each) for each in attributes)
    made += sized(7, domain) if domain else b""
    return made + (sized(8, overload) if overload else b"")


def graph(nodes=(), inputs=(), outputs=(), tensors=(), sparse_tensors=(), infos=()):
    """A GraphProto; inputs and outputs are names, or ValueInfoProtos."""
    made = sized(2, "g")
    for field, parts in ((1, nodes), (5, tensors), (15, sparse_tensors), (13, infos)):
        made += b"".join(sized(field, each) for each in parts)
    for field, parts in ((11, inputs), (12, outputs)):
        made += b"".join(
            sized(field, info(each) if isinstance(each, str) else each) for each in parts
        )
    return made


def function(name, inputs, outputs, nodes, *, domain="local", attributes=(), defaults=(),
             opsets=None, overload=""):  # fmt: skip
    """A FunctionProto."""
    made = sized(1, name) + sized(10, domain)
    for field, parts in ((4, inputs), (5, outputs), (6, attributes), (7, nodes), (11, defaults)):
        made += b"".join(sized(field, each) for each in parts)
    for each, version in ({domain: 1, "": 21} if opsets is None else opsets).items():
        made += sized(9, sized(1, each) + number(2, version))
    return made + (sized(13, overload) if overload else b"")


def model(content=None, *, ir=10, opsets=None, functions=(), more=b""):
    """A ModelProto of a GraphProto."""
    made = number(1, ir) + sized(2, "by hand")
    for domain, version in ({"": 21} if opsets is None else opsets).items():
        made += sized(8, sized(1, domain) + number(2, version))
    made += b"".join(sized(25, each) for each in functions)
    return made + (b"" if content is None else sized(7, content)) + more
