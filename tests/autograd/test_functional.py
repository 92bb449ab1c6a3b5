"""Derivatives of functions: vjp, jvp, jacobian, hessian; the checks themselves; checkpoint."""

import math
import pkgutil

import numpy as np
import pytest

import tallow as tl
from tallow.autograd import functional as F
from tallow.errors import ArgumentError, GradError, TallowError


def t(values):
    return tl.tensor(values, dtype="f64")


def cubes(x):
    return x * x * x


def near(x, wanted):
    np.testing.assert_allclose(
        x.detach().numpy(), np.asarray(wanted, float), rtol=1e-12, atol=1e-12
    )


def test_vjp():
    out, g = F.vjp(cubes, t([1.0, 2.0]), t([1.0, 10.0]))
    near(out, [1, 8])
    near(g, [3, 120])


def test_vjp_of_several_inputs():
    _, (gx, gy) = F.vjp(lambda x, y: x * y, (t([1.0, 2.0]), t([3.0, 4.0])), t([1.0, 1.0]))
    near(gx, [3, 4])
    near(gy, [1, 2])


def test_jvp():
    out, d = F.jvp(cubes, t([1.0, 2.0]), t([1.0, 10.0]))
    near(out, [1, 8])
    near(d, [3, 120])
    _, d = F.jvp(lambda x, y: x * y, (t([1.0, 2.0]), t([3.0, 4.0])), (t([1.0, 0.0]), t([0.0, 1.0])))
    near(d, [3, 2])


def test_jacobian():
    near(F.jacobian(cubes, t([1.0, 2.0])), [[3, 0], [0, 12]])
    a, b = F.jacobian(lambda x, y: x.sum() * y, (t([1.0, 2.0]), t([3.0, 4.0])))
    near(a, [[3, 3], [4, 4]])
    near(b, [[3, 0], [0, 3]])


def test_jacobian_of_matrices():
    x = t([[1.0, 2.0], [3.0, 4.0]])
    j = F.jacobian(lambda m: m.sum(0), x)
    assert j.shape == (2, 2, 2)
    near(j, [[[1, 0], [1, 0]], [[0, 1], [0, 1]]])


def test_hessian():
    near(F.hessian(lambda x: (x * x * x).sum(), t([1.0, 2.0])), [[6, 0], [0, 12]])
    ((xx, xy), (yx, yy)) = F.hessian(lambda x, y: (x * x * y).sum(), (t([3.0]), t([5.0])))
    near(xx, [[10]])
    near(xy, [[6]])
    near(yx, [[6]])
    near(yy, [[0]])


def test_what_does_not_depend_is_zero():
    near(F.jacobian(lambda x: t([1.0, 2.0]) + 0 * x, t([1.0, 2.0])), [[0, 0], [0, 0]])


def test_gradcheck_passes_what_is_right():
    x = t([[0.3, -0.7], [1.1, 0.2]]).requires_grad_()
    assert tl.autograd.gradcheck(lambda v: (v.exp() * v.sin()).sum(0), [x])
    assert tl.autograd.gradgradcheck(lambda v: (v.exp() * v.sin()).sum(0), [x])
    assert x.tolist() == [[0.3, -0.7], [1.1, 0.2]]


def test_gradcheck_catches_what_is_wrong():
    def wrong(v):
        return v * v.detach()  # half of the slope is missing

    x = t([0.3, -0.7]).requires_grad_()
    with pytest.raises(GradError, match="gradcheck: expected"):
        tl.autograd.gradcheck(wrong, [x])
    assert not tl.autograd.gradcheck(wrong, [x], raise_exception=False)


def test_gradgradcheck_catches_what_is_wrong():
    class Cube(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * (x * x).detach()

    x = t([0.3, -0.7]).requires_grad_()
    assert tl.autograd.gradcheck(Cube.apply, [x])
    with pytest.raises(GradError):
        tl.autograd.gradgradcheck(Cube.apply, [x])


def test_functions_of_users():
    class Scale(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, g):
            return g * ctx.factor * 100, None

    x = t([1.0, 2.0]).requires_grad_()
    Scale.apply(x, 3).sum().backward()
    assert x.grad.tolist() == [300.0, 300.0]


def test_a_function_may_set_its_context_up_apart():
    class Scale(tl.autograd.Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor, ctx.shape = inputs[1], output.shape

        @staticmethod
        def backward(ctx, g):
            assert ctx.shape == g.shape
            return g * ctx.factor, None, None  # one more None than there are arguments

    x = t([1.0, 2.0]).requires_grad_()
    Scale.apply(x, 5).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_a_function_may_change_its_argument():
    class Double(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = t([1.0, 3.0]).requires_grad_()
    y = x * 1
    row = y[0]
    assert Double.apply(y) is y and y.tolist() == [2, 6]
    (y.sum() + row).backward()
    assert x.grad.tolist() == [4, 2]
    with pytest.raises(GradError, match="Double: expected arguments that are no leaves"):
        Double.apply(x)


def test_gradients_that_do_not_come_and_that_are_too_many():
    class Both(tl.autograd.Function):
        zeros = True

        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(Both.zeros)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            assert a.tolist() == [0] if Both.zeros else a is None
            return (b * 2, b) if b.item() < 0 else b * 2

    x = t([1.0]).requires_grad_()
    for Both.zeros in (True, False):
        assert tl.autograd.grad(Both.apply(x)[1], x)[0].tolist() == [2]
    with pytest.raises(GradError, match="backward: expected 1 gradients, got 2"):
        (-Both.apply(x)[1]).backward()


# --- checkpoint ----------------------------------------------------------------------------------


def layer(x, w):
    return (x @ w).tanh() * 2


def test_checkpoint_gives_the_same():
    x, w = (
        t([[0.1, 0.2], [0.3, 0.4]]).requires_grad_(),
        t([[0.5, -0.1], [0.2, 0.3]]).requires_grad_(),
    )
    plain = layer(layer(x, w), w).sum()
    wanted = tl.autograd.grad(plain, [x, w])
    out = tl.checkpoint(layer, tl.checkpoint(layer, x, w), w).sum()
    near(out, plain.item())
    out.backward()
    near(x.grad, wanted[0].tolist())
    near(w.grad, wanted[1].tolist())


def test_checkpoint_reaches_what_it_closes_over():
    w = t([3.0]).requires_grad_()
    x = t([2.0])
    tl.checkpoint(lambda v: v * w * w, x).sum().backward()
    assert w.grad.tolist() == [12.0]


def test_checkpoint_keeps_less():
    def deep(x):
        for _ in range(20):
            x = x.exp() * 0.1
        return x

    x = tl.ones(256, 256).requires_grad_()
    start = tl._native.pool_stats()[0]
    y = deep(x)
    plain = tl._native.pool_stats()[0] - start
    del y
    y = tl.checkpoint(deep, x)
    kept = tl._native.pool_stats()[0] - start
    assert kept * 4 < plain
    y.sum().backward()
    assert x.grad.isfinite().all().item() if hasattr(x, "isfinite") else True


def test_checkpoint_repeats_the_random_numbers():
    x = tl.ones(1000).requires_grad_()
    y = tl.checkpoint(lambda v: tl.dropout(v, 0.5, True), x)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_checkpoint_of_nothing_to_differentiate():
    out = tl.checkpoint(lambda v: v * 2, tl.ones(2))
    assert out.tolist() == [2.0, 2.0] and not out.requires_grad
    with tl.no_grad():
        assert not tl.checkpoint(lambda v: v * 2, t([1.0]).requires_grad_()).requires_grad


# How `f` gets h = exp(x), of which it makes x * h; torch's gradients at 1 are 2 e, and x's own, e.
REACH = {
    "argument": lambda x, h: tl.checkpoint(lambda a, b: a * b, x, h),
    "keyword": lambda x, h: tl.checkpoint(lambda a, b: a * b, x, b=h),
    "nested": lambda x, h: tl.checkpoint(lambda a, b: a * b["h"][0], x, {"h": [h]}),
    "closure": lambda x, h: tl.checkpoint(lambda a: a * h, x),
    "twice": lambda x, h: tl.checkpoint(lambda a: tl.checkpoint(lambda b: b * h, a), x),
}


@pytest.mark.parametrize("how", REACH)
def test_checkpoint_knows_all_that_it_works_on(how):
    """However a result reaches it, its graph is gone through once, by the pass around it."""
    x = t([1.0]).requires_grad_()
    e = math.e
    for outside in (0.0, 1.0):
        h = x.exp()
        near(tl.autograd.grad(REACH[how](x, h) + h * outside, x)[0], [2 * e + outside * e])
        h = x.exp()
        near(tl.autograd.grad(REACH[how](x, h) + h * outside, h)[0], [1 + outside])
        assert x.grad is None
    h = x.exp()
    (REACH[how](x, h) + h).backward()
    near(x.grad, [3 * e])


def test_checkpoint_leaves_alone_what_is_not_asked_for():
    x, w, seen = t([2.0]).requires_grad_(), t([3.0]).requires_grad_(), []
    x.register_hook(seen.append)
    y = tl.checkpoint(lambda v: v**3 * w, x)
    near(tl.autograd.grad(y, x)[0], [36.0])
    assert w.grad is None and len(seen) == 1


def test_checkpoint_can_be_differentiated_twice():
    x = t([2.0]).requires_grad_()
    (slope,) = tl.autograd.grad(tl.checkpoint(lambda v: v**3, x), x, create_graph=True)
    near(tl.autograd.grad(slope, x)[0], [12.0])


def test_checkpoint_gives_what_the_function_gives():
    x = t([2.0]).requires_grad_()
    out = tl.checkpoint(lambda v: {"a": (v * v, None), "b": "text", "c": v, "d": v.argmax()}, x)
    assert out["a"][1] is None and out["b"] == "text" and out["c"] is x
    assert tl.checkpoint(lambda v: 5, x) == 5
    (out["a"][0] + out["c"]).backward()
    assert x.grad.tolist() == [5.0]
    row, first = tl.checkpoint(lambda v: (r := v * 3, r[0]), x)
    row.add_(1)  # seen through the view too
    assert first.item() == 7
    near(tl.autograd.grad(first, x)[0], [3.0])


def test_checkpoint_runs_as_the_forward_pass_did():
    x, w = tl.ones(2, 2).requires_grad_(), tl.ones(2, 2).requires_grad_()
    with tl.autocast("cpu"):
        tl.mm(x, w)  # whose cast of w stays in the block
        y = tl.checkpoint(tl.mm, x, w)
    assert y.dtype is tl.bf16
    y.sum().backward()
    assert w.grad.dtype is tl.f32 and w.grad.tolist() == [[2, 2]] * 2


def test_checkpoint_of_a_function_that_changes_its_mind():
    x, calls = t([2.0]).requires_grad_(), []

    def more(v):
        calls.append(v)
        return [v * 2] * len(calls)

    (y,) = tl.checkpoint(more, x)
    with pytest.raises(GradError, match="checkpoint: expected 1 tensors again, got 2"):
        y.backward()
    others = [x * 2, x * 3]
    y = tl.checkpoint(lambda v: v * others.pop(), x)
    with pytest.raises(GradError, match="checkpoint: expected the same tensors again, got others"):
        y.backward()


def test_nonsense_is_refused():
    x = t([1.0]).requires_grad_()
    for call in (
        lambda: tl.autograd.grad(3, x),
        lambda: tl.autograd.grad(x * 2, tl.ones(1)),
        lambda: tl.autograd.grad(x * 2, x, [None, None]),
        lambda: F.jvp(cubes, (x,), (x, x)),
        lambda: tl.autograd.gradcheck(cubes, [tl.ones(2).requires_grad_()]),
    ):
        with pytest.raises(TallowError):
            call()


def test_names_and_options_are_pytorchs():
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    for name in ("jvp", "vjp"):
        out, product = getattr(F, name)(func=lambda v: v * v, inputs=x, v=tl.ones(2))
        assert not out.requires_grad
        assert product.tolist() == [2.0, 4.0]
        _, product = getattr(F, name)(lambda v: v * v, x, tl.ones(2), create_graph=True)
        assert product.requires_grad
        with pytest.raises(GradError, match="depend on the inputs"):
            getattr(F, name)(lambda _: tl.ones(2), x, strict=True)
    found = F.jacobian(func=lambda v: v * v, inputs=x, vectorize=True)
    assert found.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    found = F.hessian(func=lambda v: (v**3).sum(), inputs=x, vectorize=True)
    assert found.tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_gradients_of_many_weights_at_once():
    x = tl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    weights = tl.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    (found,) = tl.autograd.grad(x * x, x, weights, is_grads_batched=True)
    assert found.tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 6.0]]
    pair = tl.autograd.grad(
        [x * x, x], x, [weights, weights], is_grads_batched=True, allow_unused=True
    )
    assert pair[0].tolist() == [[3.0, 0.0, 0.0], [0.0, 0.0, 7.0]]
    for wrong in (None, tl.ones(0, 3), tl.tensor(1.0)):
        with pytest.raises(ArgumentError, match="one first axis"):
            tl.autograd.grad(x * x, x, wrong, is_grads_batched=True)


def test_gradcheck_takes_pytorchs_options():
    x = tl.tensor([1.0, 2.0], dtype=tl.f64, requires_grad=True)
    assert tl.autograd.gradcheck(func=tl.exp, inputs=(x,), fast_mode=True, nondet_tol=1e-3)
    assert tl.autograd.gradgradcheck(tl.exp, (x,), grad_outputs=tl.ones(2, dtype=tl.f64))
    with pytest.raises(ArgumentError, match="check_forward_ad=False"):
        tl.autograd.gradcheck(tl.exp, (x,), check_forward_ad=True)
    with pytest.raises(TypeError, match="unexpected"):
        tl.autograd.gradcheck(tl.exp, (x,), nonsense=1)


def test_no_module_takes_the_place_of_a_function():
    """A module of a package's own name for a function would replace it once it is imported."""
    found = {module.name for module in pkgutil.iter_modules(tl.autograd.__path__)}
    assert found & set(tl.autograd.__all__) == {"functional"}  # which is a module
