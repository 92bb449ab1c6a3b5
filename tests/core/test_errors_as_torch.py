"""Wrong calls raise PyTorch's class of error, which is a class of ours too."""

from typing import Any

import pytest

import tallow as tl
from tallow.errors import TallowError

# `x` is (2, 3) and `y` is (4, 5) of floats, `i` is (2, 3) of integers, `t` the framework.
CALLS = """
x + y | x @ y | t.matmul(x, x) | 2 @ x | x @ 2 | x.imag | x + None | x + 'a' | x < 'a' | x & x | ~x
x << 1 | -(x > 0) | (x > 0) - (x > 0) | i // 0 | i % 0 | i ** -1 | x[5] | x[0, 0, 0] | x['a']
x[1.5]
x.sum(5) | x.sum(foo=1) | x.softmax(3) | i.softmax(0) | i.mean() | i.var() | x.median(8)
x.cumsum(8)
t.cat([]) | t.cat([x, y]) | t.cat([x, x], dim=4) | t.stack([]) | t.stack([x, y]) | x.reshape(5)
x.view(4, 2) | x.reshape(-1, -1) | x.squeeze(7) | x.unsqueeze(9) | x.permute(0, 0) | x.permute(0)
x.transpose(0, 5) | x.movedim(0, 7) | x.flip(5) | x.roll(1, 7) | x.expand(3, 3) | x.repeat(2)
x.narrow(0, 1, 5) | x.unbind(7) | x.split(-1) | x.split([1, 3]) | x.chunk(0) | x.unfold(0, 9, 1)
x.item() | bool(x) | int(x) | float(x) | len(t.tensor(1.0)) | list(t.tensor(1.0)) | x.clamp()
x.nope
x.gather(0, t.tensor([[7]])) | x.gather(0, x) | t.index_select(x, 0, t.tensor([9]))
x.scatter(0, t.tensor([[9]]), 1.0) | t.where(x > 0, x, y) | x.masked_select(y > 0) | x.topk(9)
x.kthvalue(9) | x.sort(4) | t.zeros(0).max() | t.zeros(0).argmax() | t.multinomial(t.zeros(3), 5)
t.ones(-1) | t.ones(2, foo=1) | t.ones(2, device='foo') | t.device('cpu:x') | t.eye(-1)
t.randperm(-1)
t.arange(0, 5, -1) | t.arange(0, 5, 0) | t.linspace(0, 1, -3) | t.randint(5, 5, (2,))
t.tensor([[1], [1, 2]]) | t.tensor('abc') | t.tensor(object()) | t.tensor(None) | x.to('foo')
t.einsum('ij,jk->ik', x, x) | t.einsum('i->j', t.ones(2)) | t.bmm(x, x) | t.dot(x, x)
t.linalg.inv(t.zeros(2, 2)) | t.linalg.inv(x) | t.linalg.cholesky(-t.eye(2)) | t.linalg.eigh(x)
t.linalg.solve(t.zeros(2, 2), t.ones(2, 2)) | t.linalg.det(x) | t.linalg.svd(t.ones(2))
x.backward() | (t.ones(2, requires_grad=True) * 2).backward()
t.ones(2, requires_grad=True).numpy()
i.requires_grad_() | t.ones(2, requires_grad=True).add_(1) | i.add_(1.5) | x.copy_(y)
x.__setitem__(5, 1.0) | x.__setitem__(0, y) | x.__delitem__(0) | setattr(x, 'grad', 5)
t.nn.functional.embedding(t.tensor([9]), x) | t.nn.functional.linear(x, y)
t.nn.functional.cross_entropy(x, t.tensor([5, 5])) | t.nn.functional.cross_entropy(x, t.tensor([0]))
t.div(x, x, rounding_mode='q') | t.bincount(t.tensor([-1])) | t.quantile(x, 2.0) | x.norm(p='q')
x * (1, 2, 3) | (1, 2, 3) * x | [1, 2] * x | [1, 2][x] | range(i) | [1, 2][t.tensor(1.5)]
t.nn.functional.interpolate(x, 4) | t.nn.functional.interpolate(x[None], 4, mode='bilinear')
t.nn.functional.interpolate(x[None, None], 4, mode='linear') | t.nn.Upsample(4)(x)
t.nn.functional.interpolate(t.ones(1, 1, 2, 2, 2), 4, mode='bicubic')
t.nn.functional.pad(x[0], (1, 1), 'reflect') | t.nn.functional.pad(x, (1, 1, 1, 1), 'circular')
t.nn.functional.pad(x, (1, 1), 'q') | t.nn.functional.affine_grid(x[None], (1, 2, 3))
t.nn.functional.embedding_bag(i, x, per_sample_weights=x, mode='mean') | t.mul(x, 'a')
"""

# Python itself or the signature of a function says these.
PYTHONS = {"x.nope", "2 @ x", "x @ 2", "x + None", "x + 'a'", "x < 'a'"}


def caught(call: str, framework: Any) -> Exception:
    shape = framework.ones(2, 3)
    names = {
        "t": framework, "x": shape, "y": framework.ones(4, 5), "i": shape.to(framework.int64),
    }  # fmt: skip
    with pytest.raises(Exception) as found:  # noqa: PT011 - its class is what is asked for
        eval(call, names)
    return found.value


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "call", [c.strip() for c in CALLS.replace("\n", "|").split("|") if c.strip()]
)
def test_wrong_calls_raise_torchs_class(call):
    import torch

    wanted = type(caught(call, torch))
    if wanted is torch.linalg.LinAlgError:
        wanted = tl.linalg.LinAlgError
    elif wanted.__module__ != "builtins":
        wanted = RuntimeError
    error = caught(call, tl)
    assert isinstance(error, wanted)
    assert isinstance(error, TallowError) or call in PYTHONS or "foo" in call


@pytest.mark.parametrize(
    "call", ["t.mul(x, 'a')", "x.sum(foo=1)", "t.ones(2, foo=1)", "x * (1, 2, 3)", "x @ (1, 2)"]
)
def test_a_wrong_kind_of_argument_is_no_absent_operation(call):
    """Programs fall back on another way by `except NotImplementedError`."""
    assert not isinstance(caught(call, tl), NotImplementedError)


@pytest.mark.parametrize("call", ["i.softmax(0)", "x & x", "t.nn.functional.interpolate(x, 4)"])
def test_an_absent_operation_is_one(call):
    assert isinstance(caught(call, tl), NotImplementedError)
