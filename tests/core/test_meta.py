"""The device `meta`: shapes, dtypes and strides without memory, and one clear error for values."""

import threading

import numpy as np
import pytest

import tallow as tl
import tallow.torch as torch
from tallow.device import get_default_device, set_default_device
from tallow.errors import ArgumentError, DeviceError
from tallow.plan import capture

CPU = tl.zeros(2, 3)


@pytest.fixture
def x():
    return tl.empty(2, 3, device="meta")


def test_nothing_is_allocated():
    before = tl._native.pool_stats()[0]
    large = tl.empty(2**40, 2**20, device="meta")
    other = (large + 1).T[5:, ::2] * large.T[5:, ::2]
    assert tl._native.pool_stats()[0] - before < 4096
    assert other.device == tl.device("meta") and other.shape == (2**20 - 5, 2**39)
    assert large.data_ptr() == 0 and large.nbytes == 2**62


def test_facts(x):
    assert (x.device, x.is_meta, x.is_cpu) == (tl.device("meta"), True, False)
    cpu = tl.zeros(2, 3)
    assert (cpu.device, cpu.is_meta, cpu.is_cpu) == (tl.device("cpu"), False, True)
    assert repr(x) == "tensor(..., device='meta', size=(2, 3))"  # as torch 2.13 prints it
    assert repr(x.to(tl.bf16)) == "tensor(..., device='meta', size=(2, 3), dtype=tl.bf16)"


@pytest.mark.parametrize(
    "make",
    [
        lambda **d: tl.empty(2, 3, **d),
        lambda **d: tl.zeros(2, 3, **d),
        lambda **d: tl.ones(2, 3, dtype="i32", **d),
        lambda **d: tl.full((2, 3), True, **d),
        lambda **d: tl.tensor([[1, 2, 3], [4, 5, 6]], **d),
        lambda **d: tl.tensor(CPU, **d),
        lambda **d: tl.as_tensor(CPU, **d),
        lambda **d: tl.Tensor(2, 3, **d),
    ],
)
def test_factories(make):
    cpu = make()
    with tl.device("meta"):
        inside = [make(), make(device="cpu")]
        with tl.device("cpu"):
            inside.append(make())
    assert make().device.type == "cpu"
    assert [t.device.type for t in inside] == ["meta", "cpu", "cpu"]
    for made in (make(device="meta"), make(device=tl.device("meta")), inside[0]):
        assert (made.device.type, made.shape, made.dtype, made.stride()) == (
            "meta", cpu.shape, cpu.dtype, cpu.stride(),
        )  # fmt: skip


@pytest.mark.parametrize("like", [tl.empty_like, tl.zeros_like, tl.ones_like])
def test_likes_follow_their_tensor(like, x):
    for t in (x, x.T, x[:1]):
        made = like(t)
        assert (made.device.type, made.shape) == ("meta", t.shape)
        assert like(t, device="cpu").device.type == "cpu"
    with tl.device("meta"):
        assert like(tl.zeros(2, device="cpu")).device.type == "cpu"  # as in torch


def test_moving(x):
    assert x.to("meta") is x and tl.zeros(2).to("meta").is_meta
    assert tl.zeros(2, dtype="i32").to(x).is_meta and tl.zeros(2, dtype="i32").to(x).dtype is tl.f32
    assert tl.zeros(2).to("meta", tl.f16).dtype is tl.f16
    leaf = tl.zeros(3, requires_grad=True)
    assert leaf.to("meta").requires_grad and not leaf.to("meta").is_leaf
    with pytest.raises(DeviceError, match="expected a tensor with values"):
        (leaf.to("meta") * 2).backward(tl.ones(3, device="meta"))


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[0, 0].item(),
        lambda x: x.tolist(),
        lambda x: bool(x[0, 0]),
        lambda x: int(x[0, 0]),
        lambda x: float(x[0, 0]),
        lambda x: [1, 2][x[0, 0].to(tl.i64)],
        lambda x: x.numpy(),
        lambda x: x.__dlpack__(),
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.to(tl.zeros(1)),
        lambda x: tl.zeros(2, 3).copy_(x),
        lambda x: tl.zeros(2, 3).__setitem__(0, x[0]),
        lambda x: tl.tensor(x, device="cpu"),
        lambda x: f"{x[0, 0]:.3f}",
    ],
)
def test_values_are_refused(read, x):
    with pytest.raises(DeviceError, match=r"expected a tensor with values, got one on meta \("):
        read(x)


def test_buffer_protocol(x):
    with pytest.raises(BufferError, match="the array is on meta"):
        memoryview(x._array)


def test_elementwise(x):
    assert (x + x).is_meta and (1 - x).is_meta and (x > 0).dtype is tl.bool_
    assert (x + tl.zeros(())).is_meta and (tl.zeros((), dtype="f64") * x).dtype is tl.f32
    assert (x.to(tl.i32) / 2).dtype is tl.f32 and x.exp().shape == (2, 3)
    assert (x[:, :1] * x[:1]).shape == (2, 3) and (x.T + x.T).stride() == (1, 3)
    assert tl.where(x > 0, x, 0).is_meta


def test_mixed_devices(x):
    cpu = tl.zeros(2, 3)
    for mixed in (
        lambda: x + cpu,
        lambda: cpu + x,
        lambda: cpu.add_(x),
        lambda: tl.where(x > 0, cpu, x),
        lambda: tl.cat([x, cpu]),
        lambda: tl.zeros(()).add_(tl.empty((), device="meta")),
    ):
        with pytest.raises(DeviceError, match="expected operands on one device, got"):
            mixed()


def test_in_place(x):
    version = x._version
    x.add_(1).copy_(tl.zeros(3)).fill_(2.0).copy_(x.T.T)
    x[0] = 1
    x[0, :2] = x[1, :2]
    assert x._version > version and x.is_meta and x.shape == (2, 3)
    for wrong in (lambda: x.add_(tl.zeros(2, device="meta")), lambda: x.copy_(tl.zeros(4))):
        with pytest.raises(tl.errors.ShapeError, match="expected"):
            wrong()


def test_views(x):
    shape = (4, 6, 5)
    a, b = tl.zeros(shape), tl.zeros(shape, device="meta")
    for view in (
        lambda t: t.permute(2, 0, 1)[1:, ::2],
        lambda t: t.reshape(24, 5).T,
        lambda t: t.transpose(0, 1).reshape(24, 5),
        lambda t: t[None, 1:3].expand(3, 2, 6, 5),
        lambda t: t.view(tl.i32)[..., -1].unsqueeze(0).squeeze(0),
        lambda t: t.clone(),
        lambda t: t.permute(2, 0, 1).contiguous(),
        lambda t: t.to(tl.f16),
    ):
        made, wanted = view(b), view(a)
        assert (made.shape, made.stride(), made.dtype, made.storage_offset()) == (
            wanted.shape, wanted.stride(), wanted.dtype, wanted.storage_offset(),
        )  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda **d: tl.arange(1, 9, 2, **d),
        lambda **d: tl.linspace(0, 1, 5, **d),
        lambda **d: tl.eye(3, 4, **d),
        lambda **d: tl.empty_strided((2, 3), (1, 2), **d),
        lambda **d: tl.kaiser_window(5, **d),
        lambda **d: tl.fft.rfftfreq(8, **d),
        lambda **d: tl.rand(2, 3, **d),
        lambda **d: tl.randint(5, (4,), **d),
        lambda **d: tl.randperm(6, **d),
        lambda **d: tl.normal(0, 1, (2, 2), **d),
        lambda **d: CPU.new_zeros(2, 5, **d),
    ],
)
def test_ops_that_make_tensors(make):
    cpu = make()
    made = make(device="meta")
    assert cpu.is_cpu and made.is_meta
    assert (made.shape, made.dtype, made.stride()) == (cpu.shape, cpu.dtype, cpu.stride())
    with tl.device("meta"):
        assert make(device="cpu").is_cpu


def test_nothing_is_drawn(x):
    tl.manual_seed(3)
    wanted = tl.rand(2)
    tl.manual_seed(3)
    tl.rand(100, device="meta")
    x.normal_()
    tl.rand_like(x)
    assert tl.rand(2).tolist() == wanted.tolist()


def test_ops_stay_with_their_operands(x):
    cpu = tl.arange(6.0).reshape(2, 3)
    wanted = [cpu.softmax(1), cpu.std(), cpu.cumsum(1), cpu[[1, 0]], cpu.sort(1, True)[1]]
    with tl.device("meta"):
        got = [cpu.softmax(1), cpu.std(), cpu.cumsum(1), cpu[[1, 0]], cpu.sort(1, True)[1]]
    assert [t.tolist() for t in got] == [t.tolist() for t in wanted]
    assert x.softmax(1).is_meta and x.std().is_meta and x[[1, 0]].is_meta
    assert x[tl.tensor([0, 1])].is_meta and x.new_ones(2).is_meta and x.new_tensor([1]).is_meta


def test_gradients(x):
    leaf = x.detach().requires_grad_()
    (leaf.softmax(-1) * leaf.sort(1)[0] / leaf.std(0)).sum().backward()
    assert leaf.grad.is_meta and leaf.grad.shape == (2, 3)
    with tl.device("meta"):
        cpu = tl.ones(2, 3, device="cpu", requires_grad=True)
        (cpu.sort(1)[0] * cpu.cumsum(1)).sum().backward()
    assert cpu.grad.tolist() == [[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]]


def test_default_device_is_of_the_thread_and_nests():
    found = []
    try:
        set_default_device("meta")
        thread = threading.Thread(target=lambda: found.append(tl.zeros(1).device.type))
        thread.start()
        thread.join()
        with tl.device("cpu"):
            found.append(tl.zeros(1).device.type)
        found.append(tl.zeros(1).device.type)
        assert get_default_device() == tl.device("meta")
    finally:
        set_default_device(None)
    assert found == ["cpu", "cpu", "meta"] and tl.zeros(1).is_cpu


def test_default_device_at_the_root():
    try:
        tl.set_default_device("meta")
        assert tl.get_default_device() == tl.device("meta") and tl.zeros(1).is_meta
        assert torch.get_default_device() == tl.device("meta")
        # As in torch: what others hold stays where it is, and generators draw on the CPU.
        assert (
            tl.from_numpy(np.zeros(2)).is_cpu and tl.frombuffer(bytearray(4), dtype=tl.f32).is_cpu
        )
        assert tl.as_tensor(np.zeros(2)).is_meta and tl.asarray([1]).is_meta
        assert tl.Generator().device == tl.device("cpu")
        loader = tl.data.DataLoader([1.0, 2.0, 3.0], batch_size=2, shuffle=True)
        assert [batch.shape for batch in loader] == [(2,), (1,)]
    finally:
        tl.set_default_device(None)
    assert tl.get_default_device() == tl.device("cpu")


def test_generators(x):
    with pytest.raises(ArgumentError, match="Generator: expected a device that draws, as cpu"):
        tl.Generator(device="meta")
    generator = tl.Generator().manual_seed(1)
    assert tl.rand(3, generator=generator, device="meta").is_meta
    assert (
        tl.rand(3, generator=generator).tolist()
        == tl.rand(3, generator=tl.Generator().manual_seed(1)).tolist()
    )  # nothing was drawn on meta


@pytest.mark.parametrize("name", ["t.pt", "t.safetensors", "t.npz", "t.npy", "t.gguf"])
@pytest.mark.parametrize("shape", [(2, 3), (2048, 2048)])
def test_saving_is_refused(name, shape, tmp_path):
    t = tl.empty(shape, device="meta")
    state = t if name.endswith("npy") else {"a": tl.zeros(2, 3), "b": t}
    before = tmp_path / name
    before.write_bytes(b"as it was")
    with pytest.raises(DeviceError, match=r"save: expected a tensor with values, got one on meta"):
        tl.save(state, before)
    assert before.read_bytes() == b"as it was" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "save",
    [
        lambda t, path: tl.safetensors.save_file({"a": t}, path),
        lambda t, path: tl.safetensors.save({"a": t}),
        lambda t, path: torch.save([t], path),
        lambda t, path: tl.save_checkpoint(path, state={"a": t}),
    ],
)
def test_other_writers_refuse(save, x, tmp_path):
    with pytest.raises(DeviceError, match="save: expected a tensor with values, got one on meta"):
        save(x, tmp_path / "file")


def test_storages_have_no_bytes(x):
    with pytest.raises(DeviceError, match="untyped_storage: expected a tensor with values"):
        x.untyped_storage().tolist()


def test_plans_refuse(x):
    with pytest.raises(DeviceError, match="a plan computes values"):
        capture(lambda t: t + 1, x)
    assert capture(lambda t: t + 1, tl.zeros(2)) is not None
