"""Cells of docs/guide/formats.md that need h5py, msgpack or protobuf."""

import io
import mmap
import os

import numpy as np
import pytest

from formats.comparison import (
    COUNT,
    Counting,
    cell,
    f32,
    lies_in,
    places,
    small,
)

pytestmark = pytest.mark.needs_formats


# --- HDF5 -----------------------------------------------------------------------------------------


@cell("H5", "safe", "partly")
def test_h5_safe(tmp_path):
    """Reading runs no code, but a dataset may say that its bytes stand in any other file."""
    import h5py

    secret, path = tmp_path / "secret", tmp_path / "model.h5"
    secret.write_bytes(b"not yours")
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (9,), "u1", external=[(str(secret), 0, 9)])
    with h5py.File(path) as file:
        assert bytes(file["w"][...]) == b"not yours"


@cell("H5", "zero-copy", "no")
def test_h5_zero_copy(tmp_path):
    import h5py

    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file["w"] = f32()
    with h5py.File(path) as file:
        first, second = file["w"][...], file["w"][...]
        assert first.flags.owndata and not np.shares_memory(first, second)


@cell("H5", "lazy", "yes")
def test_h5_lazy():
    import h5py

    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file["large"], file["small"] = f32(), f32(4)
    raw = made.getvalue()
    counting = Counting(raw)
    with h5py.File(counting) as file:
        assert file["small"][3] == 3
    assert counting.count < len(raw) // 10


@cell("H5", "size limit", "none")
def test_h5_size_limit(tmp_path):
    import h5py

    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (2**40,), "f4", chunks=(1024,))[-1] = 3
    with h5py.File(path) as file:
        assert file["w"][2**40 - 1] == 3


@cell("H5", "layout control", "yes")
def test_h5_layout_control(tmp_path):
    import h5py

    aligned = {"alignment_threshold": 1, "alignment_interval": 4096}
    with h5py.File(tmp_path / "model.h5", "w", **aligned) as file:
        found = [file.create_dataset(n, data=a).id.get_offset() for n, a in small().items()]
    assert found == sorted(found) and not any(at % 4096 for at in found)


@cell("H5", "flexibility", "partly")
def test_h5_flexibility(tmp_path):
    import h5py

    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.create_group("nested").attrs["text"] = "yes"
        assert file["nested"].attrs["text"] == "yes"
        with pytest.raises(TypeError):
            file.attrs["object"] = object()


@cell("H5", "bf16/fp8", "partly")
def test_h5_bf16_fp8(tmp_path):
    """The file keeps the bits of some; h5py gives them back as bytes without a number type."""
    import h5py
    import ml_dtypes

    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["b"] = np.ones(3, ml_dtypes.bfloat16)
        assert file["b"].dtype.kind == "V"
        assert file["b"][...].view(ml_dtypes.bfloat16).tolist() == [1, 1, 1]
        with pytest.raises(TypeError):
            file["f"] = np.ones(3, ml_dtypes.float8_e5m2)


# --- MsgPack --------------------------------------------------------------------------------------


@cell("MsgPack", "safe", "yes")
def test_msgpack_safe():
    """Unknown types stay data; lengths beyond the input are refused before memory is taken."""
    import msgpack

    extension = msgpack.unpackb(b"\xc7\x04\x2aabcd")
    assert type(extension) is msgpack.ExtType
    for lie in (b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(ValueError, match="incomplete|exceeds"):
            msgpack.unpackb(lie)
    with pytest.raises(msgpack.StackError):
        msgpack.unpackb(b"\x91" * 5000)


@cell("MsgPack", "zero-copy", "no")
def test_msgpack_zero_copy():
    import msgpack

    raw = msgpack.packb({"a": f32().tobytes()})
    assert not lies_in(np.frombuffer(msgpack.unpackb(raw)["a"], np.float32), raw)


@cell("MsgPack", "lazy", "no")
def test_msgpack_lazy():
    """What comes after an array is found only by going through it: there is no directory."""
    import msgpack

    file = Counting(msgpack.packb({"large": f32().tobytes(), "small": 1}))
    unpacker = msgpack.Unpacker(file, max_buffer_size=0)
    for _ in range(unpacker.read_map_header()):
        if unpacker.unpack() == "small":
            break
        unpacker.skip()
    assert unpacker.unpack() == 1
    assert file.count > 4 * COUNT


@cell("MsgPack", "size limit", "4 GiB an array")
def test_msgpack_size_limit():
    import msgpack

    too_large = pytest.raises(ValueError, match="too large")
    with mmap.mmap(-1, 2**32) as untouched, memoryview(untouched) as view, too_large:
        msgpack.packb(view)


@cell("MsgPack", "layout control", "no")
def test_msgpack_layout_control():
    import msgpack

    raw = msgpack.packb({name: array.tobytes() for name, array in small().items()})
    assert any(at % 4 for at in places(raw, 4))


@cell("MsgPack", "flexibility", "partly")
def test_msgpack_flexibility():
    import msgpack

    value = {"nested": [1, 2.5, {"a": None}], "raw": b"\0"}
    assert msgpack.unpackb(msgpack.packb(value)) == value
    with pytest.raises(TypeError):
        msgpack.packb(object())


@cell("MsgPack", "bf16/fp8", "no")
def test_msgpack_bf16_fp8():
    import ml_dtypes
    import msgpack

    for array in (np.ones(3, np.float32), np.ones(3, ml_dtypes.bfloat16)):
        with pytest.raises(TypeError):  # it has no arrays of numbers at all
            msgpack.packb(array)


# --- Protobuf -------------------------------------------------------------------------------------


@cell("Protobuf", "safe", "yes")
def test_protobuf_safe():
    from google.protobuf.message import DecodeError
    from google.protobuf.struct_pb2 import Struct

    value = Struct()
    value.update({"a": [1, 2, {"b": "text"}], "c": True})
    raw, rng, refused = value.SerializeToString(), np.random.default_rng(0), 0
    for _ in range(2000):
        changed = bytearray(raw)
        changed[rng.integers(len(raw))] = rng.integers(256)
        try:
            Struct.FromString(bytes(changed))
        except DecodeError:
            refused += 1
    assert refused > 100


@cell("Protobuf", "zero-copy", "no")
def test_protobuf_zero_copy():
    from google.protobuf.wrappers_pb2 import BytesValue

    raw = BytesValue(value=f32().tobytes()).SerializeToString()
    assert not lies_in(np.frombuffer(BytesValue.FromString(raw).value, np.float32), raw)


@cell("Protobuf", "lazy", "no")
def test_protobuf_lazy():
    """A message is parsed as a whole: one wrong byte at its end and nothing of it can be had."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.message import DecodeError

    raw = FileDescriptorProto(name="n", package="p").SerializeToString()
    assert FileDescriptorProto.FromString(raw).name == "n"
    with pytest.raises(DecodeError):
        FileDescriptorProto.FromString(raw[:-1])


@pytest.mark.slow
@cell("Protobuf", "size limit", "2 GiB")
def test_protobuf_size_limit():
    from google.protobuf.message import EncodeError
    from google.protobuf.wrappers_pb2 import BytesValue

    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 8 << 30:
        pytest.skip("a message of 2 GiB takes 8 GB of memory to be refused")
    message = BytesValue(value=bytes(2**31))
    with pytest.raises(EncodeError):
        message.SerializeToString()


@cell("Protobuf", "layout control", "no")
def test_protobuf_layout_control():
    from google.protobuf.descriptor_pb2 import UninterpretedOption

    names = [UninterpretedOption.NamePart(name_part=n, is_extension=False) for n in small()]
    options = [
        UninterpretedOption(name=[name], string_value=array.tobytes())
        for name, array in zip(names, small().values(), strict=True)
    ]
    raw = b"".join(option.SerializeToString() for option in options)
    assert any(at % 4 for at in places(raw, 4))
    swapped = UninterpretedOption(string_value=b"2", name=names[:1])  # the order is the schema's
    assert swapped.SerializeToString().index(b"n") < swapped.SerializeToString().index(b"2")


@cell("Protobuf", "flexibility", "partly")
def test_protobuf_flexibility():
    from google.protobuf.wrappers_pb2 import BytesValue

    message = BytesValue()
    with pytest.raises(AttributeError):
        message.note = "what the schema does not name"


@cell("Protobuf", "bf16/fp8", "no")
def test_protobuf_bf16_fp8():
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    kinds = [kind.name for kind in FieldDescriptorProto.Type.DESCRIPTOR.values]
    assert "TYPE_FLOAT" in kinds
    assert not [kind for kind in kinds if "BF" in kind or kind.endswith("8") or "HALF" in kind]
