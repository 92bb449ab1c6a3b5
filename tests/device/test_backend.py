"""A device that a back-end adds: memory of its own, few kernels, and no way round them."""

import pickle

import pytest

import tallow as tl
from device.few_kernels import NAME, code, devices
from tallow import _native
from tallow.errors import ArgumentError, DeviceError, NoKernelError
from tallow.plan import capture


@pytest.fixture
def x(few):
    return tl.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).to(few)


def test_facts(few, x):
    assert (x.device, x.device.type, x.is_cpu, x.is_meta) == (few, NAME, False, False)
    assert (x.shape, x.dtype, x.stride()) == ((2, 3), tl.f32, (3, 1))
    assert x.data_ptr() != 0 and x.to(few) is x


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t,
        lambda t: t.T,
        lambda t: t[:, ::2],
        lambda t: t[1:].expand(3, 3),
        lambda t: t[0, 1],
        lambda t: t[:0],
        lambda t: t.reshape(3, 1, 2).permute(2, 0, 1),
    ],
)
@pytest.mark.parametrize("dtype", ["f32", "bf16", "i64", "bool", "complex64"])
def test_moving_there_and_back(view, dtype, few):
    cpu = view(tl.arange(6.0).reshape(2, 3).to(dtype))
    there = cpu.to(few)
    assert (there.device, there.shape, there.dtype) == (few, cpu.shape, cpu.dtype)
    assert there.tolist() == there.cpu().tolist() == cpu.tolist()
    whole = tl.arange(6.0).reshape(2, 3).to(few).to(dtype)
    assert view(whole).cpu().tolist() == view(whole.cpu()).tolist()
    assert view(whole).to("meta").is_meta


def test_blocks_move(few):
    packed = tl.rand(2, 64).to(tl.q8_0)
    assert packed.to(few).dtype is tl.q8_0
    assert packed.to(few).cpu().to(tl.f32).tolist() == packed.to(tl.f32).tolist()


def test_kernels_that_are_there(few, x):
    assert (x + x).device == few and (2 * x).tolist() == [[2, 4, 6], [8, 10, 12]]
    assert (x.add_(1).T + tl.ones(3, 1, device=few)).tolist() == [[3, 6], [4, 7], [5, 8]]
    x[0] = 7
    assert x.fill_(3).tolist() == [[3, 3, 3]] * 2 and x[1, 2].item() == 3
    assert x.clone().device == few and tl.cat([x, x]).shape == (4, 3)


@pytest.mark.parametrize("make", [tl.zeros, tl.ones, lambda n, **d: tl.full((n,), 2.0, **d)])
def test_factories(make, few):
    cpu = make(3)
    assert make(3, device=few).device == few and make(3, device=few).tolist() == cpu.tolist()
    with few:
        assert make(3).device == few and make(3, device="cpu").is_cpu


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda x: x.erfc(), "erfc: .*f32 on privateuseone"),
        (lambda x: x.erfc_(), "erfc: .*f32 on privateuseone"),
        (lambda x: x.to(tl.i32).gcd(3), "gcd: .*i32 on privateuseone"),
        (lambda x: x.cummax(0), "cummax: .*f32 on privateuseone"),
        (lambda x: tl.linalg.inv(x[:, :2]), "f32 on privateuseone"),
        (lambda x: tl.rand(3, device=x.device), "draw_uniform: .*privateuseone"),
    ],
)
def test_kernels_that_are_not_there(call, names, x):
    before = x.tolist()
    with pytest.raises(NoKernelError, match=names):
        call(x)
    assert x.tolist() == before


@pytest.mark.parametrize(
    "read", [lambda x: x.numpy(), lambda x: x.__dlpack__(), lambda x: x.share_memory_()]
)
def test_memory_is_not_the_hosts(read, x):
    with pytest.raises(DeviceError, match=r"expected a tensor on cpu, got one on .*\.cpu\(\)"):
        read(x)
    with pytest.raises(BufferError, match=NAME):
        memoryview(x._array)


def test_mixed(x):
    for other in (tl.zeros(2, 3), tl.zeros(2, 3, device="meta")):
        with pytest.raises(DeviceError, match=rf"add: expected operands on one device.*{NAME}"):
            x + other
    assert (x + tl.tensor(1.0)).device == x.device  # of 0 axes, as a number


def test_plan(x, few):
    plan = capture(lambda t: t * 2 + t, x)
    other = x + 1
    assert plan(other).tolist() == (other * 3).tolist()


def test_memory_is_given_back(few):
    x = tl.zeros(2**20).to(few)
    before = _native.pool_stats()[0]
    y = x + x
    assert _native.pool_stats()[0] - before > 2**21
    del y
    assert _native.pool_stats()[0] - before < 4096


def test_registering_is_refused(few):
    with pytest.raises(DeviceError, match="there is one already"):
        _native.add_host_device("cuda", ["copy"])
    for name, number in (("nowhere", code() + 1), ("cuda", 7)):
        with pytest.raises(ArgumentError, match="expected a free code"):
            devices.register(name, number)
    assert pickle.loads(pickle.dumps(few)) == few
