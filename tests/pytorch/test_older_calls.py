"""Calls as older packages write them: numbers before tensors, `out=`, names of PyTorch's inside."""

import warnings

import numpy as np
import pytest

import tallow as tl
import tallow.torch as torch
from tallow.errors import DTypeError, ShapeError


def numbers():
    a, b, c = (tl.arange(1.0, 10).reshape(3, 3) * k for k in (1, 0.5, 0.2))
    return {"a": a, "b": b, "c": c, "v": tl.arange(3.0), "bb": tl.stack([a, b])}


# The older order → what it means.
ORDERS = {
    "t.add(a, 2, b)": "a + 2 * b",
    "a.add(2, b)": "a + 2 * b",
    "a.clone().add_(2, b)": "a + 2 * b",
    "t.sub(a, 2, b)": "a - 2 * b",
    "a.clone().sub_(2, b)": "a - 2 * b",
    "t.addcmul(a, 2, b, c)": "a + 2 * b * c",
    "a.clone().addcmul_(2, b, c)": "a + 2 * b * c",
    "t.addcdiv(a, -2, b, c)": "a - 2 * b / c",
    "a.clone().addcdiv_(-2, b, c)": "a - 2 * b / c",
    "t.addmm(2, a, b, c)": "2 * a + b @ c",
    "t.addmm(2, a, 3, b, c)": "2 * a + 3 * (b @ c)",
    "a.addmm(2, 3, b, c)": "2 * a + 3 * (b @ c)",
    "a.clone().addmm_(2, 3, b, c)": "2 * a + 3 * (b @ c)",
    "t.addmv(2, v, 3, b, v)": "2 * v + 3 * (b @ v)",
    "v.clone().addmv_(2, 3, b, v)": "2 * v + 3 * (b @ v)",
    "t.addr(2, a, 3, v, v)": "2 * a + 3 * t.outer(v, v)",
    "t.addbmm(2, a, 3, bb, bb)": "2 * a + 3 * (bb @ bb).sum(0)",
    "t.baddbmm(2, bb, 3, bb, bb)": "2 * bb + 3 * (bb @ bb)",
    "bb.clone().baddbmm_(2, 3, bb, bb)": "2 * bb + 3 * (bb @ bb)",
}


@pytest.mark.parametrize("call", ORDERS)
def test_numbers_before_tensors(call):
    names = numbers() | {"t": tl}
    assert tl.allclose(eval(call, names), eval(ORDERS[call], names))


@pytest.mark.needs_torch
@pytest.mark.parametrize("call", ORDERS)
def test_torch_takes_these_orders_too(call):
    import torch as reference

    given = {k: reference.from_numpy(x.numpy().copy()) for k, x in numbers().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = eval(call, given | {"t": reference})
    np.testing.assert_allclose(eval(call, numbers() | {"t": tl}).numpy(), expected.numpy(), 1e-6)


@pytest.mark.parametrize(
    "call",
    [
        "t.add(a, b, c)", "t.add(a, 2, 3)", "a.add_(b, c)", "t.addmm(a, b, c, 2, 3)",
        "t.addcmul(a, 2, 3, b, c)", "t.addmm(2, a, 3, b, c, alpha=1.5)", "t.mul(a, 2, b)",
    ],
)  # fmt: skip
def test_other_surplus_arguments_stay_errors(call):
    with pytest.raises(TypeError):
        eval(call, numbers() | {"t": tl})


# What is asked for with `out=`, and the dtypes of what is given.
OUTS = {
    "t.eye(3, out={})": "f32",
    "t.zeros(2, 3, out={})": "f32",
    "t.ones((2, 3), out={})": "f32",
    "t.full((2,), 7.0, out={})": "f64",
    "t.arange(5, out={})": "f32",
    "t.linspace(0, 1, 5, out={})": "f64",
    "t.cat([a, b], 1, out={})": "f32",
    "t.stack([a, b], out={})": "f32",
    "t.where(a > b, a, c, out={})": "f32",
    "t.max(a, 1, out={})": "f32 i64",
    "t.sort(a, descending=True, out={})": "f32 i64",
    "t.topk(a, 2, out={})": "f32 i64",
    "t.median(a, 1, out={})": "f32 i64",
    "t.cummax(a, 1, out={})": "f32 i64",
    "t.nonzero(a > 4, out={})": "i64",
    "t.bucketize(a, v, out={})": "i64",
    "t.polygamma(1, a, out={})": "f32",
    "t.linalg.inv(a + t.eye(3), out={})": "f32",
    "t.linalg.slogdet(a + t.eye(3), out={})": "f32 f32",
    "t.linalg.cross(a, b, out={})": "f32",
    "t.special.i1(a, out={})": "f32",
    "t.frexp(a, out={})": "f32 i32",
    "t.hstack([a, b], out={})": "f32",
}


def asked(library, call, names, **outs):
    return eval(call.format("out"), names | {"t": library} | outs)


@pytest.mark.parametrize("call", OUTS)
def test_results_are_written_into_what_out_names(call):
    made = [tl.empty(0, dtype=dtype) for dtype in OUTS[call].split()]
    found = asked(tl, call, numbers(), out=made if len(made) > 1 else made[0])
    plain = asked(tl, call.replace(", out={}", ""), numbers())
    found, plain = (x if len(made) > 1 else (x,) for x in (found, plain))
    for one, into, other in zip(found, made, plain, strict=True):
        assert one is into and into.numel() > 0
        assert tl.equal(one.to("f64"), other.to("f64"))


@pytest.mark.needs_torch
@pytest.mark.parametrize("call", OUTS)
def test_out_as_torch(call):
    import torch as reference

    kinds = {"f32": "float32", "f64": "float64", "i64": "int64", "i32": "int32"}
    given = {k: reference.from_numpy(x.numpy().copy()) for k, x in numbers().items()}
    made = [tl.empty(0, dtype=dtype) for dtype in OUTS[call].split()]
    theirs = [reference.empty(0, dtype=getattr(reference, kinds[d])) for d in OUTS[call].split()]
    asked(tl, call, numbers(), out=made if len(made) > 1 else made[0])
    asked(reference, call, given, out=theirs if len(theirs) > 1 else theirs[0])
    for one, other in zip(made, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-5, 1e-5)


def test_out_of_random_numbers_and_what_does_not_fit():
    out = tl.empty(0, dtype="f64")
    assert tl.rand(2, 3, out=out) is out and out.shape == (2, 3) and 0 < out.sum() < 6
    assert tl.randperm(4, out=(out := tl.empty(0, dtype=tl.int64))).sum() == 6 == out.sum()
    a = tl.ones(2, 3)
    for call, error in {
        lambda: tl.max(a, 1, out=tl.empty(0)): DTypeError,
        lambda: tl.sort(a, out=(tl.empty(0),)): DTypeError,
        lambda: tl.allclose(a, a, out=tl.empty(0)): TypeError,
        lambda: tl.cat([a, a], out=tl.empty(3, 3)): ShapeError,
        lambda: tl.zeros_like(a, out=a): DTypeError,
        lambda: tl.tensor([1.0], out=a): DTypeError,
    }.items():
        with pytest.raises(error):
            call()


def test_factories_take_their_dtype_from_out():
    for call, value in {
        lambda out: tl.zeros(2, out=out): 0,
        lambda out: tl.ones(2, out=out): 1,
        lambda out: tl.full((2,), 1.5, out=out): 1,
        lambda out: tl.empty(2, out=out).fill_(3): 3,
    }.items():
        assert call(out := tl.empty(0, dtype="i32")) is out
        assert (out.tolist(), out.dtype) == ([value] * 2, tl.i32)
    with pytest.raises(DTypeError, match="expected out= of f64"):
        tl.ones(2, dtype="f64", out=tl.ones(2))


def test_sizes_of_layers_in_a_sequence_of_one():
    layer = torch.nn.Conv2d(3, 4, 3, stride=(2,), padding=[1], dilation=np.int64(1))
    assert (layer.stride, layer.padding, layer.dilation) == ((2, 2), (1, 1), (1, 1))
    with pytest.raises(ShapeError, match="kernel_size: a number, or 2 of them"):
        torch.nn.Conv2d(3, 4, (3,))


def test_a_wrapper_that_is_an_optimiser_without_having_been_made_one():
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inner):
            self.inner = inner
            self._patch_step_function()

        def step(self, closure=None):
            return self.inner.step(closure)

    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    Wrapper(torch.optim.SGD([weight], lr=0.5)).step()
    assert weight.tolist() == [0.5, 0.5]


def test_names_that_packages_import():
    from tallow.torch._subclasses.fake_tensor import FakeTensor, is_fake
    from tallow.torch.ao.quantization import FakeQuantizeBase, ObserverBase
    from tallow.torch.fx.experimental.proxy_tensor import get_proxy_mode

    from tallow.torch.utils._foreach_utils import _group_tensors_by_device_and_dtype
    from tallow.torch.utils.checkpoint import get_device_states, set_device_states

    assert torch.torch is torch
    assert not isinstance(torch.nn.Linear(1, 1), (FakeQuantizeBase, ObserverBase))
    assert get_proxy_mode() is None and not is_fake(torch.ones(1))
    with pytest.raises(NotImplementedError):
        FakeTensor(1)
    set_device_states(*get_device_states(torch.ones(1)))
    xs = [torch.ones(1), torch.ones(2).double(), torch.ones(3)]
    groups = _group_tensors_by_device_and_dtype([xs, [None, xs[1], None]], with_indices=True)
    assert [places for _, places in groups.values()] == [[0, 2], [1]]
    assert groups[xs[1].device, torch.float64][0][1][0] is xs[1]


def test_subclasses_are_plain_tensors_where_functions_are_not_asked():
    class Counted(torch.Tensor):
        calls = 0

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            cls.calls += 1
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))

    x = torch.ones(2).as_subclass(Counted)
    assert torch.equal(x + 1, torch.full((2,), 2.0)) and Counted.calls >= 1


def test_a_mixin_behind_module_is_told_the_arguments():
    class Remembers:
        def __new__(cls, *args, **options):
            made = super().__new__(cls)
            made.given = args, options
            return made

    class Model(torch.nn.Module, Remembers):
        def __init__(self, size, *, bias=True):
            super().__init__()
            self.layer = torch.nn.Linear(size, 1, bias=bias)

    model = Model(3, bias=False)
    assert model.given == ((3,), {"bias": False}) and len(list(model.parameters())) == 1


def test_asserts_of_tensors():
    torch._assert_async(torch.tensor(True))
    with pytest.raises(RuntimeError, match="not so"):
        torch._assert_async(torch.tensor(0), "not so")
