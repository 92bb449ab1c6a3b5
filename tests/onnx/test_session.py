"""Sessions: the same code runs with `tallow.onnx` and with `onnxruntime`."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from onnx_made import node, raw, value
from tallow.errors import ArgumentError, DTypeError, ShapeError
from tallow.formats.onnx import ValueInfo, ValueType
from tallow.formats.onnx.types import CODES

ROWS = np.arange(6, dtype="float32").reshape(2, 3)
W = np.array([1, 2, 3], "float32")
BOTH = pytest.mark.parametrize(
    "ort",
    ["tallow.onnx", pytest.param("onnxruntime", marks=pytest.mark.needs_formats)],
    indirect=True,
)


@pytest.fixture
def ort(request):
    return importlib.import_module(request.param)


def adder(**more):
    return raw(
        [value("x", ("batch", 3)), value("w", (3,)), value("s", (), "int64")],
        [value("z", ("batch", 3)), value("t", (), "int64")],
        [node("Add", "x w", "a"), node("Relu", "a", "z"), node("Identity", "s", "t")],
        {"w": tl.tensor([1.0, 2.0, 3.0])},
        **more,
    )  # fmt: skip


FEEDS = {"x": ROWS, "s": np.array(5)}


@BOTH
@pytest.mark.parametrize("how", ["path", "bytes"])
def test_a_session_runs(ort, tmp_path, how):
    source = adder()
    if how == "path":
        (tmp_path / "a.onnx").write_bytes(source)
        source = str(tmp_path / "a.onnx")
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    for _ in range(3):
        z, t = session.run(None, FEEDS)
        np.testing.assert_array_equal(z, ROWS + W)
        assert (z.dtype, z.shape, t.dtype, t.shape, t) == ("float32", (2, 3), "int64", (), 5)
        assert [each.shape for each in session.run(["t", "z"], FEEDS)] == [(), (2, 3)]
        assert len(session.run([], FEEDS)) == 2
        (z,) = session.run(["z"], FEEDS | {"w": np.zeros(3, "float32")}, ort.RunOptions())
        np.testing.assert_array_equal(z, ROWS)


@BOTH
def test_what_a_model_says(ort):
    session = ort.InferenceSession(adder(producer="maker", metadata={"character": "a\nb"}))
    described = [[(e.name, e.type, e.shape) for e in part()] for part in (
        session.get_inputs, session.get_outputs, session.get_overridable_initializers)]  # fmt: skip
    assert described == [
        [("x", "tensor(float)", ["batch", 3]), ("s", "tensor(int64)", [])],
        [("z", "tensor(float)", ["batch", 3]), ("t", "tensor(int64)", [])],
        [("w", "tensor(float)", [3])],
    ]
    meta = session.get_modelmeta()
    assert meta.custom_metadata_map == {"character": "a\nb"}
    assert (meta.producer_name, meta.graph_name, meta.version) == ("maker", "main", 2**63 - 1)
    assert (meta.domain, meta.description, meta.graph_description) == ("", "", "")
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_provider_options() == {"CPUExecutionProvider": {}}
    assert "CPUExecutionProvider" in ort.get_available_providers()
    assert ort.get_device() == "CPU" and ort.__version__


@BOTH
def test_options_of_programs(ort):
    """All that rapidocr, silero-vad, piper and magika set."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    session = ort.InferenceSession(
        adder(), sess_options=options, providers=[("CPUExecutionProvider", {"arena": "same"})]
    )
    assert isinstance(session, ort.InferenceSession)
    np.testing.assert_array_equal(session.run(["z"], FEEDS)[0], ROWS + W)
    assert session.get_session_options().intra_op_num_threads == 1
    with pytest.raises(AttributeError):
        options.threads = 1
    with pytest.raises(TypeError):
        options.intra_op_num_threads = "2"


@BOTH
@pytest.mark.parametrize(
    "feeds",
    [
        {"x": ROWS.astype("float64")}, {"x": ROWS[:, :2]}, {"x": ROWS[0]}, {"v": ROWS},
        {"w": np.zeros(1, "float32")},
    ],
    ids=["dtype", "length", "rank", "name", "initializer"],
)  # fmt: skip
def test_misfits_are_refused(ort, feeds):
    session = ort.InferenceSession(adder())
    with pytest.raises(Exception, match=next(iter(feeds)) + "|data type"):
        session.run(None, FEEDS | feeds)
    with pytest.raises(ValueError, match="'s'"):
        session.run(None, {"x": ROWS})
    with pytest.raises(Exception, match="u"):
        session.run(["u"], FEEDS)


@BOTH
def test_what_is_tolerated(ort):
    """No axes in the file, a name with two lengths, lists of numbers."""
    session = ort.InferenceSession(adder())
    found = session.run(None, {"x": ROWS.tolist(), "s": np.array([5])})
    np.testing.assert_array_equal(found[0], ROWS + W)
    assert found[1].tolist() == [5]
    x, y, z = value("x", ("n", 3)), value("y", ("n", 3)), value("z", None)
    session = ort.InferenceSession(raw([x, y], [z], [node("Add", "x y", "z")]))
    np.testing.assert_array_equal(session.run(None, {"x": ROWS, "y": ROWS[:1]})[0], ROWS + ROWS[0])


@BOTH
def test_outputs_are_the_callers(ort):
    given = raw(
        [value("x", (2,))], [value("x2", (2,)), value("x3", (2,)), value("v", (2,))],
        [node("Identity", "x", "x2"), node("Identity", "x", "x3"), node("Identity", "w", "v")],
        {"w": tl.tensor([1.0, 2.0])},
    )  # fmt: skip
    session = ort.InferenceSession(given)
    x = np.array([3, 4], "float32")
    for _ in range(3):
        for found, want in zip(session.run(None, {"x": x}), ([3, 4], [3, 4], [1, 2]), strict=True):
            assert found.tolist() == want
            found[:] = 0
    assert x.tolist() == [3, 4]


@pytest.mark.parametrize("kind", [list, tuple])
def test_outputs_lie_on_no_memory_of_a_sequence_given(kind):
    tensor = ValueType("tensor", CODES["float"], None)
    parts = [ValueInfo(name, ValueType("sequence", element=tensor)) for name in ("parts", "same")]
    nodes = [node("SequenceAt", "parts at", "one"), node("Identity", "parts", "same")]
    given = raw([parts[0], value("at", (), "int64")], [value("one", None), parts[1]], nodes)
    session = tl.onnx.InferenceSession(given)
    x, y = np.ones(3, "float32"), np.ones(2, "float32")
    for _ in range(3):
        one, same = session.run(None, {"parts": kind([x, y]), "at": np.array(0)})
        for each in (one, *same):
            each[:] = 0
    assert x.all() and y.all()


@BOTH
def test_ort_values_and_bindings(ort):
    session = ort.InferenceSession(adder())
    held = ort.OrtValue.ortvalue_from_numpy(ROWS)
    assert (held.data_type(), held.shape(), held.device_name()) == ("tensor(float)", [2, 3], "cpu")
    assert held.is_tensor() and held.has_value() and not held.is_tensor_sequence()
    assert (held.element_type(), held.tensor_size_in_bytes()) == (1, 24)
    s = ort.OrtValue.ortvalue_from_numpy(np.array(5))
    (z,) = session.run_with_ort_values(["z"], {"x": held, "s": s})
    np.testing.assert_array_equal(z.numpy(), ROWS + W)

    binding = session.io_binding()
    binding.bind_cpu_input("s", np.array(5))
    binding.bind_ortvalue_input("x", held)
    binding.bind_output("z")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], ROWS + W)
    held.update_inplace(ROWS * 0)
    own = ort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    binding.bind_ortvalue_output("z", own)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(own.numpy(), W.reshape(1, 3).repeat(2, 0))
    assert [each.shape() for each in binding.get_outputs()] == [[2, 3]]


def test_threads_of_a_session():
    seen = []

    @tl.onnx.operator("Threads", domain="test.session")
    def threads(x):
        seen.append(tl.num_threads())
        return x

    x = value("x", (1,))
    source = raw([x], [value("y", (1,))], [node("Threads", "x", "y", "test.session")],
                 opsets={"": 17, "test.session": 1})  # fmt: skip
    options = tl.onnx.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = tl.onnx.GraphOptimizationLevel.ORT_DISABLE_ALL
    one = tl.onnx.InferenceSession(source, options)
    other = tl.onnx.InferenceSession(source)
    tl.set_num_threads(2)
    try:
        for session in (one, other, one):
            session.run(None, {"x": np.ones(1, "float32")})
    finally:
        tl.set_num_threads(0)
    assert seen[:1] + seen[-1:] == [1, 1] and 2 in seen
    assert one.model.stats.captured == 0


@pytest.mark.parametrize("count", [-1, 10**6, 2**31 - 1])
def test_numbers_of_threads_that_no_machine_has(count):
    """Kernels take memory for each thread: these are as many as there may be, at least one."""
    info = value("x", (4, 64)), value("y", (4, 64))
    source = raw([info[0]], [info[1]], [node("MatMul", "x w", "y")],
                 {"w": tl.ones(64, 64)})  # fmt: skip
    options = tl.onnx.SessionOptions()
    options.intra_op_num_threads = count
    session = tl.onnx.InferenceSession(source, options)
    for _ in range(3):
        assert (
            session.run(None, {"x": np.ones((4, 64), "float32")})[0].tolist() == [[64.0] * 64] * 4
        )


def test_what_is_refused_by_name():
    options = tl.onnx.SessionOptions()
    with pytest.raises(
        ArgumentError, match=r"enable_profiling of False, got True: tallow\.profile"
    ):
        options.enable_profiling = True
    with pytest.raises(ArgumentError, match="optimized_model_filepath"):
        options.optimized_model_filepath = "a.onnx"
    with pytest.raises(ArgumentError, match=r"registered by tallow\.onnx\.operator"):
        options.register_custom_ops_library("ops.so")
    with pytest.raises(AttributeError, match="expected one of intra_op_num_threads, .* got 'foo'"):
        options.foo = 1
    with pytest.raises(DTypeError, match="logid of type str, got 3"):
        options.logid = 3
    with pytest.raises(ArgumentError, match="no other options"):
        tl.onnx.InferenceSession(adder(), nonsense=1)


def test_other_providers_are_warned_of():
    with pytest.warns(UserWarning, match="got 'CUDAExecutionProvider': runs on the CPU"):
        session = tl.onnx.InferenceSession(
            adder(), providers=["CUDAExecutionProvider", "CPUExecutionProvider"]
        )
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_errors_are_those_of_models():
    session = tl.onnx.InferenceSession(adder())
    for feeds, error in (
        ({"x": ROWS.astype("float64")}, DTypeError), ({"x": ROWS[0]}, ShapeError),
        ({"v": ROWS}, ArgumentError),
    ):  # fmt: skip
        with pytest.raises(error):
            session.run(None, FEEDS | feeds)


@pytest.mark.plain_memory
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_loading_leaves_no_pages_of_the_file(tmp_path):
    """Weights lie at odd addresses, so they are copied; what was copied from is let go."""
    (tmp_path / "a.onnx").write_bytes(raw(
        [value("x", (1, 3))], [value("y", None)], [node("MatMul", "x w", "y")],
        {"w": tl.rand(3, 1 << 21), "a": tl.rand(3)},
    ))  # fmt: skip
    tl.onnx.load(tmp_path / "a.onnx")
    tl.onnx.load(adder())

    def mapped():
        lines = Path("/proc/self/smaps").read_text().split("\n")
        at = next(i for i, line in enumerate(lines) if line.endswith("a.onnx"))
        return next(int(line.split()[1]) for line in lines[at:] if line.startswith("Rss:"))

    model = tl.onnx.load(tmp_path / "a.onnx")
    assert mapped() < 1 << 10  # kB, of 24 MB
    assert model.weights["w"].shape == (3, 1 << 21)
