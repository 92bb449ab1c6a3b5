"""tallow.torch: a namespace that loads lazily, refuses when called, and stands in for torch."""

import contextlib
import pickle
import subprocess
import sys

import pytest

import tallow as tl
import tallow.torch as torch
from tallow.errors import ArgumentError, FormatError
from tallow.torch._names import NoDeviceError, UnsupportedError


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_import_is_lazy_and_apart():
    done = run(
        "import sys, tallow; assert 'tallow.torch' not in sys.modules; import tallow.torch; "
        "print([m for m in sys.modules if m.startswith(('tallow.nn', 'tallow.optim', 'numpy'))])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_names_of_modules():
    from tallow.torch.nn.modules.linear import Linear
    from tallow.torch.optim.adam import Adam
    from tallow.torch.utils.data.dataloader import DataLoader

    assert Linear is tl.nn.Linear and Adam is tl.optim.Adam and DataLoader is tl.data.DataLoader
    assert torch.nn.modules.conv.Conv2d is tl.nn.Conv2d


def test_what_is_not_there_raises_when_called():
    nested = torch.nested.nested_tensor
    with pytest.raises(UnsupportedError, match=r"^torch\.nested\.nested_tensor: nested tensors"):
        nested([[1.0], [2.0, 3.0]])

    class Own(torch.fx.Interpreter):
        pass

    with pytest.raises(NotImplementedError, match="torch.fx.Interpreter"):
        Own()
    with pytest.raises(AttributeError, match="module 'torch' has no attribute 'nonsense'"):
        _ = torch.nonsense


def test_cuda_is_not_there():
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
    torch.cuda.manual_seed_all(0)
    torch.cuda.empty_cache()
    for use in (torch.cuda.synchronize, torch.cuda.current_device, torch.cuda.Stream):
        with pytest.raises(AssertionError, match="no CUDA device"):
            use()
    with pytest.raises(NoDeviceError):
        torch.cuda.FloatTensor(2)
    torch.backends.cudnn.benchmark = True
    assert torch.backends.cudnn.benchmark and not torch.backends.mps.is_available()
    torch.backends.cudnn.benchmark = False


def test_typed_tensors():
    x = torch.FloatTensor([1, 2])
    assert x.dtype is tl.f32 and isinstance(x, torch.FloatTensor)
    assert not isinstance(x, torch.LongTensor)
    assert torch.LongTensor(2, 3).shape == (2, 3)
    assert x.type(torch.LongTensor).dtype is tl.i64
    assert x.type("torch.DoubleTensor").dtype is tl.f64
    assert isinstance(x.shape, torch.Size) and torch.Size([2, 3]).numel() == 6


@pytest.mark.parametrize("name", ["f64", "bf16"])
def test_default_dtype(name):
    torch.set_default_dtype(name)
    try:
        made = (
            torch.zeros(2), torch.tensor([0.5]), torch.rand(2), torch.arange(3) / 2,
            torch.linspace(0, 1, 3), torch.eye(2), torch.arange(2) + 0.5, torch.full((1,), 0.5),
        )  # fmt: skip
        assert {x.dtype.name for x in made} == {name}
        assert torch.tensor([1]).dtype is tl.i64
    finally:
        torch.set_default_tensor_type(torch.FloatTensor)
    assert torch.zeros(1).dtype is tl.f32
    with pytest.raises(tl.errors.DTypeError, match="expected f32, f64"):
        torch.set_default_dtype("i64")


def test_classes_that_stand_for_more_are_not_of_everything():
    layer = torch.nn.Linear(2, 2)
    assert not isinstance(layer, torch.jit.ScriptModule)
    assert not isinstance((1,), torch.Size) and isinstance(layer.weight.shape, torch.Size)
    assert isinstance(layer.weight.untyped_storage(), torch.UntypedStorage)
    assert not isinstance(layer.weight, torch.UntypedStorage)
    with pytest.raises(tl.errors.DTypeError, match="untyped_storage"):
        torch.UntypedStorage(5)


def test_older_names_and_options_of_functions():
    assert torch.nn.Hardtanh(min_value=-2.0, max_value=3.0).max_val == 3.0
    assert torch.nn.SyncBatchNorm(2, dtype=torch.float64).weight.dtype is tl.f64
    assert torch.nn.SyncBatchNorm(2)(torch.rand(3, 2, 4, 4, 4)).shape == (3, 2, 4, 4, 4)
    assert torch.distributions.Kumaraswamy(concentration1=2.0, concentration0=3.0).mean > 0
    x = torch.rand(2, 3)
    copied = torch.from_dlpack(ext_tensor=x, copy=True)
    assert copied.data_ptr() != x.data_ptr() == torch.from_dlpack(x).data_ptr()
    out = torch.empty(0)
    assert torch.chain_matmul(x, x.T, out=out) is out and torch.allclose(out, x @ x.T)
    assert torch.func.jacrev(lambda v: v * v, chunk_size=1)(x[0]).diagonal().equal(2 * x[0])
    with pytest.raises(tl.errors.ArgumentError, match="chunk_size above 0"):
        torch.func.jacrev(torch.sin, chunk_size=0)
    made = torch.testing.make_tensor(
        1, 2, 3, 4, dtype=torch.float32, memory_format=torch.channels_last
    )
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert x.T.dim_order() == (1, 0)


def test_version():
    assert tuple(map(int, torch.__version__.split("+")[0].split(".")[:2])) == (2, 13)
    assert torch.__version__ >= "2.0" and torch.__version__ > (1, 9) and torch.__version__ < "3"
    assert torch.version.cuda is None


def test_save_and_load(tmp_path):
    path = tmp_path / "model.safetensors"  # PyTorch's format whatever the name
    torch.save({"w": torch.ones(2), "epoch": 3}, path)
    assert path.read_bytes()[:2] == b"PK"
    for where in (None, "cpu", torch.device("cpu"), lambda storage, place: storage, {"a": "cpu"}):
        assert torch.load(path, map_location=where)["epoch"] == 3
    with pytest.raises(NoDeviceError, match="map_location"):
        torch.load(path, map_location="cuda:0")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.inner(x)


def test_whole_modules(tmp_path):
    import io

    model, file, x = Net(), io.BytesIO(), torch.rand(1, 2)
    before = model(x)
    torch.save(model, file)
    file.seek(0)
    with pytest.raises(FormatError):
        torch.load(file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert (again(x) == before).all()
    file.seek(0)
    allowed = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    assert f"{Net.__module__}.Net" in allowed


def test_install_gives_torch():
    code = (
        "import tallow.torch; tallow.torch.install(); import torch, torch.nn as nn\n"
        "import torch.nn.functional as F\n"
        "from torch.utils.data import DataLoader\n"
        "from torch.optim.lr_scheduler import StepLR\n"
        "assert torch is tallow.torch and torch.nn is nn and nn.functional is F\n"
        "try:\n    import torch.nothing\nexcept ModuleNotFoundError as e:\n    print(e)\n"
    )
    done = run(code)
    assert done.stdout.strip() == "No module named 'torch.nothing'", done.stderr


def test_installed_classes_have_pytorchs_names():
    """By these packages tell what an array is, and a dtype: opt_einsum, jaxtyping, transformers."""
    code = (
        "import pickle, sys, tallow as tl, tallow.torch; tallow.torch.install(); import torch\n"
        "x = torch.ones(2)\n"
        "print(type(x), type(torch.nn.Parameter(x)), type(x).__module__.split('.')[0])\n"
        "print(x.dtype, torch.int64, torch.bool, torch.bfloat16, tl.q4_k)\n"
        "sys.stdout.flush(); sys.stdout.buffer.write(pickle.dumps(x))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    first, second, pickled = done.stdout.split(b"\n", 2)
    assert first == b"<class 'torch.Tensor'> <class 'torch.nn.parameter.Parameter'> torch"
    assert second == b"torch.float32 torch.int64 torch.bool torch.bfloat16 tl.q4_k"
    assert pickle.loads(pickled).tolist() == [1.0, 1.0]  # where nothing is installed


def test_a_storage_maps_a_file(tmp_path):
    file = tmp_path / "bytes"
    file.write_bytes(bytes(range(10)))
    storage = torch.UntypedStorage.from_file(str(file), False, 8)
    assert storage.untyped().nbytes() == 8
    x = torch.asarray(storage[2:6], dtype=torch.uint8)
    x.add_(1)
    assert x.tolist() == [3, 4, 5, 6]
    assert storage[2] == 2
    assert file.read_bytes() == bytes(range(10))
    with pytest.raises(ArgumentError, match="expected shared=False"):
        torch.UntypedStorage.from_file(str(file), True, 8)


def test_convolution_by_the_number_of_axes():
    x, weight, bias = torch.randn(1, 4, 5, 5), torch.randn(6, 2, 3, 3), torch.randn(6)
    flags = [2, 1], [1, 0], [1, 2]
    made = torch.convolution(x, weight, bias, *flags, False, [0, 0], 2)
    assert tl.equal(made, torch.nn.functional.conv2d(x, weight, bias, *flags, 2))
    x, weight = torch.randn(1, 4, 5), torch.randn(4, 3, 3)
    made = torch.ops.aten._convolution(
        x, weight, None, [2], [1], [1], True, [1], 1, False, False, True, True
    )
    assert tl.equal(made, torch.nn.functional.conv_transpose1d(x, weight, None, 2, 1, 1))


def test_install_is_refused_beside_torch():
    code = (
        "import sys, types; sys.modules['torch'] = types.ModuleType('torch'); import tallow.torch\n"
        "try:\n    tallow.torch.install()\nexcept tallow.TallowError as e:\n    print(e)\n"
    )
    assert "expected no torch to be loaded yet" in run(code).stdout


def test_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, torch\n"
        "print(__name__, sys.argv, torch.ones(2).sum().item())\n"
        "def fail():\n    raise ValueError('no')\n"
        "if len(sys.argv) > 2: sys.exit(7)\n"
        "if len(sys.argv) > 1: fail()\n"
    )

    def python(*arguments):
        command = [sys.executable, "-m", "tallow.torch", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = python(str(script))
    assert done.returncode == 0 and done.stdout == f"__main__ ['{script}'] 2.0\n", done.stderr
    assert python(str(script), "a", "b").returncode == 7
    failed = python(str(script), "a")
    assert failed.returncode == 1
    lines = failed.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{script}", line 6, in <module>' and lines[-1] == "ValueError: no"
    assert python("nothing.py").stderr.startswith("python -m tallow.torch: nothing.py: ")


def test_one_process():
    import tallow.torch.distributed as dist

    assert dist.is_available() and not dist.is_initialized()
    with pytest.raises(ArgumentError, match="init_process_group"):
        dist.get_rank()
    with pytest.raises(UnsupportedError, match="world_size=2"):
        dist.init_process_group("gloo", world_size=2, rank=0)
    dist.init_process_group("gloo", world_size=1, rank=0)
    try:
        x = torch.ones(2)
        dist.all_reduce(x)
        gathered = [torch.zeros(2)]
        dist.all_gather(gathered, x)
        assert x.tolist() == gathered[0].tolist() == [1, 1] and dist.get_world_size() == 1
        dist.broadcast(x, 0)
        dist.reduce(x, 0, dist.ReduceOp.MAX)
        dist.barrier()
        out = torch.zeros(2)
        dist.scatter(out, [x * 2], src=0)
        assert out.tolist() == [2, 2] and x.tolist() == [1, 1]
        dist.reduce_scatter(out, [x * 3])
        assert out.tolist() == [3, 3] and dist.get_rank() == 0
        with pytest.raises(ArgumentError, match="rank 0"):
            dist.broadcast(x, 1)
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
        assert model.module(x).shape == model(x).shape == (2,)
    finally:
        dist.destroy_process_group()


def test_states_by_path():
    from tallow.torch.distributed.checkpoint import state_dict as states

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    states._init_optim_state(optimizer)
    before = [p.flatten().tolist() for p in model.parameters()]
    saved = states.get_optimizer_state_dict(model, optimizer)
    assert sorted(saved["state"]) == ["bias", "weight"]
    states.set_optimizer_state_dict(model, optimizer, saved)
    whole = states.StateDictOptions(full_state_dict=True)
    states.set_model_state_dict(model, states.get_model_state_dict(model, options=whole))
    assert [p.flatten().tolist() for p in model.parameters()] == before


def test_checkpoints_of_modules():
    from tallow.torch.distributed.algorithms._checkpoint import checkpoint_wrapper as wrapping

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    x = torch.ones(1, 2)
    expected = model(x).tolist()
    wrapping.apply_activation_checkpointing(
        model, check_fn=lambda module: isinstance(module, torch.nn.Linear)
    )
    assert isinstance(model[0], wrapping.CheckpointWrapper)
    out = model(x)
    out.sum().backward()
    assert out.tolist() == expected and all(p.grad is not None for p in model.parameters())


def test_checkpoints_run_in_the_blocks_of_their_contexts():
    seen = []

    @contextlib.contextmanager
    def block(name):
        seen.append(name)
        yield

    x = torch.ones(2, requires_grad=True)
    y = torch.utils.checkpoint.checkpoint(
        torch.exp, x, use_reentrant=False, context_fn=lambda: (block("first"), block("second"))
    )
    assert seen == ["first"]
    y.sum().backward()
    assert seen == ["first", "second"] and torch.equal(x.grad, y)
