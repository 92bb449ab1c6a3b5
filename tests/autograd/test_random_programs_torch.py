"""Random programs of views, arithmetic and in-place changes, run by torch and by Tallow.

Where both run a program to its end, the values, shapes and `requires_grad` of its tensors and the
gradients of its leaves are equal. An error of ours is a clear one; it may come where torch goes on
(expanded targets), but in few programs.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import tallow.torch
from tallow.errors import TallowError

pytestmark = [pytest.mark.needs_torch, pytest.mark.filterwarnings("ignore")]

NEW = """
x.exp() | x.sin() | x.tanh() | x * 2 | x + 1 | 2 / (x * x + 1) | x.abs() | x.sum() | x.sum(0)
x.mean(-1, keepdim=True) | x.reshape(-1) | x.view(-1) | x[0] | x[:, 1:] | x[..., ::2] | x.clone()
x.detach() | x.contiguous() | x.softmax(-1) | x.cumsum(0) | x.max(-1).values | x.sort(-1).values
x.unsqueeze(0) | x.squeeze() | x.expand(2, *x.shape) | x.transpose(0, -1) | x.flip(0)
x.clamp(-1, 1) | x.relu() | x.sigmoid() | x ** 2 | x.prod() | x.norm() | x[x > 0] | x.roll(1)
x.masked_fill(x > 0, 0.5) | x.chunk(2, 0)[0] | x.unbind(0)[0] | x.diagonal() | x.tril()
x.logsumexp(-1) | x.topk(1).values | x.repeat(2, *[1] * (x.ndim - 1)) | x.narrow(0, 0, 1)
x.index_select(0, t.tensor([0, 0])) | x.movedim(0, -1) | x.amax(0) | x.sign() | x.floor()
x.as_strided((2,), (1,)) | x.split(1)[0] | x.data | x.neg() | x.double() | x.half().float()
x.view_as(x) | x.min() | x.cumprod(-1) | (x > 0) * x | x.erf() | x.square() | x.diff() | x.trace()
t.nn.functional.layer_norm(x, x.shape[-1:]) | x.kthvalue(1).values | x.std(-1, keepdim=True)
x + y | x * y | x - y | x / (y * y + 1) | x @ y | t.maximum(x, y) | t.where(x > y, x, y)
t.cat([x, y]) | t.stack([x, y]) | t.atan2(x, y) | x.fmod(y.abs() + 1) | t.lerp(x, y, 0.3)
t.addcmul(x, x, y) | t.outer(x.flatten(), y.flatten()) | t.einsum("...i,...i->...", x, y)
t.nn.functional.mse_loss(x, y) | x.expand_as(y) | t.hypot(x, y) | x.gather(-1, (y > 0).long())
t.nn.functional.linear(x, y) | t.logaddexp(x, y) | t.cdist(x, y)
"""
CHANGED = """
x.add_(1) | x.mul_(2) | x.mul_(y) | x.add_(y) | x[0] = 1.5 | x[..., 0] = y.sum() | x.zero_()
x.exp_() | x.sub_(y, alpha=2) | x.clamp_(-1, 1) | x.masked_fill_(x > 0, 0.1) | x.copy_(y)
x.relu_() | x[x > 0] = 0 | x[1:] = x[:-1].clone() | x.div_(2) | x.fill_(0.3) | x.sigmoid_()
x.index_fill_(0, t.tensor([0]), 2.0) | x.neg_() | x.pow_(2) | x.tanh_() | x.fill_diagonal_(1.0)
x.index_add_(0, t.tensor([0]), y) | x.abs_() | x.lerp_(y, 0.2) | x.addcmul_(y, y) | x.cumsum_(0)
x.tril_() | x.sin_() | x[:, 0].add_(1) | x.view(-1)[0] = 3.0 | x.grad = None
"""


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", "|").split("|") if part.strip()]


Step = tuple[str, bool, int, int]  # code, whether it makes a tensor, the places of x and of y


def program(seed: int) -> list[Step]:
    drawn = random.Random(seed)
    count, steps = 3, []
    for _ in range(drawn.randint(3, 9)):
        makes = drawn.random() < 0.75
        code = drawn.choice(listed(NEW if makes else CHANGED))
        steps.append((code, makes, drawn.randrange(count), drawn.randrange(count)))
        count += makes
    return steps


def run(t: Any, steps: list[Step], seed: int) -> tuple[list[Any], list[Any], list[str]]:
    """The tensors, the leaves' gradients, and what was refused; a refused step makes a zero."""
    rng = np.random.default_rng(seed)
    shapes = [(2, 3), (3,), (2, 3)] if seed % 2 else [(3, 3), (3, 3), (1, 3)]
    leaves = [t.tensor(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    for leaf in leaves[: 1 + (seed % 3 > 0)]:
        leaf.requires_grad_()
    pool, refused = list(leaves), []
    for code, makes, first, second in steps:
        names = {"t": t, "x": pool[first], "y": pool[second]}
        try:
            if makes:
                pool.append(eval(code, names))
            else:
                exec(code, names)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            if t is tallow.torch and not isinstance(error, (TallowError, TypeError)):
                raise AssertionError(f"{code}: not an error of ours") from error
            refused.append(code)
            if makes:
                pool.append(t.zeros(1))
    try:
        live = [p.double().sum() for p in pool if p.requires_grad]
        if live:
            sum(live[1:], live[0]).backward()
    except RuntimeError:
        refused.append("backward")
    return pool, [leaf.grad for leaf in leaves], refused


def state(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape), x.requires_grad, str(x.dtype)[-2:]


def near(p: Any, q: Any) -> bool:
    a, b = p.detach().double().numpy(), q.detach().double().numpy()
    return np.allclose(a, b, 2e-3, 1e-3, equal_nan=True)


@pytest.mark.parametrize("start", range(0, 800, 100))
def test_programs_end_alike(start):
    import torch

    complete = 0
    for seed in range(start, start + 100):
        steps = program(seed)
        theirs, ours = run(torch, steps, seed), run(tallow.torch, steps, seed)
        if theirs[2] != ours[2] or "backward" in ours[2]:
            continue
        if any(p.isnan().any() for p in theirs[0]):
            continue
        complete += 1
        for number, (p, q) in enumerate(zip(theirs[0], ours[0], strict=True)):
            assert state(p) == state(q), (seed, number, steps)
            assert near(p, q), (seed, number, steps)
        for p, q in zip(theirs[1], ours[1], strict=True):
            assert (p is None) == (q is None), (seed, steps)
            assert p is None or near(p, q), (seed, steps)
    assert complete >= 75
