"""The order in memory of elementwise results: that of their operands, as in torch."""

import itertools
import math
import random

import numpy as np
import pytest

import tallow as tl
from tallow import nn

# name → a function of the package and one operand; what torch gives another order is not here.
UNARY = {
    "neg": lambda t, x: -x,
    "exp": lambda t, x: x.exp(),
    "add": lambda t, x: x + 1,
    "rsub": lambda t, x: 2.0 - x,
    "gt": lambda t, x: x > 3,
    "remainder": lambda t, x: x % 2,
    "pow": lambda t, x: x**3.5,
    "relu": lambda t, x: x.relu(),
    "sigmoid": lambda t, x: x.sigmoid(),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "silu": lambda t, x: t.nn.functional.silu(x),
    "leaky_relu": lambda t, x: t.nn.functional.leaky_relu(x),
    "clamp": lambda t, x: x.clamp(1, 3),
    "isnan": lambda t, x: x.isnan(),
    "where": lambda t, x: t.where(x > 2, x, 0.0),
    "addcmul": lambda t, x: t.addcmul(x, x, x),
    "double": lambda t, x: x.double(),
    "half": lambda t, x: x.to(t.float16),
    "long": lambda t, x: x.long(),
    "clone": lambda t, x: x.clone(),
    "copy": lambda t, x: x.to(t.float32, copy=True),
    "zeros_like": lambda t, x: t.zeros_like(x),
    "ones_like": lambda t, x: t.ones_like(x),
    "full_like": lambda t, x: t.full_like(x, 2),
    "empty_like": lambda t, x: t.empty_like(x).fill_(1),
    "contiguous": lambda t, x: x.contiguous(),
    "rows": lambda t, x: x.clone(memory_format=t.contiguous_format),
}
BINARY = {
    "add": lambda t, x, y: x + y,
    "div": lambda t, x, y: x / y,
    "maximum": lambda t, x, y: t.maximum(x, y),
    "lt": lambda t, x, y: x < y,
    "bits": lambda t, x, y: (x > 2) & (y > 2),
    "where": lambda t, x, y: t.where(x > y, x, y),
    "atan2": lambda t, x, y: t.atan2(x, y),
    "promoted": lambda t, x, y: x.long() + y.double(),
    "addcmul": lambda t, x, y: t.addcmul(x, y, y),
}
SHAPES = [(3, 4), (2, 3, 4), (2, 1, 3), (1, 4), (2, 3, 4, 5), (2, 3, 1, 1), (2, 3, 2, 2, 3)]


def laid(package, shape, order, kind):
    """Numbers from 1 in `shape`, whose axes lie in memory in `order`: dense, or with gaps."""
    base, back = [shape[i] for i in order], [order.index(i) for i in range(len(order))]
    wide = kind == "gaps" and len(shape) > 0
    n = math.prod(shape) * (2 if wide else 1)
    x = package.arange(1, n + 1, dtype=package.float32)
    if wide:
        return x.reshape(*base[:-1], base[-1] * 2)[..., ::2].permute(back)
    return x.reshape(base).permute(back)


def same(ours, theirs, what):
    assert tuple(ours.stride()) == tuple(theirs.stride()), what
    close = np.isclose(ours.double().numpy(), theirs.double().numpy(), rtol=1e-2, equal_nan=True)
    assert close.all(), what


@pytest.mark.needs_torch
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_strides_and_values_are_torchs(shape):
    import torch

    choose = random.Random(0)
    orders = list(itertools.permutations(range(len(shape))))
    for order in choose.sample(orders, min(len(orders), 12)):
        for kind in ("dense", "gaps"):
            x, y = laid(torch, shape, order, kind), laid(tl, shape, order, kind)
            if x.stride() != y.stride():  # a slice of an axis of length 1
                continue
            for name, f in UNARY.items():
                if name == "pow" and 1 in shape:  # torch knows its exponent beforehand
                    continue
                same(f(tl, y), f(torch, x), (name, order, kind))
            for _ in range(4):
                other = [1 if choose.random() < 0.25 else n for n in shape]
                other = other[choose.choice([0, 0, 0, 1]) :]
                turned = choose.sample(range(len(other)), len(other))
                how = choose.choice(["dense", "gaps"])
                a, b = laid(torch, other, turned, how), laid(tl, other, turned, how)
                if a.stride() != b.stride():
                    continue
                for name, f in BINARY.items():
                    same(f(tl, y, b), f(torch, x, a), (name, order, kind, other, turned, how))
                    same(f(tl, b, y), f(torch, a, x), (name, "turned", order, kind, other, turned))


@pytest.mark.needs_torch
def test_expanded_operands_are_torchs():
    import torch

    def operands(t):
        x = t.arange(1, 16, dtype=t.float32).reshape(5, 3).t()[:, None]
        return x.expand(3, 4, 5), t.ones(5, 4, 3).permute(2, 1, 0)

    for name in ("add", "exp", "where", "clone", "double", "zeros_like"):
        same(UNARY[name](tl, operands(tl)[0]), UNARY[name](torch, operands(torch)[0]), name)
    for name, f in BINARY.items():
        same(f(tl, *operands(tl)), f(torch, *operands(torch)), name)
        same(f(tl, *operands(tl)[::-1]), f(torch, *operands(torch)[::-1]), name)


@pytest.mark.parametrize("name", sorted(set(UNARY) - {"contiguous", "rows"}))
def test_a_transposed_operand_keeps_its_strides(name):
    x = tl.arange(1, 13, dtype=tl.float32).reshape(3, 4)
    for turned in (x.t(), x.reshape(3, 2, 2).permute(2, 0, 1)):
        assert UNARY[name](tl, turned).stride() == turned.stride()
    assert UNARY[name](tl, x).stride() == (4, 1)
    # With gaps there is nothing to keep but the order; the strides are torch 2.13's.
    gaps = tl.arange(24, dtype=tl.float32).reshape(3, 8)[:, ::2].t()
    assert UNARY[name](tl, gaps).stride() == (1, 4)


def test_the_first_operand_that_tells_axes_apart_decides():
    """Strides of torch 2.13."""
    rows, columns = tl.ones(3, 4), tl.ones(4, 3).t()
    assert (rows + columns).stride() == (4, 1) and (columns + rows).stride() == (1, 3)
    assert (tl.ones(4) + columns).stride() == (1, 3), "one axis says nothing of two"
    assert (tl.ones(3, 1) + columns).stride() == (1, 3)
    image = tl.ones(2, 3, 4, 5).to(memory_format=tl.channels_last)
    bias = tl.ones(1, 3, 1, 1)
    assert (image * bias).stride() == (bias * image).stride() == (60, 1, 15, 3)
    assert (image + tl.ones(2, 3, 4, 5)).stride() == (60, 1, 15, 3)
    assert (tl.ones(2, 3, 4, 5) + image).stride() == (60, 20, 5, 1)
    assert tl.where(image > 0, 1.0, image).is_contiguous(memory_format=tl.channels_last)


def test_reversed_axes_become_dense():
    x = tl.arange(12, dtype=tl.float32).reshape(3, 4)
    for view in (x.numpy()[::-1], x.numpy().T[:, ::-1]):
        given = tl.from_numpy(view)
        np.testing.assert_array_equal((given + 1).numpy(), view + 1)
        assert min((given + 1).stride()) == 1


def test_memory_format_of_what_is_made_alike():
    x = tl.ones(2, 3, 4, 5)
    image = x.to(memory_format=tl.channels_last)
    for make in (tl.empty_like, tl.zeros_like, tl.ones_like, tl.clone):
        for given, wanted, strides in (
            (image, None, (60, 1, 15, 3)),
            (image, tl.preserve_format, (60, 1, 15, 3)),
            (image, tl.contiguous_format, (60, 20, 5, 1)),
            (x, tl.channels_last, (60, 1, 15, 3)),
            (x, None, (60, 20, 5, 1)),
        ):
            made = make(given) if wanted is None else make(given, memory_format=wanted)
            assert made.stride() == strides, (make, wanted)
    assert tl.equal(tl.zeros_like(image), tl.zeros(2, 3, 4, 5))
    assert tl.full_like(image, 2.5, dtype="f64").stride() == (60, 1, 15, 3)


def test_targets_keep_their_own_order():
    x = tl.arange(12, dtype=tl.float32).reshape(3, 4)
    out = tl.empty(4, 3)
    tl.add(x.t(), 1, out=out)
    assert out.stride() == (3, 1) and tl.equal(out, x.t() + 1)
    turned = tl.empty(3, 4).t()
    tl.mul(x.t().contiguous(), 2, out=turned)
    assert turned.stride() == (1, 4) and tl.equal(turned, x.t() * 2)
    kept = x.clone().t()
    kept += x.reshape(4, 3)
    assert kept.stride() == (1, 4) and tl.equal(kept, x.t().contiguous() + x.reshape(4, 3))


@pytest.mark.parametrize("name", sorted(set(UNARY) - {"gt", "isnan", "long", "half"}))
def test_gradients_keep_their_values(name):
    if name.endswith("_like"):
        return
    start = tl.arange(1, 25, dtype=tl.float32).reshape(2, 3, 4) / 7
    found = []
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        back = [order.index(i) for i in range(3)]
        x = start.permute(order).clone(memory_format=tl.contiguous_format).permute(back)
        x = x.requires_grad_()
        made = UNARY[name](tl, x)
        (made * (tl.arange(24).reshape(2, 3, 4) + made)).sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-5)


def test_a_model_in_channels_last_gives_the_same():
    """Outputs and gradients, and steps of an optimiser on weights in that order."""
    results = []
    for wanted in (tl.contiguous_format, tl.channels_last):
        tl.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 4, 2)]
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(100, 2))
        x = tl.randn(2, 3, 8, 8)
        model, x = model.to(memory_format=wanted), x.to(memory_format=wanted)
        optimizer = tl.optim.AdamW(model.parameters(), lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            out = model(x * 2)
            out.square().sum().backward()
            optimizer.step()
        results.append([out, *(p.grad for p in model.parameters()), *model.parameters()])
    for rows, last in zip(*results, strict=True):
        np.testing.assert_allclose(rows.detach(), last.detach(), rtol=2e-3, atol=2e-4)
