"""Manners of PyTorch: names of arguments, devices, formats of memory, errors, storage."""

import copy
import pickle

import numpy as np
import pytest

import tallow as tl
from tallow.errors import DeviceError, DTypeError, TallowError


def x():
    return tl.arange(6.0).reshape(2, 3)


AXES = {
    "sum": {"keepdims": True}, "mean": {"keepdims": True}, "softmax": {}, "max": {"keepdims": True},
    "argmax": {"keepdims": True}, "std": {"keepdims": True}, "cumsum": {}, "squeeze": {},
    "unsqueeze": {}, "flip": {}, "sort": {}, "unbind": {}, "all": {"keepdims": True},
    "amax": {"keepdims": True}, "log_softmax": {}, "logsumexp": {"keepdims": True}, "prod": {},
}  # fmt: skip


def plain(value):
    return [v.tolist() for v in value] if isinstance(value, tuple) else value.tolist()


@pytest.mark.parametrize("name", AXES)
def test_numpy_names_of_axes(name):
    own = {"keepdim" if key == "keepdims" else key: value for key, value in AXES[name].items()}
    dim = "dims" if name == "flip" else "dim"
    wanted = getattr(x(), name)(**{dim: 1}, **own)
    for call in (getattr(x(), name), lambda **kw: getattr(tl, name)(input=x(), **kw)):
        assert plain(call(axis=1, **AXES[name])) == plain(wanted)


def test_names_of_operands():
    a, b = x(), x() + 1
    assert tl.add(input=a, other=b).tolist() == (a + b).tolist()
    assert tl.matmul(input=a, other=b.T).tolist() == (a @ b.T).tolist()
    assert tl.mm(a, mat2=b.T).tolist() == (a @ b.T).tolist()
    assert a.pow(exponent=2).tolist() == (a**2).tolist()
    assert tl.exp(input=a).tolist() == a.exp().tolist()
    assert tl.cat([a, b], axis=1).shape == (2, 6)
    assert a.expand(size=(2, 2, 3)).shape == (2, 2, 3)
    assert a.view(dtype=tl.i32).dtype is tl.i32
    assert tl.maximum(input=a, other=b).tolist() == b.tolist()
    out = tl.zeros(2, 3)
    assert tl.add(a, b, out=out) is out and tl.exp(input=a, out=out) is out
    assert out.tolist() == a.exp().tolist()


def test_wrong_names_are_refused():
    for call in (
        lambda: x().sum(foo=1),
        lambda: tl.exp(x(), foo=1),
        lambda: tl.sum(x(), input=x()),
        lambda: x().sum(0, axis=1),
        lambda: tl.exp(),
        lambda: tl.add(x()),
        lambda: tl.sum(),
        lambda: x().transpose(0),
        lambda: tl.zeros(2, foo=3),
        lambda: tl.zeros(2, size=(3,)),
    ):
        with pytest.raises(TypeError):
            call()


def test_factories_take_torchs_keywords():
    for make in (tl.zeros, tl.ones, tl.empty, tl.rand, tl.randn):
        assert make(size=(2, 3)).shape == (2, 3)
        made = make(2, layout=tl.strided, pin_memory=False, device="cpu", requires_grad=True)
        assert made.requires_grad
    assert tl.full(size=(2,), fill_value=3).tolist() == [3, 3]
    assert tl.randint(high=3, size=(2, 3)).shape == (2, 3)
    assert tl.zeros_like(input=x(), memory_format=tl.preserve_format).tolist() == [[0] * 3] * 2
    assert tl.randn_like(x(), memory_format=tl.preserve_format).shape == (2, 3)
    y = tl.ones(100)
    assert y.uniform_(a=2, b=3) is y and y.min() >= 2 and y.max() <= 3
    assert y.uniform_(**{"from": 4, "to": 5}).min() >= 4
    assert tl.tensor(range(3)).tolist() == [0, 1, 2]
    nested = tl.tensor([[tl.tensor(1.5)], [np.float32(2)]], pin_memory=False)
    assert nested.tolist() == [[1.5], [2.0]]
    with pytest.raises(TypeError):
        tl.tensor(i for i in [1])


def test_devices_can_be_named():
    assert tl.device("cuda") == tl.device("cuda") != tl.device("cuda:0") == tl.device("cuda", 0)
    assert tl.device("cuda:1").index == 1 and tl.device("cpu").index is None
    assert str(tl.device("cuda:1")) == "cuda:1" and tl.device(tl.device("mps")).type == "mps"
    assert len({tl.device("cpu"), tl.device("cpu"), tl.device("cuda")}) == 2
    assert pickle.loads(pickle.dumps(tl.device("cuda", 1))) == tl.device("cuda:1")
    for wrong in ("gpu", "cuda:x", "cuda:", ""):
        with pytest.raises(ValueError, match="device"):
            tl.device(wrong)
    for use in (
        lambda: x().to("cuda"),
        lambda: x().to(tl.device("cuda:0")),
        lambda: x().to("mps", tl.f16),
        lambda: x().to(device="cuda"),
        lambda: x().cuda(),
        lambda: tl.zeros(2, device="cuda"),
        lambda: tl.rand(2, device=tl.device("cuda")),
        lambda: tl.tensor([1], device="cuda:0"),
    ):
        with pytest.raises(DeviceError, match="cpu") as caught:
            use()
        assert isinstance(caught.value, RuntimeError)
    assert x().to("cpu:0").tolist() == x().to(tl.device("cpu")).tolist()


def test_to_takes_every_form():
    a = x()
    assert a.to("cpu", tl.f32, non_blocking=True) is a
    assert a.to("cpu", tl.f16, True, True).dtype is tl.f16
    copied = a.to(tl.f32, False, True)
    assert copied is not a and copied.data_ptr() != a.data_ptr()
    assert a.to(tl.ones(1, dtype=tl.f64), non_blocking=True).dtype is tl.f64
    assert a.to(other=tl.ones(1, dtype=tl.f64)).dtype is tl.f64
    assert a.to(device=tl.device("cpu"), dtype=tl.f16, copy=True).dtype is tl.f16


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 2, 4, 5)])
def test_memory_formats(shape):
    last = tl.channels_last if len(shape) == 4 else tl.channels_last_3d
    a = tl.rand(*shape)
    calls = [
        lambda: a.to(memory_format=last),
        lambda: a.contiguous(memory_format=last),
        lambda: a.clone(memory_format=last),
        lambda: a.cpu(memory_format=last),
        lambda: a.double(memory_format=last).float(memory_format=tl.preserve_format),
    ]
    channels = shape[1]
    for i, call in enumerate(calls):
        made = call()
        assert made.tolist() == a.tolist() and made.shape == shape
        if i < 4:
            assert made.stride(1) == 1 and made.stride(-1) == channels
            assert made.is_contiguous(memory_format=last) and not made.is_contiguous()
            assert made.to(memory_format=last) is made
            assert made.contiguous().is_contiguous(memory_format=tl.contiguous_format)
    with pytest.raises(ValueError, match="axes"):
        tl.ones(2, 2).to(memory_format=last)
    g = tl.rand(*shape, requires_grad=True)
    (g.to(memory_format=last) * a).sum().backward()
    assert g.grad.tolist() == a.tolist()


# PyTorch 2.13 on the CPU: the class that each of these raises there.
ERRORS = {
    "add": (RuntimeError, lambda: x() + tl.ones(4)),
    "matmul": (RuntimeError, lambda: x() @ x()),
    "view": (RuntimeError, lambda: x().view(7)),
    "cat": (RuntimeError, lambda: tl.cat([x(), tl.ones(3, 4)])),
    "stack": (RuntimeError, lambda: tl.stack([x(), tl.ones(3)])),
    "expand": (RuntimeError, lambda: x().expand(5, 5)),
    "linear": (RuntimeError, lambda: tl.nn.functional.linear(x(), tl.ones(4, 4))),
    "conv2d": (RuntimeError, lambda: tl.conv2d(tl.ones(1, 2, 4, 4), tl.ones(1, 3, 2, 2))),
    "item": (RuntimeError, lambda: x().item()),
    "bool": (RuntimeError, lambda: bool(x())),
    "dtype": (RuntimeError, lambda: x().double() @ x().T),
    "mean": (RuntimeError, lambda: tl.tensor([1]).mean()),
    "backward": (RuntimeError, lambda: x().sum().backward()),
    "cholesky": (RuntimeError, lambda: tl.linalg.cholesky(-tl.eye(2))),
    "inv": (RuntimeError, lambda: tl.linalg.inv(x())),
    "setitem": (RuntimeError, lambda: x().__setitem__(0, tl.ones(7))),
    "negative": (RuntimeError, lambda: tl.zeros(-1)),
    "numpy": (RuntimeError, lambda: tl.ones(1, requires_grad=True).numpy()),
    "sum axis": (IndexError, lambda: x().sum(5)),
    "softmax axis": (IndexError, lambda: x().softmax(5)),
    "cat axis": (IndexError, lambda: tl.cat([x(), x()], 5)),
    "transpose axis": (IndexError, lambda: x().transpose(0, 5)),
    "permute axis": (IndexError, lambda: x().permute(0, 5)),
    "unsqueeze axis": (IndexError, lambda: x().unsqueeze(9)),
    "squeeze axis": (IndexError, lambda: x().squeeze(9)),
    "max axis": (IndexError, lambda: x().max(5)),
    "flip axis": (IndexError, lambda: x().flip(5)),
    "roll axis": (IndexError, lambda: x().roll(1, 5)),
    "select axis": (IndexError, lambda: x().select(5, 0)),
    "chunk axis": (IndexError, lambda: x().chunk(2, 5)),
    "index": (IndexError, lambda: x()[5]),
    "indices": (IndexError, lambda: x()[0, 0, 0]),
    "index_select": (IndexError, lambda: x().index_select(0, tl.tensor([9]))),
    "gather": (RuntimeError, lambda: x().gather(0, tl.tensor([[9]]))),
    "mask": (IndexError, lambda: x()[tl.tensor([True])]),
    "labels": (IndexError, lambda: tl.nn.functional.cross_entropy(x(), tl.tensor([0, 9]))),
    "len": (TypeError, lambda: len(tl.tensor(1))),
    "iter": (TypeError, lambda: iter(tl.tensor(1))),
    "embedding": (IndexError, lambda: tl.nn.functional.embedding(tl.tensor([9]), x())),
    "argmax of none": (IndexError, lambda: tl.zeros(0).argmax()),
    "median of none": (IndexError, lambda: tl.zeros(0, 2).median(0)),
    "text as index": (TypeError, lambda: x()["a"]),
    "text among indices": (TypeError, lambda: x()[0, "a"]),
    "bits of floats": (NotImplementedError, lambda: x() & x()),
    "shift of floats": (NotImplementedError, lambda: x() << 1),
    "softmax of integers": (NotImplementedError, lambda: x().long().softmax(0)),
    "singular inv": (tl.linalg.LinAlgError, lambda: tl.linalg.inv(tl.zeros(2, 2))),
    "singular solve": (tl.linalg.LinAlgError, lambda: tl.linalg.solve(tl.zeros(2, 2), tl.eye(2))),
    "indefinite": (tl.linalg.LinAlgError, lambda: tl.linalg.cholesky(-tl.eye(2))),
    "del": (TypeError, lambda: x().__delitem__(0)),
    "grad of no tensor": (TypeError, lambda: setattr(x(), "grad", 5)),
    "dropout": (ValueError, lambda: tl.nn.functional.dropout(x(), 2.0)),
    "nested": (ValueError, lambda: tl.tensor([[1], [1, 2]])),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_of_torchs_class_and_of_ours(name):
    kind, call = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, TallowError)


def test_attributes_stay_on_the_tensor():
    a = x()
    a.tag = "mine"
    assert a.tag == "mine" and not hasattr(a + 1, "tag")
    with pytest.raises(AttributeError):
        _ = a.other


def test_storage_and_layout():
    a = x()
    view = a[1, 1:]
    assert a.untyped_storage().data_ptr() == view.untyped_storage().data_ptr() == a.data_ptr()
    assert a.untyped_storage().nbytes() == view.untyped_storage().nbytes() == 24
    assert a.storage().size() == len(a.storage()) == 6
    assert a.storage().tolist() == [0, 1, 2, 3, 4, 5]
    assert a.layout == tl.strided and a.names == (None, None) and a.get_device() == -1
    assert not a.is_shared() and not a.is_pinned() and a.pin_memory() is a
    assert a.T.dim_order() == (1, 0) and a.is_signed()


def test_python_protocols():
    a = x()
    assert 3.0 in a and 9 not in a
    with pytest.raises(TypeError):
        _ = "a" in a
    assert [row.tolist() for row in reversed(a)] == [[3, 4, 5], [0, 1, 2]]
    assert complex(tl.tensor(2.0)) == 2
    q, r = divmod(a, 2)
    assert (q * 2 + r).tolist() == a.tolist()
    assert divmod(7, tl.tensor(2.0))[1] == 1
    assert tl.ones(1, requires_grad=True).numpy(force=True).tolist() == [1.0]
    assert np.sum(a) == 15 and np.mean(a, axis=0).tolist() == [1.5, 2.5, 3.5]


def test_changes_of_shape_in_place():
    a = x()
    assert a.resize_(3, 2) is a and a.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert a.resize_((1, 2)).tolist() == [[0, 1]]
    assert a.set_(tl.ones(2)).tolist() == [1, 1]
    assert x().resize_as_(tl.ones(6)).shape == (6,)
    for shape, wrap in (((3, 3), False), ((7, 3), True), ((7, 3), False), ((2, 5), False)):
        wanted = np.zeros(shape, np.float32)
        np.fill_diagonal(wanted, 2, wrap)
        assert tl.zeros(*shape).fill_diagonal_(2, wrap=wrap).tolist() == wanted.tolist()
    assert tl.tensor([1, 2]).apply_(lambda v: v * 3).tolist() == [3, 6]
    assert tl.tensor([1, 2]).map_(tl.tensor([5, 6]), lambda p, q: p + q).tolist() == [6, 8]


def test_subclasses():
    class Mine(tl.Tensor):
        pass

    a = x().requires_grad_()
    mine = a.as_subclass(Mine)
    assert type(mine) is Mine and mine.requires_grad and mine.data_ptr() == a.data_ptr()
    (mine * 2).sum().backward()
    assert a.grad.tolist() == [[2] * 3] * 2
    made = tl.Tensor._make_subclass(Mine, a, True)
    assert type(made) is Mine and made.is_leaf and made.requires_grad
    assert type(Mine([1, 2])) is Mine and Mine(2, 3).shape == (2, 3)
    assert copy.copy(x()).tolist() == x().tolist()
    with pytest.raises(DTypeError):
        a.as_subclass(int)


# --- leaves in place ------------------------------------------------------------------------------

IN_PLACE = {
    "zero_": lambda a: a.zero_(),
    "fill_": lambda a: a.fill_(0),
    "copy_": lambda a: a.copy_(tl.zeros(())),
    "mul_": lambda a: a.mul_(0),
    "sub_": lambda a: a.sub_(a.detach().clone()),
    "setitem": lambda a: a.__setitem__(..., 0),
    "rows": lambda a: a.__setitem__([0, 1], 0),
    "mask": lambda a: a.__setitem__(a == a, 0.0),
    "uniform_": lambda a: a.uniform_(0, 0),
    "normal_": lambda a: a.normal_(0, 0),
    "clamp_": lambda a: a.clamp_(0, 0),
    "masked_fill_": lambda a: a.masked_fill_(a == a, 0),
    "out": lambda a: tl.mul(a.detach(), 0, out=a),
    "view": lambda a: a.view(-1).zero_(),
    "row": lambda a: [row.zero_() for row in a],
}
WAYS = {
    "no_grad": (tl.no_grad, lambda a: a),
    "inference": (tl.inference_mode, lambda a: a),
    "data": (tl.enable_grad, lambda a: a.data),
    "detach": (tl.enable_grad, lambda a: a.detach()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", IN_PLACE)
def test_leaves_may_be_changed_where_nothing_is_recorded(name, way):
    mode, reach = WAYS[way]
    for make in (lambda: tl.nn.Parameter(tl.ones(2, 3)), lambda: tl.ones(2, 3, requires_grad=True)):
        a = make()
        leaf = a._node
        with mode():
            IN_PLACE[name](reach(a))
        assert a.tolist() == [[0] * 3] * 2
        assert a.requires_grad and a.is_leaf and a._node is leaf
        (a * 3).sum().backward()
        assert a.grad.tolist() == [[3] * 3] * 2


@pytest.mark.parametrize("name", [name for name in IN_PLACE if name != "out"])
def test_leaves_stay_as_they_are_where_it_would_be_recorded(name):
    a = tl.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        IN_PLACE[name](a)
    assert a.tolist() == [[1] * 3] * 2


def test_renorm():
    a = tl.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert a.renorm(2, 0, 1.0).sub(tl.tensor([[0.6, 0.8], [0.3, 0.4]])).abs().max() < 1e-6
    assert tl.renorm(a, p=1, dim=-1, maxnorm=9.0).tolist() == a.tolist()
    for wrong in ((2, 5, 1.0), (-1, 0, 1.0), (2, 0, -1.0)):
        with pytest.raises(RuntimeError):
            a.renorm(*wrong)


@pytest.mark.needs_torch
@pytest.mark.parametrize("p", [0.5, 1, 2, 3])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_renorm_is_torchs(p, dim):
    import torch

    data = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("f")
    theirs, ours = (t.tensor(data, requires_grad=True) for t in (torch, tl))
    wanted, got = theirs.renorm(p, dim, 1.5), ours.renorm(p, dim, 1.5)
    (wanted * wanted.detach().exp()).sum().backward()
    (got * got.detach().exp()).sum().backward()
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), 2e-5, 1e-6)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), 2e-4, 1e-5)


def test_asarray_and_frombuffer():
    array = np.arange(3, dtype="f")
    shared, copied = tl.asarray(array), tl.asarray(array, copy=True)
    array[0] = 9
    assert shared[0].item() == 9.0 and copied[0].item() == 0.0
    assert tl.asarray([1, 2]).dtype is tl.i64 and tl.asarray(shared) is shared
    assert tl.asarray(b"\x01\x02").tolist() == [1, 2]
    assert tl.frombuffer(b"\x01\x00\x02\x00", dtype=tl.i16, offset=2).tolist() == [2]
    for wrong in ({"offset": 9}, {"offset": 1}, {"count": 5}):
        with pytest.raises(ValueError, match="frombuffer|from_buffer"):
            tl.frombuffer(b"\x01\x00\x02\x00", dtype=tl.i16, **wrong)


REPRS = {
    "tensor([1., 2.], requires_grad=True)": lambda x: x,
    "tensor([2., 4.], grad_fn=<MulBackward0>)": lambda x: x * 2,
    "tensor([1., 2.])": lambda x: x.detach(),
    "tensor(3., grad_fn=<SumBackward0>)": lambda x: x.sum(),
    "tensor([2.7183, 7.3891], grad_fn=<ExpBackward0>)": lambda x: x.exp(),
    "tensor([-1., -2.], grad_fn=<NegBackward0>)": lambda x: -x,
    "tensor([0.2689, 0.7311], grad_fn=<SoftmaxBackward0>)": lambda x: x.softmax(0),
    "tensor([1., 2., 1., 2.], grad_fn=<CatBackward0>)": lambda x: tl.cat([x, x]),
    "Parameter containing:\ntensor([1., 2.], requires_grad=True)": (
        lambda x: tl.nn.Parameter(x.detach())
    ),
}


@pytest.mark.parametrize("text", REPRS)
def test_reprs_tell_of_gradients(text):  # as torch 2.13 prints them
    assert repr(REPRS[text](tl.tensor([1.0, 2.0], requires_grad=True))) == text


def test_type_by_pytorchs_names():
    assert tl.ones(2).type("torch.IntTensor").dtype is tl.i32
    assert tl.ones(2).type(tl.ones(1, dtype=tl.u8).type()).dtype is tl.u8
    with pytest.raises(DTypeError, match=r"torch\.FooTensor"):
        tl.ones(2).type("torch.FooTensor")
