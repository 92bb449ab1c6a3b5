"""Buffers, numpy and DLPack: no copies, read-only memory unchanged, nothing freed too early."""

import array
import copy
import gc
import mmap
import pickle
import weakref

import ml_dtypes
import numpy as np
import pytest

import tallow as tl
from tallow.dtype import by_name
from tallow.errors import ArgumentError, DTypeError, ShapeError

PLAIN = [
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
]


def address(a):
    return a.__array_interface__["data"][0]


@pytest.mark.parametrize("name", PLAIN)
def test_numpy_both_ways_without_a_copy(name):
    a = np.arange(24).reshape(2, 3, 4).astype(name)
    for x in (
        a,
        a.T,
        a[:, ::-1, ::2],
        a[1:],
        np.broadcast_to(a, (2, 2, 3, 4)),
        a[0, 0, 0:1].reshape(()),
        a[:0],
    ):
        t = tl.from_numpy(x)
        back = t.numpy()
        assert t.shape == x.shape and back.dtype == x.dtype
        np.testing.assert_array_equal(back, x)
        if x.size:
            assert t.data_ptr() == address(x) == address(back)
        assert np.asarray(t).strides == x.strides or x.size < 2
        assert back.flags.writeable == x.flags.writeable
    t = tl.from_numpy(a)
    t.fill_(1)
    assert (a == 1).all()


@pytest.mark.parametrize(
    "kind", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
)
def test_ml_dtypes_without_a_copy(kind):
    a = np.array([[1.5, -2.0], [0.0, 4.0]]).astype(kind)[:, ::-1]
    t = tl.from_numpy(a)
    assert t.data_ptr() == address(a) == address(t.numpy()) and t.numpy().dtype == a.dtype
    np.testing.assert_array_equal(t.numpy().astype(np.float32), a.astype(np.float32))


def test_numpy_refusals():
    for bad in (
        np.arange(3, dtype=">i4"),
        np.array(["a"]),
        np.array([None]),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, np.longdouble),
    ):
        with pytest.raises(DTypeError, match=r"^from_numpy: expected"):
            tl.from_numpy(bad)
    records = np.zeros(3, [("a", "i1"), ("b", "f4")])
    with pytest.raises(DTypeError, match="layout"):
        tl.from_numpy(records["b"])


def test_numpy_operators_leave_the_result_to_us():
    t = tl.ones(3)
    for got in (
        np.arange(3.0) + t,
        t + np.arange(3.0),
        np.float64(2) * t,
        t - np.int64(1),
        np.arange(3) >= t,
    ):
        assert isinstance(got, tl.Tensor)


@pytest.mark.parametrize("name", PLAIN)
def test_dlpack_both_ways_without_a_copy(name):
    a = np.arange(12).reshape(3, 4).astype(name)
    for x in (a, a.T, a[::2]):
        t = tl.from_dlpack(x)
        assert t.data_ptr() == address(x)
        np.testing.assert_array_equal(t.numpy(), x)
    own = tl.from_numpy(a.copy())[1:]
    there = np.from_dlpack(own)
    assert address(there) == own.data_ptr()
    back = tl.from_dlpack(own)
    own.fill_(0)
    assert not there.any() and not back.numpy().any()


def test_dlpack_capsules_serve_once():
    capsule = tl.ones(3).__dlpack__()
    t = tl.from_dlpack(capsule)
    with pytest.raises(ValueError, match="PyCapsule"):
        tl.from_dlpack(capsule)
    assert t.tolist() == [1, 1, 1] and t.__dlpack_device__() == (1, 0)
    with pytest.raises(DTypeError, match="no dtype"):
        tl.zeros(2, 32).to("q8_0").__dlpack__()


@pytest.mark.needs_torch
def test_torch_by_dlpack():
    import torch

    a = torch.arange(12.0).reshape(3, 4)[:, ::2].to(torch.bfloat16)
    t = tl.from_dlpack(a)
    assert t.data_ptr() == a.data_ptr() and t.dtype is tl.bf16 and t.tolist() == a.tolist()
    back = torch.from_dlpack(t)
    assert back.data_ptr() == a.data_ptr() and torch.equal(back, a)


def test_bytes_are_copied_on_the_first_write():
    source = np.arange(4, dtype=np.float32).tobytes()
    kept = bytes(bytearray(source))
    t = tl.from_buffer(source, "f32", (2, 2))
    row, turned, lent = t[1], t.T, t.numpy()
    assert not lent.flags.writeable and t.data_ptr() == np.frombuffer(source, np.uint8).ctypes.data
    turned[0] += 10
    assert source == kept
    assert (
        t.tolist() == [[10, 1], [12, 3]]
        and row.tolist() == [12, 3]
        and turned.tolist() == [[10, 12], [1, 3]]
    )
    row.mul_(2)
    assert t.tolist() == [[10, 1], [24, 6]] and t.numpy().flags.writeable
    assert lent.tolist() == [[0, 1], [2, 3]]


def test_memory_lent_before_a_write_stays_valid():
    t = tl.from_buffer(bytearray(range(256)) * 4096, "u8", (1 << 20,))
    source = bytes(range(256)) * 4096
    t = tl.from_buffer(source, "u8", (1 << 20,))
    lent = t.numpy()
    t.fill_(7)  # the source must not be let go: `lent` still reads it
    del source, t
    gc.collect()
    other = [bytes(1 << 20) for _ in range(4)]
    assert lent[:256].tolist() == [*range(256)] and int(lent.sum()) == 4096 * 255 * 128
    del other


def test_read_only_numpy_is_copied_on_the_first_write():
    a = np.arange(6.0)
    a.flags.writeable = False
    t = tl.from_numpy(a[::-1])
    t += 1
    assert a.tolist() == [0, 1, 2, 3, 4, 5] and t.tolist() == [6, 5, 4, 3, 2, 1]
    spread = tl.from_numpy(np.broadcast_to(np.float32(3), (4,)))
    with pytest.raises(ShapeError, match="lie apart"):
        spread += 1


def test_a_mapped_file_never_changes(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(np.arange(1024, dtype=np.int32).tobytes())
    before = path.read_bytes()
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    t = tl.from_buffer(mapped, "i32", (1023,), 4)
    assert t[0].item() == 1
    t.zero_()
    t[5] = 9
    assert path.read_bytes() == before and mapped[4:8] == before[4:8] and t.sum().item() == 9
    with pytest.raises(BufferError):
        mapped.close()
    del t
    mapped.close()


def test_owners_live_as_long_as_their_views():
    class Owner(np.ndarray):
        pass

    owner = np.arange(5.0).view(Owner)
    alive = weakref.ref(owner)
    view = tl.from_dlpack(owner)[1:]
    view = (view, tl.from_buffer(owner, "f64", (5,)))
    del owner
    gc.collect()
    assert alive() is not None and view[0].tolist() == [1, 2, 3, 4]
    lent = tl.arange(5).numpy()
    through = np.from_dlpack(tl.arange(6))
    gc.collect()
    assert lent.tolist() == [0, 1, 2, 3, 4] and through.sum() == 15
    del view
    gc.collect()
    assert alive() is None


def test_buffers():
    numbers = array.array("i", [1, 2, 3])
    t = tl.from_buffer(numbers, "i32", (3,))
    t[0] = 9
    assert numbers[0] == 9
    with pytest.raises(BufferError):
        numbers.append(4)
    assert bytes(memoryview(t._array)) == numbers.tobytes()
    whole = tl.arange(6).reshape(2, 3)
    assert memoryview(whole.T._array).strides == (8, 24)
    for strided in (whole.T, whole[:, ::-1]):
        with pytest.raises(BufferError):
            tl.from_buffer(strided._array, "i64", (6,))
    with pytest.raises(BufferError):
        memoryview(tl.zeros(2, dtype="bf16")._array)


@pytest.mark.parametrize(
    ("shape", "offset"),
    [
        ((4,), 0),
        ((3,), 1),
        ((1,), -4),
        ((-1,), 0),
        ((2**62, 4), 0),
        ((1,), 2**62),
        ((1,) * 13, 0),
        ((2**80,), 0),
    ],
    ids=str,
)
def test_ranges_outside_the_buffer(shape, offset):
    with pytest.raises((ShapeError, OverflowError)):
        tl.from_buffer(bytes(12), "f32", shape, offset)
    with pytest.raises(ShapeError, match="a shape that this dtype cannot have"):
        tl.from_buffer(bytes(34), "q8_0", (33,))


@pytest.mark.parametrize("dtype", ["f32", "bf16", "bool", "u64", "f8e4m3", "q8_0"])
def test_pickle_and_copy(dtype):
    t = tl.from_buffer(bytes(i % 2 for i in range(8 * 64)), dtype, (2, 32))
    for again in (pickle.loads(pickle.dumps(t)), copy.copy(t), copy.deepcopy(t)):
        assert again.dtype is t.dtype and again.shape == t.shape
        assert again._array.raw_bytes() == t._array.raw_bytes()
    part = pickle.loads(pickle.dumps(tl.arange(6).reshape(2, 3).T))
    assert part.tolist() == [[0, 3], [1, 4], [2, 5]]
    part += 1
    assert pickle.loads(pickle.dumps(tl.f16)) is tl.f16


@pytest.mark.parametrize("offset", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64", "i64", "complex64"])
def test_no_element_lies_at_an_odd_address(dtype, offset):
    kind = {"f16": "f2", "bf16": "u2", "f32": "f4", "f64": "f8", "i64": "i8", "complex64": "c8"}[
        dtype
    ]
    values = np.arange(24 * 20).astype(kind).reshape(24, 20)
    raw = bytes(offset) + values.tobytes()
    size = 4 if dtype == "complex64" else values.itemsize
    x = tl.from_buffer(raw, dtype, (24, 20), offset=offset)
    assert x.data_ptr() % size == 0 and x._array.raw_bytes() == values.tobytes()
    assert (
        tl.from_buffer(raw, "q8_0", (1, 32), offset=offset)._array.raw_bytes() == raw[offset:][:34]
    )
    seen = tl.from_buffer(raw, "u8", (len(raw) - offset,), offset).view(by_name(dtype))
    assert seen.data_ptr() % size == 0 and seen._array.raw_bytes() == values.tobytes()
    cells = tl.from_buffer(raw, "u8", (len(raw) - offset,), offset)
    for _ in range(2):  # the first has the bytes copied, the second finds them so
        assert cells.view(by_name(dtype))._array.raw_bytes() == values.tobytes()
    shared = bytearray(raw)  # a write would have to be seen on both sides
    if offset % size:
        with pytest.raises(ArgumentError, match=f"multiple of {size} bytes"):
            tl.from_buffer(shared, dtype, (24, 20), offset=offset)
        with pytest.raises((ArgumentError, RuntimeError)):
            tl.from_buffer(shared, "u8", (8 * size,), offset)[: 4 * size].view(by_name(dtype))
    else:
        assert tl.from_buffer(shared, dtype, (24, 20), offset=offset).data_ptr() % size == 0
    if dtype == "bf16":
        return
    odd = np.frombuffer(shared, kind, offset=offset).reshape(24, 20)[::2, ::-3]
    assert odd.flags.aligned is (offset % size == 0)
    for make in (tl.tensor, tl.as_tensor, tl.asarray):
        made = make(odd)
        assert made.data_ptr() % size == 0
        np.testing.assert_array_equal(made.numpy(), odd)
    if odd.flags.aligned:
        assert tl.from_numpy(odd).data_ptr() == odd.ctypes.data
        return
    with pytest.raises(ArgumentError, match="tl.tensor"):
        tl.from_numpy(odd)
    if dtype in ("f32", "i64"):
        np.testing.assert_array_equal(
            (tl.zeros(8, 7, dtype=odd.dtype.name) + odd[:8]).numpy(), odd[:8]
        )


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64", "i64"])
def test_copies_of_strided_tensors(dtype):
    kind = {"f16": "<f2", "f32": "<f4", "f64": "<f8", "i64": "<i8"}[dtype]
    values = np.arange(24 * 20).astype(kind).reshape(24, 20)
    x = tl.from_buffer(values.tobytes(), dtype, (24, 20))
    np.testing.assert_array_equal(x.clone().numpy(), values)
    np.testing.assert_array_equal(x.t().contiguous().numpy(), values.T)
    np.testing.assert_array_equal(x[::2, ::3].clone().numpy(), values[::2, ::3])
    assert (x[:1, :1].expand(24, 20).clone().numpy() == values[0, 0]).all()


@pytest.mark.parametrize("dtype", ["f8e4m3", "f8e5m2"])
def test_floats_of_8_bits_are_read_as_numbers(dtype):
    kind = {"f8e4m3": ml_dtypes.float8_e4m3fn, "f8e5m2": ml_dtypes.float8_e5m2}[dtype]
    every = np.arange(256, dtype="uint8").view(kind)
    x = tl.from_numpy(every)
    np.testing.assert_array_equal(x.tolist(), every.astype("float64"))
    assert x[56].item() == float(every[56])
    assert "nan" in repr(x[-4:])
