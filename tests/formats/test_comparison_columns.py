"""Cells of docs/guide/formats.md that need pycapnp or pyarrow."""

import mmap
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from formats.comparison import (
    COUNT,
    LARGE,
    TOUCHED,
    cell,
    f32,
    lies_in,
    mapped,
    places,
    print_touched,
    small,
    touched,
)

pytestmark = pytest.mark.needs_formats


# --- Cap'n Proto ----------------------------------------------------------------------------------

SCHEMA = """@0xbf5147cbbecf40c1;
struct Tensor { name @0 :Text; shape @1 :List(UInt64); data @2 :Data; }
struct Model { tensors @0 :List(Tensor); }
"""


def load_schema(folder):
    import capnp

    path = folder / "model.capnp"
    path.write_text(SCHEMA)
    return capnp.load(str(path))


@pytest.fixture(scope="session")  # an id of a schema may be loaded once, else the process ends
def schema(tmp_path_factory):
    return load_schema(tmp_path_factory.mktemp("schema"))


def capnp_model(schema, arrays):
    message = schema.Model.new_message()
    for made, (name, array) in zip(
        message.init("tensors", len(arrays)), arrays.items(), strict=True
    ):
        made.name, made.data = name, array.tobytes()
    return message.to_bytes()


@cell("Cap'n Proto", "safe", "yes")
def test_capn_proto_safe(schema):
    import capnp

    raw, rng, refused = capnp_model(schema, small()), np.random.default_rng(0), 0
    for _ in range(1000):
        changed = bytearray(raw)
        changed[rng.integers(120)] = rng.integers(256)
        try:
            with schema.Model.from_bytes(bytes(changed)) as model:
                for tensor in model.tensors:
                    assert len(tensor.name) <= len(raw) and len(tensor.data) <= len(raw)
        except (capnp.KjException, UnicodeDecodeError):
            refused += 1
    assert refused > 100


@cell("Cap'n Proto", "zero-copy", "yes")
def test_capn_proto_zero_copy(schema):
    raw = capnp_model(schema, {"w": f32()})
    with schema.Model.from_bytes(raw) as model:
        view = model.tensors[0].get_data_as_view("data")
        assert lies_in(np.frombuffer(view, np.float32), raw)


@cell("Cap'n Proto", "lazy", "yes")
def test_capn_proto_lazy(schema, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(capnp_model(schema, {"large": f32(16 * COUNT), "small": f32(4)}))
    assert touched(__file__, "capnp", path) < 4 * TOUCHED  # the library itself among it


@cell("Cap'n Proto", "size limit", "512 MiB an array")
def test_capn_proto_size_limit(schema):
    import capnp

    message = schema.Tensor.new_message()
    with pytest.raises(capnp.KjException, match="too many elements|integer overflow"):
        message.init("shape", 2**29)
    with pytest.raises(capnp.KjException, match="too many elements|integer overflow"):
        message.init("data", 2**29)


@cell("Cap'n Proto", "layout control", "partly")
def test_capn_proto_layout_control(schema):
    """At multiples of 8 bytes, in the order of writing; no wider alignment can be asked for."""
    found = places(capnp_model(schema, small(8)), 8)
    assert found == sorted(found) and not any(at % 8 for at in found)
    assert any(at % 64 for at in found)


@cell("Cap'n Proto", "flexibility", "partly")
def test_capn_proto_flexibility(schema):
    import capnp

    with pytest.raises((AttributeError, capnp.KjException)):
        schema.Tensor.new_message().note = "what the schema does not name"


@cell("Cap'n Proto", "bf16/fp8", "no")
@pytest.mark.parametrize("kind", ["BFloat16", "Float16", "Float8"])
def test_capn_proto_bf16_fp8(tmp_path, kind):
    (tmp_path / "q.capnp").write_text(f"@0xbf5147cbbecf40c2;\nstruct Q {{ f @0 :{kind}; }}\n")
    code = "import capnp, sys; capnp.load(sys.argv[1])"  # it may end the process
    command = [sys.executable, "-c", code, str(tmp_path / "q.capnp")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and f"Not defined: {kind}" in done.stderr


# --- Arrow ----------------------------------------------------------------------------------------


def arrow_file(path, columns):
    import pyarrow as pa

    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@cell("Arrow", "safe", "partly")
def test_arrow_safe(tmp_path):
    """No code runs, but a file is taken at its word: offsets are checked only when one asks."""
    import pyarrow as pa

    path = tmp_path / "model.arrow"
    arrow_file(path, {"text": ["abc", "def"]})
    raw = bytearray(path.read_bytes())
    at = raw.index(struct.pack("<3i", 0, 3, 6))
    raw[at : at + 12] = struct.pack("<3i", 0, 2**30, 6)
    batch = pa.ipc.open_file(pa.py_buffer(bytes(raw))).get_batch(0)
    batch.validate()
    with pytest.raises(pa.ArrowInvalid):
        batch.validate(full=True)


@cell("Arrow", "zero-copy", "yes")
def test_arrow_zero_copy(tmp_path):
    import pyarrow as pa

    path = tmp_path / "model.arrow"
    arrow_file(path, {"w": f32()})
    file = mapped(path)
    batch = pa.ipc.open_file(pa.py_buffer(file)).get_batch(0)
    array = batch.column(0).to_numpy(zero_copy_only=True)
    assert array[5] == 5 and lies_in(array, file)


@cell("Arrow", "lazy", "yes")
def test_arrow_lazy(tmp_path):
    path = tmp_path / "model.arrow"
    arrow_file(path, {"large": f32(16 * COUNT), "small": f32(16 * COUNT)})
    assert touched(__file__, "arrow", path) < 4 * TOUCHED  # the library itself among it


@cell("Arrow", "size limit", "none")
def test_arrow_size_limit():
    import pyarrow as pa

    with mmap.mmap(-1, LARGE) as untouched:
        buffer = pa.py_buffer(untouched)
        array = pa.Array.from_buffers(pa.uint8(), LARGE, [None, buffer])
        assert len(array) == LARGE and array[LARGE - 1].as_py() == 0
        del array, buffer


@cell("Arrow", "layout control", "partly")
def test_arrow_layout_control(tmp_path):
    """Columns in the order given, at multiples of 8 bytes; all of them have the same length."""
    import pyarrow as pa

    path = tmp_path / "model.arrow"
    arrow_file(path, {name: array[:4] for name, array in small().items()})
    found = places(path.read_bytes(), 4)
    assert found == sorted(found) and not any(at % 8 for at in found)
    with pytest.raises(pa.ArrowInvalid):
        pa.table({"a": f32(3), "b": f32(4)})


@cell("Arrow", "flexibility", "partly")
def test_arrow_flexibility():
    import pyarrow as pa

    nested = pa.array([{"a": [1, 2], "b": "text"}])
    assert nested.to_pylist() == [{"a": [1, 2], "b": "text"}]
    with pytest.raises(pa.ArrowInvalid):
        pa.array([object()])


@cell("Arrow", "bf16/fp8", "no")
def test_arrow_bf16_fp8():
    import ml_dtypes
    import pyarrow as pa

    assert pa.array(np.ones(3, np.float16)).type == pa.float16()
    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
        with pytest.raises(pa.ArrowNotImplementedError):
            pa.array(np.ones(3, dtype))


def capnp_reader(folder):
    model_schema = load_schema(folder).Model

    @contextmanager
    def reader(path):
        with (
            mapped(path) as file,
            model_schema.from_bytes(file, traversal_limit_in_words=2**40) as model,
        ):
            view = model.tensors[1].get_data_as_view("data")
            yield np.frombuffer(view, np.float32)[3]
            del view

    return reader


def arrow_reader():
    import pyarrow as pa

    @contextmanager
    def reader(path):
        with pa.memory_map(path) as source:
            yield pa.ipc.open_file(source).get_batch(0).column(1)[3].as_py()

    return reader


if __name__ == "__main__":
    name, path = sys.argv[1:]
    print_touched(
        {name: capnp_reader(Path(path).parent) if name == "capnp" else arrow_reader()}, name, path
    )
