"""`.npy` and `.npz` against numpy, both ways."""

import os
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tallow as tl
from formats.npy_bytes import KINDS, address, npy, sample
from tallow.errors import ArgumentError, DTypeError, FormatError
from tallow.formats.npy import open_npy, open_npz, save_npy, save_npz
from tallow.formats.npy_header import encode_header, parse_header

SMALL = {"bf16": ml_dtypes.bfloat16, "f8e4m3": ml_dtypes.float8_e4m3fn}
SMALL |= {"f8e5m2": ml_dtypes.float8_e5m2}


def literal(text, data=b"", version=1):
    raw = text.encode("latin-1")
    length = len(raw).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + raw + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_dtype_in_either_byte_order(kind, order):
    array = sample(kind).astype(np.dtype(kind).newbyteorder(order))
    with open_npy(npy(array)) as file:
        tensor = file.tensor()
        assert list(file.tensors) == ["arr_0"]
        assert (tensor.shape, file.tensors["arr_0"].nbytes) == (array.shape, array.nbytes)
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert bytes(file.data()) == array.astype(np.dtype(kind).newbyteorder("<")).tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (2, 0, 3), (2, 3, 4), (1,) * 12], ids=str)
def test_shapes_and_versions(tmp_path, shape, version):
    array = sample("f4", shape)
    raw = npy(array, version=version)
    with open_npy(raw) as file:
        assert file.tensor().shape == shape
        np.testing.assert_array_equal(file.tensor().numpy(), array)
    save_npy(tl.from_numpy(array), tmp_path / "x.npy")
    assert (tmp_path / "x.npy").read_bytes() == npy(array)


@pytest.mark.parametrize("kind", ["f4", ">i2", "?", ">c8"])
def test_fortran_order_is_a_view(tmp_path, kind):
    array = sample("?" if kind == "?" else kind, (3, 4, 5), "F")
    np.save(tmp_path / "x.npy", array)
    with open_npy(tmp_path / "x.npy") as file:
        assert file.tensors["arr_0"].fortran
        assert file.tensors["arr_0"].swapped == kind.startswith(">")
        tensor = file.tensor()
        assert tensor.stride() == (1, 3, 12)
        if not kind.startswith(">"):
            assert tensor.data_ptr() == address(file.buffer) + file.tensors["arr_0"].offset
        assert bytes(file.data()) == array.astype(array.dtype.newbyteorder("<")).tobytes()
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_npy_is_mapped(tmp_path):
    np.save(tmp_path / "x.npy", sample("f4"))
    with open_npy(tmp_path / "x.npy") as file:
        tensor = file.tensor()
        assert tensor.data_ptr() == address(file.buffer) + 128
        assert file.data().nbytes == tensor.nbytes
        with pytest.raises(FormatError, match=r"tensor 'x': expected one of the 1 tensors"):
            file.tensor("x")
    before = (tmp_path / "x.npy").read_bytes()
    tensor += 1
    assert (tmp_path / "x.npy").read_bytes() == before
    np.testing.assert_array_equal(tensor.numpy(), sample("f4") + 1)
    with pytest.raises(ArgumentError, match="closed"):
        file.tensor()


@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("kind", ["u1", "f2", "f4", "c8", "i8"])
def test_odd_addresses_are_copied(kind, shift):
    array = sample(kind)
    raw = npy(array)
    store = np.zeros(len(raw) + 16, np.uint8)
    start = -store.ctypes.data % 8 + shift
    store[start : start + len(raw)] = np.frombuffer(raw, np.uint8)
    need = 4 if kind == "c8" else array.itemsize
    with open_npy(store[start : start + len(raw)]) as file:
        tensor = file.tensor()
        borrowed = tensor.data_ptr() == store.ctypes.data + start + 128
        assert borrowed == (shift % need == 0)
        assert tensor.data_ptr() % need == 0
        np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("name", SMALL)
def test_types_of_ml_dtypes(tmp_path, name):
    array = np.linspace(-3, 3, 12).reshape(3, 4).astype(SMALL[name])
    raw = npy(array)
    if name == "f8e5m2":  # numpy writes <f1, and is the only one not to read it
        with open_npy(raw) as file:
            np.testing.assert_array_equal(file.tensor().numpy(), array)
    else:
        with pytest.raises(FormatError, match="void='bf16'") as caught:
            open_npy(raw)
        assert caught.value.field == "header descr"
        with open_npy(raw, void=name) as file:
            assert file.tensor().dtype.name == name
            np.testing.assert_array_equal(file.tensor().numpy(), array)
    tensor = tl.from_numpy(array)
    with pytest.raises(DTypeError, match="void=True"):
        save_npy(tensor, tmp_path / "x.npy")
    save_npy(tensor, tmp_path / "x.npy", void=True)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy").view(SMALL[name]), array)
    if name != "f8e5m2":
        assert (tmp_path / "x.npy").read_bytes() == raw
    with open_npy(tmp_path / "x.npy", void=name) as file:
        np.testing.assert_array_equal(file.tensor().numpy(), array)


def test_void_of_the_wrong_size_or_unknown():
    raw = npy(np.zeros(3, ml_dtypes.bfloat16))
    with pytest.raises(FormatError, match="which is no f8e4m3"):
        open_npy(raw, void="f8e4m3")
    for opener in (open_npy, open_npz):
        with pytest.raises(ArgumentError, match="void as one of bf16"):
            opener(raw, void="f32")


REFUSED = {
    "objects": np.array([{}, None], object),
    "text": np.array(["a", "bc"]),
    "bytes": np.array([b"a"]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "spans": np.zeros(2, "m8[s]"),
    "structures": np.zeros(2, [("x", "f4"), ("y", "i4")]),
    "complex128": np.zeros(2, "c16"),
    "long": np.zeros(2, np.longdouble),
    "void": np.zeros(2, "V5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_of_other_things_are_refused(name):
    with pytest.raises(FormatError, match="header descr: expected numbers of a dtype") as caught:
        open_npy(npy(REFUSED[name]))
    words = {"objects": "Python objects, which are never loaded", "structures": "structures"}
    assert words.get(name, "") in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        '{"shape":(2,),"descr":"<f4","fortran_order":False}\n',
        "  {\t'fortran_order' : False , 'descr' : 'float32' , 'shape' : ( 2L , ) }   \n\n",
        "{'descr': '=f4', 'fortran_order': True, 'shape': (2,)}",
    ],
)
def test_literals_as_various_programs_write_them(text):
    with open_npy(literal(text, struct.pack("<2f", 1.5, -2))) as file:
        assert file.tensor().tolist() == [1.5, -2]


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "header"), ("{", "header"), ("{}", "header"), (GOOD[:-1], "header"),
        (GOOD + "x", "header"), (GOOD + GOOD, "header"), ("[" + GOOD + "]", "header"),
        (GOOD.replace("False", "0"), "header"), (GOOD.replace("(2,)", "(2)"), "header shape"),
        (GOOD.replace("(2,)", "2"), "header"), (GOOD.replace("(2,)", "[2]"), "header"),
        (GOOD.replace("(2,)", "(-2,)"), "header"), (GOOD.replace("(2,)", "(2,,)"), "header shape"),
        (GOOD.replace("(2,)", "(1_0,)"), "header"), (GOOD.replace("(2,)", "(2.0,)"), "header"),
        (GOOD.replace("(2,)", "(__import__('os').system('true'),)"), "header"),
        (GOOD.replace("(2,)", f"({'9' * 5000},)"), "header shape"),
        (GOOD.replace("(2,)", "(" * 30_000 + "2,"), "header"),
        (GOOD.replace("'<f4'", "<f4"), "header"), (GOOD.replace("'<f4'", "'\\x3cf4'"), "header"),
        (GOOD.replace("'<f4'", "b'<f4'"), "header"), (GOOD.replace("'<f4'", "'<' 'f4'"), "header"),
        (GOOD.replace("'<f4'", "'<f4' + ''"), "header"),
        (GOOD.replace("'<f4'", "''"), "header descr"),
        (GOOD.replace("descr", "description"), "header"),
        (GOOD.replace("shape", "descr"), "header"),
        (GOOD.replace("}", "'more': 1}"), "header"),
        (GOOD.replace("<f4", ">V2"), "header descr"),
        (GOOD.replace("<f4", "<f4,<f4"), "header descr"),
        (GOOD.replace("<f4", "2f4"), "header descr"),
        (GOOD.replace("'<f4'", "('<f4', (2,))"), "header descr"),
        (GOOD.replace("(2,)", f"({2**62},)"), "header shape"),
        (GOOD.replace("(2,)", f"({2**40}, {2**40}, 0)"), "header shape"),
        (GOOD.replace("(2,)", f"(0, {10**19 - 1})"), "header shape"),
        (GOOD.replace("(2,)", "(1, " * 1 + "1, " * 12 + ")"), "header shape"),
        (GOOD.replace("(2,)", "(3,)"), "data"), (GOOD.replace("(2,)", "(1,)"), "data"),
    ],
    ids=range(37),
)  # fmt: skip
def test_literals_that_are_refused(text, field):
    with pytest.raises(FormatError) as caught:
        open_npy(literal(text, bytes(8), version=2 if len(text) > 65_535 else 1))
    assert caught.value.field == field
    assert len(str(caught.value)) < 400


@given(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5), st.sampled_from(KINDS))
@settings(max_examples=200, deadline=None)
def test_header_round_trip_is_numpys(shape, kind):
    array = np.zeros(shape, kind)
    name = tl.from_numpy(array).dtype.name
    head = encode_header("here", name, shape, void=False)
    assert head + array.tobytes() == npy(array)
    header = parse_header("here", "", head, None)
    assert (header.dtype, header.shape, header.fortran, header.swapped) == (
        name,
        shape,
        False,
        False,
    )
    assert (header.length, header.nbytes) == (len(head), array.nbytes)


def test_quantised_tensors_are_refused(tmp_path):
    for save in (save_npy, lambda x, path: save_npz({"w": x}, path)):
        with pytest.raises(DTypeError, match=r"expected one of bool .* got q4_0"):
            save(tl.zeros(2, 32).to("q4_0"), tmp_path / "x")
    assert os.listdir(tmp_path) == []
