"""Protobuf's wire format: every scalar type, packed and not, merged, nested, refused."""

import math
import random
import struct
import tracemalloc

import pytest

from formats.protobuf_bytes import double, number, single, sized, tag, varint
from tallow.errors import FormatError
from tallow.formats import protobuf
from tallow.formats.protobuf import Field, Message, read_message

INTEGERS = ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "enum")
FIXED = ("float", "double", "fixed32", "fixed64", "sfixed32", "sfixed64")
INNER = Message("Inner", {1: Field("name", "string"), 2: Field("raw", "bytes")})
# Field n is a scalar, 100 + n the same repeated; then texts, bytes and messages.
SCALARS = dict(enumerate(INTEGERS + FIXED, 1))
ALL = Message(
    "All",
    {n: Field(kind, kind) for n, kind in SCALARS.items()}
    | {100 + n: Field(f"{kind}s", kind, repeated=True) for n, kind in SCALARS.items()}
    | {
        50: Field("text", "string"), 51: Field("texts", "string", repeated=True),
        52: Field("data", "bytes"), 53: Field("datas", "bytes", repeated=True),
        54: Field("inner", INNER), 55: Field("inners", INNER, repeated=True),
    },
)  # fmt: skip
NUMBERS = {kind: n for n, kind in SCALARS.items()}


def read(raw, message=ALL):
    found = read_message(raw, message, "file")
    return {name: plain(value) for name, value in found.items()}


def plain(value):
    if isinstance(value, memoryview):
        return bytes(value) if value.format == "B" else value.tolist()
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return (
        [plain(each) for each in value]
        if isinstance(value, list) or hasattr(value, "typecode")
        else value
    )


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [
        ("int32", 5, 5), ("int32", -5, -5), ("int32", 2**32 + 7, 7), ("int32", 2**31, -(2**31)),
        ("int64", -1, -1), ("int64", 2**63, -(2**63)), ("uint32", 2**32 + 1, 1),
        ("uint64", 2**64 - 1, 2**64 - 1), ("sint32", 3, -2), ("sint32", 2**32 - 1, -(2**31)),
        ("sint64", 2**64 - 1, -(2**63)), ("sint64", 2, 1), ("bool", 300, True), ("bool", 0, False),
        ("enum", -3, -3),
    ],
)  # fmt: skip
def test_numbers_as_the_specification_says(kind, stored, value):
    n = NUMBERS[kind]
    assert read(number(n, stored)) == {kind: value}
    assert read(number(100 + n, stored) * 2) == {f"{kind}s": [value, value]}
    assert read(sized(100 + n, varint(stored) * 3)) == {f"{kind}s": [value] * 3}


def test_packed_and_single_values_are_collected_in_order():
    raw = sized(107, varint(1) + varint(0)) + number(107, 1)
    assert read(raw) == {"bools": [1, 0, 1]}
    f = struct.pack("<2f", 1.5, -2)
    n = 100 + NUMBERS["float"]
    assert read(sized(n, f)) == {"floats": [1.5, -2.0]}
    assert read(sized(n, f) + single(n, 3) + sized(n, f)) == {"floats": [1.5, -2, 3, 1.5, -2]}
    assert read(single(n, 3) + sized(n, f)) == {"floats": [3, 1.5, -2]}
    assert read(sized(n, b"")) == {"floats": []}


def test_the_last_scalar_counts_and_messages_are_merged():
    raw = sized(50, "a") + sized(54, sized(1, "x")) + sized(50, "b") + sized(54, sized(2, b"y"))
    assert read(raw) == {"text": "b", "inner": {"name": "x", "raw": b"y"}}
    raw = sized(55, sized(1, "x")) + sized(55, b"")
    assert read(raw) == {"inners": [{"name": "x"}, {}]}


def test_a_field_of_another_wire_type_is_unknown():
    assert read(sized(1, b"\1") + single(1, 1) + number(50, 3) + double(NUMBERS["float"], 1)) == {}


def test_bytes_and_packed_numbers_are_views_of_the_file():
    raw = bytes(10) + sized(52, bytes(1 << 20)) + sized(100 + NUMBERS["double"], bytes(8 << 17))
    view = memoryview(raw)[10:]
    tracemalloc.start()
    found = read_message(view, ALL, "file")
    grown = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grown < 100_000
    assert found["data"].nbytes == 1 << 20 and found["data"].readonly
    assert found["doubles"].format == "d" and len(found["doubles"]) == 1 << 17


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (number(1, 1)[:-1], "All.int32 at byte 1"),
        (tag(1, 0) + b"\xff" * 11, "All.int32 at byte 1"),
        (sized(52, b"abc", 4), "All.data at byte 3"),
        (sized(50, b"\xff"), "All.text at byte"),
        (sized(54, sized(1, b"abc", 9)), "Inner.name at byte"),
        (sized(100 + NUMBERS["float"], bytes(5)), "All.floats at byte"),
        (sized(101, b"\x80"), "All.int32s at byte"),
        (single(9, 1)[:-1], "All.float at byte"),
        (tag(0, 0) + b"\0", "All at byte 0"),
    ],
)
def test_damage_is_blamed_on_the_field_and_the_byte(raw, field):
    with pytest.raises(FormatError, match=field):
        read_message(raw, ALL, "file")


def test_nesting_is_limited():
    fields = {}
    message = Message("Nested", fields)
    fields[1] = Field("inner", message)
    raw = b""
    for _ in range(protobuf.MAX_DEPTH):
        raw = sized(1, raw)
    assert read_message(raw, message, "file")
    with pytest.raises(FormatError, match="Nested at byte"):
        read_message(sized(1, raw), message, "file")


def test_the_number_of_values_is_limited(monkeypatch):
    monkeypatch.setattr(protobuf, "MAX_VALUES", 9)
    assert read(sized(101, varint(1) * 9))
    for raw in (sized(101, varint(1) * 10), number(101, 1) * 10, sized(55, b"") * 10):
        with pytest.raises(FormatError, match="at most 9 values"):
            read_message(raw, ALL, "file")


@pytest.fixture(scope="module")
def oracle():
    """The same message made by the package protobuf."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="all.proto", package="t", syntax="proto2")
    file.enum_type.add(name="E").value.add(name="ZERO", number=0)
    for i in (-3, 5, 7, 2**31 - 1):
        file.enum_type[0].value.add(name=f"V{i}".replace("-", "M"), number=i)

    def add(message):
        made = file.message_type.add(name=message.name)
        for n, field in message.fields.items():
            row = made.field.add(name=field.name, number=n, label=3 if field.repeated else 1)
            if isinstance(field.kind, Message):
                row.type, row.type_name = 11, f".t.{field.kind.name}"
            else:
                row.type = getattr(row, f"TYPE_{field.kind.upper()}")
                if field.kind == "enum":
                    row.type_name = ".t.E"
                if field.repeated and field.kind not in ("string", "bytes"):
                    row.options.packed = n % 2 == 0

    add(INNER)
    add(ALL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.All"))


def value_of(kind, draw):
    if kind in ("float", "double"):
        value = draw.choice((0.0, -1.5, 1e30, math.inf, draw.uniform(-9, 9)))
        return struct.unpack("<f", struct.pack("<f", value))[0] if kind == "float" else value
    if kind == "bool":
        return draw.random() < 0.5
    if kind == "enum":
        return draw.choice((0, -3, 5, 7, 2**31 - 1))
    bits = 32 if "32" in kind else 64
    low = 0 if kind.startswith(("u", "fixed")) else -(1 << (bits - 1))
    return draw.choice((low, 0, 1, low + (1 << bits) - 1, draw.randint(low, low + (1 << bits) - 1)))


def fill(made, message, draw):
    for field in message.fields.values():
        if draw.random() < 0.4:
            continue
        count = draw.randint(1, 3) if field.repeated else 1
        for _ in range(count):
            if isinstance(field.kind, Message):
                own = getattr(made, field.name)
                fill(own.add() if field.repeated else own, field.kind, draw)
                own if field.repeated else own.SetInParent()
                continue
            if field.kind == "string":
                value = draw.choice(("", "a", "é😀", "x" * 200))
            elif field.kind == "bytes":
                value = draw.randbytes(draw.choice((0, 1, 200)))
            else:
                value = value_of(field.kind, draw)
            if field.repeated:
                getattr(made, field.name).append(value)
            else:
                setattr(made, field.name, value)
    return made


def as_record(made):
    found = {}
    for field, value in made.ListFields():
        single_value = as_record if field.message_type else lambda each: each
        many = not isinstance(value, (str, bytes)) and hasattr(value, "__len__")
        found[field.name] = list(map(single_value, value)) if many else single_value(value)
    return found


@pytest.mark.needs_formats
def test_messages_of_the_package_protobuf_are_read_as_it_reads_them(oracle):
    draw = random.Random(3)
    for _ in range(300):
        made = fill(oracle(), ALL, draw)
        raw = made.SerializeToString()
        assert read(raw) == as_record(made)
        other = fill(oracle(), ALL, draw).SerializeToString()
        assert read(raw + other) == as_record(oracle.FromString(raw + other))


@pytest.mark.needs_formats
def test_mutants_are_refused_where_the_package_protobuf_refuses_them(oracle):
    from google.protobuf.message import DecodeError

    draw, refused = random.Random(4), 0
    for _ in range(3000):
        raw = bytearray(fill(oracle(), INNER_ONLY, draw).SerializeToString())
        for _ in range(draw.randint(1, 3)):
            raw[draw.randrange(len(raw))] = draw.choice((0, 1, 8, 0x7F, 0x80, 0xFF))
        try:
            wanted = as_record(oracle.FromString(bytes(raw)))
        except (DecodeError, UnicodeDecodeError):
            refused += 1
            with pytest.raises(FormatError):
                read_message(bytes(raw), ALL, "file")
            continue
        try:
            found = read(bytes(raw))
        except FormatError as error:
            if "UTF-8" not in str(error):  # protobuf 2 lets bytes pass that are no text
                raise
        else:
            wanted |= {"bools": list(map(int, wanted["bools"]))} if "bools" in wanted else {}
            # As text, for NaN does not equal itself.
            assert repr(sorted(found.items())) == repr(sorted(wanted.items()))
    assert refused > 300


INNER_ONLY = Message("All", {n: f for n, f in ALL.fields.items() if n not in (8, 108)})
